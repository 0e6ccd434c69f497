/* Preloaded into a process, makes its nth write, sync, rename or file creation below one folder fail, when the test that
 * shares the control page says so. SQLite's own calls are among them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, RENAME = 4, CREATE = 8, TRUNCATE = 16 };

/* The page: six ints, as tests/support/failing_disk.py has them. */
struct control {
    int armed;   /* 0: count nothing */
    int kinds;   /* which calls count */
    int left;    /* how many of them succeed first */
    int error;   /* errno of the one that fails */
    int lasting; /* all that count fail from then on; writes do half of their work first */
    int failed;  /* how many have */
};

static struct control *control;
static const char *folder;
static size_t folder_length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *page = getenv("FAILING_DISK_PAGE");
    folder = getenv("FAILING_DISK_FOLDER");
    if (!page || !folder) return;
    folder_length = strlen(folder);
    int file = REAL(open)(page, O_RDWR);
    if (file < 0) return;
    void *there = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (there != MAP_FAILED) control = there;
}

static int ours(const char *path) { return strncmp(path, folder, folder_length) == 0; }

static int ours_open(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return ours(path);
}

/* Whether this call is to fail: 1, the first; 2, a later one. */
static int fails(int kind) {
    if (!(control->kinds & kind)) return 0;
    if (__atomic_sub_fetch(&control->left, 1, __ATOMIC_SEQ_CST) >= 0) return 0;
    int before = __atomic_fetch_add(&control->failed, 1, __ATOMIC_SEQ_CST);
    if (before > 0 && !control->lasting) return 0;
    return before == 0 ? 1 : 2;
}

static int fails_file(int kind, int file) { return control && control->armed && ours_open(file) ? fails(kind) : 0; }
static int fails_path(int kind, const char *path) {
    return control && control->armed && path && ours(path) ? fails(kind) : 0;
}

#define FAIL                     \
    do {                         \
        errno = control->error; \
        return -1;               \
    } while (0)

ssize_t write(int file, const void *data, size_t count) {
    int failing = fails_file(WRITE, file);
    if (failing == 1 && control->lasting && count > 1) return REAL(write)(file, data, count / 2);
    if (failing) FAIL;
    return REAL(write)(file, data, count);
}

#define POSITIONED(name, offset_type)                                                              \
    ssize_t name(int file, const void *data, size_t count, offset_type offset) {                   \
        int failing = fails_file(WRITE, file);                                                     \
        if (failing == 1 && control->lasting && count > 1)                                         \
            return REAL(name)(file, data, count / 2, offset);                                      \
        if (failing) FAIL;                                                                         \
        return REAL(name)(file, data, count, offset);                                              \
    }
POSITIONED(pwrite, off_t)
POSITIONED(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec *pieces, int count) {
    if (fails_file(WRITE, file)) FAIL;
    return REAL(writev)(file, pieces, count);
}

#define OF_A_FILE(name, kind)              \
    int name(int file) {                   \
        if (fails_file(kind, file)) FAIL;  \
        return REAL(name)(file);           \
    }
OF_A_FILE(fsync, SYNC)
OF_A_FILE(fdatasync, SYNC)

int ftruncate(int file, off_t length) {
    if (fails_file(TRUNCATE, file)) FAIL;
    return REAL(ftruncate)(file, length);
}
int ftruncate64(int file, off64_t length) {
    if (fails_file(TRUNCATE, file)) FAIL;
    return REAL(ftruncate64)(file, length);
}

int rename(const char *from, const char *to) {
    if (fails_path(RENAME, to)) FAIL;
    return REAL(rename)(from, to);
}
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    if (fails_path(RENAME, to)) FAIL;
    return REAL(renameat)(from_folder, from, to_folder, to);
}

#define OPENING(name)                                                  \
    int name(const char *path, int flags, ...) {                       \
        mode_t mode = 0;                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                           \
            va_list more;                                              \
            va_start(more, flags);                                     \
            mode = va_arg(more, mode_t);                               \
            va_end(more);                                              \
            if ((flags & O_CREAT) && fails_path(CREATE, path)) FAIL;   \
        }                                                              \
        return REAL(name)(path, flags, mode);                          \
    }
OPENING(open)
OPENING(open64)
