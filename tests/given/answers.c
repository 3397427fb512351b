/* Prints the kernel's answers, without Python: what a processor that has none here makes of a network and windows.
 *
 * argv[1] names a file of 32-bit numbers: how many windows, the network's `Shape`, its weights, the windows. */

#include <stdio.h>
#include <stdlib.h>

#include "kernel.h"

static void *aligned(size_t count) { return aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64); }

static void fill(void *into, size_t size, size_t count, FILE *file) {
    if (!into || fread(into, size, count, file) != count) {
        fprintf(stderr, "no memory, or a file that is too short\n");
        exit(1);
    }
}

int main(int argc, char **argv) {
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    int count;
    Shape shape;
    if (!file) return 1;
    fill(&count, sizeof count, 1, file);
    fill(&shape, sizeof shape, 1, file);
    size_t inputs = (size_t)count * shape.length * shape.inputs, outputs = (size_t)count * shape.classes;
    float *weights = aligned(weights_of(&shape)), *windows = aligned(inputs);
    fill(weights, sizeof(float), weights_of(&shape), file);
    fill(windows, sizeof(float), inputs, file);
    float *out = aligned(outputs), *room = aligned(room_of(&shape));
    if (!out || !room) return 1;
    answer(&shape, weights, windows, count, room, out);
    fprintf(stderr, "%s\n", instructions());
    for (size_t i = 0; i < outputs; i++) printf("%.9g\n", out[i]);
    return 0;
}
