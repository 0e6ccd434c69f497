/*
 * The nth allocation fails, for every n and every call: out of memory is what is said, the outputs are as they were,
 * nothing leaks, and the next call works. Linked with --wrap, so that the core's allocations come here.
 */
#include "scene.h"
#include "test.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *memory);

static long allocations; /* asked for since the last reset */
static long fails_at;    /* which of them fails; 0: none */
static long held;        /* given, and not given back */

static int is_refused(void) {
    return ++allocations == fails_at;
}

static void *counted(void *memory) {
    held += memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t size) {
    return is_refused() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return is_refused() ? NULL : counted(__real_calloc(count, size));
}

void __wrap_free(void *memory) {
    held -= memory != NULL;
    __real_free(memory);
}

static scene film;
static answers got, untouched, right;

static int call(scene_call function, long failing) {
    memset(&got, 0xa5, sizeof got);
    allocations = 0;
    fails_at = failing;
    int status = function(&film, &got);
    fails_at = 0;
    return status;
}

static long test_call(scene_call function) {
    memset(&untouched, 0xa5, sizeof untouched);
    const long before = held;
    CHECK_STATUS(call(function, 0), CXR_OK);
    CHECK(held == before);
    const long all = allocations;
    right = got;
    if (function == scene_clean) /* works in place: left as it was is the mask itself */
        memcpy(untouched.cleaned, film.masks, sizeof untouched.cleaned);
    for (long n = 1; n <= all; n++) {
        CHECK_STATUS(call(function, n), CXR_ERR_MEMORY);
        CHECK(memcmp(&got, &untouched, sizeof got) == 0);
        CHECK(held == before);
        CHECK_STATUS(call(function, 0), CXR_OK);
        CHECK(memcmp(&got, &right, sizeof got) == 0);
    }
    return all;
}

/* Once there is a handle, nothing more is allocated: feeding and finishing cannot run out of memory. */
static void test_no_allocation_after_creation(void) {
    const cxr_plane_desc desc = scene_desc(&film);
    cxr_plane *plane = NULL;
    CHECK_STATUS(cxr_plane_create(&desc, &plane), CXR_OK);
    allocations = 0;
    CHECK_STATUS(cxr_plane_feed(plane, film.pixels, sizeof film.pixels), CXR_OK);
    CHECK_STATUS(cxr_plane_finish(plane, got.plane, SCENE_CELLS), CXR_OK);
    CHECK(allocations == 0);
    cxr_plane_destroy(plane);
}

static long test_every_call(void) {
    long all = 0;
    for (size_t i = 0; i < SCENE_CALLS; i++) {
        const long some = test_call(scene_calls[i]);
        const scene_call f = scene_calls[i];
        CHECK((some > 0) == (f != scene_measure && f != scene_decide && f != scene_union));
        all += some;
    }
    return all;
}

int main(void) {
    scene_init(&film);
    const long before = held; /* in a static program, the C library's own allocations come through us, too */
    const long all = test_every_call();
    test_no_allocation_after_creation();
    CHECK(held == before);
    printf("%ld allocations, each failed once\n", all); /* last: it allocates */
    return test_failures != 0;
}
