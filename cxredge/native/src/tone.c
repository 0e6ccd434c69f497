/* From a stored value to a display value: modality, VOI and inversion (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2). */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

/* A ramp works in float32: beyond these bounds, or on a narrow window, a table or the direct way is more exact. */
#define RAMP_MIN_WIDTH 16.0
#define RAMP_MAX_VALUE 16777216.0 /* 2^24 */

static double look_up(const uint16_t *table, const cxr_lut *lut, double input) {
    double index = input - lut->first;
    if (index <= 0)
        return table[0];
    if (index >= lut->count - 1)
        return table[lut->count - 1];
    return table[(uint32_t)(index + 0.5)];
}

double cxr_modality_value(const tone *t, int64_t stored) {
    const cxr_plane_desc *d = &t->desc;
    if (d->modality == CXR_MODALITY_LUT)
        return look_up(t->modality_table, &d->modality_lut, (double)stored);
    return (double)stored * d->slope + d->intercept;
}

/* Where the ramp of a linear window begins and ends; values at `low` are 0, above `high` 1. */
static void window_ends(const cxr_plane_desc *d, double *low, double *high) {
    double center = d->center, width = d->width;
    if (d->voi == CXR_VOI_LINEAR) {
        center -= 0.5;
        width -= 1;
    }
    *low = center - width / 2;
    *high = center + width / 2;
}

static double voi_value(const tone *t, double x) {
    const cxr_plane_desc *d = &t->desc;
    double low, high;
    switch (d->voi) {
    case CXR_VOI_LUT:
        return fmin(1.0, look_up(t->voi_table, &d->voi_lut, x) / ((1u << d->voi_lut.bits) - 1));
    case CXR_VOI_SIGMOID:
        return 1 / (1 + exp(-4 * (x - d->center) / d->width));
    default:
        window_ends(d, &low, &high);
        if (x <= low)
            return 0;
        if (x > high)
            return 1;
        return (x - low) / (high - low);
    }
}

double cxr_display_value(const tone *t, int64_t stored) {
    double value = voi_value(t, cxr_modality_value(t, stored));
    return t->desc.inverted ? 1 - value : value;
}

int64_t cxr_stored_value(const tone *t, uint32_t raw) {
    int64_t bits = (raw >> t->shift) & t->mask;
    return (bits ^ t->sign) - (int64_t)t->sign;
}

/* Composes a linear window with a linear rescale, where that loses nothing. */
static void find_ramp(tone *t) {
    const cxr_plane_desc *d = &t->desc;
    if (d->bits_allocated != 16 || d->modality != CXR_MODALITY_RESCALE || d->slope == 0)
        return;
    if (d->voi != CXR_VOI_LINEAR && d->voi != CXR_VOI_LINEAR_EXACT)
        return;
    double low, high;
    window_ends(d, &low, &high);
    double begin = (low - d->intercept) / d->slope, end = (high - d->intercept) / d->slope;
    int falling = begin > end;
    if (falling) {
        double swap = begin;
        begin = end;
        end = swap;
    }
    if (!(end - begin >= RAMP_MIN_WIDTH && begin >= -RAMP_MAX_VALUE && end <= RAMP_MAX_VALUE))
        return;
    /* In units of the raw bits: offset binary (t->sign), not shifted down. */
    double unit = (double)(1u << t->shift);
    begin = (begin + t->sign) * unit;
    end = (end + t->sign) * unit;
    double base = (double)(float)floor(begin);
    t->has_ramp = 1;
    t->falling = falling != (d->inverted != 0);
    t->scale = 1 / (end - begin);
    t->window.flip = (uint16_t)(t->sign << t->shift);
    t->window.mask = (uint16_t)(t->mask << t->shift);
    t->window.base = (float)base;
    t->window.low = (float)(begin - base);
    t->window.high = (float)(end - base);
}

static int fill_table(tone *t) {
    if (t->desc.bits_stored > 16)
        return CXR_OK;
    size_t count = (size_t)t->mask + 1;
    t->table = malloc(count * sizeof *t->table);
    if (t->table == NULL)
        return CXR_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        t->table[i] = (float)cxr_display_value(t, cxr_stored_value(t, (uint32_t)i << t->shift));
    return CXR_OK;
}

static int copy_lut(uint16_t **copy, cxr_lut *lut, int used) {
    const uint16_t *data = lut->data;
    lut->data = NULL;
    if (!used)
        return CXR_OK;
    *copy = malloc(lut->count * sizeof **copy);
    if (*copy == NULL)
        return CXR_ERR_MEMORY;
    memcpy(*copy, data, lut->count * sizeof **copy);
    return CXR_OK;
}

int cxr_tone_init(tone *t, const cxr_plane_desc *desc) {
    memset(t, 0, sizeof *t);
    t->desc = *desc;
    t->shift = desc->high_bit + 1 - desc->bits_stored;
    t->mask = UINT32_MAX >> (32 - desc->bits_stored);
    t->sign = desc->is_signed ? 1u << (desc->bits_stored - 1) : 0;
    int status = copy_lut(&t->modality_table, &t->desc.modality_lut, desc->modality == CXR_MODALITY_LUT);
    if (status == CXR_OK)
        status = copy_lut(&t->voi_table, &t->desc.voi_lut, desc->voi == CXR_VOI_LUT);
    if (status != CXR_OK)
        cxr_tone_free(t);
    return status;
}

int cxr_tone_prepare(tone *t) {
    find_ramp(t);
    return t->has_ramp ? CXR_OK : fill_table(t);
}

void cxr_tone_free(tone *t) {
    free(t->modality_table);
    free(t->voi_table);
    free(t->table);
    t->modality_table = t->voi_table = NULL;
    t->table = NULL;
}

static void add_by_table(const tone *t, float *sums, const unsigned char *pixels, size_t columns, float weight) {
    const float *table = t->table;
    const uint32_t shift = t->shift, mask = t->mask;
    switch (t->desc.bits_allocated) {
    case 8:
        for (size_t c = 0; c < columns; c++)
            sums[c] += weight * table[(pixels[c] >> shift) & mask];
        break;
    case 16:
        for (size_t c = 0; c < columns; c++)
            sums[c] += weight * table[(cxr_load16(pixels + 2 * c) >> shift) & mask];
        break;
    default:
        for (size_t c = 0; c < columns; c++)
            sums[c] += weight * table[(cxr_load32(pixels + 4 * c) >> shift) & mask];
    }
}

/* More than 16 bits: too many values for a table. */
static void add_directly(const tone *t, float *sums, const unsigned char *pixels, size_t columns, float weight) {
    for (size_t c = 0; c < columns; c++)
        sums[c] += weight * (float)cxr_display_value(t, cxr_stored_value(t, cxr_load32(pixels + 4 * c)));
}

void cxr_tone_add(const tone *t, const kernels *k, float *sums, const unsigned char *pixels, size_t row_bytes,
                  size_t rows, size_t columns, float weight) {
    if (t->has_ramp) {
        k->ramp_rows(sums, pixels, row_bytes, rows, columns, &t->window, weight);
        return;
    }
    for (size_t r = 0; r < rows; r++, pixels += row_bytes) {
        if (t->table != NULL)
            add_by_table(t, sums, pixels, columns, weight);
        else
            add_directly(t, sums, pixels, columns, weight);
    }
}
