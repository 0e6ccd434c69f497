/* Which variant of the kernels runs. The choice is made anew for each plane, so that no global state is needed. */
#include "internal.h"

#include <stdlib.h>

#if defined(CXR_HAVE_X86) && defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>

static uint64_t enabled_state(void) {
    int leaf[4];
    __cpuid(leaf, 1);
    return leaf[2] & (1 << 27) ? _xgetbv(0) : 0; /* OSXSAVE */
}

static int leaf7_ebx(void) {
    int leaf[4];
    __cpuid(leaf, 0);
    if (leaf[0] < 7)
        return 0;
    __cpuidex(leaf, 7, 0);
    return leaf[1];
}

static int has_avx2(void) {
    return (enabled_state() & 0x06) == 0x06 && (leaf7_ebx() & (1 << 5));
}

static int has_avx512(void) {
    return (enabled_state() & 0xe6) == 0xe6 && (leaf7_ebx() & (1 << 16)) && (leaf7_ebx() & (1 << 30));
}
#elif defined(CXR_HAVE_X86)
static int has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
}

static int has_avx512(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}
#endif

static int always(void) {
    return 1;
}

typedef struct variant {
    const kernels *run;
    int (*available)(void);
} variant;

/* Best first. */
static const variant variants[] = {
#if defined(CXR_HAVE_X86)
    {&cxr_kernels_avx512, has_avx512},
    {&cxr_kernels_avx2, has_avx2},
#endif
#if defined(CXR_HAVE_NEON)
    {&cxr_kernels_neon, always}, /* every AArch64 has it */
#endif
    {&cxr_kernels_plain, always},
};

int cxr_kernels_choose(const kernels **chosen) {
    const char *forced = getenv("CXREDGE_ISA");
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        const variant *v = &variants[i];
        if (forced != NULL && *forced != '\0' && strcmp(forced, v->run->name) != 0)
            continue;
        if (!v->available())
            continue;
        *chosen = v->run;
        return CXR_OK;
    }
    return CXR_ERR_ISA;
}

int cxr_isa(const char **name) {
    if (name == NULL)
        return CXR_ERR_ARGUMENT;
    const kernels *chosen;
    int status = cxr_kernels_choose(&chosen);
    if (status == CXR_OK)
        *name = chosen->name;
    return status;
}
