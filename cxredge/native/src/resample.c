/* From a small grid over the plane to the size of the image: bilinear. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

/* Where one native row or column lies in the grid: between `low` and `low + 1` by `part`; `seen` 0 is outside. */
typedef struct place {
    uint32_t low, high;
    double part;
    int seen;
} place;

/*
 * One axis: `count` native pixels, of which the fractions `source` are shown at the fractions `plane`, where the grid
 * of `cells` lies over the fractions `box` of the plane.
 */
typedef struct axis {
    double source_low, source_high, plane_low, plane_high, box_low, box_high;
    uint32_t cells, count;
} axis;

static place place_pixel(const axis *a, uint32_t i) {
    place p = {0, 0, 0, 0};
    double fraction = (i + 0.5) / a->count;
    double along = (fraction - a->source_low) / (a->source_high - a->source_low);
    double plane = a->plane_low + along * (a->plane_high - a->plane_low);
    if (fraction < a->source_low || fraction > a->source_high || plane < a->box_low || plane > a->box_high)
        return p;
    double cell = (plane - a->box_low) / (a->box_high - a->box_low) * a->cells - 0.5;
    cell = fmin(fmax(cell, 0), a->cells - 1.0);
    p.low = (uint32_t)cell;
    p.high = p.low + 1 < a->cells ? p.low + 1 : p.low;
    p.part = cell - p.low;
    p.seen = 1;
    return p;
}

static place *place_axis(const axis *a) {
    place *places = calloc(a->count, sizeof *places);
    for (uint32_t i = 0; places != NULL && i < a->count; i++)
        places[i] = place_pixel(a, i);
    return places;
}

static double mix(double a, double b, double part) {
    return a + (b - a) * part;
}

/* One row of the grid, halfway between two. */
static void mix_rows(const float *values, uint32_t columns, const place *at, double *row) {
    const float *a = values + (size_t)at->low * columns, *b = values + (size_t)at->high * columns;
    for (uint32_t c = 0; c < columns; c++)
        row[c] = mix(a[c], b[c], at->part);
}

static void write_values(const double *row, const place *places, uint32_t count, float *out) {
    for (uint32_t x = 0; x < count; x++) {
        const place *p = &places[x];
        out[x] = p->seen ? (float)mix(row[p->low], row[p->high], p->part) : 0;
    }
}

/* Native pixels between the same two cells go together: where both are on one side of 0.5, so is all between them. */
static void write_mask(const double *row, const place *places, uint32_t count, uint8_t *out) {
    for (uint32_t x = 0, end; x < count; x = end) {
        const place *p = &places[x];
        for (end = x + 1; end < count && places[end].low == p->low && places[end].seen == p->seen;)
            end++;
        int low = row[p->low] >= 0.5, high = row[p->high] >= 0.5;
        if (!p->seen || low == high) {
            memset(out + x, p->seen && low, end - x);
            continue;
        }
        for (uint32_t i = x; i < end; i++)
            out[i] = mix(row[p->low], row[p->high], places[i].part) >= 0.5;
    }
}

/* Writes values to `map`, or where that is NULL a mask to `mask`. */
static int resample(const float *values, const axis *down, const axis *across, float *map, uint8_t *mask) {
    place *rows = place_axis(down), *columns = place_axis(across);
    double *row = calloc(across->cells, sizeof *row);
    int status = rows != NULL && columns != NULL && row != NULL ? CXR_OK : CXR_ERR_MEMORY;
    for (uint32_t y = 0; status == CXR_OK && y < down->count; y++) {
        size_t at = (size_t)y * across->count;
        if (!rows[y].seen) {
            memset(map != NULL ? (void *)(map + at) : (void *)(mask + at), 0,
                   across->count * (map != NULL ? sizeof *map : sizeof *mask));
            continue;
        }
        mix_rows(values, across->cells, &rows[y], row);
        if (map != NULL)
            write_values(row, columns, across->count, map + at);
        else
            write_mask(row, columns, across->count, mask + at);
    }
    free(rows);
    free(columns);
    free(row);
    return status;
}

static int resample_box(const float *values, uint32_t rows, uint32_t columns, const cxr_box *box,
                        const cxr_placement *placement, uint32_t image_rows, uint32_t image_columns, float *map,
                        uint8_t *mask) {
    if (values == NULL || box == NULL || placement == NULL || (map == NULL && mask == NULL))
        return CXR_ERR_ARGUMENT;
    if (rows == 0 || columns == 0 || image_rows == 0 || image_columns == 0)
        return CXR_ERR_ARGUMENT;
    if (!cxr_is_placement(placement) || !cxr_is_box(box))
        return CXR_ERR_ARGUMENT;
    if (columns > UINT32_MAX / rows || image_columns > SIZE_MAX / sizeof(float) / image_rows)
        return CXR_ERR_LIMIT;
    const cxr_box *s = &placement->source, *p = &placement->plane;
    const axis down = {s->top, s->bottom, p->top, p->bottom, box->top, box->bottom, rows, image_rows};
    const axis across = {s->left, s->right, p->left, p->right, box->left, box->right, columns, image_columns};
    return resample(values, &down, &across, map, mask);
}

int cxr_native_mask(const float *probabilities, uint32_t rows, uint32_t columns, const cxr_placement *placement,
                    uint32_t image_rows, uint32_t image_columns, uint8_t *out) {
    const cxr_box whole = {0, 0, 1, 1};
    return resample_box(probabilities, rows, columns, &whole, placement, image_rows, image_columns, NULL, out);
}

int cxr_native_map(const float *values, uint32_t rows, uint32_t columns, const cxr_box *box,
                   const cxr_placement *placement, uint32_t image_rows, uint32_t image_columns, float *out) {
    return resample_box(values, rows, columns, box, placement, image_rows, image_columns, out, NULL);
}
