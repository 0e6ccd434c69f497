/* The inner loops for AArch64. */
#include "internal.h"

#if defined(CXR_HAVE_NEON)
#include <arm_neon.h>

/* Stored rows that go into the sums together. */
#define ROW_BLOCK ((size_t)8)

typedef struct lanes {
    uint16x8_t flip, mask;
    int16x8_t low, high;
} lanes;

/* By bytes: pixels may lie at odd addresses. */
static inline int16x8_t clamped(const unsigned char *p, const lanes *w) {
    uint16x8_t raw = vreinterpretq_u16_u8(vld1q_u8(p));
    int16x8_t x = vreinterpretq_s16_u16(vandq_u16(veorq_u16(raw, w->flip), w->mask));
    return vminq_s16(vmaxq_s16(x, w->low), w->high);
}

/* 8 columns of some rows. */
static inline void add_strip(int32_t *sums, const unsigned char *p, size_t row_bytes, size_t rows, const lanes *w,
                             int low, int fresh) {
    const int32x4_t zero = vdupq_n_s32(-(int32_t)rows * low);
    int32x4_t front = fresh ? zero : vaddq_s32(vld1q_s32(sums), zero);
    int32x4_t back = fresh ? zero : vaddq_s32(vld1q_s32(sums + 4), zero);
    for (; rows > 0; rows--, p += row_bytes) {
        int16x8_t x = clamped(p, w);
        front = vaddw_s16(front, vget_low_s16(x));
        back = vaddw_high_s16(back, x);
    }
    vst1q_s32(sums, front);
    vst1q_s32(sums + 4, back);
}

static void clamp_rows(int32_t *sums, const unsigned char *pixels, size_t row_bytes, size_t rows, size_t columns,
                       const clamp16 *window, int fresh) {
    const lanes w = {vdupq_n_u16(window->flip), vdupq_n_u16(window->mask), vdupq_n_s16(window->low),
                     vdupq_n_s16(window->high)};
    const size_t whole = columns & ~(size_t)7;
    for (size_t r = 0; r < rows; r += ROW_BLOCK) {
        const size_t some = rows - r < ROW_BLOCK ? rows - r : ROW_BLOCK;
        for (size_t c = 0; c < whole; c += 8)
            add_strip(sums + c, pixels + r * row_bytes + 2 * c, row_bytes, some, &w, window->low, fresh && r == 0);
    }
    cxr_plain_clamp_rows(sums + whole, pixels + 2 * whole, row_bytes, rows, columns - whole, window, fresh);
}

/* Multiplied and added apart: a fused step would round once where the plain path rounds twice. */
static void reduce(const int32_t *sums, const taps *columns, double share, double *line, const unsigned char *next) {
    (void)next;
    const double *weights = columns->weights;
    for (size_t j = 0; j < columns->count; j++, weights += columns->width) {
        const int32_t *x = sums + columns->first[j];
        float64x2_t s01 = vdupq_n_f64(0), s23 = vdupq_n_f64(0);
        for (size_t k = 0; k < columns->width; k += TAP_GROUP) {
            int32x4_t v = vld1q_s32(x + k);
            float64x2_t front = vcvtq_f64_s64(vmovl_s32(vget_low_s32(v))), back = vcvtq_f64_s64(vmovl_high_s32(v));
            s01 = vaddq_f64(s01, vmulq_f64(vld1q_f64(weights + k), front));
            s23 = vaddq_f64(s23, vmulq_f64(vld1q_f64(weights + k + 2), back));
        }
        line[j] += share * (vpaddd_f64(s01) + vpaddd_f64(s23));
    }
}

const kernels cxr_kernels_neon = {"neon", clamp_rows, reduce};
#else
typedef int cxr_no_neon; /* a source file must hold something */
#endif
