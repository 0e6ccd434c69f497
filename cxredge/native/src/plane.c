/*
 * The handle: stored pixels in, plane out.
 *
 * The resize is separable, and the rows come first. Stored rows are turned into whole numbers and added up column by
 * column into one row of sums that stays in the first-level cache; only when an output row is complete is that row
 * reduced to the output's columns, in double. So each stored pixel costs a clamp and an addition of integers, which
 * vectorise and are exact, and the horizontal step costs two passes for every output row instead of one for every
 * source row.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

struct cxr_plane {
    int failed;   /* the first failure: nothing is possible any more */
    int finished; /* the plane was given out */
    tone tone;
    const kernels *kernels;
    taps columns;
    size_t pixel_bytes, row_bytes;
    uint32_t rows, plane_rows, plane_columns;
    /* The plane's box, in pixels of it. */
    uint32_t box_top, box_left, box_rows, box_columns;
    /* The image's box, in rows of it. */
    double top, bottom;
    int enlarges; /* the vertical step interpolates */

    uint32_t row;         /* the next stored row */
    uint32_t out;         /* the output row in the making, counted in the box */
    size_t pending;       /* rows in `sums` */
    size_t stride;        /* columns used, and zeros for the padded taps */
    int32_t *sums;        /* `stride` for each part of the tone */
    double *line;         /* the output row in the making, one for each column */
    double *other;        /* shrinking: a source row on a border; enlarging: the source row before */
    unsigned char *carry; /* the begun row between two chunks */
    size_t carried;
    unsigned char *swapped; /* a row in host order; other byte orders only */
    float *output;
};

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t columns_used(const cxr_plane *p) {
    return p->columns.end - p->columns.begin;
}

/* -------- making and freeing -------- */

/* A border of the plane's box in pixels; -1 where it lies between two. */
static double whole_pixels(double fraction, uint32_t length) {
    double exact = fraction * length, nearest = floor(exact + 0.5);
    return fabs(exact - nearest) < 1e-6 ? nearest : -1;
}

static int set_box(cxr_plane *p, const cxr_plane_desc *d) {
    double left = whole_pixels(d->placement.plane.left, d->plane_columns);
    double right = whole_pixels(d->placement.plane.right, d->plane_columns);
    double top = whole_pixels(d->placement.plane.top, d->plane_rows);
    double bottom = whole_pixels(d->placement.plane.bottom, d->plane_rows);
    if (left < 0 || top < 0 || right <= left || bottom <= top)
        return CXR_ERR_ARGUMENT;
    p->box_left = (uint32_t)left;
    p->box_top = (uint32_t)top;
    p->box_columns = (uint32_t)(right - left);
    p->box_rows = (uint32_t)(bottom - top);
    p->top = d->placement.source.top * d->rows;
    p->bottom = d->placement.source.bottom * d->rows;
    p->enlarges = p->bottom - p->top < p->box_rows;
    return CXR_OK;
}

static int allocate(cxr_plane *p, const cxr_plane_desc *d) {
    int swap = d->bits_allocated > 8 && (d->big_endian != 0) != cxr_host_is_big_endian();
    p->stride = columns_used(p) + p->columns.width;
    p->sums = calloc(p->stride * cxr_tone_parts(&p->tone), sizeof *p->sums);
    p->line = calloc(p->box_columns, sizeof *p->line);
    p->other = calloc(p->box_columns, sizeof *p->other);
    p->carry = malloc(p->row_bytes);
    p->swapped = malloc(swap ? p->row_bytes : 1);
    p->output = calloc((size_t)p->plane_rows * p->plane_columns, sizeof *p->output);
    if (!p->sums || !p->line || !p->other || !p->carry || !p->swapped || !p->output)
        return CXR_ERR_MEMORY;
    if (!swap) {
        free(p->swapped);
        p->swapped = NULL;
    }
    return CXR_OK;
}

static int prepare(cxr_plane *p, const cxr_plane_desc *d) {
    p->rows = d->rows;
    p->plane_rows = d->plane_rows;
    p->plane_columns = d->plane_columns;
    p->pixel_bytes = d->bits_allocated / 8;
    p->row_bytes = cxr_row_bytes(d);
    int status = set_box(p, d);
    if (status == CXR_OK)
        status = cxr_kernels_choose(&p->kernels);
    if (status == CXR_OK)
        status = cxr_tone_init(&p->tone, d);
    if (status == CXR_OK)
        status = cxr_tone_prepare(&p->tone);
    if (status == CXR_OK)
        status = cxr_taps_init(&p->columns, d->placement.source.left * d->columns,
                               d->placement.source.right * d->columns, d->columns, p->box_columns);
    return status == CXR_OK ? allocate(p, d) : status;
}

int cxr_plane_create(const cxr_plane_desc *desc, cxr_plane **plane) {
    if (plane == NULL)
        return CXR_ERR_ARGUMENT;
    *plane = NULL;
    int status = cxr_check_plane(desc);
    if (status != CXR_OK)
        return status;
    cxr_plane *p = calloc(1, sizeof *p);
    if (p == NULL)
        return CXR_ERR_MEMORY;
    status = prepare(p, desc);
    if (status != CXR_OK) {
        cxr_plane_destroy(p);
        return status;
    }
    *plane = p;
    return CXR_OK;
}

void cxr_plane_destroy(cxr_plane *plane) {
    if (plane == NULL)
        return;
    cxr_tone_free(&plane->tone);
    cxr_taps_free(&plane->columns);
    free(plane->sums);
    free(plane->line);
    free(plane->other);
    free(plane->carry);
    free(plane->swapped);
    free(plane->output);
    free(plane);
}

/* -------- rows -------- */

/* Adds stored rows to the sums; there is room for them. */
static void add_rows(cxr_plane *p, const unsigned char *pixels, size_t rows) {
    const tone *t = &p->tone;
    const size_t used = columns_used(p), together = p->swapped == NULL ? rows : 1;
    pixels += p->columns.begin * p->pixel_bytes;
    for (; rows > 0; rows -= together, pixels += together * p->row_bytes) {
        const unsigned char *source = pixels;
        if (p->swapped != NULL) {
            cxr_swap_pixels(p->swapped, pixels, used * p->pixel_bytes, t->desc.bits_allocated);
            source = p->swapped;
        }
        cxr_tone_add(t, p->kernels, p->sums, p->stride, source, p->row_bytes, together, used, p->pending == 0);
        p->pending += together;
    }
}

/* Reduces the pending sums to the output's columns and adds them to `line`; the stored pixels go on at `next`. */
static void flush(cxr_plane *p, double *line, const unsigned char *next) {
    const uint32_t parts = cxr_tone_parts(&p->tone);
    if (p->pending == 0)
        return;
    for (uint32_t i = 0; i < parts; i++)
        p->kernels->reduce(p->sums + i * p->stride, &p->columns, p->tone.parts > 0 ? p->tone.shares[i] : 1, line, next);
    p->pending = 0; /* the next rows begin the sums anew */
}

/* Writes one output row: a * keep + b * part, as display values. */
static void write_row(cxr_plane *p, const double *a, double keep, const double *b, double part) {
    const double offset = p->tone.offset, scale = p->tone.scale;
    float *to = p->output + (size_t)(p->box_top + p->out) * p->plane_columns + p->box_left;
    for (uint32_t j = 0; j < p->box_columns; j++) {
        double value = (a[j] * keep + b[j] * part + offset) * scale;
        value = value > 0 ? value : 0; /* rounding may leave 0..1 by a hair */
        to[j] = (float)(value < 1 ? value : 1);
    }
    p->out++;
}

/* Where the output row `i` of the box begins, in stored rows; the ends are exact. */
static double row_edge(const cxr_plane *p, uint32_t i) {
    return i == p->box_rows ? p->bottom : p->top + (p->bottom - p->top) * i / p->box_rows;
}

/* The output row in the making has all that it needs. */
static void complete_row(cxr_plane *p, double height) {
    write_row(p, p->line, 1 / height, p->line, 0);
    memset(p->line, 0, p->box_columns * sizeof *p->line);
}

/* One stored row that lies across a border: each output row that it touches gets its part of it. */
static void share_row(cxr_plane *p, const unsigned char *pixels) {
    const double top = p->row, bottom = top + 1;
    flush(p, p->line, pixels);
    memset(p->other, 0, p->box_columns * sizeof *p->other);
    add_rows(p, pixels, 1);
    flush(p, p->other, pixels + p->row_bytes);
    while (p->out < p->box_rows) {
        double begin = row_edge(p, p->out), end = row_edge(p, p->out + 1);
        double part = fmin(bottom, end) - fmax(top, begin);
        if (part <= 0)
            return;
        for (uint32_t j = 0; j < p->box_columns; j++)
            p->line[j] += part * p->other[j];
        if (bottom < end)
            return;
        complete_row(p, end - begin);
    }
}

/* The axis shrinks: takes as many of the `rows` stored rows at `pixels` as go the same way, and says how many. */
static size_t average_some(cxr_plane *p, const unsigned char *pixels, size_t rows) {
    const double begin = row_edge(p, p->out), end = row_edge(p, p->out + 1), first = p->row;
    if (first + 1 <= begin)
        return 1; /* above the image's box */
    if (first < begin || first + 1 > end) {
        share_row(p, pixels);
        return 1;
    }
    size_t whole = (size_t)(floor(end) - first), taken = smaller(smaller(rows, MAX_PENDING - p->pending), whole);
    add_rows(p, pixels, taken);
    pixels += taken * p->row_bytes;
    if (first + (double)taken >= end) {
        flush(p, p->line, pixels);
        complete_row(p, end - begin);
    } else if (p->pending >= MAX_PENDING) {
        flush(p, p->line, pixels);
    }
    return taken;
}

/* The axis grows: reduces one stored row, and writes the output rows that lie between it and the row before. */
static void interpolate_one(cxr_plane *p, const unsigned char *pixels) {
    double *before = p->line;
    p->line = p->other;
    p->other = before;
    memset(p->line, 0, p->box_columns * sizeof *p->line);
    add_rows(p, pixels, 1);
    flush(p, p->line, pixels + p->row_bytes);
    while (p->out < p->box_rows) {
        double centre = p->top + (p->out + 0.5) * (p->bottom - p->top) / p->box_rows - 0.5;
        centre = fmin(fmax(centre, 0), p->rows - 1.0);
        if (centre > p->row)
            return;
        double part = centre - (p->row - 1.0); /* of this row; the rest is of the row before */
        write_row(p, p->other, 1 - part, p->line, part);
    }
}

static void take_rows(cxr_plane *p, const unsigned char *pixels, size_t rows) {
    while (rows > 0) {
        size_t taken = 1;
        if (p->out == p->box_rows)
            taken = rows; /* below the image's box */
        else if (p->enlarges)
            interpolate_one(p, pixels);
        else
            taken = average_some(p, pixels, rows);
        p->row += (uint32_t)taken;
        pixels += taken * p->row_bytes;
        rows -= taken;
    }
}

/* -------- feeding and finishing -------- */

static int fail(cxr_plane *p, int status) {
    p->failed = 1;
    return status;
}

/* Completes the begun row; returns how many bytes that took. */
static size_t feed_carry(cxr_plane *p, const unsigned char *data, size_t bytes) {
    size_t taken = smaller(p->row_bytes - p->carried, bytes);
    memcpy(p->carry + p->carried, data, taken);
    p->carried += taken;
    if (p->carried == p->row_bytes) {
        take_rows(p, p->carry, 1);
        p->carried = 0;
    }
    return taken;
}

int cxr_plane_feed(cxr_plane *plane, const void *data, size_t bytes) {
    if (plane == NULL)
        return CXR_ERR_ARGUMENT;
    if (plane->failed || plane->finished)
        return CXR_ERR_STATE;
    if (bytes == 0)
        return CXR_OK;
    if (data == NULL)
        return fail(plane, CXR_ERR_ARGUMENT);
    if (bytes > (size_t)(plane->rows - plane->row) * plane->row_bytes - plane->carried)
        return fail(plane, CXR_ERR_EXCESS);
    const unsigned char *pixels = data;
    if (plane->carried > 0) {
        size_t taken = feed_carry(plane, pixels, bytes);
        pixels += taken;
        bytes -= taken;
    }
    size_t rows = bytes / plane->row_bytes;
    take_rows(plane, pixels, rows);
    if (bytes > rows * plane->row_bytes)
        feed_carry(plane, pixels + rows * plane->row_bytes, bytes - rows * plane->row_bytes);
    return CXR_OK;
}

int cxr_plane_size(const cxr_plane *plane, size_t *count) {
    if (plane == NULL || count == NULL)
        return CXR_ERR_ARGUMENT;
    if (plane->failed)
        return CXR_ERR_STATE;
    *count = (size_t)plane->plane_rows * plane->plane_columns;
    return CXR_OK;
}

int cxr_plane_finish(cxr_plane *plane, float *output, size_t count) {
    if (plane == NULL)
        return CXR_ERR_ARGUMENT;
    if (plane->failed || plane->finished)
        return CXR_ERR_STATE;
    if (output == NULL)
        return fail(plane, CXR_ERR_ARGUMENT);
    size_t needed = (size_t)plane->plane_rows * plane->plane_columns;
    if (count < needed)
        return CXR_ERR_ROOM;
    if (plane->row < plane->rows)
        return fail(plane, CXR_ERR_TRUNCATED);
    memcpy(output, plane->output, needed * sizeof *output);
    plane->finished = 1;
    return CXR_OK;
}

void cxr_swap_pixels(unsigned char *to, const unsigned char *from, size_t bytes, uint32_t bits) {
    if (bits == 8)
        memcpy(to, from, bytes);
    for (size_t i = 0; bits == 16 && i < bytes; i += 2) {
        to[i] = from[i + 1];
        to[i + 1] = from[i];
    }
    for (size_t i = 0; bits == 32 && i < bytes; i += 4) {
        to[i] = from[i + 3];
        to[i + 1] = from[i + 2];
        to[i + 2] = from[i + 1];
        to[i + 3] = from[i];
    }
}
