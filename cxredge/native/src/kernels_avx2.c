/*
 * The inner loops for x86-64 with AVX2. Two rows go together: their 16-bit pixels are interleaved, and one
 * multiply-and-add by 1 widens and adds each pair. That is as fast as memory delivers.
 */
#include "internal.h"

#if defined(CXR_HAVE_X86)
#include "kernels_x86.h"

#define AVX2 CXR_TARGET("avx2")

typedef struct lanes {
    __m256i flip, mask, low, high;
} lanes;

static inline AVX2 __m256i clamped(const unsigned char *p, const lanes *w) {
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    x = _mm256_and_si256(_mm256_xor_si256(x, w->flip), w->mask);
    return _mm256_min_epi16(_mm256_max_epi16(x, w->low), w->high);
}

static inline AVX2 void put(int32_t *sums, __m256i values, int fresh) {
    __m256i *at = (__m256i *)(void *)sums;
    _mm256_storeu_si256(at, fresh ? values : _mm256_add_epi32(_mm256_loadu_si256(at), values));
}

/* 16 columns of some rows. Interleaving works within 128 bits, so the quarters come apart and are put in order again.
 */
static inline AVX2 void add_strip(int32_t *sums, const unsigned char *p, size_t row_bytes, size_t rows, const lanes *w,
                                  int low, int fresh) {
    const __m256i one = _mm256_set1_epi16(1);
    __m256i even = _mm256_set1_epi32(-(int)rows * low), odd = even;
    for (; rows > 0; p += 2 * row_bytes) {
        cxr_prefetch_block(p, row_bytes);
        cxr_prefetch_block(p + (rows > 1 ? row_bytes : 0), row_bytes);
        __m256i a = clamped(p, w), b = rows > 1 ? clamped(p + row_bytes, w) : _mm256_setzero_si256();
        even = _mm256_add_epi32(even, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), one));
        odd = _mm256_add_epi32(odd, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), one));
        rows -= rows > 1 ? 2 : 1;
    }
    put(sums, _mm256_permute2x128_si256(even, odd, 0x20), fresh);
    put(sums + 8, _mm256_permute2x128_si256(even, odd, 0x31), fresh);
}

static AVX2 void clamp_rows(int32_t *sums, const unsigned char *pixels, size_t row_bytes, size_t rows, size_t columns,
                            const clamp16 *window, int fresh) {
    const lanes w = {_mm256_set1_epi16((short)window->flip), _mm256_set1_epi16((short)window->mask),
                     _mm256_set1_epi16(window->low), _mm256_set1_epi16(window->high)};
    const size_t whole = columns & ~(size_t)15;
    for (size_t r = 0; r < rows; r += ROW_BLOCK) {
        const size_t some = rows - r < ROW_BLOCK ? rows - r : ROW_BLOCK;
        const unsigned char *p = pixels + r * row_bytes;
        for (size_t c = 0; c < whole; c += 16)
            add_strip(sums + c, p + 2 * c, row_bytes, some, &w, window->low, fresh && r == 0);
    }
    cxr_plain_clamp_rows(sums + whole, pixels + 2 * whole, row_bytes, rows, columns - whole, window, fresh);
}

static inline AVX2 __m256d dot(const int32_t *x, const double *weights, size_t width) {
    __m256d s = _mm256_setzero_pd();
    for (size_t k = 0; k < width; k += TAP_GROUP) {
        __m256d values = _mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *)(const void *)(x + k)));
        s = _mm256_add_pd(s, _mm256_mul_pd(_mm256_loadu_pd(weights + k), values));
    }
    return s;
}

AVX2 void cxr_avx2_reduce(const int32_t *sums, const taps *columns, double share, double *line,
                          const unsigned char *next) {
    const size_t width = columns->width, whole = columns->count & ~(size_t)3;
    const uint32_t *first = columns->first;
    const double *weights = columns->weights;
    const __m256d shares = _mm256_set1_pd(share);
    for (size_t j = 0; j < whole; j += 4, weights += 4 * width) {
        cxr_prefetch_ahead(next, j / 4);
        __m256d a = dot(sums + first[j], weights, width), b = dot(sums + first[j + 1], weights + width, width);
        __m256d c = dot(sums + first[j + 2], weights + 2 * width, width);
        __m256d d = dot(sums + first[j + 3], weights + 3 * width, width);
        /* (s0 + s1) and (s2 + s3) of each, then their sum */
        __m256d ab = _mm256_hadd_pd(a, b), cd = _mm256_hadd_pd(c, d);
        __m256d total = _mm256_add_pd(_mm256_permute2f128_pd(ab, cd, 0x20), _mm256_permute2f128_pd(ab, cd, 0x31));
        _mm256_storeu_pd(line + j, _mm256_add_pd(_mm256_loadu_pd(line + j), _mm256_mul_pd(shares, total)));
    }
    cxr_plain_reduce_from(whole, sums, columns, share, line);
}

const kernels cxr_kernels_avx2 = {"avx2", clamp_rows, cxr_avx2_reduce};
#else
typedef int cxr_no_avx2; /* a source file must hold something */
#endif
