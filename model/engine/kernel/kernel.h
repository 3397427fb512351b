/* `kinestream.model.network.residual.ResidualBiLSTM` for windows of one bundle; `kinestream.model.engine.kernel.engine`
 * lays out its weights. */

#ifndef KINESTREAM_KERNEL_H
#define KINESTREAM_KERNEL_H

#include <stddef.h>

/* Outputs of a layer that are computed together; every number of features is rounded up to a multiple of it, and what
 * that adds has zeros for weights. */
#define PANEL 16

/* Windows that are computed together: so often is a recurrent weight used that has been loaded. */
#define WINDOWS 2

/* What Python must say and mean alike is named here, in lists that the module exports and
 * `kinestream.model.engine.kernel.engine` compares with its own when it is imported: the fields of a shape, in the
 * order in which `load` reads them; the gates of an LSTM, in the order of its weights; the normalisations, in the order
 * of their numbers. */
#define SHAPE_FIELDS(EACH)                                                                        \
    EACH(length)      /* T, samples in a window */                                                \
    EACH(inputs)      /* D */                                                                     \
    EACH(detail)      /* whether each input's detail stands beside it */                          \
    EACH(stem_kernel) /* samples a filter reads; 0: there is no stem */                           \
    EACH(stem_stride) /* samples between its steps */                                             \
    EACH(steps)       /* time steps the blocks read */                                            \
    EACH(features)    /* F of one direction */                                                    \
    EACH(directions)  /* 1 or 2 */                                                                \
    EACH(cells)       /* that read the same and are added */                                      \
    EACH(turns)       /* groups of cells that follow one another in a block */                    \
    EACH(blocks)      /* of so many turns */                                                      \
    EACH(adds)        /* whether what a turn read is added to what it gives */                    \
    EACH(norm)        /* of NORM_NAMES */                                                         \
    EACH(reads_mean)  /* whether the head reads the mean over time */                             \
    EACH(reads_last)  /* whether it reads the last step, after the mean if it reads both */       \
    EACH(head_relu)                                                                               \
    EACH(classes)     /* K */

#define GATE_NAMES(EACH) EACH(input) EACH(forget) EACH(cell) EACH(output)

#define NORM_NAMES(EACH) \
    EACH(none)           \
    EACH(batch) /* by time step */ \
    EACH(layer) /* by feature */

#define INTEGER(name) int name;
#define GATE(name) GATE_##name,
#define NORM(name) NORM_##name,
typedef struct {
    SHAPE_FIELDS(INTEGER)
} Shape;
enum { GATE_NAMES(GATE) GATES };
enum { NORM_NAMES(NORM) NORMS };

/* Of `kinestream.model.config.network`, and compared likewise. */
#define MOST_SCALED 1e6f
#define LAYER_NORM_EPS 1e-5f

/* How many weights there are, and how much room `answer` needs besides, both in floats. */
size_t weights_of(const Shape *shape);
size_t room_of(const Shape *shape);

/* Write the probability of each class, shape (W, K), of windows of shape (W, T, D), which must be finite. Weights and
 * room begin at a multiple of 64 bytes. */
typedef void Answer(const Shape *shape, const float *weights, const float *windows, size_t count, float *room,
                    float *out);
Answer answer;

/* The same for one set of instructions each, which the processor must have; `answer` takes the first that it has. */
Answer answer_avx512, answer_avx2, answer_plain;

/* The set that `answer` takes here. */
const char *instructions(void);

#endif
