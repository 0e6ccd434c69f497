/*
 * Eight threads at once: every call on the same inputs gives what one thread gets, and a handle may go from thread to
 * thread, one at a time. run.sh tsan runs this under the thread sanitizer.
 */
#include "scene.h"
#include "test.h"

#include <pthread.h>

#define THREADS 8
#define ROUNDS 40

static scene film;
static answers right;

static int all_calls(answers *to) {
    int failed = 0;
    memset(to, 0, sizeof *to);
    for (size_t i = 0; i < SCENE_CALLS; i++)
        failed |= scene_calls[i](&film, to) != CXR_OK;
    return failed;
}

/* The number of rounds that went wrong. */
static void *work(void *wrong) {
    answers mine;
    for (int round = 0; round < ROUNDS; round++) {
        const char *name = NULL;
        *(int *)wrong += all_calls(&mine) || memcmp(&mine, &right, sizeof mine) != 0;
        *(int *)wrong += cxr_isa(&name) != CXR_OK || cxr_abi() != CXR_ABI;
    }
    return NULL;
}

static void run_in_threads(void *(*function)(void *), int wrong[THREADS]) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        wrong[i] = 0;
        CHECK(pthread_create(&threads[i], NULL, function, &wrong[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(wrong[i] == 0);
    }
}

static void test_every_call(void) {
    int wrong[THREADS];
    CHECK(all_calls(&right) == 0);
    run_in_threads(work, wrong);
}

/* One handle for all threads: whoever holds the lock feeds the next row. */
static struct {
    pthread_mutex_t lock;
    cxr_plane *plane;
    size_t row;
} shared = {PTHREAD_MUTEX_INITIALIZER, NULL, 0};

static void *feed_in_turn(void *wrong) {
    for (int more = 1; more;) {
        pthread_mutex_lock(&shared.lock);
        more = shared.row < SCENE_ROWS;
        if (more) {
            const uint16_t *row = film.pixels + shared.row++ * SCENE_COLUMNS;
            *(int *)wrong += cxr_plane_feed(shared.plane, row, SCENE_COLUMNS * sizeof *row) != CXR_OK;
        }
        pthread_mutex_unlock(&shared.lock);
    }
    return NULL;
}

static void test_a_handle_goes_around(void) {
    static answers alone, together;
    int wrong[THREADS];
    const cxr_plane_desc desc = scene_desc(&film);
    CHECK_STATUS(scene_clamped(&film, &alone), CXR_OK);
    CHECK_STATUS(cxr_plane_create(&desc, &shared.plane), CXR_OK);
    run_in_threads(feed_in_turn, wrong);
    CHECK_STATUS(cxr_plane_finish(shared.plane, together.plane, SCENE_CELLS), CXR_OK);
    CHECK(memcmp(alone.plane, together.plane, sizeof alone.plane) == 0);
    cxr_plane_destroy(shared.plane);
}

int main(void) {
    scene_init(&film);
    test_every_call();
    test_a_handle_goes_around();
    return test_failures != 0;
}
