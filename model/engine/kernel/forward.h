/* The network, window by window: all values of a window stay in the nearest cache, and its answer is bit for bit the
 * same whatever windows come with it.
 *
 * Zhao, Yang, Chevalier, Gong, arXiv 1708.08989; `model/network/residual.py` says which equations these are. Values between the
 * layers are rows, one a time step, of `directions` times `padded(features)` numbers.
 *
 * Included once for each set of instructions, by a file that says what `vector.h` wants to know, ROWS (time steps of a
 * layer computed together: with PANEL, as many sums as there are registers for) and ANSWER, the name of what it gives.
 */

#include <math.h>
#include <string.h>

#include "kernel.h"
#include "vector.h"
#include "sizes.h"

#define GATE_LANES (GATES * PANEL / LANES)
#define SUMS 8 /* that a step of an LSTM keeps in registers */
#define TANH_OF_POWER -2.8853901f /* -2 / ln 2: tanh(x) is (1 - p) / (1 + p), p being 2^(-2x / ln 2) */

/* Takes one part after the other of what lies in a row, each at a multiple of 64 bytes. */
INLINE float *taken(float **from, size_t count) {
    float *part = *from;
    *from += padded(count);
    return part;
}
INLINE const float *next(const float **from, size_t count) {
    const float *part = *from;
    *from += padded(count);
    return part;
}

/* A linear layer and, where asked for, a ReLU: rows of `to` from rows of `from`, whose distances are given. Weights are
 * shape (panels, inputs, PANEL). */
INLINE void tile(const float *from, size_t from_row, const float *weight, const float *bias, float *to, size_t to_row,
                 int rows, size_t inputs, int relu) {
    Lanes total[ROWS][PANEL / LANES];
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < PANEL / LANES; k++) total[r][k] = load(bias + k * LANES);
    for (size_t i = 0; i < inputs; i++, weight += PANEL)
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < PANEL / LANES; k++) total[r][k] += from[r * from_row + i] * load(weight + k * LANES);
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < PANEL / LANES; k++)
            store(to + r * to_row + k * LANES, relu ? positive(total[r][k]) : total[r][k]);
}

/* So many rows at a time, from row `r` on; the last of them once more, if need be, rather than one by one. */
#define TILES(count)                                                                                                 \
    if (rows >= (count))                                                                                             \
        for (; r < rows; r += (count)) {                                                                             \
            r = r + (count) < rows ? r : rows - (count);                                                             \
            tile(from + r * from_row, from_row, weight, bias + o, to + r * to_row + o, to_row, count, inputs, relu); \
        }

INLINE void linear(const float *from, size_t from_row, const float *weight, const float *bias, float *to, size_t to_row,
                   size_t rows, size_t inputs, size_t outputs, int relu) {
    for (size_t o = 0; o < outputs; o += PANEL, weight += inputs * PANEL) {
        size_t r = 0;
        TILES(ROWS)
        TILES(ROWS / 2)
        TILES(1)
    }
}

/* Samples, scaled; with their detail beside them, asinh(detail * (x - its mean)), where the network looks at that. */
INLINE void enter(const Shape *n, const float *window, const float *means, const float *factors, float detail,
                  float *values, float *room) {
    size_t inputs = n->inputs, entered = inputs * (n->detail ? 2 : 1);
    for (int t = 0; t < n->length; t++)
        for (size_t d = 0; d < inputs; d++)
            values[t * entered + d] = (window[t * inputs + d] - means[d]) * factors[d];
    if (!n->detail) return;
    float *mean = taken(&room, inputs), *size = taken(&room, inputs);
    memset(mean, 0, sizeof(float) * inputs);
    for (size_t d = inputs; d < padded(inputs); d++) size[d] = 1.0f; /* has a logarithm */
    for (int t = 0; t < n->length; t++)
        for (size_t d = 0; d < inputs; d++) {
            float x = values[t * entered + d];
            x = x > MOST_SCALED ? MOST_SCALED : x;
            x = x < -MOST_SCALED ? -MOST_SCALED : x;
            values[t * entered + d] = x;
            mean[d] += x;
        }
    for (size_t d = 0; d < inputs; d++) mean[d] /= (float)n->length;
    for (int t = 0; t < n->length; t++) {
        float *row = values + t * entered, *beside = row + inputs;
        for (size_t d = 0; d < inputs; d++) {
            beside[d] = detail * (row[d] - mean[d]);
            size[d] = fabsf(beside[d]) + sqrtf(beside[d] * beside[d] + 1.0f);
        }
        for (size_t d = 0; d < inputs; d += LANES) store(size + d, logarithm(load(size + d)));
        for (size_t d = 0; d < inputs; d++) beside[d] = copysignf(size[d], beside[d]);
    }
}

/* What a tile of an LSTM adds up in a step, as powers of two, for windows whose values lie `width` features apart: a
 * weight that has been read serves all of them. */
INLINE void gate_powers(int windows, size_t features, const float *given, size_t given_apart, const float *hidden,
                        size_t width, const float *weights, float *powers) {
    const int together = SUMS / windows < GATE_LANES ? SUMS / windows : GATE_LANES;
    for (int first = 0; first < GATE_LANES; first += together) {
        const float *weight = weights + first * LANES;
        Lanes total[SUMS];
        for (int w = 0; w < windows; w++)
            for (int g = 0; g < together; g++)
                total[w * together + g] = load(given + w * given_apart + (first + g) * LANES);
        for (size_t j = 0; j < features; j++, weight += 4 * PANEL)
            for (int g = 0; g < together; g++) {
                Lanes each = load(weight + g * LANES);
                if (windows > 1) { /* loading is what takes the time here */
                    HELD(each);
                }
                for (int w = 0; w < windows; w++)
                    total[w * together + g] += hidden[w * width + j] * each;
            }
        for (int w = 0; w < windows; w++)
            for (int g = 0; g < together; g++)
                store(powers + w * 4 * width + (first + g) * LANES, power_of_two(total[w * together + g]));
    }
}

/* The LSTMs of a turn, a step of all of them at a time; those from `cells` on go from the window's end, `back` steps.
 * Gates are powers of two on their way: 1 / (1 + p) is a sigmoid, and one division serves several of them.
 *
 * gates: shape (windows, steps, lstms, tiles, GATES, PANEL), what the inputs give, each gate already multiplied by
 * what makes an exponent of it. weights: shape (lstms, tiles, F, GATES, PANEL), as well.
 */
INLINE void recur(const Shape *n, const Sizes *s, int windows, const float *gates, const float *weights, size_t back,
                  float *hidden, float *state, float *powers, float *to) {
    size_t steps = n->steps, cells = n->cells, features = n->features, unit = s->unit, tiles = unit / PANEL;
    size_t width = s->lstms * unit, apart = steps * width * 4;
    memset(hidden, 0, sizeof(float) * windows * width);
    memset(state, 0, sizeof(float) * windows * width);
    for (size_t t = 0; t < steps; t++) {
        size_t running = t < back ? s->lstms : cells;
        for (size_t l = 0; l < running; l++) {
            size_t at = l < cells ? t : steps - 1 - t;
            for (size_t k = l * tiles; k < (l + 1) * tiles; k++) {
                const float *given = gates + (at * width + k * PANEL) * 4, *weight = weights + k * features * 4 * PANEL;
                float *power = powers + k * 4 * PANEL;
                if (windows == WINDOWS)
                    gate_powers(WINDOWS, features, given, apart, hidden + l * unit, width, weight, power);
                else
                    gate_powers(1, features, given, apart, hidden + l * unit, width, weight, power);
            }
        }
        for (int w = 0; w < windows; w++)
            for (size_t k = w * width; k < w * width + running * unit; k += LANES) {
                const float *power = powers + k / PANEL * 4 * PANEL + k % PANEL;
                Lanes forget = 1.0f + load(power + GATE_forget * PANEL), cell = load(power + GATE_cell * PANEL);
                Lanes input = (1.0f + load(power + GATE_input * PANEL)) * (1.0f + cell);
                store(state + k, (load(state + k) * input + (1.0f - cell) * forget) / (input * forget));
            }
        for (int w = 0; w < windows; w++)
            for (size_t k = w * width; k < w * width + running * unit; k += LANES) {
                Lanes output = 1.0f + load(powers + k / PANEL * 4 * PANEL + k % PANEL + GATE_output * PANEL);
                Lanes power = power_of_two(load(state + k) * TANH_OF_POWER);
                store(hidden + k, (1.0f - power) / (output * (1.0f + power)));
            }
        for (int w = 0; w < windows; w++)
            for (size_t way = 0; way * cells < running; way++) {
                float *row = to + (w * steps + (way ? steps - 1 - t : t)) * s->wide + way * unit;
                const float *cell = hidden + w * width + way * cells * unit;
                for (size_t u = 0; u < unit; u += LANES) {
                    Lanes total = load(cell + u);
                    for (size_t c = 1; c < cells; c++) total += load(cell + c * unit + u);
                    store(row + u, total);
                }
            }
    }
}

/* `linear` for the steps of each window from the `first` on. */
INLINE void linear_of_steps(const Shape *n, int windows, size_t first, const float *from, size_t from_row,
                            const float *weight, const float *bias, float *to, size_t to_row, size_t inputs,
                            size_t outputs, int relu) {
    size_t steps = n->steps, each = first ? steps : windows * steps; /* all at once where nothing lies between them */
    for (size_t r = 0; r < windows * steps; r += each)
        linear(from + (r + first) * from_row, from_row, weight, bias, to + (r + first) * to_row, to_row, each - first,
               inputs, outputs, relu);
}

/* Cells that read the same input, added; what they read as well, if it is a value. Those that go back read no more than
 * the steps that are wanted, from the `first` on. */
INLINE const float *turn(const Shape *n, const Sizes *s, int windows, const float *from, size_t read, int reads_value,
                         const float *weights, size_t first, float *to, float *room) {
    size_t steps = n->steps, features = n->features, width = s->lstms * s->unit, half = n->cells * s->unit;
    size_t back = n->directions == 1 ? 0 : steps - first;
    float *projected = taken(&room, windows * width * steps), *gates = taken(&room, windows * width * 4 * steps);
    float *hidden = taken(&room, windows * width), *state = taken(&room, windows * width);
    float *powers = taken(&room, windows * width * 4);
    const float *bias = next(&weights, width), *weight = next(&weights, width * read);
    linear_of_steps(n, windows, 0, from, read, weight, bias, projected, width, read, half, 1);
    if (back)
        linear_of_steps(n, windows, first, from, read, weight + half * read, bias + half, projected + half,
                        width, read, half, 1);
    for (size_t l = 0; l < s->lstms; l++) {
        size_t begin = l < (size_t)n->cells ? 0 : first;
        const float *of_input_bias = next(&weights, 4 * s->unit), *of_input = next(&weights, 4 * s->unit * features);
        linear_of_steps(n, windows, begin, projected + l * s->unit, width, of_input, of_input_bias, gates + l * s->unit * 4,
                        width * 4, features, 4 * s->unit, 0);
    }
    const float *recurrent = next(&weights, 4 * width * features);
    recur(n, s, windows, gates, recurrent, back, hidden, state, powers, to);
    if (n->adds && reads_value)
        for (int w = 0; w < windows; w++)
            for (size_t k = (w * steps + first) * s->wide; k < (w + 1) * steps * s->wide; k += LANES)
                store(to + k, load(to + k) + load(from + k));
    return weights;
}

/* The steps of each window from the `first` on; `scale` and `shift` are each step's or each feature's. */
INLINE const float *normalise(const Shape *n, const Sizes *s, int windows, size_t first, const float *weights,
                              float *values) {
    size_t steps = n->steps, vector = n->norm == NORM_batch ? steps : s->wide;
    const float *scale = next(&weights, vector), *shift = next(&weights, vector);
    const float *real = n->norm == NORM_batch ? 0 : next(&weights, vector); /* 1 at a feature, 0 at what is none */
    float share = 1.0f / (float)(n->features * n->directions);
    for (size_t step = first; step < windows * steps; step++) {
        size_t t = step % steps;
        if (t < first) continue;
        float *row = values + step * s->wide;
        if (n->norm == NORM_batch) {
            for (size_t k = 0; k < s->wide; k += LANES) store(row + k, load(row + k) * scale[t] + shift[t]);
            continue;
        }
        Lanes total = same(0.0f), squares = same(0.0f);
        for (size_t k = 0; k < s->wide; k += LANES) total += load(row + k) * load(real + k);
        float mean = sum(total) * share;
        for (size_t k = 0; k < s->wide; k += LANES) {
            Lanes off = (load(row + k) - mean) * load(real + k);
            squares += off * off;
        }
        float steep = 1.0f / sqrtf(sum(squares) * share + LAYER_NORM_EPS);
        for (size_t k = 0; k < s->wide; k += LANES)
            store(row + k, (load(row + k) - mean) * steep * load(scale + k) + load(shift + k));
    }
    return weights;
}

INLINE void read_out(const Shape *n, const Sizes *s, const float *values, float *read) {
    const float *last = values + (n->steps - 1) * s->wide;
    if (n->reads_mean) {
        for (size_t k = 0; k < s->wide; k += LANES) {
            Lanes total = same(0.0f);
            for (int t = 0; t < n->steps; t++) total += load(values + t * s->wide + k);
            store(read + k, total / (float)n->steps);
        }
        read += s->wide;
    }
    if (n->reads_last) memcpy(read, last, sizeof(float) * s->wide);
}

INLINE void softmax(const float *logits, float temperature, int classes, float *out) {
    float highest = logits[0], total = 0.0f;
    for (int k = 1; k < classes; k++) highest = logits[k] > highest ? logits[k] : highest;
    for (int k = 0; k < classes; k++) total += out[k] = expf((logits[k] - highest) / temperature);
    for (int k = 0; k < classes; k++) out[k] /= total;
}

INLINE void answer_some(const Shape *n, const float *weights, const float *raw, int windows, float *room, float *out) {
    Sizes s = sizes_of(n);
    const float *scalars = next(&weights, 2), *means = next(&weights, n->inputs), *factors = next(&weights, n->inputs);
    size_t sampled = n->length * s.entered, valued = n->steps * s.wide;
    float *samples = taken(&room, windows * sampled), *spread = taken(&room, windows * n->length * s.wide);
    float *values = taken(&room, windows * valued), *others = taken(&room, windows * valued);
    float *read = taken(&room, 2 * s.wide), *logits = taken(&room, n->classes);
    for (int w = 0; w < windows; w++)
        enter(n, raw + w * n->length * n->inputs, means, factors, scalars[0], samples + w * sampled, room);
    const float *from = samples;
    if (n->stem_kernel) {
        size_t inputs = n->stem_kernel * s.entered; /* samples that follow each other lie side by side */
        const float *bias = next(&weights, s.wide), *filters = next(&weights, s.wide * inputs);
        for (int w = 0; w < windows; w++)
            linear(samples + w * sampled, n->stem_stride * s.entered, filters, bias, others + w * valued, s.wide,
                   n->steps, inputs, s.wide, 1);
        from = others;
    } else if (s.spread) {
        memset(spread, 0, sizeof(float) * windows * n->length * s.wide);
        for (int t = 0; t < windows * n->length * n->directions; t++)
            memcpy(spread + t * s.unit, samples + t * n->features, sizeof(float) * n->features);
        from = spread;
    }
    for (int k = 0; k < n->blocks * n->turns; k++) {
        int ends_block = (k + 1) % n->turns == 0;
        size_t first = !n->reads_mean && k + 1 == n->blocks * n->turns ? n->steps - 1 : 0; /* that is wanted */
        int reads_value = k || n->stem_kernel || s.spread; /* samples may be as wide without being one */
        weights = turn(n, &s, windows, from, k ? s.wide : s.first, reads_value, weights, first, values, room);
        if (n->norm && ends_block) weights = normalise(n, &s, windows, first, weights, values);
        float *given = values;
        values = others;
        from = others = given;
    }
    size_t inputs = s.wide * (n->reads_mean + n->reads_last), outputs = padded(n->classes);
    const float *bias = next(&weights, outputs), *head = next(&weights, outputs * inputs);
    for (int w = 0; w < windows; w++) {
        read_out(n, &s, from + w * valued, read);
        linear(read, inputs, head, bias, logits, outputs, 1, inputs, outputs, n->head_relu);
        softmax(logits, scalars[1], n->classes, out + w * n->classes);
    }
}

TARGET void ANSWER(const Shape *n, const float *weights, const float *windows, size_t count, float *room, float *out) {
    for (size_t w = 0; w < count; w += WINDOWS)
        answer_some(n, weights, windows + w * n->length * n->inputs, w + WINDOWS <= count ? WINDOWS : 1, room,
                    out + w * n->classes);
}
