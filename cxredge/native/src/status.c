/* Names of statuses, and of the library itself. */
#include "internal.h"

typedef struct status_row {
    int number;
    const char *name, *code, *text;
} status_row;

#define STATUS_ROW(name, number, code, text) {number, #name, code, text},
static const status_row rows[] = {CXR_STATUSES(STATUS_ROW)};
#undef STATUS_ROW

static const status_row unknown = {-1, "CXR_ERR_UNKNOWN", "internal", "a number that is no status of cxredge"};

static const status_row *find(int status) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].number == status)
            return &rows[i];
    }
    return &unknown;
}

const char *cxr_status_name(int status) {
    return find(status)->name;
}

const char *cxr_status_code(int status) {
    return find(status)->code;
}

const char *cxr_status_text(int status) {
    return find(status)->text;
}

const char *cxr_version(void) {
    return CXR_VERSION;
}

uint32_t cxr_abi(void) {
    return CXR_ABI;
}
