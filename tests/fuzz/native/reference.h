/* The pixel path once more, slowly and in plain doubles, as PS3.3 C.11 and cxredge.h say it. */
#ifndef CXREDGE_REFERENCE_H
#define CXREDGE_REFERENCE_H

#include "fuzz.h"

/*
 * The plane that `desc` asks for. 0 where the numbers of the description are so far apart that rounding alone may move
 * a value across its window: only the bounds can be told of those.
 */
int reference_plane(const cxr_plane_desc *desc, const uint8_t *pixels, double *plane);

/* Center and width of the percentile window of an image of at most 262,144 pixels. */
void reference_window(const cxr_plane_desc *desc, const uint8_t *pixels, double low, double high, double *window);

#endif
