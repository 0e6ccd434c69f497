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

/* How far ahead of the rows the reduction fetches: behind what cxr_prefetch_block has asked for already. */
#define REDUCE_AHEAD ((uintptr_t)65536)

/* The i-th 256 bytes of it. */
static inline void cxr_prefetch_ahead(const unsigned char *next, size_t i) {
    const char *p = (const char *)((uintptr_t)next + REDUCE_AHEAD + 256 * i);
    _mm_prefetch(p, _MM_HINT_T1);
    _mm_prefetch((const char *)((uintptr_t)p + 64), _MM_HINT_T1);
    _mm_prefetch((const char *)((uintptr_t)p + 128), _MM_HINT_T1);
    _mm_prefetch((const char *)((uintptr_t)p + 192), _MM_HINT_T1);
}

/* Four lanes of double, as kernels.reduce asks: wider registers would change the order of additions. */
void cxr_avx2_reduce(const int32_t *sums, const taps *columns, double share, double *line, const unsigned char *next);

#endif
