/* The reference for the inner loops: portable C that says what every vector variant must give, bit by bit. */
#include "internal.h"

static inline int32_t clamped(uint32_t raw, const clamp16 *w) {
    int16_t x = (int16_t)((raw ^ w->flip) & w->mask);
    x = x > w->low ? x : w->low;
    x = x < w->high ? x : w->high;
    return x - w->low;
}

void cxr_plain_clamp_rows(int32_t *sums, const unsigned char *pixels, size_t row_bytes, size_t rows, size_t columns,
                          const clamp16 *window, int fresh) {
    const clamp16 w = *window;
    if (fresh)
        memset(sums, 0, columns * sizeof *sums);
    for (size_t r = 0; r < rows; r++, pixels += row_bytes) {
        for (size_t c = 0; c < columns; c++)
            sums[c] += clamped(cxr_load16(pixels + 2 * c), &w);
    }
}

/* From the output `j` on, for the variants that take several at a time. */
void cxr_plain_reduce_from(size_t j, const int32_t *sums, const taps *columns, double share, double *line) {
    const double *weights = columns->weights + j * columns->width;
    for (; j < columns->count; j++, weights += columns->width) {
        const int32_t *x = sums + columns->first[j];
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (size_t k = 0; k < columns->width; k += TAP_GROUP) {
            s0 += weights[k] * x[k];
            s1 += weights[k + 1] * x[k + 1];
            s2 += weights[k + 2] * x[k + 2];
            s3 += weights[k + 3] * x[k + 3];
        }
        line[j] += share * ((s0 + s1) + (s2 + s3));
    }
}

static void reduce(const int32_t *sums, const taps *columns, double share, double *line, const unsigned char *next) {
    (void)next;
    cxr_plain_reduce_from(0, sums, columns, share, line);
}

const kernels cxr_kernels_plain = {"plain", cxr_plain_clamp_rows, reduce};
