/* LANES numbers at a time, in GCC's and Clang's vector extension.
 *
 * Whoever includes this says how many those are, which instructions there are (TARGET, an attribute), LEAST and MOST if
 * two of them are the lesser and the greater of two numbers, and HELD if there are registers enough: it keeps in one
 * what a compiler would rather load again.
 */

#ifndef KINESTREAM_LANES_H
#define KINESTREAM_LANES_H

#include <stdint.h>

#define INLINE TARGET static inline __attribute__((always_inline))

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef float Unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Bits __attribute__((vector_size(4 * LANES)));

INLINE Lanes load(const float *from) { return *(const Unaligned *)from; }
INLINE void store(float *to, Lanes x) { *(Unaligned *)to = x; }
INLINE Lanes same(float x) { return x - (Lanes){0}; }
#ifndef LEAST
INLINE Lanes chosen(Bits mask, Lanes yes, Lanes no) { return (Lanes)(((Bits)yes & mask) | ((Bits)no & ~mask)); }
#define LEAST(x, y) chosen((x) < (y), x, y)
#define MOST(x, y) chosen((x) > (y), x, y)
#endif
#ifndef HELD
#define HELD(x)
#endif
/* Of what is no number LEAST and MOST give their second argument: a bound leaves it, and a ReLU gives zero. */
INLINE Lanes at_most(Lanes x, float bound) { return LEAST(same(bound), x); }
INLINE Lanes at_least(Lanes x, float bound) { return MOST(same(bound), x); }
INLINE Lanes positive(Lanes x) { return MOST(x, same(0.0f)); }

INLINE float sum(Lanes x) {
    for (int half = LANES / 2; half; half /= 2)
        for (int k = 0; k < half; k++) x[k] += x[k + half];
    return x[0];
}

/* The next two read their argument's exponent off its bits and take the rest by a polynomial, whose coefficients are
 * those of the least relative error (minimax, by linear programming). */

/* 2^x to 8e-8. Beyond +-40, where a sigmoid is at its limit to 1e-12, that of +-40: products of three are finite. */
INLINE Lanes power_of_two(Lanes x) {
    const float round = 12582912.0f; /* 1.5 * 2^23: what is added to it loses its fraction */
    x = at_least(at_most(x, 40.0f), -40.0f);
    Lanes shifted = x + round;
    Lanes rest = x - (shifted - round); /* -0.5 to 0.5 */
    Lanes y = same(0.0013276479f);
    y = y * rest + 0.009675541f;
    y = y * rest + 0.05550713f;
    y = y * rest + 0.2402212f;
    y = y * rest + 0.69314694f;
    y = y * rest + 1.0000001f;
    return (Lanes)((Bits)y + ((Bits)shifted << 23));
}

/* The natural logarithm to 3e-8, of numbers that are neither zero, nor negative, nor infinite. */
INLINE Lanes logarithm(Lanes x) {
    Bits exponent = ((Bits)x - 0x3f3504f3) >> 23; /* of x over the square root of a half */
    Lanes rest = (Lanes)((Bits)x - (exponent << 23)) - 1.0f;
    Lanes y = same(0.08722370f);
    y = y * rest - 0.14366721f;
    y = y * rest + 0.14952193f;
    y = y * rest - 0.16562417f;
    y = y * rest + 0.19956848f;
    y = y * rest - 0.25002071f;
    y = y * rest + 0.33334184f;
    y = y * rest - 0.49999988f;
    y = y * rest + 1.0f;
    return __builtin_convertvector(exponent, Lanes) * 0.69314718f + y * rest;
}

#endif
