/* What the x86-64 variants share. */
#ifndef CXREDGE_KERNELS_X86_H
#define CXREDGE_KERNELS_X86_H

#include "internal.h"

#include <immintrin.h>

/* GCC and Clang compile a function for a processor when told; MSVC always may use every intrinsic. */
#if defined(_MSC_VER) && !defined(__clang__)
#define CXR_TARGET(features)
#else
#define CXR_TARGET(features) __attribute__((target(features)))
#endif

/* Stored rows that go into the sums together: the sums are loaded and stored once for all of them. */
#define ROW_BLOCK ((size_t)12)

/*
 * Asks for the same columns of the next block of rows in the second-level cache: memory then works while the output row
 * is reduced. The address may lie behind the image; a prefetch of it does nothing.
 */
static inline void cxr_prefetch_block(const unsigned char *p, size_t row_bytes) {
    _mm_prefetch((const char *)((uintptr_t)p + ROW_BLOCK * row_bytes), _MM_HINT_T1);
}

/* Four lanes of double, as kernels.reduce asks: wider registers would change the order of additions. */
void cxr_avx2_reduce(const int32_t *sums, const taps *columns, double share, double *line);

#endif
