/* Looks at what this processor runs. */
#include "step.h"
#include "targets.h"

int skdnn_variants(const char **names, const kernels_t **variants)
{
    int n = 0;
#ifdef HAS_TARGETS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("fma")) {
        names[n] = "AVX-512";
        variants[n++] = skdnn_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        names[n] = "AVX2";
        variants[n++] = skdnn_avx2;
    }
#endif
    names[n] = "baseline";
    variants[n++] = skdnn_plain;
    return n;
}
