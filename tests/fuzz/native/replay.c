/*
 * Runs a target on inputs that are files, without a fuzzer: `TARGET FILE...`. A seed named ok-* must come to a result,
 * so that a change of the format cannot quietly turn all seeds into refusals.
 */
#include "fuzz.h"

static int replay(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    static uint8_t data[1 << 20];
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    /* In memory of its own, so that reading beyond it is seen. */
    uint8_t *copy = buffer(size);
    memcpy(copy, data, size);
    long before = fuzz_reached;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    if (strncmp(name, "ok-", 3) == 0 && fuzz_reached == before) {
        fprintf(stderr, "%s came to no result\n", path);
        return 1;
    }
    return 0;
}

int main(int count, char **paths) {
    int failed = count < 2;
    for (int i = 1; i < count; i++)
        failed |= replay(paths[i]);
    printf("%d inputs, %ld results\n", count - 1, fuzz_reached);
    return failed;
}
