/* For processors with AVX2: those of the last ten years. */

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#define LEAST _mm256_min_ps
#define MOST _mm256_max_ps
#define ROWS 4
#define ANSWER answer_avx2
#include "forward.h"
#endif
