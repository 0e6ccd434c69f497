/* Every variant of the inner loops that this machine can run, against the plain one, bit by bit. */
#include "internal.h"
#include "test.h"

#define ROWS 19
#define COLUMNS 203
#define ROW_BYTES (COLUMNS * 2 + 3) /* odd, so that rows lie at odd addresses */

static unsigned char pixels[ROWS * ROW_BYTES + 1];

static int choose(const char *name, const kernels **variant) {
    const kernels *all[] = {
        &cxr_kernels_plain,
#if defined(CXR_HAVE_X86)
        &cxr_kernels_avx2,
        &cxr_kernels_avx512,
#endif
#if defined(CXR_HAVE_NEON)
        &cxr_kernels_neon,
#endif
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i]->name, name) == 0)
            *variant = all[i];
    }
    return *variant != NULL;
}

static void test_clamp(const kernels *k, const clamp16 *window, size_t rows, size_t columns, int fresh) {
    int32_t expected[COLUMNS], got[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++)
        expected[c] = got[c] = (int32_t)c * 1000;
    cxr_kernels_plain.clamp_rows(expected, pixels + 1, ROW_BYTES, rows, columns, window, fresh);
    k->clamp_rows(got, pixels + 1, ROW_BYTES, rows, columns, window, fresh);
    CHECK(memcmp(expected, got, sizeof got) == 0);
    CHECK(columns == COLUMNS || got[columns] == (int32_t)columns * 1000);
}

static void test_clamps(const kernels *k) {
    static const clamp16 windows[] = {
        {0, 0x0fff, 0, 4095},       {0, 0x0fff, 17, 3000},        {0x8000, 0xffff, -32768, 32767},
        {0, 0xffff, -30000, 20000}, {0x0800, 0x0fff, 2000, 2001}, {0x8000, 0xfff0, -5, 5},
        {0, 0xffff, 32000, 32767},  {0, 0xffff, -32768, -32000},  {0, 0xfff, 0, 5461},
        {0, 0x3fff, 0, 16383},
    };
    static const size_t widths[] = {1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, COLUMNS};
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
        for (size_t c = 0; c < sizeof widths / sizeof widths[0]; c++) {
            for (size_t rows = 1; rows <= ROWS; rows++)
                test_clamp(k, &windows[w], rows, widths[c], (int)(rows % 2));
        }
    }
}

static void test_reduce(const kernels *k, double low, double high, uint32_t outputs) {
    taps t;
    CHECK_STATUS(cxr_taps_init(&t, low, high, COLUMNS, outputs), CXR_OK);
    int32_t *sums = calloc(COLUMNS + t.width, sizeof *sums);
    double *expected = calloc(2 * outputs, sizeof *expected), *got = expected + outputs;
    CHECK(sums != NULL && expected != NULL);
    unsigned state = 7;
    for (size_t i = 0; i < COLUMNS; i++)
        sums[i] = (int32_t)(test_random(&state) << 6);
    for (int times = 0; times < 2; times++) {
        cxr_kernels_plain.reduce(sums, &t, 0.3, expected, pixels);
        k->reduce(sums, &t, 0.3, got, pixels);
    }
    CHECK(memcmp(expected, got, outputs * sizeof *got) == 0);
    free(sums);
    free(expected);
    cxr_taps_free(&t);
}

static void test_variant(const char *name, int available) {
    const kernels *k = NULL;
    if (!available || !choose(name, &k)) {
        printf("%s: not on this machine\n", name);
        return;
    }
    test_clamps(k);
    for (uint32_t outputs = 1; outputs < 400; outputs += 13) {
        test_reduce(k, 0, COLUMNS, outputs);
        test_reduce(k, 3.25, 150.7, outputs);
    }
    printf("%s: compared\n", name);
}

int main(void) {
    unsigned state = 1;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (unsigned char)test_random(&state);
#if defined(CXR_HAVE_X86) && !defined(_MSC_VER)
    __builtin_cpu_init();
    test_variant("avx2", __builtin_cpu_supports("avx2") != 0);
    test_variant("avx512", __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"));
#endif
    test_variant("neon", 1);
    return test_failures != 0;
}
