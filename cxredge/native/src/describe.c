/* Checks of what a caller describes, and how an image is placed in the plane. */
#include "internal.h"

#include <math.h>

#define DEFAULT_MAX_SIDE 65535u
#define DEFAULT_MAX_PLANE 8192u
#define DEFAULT_MAX_BYTES (UINT64_C(4) << 30)
#define LEAST_SIDE (1.0 / 8589934592.0) /* 2^-33: half a pixel of the longest side that a uint32_t can tell */

int cxr_plane_desc_init(cxr_plane_desc *desc, size_t struct_size, uint32_t abi) {
    if (desc == NULL)
        return CXR_ERR_ARGUMENT;
    if (struct_size != sizeof *desc || abi != CXR_ABI)
        return CXR_ERR_ABI;
    memset(desc, 0, sizeof *desc);
    desc->struct_size = (uint32_t)sizeof *desc;
    desc->abi = CXR_ABI;
    desc->slope = 1.0;
    desc->placement.source.right = desc->placement.source.bottom = 1.0;
    desc->placement.plane.right = desc->placement.plane.bottom = 1.0;
    return CXR_OK;
}

static uint32_t limit(uint32_t chosen, uint32_t otherwise) {
    return chosen != 0 ? chosen : otherwise;
}

size_t cxr_row_bytes(const cxr_plane_desc *desc) {
    return (size_t)desc->columns * (desc->bits_allocated / 8);
}

static int check_handshake(const cxr_plane_desc *desc) {
    if (desc == NULL)
        return CXR_ERR_ARGUMENT;
    if (desc->struct_size != sizeof *desc || desc->abi != CXR_ABI)
        return CXR_ERR_ABI;
    for (size_t i = 0; i < sizeof desc->reserved / sizeof desc->reserved[0]; i++) {
        if (desc->reserved[i] != 0)
            return CXR_ERR_ARGUMENT;
    }
    return desc->limits.reserved == 0 ? CXR_OK : CXR_ERR_ARGUMENT;
}

static int check_bits(const cxr_plane_desc *desc) {
    if (desc->bits_allocated != 8 && desc->bits_allocated != 16 && desc->bits_allocated != 32)
        return CXR_ERR_ARGUMENT;
    if (desc->bits_stored < 1 || desc->bits_stored > desc->bits_allocated)
        return CXR_ERR_ARGUMENT;
    if (desc->high_bit + 1 < desc->bits_stored || desc->high_bit >= desc->bits_allocated)
        return CXR_ERR_ARGUMENT;
    return desc->is_signed <= 1 && desc->big_endian <= 1 && desc->inverted <= 1 ? CXR_OK : CXR_ERR_ARGUMENT;
}

static int check_size(const cxr_plane_desc *desc) {
    if (desc->rows == 0 || desc->columns == 0)
        return CXR_ERR_ARGUMENT;
    if (desc->rows > limit(desc->limits.max_rows, DEFAULT_MAX_SIDE) ||
        desc->columns > limit(desc->limits.max_columns, DEFAULT_MAX_SIDE))
        return CXR_ERR_LIMIT;
    uint64_t max_bytes = desc->limits.max_bytes != 0 ? desc->limits.max_bytes : DEFAULT_MAX_BYTES;
    uint64_t pixel_bytes = desc->bits_allocated / 8;
    if (max_bytes > SIZE_MAX)
        max_bytes = SIZE_MAX;
    /* By division, so that no product can overflow. */
    if (desc->columns > max_bytes / pixel_bytes / desc->rows)
        return CXR_ERR_LIMIT;
    return CXR_OK;
}

static int check_lut(const cxr_lut *lut) {
    if (lut->data == NULL || lut->count < 1 || lut->count > 65536 || lut->bits < 1 || lut->bits > 16)
        return CXR_ERR_ARGUMENT;
    return lut->reserved == 0 ? CXR_OK : CXR_ERR_ARGUMENT;
}

static int check_modality(const cxr_plane_desc *desc) {
    if (desc->modality == CXR_MODALITY_LUT)
        return check_lut(&desc->modality_lut);
    if (desc->modality != CXR_MODALITY_RESCALE)
        return CXR_ERR_ARGUMENT;
    /* Every modality value, and every difference of two, must be a finite number: all that follows counts on it. */
    double most = ldexp(fabs(desc->slope), (int)desc->bits_stored + 1) + fabs(desc->intercept);
    return isfinite(most) ? CXR_OK : CXR_ERR_ARGUMENT;
}

static int check_voi(const cxr_plane_desc *desc) {
    if (desc->voi == CXR_VOI_LUT)
        return check_lut(&desc->voi_lut);
    if (desc->voi > CXR_VOI_LUT || !isfinite(fabs(desc->center) + fabs(desc->width))) /* the window's ends */
        return CXR_ERR_ARGUMENT;
    return (desc->voi == CXR_VOI_LINEAR ? desc->width >= 1.0 : desc->width > 0.0) ? CXR_OK : CXR_ERR_ARGUMENT;
}

int cxr_check_pixels(const cxr_plane_desc *desc) {
    int status = check_handshake(desc);
    if (status == CXR_OK)
        status = check_bits(desc);
    if (status == CXR_OK)
        status = check_size(desc);
    return status == CXR_OK ? check_modality(desc) : status;
}

int cxr_check_plane(const cxr_plane_desc *desc) {
    int status = cxr_check_pixels(desc);
    if (status == CXR_OK)
        status = check_voi(desc);
    if (status != CXR_OK)
        return status;
    if (desc->plane_rows == 0 || desc->plane_columns == 0 || !cxr_is_placement(&desc->placement))
        return CXR_ERR_ARGUMENT;
    uint32_t most = limit(desc->limits.max_plane, DEFAULT_MAX_PLANE);
    if (desc->plane_rows > most || desc->plane_columns > most)
        return CXR_ERR_LIMIT;
    return desc->plane_columns <= SIZE_MAX / sizeof(double) / desc->plane_rows ? CXR_OK : CXR_ERR_LIMIT;
}

int cxr_is_box(const cxr_box *box) {
    /* Written so that a NaN fails. */
    return box->left >= 0 && box->top >= 0 && box->right <= 1 && box->bottom <= 1 &&
           box->right - box->left >= LEAST_SIDE && box->bottom - box->top >= LEAST_SIDE;
}

int cxr_is_placement(const cxr_placement *placement) {
    return cxr_is_box(&placement->source) && cxr_is_box(&placement->plane);
}

/* The span of `length` that `part` of it takes when centred; whole pixels, at least one. */
static void centre_pixels(double part, uint32_t length, double *low, double *high) {
    double pixels = floor(part * length + 0.5);
    pixels = pixels < 1 ? 1 : pixels > length ? length : pixels;
    double first = floor((length - pixels) / 2);
    *low = first / length;
    *high = (first + pixels) / length;
}

int cxr_place(uint32_t rows, uint32_t columns, uint32_t plane_rows, uint32_t plane_columns, int fit,
              cxr_placement *placement) {
    if (placement == NULL || rows == 0 || columns == 0 || plane_rows == 0 || plane_columns == 0)
        return CXR_ERR_ARGUMENT;
    cxr_placement p = {{0, 0, 1, 1}, {0, 0, 1, 1}};
    /* How wide the image is for its height, against the plane: above 1 it is too wide. */
    double wide = ((double)columns / rows) * ((double)plane_rows / plane_columns);
    if (fit == CXR_FIT_PAD) {
        if (wide > 1)
            centre_pixels(1 / wide, plane_rows, &p.plane.top, &p.plane.bottom);
        else
            centre_pixels(wide, plane_columns, &p.plane.left, &p.plane.right);
    } else if (fit == CXR_FIT_CROP) {
        double kept = wide > 1 ? 1 / wide : wide;
        double low = 0.5 - kept / 2, high = 0.5 + kept / 2;
        if (wide > 1) {
            p.source.left = low;
            p.source.right = high;
        } else {
            p.source.top = low;
            p.source.bottom = high;
        }
    } else if (fit != CXR_FIT_STRETCH) {
        return CXR_ERR_ARGUMENT;
    }
    if (!cxr_is_placement(&p))
        return CXR_ERR_LIMIT; /* next to nothing of the image would be left */
    *placement = p;
    return CXR_OK;
}
