/* What follows from a shape, for who counts its weights and for who reads them. */

#ifndef KINESTREAM_SIZES_H
#define KINESTREAM_SIZES_H

#include "kernel.h"

static inline size_t padded(size_t count) { return (count + PANEL - 1) / PANEL * PANEL; }

typedef struct {
    size_t entered; /* features of a sample, with its detail */
    size_t wide;    /* of a value between the layers */
    size_t first;   /* of what the first turn reads */
    size_t lstms;   /* side by side in a turn */
    size_t unit;    /* features of one of them */
    int spread;     /* whether samples are laid out as values, because what reads them is added to them */
} Sizes;

static inline Sizes sizes_of(const Shape *n) {
    Sizes s;
    s.entered = (size_t)n->inputs * (n->detail ? 2 : 1);
    s.unit = padded(n->features);
    s.wide = s.unit * n->directions;
    s.lstms = (size_t)n->cells * n->directions;
    s.spread = n->adds && !n->stem_kernel && s.entered == (size_t)n->features * n->directions;
    s.first = n->stem_kernel || s.spread ? s.wide : s.entered;
    return s;
}

#endif
