#include "reference.h"

/* -------- values -------- */

static int64_t stored_of(const cxr_plane_desc *d, const uint8_t *p) {
    uint32_t width = d->bits_allocated / 8, raw = 0;
    for (uint32_t i = 0; i < width; i++)
        raw |= (uint32_t)p[i] << 8 * (d->big_endian ? width - 1 - i : i);
    int64_t value = raw >> (d->high_bit + 1 - d->bits_stored), range = INT64_C(1) << d->bits_stored;
    value %= range;
    return d->is_signed && value >= range / 2 ? value - range : value;
}

/* C.11.1.1.1: below the table its first entry, beyond it its last; between two entries the nearer. */
static double entry_of(const cxr_lut *lut, double input) {
    double index = floor(fmin(fmax(input - lut->first, 0), lut->count - 1.0) + 0.5);
    return lut->data[(size_t)index];
}

static double modality_of(const cxr_plane_desc *d, int64_t stored) {
    if (d->modality == CXR_MODALITY_LUT)
        return entry_of(&d->modality_lut, (double)stored);
    return (double)stored * d->slope + d->intercept;
}

static double voi_of(const cxr_plane_desc *d, double x) {
    double c = d->center, w = d->width;
    switch (d->voi) {
    case CXR_VOI_LINEAR: /* C.11.2.1.2.1 */
        if (x <= c - 0.5 - (w - 1) / 2)
            return 0;
        return x > c - 0.5 + (w - 1) / 2 ? 1 : (x - (c - 0.5)) / (w - 1) + 0.5;
    case CXR_VOI_LINEAR_EXACT: /* C.11.2.1.3.2 */
        if (x <= c - w / 2)
            return 0;
        return x > c + w / 2 ? 1 : (x - c) / w + 0.5;
    case CXR_VOI_SIGMOID: /* C.11.2.1.3.1 */
        return 1 / (1 + exp(-4 * (x - c) / w));
    default: /* C.11.2.1.1 */
        return fmin(1, entry_of(&d->voi_lut, x) / (ldexp(1, (int)d->voi_lut.bits) - 1));
    }
}

static double display_of(const cxr_plane_desc *d, const uint8_t *p) {
    double value = voi_of(d, modality_of(d, stored_of(d, p)));
    return d->inverted ? 1 - value : value;
}

/* Whether the ramp of the window is wide against the rounding of the numbers that make it. */
static int is_tame(const cxr_plane_desc *d) {
    if (d->voi == CXR_VOI_LUT)
        return 1;
    double rescale =
        d->modality == CXR_MODALITY_LUT ? 65536 : fabs(d->slope) * ldexp(1, (int)d->bits_stored) + fabs(d->intercept);
    double ramp = d->voi == CXR_VOI_LINEAR ? d->width - 1 : d->width;
    /* A tiny slope goes through a division by it, too. */
    double step = d->modality == CXR_MODALITY_LUT || d->slope == 0 ? 1 : fabs(d->slope);
    return (fabs(d->center) + rescale) / ramp < 1e8 && (fabs(d->center) + fabs(d->intercept) + ramp) / step < 1e30;
}

/* -------- the resize -------- */

/* How much of the input `i` is in the output `j`, of `outputs` that lie over low..high. */
static double weight(uint32_t i, uint32_t j, double low, double high, uint32_t inputs, uint32_t outputs) {
    double step = (high - low) / outputs, begin = low + step * j, end = begin + step;
    if (step >= 1) {
        double part = fmin(i + 1.0, end) - fmax(i, begin);
        return part > 0 ? part / step : 0;
    }
    double centre = fmin(fmax(low + (j + 0.5) * step - 0.5, 0), inputs - 1.0);
    return fmax(0, 1 - fabs(i - centre));
}

static double weighted(const double *row, uint32_t stride, uint32_t j, double low, double high, uint32_t inputs,
                       uint32_t outputs) {
    double step = (high - low) / outputs, centre = low + step * (j + 0.5), reach = step / 2 + 2, sum = 0;
    uint32_t first = (uint32_t)fmax(0, centre - reach), last = (uint32_t)fmin(inputs - 1.0, centre + reach);
    for (uint32_t i = first; i <= last; i++)
        sum += row[(size_t)i * stride] * weight(i, j, low, high, inputs, outputs);
    return sum;
}

int reference_plane(const cxr_plane_desc *d, const uint8_t *pixels, double *plane) {
    if (!is_tame(d))
        return 0;
    const cxr_box *source = &d->placement.source, *box = &d->placement.plane;
    uint32_t left = (uint32_t)lround(box->left * d->plane_columns), top = (uint32_t)lround(box->top * d->plane_rows);
    uint32_t columns = (uint32_t)lround(box->right * d->plane_columns) - left;
    uint32_t rows = (uint32_t)lround(box->bottom * d->plane_rows) - top;
    size_t pixel_bytes = d->bits_allocated / 8;
    double *values = buffer((size_t)d->rows * d->columns * sizeof *values);
    double *across = buffer((size_t)d->rows * columns * sizeof *across);
    for (size_t i = 0; i < (size_t)d->rows * d->columns; i++)
        values[i] = display_of(d, pixels + i * pixel_bytes);
    for (uint32_t r = 0; r < d->rows; r++) {
        for (uint32_t j = 0; j < columns; j++)
            across[(size_t)r * columns + j] = weighted(values + (size_t)r * d->columns, 1, j, source->left * d->columns,
                                                       source->right * d->columns, d->columns, columns);
    }
    for (size_t i = 0; i < (size_t)d->plane_rows * d->plane_columns; i++)
        plane[i] = 0;
    for (uint32_t k = 0; k < rows; k++) {
        for (uint32_t j = 0; j < columns; j++)
            plane[(size_t)(top + k) * d->plane_columns + left + j] =
                weighted(across + j, columns, k, source->top * d->rows, source->bottom * d->rows, d->rows, rows);
    }
    free(across);
    free(values);
    return 1;
}

/* -------- percentiles -------- */

static int by_value(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void reference_window(const cxr_plane_desc *d, const uint8_t *pixels, double low, double high, double *window) {
    size_t count = (size_t)d->rows * d->columns, pixel_bytes = d->bits_allocated / 8;
    int by_table = d->modality == CXR_MODALITY_LUT;
    int64_t *values = buffer(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        int64_t stored = stored_of(d, pixels + i * pixel_bytes);
        values[i] = by_table ? (int64_t)modality_of(d, stored) : stored;
    }
    qsort(values, count, sizeof *values, by_value);
    size_t first = (size_t)floor(low / 100 * (double)(count - 1));
    size_t last = count - 1 - (size_t)floor((100 - high) / 100 * (double)(count - 1));
    double a = (double)values[first], b = (double)values[last];
    if (!by_table) {
        a = a * d->slope + d->intercept;
        b = b * d->slope + d->intercept;
    }
    window[0] = a / 2 + b / 2;
    window[1] = a != b ? fabs(b - a) : by_table || d->slope == 0 ? 1 : fabs(d->slope);
    free(values);
}
