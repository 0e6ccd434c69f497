/*
 * Areas, the ratio, and masks and maps in the size of the image: finite numbers within their bounds, areas as a sum
 * over pixels gives them, and the mask where the map of the same values reaches 0.5.
 */
#include "fuzz.h"

long fuzz_reached;

typedef struct scene {
    uint32_t rows, columns, image_rows, image_columns;
    size_t cells, pixels;
    float *values; /* three masks */
    int finite;
    cxr_placement placement;
    cxr_box box;
} scene;

static void take_box(bytes *b, cxr_box *box) {
    uint32_t kind = take_u8(b);
    const cxr_box whole = {0, 0, 1, 1};
    if (kind % 4 == 0) {
        *box = whole;
        return;
    }
    double *sides[4] = {&box->left, &box->right, &box->top, &box->bottom};
    for (size_t i = 0; i < 4; i += 2) {
        double a = kind % 4 == 3 ? take_double(b) : take_u16(b) / 65535.0;
        double c = kind % 4 == 3 ? take_double(b) : take_u16(b) / 65535.0;
        *sides[i] = fmin(a, c);
        *sides[i + 1] = fmax(a, c);
    }
}

static void take_scene(bytes *b, scene *s) {
    s->rows = take_size(b, 32);
    s->columns = take_size(b, 40);
    s->image_rows = take_size(b, 60);
    s->image_columns = take_size(b, 60);
    s->cells = (size_t)s->rows * s->columns;
    s->pixels = (size_t)s->image_rows * s->image_columns;
    uint32_t fit = take_u8(b) % 4;
    if (fit == 3) {
        take_box(b, &s->placement.source);
        take_box(b, &s->placement.plane);
    } else {
        MUST(cxr_place(s->image_rows, s->image_columns, s->rows, s->columns, (int)fit, &s->placement) == CXR_OK);
    }
    take_box(b, &s->box);
    uint32_t kind = take_u8(b) % 3;
    s->values = buffer(3 * s->cells * sizeof *s->values);
    s->finite = 1;
    for (size_t i = 0; i < 3 * s->cells; i++) {
        s->values[i] = kind == 0   ? (float)(take_u8(b) & 1)
                       : kind == 1 ? (float)take_u8(b) / 255
                                   : float_of(take_u32(b));
        if (!isfinite(s->values[i]))
            s->finite = 0;
    }
}

/* -------- what must hold -------- */

static double overlap(double a, double b, double low, double high) {
    double length = fmin(b, high) - fmax(a, low);
    return length > 0 ? length : 0;
}

/* Of the image's area: pixel by pixel. */
static double share_of(const scene *s, const float *mask) {
    const cxr_box *plane = &s->placement.plane, *source = &s->placement.source;
    double left = plane->left * s->columns, right = plane->right * s->columns, top = plane->top * s->rows,
           bottom = plane->bottom * s->rows, sum = 0;
    for (uint32_t y = 0; y < s->rows; y++) {
        for (uint32_t x = 0; x < s->columns; x++) {
            double part = overlap(x, x + 1.0, left, right) * overlap(y, y + 1.0, top, bottom);
            sum += mask[y * s->columns + x] >= 0.5f ? part / (right - left) / (bottom - top) : 0;
        }
    }
    return sum * (source->right - source->left) * (source->bottom - source->top);
}

static int measure(const scene *s, cxr_measures *m) {
    return cxr_measure(s->values, s->rows, s->columns, &s->placement, s->image_rows, s->image_columns, m);
}

static void check_measures(const scene *s) {
    cxr_measures m;
    memset(&m, UNTOUCHED, sizeof m);
    int status = measure(s, &m);
    must_be_listed(status);
    if (status != CXR_OK) {
        must_be_untouched(&m, sizeof m);
        return;
    }
    fuzz_reached++;
    const double shares[] = {m.left_lung_share, m.right_lung_share, m.heart_share};
    const double areas[] = {m.left_lung, m.right_lung, m.heart};
    for (size_t i = 0; i < 3; i++) {
        MUST(shares[i] >= 0 && shares[i] <= 1 + 1e-9);
        MUST(fabs(areas[i] - shares[i] * (double)s->pixels) <= 1e-9 * (double)s->pixels);
        MUST(fabs(shares[i] - share_of(s, s->values + i * s->cells)) < 1e-9);
    }
    MUST(m.cardiothoracic_ratio == -1 || (m.cardiothoracic_ratio >= 0 && isfinite(m.cardiothoracic_ratio)));
    /* The ratio needs all three. */
    MUST(m.cardiothoracic_ratio == -1 || (shares[0] > 0 && shares[1] > 0 && shares[2] > 0));
}

static void bounds(const scene *s, double *low, double *high) {
    *low = *high = 0; /* outside the box it is 0 */
    for (size_t i = 0; i < s->cells; i++) {
        *low = fmin(*low, s->values[i]);
        *high = fmax(*high, s->values[i]);
    }
}

static int to_map(const scene *s, const cxr_box *box, float *map) {
    return cxr_native_map(s->values, s->rows, s->columns, box, &s->placement, s->image_rows, s->image_columns, map);
}

static void check_map(const scene *s) {
    float *map = buffer(s->pixels * sizeof *map);
    double low, high;
    int status = to_map(s, &s->box, map);
    must_be_listed(status);
    bounds(s, &low, &high);
    for (size_t i = 0; status == CXR_OK && s->finite && i < s->pixels; i++) {
        double slack = 1e-6 * (high - low);
        MUST(map[i] >= low - slack && map[i] <= high + slack);
    }
    if (status != CXR_OK)
        must_be_untouched(map, s->pixels * sizeof *map);
    free(map);
}

static void check_mask(const scene *s) {
    const cxr_box whole = {0, 0, 1, 1};
    uint8_t *mask = buffer(s->pixels);
    float *map = buffer(s->pixels * sizeof *map);
    int status = cxr_native_mask(s->values, s->rows, s->columns, &s->placement, s->image_rows, s->image_columns, mask);
    double low, high;
    bounds(s, &low, &high);
    must_be_listed(status);
    MUST(to_map(s, &whole, map) == status);
    for (size_t i = 0; status == CXR_OK && i < s->pixels; i++) {
        MUST(mask[i] <= 1);
        MUST(!s->finite || fabs(map[i] - 0.5) <= 1e-6 * (1 + high - low) || mask[i] == (map[i] >= 0.5f));
    }
    if (status != CXR_OK)
        must_be_untouched(mask, s->pixels);
    free(map);
    free(mask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, size};
    scene s;
    take_scene(&b, &s);
    check_measures(&s);
    check_map(&s);
    check_mask(&s);
    free(s.values);
    return 0;
}
