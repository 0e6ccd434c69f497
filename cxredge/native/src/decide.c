/* From a logit to a calibrated probability and a decision. */
#include "internal.h"

#include <math.h>

/* Never raises a large power, so that nothing overflows. */
static double sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x >= 0 ? 1 : e) / (1 + e);
}

int cxr_decide(const float *logits, const double *scale, const double *offset, const double *thresholds, size_t count,
               double *probabilities, uint8_t *positive) {
    if (!logits || !scale || !offset || !thresholds || !probabilities || !positive)
        return CXR_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(logits[i]) || !isfinite(scale[i]) || !isfinite(offset[i]) || !isfinite(thresholds[i]))
            return CXR_ERR_ARGUMENT;
    }
    for (size_t i = 0; i < count; i++) {
        probabilities[i] = sigmoid(scale[i] * logits[i] + offset[i]);
        positive[i] = probabilities[i] >= thresholds[i];
    }
    return CXR_OK;
}
