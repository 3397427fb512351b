/* Looks for keys, and for what is acknowledged, in what comes on standard input, lengths and frames, with nothing but
   the frame in memory. */

#define main sender_main
#include "sender.c"
#undef main

int main(void)
{
    static const char *const keys[] = {"kind", "window", "p", "probs", "none such"};
    unsigned char length[4], *only;
    ks_value v;
    size_t size, i, frames = 0;
    if (ks_ring_begin(&ring, kept, sizeof kept, 80, 7)) return 1;
    for (; fread(length, 1, sizeof length, stdin) == sizeof length; frames++) {
        size = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16;
        only = malloc(size);
        if (only == NULL || fread(only, 1, size, stdin) != size) return 1;
        for (i = 0; i < sizeof keys / sizeof *keys; i++)
            if (ks_find(only, size, keys[i], 's', &v) == 0) (void)printable(&v);
        while (ring.next < 3) ks_keep(&ring, 80, ring.next + 1);
        ring.sent = ring.next;
        (void)ks_acknowledged(&ring, only, size);
        if (ring.oldest > ring.sent || ring.sent > ring.next) return 2;
        if (ring.oldest > ring.received || ring.received > ring.next) return 2;
        ring.oldest = ring.received = ring.sent = ring.next = 0;
        free(only);
    }
    printf("%zu\n", frames);
    return 0;
}
