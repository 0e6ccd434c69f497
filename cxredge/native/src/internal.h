/* What the files of the C core share; nothing here is public. */
#ifndef CXREDGE_INTERNAL_H
#define CXREDGE_INTERNAL_H

#include "cxredge.h"

#include <string.h>

/* -------- kernels: the inner loops that have vector variants (isa.c picks one) -------- */

/*
 * A linear window on the raw bits: x = (int16)((raw ^ flip) & mask), which orders as the stored values do; what is
 * added up is clamp(x, low, high) - low. Everything is whole numbers, so the sums are exact in any order.
 */
typedef struct clamp16 {
    uint16_t flip, mask;
    int16_t low, high;
} clamp16;

/* For each output position: `width` weights (a multiple of 4, padded with 0) for inputs from `first` on. */
typedef struct taps {
    size_t count, width;
    uint32_t *first;
    double *weights;
    uint32_t begin, end; /* the inputs that are used at all; `first` counts from `begin` */
} taps;

#define TAP_GROUP 4u

/*
 * Every variant gives the same bits:
 * clamp_rows  sums[c] += clamped value of (row r, column c), for all rows, or = where `fresh`; stored pixels are 16-bit
 *             in host order, and may lie at odd addresses. At least one row.
 * reduce      line[j] += share * ((s0 + s1) + (s2 + s3)), where s_l adds weights[4k + l] * sums[first + 4k + l] for
 *             rising k, each operation rounded by itself. `next` is where the stored pixels go on: a variant may have
 *             memory fetch what lies ahead while it computes. It never reads there.
 */
typedef struct kernels {
    const char *name;
    void (*clamp_rows)(int32_t *sums, const unsigned char *pixels, size_t row_bytes, size_t rows, size_t columns,
                       const clamp16 *window, int fresh);
    void (*reduce)(const int32_t *sums, const taps *columns, double share, double *line, const unsigned char *next);
} kernels;

extern const kernels cxr_kernels_plain, cxr_kernels_avx2, cxr_kernels_avx512, cxr_kernels_neon;

/* The variant that CXREDGE_ISA or the machine asks for. */
int cxr_kernels_choose(const kernels **chosen);

void cxr_plain_clamp_rows(int32_t *sums, const unsigned char *pixels, size_t row_bytes, size_t rows, size_t columns,
                          const clamp16 *window, int fresh);
void cxr_plain_reduce_from(size_t j, const int32_t *sums, const taps *columns, double share, double *line);

#if !defined(CXR_FORCE_PLAIN) && (defined(__x86_64__) || defined(_M_X64))
#define CXR_HAVE_X86 1
#endif
#if !defined(CXR_FORCE_PLAIN) && (defined(__aarch64__) || defined(_M_ARM64))
#define CXR_HAVE_NEON 1
#endif

/* -------- tone: one stored value to one display value -------- */

/* A display value as a whole number: 1 is 2^25, so that 32 of them fit an int32_t. */
#define DISPLAY_ONE 33554432.0
/* Rows that may be summed before the sums are reduced. */
#define MAX_PENDING 32u
/* A window with fractional ends is a weighted mean of at most this many windows with whole ends. */
#define MAX_PARTS 3u

typedef struct tone {
    cxr_plane_desc desc; /* with its own copies of the lookup tables */
    uint32_t shift, mask, sign;
    uint16_t *modality_table, *voi_table;

    /*
     * How sums become display values: their mean m gives (m + offset) * scale. The sums are those of `parts` windows,
     * one after another, each counting for `shares`; without windows (parts 0) they are of the table.
     */
    uint32_t parts;
    clamp16 windows[MAX_PARTS];
    double shares[MAX_PARTS];
    double offset, scale;
    int32_t *table; /* DISPLAY_ONE * display by (raw >> shift) & mask, for at most 16 bits; else NULL */
} tone;

int cxr_tone_init(tone *t, const cxr_plane_desc *desc);
/* Finds the ramp or fills the table: needed by cxr_tone_add only. */
int cxr_tone_prepare(tone *t);
void cxr_tone_free(tone *t);
/* The stored value of the bits that an image holds. */
int64_t cxr_stored_value(const tone *t, uint32_t raw);
/* The display value, 0..1, of one stored value: the reference that tables are filled from. */
double cxr_display_value(const tone *t, int64_t stored);
/* The modality value of one stored value. */
double cxr_modality_value(const tone *t, int64_t stored);
/* How many rows of `stride` sums cxr_tone_add fills: one for each window, or one. */
uint32_t cxr_tone_parts(const tone *t);
/* Adds `columns` pixels of each row to the sums, or where `fresh` begins them. */
void cxr_tone_add(const tone *t, const kernels *k, int32_t *sums, size_t stride, const unsigned char *pixels,
                  size_t row_bytes, size_t rows, size_t columns, int fresh);

/* -------- description, geometry -------- */

/* Handshake, limits, bits, modality: what a window needs of a description. */
int cxr_check_pixels(const cxr_plane_desc *desc);
/* All of it. */
int cxr_check_plane(const cxr_plane_desc *desc);
/* Bytes of one row of stored pixels; `desc` is checked. */
size_t cxr_row_bytes(const cxr_plane_desc *desc);

int cxr_taps_init(taps *t, double low, double high, uint32_t inputs, uint32_t outputs);
void cxr_taps_free(taps *t);

int cxr_is_box(const cxr_box *box);
int cxr_is_placement(const cxr_placement *placement);

static inline uint32_t cxr_load16(const unsigned char *p) {
    uint16_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline uint32_t cxr_load32(const unsigned char *p) {
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* One raw pixel in host order. */
static inline uint32_t cxr_load(const unsigned char *p, uint32_t bits) {
    return bits == 8 ? *p : bits == 16 ? cxr_load16(p) : cxr_load32(p);
}

static inline int cxr_host_is_big_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

/* Copies `bytes` of stored pixels with the bytes of each pixel reversed. */
void cxr_swap_pixels(unsigned char *to, const unsigned char *from, size_t bytes, uint32_t bits);

#endif
