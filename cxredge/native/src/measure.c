/* Areas and the cardiothoracic ratio. */
#include "internal.h"

#include <math.h>

/* A grid over the whole plane, and the part of it that shows the image. */
typedef struct grid {
    uint32_t rows, columns;
    cxr_box seen; /* in pixels of the grid */
} grid;

/* Where a structure begins and ends, in columns of the grid; low > high where there is none. */
typedef struct extent {
    double low, high;
} extent;

static double overlap(double a, double b, double low, double high) {
    double length = fmin(b, high) - fmax(a, low);
    return length > 0 ? length : 0;
}

/* Pixels of a row that the structure covers between two columns. */
static double covered_in_row(const float *p, const grid *g) {
    const uint32_t left = (uint32_t)ceil(g->seen.left), right = (uint32_t)floor(g->seen.right);
    uint32_t whole = 0;
    double parts = 0;
    for (uint32_t c = left; c < right; c++)
        whole += p[c] >= 0.5f;
    if (left > 0 && p[left - 1] >= 0.5f)
        parts += overlap(left - 1.0, left, g->seen.left, g->seen.right);
    if (right < g->columns && right >= left && p[right] >= 0.5f)
        parts += overlap(right, right + 1.0, g->seen.left, g->seen.right);
    return whole + parts;
}

/* Pixels of the grid that the structure covers within the part that shows the image. */
static double covered(const float *p, const grid *g) {
    double total = 0;
    for (uint32_t r = 0; r < g->rows; r++, p += g->columns) {
        double height = overlap(r, r + 1.0, g->seen.top, g->seen.bottom);
        if (height > 0)
            total += covered_in_row(p, g) * height;
    }
    return total;
}

/* Where the probability crosses 0.5 between the centre of an inside pixel and that of its outside neighbour. */
static double crossing(double inside, double outside) {
    return (inside - 0.5) / (inside - outside);
}

/* The widest extent over all rows that show the image. */
static extent widest(const float *p, const grid *g) {
    extent e = {INFINITY, -INFINITY};
    for (uint32_t r = 0; r < g->rows; r++, p += g->columns) {
        if (overlap(r, r + 1.0, g->seen.top, g->seen.bottom) == 0)
            continue;
        uint32_t first = 0, last = g->columns;
        while (first < g->columns && p[first] < 0.5f)
            first++;
        if (first == g->columns)
            continue;
        while (p[last - 1] < 0.5f)
            last--;
        double low = first == 0 ? 0 : first + 0.5 - crossing(p[first], p[first - 1]);
        double high = last == g->columns ? last : last - 0.5 + crossing(p[last - 1], p[last]);
        e.low = fmin(e.low, low);
        e.high = fmax(e.high, high);
    }
    e.low = fmax(e.low, g->seen.left);
    e.high = fmin(e.high, g->seen.right);
    return e;
}

static double beside_midline(extent e, double midline) {
    return fmax(0, e.high - midline) + fmax(0, midline - e.low);
}

/* Both lie along the same axis, so how the image was stretched into the plane cancels out. */
static double cardiothoracic_ratio(extent left_lung, extent right_lung, extent heart) {
    if (left_lung.low >= left_lung.high || right_lung.low >= right_lung.high || heart.low >= heart.high)
        return -1;
    extent lungs = {fmin(left_lung.low, right_lung.low), fmax(left_lung.high, right_lung.high)};
    double midline = (lungs.low + lungs.high) / 2;
    return beside_midline(heart, midline) / beside_midline(lungs, midline);
}

int cxr_measure(const float *probabilities, uint32_t rows, uint32_t columns, const cxr_placement *placement,
                uint32_t image_rows, uint32_t image_columns, cxr_measures *measures) {
    if (probabilities == NULL || placement == NULL || measures == NULL || !cxr_is_placement(placement))
        return CXR_ERR_ARGUMENT;
    if (rows == 0 || columns == 0 || image_rows == 0 || image_columns == 0)
        return CXR_ERR_ARGUMENT;
    if (columns > UINT32_MAX / rows)
        return CXR_ERR_LIMIT;
    const cxr_box *plane = &placement->plane, *source = &placement->source;
    const grid g = {
        rows, columns, {plane->left * columns, plane->top * rows, plane->right * columns, plane->bottom * rows}};
    /* The share of the image that one pixel of the grid shows. */
    double share = (source->right - source->left) / (g.seen.right - g.seen.left) * (source->bottom - source->top) /
                   (g.seen.bottom - g.seen.top);
    double shares[3];
    extent extents[3];
    for (size_t i = 0; i < 3; i++) {
        const float *p = probabilities + i * rows * columns;
        shares[i] = covered(p, &g) * share;
        extents[i] = widest(p, &g);
    }
    double pixels = (double)image_rows * image_columns;
    /* What lies in the padding has no area, though its border may reach half a pixel into the image. */
    int all_there = shares[0] > 0 && shares[1] > 0 && shares[2] > 0;
    const cxr_measures m = {shares[0] * pixels,
                            shares[1] * pixels,
                            shares[2] * pixels,
                            shares[0],
                            shares[1],
                            shares[2],
                            all_there ? cardiothoracic_ratio(extents[0], extents[1], extents[2]) : -1};
    *measures = m;
    return CXR_OK;
}
