/* For x86-64 processors with the common part of AVX-512 */
#include "targets.h"
#ifdef HAS_TARGETS
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,fma,prefer-vector-width=512")
#endif
#define VARIANT avx512
#define REGISTER_BYTES 64
#define N_REGISTERS 32
#include "variant.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
