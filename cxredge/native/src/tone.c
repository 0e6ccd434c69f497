/* From a stored value to a display value: modality, VOI and inversion (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2). */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

/* Narrower windows (in stored values) and wilder bounds go by table: they gain nothing from a clamp. */
#define CLAMP_MIN_WIDTH 1.0
#define CLAMP_MAX_BOUND 1099511627776.0 /* 2^40 */

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

/* The ends of a linear window in stored values, begin < end; `falling` where the display value falls along it. */
static int stored_ends(const cxr_plane_desc *d, double *begin, double *end, int *falling) {
    if (d->bits_allocated != 16 || d->modality != CXR_MODALITY_RESCALE || d->slope == 0)
        return 0;
    if (d->voi != CXR_VOI_LINEAR && d->voi != CXR_VOI_LINEAR_EXACT)
        return 0;
    double low, high;
    window_ends(d, &low, &high);
    low = (low - d->intercept) / d->slope;
    high = (high - d->intercept) / d->slope;
    *begin = fmin(low, high);
    *end = fmax(low, high);
    *falling = (low > high) != (d->inverted != 0);
    return *end - *begin >= CLAMP_MIN_WIDTH && fabs(*begin) <= CLAMP_MAX_BOUND && fabs(*end) <= CLAMP_MAX_BOUND;
}

/*
 * A clamp to fractional ends as a mean of clamps to whole ends. Between two whole numbers a clamp is linear in its end,
 * so clamp(x, b, e) is the mean of clamp(x, floor(b + u), floor(e + u)) over u in 0..1, exactly, for whole x. The
 * floors change at u = 1 - frac(b) and u = 1 - frac(e): three parts at most.
 */
static void split_window(tone *t, double begin, double end) {
    double at_begin = 1 - (begin - floor(begin)), at_end = 1 - (end - floor(end));
    const double cuts[MAX_PARTS + 1] = {0, fmin(at_begin, at_end), fmax(at_begin, at_end), 1};
    for (size_t i = 0; i < MAX_PARTS; i++) {
        if (cuts[i + 1] <= cuts[i])
            continue;
        clamp16 *w = &t->windows[t->parts];
        w->flip = t->windows[0].flip;
        w->mask = t->windows[0].mask;
        w->low = (int16_t)(floor(begin) + (cuts[i] >= at_begin));
        w->high = (int16_t)(floor(end) + (cuts[i] >= at_end));
        t->shares[t->parts] = cuts[i + 1] - cuts[i];
        t->parts++;
    }
}

/* Composes a linear window with a linear rescale into clamps of the raw bits, where that is possible. */
static void find_clamp(tone *t) {
    double begin, end;
    int falling;
    if (!stored_ends(&t->desc, &begin, &end, &falling))
        return;
    /*
     * The raw bits are not shifted down, and compared as int16: offset binary, and where the highest bit is used,
     * half of the range taken off.
     */
    double unit = (double)(1u << t->shift);
    uint32_t raw_mask = t->mask << t->shift;
    uint32_t top = raw_mask & 0x8000u;
    begin = (begin + t->sign) * unit - top;
    end = (end + t->sign) * unit - top;
    double least = -(double)top, most = (double)raw_mask - top;
    if (begin >= most || end <= least)
        return; /* one value throughout */
    t->windows[0].flip = (uint16_t)(t->sign << t->shift ^ top);
    t->windows[0].mask = (uint16_t)raw_mask;
    double first = fmax(begin, least), last = fmin(end, most);
    split_window(t, first, last);
    /* The parts' own offsets have the mean `first`. */
    t->scale = (falling ? -1 : 1) / (end - begin);
    t->offset = falling ? first - end : first - begin;
}

static int32_t display_number(const tone *t, uint32_t raw) {
    return (int32_t)(cxr_display_value(t, cxr_stored_value(t, raw)) * DISPLAY_ONE + 0.5);
}

static int fill_table(tone *t) {
    t->scale = 1 / DISPLAY_ONE;
    t->offset = 0;
    if (t->desc.bits_stored > 16)
        return CXR_OK;
    size_t count = (size_t)t->mask + 1;
    t->table = malloc(count * sizeof *t->table);
    if (t->table == NULL)
        return CXR_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        t->table[i] = display_number(t, (uint32_t)i << t->shift);
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
    find_clamp(t);
    return t->parts > 0 ? CXR_OK : fill_table(t);
}

void cxr_tone_free(tone *t) {
    free(t->modality_table);
    free(t->voi_table);
    free(t->table);
    t->modality_table = t->voi_table = NULL;
    t->table = NULL;
}

static inline int32_t look(const tone *t, const unsigned char *row, size_t c, uint32_t bits) {
    return t->table[(cxr_load(row + c * (bits / 8), bits) >> t->shift) & t->mask];
}

/* Four rows at a time: each sum is then loaded and stored once for four pixels. `bits` is a constant where called. */
static inline void add_by_table(const tone *t, int32_t *sums, const unsigned char *pixels, size_t row_bytes,
                                size_t rows, size_t columns, uint32_t bits) {
    for (; rows >= 4; rows -= 4, pixels += 4 * row_bytes) {
        const unsigned char *a = pixels, *b = a + row_bytes, *c = b + row_bytes, *d = c + row_bytes;
        for (size_t i = 0; i < columns; i++)
            sums[i] += (look(t, a, i, bits) + look(t, b, i, bits)) + (look(t, c, i, bits) + look(t, d, i, bits));
    }
    for (; rows > 0; rows--, pixels += row_bytes) {
        for (size_t i = 0; i < columns; i++)
            sums[i] += look(t, pixels, i, bits);
    }
}

/* More than 16 bits: too many values for a table. */
static void add_directly(const tone *t, int32_t *sums, const unsigned char *pixels, size_t row_bytes, size_t rows,
                         size_t columns) {
    for (; rows > 0; rows--, pixels += row_bytes) {
        for (size_t i = 0; i < columns; i++)
            sums[i] += display_number(t, cxr_load32(pixels + 4 * i));
    }
}

uint32_t cxr_tone_parts(const tone *t) {
    return t->parts > 0 ? t->parts : 1;
}

void cxr_tone_add(const tone *t, const kernels *k, int32_t *sums, size_t stride, const unsigned char *pixels,
                  size_t row_bytes, size_t rows, size_t columns, int fresh) {
    for (uint32_t i = 0; i < t->parts; i++)
        k->clamp_rows(sums + i * stride, pixels, row_bytes, rows, columns, &t->windows[i], fresh);
    if (t->parts > 0)
        return;
    if (fresh)
        memset(sums, 0, columns * sizeof *sums);
    if (t->table == NULL)
        add_directly(t, sums, pixels, row_bytes, rows, columns);
    else if (t->desc.bits_allocated == 8)
        add_by_table(t, sums, pixels, row_bytes, rows, columns, 8);
    else if (t->desc.bits_allocated == 16)
        add_by_table(t, sums, pixels, row_bytes, rows, columns, 16);
    else
        add_by_table(t, sums, pixels, row_bytes, rows, columns, 32);
}
