/* How large a network is, and which instructions it is run with. */

#include "kernel.h"
#include "sizes.h"

size_t weights_of(const Shape *n) {
    Sizes s = sizes_of(n);
    size_t total = padded(2) + 2 * padded(n->inputs);
    if (n->stem_kernel) total += s.wide + s.wide * n->stem_kernel * s.entered;
    for (int turn = 0; turn < n->blocks * n->turns; turn++) {
        size_t read = turn ? s.wide : s.first;
        total += s.lstms * s.unit * (1 + read + 4 + 8 * (size_t)n->features);
    }
    if (n->norm) total += n->blocks * (n->norm == NORM_batch ? 2 * padded(n->steps) : 3 * s.wide);
    return total + padded(n->classes) * (1 + s.wide * (n->reads_mean + n->reads_last));
}

size_t room_of(const Shape *n) {
    Sizes s = sizes_of(n);
    size_t samples = padded(n->length * s.entered) + padded(n->length * s.wide);
    size_t turn = s.lstms * s.unit * (5 * n->steps + 6);
    size_t each = samples + turn + 2 * s.wide * n->steps;
    return WINDOWS * each + 2 * padded(s.entered) + 2 * s.wide + padded(n->classes);
}

#if defined(__x86_64__)
static int has_avx512(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"); }
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
#define answer_avx512 answer_plain
#define answer_avx2 answer_plain
static int has_avx512(void) { return 0; }
static int has_avx2(void) { return 0; }
#endif

void answer(const Shape *shape, const float *weights, const float *windows, size_t count, float *room, float *out) {
    (has_avx512() ? answer_avx512 : has_avx2() ? answer_avx2 : answer_plain)(shape, weights, windows, count, room, out);
}

const char *instructions(void) {
    if (has_avx512()) return "AVX-512";
    if (has_avx2()) return "AVX2";
#if defined(__aarch64__)
    return "NEON";
#elif defined(__x86_64__)
    return "SSE";
#else
    return "plain";
#endif
}
