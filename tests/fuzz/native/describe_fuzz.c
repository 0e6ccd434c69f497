/*
 * Descriptions that may say anything: every field, table and limit as the bytes have it. Refused with a status of the
 * list and nothing written, or a plane of 0..1 and a window of finite numbers.
 */
#include "fuzz.h"

#define MOST_BYTES ((size_t)1 << 19)

long fuzz_reached;

/* `count` entries where that is a size that the core may read, else a pointer to next to nothing. */
static uint16_t *take_lut(bytes *b, cxr_lut *lut) {
    uint32_t kind = take_u8(b);
    lut->count = kind & 1 ? take_u32(b) : take_u16(b);
    lut->first = (int32_t)take_u32(b);
    lut->bits = take_u8(b);
    lut->reserved = kind & 2 ? take_u32(b) : 0;
    size_t held = lut->count <= 65536 ? lut->count : 1;
    uint16_t *table = buffer(held * sizeof *table);
    lut->data = kind & 4 ? NULL : table;
    return table;
}

static void take_sizes(bytes *b, cxr_plane_desc *d, uint32_t kind) {
    d->limits.max_plane = 512; /* so that the planes of one run fit into memory */
    if (kind & 1) {            /* wide and low: beyond what percentiles look at pixel by pixel */
        d->rows = take_size(b, 8);
        d->columns = 1 + take_u32(b) % (1u << 19);
        d->limits.max_columns = 1u << 19;
        return;
    }
    d->rows = kind & 2 ? take_u32(b) : take_u16(b);
    d->columns = kind & 2 ? take_u32(b) : take_u16(b);
    d->limits.max_rows = kind & 4 ? take_u32(b) % 100000 : 0;
    d->limits.max_columns = kind & 4 ? take_u32(b) % 100000 : 0;
    d->limits.max_bytes = kind & 8 ? take(b, 8) : 0;
    d->limits.reserved = kind & 16 ? take_u32(b) : 0;
}

static void take_box(bytes *b, cxr_box *box) {
    box->left = take_double(b);
    box->top = take_double(b);
    box->right = take_double(b);
    box->bottom = take_double(b);
}

static void take_desc(bytes *b, cxr_plane_desc *d) {
    uint32_t kind = take_u8(b);
    MUST(cxr_plane_desc_init(d, sizeof *d, CXR_ABI) == CXR_OK);
    take_sizes(b, d, kind);
    d->bits_allocated = take_u8(b);
    d->bits_stored = take_u8(b);
    d->high_bit = kind & 32 ? take_u32(b) : take_u8(b);
    uint32_t flags = take_u16(b);
    d->is_signed = flags & 3;
    d->big_endian = flags >> 2 & 3;
    d->inverted = flags >> 4 & 3;
    d->modality = flags >> 6 & 3;
    d->voi = flags >> 8 & 7;
    d->slope = take_double(b);
    d->intercept = take_double(b);
    d->center = take_double(b);
    d->width = take_double(b);
    d->plane_rows = take_u16(b);
    d->plane_columns = take_u16(b);
    if (kind & 64)
        take_box(b, &d->placement.source);
    if (kind & 128)
        take_box(b, &d->placement.plane);
    if (flags >> 11 & 1)
        d->reserved[flags >> 12 & 3] = take(b, 8);
    if (flags >> 14 & 1)
        d->struct_size = take_u16(b);
    if (flags >> 15 & 1)
        d->abi = take_u16(b);
}

static void check_plane(const cxr_plane_desc *d, const uint8_t *pixels, size_t bytes_of_image) {
    cxr_plane *plane = (cxr_plane *)(uintptr_t)d; /* must become NULL where it is refused */
    int status = cxr_plane_create(d, &plane);
    must_be_listed(status);
    MUST((status == CXR_OK) == (plane != NULL));
    size_t count = 0;
    if (status == CXR_OK && pixels != NULL) {
        MUST(cxr_plane_size(plane, &count) == CXR_OK);
        float *out = buffer(count * sizeof *out);
        MUST(cxr_plane_feed(plane, pixels, bytes_of_image) == CXR_OK);
        MUST(cxr_plane_finish(plane, out, count) == CXR_OK);
        must_be_unit(out, count);
        free(out);
        fuzz_reached++;
    }
    cxr_plane_destroy(plane);
}

static void check_window(const cxr_plane_desc *d, const uint8_t *pixels, size_t bytes_of_image, double low,
                         double high) {
    double window[2];
    memset(window, UNTOUCHED, sizeof window);
    int status = cxr_percentile_window(d, pixels, bytes_of_image, low, high, &window[0], &window[1]);
    must_be_listed(status);
    if (status != CXR_OK) {
        must_be_untouched(window, sizeof window);
        return;
    }
    MUST(isfinite(window[0]) && isfinite(window[1]) && window[1] > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, size};
    cxr_plane_desc desc;
    take_desc(&b, &desc);
    double low = take_double(&b), high = take_double(&b);
    uint16_t *modality = take_lut(&b, &desc.modality_lut), *voi = take_lut(&b, &desc.voi_lut);
    uint32_t pixel_bytes = desc.bits_allocated / 8;
    size_t needed = 0;
    uint8_t *pixels = NULL;
    if (pixel_bytes > 0 && desc.rows > 0 && desc.columns <= MOST_BYTES / pixel_bytes / desc.rows) {
        needed = (size_t)desc.rows * desc.columns * pixel_bytes;
        pixels = buffer(needed);
        size_t own = needed < 4096 ? needed : 4096; /* the rest of a large image repeats it */
        take_rest(&b, pixels, own);
        for (size_t at = own; at < needed; at += own)
            memcpy(pixels + at, pixels, own < needed - at ? own : needed - at);
    }
    check_plane(&desc, pixels, needed);
    check_window(&desc, pixels, needed, low, high);
    free(pixels);
    free(modality);
    free(voi);
    return 0;
}
