/* `model.network.residual.ResidualBiLSTM` for windows of one bundle; `model.engine.kernel.engine` lays out its weights. */

#ifndef KINESTREAM_KERNEL_H
#define KINESTREAM_KERNEL_H

#include <stddef.h>

/* Outputs of a layer that are computed together; every number of features is rounded up to a multiple of it, and what
 * that adds has zeros for weights. */
#define PANEL 16

/* Windows that are computed together: so often is a recurrent weight used that has been loaded. */
#define WINDOWS 2

/* In the order of `model.engine.kernel.engine.Shape`. */
typedef struct {
    int length;       /* T, samples in a window */
    int inputs;       /* D */
    int detail;       /* whether each input's detail stands beside it */
    int stem_kernel;  /* samples a filter reads; 0: there is no stem */
    int stem_stride;  /* samples between its steps */
    int steps;        /* time steps the blocks read */
    int features;     /* F of one direction */
    int directions;   /* 1 or 2 */
    int cells;        /* that read the same and are added */
    int turns;        /* groups of cells that follow one another in a block */
    int blocks;       /* of so many turns */
    int adds;         /* whether what a turn read is added to what it gives */
    int norm;         /* 0: none; 1: batch, by time step; 2: layer, by feature */
    int reads_mean;   /* whether the head reads the mean over time */
    int reads_last;   /* whether it reads the last step, after the mean if it reads both */
    int head_relu;
    int classes;      /* K */
} Shape;

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
