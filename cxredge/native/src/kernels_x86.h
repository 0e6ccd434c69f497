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

/* Below so many rows, adding in 16-bit lanes does not pay. */
#define MIN_NARROW ((size_t)4)

/* How many rows of a window add up within 16 bits, at most ROW_BLOCK. */
static inline size_t cxr_narrow_rows(const clamp16 *window) {
    const size_t span = (size_t)(window->high - window->low);
    return span * ROW_BLOCK <= UINT16_MAX ? ROW_BLOCK : UINT16_MAX / span;
}

/* Four lanes of double, as kernels.reduce asks: wider registers would change the order of additions. */
void cxr_avx2_reduce(const int32_t *sums, const taps *columns, double share, double *line);

#endif
