/* The reference for the inner loops: portable C that says what every vector variant must give, bit by bit. */
#include "internal.h"

static inline float ramp_value(uint32_t raw, const ramp *w) {
    float t = (float)((raw ^ w->flip) & w->mask) - w->base;
    t = t > w->low ? t : w->low;
    return t < w->high ? t : w->high;
}

void cxr_plain_ramp_rows(float *sums, const unsigned char *pixels, size_t row_bytes, size_t rows, size_t columns,
                         const ramp *window, float weight) {
    const ramp w = *window;
    for (size_t r = 0; r < rows; r++, pixels += row_bytes) {
        for (size_t c = 0; c < columns; c++)
            sums[c] += weight * ramp_value(cxr_load16(pixels + 2 * c), &w);
    }
}

static void reduce(const float *sums, const taps *columns, double *line) {
    const double *weights = columns->weights;
    for (size_t j = 0; j < columns->count; j++, weights += columns->width) {
        const float *x = sums + columns->first[j];
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (size_t k = 0; k < columns->width; k += TAP_GROUP) {
            s0 += weights[k] * (double)x[k];
            s1 += weights[k + 1] * (double)x[k + 1];
            s2 += weights[k + 2] * (double)x[k + 2];
            s3 += weights[k + 3] * (double)x[k + 3];
        }
        line[j] += (s0 + s2) + (s1 + s3);
    }
}

const kernels cxr_kernels_plain = {"plain", cxr_plain_ramp_rows, reduce};
