/* Masks: the largest component, its holes, and unions. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

/* What a flood fill works on: one label a pixel, and the pixels still to look at. */
typedef struct field {
    uint32_t rows, columns;
    uint32_t *labels;
    uint32_t *stack;
} field;

enum { UNSEEN = 0, BACKGROUND = 1, FIRST_COMPONENT = 2 };

static int is_inside(const uint8_t *binary, size_t i) {
    return binary[i] != 0;
}

/* Gives `label` to every unseen pixel of the same kind that is connected to `start`; returns how many. */
static size_t flood(field *f, const uint8_t *binary, size_t start, uint32_t label, int diagonals) {
    const int kind = is_inside(binary, start);
    size_t depth = 0, size = 0;
    f->labels[start] = label;
    f->stack[depth++] = (uint32_t)start;
    while (depth > 0) {
        uint32_t at = f->stack[--depth], r = at / f->columns, c = at % f->columns;
        size++;
        uint32_t r1 = r + 1 < f->rows ? r + 1 : r, c1 = c + 1 < f->columns ? c + 1 : c;
        for (uint32_t y = r > 0 ? r - 1 : 0; y <= r1; y++) {
            for (uint32_t x = c > 0 ? c - 1 : 0; x <= c1; x++) {
                size_t i = (size_t)y * f->columns + x;
                if (f->labels[i] != UNSEEN || is_inside(binary, i) != kind || (!diagonals && y != r && x != c))
                    continue;
                f->labels[i] = label;
                f->stack[depth++] = (uint32_t)i;
            }
        }
    }
    return size;
}

/* The label of the largest component, the first in reading order of equals; BACKGROUND where there is none. */
static uint32_t label_components(field *f, const uint8_t *binary) {
    size_t count = (size_t)f->rows * f->columns, largest = 0;
    uint32_t next = FIRST_COMPONENT, best = BACKGROUND;
    for (size_t i = 0; i < count; i++) {
        if (!is_inside(binary, i) || f->labels[i] != UNSEEN)
            continue;
        size_t size = flood(f, binary, i, next, 1);
        if (size > largest) {
            largest = size;
            best = next;
        }
        next++;
    }
    return best;
}

/* Labels the background that reaches the border; what stays UNSEEN is a hole. */
static void label_outside(field *f, const uint8_t *binary) {
    size_t count = (size_t)f->rows * f->columns;
    for (size_t i = 0; i < count; i++) {
        size_t r = i / f->columns, c = i % f->columns;
        int border = r == 0 || c == 0 || r + 1 == f->rows || c + 1 == f->columns;
        if (border && !is_inside(binary, i) && f->labels[i] == UNSEEN)
            flood(f, binary, i, BACKGROUND, 0);
    }
}

static void clean(field *f, float *probabilities, uint8_t *binary) {
    size_t count = (size_t)f->rows * f->columns;
    uint32_t best = label_components(f, binary);
    for (size_t i = 0; i < count; i++) {
        if (is_inside(binary, i) && f->labels[i] != best) {
            binary[i] = 0;
            probabilities[i] = 0;
        }
    }
    memset(f->labels, 0, count * sizeof *f->labels);
    label_outside(f, binary);
    for (size_t i = 0; i < count; i++) {
        if (!is_inside(binary, i) && f->labels[i] == UNSEEN) {
            binary[i] = 1;
            probabilities[i] = 1;
        }
    }
}

int cxr_mask_clean(float *probabilities, uint32_t rows, uint32_t columns, uint8_t *binary) {
    if (probabilities == NULL || binary == NULL || rows == 0 || columns == 0)
        return CXR_ERR_ARGUMENT;
    if (columns > UINT32_MAX / rows)
        return CXR_ERR_LIMIT;
    size_t count = (size_t)rows * columns;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(probabilities[i]))
            return CXR_ERR_ARGUMENT;
    }
    field f = {rows, columns, calloc(count, sizeof *f.labels), calloc(count, sizeof *f.stack)};
    int status = f.labels != NULL && f.stack != NULL ? CXR_OK : CXR_ERR_MEMORY;
    if (status == CXR_OK) {
        for (size_t i = 0; i < count; i++)
            binary[i] = probabilities[i] >= 0.5f;
        clean(&f, probabilities, binary);
    }
    free(f.labels);
    free(f.stack);
    return status;
}

int cxr_mask_union(const uint8_t *a, const uint8_t *b, size_t count, uint8_t *out) {
    if (a == NULL || b == NULL || out == NULL)
        return CXR_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] != 0 || b[i] != 0;
    return CXR_OK;
}
