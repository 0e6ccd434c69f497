/* Geometry and decisions: placements that the core itself takes, probabilities of 0..1 that fit their decisions. */
#include "fuzz.h"

#define MOST 16u

long fuzz_reached;

static void check_box(const cxr_box *box) {
    MUST(box->left >= 0 && box->left < box->right && box->right <= 1);
    MUST(box->top >= 0 && box->top < box->bottom && box->bottom <= 1);
}

static void must_be_whole(double fraction, uint32_t length) {
    double exact = fraction * length;
    MUST(fabs(exact - floor(exact + 0.5)) <= 1e-15 * length + 1e-9);
}

/* An image of this size, placed so, is one that a plane is made of. */
static void check_taken(uint32_t rows, uint32_t columns, uint32_t plane_rows, uint32_t plane_columns,
                        const cxr_placement *p) {
    cxr_plane_desc desc;
    cxr_plane *plane = NULL;
    if (rows > 4096 || columns > 4096 || plane_rows > 256 || plane_columns > 256)
        return;
    MUST(cxr_plane_desc_init(&desc, sizeof desc, CXR_ABI) == CXR_OK);
    desc.rows = rows;
    desc.columns = columns;
    desc.plane_rows = plane_rows;
    desc.plane_columns = plane_columns;
    desc.bits_allocated = desc.bits_stored = 8;
    desc.high_bit = 7;
    desc.center = desc.width = 256;
    desc.placement = *p;
    MUST(cxr_plane_create(&desc, &plane) == CXR_OK);
    cxr_plane_destroy(plane);
}

static void check_place(bytes *b) {
    uint32_t sizes[4];
    for (size_t i = 0; i < 4; i++)
        sizes[i] = take_u16(b) << take_u8(b) % 17; /* of every magnitude */
    int fit = (int8_t)take_u8(b);
    cxr_placement p;
    memset(&p, UNTOUCHED, sizeof p);
    int status = cxr_place(sizes[0], sizes[1], sizes[2], sizes[3], fit, &p);
    must_be_listed(status);
    if (status != CXR_OK) {
        must_be_untouched(&p, sizeof p);
        MUST(status == CXR_ERR_LIMIT || fit < 0 || fit > 2 || !sizes[0] || !sizes[1] || !sizes[2] || !sizes[3]);
        MUST(status != CXR_ERR_LIMIT || fit == CXR_FIT_CROP);
        MUST(status != CXR_ERR_LIMIT || sizes[0] > 65535 || sizes[1] > 65535 || sizes[2] > 8192 || sizes[3] > 8192);
        return;
    }
    fuzz_reached++;
    check_box(&p.source);
    check_box(&p.plane);
    must_be_whole(p.plane.left, sizes[3]);
    must_be_whole(p.plane.right, sizes[3]);
    must_be_whole(p.plane.top, sizes[2]);
    must_be_whole(p.plane.bottom, sizes[2]);
    check_taken(sizes[0], sizes[1], sizes[2], sizes[3], &p);
}

static void check_decide(bytes *b) {
    uint32_t count = take_u8(b) % (MOST + 1), plain = take_u8(b) & 1;
    float *logits = buffer(count * sizeof *logits);
    double *in[3], *probabilities = buffer(count * sizeof *probabilities);
    uint8_t *positive = buffer(count);
    int finite = 1;
    for (size_t i = 0; i < 3; i++)
        in[i] = buffer(count * sizeof **in);
    for (uint32_t i = 0; i < count; i++) {
        logits[i] = plain ? (float)(int16_t)take_u16(b) / 512 : float_of(take_u32(b));
        finite &= isfinite(logits[i]) != 0;
        for (size_t k = 0; k < 3; k++) {
            in[k][i] = plain ? (int16_t)take_u16(b) / 4096.0 : take_double(b);
            finite &= isfinite(in[k][i]) != 0;
        }
    }
    int status = cxr_decide(logits, in[0], in[1], in[2], count, probabilities, positive);
    MUST(status == (finite ? CXR_OK : CXR_ERR_ARGUMENT));
    for (uint32_t i = 0; finite && i < count; i++) {
        double x = in[0][i] * logits[i] + in[1][i], wanted = x < -700 ? 0 : 1 / (1 + exp(-x));
        MUST(probabilities[i] >= 0 && probabilities[i] <= 1 && positive[i] == (probabilities[i] >= in[2][i]));
        MUST(fabs(probabilities[i] - wanted) < 1e-14);
    }
    if (!finite) {
        must_be_untouched(probabilities, count * sizeof *probabilities);
        must_be_untouched(positive, count);
    }
    for (size_t i = 0; i < 3; i++)
        free(in[i]);
    free(positive);
    free(probabilities);
    free(logits);
}

static void check_names(int status) {
    MUST(strlen(cxr_status_name(status)) > 0 && strlen(cxr_status_code(status)) > 0);
    MUST(strlen(cxr_status_text(status)) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, size};
    check_place(&b);
    check_decide(&b);
    check_names((int)take_u32(&b));
    return 0;
}
