/* Element-wise functions, without branches so that compilers vectorise the loops around them. No
   function hides a number that is not finite: comparisons are written so that NaN passes. */

#ifdef IS_DOUBLE
#define C(x) (x)
#define MAGIC 0x1.8p52 /* added, it leaves a rounded integer in the lowest bits */
#define MANTISSA 52
#define ONE_BITS 0x3ff0000000000000u
#define LN2_HIGH 0x1.62e42fee00000p-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_LOWEST -746.0
#define LOWEST -DBL_MAX
#define SQRT sqrt
#define FABS fabs
#define COPYSIGN copysign
#else
#define C(x) (x##f)
#define MAGIC 0x1.8p23f
#define MANTISSA 23
#define ONE_BITS 0x3f800000u
#define LN2_HIGH 0x1.62e400p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define EXP_LOWEST -104.0f
#define LOWEST -FLT_MAX
#define SQRT sqrtf
#define FABS fabsf
#define COPYSIGN copysignf
#endif

static inline BITS F(bits)(T x)
{
    BITS b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static inline T F(from_bits)(BITS b)
{
    T x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* 2 ** n for an integer n that was rounded by adding MAGIC to it */
static inline T F(power_of_2)(T n_plus_magic)
{
    return F(from_bits)((F(bits)(n_plus_magic) << MANTISSA) + ONE_BITS);
}

/* exp(r) - 1 for |r| <= log(2) / 2: Taylor's series, exact to rounding there */
static inline T F(expm1_reduced)(T r)
{
#ifdef IS_DOUBLE
    T p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
#else
    T p = C(1.0) / C(5040.0);
#endif
    p = p * r + C(1.0) / C(720.0);
    p = p * r + C(1.0) / C(120.0);
    p = p * r + C(1.0) / C(24.0);
    p = p * r + C(1.0) / C(6.0);
    p = p * r + C(0.5);
    return (p * r) * r + r;
}

/* exp(x) for x <= 0 */
static inline T F(exponential)(T x)
{
    x = x < EXP_LOWEST ? EXP_LOWEST : x;
    T n = (x * C(1.4426950408889634) + MAGIC) - MAGIC;
    T p = F(expm1_reduced)((x - n * LN2_HIGH) - n * LN2_LOW);
    /* in two factors, for results that are subnormal */
    T half = n * C(0.5) + MAGIC;
    T first = F(power_of_2)(half);
    T second = F(power_of_2)((n - (half - MAGIC)) + MAGIC);
    return (first + first * p) * second;
}

/* exp(x) - 1 for x <= 0 */
static inline T F(expm1_of_negative)(T x)
{
    x = x < C(-40.0) ? C(-40.0) : x;
    T shifted = x * C(1.4426950408889634) + MAGIC;
    T n = shifted - MAGIC;
    T p = F(expm1_reduced)((x - n * LN2_HIGH) - n * LN2_LOW);
    T scale = F(power_of_2)(shifted);
    return scale * p + (scale - C(1.0));
}

/* log(1 + x) for 0 <= x <= 1: 2 atanh(x / (2 + x)) */
static inline T F(log1p_of_share)(T x)
{
    T s = x / (C(2.0) + x), q = s * s; /* q <= 1 / 9 */
#ifdef IS_DOUBLE
    T p = 1.0 / 35.0;
    p = p * q + 1.0 / 33.0;
    p = p * q + 1.0 / 31.0;
    p = p * q + 1.0 / 29.0;
    p = p * q + 1.0 / 27.0;
    p = p * q + 1.0 / 25.0;
    p = p * q + 1.0 / 23.0;
    p = p * q + 1.0 / 21.0;
    p = p * q + 1.0 / 19.0;
    p = p * q + 1.0 / 17.0;
#else
    T p = C(1.0) / C(17.0);
#endif
    p = p * q + C(1.0) / C(15.0);
    p = p * q + C(1.0) / C(13.0);
    p = p * q + C(1.0) / C(11.0);
    p = p * q + C(1.0) / C(9.0);
    p = p * q + C(1.0) / C(7.0);
    p = p * q + C(1.0) / C(5.0);
    p = p * q + C(1.0) / C(3.0);
    s += s;
    return s * (p * q) + s;
}

static inline T F(logistic)(T z)
{
    T e = F(exponential)(-FABS(z)), share = C(1.0) / (C(1.0) + e);
    return z < C(0.0) ? e * share : share;
}

static inline T F(hyperbolic_tangent)(T z)
{
    T e = F(expm1_of_negative)(C(-2.0) * FABS(z));
    return COPYSIGN(-e / (C(2.0) + e), z);
}

static inline T F(elu)(T z)
{
    T negative = z > C(0.0) ? C(0.0) : z;
    return (z > C(0.0) ? z : C(0.0)) + F(expm1_of_negative)(negative);
}

static inline T F(silu)(T z, T *derivative)
{
    z = z < LOWEST ? LOWEST : z; /* -inf * 0 would be NaN where the limit is 0 */
    T s = F(logistic)(z);
    *derivative = ((C(1.0) - s) * z + C(1.0)) * s;
    return z * s;
}

static inline T F(gelu)(T z, T *derivative)
{
    z = z < LOWEST ? LOWEST : z;
    /* of the complement, which keeps its digits where 1 + erf cancels; in double, since rounding
       the argument costs as many digits as its square has */
    T normal = (T)(erfc((double)z * -0.7071067811865476) * 0.5);
    *derivative = F(exponential)(z * z * C(-0.5)) * C(0.3989422804014327) * z + normal;
    return z * normal;
}
