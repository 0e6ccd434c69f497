/* The inner loops for x86-64 with AVX-512 (F and BW); how they work is said in kernels_avx2.c. */
#include "internal.h"

#if defined(CXR_HAVE_X86)
#include "kernels_x86.h"

#define AVX512 CXR_TARGET("avx512f,avx512bw")

typedef struct lanes {
    __m512i flip, mask, low, high;
} lanes;

static inline AVX512 __m512i clamped(const unsigned char *p, const lanes *w) {
    __m512i x = _mm512_loadu_si512(p);
    x = _mm512_and_si512(_mm512_xor_si512(x, w->flip), w->mask);
    return _mm512_min_epi16(_mm512_max_epi16(x, w->low), w->high);
}

static inline AVX512 void put(int32_t *sums, __m512i values, int fresh) {
    _mm512_storeu_si512(sums, fresh ? values : _mm512_add_epi32(_mm512_loadu_si512(sums), values));
}

/* 32 columns of some rows. */
static inline AVX512 void add_strip(int32_t *sums, const unsigned char *p, size_t row_bytes, size_t rows,
                                    const lanes *w, int low, int fresh) {
    const __m512i one = _mm512_set1_epi16(1);
    /* Interleaved quarters of 128 bits, put in order again: pairs of 64 bits from the first and the second operand. */
    const __m512i front = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i back = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    __m512i even = _mm512_set1_epi32(-(int)rows * low), odd = even;
    for (; rows > 0; p += 2 * row_bytes) {
        cxr_prefetch_block(p, row_bytes);
        cxr_prefetch_block(p + (rows > 1 ? row_bytes : 0), row_bytes);
        __m512i a = clamped(p, w), b = rows > 1 ? clamped(p + row_bytes, w) : _mm512_setzero_si512();
        even = _mm512_add_epi32(even, _mm512_madd_epi16(_mm512_unpacklo_epi16(a, b), one));
        odd = _mm512_add_epi32(odd, _mm512_madd_epi16(_mm512_unpackhi_epi16(a, b), one));
        rows -= rows > 1 ? 2 : 1;
    }
    put(sums, _mm512_permutex2var_epi64(even, front, odd), fresh);
    put(sums + 16, _mm512_permutex2var_epi64(even, back, odd), fresh);
}

static AVX512 void clamp_rows(int32_t *sums, const unsigned char *pixels, size_t row_bytes, size_t rows, size_t columns,
                              const clamp16 *window, int fresh) {
    const lanes w = {_mm512_set1_epi16((short)window->flip), _mm512_set1_epi16((short)window->mask),
                     _mm512_set1_epi16(window->low), _mm512_set1_epi16(window->high)};
    const size_t whole = columns & ~(size_t)31;
    for (size_t r = 0; r < rows; r += ROW_BLOCK) {
        const size_t some = rows - r < ROW_BLOCK ? rows - r : ROW_BLOCK;
        const unsigned char *p = pixels + r * row_bytes;
        for (size_t c = 0; c < whole; c += 32)
            add_strip(sums + c, p + 2 * c, row_bytes, some, &w, window->low, fresh && r == 0);
    }
    cxr_plain_clamp_rows(sums + whole, pixels + 2 * whole, row_bytes, rows, columns - whole, window, fresh);
}

const kernels cxr_kernels_avx512 = {"avx512", clamp_rows, cxr_avx2_reduce};
#else
typedef int cxr_no_avx512; /* a source file must hold something */
#endif
