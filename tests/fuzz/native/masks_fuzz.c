/*
 * cxr_mask_clean against a flood fill that looks at pixels one by one; cleaning twice changes nothing more; what is not
 * a number is refused and left alone. cxr_mask_union in place and apart.
 */
#include "fuzz.h"

long fuzz_reached;

typedef struct mask {
    uint32_t rows, columns, count;
    float *values;
} mask;

/* Bits, bytes as shares of 255, or floats by their bits. */
static void take_values(bytes *b, float *values, uint32_t count) {
    uint32_t kind = take_u8(b) % 4, bits = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kind <= 1) {
            bits = i % 8 == 0 ? take_u8(b) : bits >> 1;
            values[i] = (float)(bits & 1);
        } else {
            values[i] = kind == 2 ? (float)take_u8(b) / 255 : float_of(take_u32(b));
        }
    }
}

/* -------- the reference -------- */

#define INSIDE 1
#define SEEN 2

/* Marks the component of `start` among the pixels of `kind` and tells its size; `edge` whether it lies at the border.
 */
static uint32_t flood(const mask *m, uint8_t *marks, uint32_t start, int kind, int diagonals, uint32_t *queue,
                      int *edge) {
    uint32_t done = 0, known = 1;
    queue[0] = start;
    marks[start] |= SEEN;
    *edge = 0;
    for (; done < known; done++) {
        int64_t y = queue[done] / m->columns, x = queue[done] % m->columns;
        *edge |= y == 0 || x == 0 || y + 1 == m->rows || x + 1 == m->columns;
        for (int n = 0; n < 9; n++) {
            int64_t to_y = y + n / 3 - 1, to_x = x + n % 3 - 1;
            if (to_y < 0 || to_x < 0 || to_y >= m->rows || to_x >= m->columns || (!diagonals && n % 2 == 0))
                continue;
            uint32_t to = (uint32_t)(to_y * m->columns + to_x);
            if (marks[to] == kind) {
                marks[to] |= SEEN;
                queue[known++] = to;
            }
        }
    }
    return known;
}

static void forget(uint8_t *marks, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        marks[i] &= INSIDE;
}

/* Every pixel of the queue belongs to another structure, or to a hole in this one. */
static void set(const uint32_t *queue, uint32_t known, uint8_t value, float *values, uint8_t *marks) {
    for (uint32_t i = 0; i < known; i++) {
        values[queue[i]] = value;
        marks[queue[i]] = value;
    }
}

static void reference_clean(const mask *m, float *values, uint8_t *marks) {
    uint32_t *queue = buffer(m->count * sizeof *queue), best = m->count, most = 0;
    int edge;
    for (uint32_t i = 0; i < m->count; i++)
        marks[i] = values[i] >= 0.5f;
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t size = marks[i] == INSIDE ? flood(m, marks, i, INSIDE, 1, queue, &edge) : 0;
        best = size > most ? i : best;
        most = size > most ? size : most;
    }
    forget(marks, m->count);
    if (best < m->count)
        flood(m, marks, best, INSIDE, 1, queue, &edge);
    for (uint32_t i = 0; i < m->count; i++) {
        if (marks[i] == INSIDE) /* not reached from the largest */
            set(&i, 1, 0, values, marks);
    }
    forget(marks, m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t known = marks[i] == 0 ? flood(m, marks, i, 0, 0, queue, &edge) : 0;
        if (known > 0 && !edge)
            set(queue, known, 1, values, marks);
    }
    forget(marks, m->count);
    free(queue);
}

/* -------- what must hold -------- */

static void check_clean(const mask *m) {
    size_t bytes_of_values = m->count * sizeof(float);
    float *got = buffer(bytes_of_values), *wanted = buffer(bytes_of_values);
    uint8_t *binary = buffer(m->count), *marks = buffer(m->count), *again = buffer(m->count);
    int finite = 1;
    for (uint32_t i = 0; i < m->count; i++)
        finite &= isfinite(m->values[i]) != 0;
    memcpy(got, m->values, bytes_of_values);
    memcpy(wanted, m->values, bytes_of_values);
    MUST(cxr_mask_clean(got, m->rows, m->columns, binary) == (finite ? CXR_OK : CXR_ERR_ARGUMENT));
    if (finite) {
        fuzz_reached++;
        reference_clean(m, wanted, marks);
        MUST(memcmp(binary, marks, m->count) == 0);
        MUST(cxr_mask_clean(got, m->rows, m->columns, again) == CXR_OK);
        MUST(memcmp(binary, again, m->count) == 0);
    } else {
        must_be_untouched(binary, m->count);
    }
    MUST(memcmp(got, wanted, bytes_of_values) == 0);
    free(again);
    free(marks);
    free(binary);
    free(wanted);
    free(got);
}

static void check_union(bytes *b, uint32_t count) {
    uint8_t *a = buffer(count), *c = buffer(count), *apart = buffer(count);
    take_rest(b, a, count);
    for (uint32_t i = 0; i < count; i++)
        c[i] = a[count - 1 - i] & 1;
    MUST(cxr_mask_union(a, c, count, apart) == CXR_OK);
    for (uint32_t i = 0; i < count; i++)
        MUST(apart[i] == (a[i] != 0 || c[i] != 0));
    MUST(cxr_mask_union(a, c, count, c) == CXR_OK); /* in place */
    MUST(memcmp(c, apart, count) == 0);
    free(apart);
    free(c);
    free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, size};
    mask m = {take_size(&b, 48), take_size(&b, 80), 0, NULL};
    m.count = m.rows * m.columns;
    m.values = buffer(m.count * sizeof *m.values);
    take_values(&b, m.values, m.count);
    check_clean(&m);
    check_union(&b, m.count);
    free(m.values);
    return 0;
}
