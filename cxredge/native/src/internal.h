/* What the files of the C core share; nothing here is public. */
#ifndef CXREDGE_INTERNAL_H
#define CXREDGE_INTERNAL_H

#include "cxredge.h"

#include <string.h>

/* -------- kernels: the inner loops that have vector variants (isa.c picks one) -------- */

/*
 * A linear window in units of the raw value: x = (raw ^ flip) & mask, t = clamp(x - base, low, high).
 * The flip turns two's complement into offset binary, so that one unsigned comparison order serves both signs.
 */
typedef struct ramp {
    uint16_t flip, mask;
    float base, low, high;
} ramp;

/* For each output position: `width` weights (a multiple of 4, padded with 0) for inputs from `first` on. */
typedef struct taps {
    size_t count, width;
    uint32_t *first;
    double *weights;
    uint32_t begin, end; /* the inputs that are used at all; `first` counts from `begin` */
} taps;

#define TAP_GROUP 4u

/*
 * Every variant does the same float operations in the same order, so all give the same bits:
 * ramp_rows  sums[c] += weight * t(row r, column c), rows in order; stored pixels are 16-bit in host order, and may lie
 *            at odd addresses.
 * reduce     line[j] += (s0 + s2) + (s1 + s3), where s_l adds weights[4k + l] * sums[first + 4k + l] for rising k.
 */
typedef struct kernels {
    const char *name;
    void (*ramp_rows)(float *sums, const unsigned char *pixels, size_t row_bytes, size_t rows, size_t columns,
                      const ramp *window, float weight);
    void (*reduce)(const float *sums, const taps *columns, double *line);
} kernels;

extern const kernels cxr_kernels_plain, cxr_kernels_avx2, cxr_kernels_avx512, cxr_kernels_neon;

/* The variant that CXREDGE_ISA or the machine asks for. */
int cxr_kernels_choose(const kernels **chosen);

void cxr_plain_ramp_rows(float *sums, const unsigned char *pixels, size_t row_bytes, size_t rows, size_t columns,
                         const ramp *window, float weight);

#if !defined(CXR_FORCE_PLAIN) && (defined(__x86_64__) || defined(_M_X64))
#define CXR_HAVE_X86 1
#endif
#if !defined(CXR_FORCE_PLAIN) && (defined(__aarch64__) || defined(_M_ARM64))
#define CXR_HAVE_NEON 1
#endif

/* -------- tone: one stored value to one display value -------- */

typedef struct tone {
    cxr_plane_desc desc; /* with its own copies of the lookup tables */
    uint32_t shift, mask, sign;
    uint16_t *modality_table, *voi_table;
    int has_ramp;
    ramp window;  /* if has_ramp: display = (t - window.low) * scale, or 1 - that if falling */
    double scale; /* if has_ramp */
    int falling;  /* if has_ramp */
    float *table; /* display by (raw >> shift) & mask, for at most 16 bits without a ramp; else NULL */
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
/* sums[c] += weight * display (or t) of `columns` pixels of one row. */
void cxr_tone_add(const tone *t, const kernels *k, float *sums, const unsigned char *pixels, size_t row_bytes,
                  size_t rows, size_t columns, float weight);

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
