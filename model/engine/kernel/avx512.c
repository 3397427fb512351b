/* For processors with AVX-512. */

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 16
#define TARGET __attribute__((target("avx512f,avx512dq")))
#define LEAST _mm512_min_ps
#define MOST _mm512_max_ps
#define HELD(x) __asm__("" : "+v"(x))
#define ROWS 8
#define ANSWER answer_avx512
#include "forward.h"
#endif
