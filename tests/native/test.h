/* A test in C: CHECK says where it failed and goes on; the program's exit status is whether any did. */
#ifndef CXREDGE_TEST_H
#define CXREDGE_TEST_H

#include <stdio.h>
#include <stdlib.h>

static int test_failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            test_failures++;                                                                                           \
        }                                                                                                              \
    } while (0)

#define CHECK_STATUS(call, expected)                                                                                   \
    do {                                                                                                               \
        int got_ = (call);                                                                                             \
        if (got_ != (expected)) {                                                                                      \
            fprintf(stderr, "%s:%d: %s is %s\n", __FILE__, __LINE__, #call, cxr_status_name(got_));                    \
            test_failures++;                                                                                           \
        }                                                                                                              \
    } while (0)

/* The same numbers on every machine. */
static inline unsigned test_random(unsigned *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#endif
