/*
 * Stored pixels to the plane, and the window from percentiles, for descriptions that are mostly right.
 *
 * Against reference.c, which follows the standard in plain doubles; the same bits by every variant of the inner loops,
 * in chunks of any length, in either byte order and with junk in the bits that are not stored; inverted, 1 - value.
 */
#include "reference.h"

#define MOST_PIXELS 2048u
#define CLOSE 2e-6

long fuzz_reached;

typedef struct film {
    cxr_plane_desc desc;
    uint16_t *tables[2];
    uint8_t *pixels;
    size_t bytes, outputs;
    uint32_t chunk; /* most bytes of a chunk */
} film;

/* -------- out of bytes -------- */

static void take_lut(bytes *b, cxr_lut *lut, uint16_t **table) {
    lut->count = take_size(b, 300);
    lut->first = (int32_t)take_u32(b);
    lut->bits = 1 + take_u8(b) % 16;
    *table = buffer(lut->count * sizeof **table);
    for (uint32_t i = 0; i < lut->count; i++)
        (*table)[i] = (uint16_t)take_u16(b);
    lut->data = *table;
}

static void take_pixel_format(bytes *b, cxr_plane_desc *d) {
    d->rows = take_size(b, 300);
    d->columns = take_size(b, 300);
    if (d->rows * d->columns > MOST_PIXELS)
        d->columns = 1 + MOST_PIXELS / d->rows;
    d->bits_allocated = 8u << take_u8(b) % 3;
    d->bits_stored = 1 + take_u8(b) % d->bits_allocated;
    d->high_bit = d->bits_stored - 1 + take_u8(b) % (d->bits_allocated - d->bits_stored + 1);
    uint32_t flags = take_u8(b);
    d->is_signed = flags & 1;
    d->big_endian = flags >> 1 & 1;
    d->inverted = flags >> 2 & 1;
    d->modality = flags >> 3 & 1;
    d->voi = flags >> 4 & 3;
}

static void take_box(bytes *b, cxr_box *box) {
    double across[2] = {take_u16(b) / 65535.0, take_u16(b) / 65535.0};
    double down[2] = {take_u16(b) / 65535.0, take_u16(b) / 65535.0};
    box->left = fmin(across[0], across[1]);
    box->right = fmax(across[0], across[1]);
    box->top = fmin(down[0], down[1]);
    box->bottom = fmax(down[0], down[1]);
}

static void take_film(bytes *b, film *f) {
    cxr_plane_desc *d = &f->desc;
    MUST(cxr_plane_desc_init(d, sizeof *d, CXR_ABI) == CXR_OK);
    take_pixel_format(b, d);
    d->plane_rows = take_size(b, 40);
    d->plane_columns = take_size(b, 40);
    uint32_t fit = take_u8(b) % 4;
    if (fit == 3)
        take_box(b, &d->placement.source);
    else
        MUST(cxr_place(d->rows, d->columns, d->plane_rows, d->plane_columns, (int)fit, &d->placement) == CXR_OK);
    f->chunk = take_size(b, 1000);
    d->slope = take_double(b);
    d->intercept = take_double(b);
    d->center = take_double(b);
    d->width = take_double(b);
    if (d->modality == CXR_MODALITY_LUT)
        take_lut(b, &d->modality_lut, &f->tables[0]);
    if (d->voi == CXR_VOI_LUT)
        take_lut(b, &d->voi_lut, &f->tables[1]);
    f->bytes = (size_t)d->rows * d->columns * (d->bits_allocated / 8);
    f->outputs = (size_t)d->plane_rows * d->plane_columns;
    f->pixels = buffer(f->bytes);
    take_rest(b, f->pixels, f->bytes);
}

/* -------- running -------- */

/* Feeds some dozens of chunks of 1 to `chunk` bytes, each in a buffer of its own, so that reading beyond one is seen.
 */
static int feed(cxr_plane *plane, const uint8_t *pixels, size_t count, uint32_t chunk) {
    int status = CXR_OK;
    for (size_t at = 0, some; status == CXR_OK && at < count; at += some) {
        some = 1 + (at * 7919 + chunk) % chunk + count / 64;
        some = some < count - at ? some : count - at;
        uint8_t *piece = buffer(some);
        memcpy(piece, pixels + at, some);
        status = cxr_plane_feed(plane, piece, some);
        free(piece);
    }
    return status;
}

static int run(const cxr_plane_desc *desc, const uint8_t *pixels, size_t count, uint32_t chunk, float *out) {
    cxr_plane *plane = NULL;
    size_t outputs = 0;
    int status = cxr_plane_create(desc, &plane);
    must_be_listed(status);
    MUST((status == CXR_OK) == (plane != NULL));
    if (status != CXR_OK)
        return status;
    MUST(cxr_plane_size(plane, &outputs) == CXR_OK && outputs == (size_t)desc->plane_rows * desc->plane_columns);
    MUST(cxr_plane_finish(plane, out, outputs - 1) == CXR_ERR_ROOM);
    status = feed(plane, pixels, count, chunk);
    if (status == CXR_OK)
        status = cxr_plane_finish(plane, out, outputs);
    MUST(cxr_plane_finish(plane, out, outputs) == CXR_ERR_STATE);
    MUST(cxr_plane_feed(plane, pixels, 1) == CXR_ERR_STATE);
    MUST(status == CXR_OK || cxr_plane_size(plane, &outputs) == CXR_ERR_STATE);
    cxr_plane_destroy(plane);
    return status;
}

static int make(const film *f, uint32_t chunk, float *out) {
    return run(&f->desc, f->pixels, f->bytes, chunk, out);
}

/* -------- what must hold -------- */

static void must_be_same(const film *f, const float *expected, uint32_t chunk) {
    float *got = buffer(f->outputs * sizeof *got);
    MUST(make(f, chunk, got) == CXR_OK);
    MUST(memcmp(expected, got, f->outputs * sizeof *got) == 0);
    free(got);
}

static void check_variants(const film *f, const float *expected) {
    for (size_t i = 0; i < FUZZ_VARIANTS; i++) {
        if (force_variant(i)) {
            must_be_same(f, expected, (uint32_t)f->bytes);
            must_be_same(f, expected, f->chunk);
        }
    }
    free_variant();
}

static void swap_bytes(film *f) {
    size_t width = f->desc.bits_allocated / 8;
    for (size_t i = 0; i < f->bytes; i += width) {
        for (size_t low = i, high = i + width - 1; low < high; low++, high--) {
            uint8_t kept = f->pixels[low];
            f->pixels[low] = f->pixels[high];
            f->pixels[high] = kept;
        }
    }
    f->desc.big_endian = !f->desc.big_endian;
}

/* The bits around the stored ones belong to overlays. */
static void flip_junk(film *f) {
    const cxr_plane_desc *d = &f->desc;
    uint32_t width = d->bits_allocated / 8;
    uint32_t junk = ~(UINT32_MAX >> (32 - d->bits_stored) << (d->high_bit + 1 - d->bits_stored));
    for (size_t i = 0; i < f->bytes; i++) {
        uint32_t byte = (uint32_t)(i % width);
        f->pixels[i] ^= (uint8_t)(junk >> 8 * (d->big_endian ? width - 1 - byte : byte));
    }
}

static void check_twins(film *f, const float *expected) {
    swap_bytes(f);
    must_be_same(f, expected, f->chunk);
    flip_junk(f);
    must_be_same(f, expected, f->chunk);
    flip_junk(f);
    swap_bytes(f);
}

static void check_inverted(film *f, const float *expected) {
    float *got = buffer(f->outputs * sizeof *got);
    const cxr_box *box = &f->desc.placement.plane;
    f->desc.inverted = !f->desc.inverted;
    MUST(make(f, f->chunk, got) == CXR_OK);
    f->desc.inverted = !f->desc.inverted;
    for (uint32_t r = 0, i = 0; r < f->desc.plane_rows; r++) {
        for (uint32_t c = 0; c < f->desc.plane_columns; c++, i++) {
            double y = (r + 0.5) / f->desc.plane_rows, x = (c + 0.5) / f->desc.plane_columns;
            int inside = y > box->top && y < box->bottom && x > box->left && x < box->right;
            MUST(fabs((double)expected[i] + got[i] - inside) < CLOSE);
        }
    }
    free(got);
}

static void check_reference(const film *f, const float *got) {
    double *wanted = buffer(f->outputs * sizeof *wanted);
    if (reference_plane(&f->desc, f->pixels, wanted)) {
        for (size_t i = 0; i < f->outputs; i++)
            MUST(fabs(wanted[i] - got[i]) < CLOSE);
    }
    free(wanted);
}

/* A byte short or a byte too many: told, and nothing given out. */
static void check_lengths(const film *f) {
    float *out = buffer(f->outputs * sizeof *out);
    uint8_t *longer = buffer(f->bytes + 1);
    memcpy(longer, f->pixels, f->bytes);
    MUST(run(&f->desc, longer, f->bytes - 1, f->chunk, out) == CXR_ERR_TRUNCATED);
    MUST(run(&f->desc, longer, f->bytes + 1, f->chunk, out) == CXR_ERR_EXCESS);
    must_be_untouched(out, f->outputs * sizeof *out);
    free(longer);
    free(out);
}

/* The window is that of the sorted values, and one that the core itself takes. */
static void check_percentiles(const film *f, double low, double high) {
    double window[2], wanted[2];
    memset(window, UNTOUCHED, sizeof window);
    int status = cxr_percentile_window(&f->desc, f->pixels, f->bytes, low, high, &window[0], &window[1]);
    must_be_listed(status);
    if (status != CXR_OK) {
        must_be_untouched(window, sizeof window);
        return;
    }
    reference_window(&f->desc, f->pixels, low, high, wanted);
    MUST(window[0] == wanted[0] && window[1] == wanted[1]);
    cxr_plane_desc desc = f->desc;
    desc.voi = CXR_VOI_LINEAR_EXACT;
    desc.center = window[0];
    desc.width = window[1];
    float *out = buffer(f->outputs * sizeof *out);
    MUST(run(&desc, f->pixels, f->bytes, f->chunk, out) == CXR_OK);
    must_be_unit(out, f->outputs);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, size};
    film f = {0};
    double low = take_double(&b), high = take_double(&b);
    take_film(&b, &f);
    float *out = buffer(f.outputs * sizeof *out);
    int status = make(&f, (uint32_t)f.bytes, out);
    if (status == CXR_OK) {
        fuzz_reached++;
        must_be_unit(out, f.outputs);
        check_variants(&f, out);
        check_twins(&f, out);
        check_inverted(&f, out);
        check_reference(&f, out);
        check_lengths(&f);
        check_percentiles(&f, low, high);
    } else {
        must_be_untouched(out, f.outputs * sizeof *out);
    }
    free(out);
    free(f.pixels);
    free(f.tables[0]);
    free(f.tables[1]);
    return 0;
}
