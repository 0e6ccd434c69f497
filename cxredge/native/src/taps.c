/* The weights of a resize along one axis. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

/* Where the output `j` begins, in inputs; the ends are exact. */
static double edge(double low, double high, uint32_t outputs, uint32_t j) {
    return j == 0 ? low : j == outputs ? high : low + (high - low) * j / outputs;
}

static uint32_t clamp_index(double x, uint32_t inputs) {
    return x <= 0 ? 0 : x >= inputs - 1 ? inputs - 1 : (uint32_t)x;
}

/* Area average: each input counts by how much of it lies in the output. */
static void area(taps *t, double low, double high, uint32_t inputs) {
    uint32_t outputs = (uint32_t)t->count;
    for (uint32_t j = 0; j < outputs; j++) {
        double a = edge(low, high, outputs, j), b = edge(low, high, outputs, j + 1);
        uint32_t first = clamp_index(floor(a), inputs), last = clamp_index(ceil(b) - 1, inputs);
        double *weights = t->weights + j * t->width;
        t->first[j] = first;
        for (uint32_t i = first; i <= last && i - first < t->width; i++) {
            double covered = fmin(i + 1.0, b) - fmax(i, a);
            weights[i - first] = covered > 0 ? covered / (b - a) : 0;
        }
    }
}

/* Linear interpolation between the centres of inputs; beyond the outermost centres the value stays. */
static void linear(taps *t, double low, double high, uint32_t inputs) {
    double step = (high - low) / (double)t->count;
    for (size_t j = 0; j < t->count; j++) {
        double centre = low + ((double)j + 0.5) * step - 0.5;
        centre = fmin(fmax(centre, 0), inputs - 1.0);
        uint32_t first = clamp_index(floor(centre), inputs);
        double part = centre - first;
        t->first[j] = first;
        t->weights[j * t->width] = 1 - part;
        t->weights[j * t->width + 1] = part; /* 0 at the last input */
    }
}

/* Counts `first` from the first input that is used, so that the rest of a row is never touched. */
static void rebase(taps *t, uint32_t inputs) {
    t->begin = inputs;
    t->end = 0;
    for (size_t j = 0; j < t->count; j++) {
        uint32_t used = 1;
        for (uint32_t i = 0; i < t->width; i++) {
            if (t->weights[j * t->width + i] != 0)
                used = i + 1;
        }
        if (t->first[j] < t->begin)
            t->begin = t->first[j];
        if (t->first[j] + used > t->end)
            t->end = t->first[j] + used;
    }
    for (size_t j = 0; j < t->count; j++)
        t->first[j] -= t->begin;
}

int cxr_taps_init(taps *t, double low, double high, uint32_t inputs, uint32_t outputs) {
    double step = (high - low) / outputs;
    size_t most = step >= 1 ? (size_t)ceil(step) + 1 : 2;
    t->count = outputs;
    t->width = (most + TAP_GROUP - 1) / TAP_GROUP * TAP_GROUP;
    t->first = calloc(t->count, sizeof *t->first);
    t->weights = calloc(t->count * t->width, sizeof *t->weights); /* at most about 65535 + 8 * 8192 weights */
    if (t->first == NULL || t->weights == NULL) {
        cxr_taps_free(t);
        return CXR_ERR_MEMORY;
    }
    if (step >= 1)
        area(t, low, high, inputs);
    else
        linear(t, low, high, inputs);
    rebase(t, inputs);
    return CXR_OK;
}

void cxr_taps_free(taps *t) {
    free(t->first);
    free(t->weights);
    t->first = NULL;
    t->weights = NULL;
}
