/*
 * cxredge: from the stored pixels of a chest radiograph to the input of a network, and from its outputs to a decision.
 *
 * This is the one public header of the C core. The core is C11, needs only libc and libm, holds no global state, starts
 * no thread, prints nothing and never aborts. It is what the Python package runs, so a C or C# host gets the same
 * numbers.
 *
 * RULES
 *   Status     Every function that can fail returns 0 (CXR_OK) or one of the statuses below; nothing is written to the
 *              outputs of a call that fails.
 *   Memory     The caller owns every buffer that it passes, and the core keeps no pointer to it after the call. The one
 *              thing that the core owns is a cxr_plane, made by cxr_plane_create and freed by cxr_plane_destroy.
 *   Sizes      Where a caller must provide room, a function says how much, and the room is checked before it is filled.
 *   Threads    One cxr_plane belongs to one thread at a time; everything else may be called from any thread.
 *   Layout     Images are row by row from the top, a row from left to right, without padding between rows.
 *   Strings    Returned strings are static ASCII, never freed.
 *   C#         Structs are plain and pack as C does (LayoutKind.Sequential); uint32_t is uint, size_t is nuint, and
 *              calls are cdecl.
 *
 * THE PIXEL PATH
 *     cxr_plane_desc desc;
 *     cxr_plane *plane = NULL;
 *     status = cxr_plane_desc_init(&desc, sizeof desc, CXR_ABI);
 *     desc.rows = 3000;  desc.columns = 2500;                     // (0028,0010), (0028,0011)
 *     desc.bits_allocated = 16;                                   // (0028,0100)
 *     desc.bits_stored = 12;  desc.high_bit = 11;                 // (0028,0101), (0028,0102)
 *     desc.center = 2048;  desc.width = 4096;                     // (0028,1050), (0028,1051)
 *     desc.plane_rows = desc.plane_columns = 256;                 // what the network takes
 *     status = cxr_place(desc.rows, desc.columns, 256, 256, CXR_FIT_PAD, &desc.placement);
 *     status = cxr_plane_create(&desc, &plane);
 *     while (there is more) status = cxr_plane_feed(plane, chunk, chunk_bytes);   // chunks of any length
 *     status = cxr_plane_finish(plane, output, 256 * 256);        // float, 0..1, bright = dense
 *     cxr_plane_destroy(plane);
 * examples/pixels.c is the whole program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CXREDGE_H
#define CXREDGE_H

#include <stddef.h>
#include <stdint.h>

/* A host that links the shared library on Windows defines CXR_SHARED; the static library needs nothing. */
#if defined(_WIN32) && defined(CXR_BUILDING)
#define CXR_API __declspec(dllexport)
#elif defined(_WIN32) && defined(CXR_SHARED)
#define CXR_API __declspec(dllimport)
#elif defined(__GNUC__) && defined(CXR_BUILDING)
#define CXR_API __attribute__((visibility("default")))
#else
#define CXR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the core, and of its binary interface: a caller compiled against another CXR_ABI is refused. */
#define CXR_VERSION "0.1.0"
#define CXR_ABI 1u

/*
 * Every status: name, number, the code of docs/codes.md that it is reported as, what it means.
 * The enum, the names and the exceptions of Python all derive from this list; numbers never change.
 */
#define CXR_STATUSES(X)                                                                                                \
    X(CXR_OK, 0, "ok", "success")                                                                                      \
    X(CXR_ERR_ABI, 1, "native_mismatch", "the caller was compiled against another version of cxredge.h")               \
    X(CXR_ERR_ARGUMENT, 2, "bad_argument", "an argument is missing, out of range or not a number")                     \
    X(CXR_ERR_MEMORY, 3, "out_of_memory", "there was not enough memory")                                               \
    X(CXR_ERR_LIMIT, 4, "too_large", "the image exceeds the limits of size")                                           \
    X(CXR_ERR_ROOM, 5, "native_failed", "the caller's buffer is too small")                                            \
    X(CXR_ERR_TRUNCATED, 6, "pixels_truncated", "fewer bytes were fed than the image has")                             \
    X(CXR_ERR_EXCESS, 7, "pixels_disagree_with_tags", "more bytes were fed than the image has")                        \
    X(CXR_ERR_STATE, 8, "native_failed", "the handle has failed or was finished before")                               \
    X(CXR_ERR_ISA, 9, "bad_argument", "CXREDGE_ISA names a variant that this machine or build does not have")

#define CXR_STATUS_ENUM(name, number, code, text) name = number,
typedef enum cxr_status { CXR_STATUSES(CXR_STATUS_ENUM) CXR_STATUS_FORCE_INT = 0x7fffffff } cxr_status;
#undef CXR_STATUS_ENUM

/* "CXR_ERR_LIMIT"; "CXR_ERR_UNKNOWN" for a number that is no status. */
CXR_API const char *cxr_status_name(int status);
/* The code that logs and JSON show: "too_large"; "internal" for a number that is no status. */
CXR_API const char *cxr_status_code(int status);
/* One line for a person, in English. */
CXR_API const char *cxr_status_text(int status);

/* CXR_VERSION and CXR_ABI of the library that runs. */
CXR_API const char *cxr_version(void);
CXR_API uint32_t cxr_abi(void);

/*
 * Which variant of the inner loops runs on this machine: "plain", "avx2", "avx512" or "neon". All give the same bits.
 * The environment variable CXREDGE_ISA forces one; CXR_ERR_ISA where it is unknown or cannot run here.
 */
CXR_API int cxr_isa(const char **name);

/* ------------------------------------------------------------------------------------------------------------------ */
/* Geometry */

/* A rectangle in fractions: 0, 0 is the top left corner of what it lies in, 1, 1 the bottom right. */
typedef struct cxr_box {
    double left, top, right, bottom;
} cxr_box;

/*
 * `source` of the image fills `plane` of the network's input plane; what lies outside `plane` is 0. No side of a box is
 * below 2^-33, half a pixel of the longest side that can be told.
 */
typedef struct cxr_placement {
    cxr_box source;
    cxr_box plane;
} cxr_placement;

/* How an image of another shape is fitted into the plane. */
typedef enum cxr_fit {
    CXR_FIT_STRETCH = 0, /* each axis by itself: the whole image fills the whole plane */
    CXR_FIT_PAD = 1,     /* shape kept, whole image, centred; bars of 0 at two sides */
    CXR_FIT_CROP = 2     /* shape kept, whole plane, centred; two sides of the image are cut off */
} cxr_fit;

/*
 * The placement of an image of rows x columns in a plane. `placement.plane` lies on pixel borders of the plane.
 * CXR_ERR_LIMIT where a crop would leave next to nothing of the image, as no image within the limits does.
 */
CXR_API int cxr_place(uint32_t rows, uint32_t columns, uint32_t plane_rows, uint32_t plane_columns, int fit,
                      cxr_placement *placement);

/* ------------------------------------------------------------------------------------------------------------------ */
/* From stored pixels to the plane */

/* A lookup table: inputs below `first` take the first entry, inputs beyond the table the last (PS3.3 C.11.1.1.1). */
typedef struct cxr_lut {
    const uint16_t *data;
    uint32_t count; /* entries: 1..65536 */
    int32_t first;  /* the input that the first entry is for */
    uint32_t bits;  /* bits of an entry, 1..16: a VOI LUT's entry divided by 2^bits - 1 is the display value */
    uint32_t reserved;
} cxr_lut;

typedef enum cxr_modality {
    CXR_MODALITY_RESCALE = 0, /* stored * slope + intercept (PS3.3 C.11.1.1.2) */
    CXR_MODALITY_LUT = 1
} cxr_modality;

typedef enum cxr_voi {
    CXR_VOI_LINEAR = 0,       /* PS3.3 C.11.2.1.2.1: width at least 1; 1 is a step */
    CXR_VOI_LINEAR_EXACT = 1, /* PS3.3 C.11.2.1.3.2: width above 0 */
    CXR_VOI_SIGMOID = 2,      /* PS3.3 C.11.2.1.3.1: width above 0 */
    CXR_VOI_LUT = 3           /* PS3.3 C.11.2.1.1; a fractional input goes to the nearest entry */
} cxr_voi;

/* What the core agrees to work on. Zero is the default of a field. */
typedef struct cxr_limits {
    uint32_t max_rows;    /* of the image; 65535 */
    uint32_t max_columns; /* of the image; 65535 */
    uint32_t max_plane;   /* rows or columns of the plane; 8192 */
    uint32_t reserved;
    uint64_t max_bytes; /* of the stored pixels; 4 GiB */
} cxr_limits;

/*
 * One image's stored pixels, what they mean, and the plane that is wanted.
 *
 * A stored value is (raw >> (high_bit + 1 - bits_stored)) & (2^bits_stored - 1), sign-extended where `is_signed`; bits
 * outside it (overlays) are ignored. It goes through the modality step, the VOI step, and where `inverted`
 * (MONOCHROME1) to 1 - value. The result is resized: an axis that shrinks by the average over the exact area that an
 * output pixel covers, an axis that grows by linear interpolation.
 */
typedef struct cxr_plane_desc {
    uint32_t struct_size; /* set by cxr_plane_desc_init */
    uint32_t abi;         /* set by cxr_plane_desc_init */
    uint32_t rows, columns;
    uint32_t bits_allocated; /* 8, 16 or 32 */
    uint32_t bits_stored;    /* 1..bits_allocated */
    uint32_t high_bit;       /* bits_stored - 1..bits_allocated - 1 */
    uint32_t is_signed;      /* 0 or 1, as all below */
    uint32_t big_endian;
    uint32_t inverted;
    uint32_t modality;       /* cxr_modality */
    uint32_t voi;            /* cxr_voi */
    double slope, intercept; /* CXR_MODALITY_RESCALE: 2^(bits_stored + 1) * |slope| + |intercept| is finite */
    double center, width;    /* every VOI but CXR_VOI_LUT, in modality units: |center| + width is finite */
    cxr_lut modality_lut;    /* CXR_MODALITY_LUT; read by cxr_plane_create only */
    cxr_lut voi_lut;         /* CXR_VOI_LUT; read by cxr_plane_create only */
    uint32_t plane_rows;     /* the network's input */
    uint32_t plane_columns;  /* the network's input */
    cxr_placement placement; /* as cxr_place gives it for this image, or for one that this is a reduction of */
    cxr_limits limits;
    uint64_t reserved[4]; /* must be 0 */
} cxr_plane_desc;

/* Fills `desc` with zeros, slope 1 and the whole image onto the whole plane. Pass sizeof(cxr_plane_desc), CXR_ABI. */
CXR_API int cxr_plane_desc_init(cxr_plane_desc *desc, size_t struct_size, uint32_t abi);

/* A plane in the making: it sees each stored pixel once, in order, and keeps a few rows. */
typedef struct cxr_plane cxr_plane;

/* Checks `desc` and makes *plane; on failure *plane is NULL. */
CXR_API int cxr_plane_create(const cxr_plane_desc *desc, cxr_plane **plane);

/*
 * The next `bytes` of stored pixels, in chunks of any length and alignment. More bytes than the image has are
 * CXR_ERR_EXCESS. A failure is final: every later call on this handle but cxr_plane_destroy returns CXR_ERR_STATE.
 */
CXR_API int cxr_plane_feed(cxr_plane *plane, const void *data, size_t bytes);

/* How many floats cxr_plane_finish writes: plane_rows * plane_columns. */
CXR_API int cxr_plane_size(const cxr_plane *plane, size_t *count);

/*
 * Writes the plane. CXR_ERR_TRUNCATED where bytes are missing: a partial image is never given out. CXR_ERR_ROOM where
 * `count` is below cxr_plane_size; only this failure leaves the handle usable.
 */
CXR_API int cxr_plane_finish(cxr_plane *plane, float *output, size_t count);

/* Frees the handle; NULL is allowed. */
CXR_API void cxr_plane_destroy(cxr_plane *plane);

/*
 * A window for an image that has none: the `low` and `high` percentiles (0 <= low < high <= 100) of the modality
 * values become 0 and 1, to be used with CXR_VOI_LINEAR_EXACT. Of an image above 262,144 pixels every k-th pixel of
 * every k-th row is looked at, and at least one. Ranks are counted from both ends alike, so that an inverted image gets
 * the inverted window. Where both percentiles are one value, the width is one step of the stored values. The VOI, plane
 * and placement fields of `desc` are not looked at. `data` is the whole image.
 */
CXR_API int cxr_percentile_window(const cxr_plane_desc *desc, const void *data, size_t bytes, double low, double high,
                                  double *center, double *width);

/* ------------------------------------------------------------------------------------------------------------------ */
/* From masks and maps to anatomy */

/*
 * Cleans one structure's mask in place and writes it as 0 and 1 to `binary`; both hold rows * columns. A pixel belongs
 * to the structure from 0.5 on. The largest component stays (8 neighbours; the first of equals); the pixels of
 * the others become 0; holes in it (background that does not reach the border by 4 neighbours) become 1.
 */
CXR_API int cxr_mask_clean(float *probabilities, uint32_t rows, uint32_t columns, uint8_t *binary);

/* out[i] = a[i] or b[i], for masks of 0 and 1; `out` may be `a` or `b`. */
CXR_API int cxr_mask_union(const uint8_t *a, const uint8_t *b, size_t count, uint8_t *out);

typedef struct cxr_measures {
    double left_lung, right_lung, heart;                   /* pixels of the image */
    double left_lung_share, right_lung_share, heart_share; /* of the image's area */
    double cardiothoracic_ratio;                           /* -1 where a lung or the heart has no area */
} cxr_measures;

/*
 * Areas and the cardiothoracic ratio. `probabilities` holds left lung, right lung and heart (the patient's left), each
 * rows x columns, each after cxr_mask_clean, over the whole plane. The midline lies halfway between the outer borders
 * of the lungs; the ratio is the sum of the heart's largest extents to both sides of it over the same sum of the lungs.
 * Borders are where the probability crosses 0.5 between two pixels. Padding of the plane is left out.
 */
CXR_API int cxr_measure(const float *probabilities, uint32_t rows, uint32_t columns, const cxr_placement *placement,
                        uint32_t image_rows, uint32_t image_columns, cxr_measures *measures);

/*
 * One mask (rows x columns, over the whole plane) in the size of the image: bilinear, 1 from 0.5 on, 0 where the plane
 * does not see the image. `out` holds image_rows * image_columns.
 */
CXR_API int cxr_native_mask(const float *probabilities, uint32_t rows, uint32_t columns, const cxr_placement *placement,
                            uint32_t image_rows, uint32_t image_columns, uint8_t *out);

/* The same for a map of values over `box` of the plane: bilinear, 0 outside the box. */
CXR_API int cxr_native_map(const float *values, uint32_t rows, uint32_t columns, const cxr_box *box,
                           const cxr_placement *placement, uint32_t image_rows, uint32_t image_columns, float *out);

/* ------------------------------------------------------------------------------------------------------------------ */
/* Decision */

/*
 * probability = 1 / (1 + exp(-(scale * logit + offset))); positive = probability >= threshold. Each array holds
 * `count`. A temperature T is scale 1 / T and offset 0.
 */
CXR_API int cxr_decide(const float *logits, const double *scale, const double *offset, const double *thresholds,
                       size_t count, double *probabilities, uint8_t *positive);

#ifdef __cplusplus
}
#endif

#endif
