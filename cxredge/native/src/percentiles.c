/* A window from the pixels themselves, for an image that has none. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

#define MAX_SAMPLES 262144u
#define BINS 65536u

typedef struct samples {
    uint32_t *keys; /* order as the values do */
    size_t count;
    uint32_t *bins; /* BINS of them, for the selection */
} samples;

/* Every k-th pixel of every k-th row. */
static uint32_t stride_of(const cxr_plane_desc *d) {
    double cells = (double)d->rows * d->columns / MAX_SAMPLES;
    return cells > 1 ? (uint32_t)ceil(sqrt(cells)) : 1;
}

/* The middle of the first cell, or of all `length` where the cell is longer than that: one sample at least. */
static size_t first_sample(uint32_t length, uint32_t stride) {
    return (length < stride ? length : stride) / 2;
}

/* A stored value's key is its offset binary; a lookup table need not rise, so there the key is the looked-up value. */
static uint32_t key_of(const tone *t, uint32_t raw) {
    if (t->desc.modality == CXR_MODALITY_LUT)
        return (uint32_t)cxr_modality_value(t, cxr_stored_value(t, raw));
    return ((raw >> t->shift) & t->mask) ^ t->sign;
}

static double value_of(const tone *t, uint32_t key) {
    return t->desc.modality == CXR_MODALITY_LUT ? (double)key : cxr_modality_value(t, (int64_t)key - t->sign);
}

static void collect(samples *s, const tone *t, const unsigned char *data, uint32_t stride) {
    const cxr_plane_desc *d = &t->desc;
    const size_t pixel_bytes = d->bits_allocated / 8, row_bytes = cxr_row_bytes(d);
    const int swap = (d->big_endian != 0) != cxr_host_is_big_endian();
    for (size_t r = first_sample(d->rows, stride); r < d->rows; r += stride) {
        const unsigned char *row = data + r * row_bytes;
        for (size_t c = first_sample(d->columns, stride); c < d->columns; c += stride) {
            unsigned char pixel[4] = {0};
            if (swap)
                cxr_swap_pixels(pixel, row + c * pixel_bytes, pixel_bytes, d->bits_allocated);
            else
                memcpy(pixel, row + c * pixel_bytes, pixel_bytes);
            s->keys[s->count++] = key_of(t, cxr_load(pixel, d->bits_allocated));
        }
    }
}

/* The bin that holds the sample of this rank; `rank` becomes the rank within the bin. */
static uint32_t find_bin(const uint32_t *bins, size_t *rank) {
    uint32_t bin = 0;
    while (*rank >= bins[bin])
        *rank -= bins[bin++];
    return bin;
}

/* The key of this rank, counted from 0: first its upper half, then its lower. */
static uint32_t select_rank(samples *s, size_t rank) {
    memset(s->bins, 0, BINS * sizeof *s->bins);
    for (size_t i = 0; i < s->count; i++)
        s->bins[s->keys[i] >> 16]++;
    uint32_t upper = find_bin(s->bins, &rank);
    memset(s->bins, 0, BINS * sizeof *s->bins);
    for (size_t i = 0; i < s->count; i++)
        s->bins[s->keys[i] & 0xffff] += s->keys[i] >> 16 == upper;
    return upper << 16 | find_bin(s->bins, &rank);
}

static void window_of(samples *s, const tone *t, double low, double high, double *center, double *width) {
    double last = (double)(s->count - 1);
    size_t from_below = (size_t)floor(low / 100 * last), from_above = (size_t)floor((100 - high) / 100 * last);
    double a = value_of(t, select_rank(s, from_below));
    double b = value_of(t, select_rank(s, s->count - 1 - from_above));
    double step = t->desc.modality == CXR_MODALITY_LUT || t->desc.slope == 0 ? 1 : fabs(t->desc.slope);
    *center = a / 2 + b / 2;
    *width = a != b ? fabs(b - a) : step;
}

int cxr_percentile_window(const cxr_plane_desc *desc, const void *data, size_t bytes, double low, double high,
                          double *center, double *width) {
    int status = cxr_check_pixels(desc);
    if (status != CXR_OK)
        return status;
    if (data == NULL || center == NULL || width == NULL || !(low >= 0 && low < high && high <= 100))
        return CXR_ERR_ARGUMENT;
    size_t needed = desc->rows * cxr_row_bytes(desc);
    if (bytes != needed)
        return bytes < needed ? CXR_ERR_TRUNCATED : CXR_ERR_EXCESS;
    cxr_plane_desc pixels = *desc;
    pixels.voi = CXR_VOI_LINEAR_EXACT; /* whatever VOI there is was not checked: it is not looked at */
    tone t;
    status = cxr_tone_init(&t, &pixels);
    if (status != CXR_OK)
        return status;
    uint32_t stride = stride_of(desc);
    size_t most = ((size_t)desc->rows / stride + 1) * ((size_t)desc->columns / stride + 1);
    samples s = {malloc(most * sizeof *s.keys), 0, malloc(BINS * sizeof *s.bins)};
    if (s.keys != NULL && s.bins != NULL) {
        collect(&s, &t, data, stride);
        window_of(&s, &t, low, high, center, width);
    } else {
        status = CXR_ERR_MEMORY;
    }
    free(s.keys);
    free(s.bins);
    cxr_tone_free(&t);
    return status;
}
