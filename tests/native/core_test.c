/* The public header as a C host uses it: results that can be worked out by hand, and every refusal. */
#include "cxredge.h"
#include "test.h"

#include <math.h>
#include <string.h>

static cxr_plane_desc describe(uint32_t rows, uint32_t columns, uint32_t bits, uint32_t plane) {
    cxr_plane_desc desc;
    CHECK_STATUS(cxr_plane_desc_init(&desc, sizeof desc, CXR_ABI), CXR_OK);
    desc.rows = rows;
    desc.columns = columns;
    desc.bits_allocated = bits <= 8 ? 8 : bits <= 16 ? 16 : 32;
    desc.bits_stored = bits;
    desc.high_bit = bits - 1;
    desc.width = ldexp(1, (int)bits);
    desc.center = desc.width / 2;
    desc.plane_rows = desc.plane_columns = plane;
    return desc;
}

static int make(const cxr_plane_desc *desc, const void *data, size_t bytes, float *out, size_t count) {
    cxr_plane *plane = NULL;
    int status = cxr_plane_create(desc, &plane);
    if (status == CXR_OK)
        status = cxr_plane_feed(plane, data, bytes);
    if (status == CXR_OK)
        status = cxr_plane_finish(plane, out, count);
    cxr_plane_destroy(plane);
    return status;
}

static void test_average(void) {
    const unsigned char pixels[] = {0, 255, 255, 0, 0, 0, 51, 51, 102, 0, 51, 51, 204, 102, 255, 255};
    cxr_plane_desc desc = describe(4, 4, 8, 2);
    float out[4];
    CHECK_STATUS(make(&desc, pixels, sizeof pixels, out, 4), CXR_OK);
    /* 2 x 2 blocks: (0 + 255 + 0 + 0) / 4 and so on, of 255. */
    CHECK(fabs(out[0] - 0.25) < 1e-6 && fabs(out[1] - 357.0 / 4 / 255) < 1e-6);
    CHECK(fabs(out[2] - 408.0 / 4 / 255) < 1e-6 && fabs(out[3] - 612.0 / 4 / 255) < 1e-6);
}

static void test_fractions(void) {
    const unsigned char pixels[] = {0, 30, 60};
    cxr_plane_desc desc = describe(1, 3, 8, 2);
    desc.plane_rows = 1;
    float out[2];
    CHECK_STATUS(make(&desc, pixels, sizeof pixels, out, 2), CXR_OK);
    CHECK(fabs(out[0] - 15 / 1.5 / 255) < 1e-6 && fabs(out[1] - 75 / 1.5 / 255) < 1e-6);
}

static void test_every_row_of_a_large_image(void) {
    /* 1000 x 300 pixels, 12 of 16 bits, columns alike: each output row is the mean of its rows, whatever the variant.
     */
    static unsigned char pixels[1000 * 300 * 2];
    static float out[48 * 48];
    for (size_t r = 0; r < 1000; r++) {
        for (size_t c = 0; c < 300; c++) {
            unsigned value = (unsigned)(r * 4) | 0xf000; /* the upper bits belong to an overlay */
            pixels[2 * (r * 300 + c)] = (unsigned char)value;
            pixels[2 * (r * 300 + c) + 1] = (unsigned char)(value >> 8);
        }
    }
    cxr_plane_desc desc = describe(1000, 300, 12, 48);
    CHECK_STATUS(make(&desc, pixels, sizeof pixels, out, 48 * 48), CXR_OK);
    for (size_t i = 0; i < 48; i++) {
        double begin = 1000.0 / 48 * (double)i, end = 1000.0 / 48 * (double)(i + 1), sum = 0;
        for (int r = 0; r < 1000; r++) {
            double part = fmin(r + 1, end) - fmax(r, begin);
            sum += part > 0 ? part * r * 4 : 0;
        }
        for (size_t j = 0; j < 48; j++)
            CHECK(fabs(out[i * 48 + j] - sum / (end - begin) / 4095) < 1e-6);
    }
}

static void test_inversion_after_voi(void) {
    const unsigned char pixels[] = {0, 100, 255};
    cxr_plane_desc desc = describe(1, 3, 8, 3);
    desc.plane_rows = 1;
    desc.voi = CXR_VOI_SIGMOID;
    float plain[3], inverted[3];
    CHECK_STATUS(make(&desc, pixels, sizeof pixels, plain, 3), CXR_OK);
    desc.inverted = 1;
    CHECK_STATUS(make(&desc, pixels, sizeof pixels, inverted, 3), CXR_OK);
    for (int i = 0; i < 3; i++)
        CHECK(fabs(plain[i] + inverted[i] - 1) < 1e-6);
    CHECK(fabs(plain[1] - 1 / (1 + exp(-4 * (100.0 - 128) / 256))) < 1e-6);
}

static void test_deep_pixels(void) {
    const uint32_t values[] = {0, 1u << 22, (1u << 23) - 1, 1u << 23};
    unsigned char pixels[16];
    for (size_t i = 0; i < 16; i++)
        pixels[i] = (unsigned char)(values[i / 4] >> 8 * (3 - i % 4)); /* big endian */
    cxr_plane_desc desc = describe(2, 2, 24, 2);
    desc.big_endian = 1;
    float out[4];
    CHECK_STATUS(make(&desc, pixels, sizeof pixels, out, 4), CXR_OK);
    for (size_t i = 0; i < 4; i++)
        CHECK(fabs(out[i] - values[i] / 16777215.0) < 1e-6);
}

static void test_lut(void) {
    const uint16_t entries[] = {0, 7, 5, 15};
    const unsigned char pixels[] = {0, 10, 11, 12, 13, 200};
    const int expected[] = {0, 0, 7, 5, 15, 15};
    cxr_plane_desc desc = describe(1, 6, 8, 6);
    desc.plane_rows = 1;
    desc.voi = CXR_VOI_LUT;
    desc.voi_lut.data = entries;
    desc.voi_lut.count = 4;
    desc.voi_lut.first = 10;
    desc.voi_lut.bits = 4;
    float out[6];
    CHECK_STATUS(make(&desc, pixels, sizeof pixels, out, 6), CXR_OK);
    for (int i = 0; i < 6; i++)
        CHECK(lround(out[i] * 15.0) == expected[i]);
}

static void test_failures_are_final(const cxr_plane_desc *desc, const unsigned char *pixels) {
    float out[4];
    size_t count = 7;
    for (int excess = 0; excess < 2; excess++) {
        cxr_plane *plane = NULL;
        CHECK_STATUS(cxr_plane_create(desc, &plane), CXR_OK);
        if (excess)
            CHECK_STATUS(cxr_plane_feed(plane, pixels, 9), CXR_ERR_EXCESS);
        else
            CHECK_STATUS(cxr_plane_finish(plane, NULL, 4), CXR_ERR_ARGUMENT);
        CHECK_STATUS(cxr_plane_feed(plane, pixels, 8), CXR_ERR_STATE);
        CHECK_STATUS(cxr_plane_finish(plane, out, 4), CXR_ERR_STATE);
        CHECK_STATUS(cxr_plane_finish(plane, NULL, 4), CXR_ERR_STATE);
        CHECK_STATUS(cxr_plane_size(plane, &count), CXR_ERR_STATE);
        CHECK(count == 7);
        cxr_plane_destroy(plane);
    }
}

static void test_handle(void) {
    unsigned char pixels[8] = {0};
    float out[4];
    size_t count = 0;
    cxr_plane *plane = NULL;
    cxr_plane_desc desc = describe(2, 2, 16, 2);
    CHECK_STATUS(cxr_plane_create(&desc, &plane), CXR_OK);
    CHECK_STATUS(cxr_plane_size(plane, &count), CXR_OK);
    CHECK(count == 4);
    CHECK_STATUS(cxr_plane_feed(plane, pixels, 3), CXR_OK);
    CHECK_STATUS(cxr_plane_feed(plane, NULL, 0), CXR_OK);
    CHECK_STATUS(cxr_plane_feed(plane, pixels + 3, 5), CXR_OK);
    CHECK_STATUS(cxr_plane_finish(plane, out, 3), CXR_ERR_ROOM);
    CHECK_STATUS(cxr_plane_finish(plane, out, 4), CXR_OK);
    CHECK_STATUS(cxr_plane_finish(plane, out, 4), CXR_ERR_STATE);
    CHECK_STATUS(cxr_plane_feed(plane, pixels, 1), CXR_ERR_STATE);
    cxr_plane_destroy(plane);
    test_failures_are_final(&desc, pixels);
    CHECK_STATUS(make(&desc, pixels, 7, out, 4), CXR_ERR_TRUNCATED);
    CHECK_STATUS(make(&desc, pixels, 9, out, 4), CXR_ERR_EXCESS);
    CHECK_STATUS(cxr_plane_feed(NULL, pixels, 1), CXR_ERR_ARGUMENT);
    CHECK_STATUS(cxr_plane_finish(NULL, out, 4), CXR_ERR_ARGUMENT);
    CHECK_STATUS(cxr_plane_create(NULL, &plane), CXR_ERR_ARGUMENT);
    CHECK_STATUS(cxr_plane_create(&desc, NULL), CXR_ERR_ARGUMENT);
    cxr_plane_destroy(NULL);
}

static int refused(const cxr_plane_desc *desc) {
    cxr_plane *plane = (cxr_plane *)(void *)&test_failures; /* must become NULL */
    int status = cxr_plane_create(desc, &plane);
    CHECK(status != CXR_OK && plane == NULL);
    return status;
}

static void test_refusals(void) {
    const cxr_plane_desc good = describe(4, 4, 12, 4);
    cxr_plane_desc desc = good;
    CHECK_STATUS(cxr_plane_desc_init(&desc, sizeof desc - 8, CXR_ABI), CXR_ERR_ABI);
    CHECK_STATUS(cxr_plane_desc_init(&desc, sizeof desc, CXR_ABI + 1), CXR_ERR_ABI);
#define REFUSED(change, status)                                                                                        \
    do {                                                                                                               \
        desc = good;                                                                                                   \
        change;                                                                                                        \
        CHECK_STATUS(refused(&desc), status);                                                                          \
    } while (0)
    REFUSED(desc.abi = 2, CXR_ERR_ABI);
    REFUSED(desc.struct_size = 0, CXR_ERR_ABI);
    REFUSED(desc.reserved[3] = 1, CXR_ERR_ARGUMENT);
    REFUSED(desc.rows = 0, CXR_ERR_ARGUMENT);
    REFUSED(desc.rows = UINT32_MAX, CXR_ERR_LIMIT);
    REFUSED((desc.rows = desc.columns = 65535), CXR_ERR_LIMIT);
    REFUSED(desc.limits.max_rows = 3, CXR_ERR_LIMIT);
    REFUSED(desc.limits.max_bytes = 31, CXR_ERR_LIMIT);
    REFUSED(desc.plane_rows = 8193, CXR_ERR_LIMIT);
    REFUSED(desc.plane_rows = 0, CXR_ERR_ARGUMENT);
    REFUSED(desc.bits_allocated = 64, CXR_ERR_ARGUMENT);
    REFUSED(desc.bits_stored = 13, CXR_ERR_ARGUMENT);
    REFUSED(desc.high_bit = UINT32_MAX, CXR_ERR_ARGUMENT);
    REFUSED(desc.is_signed = 2, CXR_ERR_ARGUMENT);
    REFUSED(desc.slope = NAN, CXR_ERR_ARGUMENT);
    REFUSED(desc.width = 0.5, CXR_ERR_ARGUMENT);
    REFUSED(desc.voi = 9, CXR_ERR_ARGUMENT);
    REFUSED(desc.voi = CXR_VOI_LUT, CXR_ERR_ARGUMENT);
    REFUSED(desc.modality = 9, CXR_ERR_ARGUMENT);
    REFUSED(desc.placement.source.left = NAN, CXR_ERR_ARGUMENT);
    REFUSED(desc.placement.source.right = 1.5, CXR_ERR_ARGUMENT);
    REFUSED(desc.placement.plane.top = 0.1, CXR_ERR_ARGUMENT); /* between two pixels of the plane */
    REFUSED(desc.placement.source.right = 4e-323, CXR_ERR_ARGUMENT);
    /* Finite by themselves, but not what follows from them. */
    REFUSED(desc.slope = 1e306, CXR_ERR_ARGUMENT);
    REFUSED((desc.slope = 1e304, desc.intercept = 1.79e308), CXR_ERR_ARGUMENT);
    REFUSED((desc.center = 1e308, desc.width = 1e308), CXR_ERR_ARGUMENT);
    REFUSED((desc.limits.max_plane = desc.plane_rows = desc.plane_columns = UINT32_MAX), CXR_ERR_LIMIT);
#undef REFUSED
}

static void test_percentiles(void) {
    unsigned char pixels[100];
    for (int i = 0; i < 100; i++)
        pixels[i] = (unsigned char)(i * 37 % 100);
    cxr_plane_desc desc = describe(10, 10, 8, 4);
    double center = 0, width = 0;
    CHECK_STATUS(cxr_percentile_window(&desc, pixels, 100, 10, 90, &center, &width), CXR_OK);
    CHECK(center == 49.5 && width == 81); /* ranks 9 and 90 of 0..99 */
    CHECK_STATUS(cxr_percentile_window(&desc, pixels, 99, 10, 90, &center, &width), CXR_ERR_TRUNCATED);
    CHECK_STATUS(cxr_percentile_window(&desc, pixels, 100, 90, 10, &center, &width), CXR_ERR_ARGUMENT);
    CHECK_STATUS(cxr_percentile_window(&desc, pixels, 100, 0, NAN, &center, &width), CXR_ERR_ARGUMENT);
}

/* Far wider than it is high: where every other row would be looked at, the only one is. */
static void test_percentiles_of_few_rows(void) {
    enum { COLUMNS = 600000 };
    unsigned char *pixels = malloc(COLUMNS);
    cxr_plane_desc desc = describe(1, COLUMNS, 8, 4);
    desc.limits.max_columns = COLUMNS;
    double center = 0, width = 0;
    CHECK(pixels != NULL);
    for (int i = 0; pixels != NULL && i < COLUMNS; i++)
        pixels[i] = (unsigned char)(i < COLUMNS / 2 ? 10 : 50);
    CHECK_STATUS(cxr_percentile_window(&desc, pixels, COLUMNS, 10, 90, &center, &width), CXR_OK);
    CHECK(center == 30 && width == 40);
    free(pixels);
}

static void test_places(void) {
    cxr_placement p;
    CHECK_STATUS(cxr_place(65535, 1, 1, 8192, CXR_FIT_CROP, &p), CXR_OK); /* the most that the limits allow */
    CHECK(p.source.top < 0.5 && p.source.bottom > 0.5);
    CHECK_STATUS(cxr_place(UINT32_MAX, 1, 1, UINT32_MAX, CXR_FIT_CROP, &p), CXR_ERR_LIMIT);
    CHECK_STATUS(cxr_place(UINT32_MAX, 1, 1, UINT32_MAX, CXR_FIT_PAD, &p), CXR_OK);
    CHECK_STATUS(cxr_place(2, 2, 2, 0, CXR_FIT_PAD, &p), CXR_ERR_ARGUMENT);
    CHECK_STATUS(cxr_place(2, 2, 2, 2, 3, &p), CXR_ERR_ARGUMENT);
}

static void test_masks(void) {
    /* A ring with a hole, and an island that touches nothing. */
    float p[] = {0, .9f, .9f, .9f, 0, 0, 0, .9f, .1f, .9f, 0, .8f, 0, .9f, .9f, .9f, 0, .8f, 0, 0, 0, 0, 0, 0};
    uint8_t binary[24];
    CHECK_STATUS(cxr_mask_clean(p, 4, 6, binary), CXR_OK);
    CHECK(p[8] == 1 && binary[8] == 1 && p[11] == 0 && binary[17] == 0);
    int sum = 0;
    for (int i = 0; i < 24; i++)
        sum += binary[i];
    CHECK(sum == 9);
    p[0] = NAN;
    CHECK_STATUS(cxr_mask_clean(p, 4, 6, binary), CXR_ERR_ARGUMENT);
    CHECK_STATUS(cxr_mask_clean(p, 65536, 65536, binary), CXR_ERR_LIMIT);
}

static void test_measures(void) {
    const cxr_placement whole = {{0, 0, 1, 1}, {0, 0, 1, 1}};
    static float masks[3][10][20];
    for (int r = 2; r < 8; r++) {
        for (int c = 0; c < 20; c++) {
            masks[0][r][c] = c >= 12 && c < 18;
            masks[1][r][c] = c >= 2 && c < 8;
            masks[2][r][c] = r > 5 && c >= 8 && c < 13;
        }
    }
    cxr_measures m;
    CHECK_STATUS(cxr_measure(&masks[0][0][0], 10, 20, &whole, 100, 100, &m), CXR_OK);
    CHECK(fabs(m.left_lung - 36 * 50) < 1e-9 && fabs(m.right_lung_share - 0.18) < 1e-12);
    CHECK(fabs(m.cardiothoracic_ratio - 5.0 / 16) < 1e-9);
    memset(masks[1], 0, sizeof masks[1]);
    CHECK_STATUS(cxr_measure(&masks[0][0][0], 10, 20, &whole, 100, 100, &m), CXR_OK);
    CHECK(m.cardiothoracic_ratio == -1);
    /* A right lung that lies in the padding has no area, and so there is no ratio. */
    const cxr_placement padded = {{0, 0, 1, 1}, {0.4, 0, 1, 1}};
    for (int r = 2; r < 8; r++) {
        masks[1][r][7] = 0.9f;
        masks[1][r][8] = 0.4f;
    }
    CHECK_STATUS(cxr_measure(&masks[0][0][0], 10, 20, &padded, 100, 100, &m), CXR_OK);
    CHECK(m.right_lung == 0 && m.cardiothoracic_ratio == -1 && m.heart > 0);
    uint8_t native[40 * 80];
    CHECK_STATUS(cxr_native_mask(&masks[0][0][0], 10, 20, &whole, 40, 80, native), CXR_OK);
    CHECK(native[20 * 80 + 60] == 1 && native[20 * 80 + 40] == 0);
    CHECK_STATUS(cxr_native_mask(&masks[0][0][0], 10, 20, NULL, 40, 80, native), CXR_ERR_ARGUMENT);
}

static void test_decision(void) {
    const float logits[] = {0, 1000, -1000};
    const double scale[] = {1, 1, 1}, offset[] = {0, 0, 0}, thresholds[] = {0.5, 0.5, 0.5};
    double p[3];
    uint8_t positive[3];
    CHECK_STATUS(cxr_decide(logits, scale, offset, thresholds, 3, p, positive), CXR_OK);
    CHECK(p[0] == 0.5 && p[1] == 1 && p[2] == 0 && positive[0] == 1 && positive[1] == 1 && positive[2] == 0);
    CHECK_STATUS(cxr_decide(NULL, scale, offset, thresholds, 3, p, positive), CXR_ERR_ARGUMENT);
}

static void test_names(void) {
    CHECK(strcmp(cxr_status_name(CXR_ERR_LIMIT), "CXR_ERR_LIMIT") == 0);
    CHECK(strcmp(cxr_status_code(CXR_ERR_LIMIT), "too_large") == 0);
    CHECK(strcmp(cxr_status_name(999), "CXR_ERR_UNKNOWN") == 0);
    CHECK(strcmp(cxr_version(), CXR_VERSION) == 0 && cxr_abi() == CXR_ABI);
    const char *name = NULL;
    CHECK_STATUS(cxr_isa(&name), CXR_OK);
    printf("variant: %s\n", name != NULL ? name : "none");
}

int main(void) {
    test_average();
    test_fractions();
    test_every_row_of_a_large_image();
    test_inversion_after_voi();
    test_deep_pixels();
    test_lut();
    test_handle();
    test_refusals();
    test_percentiles();
    test_percentiles_of_few_rows();
    test_places();
    test_masks();
    test_measures();
    test_decision();
    test_names();
    if (test_failures > 0)
        fprintf(stderr, "%d checks failed\n", test_failures);
    return test_failures != 0;
}
