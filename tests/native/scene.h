/* One small film and its masks, and every call of the C core on them: what the tests of memory and threads run. */
#ifndef CXREDGE_SCENE_H
#define CXREDGE_SCENE_H

#include "cxredge.h"

#include <string.h>

enum { SCENE_ROWS = 90, SCENE_COLUMNS = 70, SCENE_PLANE = 24, SCENE_CELLS = SCENE_PLANE * SCENE_PLANE };
#define SCENE_PIXELS ((size_t)SCENE_ROWS * SCENE_COLUMNS)

/* Where the calls read, and never write. */
typedef struct scene {
    uint16_t pixels[SCENE_ROWS * SCENE_COLUMNS];
    uint16_t table[64];
    float masks[3 * SCENE_CELLS]; /* left lung, right lung, heart */
    cxr_placement placement;
} scene;

/* Where they write. */
typedef struct answers {
    float plane[SCENE_CELLS], map[SCENE_ROWS * SCENE_COLUMNS], cleaned[SCENE_CELLS];
    double window[2], probabilities[3];
    uint8_t binary[SCENE_CELLS], mask[SCENE_ROWS * SCENE_COLUMNS], both[SCENE_CELLS], positive[3];
    cxr_measures measures;
} answers;

static inline void scene_init(scene *s) {
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < SCENE_PIXELS; i++)
        s->pixels[i] = (uint16_t)((i * 2654435761u >> 20) | (i % 7 << 13)); /* junk above 12 bits */
    for (uint32_t i = 0; i < 64; i++)
        s->table[i] = (uint16_t)(i * i);
    for (uint32_t i = 0; i < SCENE_CELLS; i++) {
        uint32_t y = i / SCENE_PLANE, x = i % SCENE_PLANE;
        int high = y > 3 && y < 19;
        s->masks[i] = high && x > 13 && x < 22 && (x + y) % 9 != 0 ? 0.9f : 0.1f;
        s->masks[SCENE_CELLS + i] = high && x > 1 && x < 10 ? 0.8f : 0.2f;
        s->masks[2 * SCENE_CELLS + i] = y > 11 && y < 20 && x > 8 && x < 17 ? 0.7f : 0;
    }
    cxr_place(SCENE_ROWS, SCENE_COLUMNS, SCENE_PLANE, SCENE_PLANE, CXR_FIT_PAD, &s->placement);
}

static inline cxr_plane_desc scene_desc(const scene *s) {
    cxr_plane_desc d;
    cxr_plane_desc_init(&d, sizeof d, CXR_ABI);
    d.rows = SCENE_ROWS;
    d.columns = SCENE_COLUMNS;
    d.bits_allocated = 16;
    d.bits_stored = 12;
    d.high_bit = 11;
    d.center = 2000.25;
    d.width = 3000;
    d.plane_rows = d.plane_columns = SCENE_PLANE;
    d.placement = s->placement;
    return d;
}

static inline int scene_plane(const scene *s, const cxr_plane_desc *d, answers *to) {
    cxr_plane *plane = NULL;
    int status = cxr_plane_create(d, &plane);
    if (status == CXR_OK)
        status = cxr_plane_feed(plane, s->pixels, 1001); /* not a whole row */
    if (status == CXR_OK)
        status = cxr_plane_feed(plane, (const char *)s->pixels + 1001, sizeof s->pixels - 1001);
    if (status == CXR_OK)
        status = cxr_plane_finish(plane, to->plane, SCENE_CELLS);
    cxr_plane_destroy(plane);
    return status;
}

/* By clamps, which have vector variants. */
static inline int scene_clamped(const scene *s, answers *to) {
    cxr_plane_desc d = scene_desc(s);
    return scene_plane(s, &d, to);
}

/* By lookup tables, and in the other byte order. */
static inline int scene_looked_up(const scene *s, answers *to) {
    cxr_plane_desc d = scene_desc(s);
    d.modality = CXR_MODALITY_LUT;
    d.voi = CXR_VOI_LUT;
    d.modality_lut.data = d.voi_lut.data = s->table;
    d.modality_lut.count = d.voi_lut.count = 64;
    d.modality_lut.bits = d.voi_lut.bits = 12;
    d.big_endian = 1;
    return scene_plane(s, &d, to);
}

static inline int scene_window(const scene *s, answers *to) {
    cxr_plane_desc d = scene_desc(s);
    return cxr_percentile_window(&d, s->pixels, sizeof s->pixels, 0.5, 99.5, &to->window[0], &to->window[1]);
}

static inline int scene_clean(const scene *s, answers *to) {
    memcpy(to->cleaned, s->masks, sizeof to->cleaned);
    return cxr_mask_clean(to->cleaned, SCENE_PLANE, SCENE_PLANE, to->binary);
}

static inline int scene_mask(const scene *s, answers *to) {
    return cxr_native_mask(s->masks, SCENE_PLANE, SCENE_PLANE, &s->placement, SCENE_ROWS, SCENE_COLUMNS, to->mask);
}

static inline int scene_map(const scene *s, answers *to) {
    const cxr_box box = {0.1, 0, 0.9, 1};
    return cxr_native_map(s->masks, SCENE_PLANE, SCENE_PLANE, &box, &s->placement, SCENE_ROWS, SCENE_COLUMNS, to->map);
}

static inline int scene_measure(const scene *s, answers *to) {
    return cxr_measure(s->masks, SCENE_PLANE, SCENE_PLANE, &s->placement, SCENE_ROWS, SCENE_COLUMNS, &to->measures);
}

static inline int scene_decide(const scene *s, answers *to) {
    static const double scale[] = {1, 0.5, 2}, offset[] = {0, -1, 1}, thresholds[] = {0.5, 0.4, 0.9};
    return cxr_decide(s->masks + 90, scale, offset, thresholds, 3, to->probabilities, to->positive);
}

static inline int scene_union(const scene *s, answers *to) {
    uint8_t a[SCENE_CELLS], b[SCENE_CELLS];
    for (size_t i = 0; i < SCENE_CELLS; i++) {
        a[i] = s->masks[i] > 0.5f;
        b[i] = s->masks[SCENE_CELLS + i] > 0.5f;
    }
    return cxr_mask_union(a, b, SCENE_CELLS, to->both);
}

typedef int (*scene_call)(const scene *, answers *);

static const scene_call scene_calls[] = {scene_clamped, scene_looked_up, scene_window, scene_clean, scene_mask,
                                         scene_map,     scene_measure,   scene_decide, scene_union};
#define SCENE_CALLS (sizeof scene_calls / sizeof scene_calls[0])

#endif
