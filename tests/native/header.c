/* Nothing but the public header: it must compile by itself, as strict C11 and as C++, without a warning. */
#include "cxredge.h"

int main(void) {
    cxr_plane_desc desc;
    return cxr_plane_desc_init(&desc, sizeof desc, CXR_ABI);
}
