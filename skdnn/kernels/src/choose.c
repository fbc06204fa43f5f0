/* Chooses, once, what this processor runs. */
#include "step.h"
#include "targets.h"

const kernels_t *skdnn_choose(const char **name)
{
#ifdef HAS_TARGETS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("fma")) {
        *name = "AVX-512";
        return skdnn_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        *name = "AVX2";
        return skdnn_avx2;
    }
#endif
    *name = "baseline";
    return skdnn_plain;
}
