/*
 * What the fuzz targets of the C core share: numbers and pixels out of the fuzzer's bytes, and what must always hold.
 *
 * A target is LLVMFuzzerTestOneInput. Every number is taken from the front of the bytes, little endian, in the order
 * in which the target asks for it, and is 0 where they have run out; seeds.py writes its inputs the same way.
 */
#ifndef CXREDGE_FUZZ_H
#define CXREDGE_FUZZ_H

#include "cxredge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern long fuzz_reached; /* inputs that came to a result, not to a refusal: replay.c asks */

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* -------- numbers out of bytes -------- */

typedef struct bytes {
    const uint8_t *at;
    size_t left;
} bytes;

static inline uint64_t take(bytes *b, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count && b->left > 0; i++, b->left--)
        value |= (uint64_t)*b->at++ << 8 * i;
    return value;
}

static inline uint32_t take_u8(bytes *b) {
    return (uint32_t)take(b, 1);
}

static inline uint32_t take_u16(bytes *b) {
    return (uint32_t)take(b, 2);
}

static inline uint32_t take_u32(bytes *b) {
    return (uint32_t)take(b, 4);
}

/* 1..most */
static inline uint32_t take_size(bytes *b, uint32_t most) {
    return 1 + take_u16(b) % most;
}

static inline double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A double by its bits, a whole number, a fraction or a power of two: by its first byte. */
static inline double take_double(bytes *b) {
    switch (take_u8(b) % 4) {
    case 0:
        return double_of(take(b, 8));
    case 1:
        return (int16_t)take_u16(b);
    case 2:
        return (int32_t)take_u32(b) / 65536.0;
    default:
        return ldexp(1, (int8_t)take_u8(b) * 8);
    }
}

/* Fills `to` with what is left, and behind it with numbers that follow from the input. */
static inline void take_rest(bytes *b, void *to, size_t count) {
    uint8_t *out = to;
    uint32_t state = (uint32_t)b->left * 2654435761u + (uint32_t)count;
    size_t given = b->left < count ? b->left : count;
    for (size_t i = 0; i < given; i++)
        state = state * 31 + b->at[i];
    if (given > 0)
        memcpy(out, b->at, given);
    b->at += given;
    b->left -= given;
    for (size_t i = given; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = (uint8_t)(state >> 24);
    }
}

/* -------- memory: every buffer is one of its own, of exactly the size that was promised, so that ASan sees its ends --
 */

#define UNTOUCHED 0xa5

static inline void *buffer(size_t size) {
    void *made = malloc(size > 0 ? size : 1);
    MUST(made != NULL);
    memset(made, UNTOUCHED, size);
    return made;
}

static inline void must_be_untouched(const void *memory, size_t size) {
    const uint8_t *p = memory;
    for (size_t i = 0; i < size; i++)
        MUST(p[i] == UNTOUCHED);
}

/* -------- what holds for every call -------- */

static inline void must_be_listed(int status) {
    MUST(strcmp(cxr_status_name(status), "CXR_ERR_UNKNOWN") != 0);
    MUST(status != CXR_ERR_ISA && status != CXR_ERR_MEMORY);
}

static inline void must_be_unit(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        MUST(values[i] >= 0 && values[i] <= 1); /* NaN fails */
}

/* -------- variants of the inner loops -------- */

static const char *const fuzz_variants[] = {"plain", "avx2", "avx512", "neon"};
#define FUZZ_VARIANTS (sizeof fuzz_variants / sizeof fuzz_variants[0])

/* Whether this machine can run the variant, which then is the one that runs. */
static inline int force_variant(size_t i) {
    const char *name;
    MUST(setenv("CXREDGE_ISA", fuzz_variants[i], 1) == 0);
    int status = cxr_isa(&name);
    MUST(status == CXR_ERR_ISA || (status == CXR_OK && strcmp(name, fuzz_variants[i]) == 0));
    return status == CXR_OK;
}

static inline void free_variant(void) {
    MUST(unsetenv("CXREDGE_ISA") == 0);
}

#endif
