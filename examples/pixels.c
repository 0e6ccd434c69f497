/*
 * From stored pixels to a network's input in C, with nothing but cxredge.h.
 *
 *     pixels                                          a drawn test image, 3000 x 2500
 *     pixels FILE ROWS COLUMNS BITS CENTER WIDTH      raw little-endian pixels, 16 bits allocated, BITS stored
 *
 * Prints a small picture of the plane. A DICOM file's pixels come from whatever reads DICOM in the host program.
 */
#include "cxredge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANE_ROWS = 256, PLANE_COLUMNS = 256, CHUNK = 1 << 20 };

static int report(const char *what, int status) {
    fprintf(stderr, "%s: %s (%s)\n", what, cxr_status_text(status), cxr_status_name(status));
    return EXIT_FAILURE;
}

static int describe(cxr_plane_desc *desc, uint32_t rows, uint32_t columns, uint32_t bits, double center, double width) {
    int status = cxr_plane_desc_init(desc, sizeof *desc, CXR_ABI);
    if (status != CXR_OK)
        return status;
    desc->rows = rows;
    desc->columns = columns;
    desc->bits_allocated = 16;
    desc->bits_stored = bits;
    desc->high_bit = bits - 1;
    desc->voi = CXR_VOI_LINEAR;
    desc->center = center;
    desc->width = width;
    desc->plane_rows = PLANE_ROWS;
    desc->plane_columns = PLANE_COLUMNS;
    return cxr_place(rows, columns, PLANE_ROWS, PLANE_COLUMNS, CXR_FIT_PAD, &desc->placement);
}

/* The image is never in memory as a whole: it goes through one buffer. */
static int feed_file(cxr_plane *plane, FILE *file) {
    unsigned char *chunk = malloc(CHUNK);
    int status = chunk != NULL ? CXR_OK : CXR_ERR_MEMORY;
    size_t bytes;
    while (status == CXR_OK && (bytes = fread(chunk, 1, CHUNK, file)) > 0)
        status = cxr_plane_feed(plane, chunk, bytes);
    free(chunk);
    return status;
}

/* A bright body with two dark discs for lungs, row by row. */
static int feed_drawing(cxr_plane *plane, uint32_t rows, uint32_t columns) {
    unsigned char *row = malloc((size_t)columns * 2);
    int status = row != NULL ? CXR_OK : CXR_ERR_MEMORY;
    for (uint32_t y = 0; status == CXR_OK && y < rows; y++) {
        for (uint32_t x = 0; x < columns; x++) {
            double v = (y + 0.5) / rows - 0.5, left = (x + 0.5) / columns - 0.3, right = left - 0.4;
            int lung = v * v / 4 + left * left < 0.03 || v * v / 4 + right * right < 0.03;
            unsigned value = lung ? 600 : 3200;
            row[2 * x] = (unsigned char)value;
            row[2 * x + 1] = (unsigned char)(value >> 8);
        }
        status = cxr_plane_feed(plane, row, (size_t)columns * 2);
    }
    free(row);
    return status;
}

static void print(const float *pixels) {
    for (int y = 0; y < PLANE_ROWS; y += 16) {
        for (int x = 0; x < PLANE_COLUMNS; x += 8)
            putchar(" .:-=+*#%@"[(int)(pixels[y * PLANE_COLUMNS + x] * 9.99f)]);
        putchar('\n');
    }
}

int main(int argc, char **argv) {
    if (argc != 1 && argc != 7) {
        fprintf(stderr, "usage: %s [FILE ROWS COLUMNS BITS CENTER WIDTH]\n", argv[0]);
        return 2;
    }
    const uint32_t rows = argc == 7 ? (uint32_t)strtoul(argv[2], NULL, 10) : 3000;
    const uint32_t columns = argc == 7 ? (uint32_t)strtoul(argv[3], NULL, 10) : 2500;
    const uint32_t bits = argc == 7 ? (uint32_t)strtoul(argv[4], NULL, 10) : 12;
    cxr_plane_desc desc;
    int status = describe(&desc, rows, columns, bits, argc == 7 ? strtod(argv[5], NULL) : 2048,
                          argc == 7 ? strtod(argv[6], NULL) : 4096);
    if (status != CXR_OK)
        return report("describing the image", status);
    cxr_plane *plane = NULL;
    status = cxr_plane_create(&desc, &plane);
    if (status != CXR_OK)
        return report("creating the plane", status);

    static float pixels[PLANE_ROWS * PLANE_COLUMNS];
    if (argc == 7) {
        FILE *file = fopen(argv[1], "rb");
        if (file == NULL) {
            fprintf(stderr, "cannot open %s\n", argv[1]);
            cxr_plane_destroy(plane);
            return EXIT_FAILURE;
        }
        status = feed_file(plane, file);
        fclose(file);
    } else {
        status = feed_drawing(plane, rows, columns);
    }
    if (status == CXR_OK)
        status = cxr_plane_finish(plane, pixels, PLANE_ROWS * PLANE_COLUMNS);
    cxr_plane_destroy(plane);
    if (status != CXR_OK)
        return report("reading the pixels", status);
    print(pixels);
    return EXIT_SUCCESS;
}
