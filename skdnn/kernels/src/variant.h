/* All kernels, for float and double, under the name VARIANT and for the instructions that the
   including file allows the compiler to use. */
#include <float.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "numpy/random/bitgen.h"
#include "step.h"

#define GLUE(a, b) GLUE_(a, b)
#define GLUE_(a, b) a##b

#if defined(_MSC_VER)
#define RESTRICT __restrict
#else
#define RESTRICT restrict
#endif

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

/* Before a loop over arrays that do not overlap, where RESTRICT does not say it to the compiler */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define INDEPENDENT __pragma(loop(ivdep))
#endif

/* Functions that are called on their own and from a run stay one: a copy that is inlined might be
   rounded otherwise */
#if defined(__clang__)
#define ONE_COPY __attribute__((noinline))
#elif defined(__GNUC__)
#define ONE_COPY __attribute__((noinline, noclone))
#else
#define ONE_COPY __declspec(noinline)
#endif

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define T float
#define BITS uint32_t
#define F(name) name##_f
#include "functions.h"
#include "encoding.h"
#include "products.h"
#include "network.h"
#include "rules.h"
#undef T
#undef BITS
#undef F

#define T double
#define BITS uint64_t
#define F(name) name##_d
#define IS_DOUBLE
#include "functions.h"
#include "encoding.h"
#include "products.h"
#include "network.h"
#include "rules.h"

const kernels_t GLUE(skdnn_, VARIANT)[2] = {
    {evaluate_f, run_f, step_f, penalise_f, clip_f, predict_f, draw_dropout_f,
     encode_f, activate_f},
    {evaluate_d, run_d, step_d, penalise_d, clip_d, predict_d, draw_dropout_d,
     encode_d, activate_d},
};
