/* For x86-64 processors with AVX2 and FMA (since about 2013) */
#include "targets.h"
#ifdef HAS_TARGETS
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define VARIANT avx2
#define REGISTER_BYTES 32
#define N_REGISTERS 16
#include "variant.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
