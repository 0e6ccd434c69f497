/*
 * Masks: the largest component, its holes, and unions.
 *
 * Components are found over runs, not pixels: a row of a mask has a few runs of equal pixels, which memchr finds as
 * fast as memory gives them, and only runs of neighbouring rows have to be joined.
 */
#include "internal.h"

#include <float.h>
#include <stdlib.h>

/* Equal pixels of one row: the columns `start` to `end` - 1. */
typedef struct run {
    uint32_t start, end;
    uint32_t parent; /* a run of the same component that comes no later; its own index for the first of them */
    uint32_t size;   /* of the component, in pixels, at its first run; for the background: whether it is outside */
} run;

/* All runs of one kind in reading order; those of row r are `first[r]` to `first[r + 1]` - 1. */
typedef struct runs {
    uint32_t rows, columns, count;
    run *all;
    uint32_t *first;
} runs;

static void collect(runs *r, const uint8_t *binary, int kind) {
    r->count = 0;
    for (uint32_t y = 0; y < r->rows; y++, binary += r->columns) {
        r->first[y] = r->count;
        for (uint32_t x = 0; x < r->columns; r->count++) {
            const uint8_t *begin = memchr(binary + x, kind, r->columns - x);
            if (begin == NULL)
                break;
            uint32_t start = (uint32_t)(begin - binary);
            const uint8_t *behind = memchr(begin, !kind, r->columns - start);
            x = behind != NULL ? (uint32_t)(behind - binary) : r->columns;
            const run found = {start, x, r->count, 0};
            r->all[r->count] = found;
        }
    }
    r->first[r->rows] = r->count;
}

static uint32_t root_of(run *all, uint32_t i) {
    while (all[i].parent != i) {
        all[i].parent = all[all[i].parent].parent;
        i = all[i].parent;
    }
    return i;
}

/* The component's first run in reading order stays its root. */
static void join(run *all, uint32_t a, uint32_t b) {
    a = root_of(all, a);
    b = root_of(all, b);
    if (a < b)
        all[b].parent = a;
    else
        all[a].parent = b;
}

/* Joins what touches in neighbouring rows, with `diagonals` 1 over corners too; then every parent is a root. */
static void connect(runs *r, uint32_t diagonals) {
    run *all = r->all;
    for (uint32_t y = 1; y < r->rows; y++) {
        uint32_t above = r->first[y - 1], here = r->first[y];
        while (above < r->first[y] && here < r->first[y + 1]) {
            if (all[above].start < all[here].end + diagonals && all[here].start < all[above].end + diagonals)
                join(all, above, here);
            if (all[above].end < all[here].end)
                above++;
            else
                here++;
        }
    }
    for (uint32_t i = 0; i < r->count; i++)
        all[i].parent = all[all[i].parent].parent;
}

/* The root of the largest component, the first in reading order of equals; `count` where there is none. */
static uint32_t largest(runs *r) {
    uint32_t best = r->count;
    for (uint32_t i = 0; i < r->count; i++)
        r->all[r->all[i].parent].size += r->all[i].end - r->all[i].start;
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->all[i].parent == i && (best == r->count || r->all[i].size > r->all[best].size))
            best = i;
    }
    return best;
}

/* Marks the roots of background that reaches the border; what is left is a hole. */
static void mark_outside(runs *r) {
    for (uint32_t y = 0; y < r->rows; y++) {
        for (uint32_t i = r->first[y]; i < r->first[y + 1]; i++) {
            const run *one = &r->all[i];
            if (y == 0 || y + 1 == r->rows || one->start == 0 || one->end == r->columns)
                r->all[one->parent].size = 1;
        }
    }
}

static void paint(const runs *r, uint32_t y, const run *one, uint8_t value, float *probabilities, uint8_t *binary) {
    size_t at = (size_t)y * r->columns;
    memset(binary + at + one->start, value, one->end - one->start);
    for (uint32_t x = one->start; x < one->end; x++)
        probabilities[at + x] = value;
}

static void drop_islands(runs *r, float *probabilities, uint8_t *binary) {
    collect(r, binary, 1);
    connect(r, 1);
    uint32_t best = largest(r);
    for (uint32_t y = 0; y < r->rows; y++) {
        for (uint32_t i = r->first[y]; i < r->first[y + 1]; i++) {
            if (r->all[i].parent != best)
                paint(r, y, &r->all[i], 0, probabilities, binary);
        }
    }
}

static void fill_holes(runs *r, float *probabilities, uint8_t *binary) {
    collect(r, binary, 0);
    connect(r, 0);
    mark_outside(r);
    for (uint32_t y = 0; y < r->rows; y++) {
        for (uint32_t i = r->first[y]; i < r->first[y + 1]; i++) {
            if (!r->all[r->all[i].parent].size)
                paint(r, y, &r->all[i], 1, probabilities, binary);
        }
    }
}

int cxr_mask_clean(float *probabilities, uint32_t rows, uint32_t columns, uint8_t *binary) {
    if (probabilities == NULL || binary == NULL || rows == 0 || columns == 0)
        return CXR_ERR_ARGUMENT;
    if (columns > UINT32_MAX / rows)
        return CXR_ERR_LIMIT;
    size_t count = (size_t)rows * columns;
    int finite = 1;
    for (size_t i = 0; i < count; i++)
        finite &= probabilities[i] >= -FLT_MAX && probabilities[i] <= FLT_MAX;
    if (!finite)
        return CXR_ERR_ARGUMENT;
    /* No row has more runs of one kind than every other pixel. */
    size_t most = (size_t)rows * (columns / 2 + 1);
    runs r = {rows, columns, 0, calloc(most, sizeof *r.all), calloc((size_t)rows + 1, sizeof *r.first)};
    int status = r.all != NULL && r.first != NULL ? CXR_OK : CXR_ERR_MEMORY;
    if (status == CXR_OK) {
        for (size_t i = 0; i < count; i++)
            binary[i] = probabilities[i] >= 0.5f;
        drop_islands(&r, probabilities, binary);
        fill_holes(&r, probabilities, binary);
    }
    free(r.all);
    free(r.first);
    return status;
}

int cxr_mask_union(const uint8_t *a, const uint8_t *b, size_t count, uint8_t *out) {
    if (a == NULL || b == NULL || out == NULL)
        return CXR_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] != 0 || b[i] != 0;
    return CXR_OK;
}
