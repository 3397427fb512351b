/* Sends rows of comma-separated numbers to a kinestream streamer, and prints the labels that come back.

       cc -std=c99 -o sender sender.c
       cat /dev/ttyUSB0 | ./sender 192.168.1.20 5570 5572 5571 ben 50 acc_x:m/s2,acc_y:m/s2,acc_z:m/s2

   C99 and POSIX sockets, no library, no heap. Everything named ks_... is meant to be lifted out: connecting and framing
   (ZMTP 3.0 with the NULL mechanism), writing messages, reading answers, keeping messages until they are acknowledged;
   main() shows how they go together. docs/wire.md says what the bytes mean.

   With --reliable, rows are kept until the streamer acknowledges them, in KEEP bytes (-DKEEP=..., 1 MiB), and sent
   again where they may have been lost: labels are those of an undisturbed run, also if the streamer is killed. Where
   KEEP bytes are full, standard input is not read until there is room. Rows are read while nobody is connected, too.

   Each buffer is the caller's. For C channels a description takes up to 270 + 145 C bytes, a message of n readings
   32 + 4 n C, a label some 1,000; KS_ROOM more for what is sent. A message that is kept takes KS_SLOT more, and those
   of a window and seven seconds should have room. A longer frame than the buffer is read past. One file, however long,
   since that is what fits anywhere. */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* where there is none, SIGPIPE must be ignored, as main() does */
#endif

enum {
    KS_ROOM = 9,             /* bytes that stay free in front of what is sent, for the head of its frame */
    KS_TEXT = 64,            /* bytes of a name or unit */
    KS_LONGEST = 1 << 16,    /* bytes of any message */
    KS_PATIENCE_MS = 30000,  /* so long a connection may take or give nothing in the middle of a frame */
    KS_MEANWHILE_MS = 20,    /* how often ks_meanwhile is called */
    KS_MORE = 1, KS_LONG = 2, KS_COMMAND = 4 /* flags of a frame */
};

/* ---- Connections: ZMTP over a socket ------------------------------------------------------------------------- */

static int64_t ks_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What is to be done while something is waited for, as reading a sensor that waits for nobody. */
static void (*ks_meanwhile)(void);

/* Waits until a socket can be read or written. All that return int return 0, or -1 where it failed, if nothing else is
   said. */
static int ks_wait(int file, short events, int64_t until_ms)
{
    struct pollfd one = {file, events, 0};
    for (;;) {
        int64_t left = until_ms - ks_now_ms();
        int64_t most = ks_meanwhile != NULL ? KS_MEANWHILE_MS : INT_MAX;
        int ready;
        if (ks_meanwhile != NULL) ks_meanwhile();
        ready = poll(&one, 1, left > most ? (int)most : left > 0 ? (int)left : 0);
        if (ready > 0) return 0;
        if (ready < 0 ? errno != EINTR : left <= most) return -1;
    }
}

static int ks_write(int file, const unsigned char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t n = send(file, bytes, count, MSG_NOSIGNAL);
        if (n >= 0) {
            bytes += n;
            count -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (ks_wait(file, POLLOUT, ks_now_ms() + KS_PATIENCE_MS)) return -1;
        } else if (errno != EINTR) return -1;
    }
    return 0;
}

static int ks_read(int file, unsigned char *bytes, size_t count, int64_t until_ms)
{
    while (count > 0) {
        ssize_t n = recv(file, bytes, count, 0);
        if (n > 0) {
            bytes += n;
            count -= (size_t)n;
        } else if (n == 0) return -1; /* the peer has closed */
        else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (ks_wait(file, POLLIN, until_ms)) return -1;
        } else if (errno != EINTR) return -1;
    }
    return 0;
}

/* Sends the `length` bytes from message + KS_ROOM on, as one frame, which is a message. */
static int ks_send_flagged(int file, unsigned char *message, size_t length, unsigned char flags)
{
    unsigned char *head = message + KS_ROOM;
    size_t rest = length;
    int i;
    if (length < 256) {
        *--head = (unsigned char)length;
    } else {
        for (i = 0; i < 8; i++, rest >>= 8) *--head = (unsigned char)(rest & 255);
        flags |= KS_LONG;
    }
    *--head = flags;
    return ks_write(file, head, length + (size_t)(message + KS_ROOM - head));
}

static int ks_send(int file, unsigned char *message, size_t length)
{
    return ks_send_flagged(file, message, length, 0);
}

/* Receives a frame and returns its length, -1 where the connection is broken. A frame that has no room is read past and
   returns 0; so do commands, of which a streamer sends none after the handshake. `flags` tells whether more follow. */
static long ks_receive(int file, unsigned char *frame, size_t size, int *flags, int64_t until_ms)
{
    unsigned char head[9], past[64];
    uint64_t length = 0, left;
    size_t i, width;
    if (ks_read(file, head, 1, until_ms)) return -1;
    *flags = head[0];
    width = head[0] & KS_LONG ? 8 : 1;
    if (ks_read(file, head + 1, width, until_ms)) return -1;
    for (i = 1; i <= width; i++) length = length << 8 | head[i];
    if (length > KS_LONGEST) return -1;
    if (length <= size) {
        return ks_read(file, frame, (size_t)length, until_ms) ? -1 : (long)length;
    }
    for (left = length; left > 0; left -= i) {
        i = left < sizeof past ? (size_t)left : sizeof past;
        if (ks_read(file, past, i, until_ms)) return -1;
    }
    return 0;
}

static int ks_greet(int file, const char *type, int64_t until_ms)
{
    /* Signature, version 3.0, mechanism, not as a server, filler. */
    static const unsigned char mine[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    static const unsigned char property[] = "\5READY\13Socket-Type";
    unsigned char ready[KS_ROOM + 64], theirs[255];
    size_t name = sizeof property - 1, length = name + 4 + strlen(type);
    int flags;
    if (ks_write(file, mine, sizeof mine) || ks_read(file, theirs, 64, until_ms)) return -1;
    if (theirs[0] != 0xff || theirs[9] != 0x7f || theirs[10] < 3 || memcmp(theirs + 12, mine + 12, 20)) return -1;
    memset(ready, 0, sizeof ready);
    memcpy(ready + KS_ROOM, property, name);
    ready[KS_ROOM + name + 3] = (unsigned char)strlen(type);
    memcpy(ready + KS_ROOM + name + 4, type, strlen(type));
    if (ks_send_flagged(file, ready, length, KS_COMMAND)) return -1;
    if (ks_receive(file, theirs, sizeof theirs, &flags, until_ms) < 6 || !(flags & KS_COMMAND)) return -1;
    return memcmp(theirs, property, 6) ? -1 : 0; /* ERROR: it does not talk to such a socket */
}

/* Connects to a streamer as a socket of `type`: PUSH for samples, DEALER for control, SUB for labels. Returns the
   socket, or -1 where nobody answered so within `patience_ms`. `host` is an IPv4 address: names need a resolver. */
static int ks_connect(const char *host, unsigned port, const char *type, int64_t patience_ms)
{
    int64_t until_ms = ks_now_ms() + patience_ms;
    struct sockaddr_in address;
    int file, on = 1, error = 0;
    socklen_t size = sizeof error;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return -1;
    if ((file = socket(AF_INET, SOCK_STREAM, 0)) < 0) return -1;
    if (fcntl(file, F_SETFL, O_NONBLOCK) == 0
        && (connect(file, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS || errno == EINTR)
        && ks_wait(file, POLLOUT, until_ms) == 0
        && getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0
        && setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0
        && setsockopt(file, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0
        && ks_greet(file, type, until_ms) == 0) return file;
    close(file);
    return -1;
}

/* Asks, on a SUB connection, for what is published under topics that begin so. */
static int ks_subscribe(int file, const char *kind, const char *stream)
{
    unsigned char message[KS_ROOM + 1 + 8 + KS_TEXT + 2];
    int n = snprintf((char *)message + KS_ROOM, sizeof message - KS_ROOM, "\1%s/%s/", kind, stream);
    return n < 0 || (size_t)n >= sizeof message - KS_ROOM ? -1 : ks_send(file, message, (size_t)n);
}

/* ---- Messages of a sender: each returns its length behind KS_ROOM, 0 where it has no room ---------------------- */

typedef struct {
    char *name, *unit;
} ks_channel;

typedef struct {
    const char *stream, *device;
    uint64_t key, session, origin; /* 64 random bits; greater than any before; time of sample 0 or 0 */
    double rate_hz;
    const ks_channel *channels;
    size_t width; /* how many */
} ks_description;

typedef struct {
    unsigned char *bytes;
    size_t size, length;
    int full;
} ks_writer;

static ks_writer ks_begin(unsigned char *message, size_t size)
{
    ks_writer w = {NULL, 0, 0, 1};
    if (size > KS_ROOM) {
        w.bytes = message + KS_ROOM;
        w.size = size - KS_ROOM < KS_LONGEST ? size - KS_ROOM : KS_LONGEST;
        w.full = 0;
    }
    return w;
}

static void ks_put(ks_writer *w, const void *bytes, size_t count)
{
    if (w->full || count > w->size - w->length) {
        w->full = 1;
        return;
    }
    memcpy(w->bytes + w->length, bytes, count);
    w->length += count;
}

static void ks_put_big(ks_writer *w, unsigned char mark, uint64_t value, int width) /* MessagePack is big-endian */
{
    ks_put(w, &mark, 1);
    while (width-- > 0) {
        unsigned char byte = (unsigned char)(value >> 8 * width & 255);
        ks_put(w, &byte, 1);
    }
}

static void ks_put_little(ks_writer *w, uint64_t value, int width) /* samples are little-endian */
{
    for (; width-- > 0; value >>= 8) {
        unsigned char byte = (unsigned char)(value & 255);
        ks_put(w, &byte, 1);
    }
}

static void ks_put_text(ks_writer *w, const char *text)
{
    size_t length = strlen(text);
    if (length > KS_TEXT) w->full = 1;
    ks_put_big(w, 0xd9, length, 1);
    ks_put(w, text, length);
}

static size_t ks_describe(unsigned char *message, size_t size, const ks_description *about)
{
    ks_writer w = ks_begin(message, size);
    uint64_t rate;
    size_t i;
    memcpy(&rate, &about->rate_hz, sizeof rate);
    ks_put_big(&w, 0x8a, 0, 0); /* a map of ten */
    ks_put_text(&w, "v"), ks_put_big(&w, 2, 0, 0);
    ks_put_text(&w, "kind"), ks_put_text(&w, "describe");
    ks_put_text(&w, "stream"), ks_put_text(&w, about->stream);
    ks_put_text(&w, "device"), ks_put_text(&w, about->device);
    ks_put_text(&w, "key"), ks_put_big(&w, 0xcf, about->key, 8);
    ks_put_text(&w, "session"), ks_put_big(&w, 0xcf, about->session, 8);
    ks_put_text(&w, "origin"), ks_put_big(&w, 0xcf, about->origin, 8);
    ks_put_text(&w, "rate_hz"), ks_put_big(&w, 0xcb, rate, 8);
    ks_put_text(&w, "timing"), ks_put_text(&w, "grid");
    ks_put_text(&w, "channels"), ks_put_big(&w, 0xdc, about->width, 2);
    for (i = 0; i < about->width; i++) {
        ks_put_big(&w, 0x82, 0, 0);
        ks_put_text(&w, "name"), ks_put_text(&w, about->channels[i].name);
        ks_put_text(&w, "unit"), ks_put_text(&w, about->channels[i].unit);
    }
    return w.full ? 0 : w.length;
}

/* `count` readings of `width` channels, NaN for none; `seq` numbers the first, `t` is when the last was taken. */
static size_t ks_samples(unsigned char *message, size_t size, uint64_t key, uint64_t seq, uint64_t t, const float *x,
                         size_t count, size_t width)
{
    ks_writer w = ks_begin(message, size);
    uint32_t bits;
    size_t i;
    ks_put(&w, "KS\2\1", 4);
    ks_put_little(&w, count, 4);
    ks_put_little(&w, key, 8);
    ks_put_little(&w, seq, 8);
    ks_put_little(&w, t, 8);
    for (i = 0; i < count * width && !w.full; i++) {
        memcpy(&bits, &x[i], sizeof bits);
        ks_put_little(&w, bits, 4);
    }
    return w.full ? 0 : w.length;
}

static size_t ks_end(unsigned char *message, size_t size, uint64_t key)
{
    ks_writer w = ks_begin(message, size);
    ks_put_big(&w, 0x83, 0, 0);
    ks_put_text(&w, "v"), ks_put_big(&w, 2, 0, 0);
    ks_put_text(&w, "kind"), ks_put_text(&w, "end");
    ks_put_text(&w, "key"), ks_put_big(&w, 0xcf, key, 8);
    return w.full ? 0 : w.length;
}

/* ---- What a streamer says: MessagePack, of which no byte past the end is read ---------------------------------- */

typedef struct {
    char kind;                  /* i: int, t: bool, f: float, s: str, b: bin, a: array, m: map, -: nil */
    uint64_t number;            /* of an int (below 0: two's complement) or bool its value, of the others their length */
    double real;                /* of a float */
    const unsigned char *bytes; /* within the frame: of a str or bin what it holds, of the others where they begin */
} ks_value;

typedef struct {
    const unsigned char *at, *end;
} ks_reader;

/* Reads a value; of an array or map only how many entries follow. */
static int ks_next(ks_reader *r, ks_value *v)
{
    /* What the marks from 0xc0 on stand for, and the bytes of the number behind them. ?: a streamer sends none such. */
    static const char kinds[] = "-?ttbbb???ffiiiiiiii?????sssaamm", widths[] = "00001240004812481248000001242424";
    unsigned char mark;
    size_t i, width = 0;
    v->number = 0, v->real = 0, v->bytes = r->at;
    if (r->at == r->end) return -1;
    mark = *r->at++;
    if (mark < 0x80) v->kind = 'i', v->number = mark;
    else if (mark < 0x90) v->kind = 'm', v->number = mark & 15;
    else if (mark < 0xa0) v->kind = 'a', v->number = mark & 15;
    else if (mark < 0xc0) v->kind = 's', v->number = mark & 31;
    else if (mark >= 0xe0) v->kind = 'i', v->number = UINT64_MAX - (255u - mark);
    else {
        v->kind = kinds[mark - 0xc0];
        width = (size_t)(widths[mark - 0xc0] - '0');
        if (v->kind == '?' || width > (size_t)(r->end - r->at)) return -1;
        if (mark >= 0xd0 && v->kind == 'i' && *r->at & 0x80) v->number = UINT64_MAX;
        for (i = 0; i < width; i++) v->number = v->number << 8 | *r->at++;
    }
    if (v->kind == 'f' && width == 4) {
        uint32_t bits = (uint32_t)v->number;
        float single;
        memcpy(&single, &bits, sizeof single);
        v->real = single;
    } else if (v->kind == 'f') {
        memcpy(&v->real, &v->number, sizeof v->real);
    } else if (v->kind == 't') {
        v->number = mark & 1;
    } else if (v->kind == 's' || v->kind == 'b') {
        if (v->number > (uint64_t)(r->end - r->at)) return -1;
        v->bytes = r->at;
        r->at += v->number;
    }
    return 0;
}

static int ks_skip(ks_reader *r) /* a value with all that is in it; without recursion, for stacks that are small */
{
    ks_value v;
    uint64_t left;
    for (left = 1; left > 0; left--) {
        if (ks_next(r, &v)) return -1;
        if (v.kind == 'a') left += v.number;
        if (v.kind == 'm') left += 2 * v.number;
    }
    return 0;
}

/* Finds what a map has under a key, if it is of this kind. */
static int ks_find(const unsigned char *frame, size_t length, const char *key, char kind, ks_value *v)
{
    ks_reader r;
    ks_value map, name;
    r.at = frame, r.end = frame + length;
    if (ks_next(&r, &map) || map.kind != 'm') return -1;
    for (; map.number > 0; map.number--) {
        if (ks_next(&r, &name) || name.kind != 's') return -1;
        if (name.number == strlen(key) && memcmp(name.bytes, key, strlen(key)) == 0)
            return ks_next(&r, v) || v->kind != kind ? -1 : 0;
        if (ks_skip(&r)) return -1;
    }
    return -1;
}

static int ks_says(const unsigned char *frame, size_t length, const char *key, const char *text)
{
    ks_value v;
    return ks_find(frame, length, key, 's', &v) == 0 && v.number == strlen(text)
           && memcmp(v.bytes, text, strlen(text)) == 0;
}

/* ---- Messages that are kept until they are acknowledged -------------------------------------------------------- */

enum {
    KS_TRACKED = 32,                     /* bytes in front of a message that is acknowledged */
    KS_SLOT = 12 + KS_ROOM + KS_TRACKED, /* bytes that a message which is kept takes, besides its own */
    KS_ASK_BYTES = 64                    /* room enough for ks_ask */
};

/* A ring of the messages of one key, numbered from 0; message n is in slot n % slots. A slot holds where the message
   ends (u64) and its length (u32), room for the head of a frame, the head of 32 bytes, and the message. */
typedef struct {
    unsigned char *bytes;  /* the caller's */
    size_t slot, slots;    /* bytes of one, and how many there are */
    uint64_t key;
    uint64_t oldest, next; /* the first that is kept, and the one to be kept next */
    uint64_t sent;         /* the one to be sent next: goes back where something may have been lost */
    uint64_t received;     /* those before it have come, as far as is known */
} ks_ring;

/* Begins a ring for messages of up to `longest` bytes; -1 where there is no room for any. */
static int ks_ring_begin(ks_ring *ring, unsigned char *bytes, size_t size, size_t longest, uint64_t key)
{
    memset(ring, 0, sizeof *ring);
    ring->bytes = bytes;
    ring->slot = KS_SLOT + longest;
    ring->slots = size / ring->slot;
    ring->key = key;
    return ring->slots > 0 ? 0 : -1;
}

static unsigned char *ks_slot(const ks_ring *ring, uint64_t number)
{
    return ring->bytes + (size_t)(number % ring->slots) * ring->slot;
}

/* Where the next message may be written, for ks_samples and ks_end, with KS_ROOM and `longest` bytes of room; NULL
   where the ring is full. */
static unsigned char *ks_vacant(const ks_ring *ring)
{
    return ring->next - ring->oldest < ring->slots ? ks_slot(ring, ring->next) + KS_SLOT - KS_ROOM : NULL;
}

/* Keeps what was written there, `length` bytes; `end` is the number past its last sample, and of what holds none past
   the last before it. */
static void ks_keep(ks_ring *ring, size_t length, uint64_t end)
{
    unsigned char *slot = ks_slot(ring, ring->next++);
    uint32_t bytes = (uint32_t)length;
    memcpy(slot, &end, sizeof end);
    memcpy(slot + 8, &bytes, sizeof bytes);
}

/* Sends the message whose turn it is, which there must be. */
static int ks_post(ks_ring *ring, int file)
{
    unsigned char *slot = ks_slot(ring, ring->sent);
    ks_writer w = ks_begin(slot + 12, KS_ROOM + KS_TRACKED);
    uint32_t length;
    memcpy(&length, slot + 8, sizeof length);
    ks_put(&w, "KR\2\1\0\0\0\0", 8);
    ks_put_little(&w, ring->key, 8);
    ks_put_little(&w, ring->sent, 8);
    ks_put_little(&w, ring->oldest, 8);
    if (ks_send(file, slot + 12, KS_TRACKED + (size_t)length)) return -1;
    ring->sent++;
    return 0;
}

/* Asks, at the control endpoint, what has come of a key; to be repeated every second. */
static int ks_ask(int file, uint64_t key)
{
    unsigned char message[KS_ROOM + KS_ASK_BYTES];
    ks_writer w = ks_begin(message, sizeof message);
    ks_put_big(&w, 0x83, 0, 0);
    ks_put_text(&w, "v"), ks_put_big(&w, 2, 0, 0);
    ks_put_text(&w, "kind"), ks_put_text(&w, "acknowledge");
    ks_put_text(&w, "keys"), ks_put_big(&w, 0x91, 0, 0), ks_put_big(&w, 0xcf, key, 8);
    return w.full ? -1 : ks_send(file, message, w.length);
}

/* Sends again from the first message that is not known to have come. */
static void ks_send_again(ks_ring *ring)
{
    uint64_t first = ring->received > ring->oldest ? ring->received : ring->oldest;
    if (ring->sent > first) ring->sent = first;
}

/* Takes what an `acknowledged` says of the ring's key: forgets what is needed no more, goes back where that is asked
   for. Returns 1, or 0 where nothing is said of the key that can be, or -1 where the streamer knows nothing of it and
   has to be sent the description, then all that is kept. */
static int ks_acknowledged(ks_ring *ring, const unsigned char *frame, size_t length)
{
    enum { KEY, RECEIVED, NUMBER, NEEDED, AGAIN, FIELDS };
    static const char kinds[] = "iiiit";
    ks_value keys, entry, of[FIELDS] = {{'-', 0, 0, NULL}};
    ks_reader r;
    uint64_t received, number, end;
    int i;
    if (ks_find(frame, length, "keys", 'a', &keys)) return 0;
    r.at = keys.bytes, r.end = frame + length;
    if (ks_next(&r, &keys)) return 0;
    for (of[KEY].number = ring->key + 1; keys.number > 0 && of[KEY].number != ring->key; keys.number--) {
        if (ks_next(&r, &entry) || entry.kind != 'a' || entry.number != FIELDS) return 0;
        for (i = 0; i < FIELDS; i++)
            if (ks_next(&r, &of[i]) || of[i].kind != kinds[i]) return 0;
    }
    if (of[KEY].number != ring->key) return 0;
    received = of[RECEIVED].number, number = of[NUMBER].number;
    if (received == UINT64_MAX) { /* -1 */
        ring->received = ring->sent = ring->oldest;
        return -1;
    }
    /* More than was ever sent is of another sender, or made up. */
    if (received > ring->next || number > ring->next || of[NEEDED].number > (uint64_t)1 << 62) return 0;
    for (; ring->oldest < number && ring->oldest < received; ring->oldest++) {
        memcpy(&end, ks_slot(ring, ring->oldest), sizeof end);
        if (end > of[NEEDED].number) break;
    }
    ring->received = received > ring->oldest ? received : ring->oldest;
    if (ring->sent < ring->oldest) ring->sent = ring->oldest;
    if (of[AGAIN].number) ks_send_again(ring);
    return 1;
}

/* ---- The program ---------------------------------------------------------------------------------------------- */

#ifndef FRAME
#define FRAME KS_LONGEST /* bytes of what is received; a device that knows the bundle makes do with few */
#endif
#ifndef KEEP
#define KEEP (1 << 20) /* bytes in which messages are kept until they are acknowledged */
#endif
#ifndef CLOSE_MS
#define CLOSE_MS 30000 /* how long that is waited for at the end */
#endif

enum { SAMPLES, CONTROL, LABELS, CONNECTIONS };
enum {
    CHANNELS = 256,       /* at most */
    LINE = 32 * CHANNELS, /* bytes of a row */
    DESCRIBE_MS = 2000,   /* how often the description is repeated */
    ASK_MS = 200,         /* the same until it has been answered, and what came of the messages at the end */
    ACKNOWLEDGE_MS = 1000, /* how often is asked what came of them before */
    UNKNOWN_MS = 500,     /* how often a streamer that knows nothing of the key is told at most */
    STALLED_MS = 3000,    /* after so long without anything new received all of it is sent again */
    AT_ONCE = 64          /* messages that are sent before what is said is heard */
};

static const char *host;
static unsigned ports[CONNECTIONS];
static int files[CONNECTIONS] = {-1, -1, -1};
static int64_t give_up_ms = 10000, described_ms;
static ks_channel channels[CHANNELS];
static ks_description about;
static unsigned char description[KS_ROOM + 270 + 145 * CHANNELS];
static unsigned char message[KS_ROOM + 32 + 4 * CHANNELS];
static unsigned char frame[FRAME];
static size_t description_length;
static int admitted;        /* the stream is accepted */
static int heard;           /* that was published, and reached us: so its labels do */
static int ending, ended;   /* the end was sent; was confirmed */
static uint64_t seq;
static float row[CHANNELS];
static char text[LINE + 1]; /* of standard input: what is not a row yet */
static size_t text_length, unread; /* rows before the first that could be read */
static int input_open = 1;
static int paced;
static double due_ms;       /* when the next row is, where they are paced */

/* Of what is kept, with --reliable. */
static int reliable;
static ks_ring ring;
static unsigned char kept[KEEP];
static size_t longest;      /* bytes of a message */
static int attached;        /* there was a streamer */
static int told;            /* it has said what came of the messages */
static int unknown;         /* it knows nothing of them */
static int64_t asked_ms, told_ms, progressed_ms, closing_ms;
static uint64_t next_window; /* whose label is printed next */

/* Tells people, and ends with this status unless it is 0. */
static void say(int status, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("sender: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    if (status) exit(status);
}

static uint64_t unix_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* How long the UTF-8 character at the front of a text is; 0 where it is none, or one that a terminal would obey. */
static size_t character(const unsigned char *s, size_t left)
{
    static const uint32_t least[] = {0, 0x20, 0xa0, 0x800, 0x10000}; /* of so many bytes */
    size_t i, n = s[0] < 0x7f ? 1 : s[0] < 0xc2 || s[0] > 0xf4 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t code = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    if (n > left) return 0;
    for (i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    return code < least[n] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff ? 0 : n;
}

/* Text from outside as it may be printed. */
static const char *printable(const ks_value *v)
{
    static char both[2][512]; /* for two in one line */
    static int turn;
    char *shown = both[turn ^= 1];
    size_t i, n, length = v->number < sizeof *both - 1 ? (size_t)v->number : sizeof *both - 1;
    for (i = 0; i < length; i += n ? n : 1) {
        n = character(v->bytes + i, length - i);
        if (n > 0) memcpy(shown + i, v->bytes + i, n);
        else shown[i] = '?';
    }
    shown[length] = '\0';
    return shown;
}

/* Prints a label: window, class, its probability, first and last sample, the probability of every class. */
static void print_label(size_t length)
{
    ks_value session, window, first, last, name, p, probs;
    size_t i;
    if (ks_find(frame, length, "session", 'i', &session) || ks_find(frame, length, "window", 'i', &window)
        || ks_find(frame, length, "first_seq", 'i', &first) || ks_find(frame, length, "last_seq", 'i', &last)
        || ks_find(frame, length, "label", 's', &name) || ks_find(frame, length, "p", 'f', &p)
        || ks_find(frame, length, "probs", 'b', &probs)) {
        say(0, "passed over a label that cannot be read");
        return;
    }
    /* A streamer that was restarted makes labels again that have come already. */
    if (reliable && (session.number != about.session || window.number < next_window)) return;
    next_window = window.number + 1;
    printf("%" PRIu64 "\t%s\t%.9g\t%" PRIu64 "\t%" PRIu64 "\t", window.number, printable(&name), p.real, first.number,
           last.number);
    for (i = 0; i + 4 <= probs.number; i += 4) {
        const unsigned char *b = probs.bytes + i;
        uint32_t bits = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        float one;
        memcpy(&one, &bits, sizeof one);
        printf("%s%.9g", i ? " " : "", one);
    }
    putchar('\n');
    if (fflush(stdout)) say(2, "nobody reads the labels any more");
}

static void note_event(size_t length)
{
    ks_value event, session, reason;
    int ours = ks_find(frame, length, "session", 'i', &session) == 0 && session.number == about.session;
    if (ks_find(frame, length, "event", 's', &event)) return;
    if (ks_says(frame, length, "event", "accepted")) heard = 1;
    else if (!admitted) return; /* a refusal of ours, which is answered as well, or another sender's */
    else if (ending && ours && ks_says(frame, length, "event", "end")) ended = 1;
    else if (ks_find(frame, length, "reason", 's', &reason)) say(0, "event %s", printable(&event));
    else say(0, "event %s: %s", printable(&event), printable(&reason));
}

/* Ends where what may be kept is less than a window, which would never be complete. */
static void check_room(size_t size)
{
    ks_value window, length;
    if (ks_find(frame, size, "window", 'm', &window)
        || ks_find(window.bytes, (size_t)(frame + size - window.bytes), "length", 'i', &length)) return;
    if (length.number < ring.slots) return;
    say(2, "%zu rows may be kept, and a window has %" PRIu64 ": compile with -DKEEP=%.0f or more", ring.slots,
        length.number, (double)ring.slot * ((double)length.number + 7 * about.rate_hz));
}

static void note_acknowledged(size_t size)
{
    uint64_t before = ring.received;
    int known = ks_acknowledged(&ring, frame, size);
    if (known == 0) return;
    told = 1;
    told_ms = ks_now_ms();
    if (known < 0) unknown = 1;
    if (known < 0 || ring.received > before) progressed_ms = told_ms;
}

/* Takes a message of a connection, -1 where that is broken: a label or event, an answer; a PUSH is told nothing. */
static int take(int which)
{
    int64_t until_ms = ks_now_ms() + KS_PATIENCE_MS;
    int flags = KS_MORE, parts = 0;
    long length = 0;
    size_t size;
    ks_value key, reason;
    for (; flags & KS_MORE; parts++) {
        length = ks_receive(files[which], frame, sizeof frame, &flags, until_ms);
        if (length < 0 || parts == 2) return -1; /* nothing has more than a topic and a map */
    }
    size = (size_t)length;
    if (which == LABELS && parts == 2 && ks_says(frame, size, "kind", "label")) print_label(size);
    if (which == LABELS && parts == 2 && ks_says(frame, size, "kind", "event")) note_event(size);
    if (which == CONTROL && reliable && ks_says(frame, size, "kind", "acknowledged")) note_acknowledged(size);
    if (which != CONTROL || ks_find(frame, size, "key", 'i', &key) || key.number != about.key) return 0;
    if (ks_says(frame, size, "kind", "accepted")) {
        if (reliable) check_room(size);
        admitted = 1;
    }
    if (ks_says(frame, size, "kind", "refused") && ks_find(frame, size, "reason", 's', &reason) == 0)
        say(2, "the streamer refuses stream %s: %s", about.stream, printable(&reason));
    return 0;
}

static int describe(void)
{
    described_ms = ks_now_ms();
    return ks_send(files[SAMPLES], description, description_length)
           || ks_send(files[CONTROL], description, description_length);
}

static int ask(void)
{
    asked_ms = ks_now_ms();
    return ks_ask(files[CONTROL], about.key);
}

static void read_input(void)
{
    ssize_t n = read(STDIN_FILENO, text + text_length, LINE - text_length);
    if (n > 0) text_length += (size_t)n;
    else if (n == 0 || (errno != EINTR && errno != EAGAIN)) input_open = 0;
}

/* Waits up to `timeout_ms` for what connections have, takes it, and reads standard input if that is wanted. */
static int listen_for(int64_t timeout_ms, int input)
{
    struct pollfd all[CONNECTIONS + 1];
    int i;
    for (i = 0; i <= CONNECTIONS; i++) {
        all[i].fd = i < CONNECTIONS ? files[i] : input ? STDIN_FILENO : -1;
        all[i].events = POLLIN, all[i].revents = 0;
    }
    if (poll(all, CONNECTIONS + 1, timeout_ms > 0 ? (int)timeout_ms : 0) < 0) return errno == EINTR ? 0 : -1;
    for (i = 0; i < CONNECTIONS; i++)
        if (all[i].revents && take(i)) return -1;
    if (all[CONNECTIONS].revents) read_input();
    return 0;
}

static int read_row(char *line) /* no number is no reading; -1 where it has another number of fields */
{
    size_t i;
    char *rest;
    for (i = 0; i < about.width; i++, line = rest + 1) {
        row[i] = strtof(line, &rest);
        if (rest == line) {
            const uint32_t nan = 0x7fc00000;
            memcpy(&row[i], &nan, sizeof row[i]);
        }
        rest += strspn(rest, " \t\r");
        if (*rest != (i + 1 < about.width ? ',' : '\0')) return -1;
    }
    return 0;
}

/* Says of the first row, if it cannot be read, what is wrong with it; a header with the columns' names is not. */
static void report_unread(const char *line)
{
    size_t fields = 1;
    for (; *line != '\0'; line++) fields += *line == ',';
    if (++unread > 1 || fields == about.width) return;
    say(0, "row 1 is left out: it has %zu field%s, not %zu numbers with commas between them", fields,
        fields == 1 ? "" : "s", about.width);
}

/* Fetches the next row that standard input has given so far: 1, or 0 where there is none. One that cannot be read
   counts as a reading that was lost, once the first has been read: a serial line's first row is rarely whole. */
static int next_row(void)
{
    char *end;
    while ((end = memchr(text, '\n', text_length)) != NULL || text_length == LINE || (!input_open && text_length > 0)) {
        size_t used = end ? (size_t)(end - text) + 1 : text_length;
        int whole, right;
        text[end ? used - 1 : used] = '\0';
        whole = strlen(text) + (end != NULL) == used; /* no zero in it */
        if (whole && text[strspn(text, " \t\r")] == '\0') right = -1;
        else right = whole && read_row(text) == 0;
        if (right == 0 && seq == 0) report_unread(text);
        memmove(text, text + used, text_length -= used);
        if (right == 1) return 1;
        if (right == 0 && seq > 0) {
            say(0, "reading %" PRIu64 " cannot be read as %zu numbers: it counts as lost", seq, about.width);
            seq++;
        }
    }
    return 0;
}

/* Says, at the end, if no row could be read. */
static void check_rows(void)
{
    if (seq == 0 && unread)
        say(2, "none of %zu rows could be read: write %zu numbers with commas between them", unread, about.width);
}

/* Whether rows are to be read, with --reliable: while there is room for them. */
static int wants_input(void)
{
    return input_open && text_length < LINE && ks_vacant(&ring) != NULL;
}

/* Keeps the rows that standard input has given, those whose time it is, while there is room; then the end. */
static void keep_rows(void)
{
    unsigned char *at;
    while (!ending && (at = ks_vacant(&ring)) != NULL && (!paced || due_ms <= (double)ks_now_ms())) {
        if (next_row()) {
            ks_keep(&ring, ks_samples(at, KS_ROOM + longest, about.key, seq, unix_ns(), row, 1, about.width), seq + 1);
            seq++;
            due_ms += 1000 / about.rate_hz;
        } else if (!input_open && text_length == 0) {
            check_rows();
            ks_keep(&ring, ks_end(at, KS_ROOM + longest, about.key), seq);
            ending = 1;
            closing_ms = ks_now_ms() + CLOSE_MS;
        } else return;
    }
}

/* The same, of what standard input has now: done while anything is waited for, since a sensor does not wait. */
static void keep_input(void)
{
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    keep_rows();
    if (!wants_input() || poll(&input, 1, 0) <= 0) return;
    read_input();
    keep_rows();
}

/* Connects, and describes the stream until the answers are there: that it is taken, that its labels reach us, and,
   with --reliable, what has come of it. */
static int attach(int64_t until_ms)
{
    static const char *const types[3] = {"PUSH", "DEALER", "SUB"};
    int i;
    for (i = 0; i < CONNECTIONS; i++) {
        if (files[i] >= 0) close(files[i]);
        files[i] = -1;
    }
    for (i = 0; i < CONNECTIONS; i++)
        if ((files[i] = ks_connect(host, ports[i], types[i], until_ms - ks_now_ms())) < 0) return -1;
    /* Labels first: whoever then gets an event gets every label. */
    if (ks_subscribe(files[LABELS], "label", about.stream) || ks_subscribe(files[LABELS], "event", about.stream))
        return -1;
    for (heard = admitted = told = 0; !(heard && admitted && (told || !reliable));) {
        if (ks_now_ms() >= until_ms) return -1;
        if (ks_now_ms() - described_ms >= ASK_MS && (describe() || (reliable && ask()))) return -1;
        if (listen_for(described_ms + ASK_MS - ks_now_ms(), reliable && wants_input())) return -1;
        if (reliable) keep_rows();
    }
    return 0;
}

static void give_up_kept(void)
{
    say(2, "%" PRIu64 " of %" PRIu64 " messages were not acknowledged within %g s of the end", ring.next - ring.oldest,
        ring.next, CLOSE_MS / 1000.0);
}

/* Until when a streamer is looked for: where what is kept is for one that was there, until it is back. */
static int64_t look_until(int64_t begun_ms)
{
    if (!attached || !reliable) return begun_ms + give_up_ms;
    return ending ? closing_ms : INT64_MAX;
}

static void find_streamer(void)
{
    int64_t begun_ms = ks_now_ms(), until_ms;
    described_ms = begun_ms - ASK_MS;
    for (;;) {
        until_ms = ks_now_ms() + give_up_ms;
        if (attach(until_ms < look_until(begun_ms) ? until_ms : look_until(begun_ms)) == 0) break;
        if (ks_now_ms() >= look_until(begun_ms)) {
            if (attached && reliable) give_up_kept();
            say(2, "no streamer answered at %s, ports %u, %u and %u, within %g s: %s", host, ports[SAMPLES],
                ports[CONTROL], ports[LABELS], (double)give_up_ms / 1000, "start one with 'kinestream serve BUNDLE'");
        }
        ks_wait(-1, 0, ks_now_ms() + ASK_MS);
    }
    attached = 1;
    if (reliable) ks_send_again(&ring);
}

/* Sends what is kept, and keeps rows, until all is acknowledged; -1 where a connection breaks, after which it may go
   on. */
static int deliver_rows(void)
{
    int64_t now_ms, next_ms, ask_ms;
    int i;
    progressed_ms = told_ms = ks_now_ms();
    for (;;) {
        keep_rows();
        if (ending && ring.oldest == ring.next) break;
        now_ms = ks_now_ms();
        if (ending && now_ms >= closing_ms) give_up_kept();
        if (now_ms - told_ms >= KS_PATIENCE_MS) return -1; /* it went without a word, as where the power fails */
        if (now_ms - described_ms >= (unknown ? UNKNOWN_MS : DESCRIBE_MS) && describe()) return -1;
        unknown = 0;
        ask_ms = ending ? ASK_MS : ACKNOWLEDGE_MS;
        if (now_ms - asked_ms >= ask_ms && ask()) return -1;
        if (ring.sent <= ring.received) progressed_ms = now_ms;
        else if (now_ms - progressed_ms >= STALLED_MS) {
            progressed_ms = now_ms;
            ks_send_again(&ring);
        }
        for (i = 0; i < AT_ONCE && ring.sent < ring.next; i++)
            if (ks_post(&ring, files[SAMPLES])) return -1;
        next_ms = described_ms + DESCRIBE_MS < asked_ms + ask_ms ? described_ms + DESCRIBE_MS : asked_ms + ask_ms;
        if (paced && due_ms > (double)now_ms && due_ms < (double)next_ms) next_ms = (int64_t)due_ms + 1;
        if (ring.sent < ring.next) next_ms = now_ms;
        if (listen_for(next_ms - now_ms, wants_input())) return -1;
    }
    if (!ended) say(0, "the event end has not come: labels may have been missed");
    return 0;
}

/* Sends all rows, and listens until the end is confirmed; -1 where a connection breaks, after which it may go on. */
static int send_rows(void)
{
    static int waiting; /* a row, for its time */
    int64_t now_ms, next_ms, until_ms = 0;
    size_t length;
    due_ms = (double)ks_now_ms();
    while (!ended) {
        now_ms = ks_now_ms();
        if (now_ms - described_ms >= DESCRIBE_MS && describe()) return -1;
        if (!waiting) waiting = next_row();
        next_ms = described_ms + DESCRIBE_MS;
        if (waiting && (!paced || due_ms <= (double)now_ms)) next_ms = now_ms;
        else if (waiting && due_ms < (double)next_ms) next_ms = (int64_t)due_ms + 1;
        /* What is said comes first: a connection that has been closed takes no row. */
        if (listen_for(next_ms - now_ms, input_open && !waiting)) return -1;
        if (waiting && next_ms == now_ms) {
            length = ks_samples(message, sizeof message, about.key, seq, unix_ns(), row, 1, about.width);
            if (ks_send(files[SAMPLES], message, length)) return -1;
            seq++;
            waiting = 0;
            due_ms += 1000 / about.rate_hz;
        } else if (!waiting && !input_open && text_length == 0 && !ending) {
            check_rows();
            if (ks_send(files[SAMPLES], message, ks_end(message, sizeof message, about.key))) return -1;
            ending = 1;
            until_ms = ks_now_ms() + give_up_ms;
        } else if (ending && now_ms >= until_ms) {
            say(2, "the end was not confirmed within %g s", (double)give_up_ms / 1000);
        }
    }
    return 0;
}

static void read_columns(char *columns)
{
    for (; about.width < CHANNELS && columns != NULL; about.width++) {
        char *next = strchr(columns, ','), *unit;
        if (next != NULL) *next++ = '\0';
        unit = strrchr(columns, ':');
        if (unit != NULL) *unit++ = '\0';
        channels[about.width].name = columns;
        channels[about.width].unit = unit != NULL ? unit : "";
        if (*columns == '\0') say(2, "column %zu has no name", about.width + 1);
        columns = next;
    }
    if (columns != NULL) say(2, "there are more than %d columns", CHANNELS);
    about.channels = channels;
}

static void read_arguments(char **argument)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@+-";
    struct in_addr unused;
    char *rest;
    int i;
    host = argument[0];
    if (inet_pton(AF_INET, host, &unused) != 1) say(2, "%s is no IPv4 address: names are not looked up", host);
    for (i = 0; i < 3; i++) {
        long port = strtol(argument[1 + i], &rest, 10);
        if (*rest != '\0' || port < 1 || port > 65535) say(2, "%s is no port", argument[1 + i]);
        ports[i] = (unsigned)port;
    }
    about.stream = argument[4];
    about.device = "sensor";
    if (*about.stream == '\0' || strlen(about.stream) > KS_TEXT || about.stream[strspn(about.stream, letters)] != '\0')
        say(2, "%s is no name of a stream: use 1 to %d letters, digits and _ . : @ + -", about.stream, KS_TEXT);
    about.rate_hz = strtod(argument[5], &rest);
    if (*rest != '\0' || !(about.rate_hz > 0 && about.rate_hz < 1e9))
        say(2, "%s is no number of rows a second", argument[5]);
    read_columns(argument[6]);
}

static uint64_t new_key(void)
{
    uint64_t key = 0;
    int source = open("/dev/urandom", O_RDONLY);
    if (source < 0 || read(source, &key, sizeof key) != (ssize_t)sizeof key)
        say(2, "there is no /dev/urandom to draw a key from");
    close(source);
    return key;
}

int main(int count, char **arguments)
{
    static char output[4096];
    int option;
    while ((option = getopt(count, arguments, "prw:-:")) != -1) { /* -:, for --reliable */
        if (option == 'p') paced = 1;
        else if (option == 'r' || (option == '-' && strcmp(optarg, "reliable") == 0)) reliable = 1;
        else if (option == 'w') give_up_ms = (int64_t)(1000 * strtod(optarg, NULL));
        else count = 0;
    }
    if (count - optind != 7 || give_up_ms < 1 || give_up_ms > 86400000) {
        fputs("usage: sender [-p] [-r] [-w SECONDS] HOST SAMPLES CONTROL LABELS STREAM RATE NAME[:UNIT],... < rows\n"
              "  HOST SAMPLES CONTROL LABELS  the streamer's IPv4 address and ports, usually 127.0.0.1 5570 5572 5571\n"
              "  -p  pace the rows at RATE, rows a second, instead of sending them as they come\n"
              "  -r  or --reliable: keep rows until they are acknowledged; send them again where they may be lost\n"
              "  -w  look for a streamer so long before giving up (10)\n", stderr);
        return 2;
    }
    setvbuf(stdout, output, _IOFBF, sizeof output); /* no heap for this either */
    signal(SIGPIPE, SIG_IGN);
    read_arguments(arguments + optind);
    about.key = new_key();
    about.session = unix_ns();
    description_length = ks_describe(description, sizeof description, &about);
    if (description_length == 0) say(2, "a name or unit has more than %d bytes", KS_TEXT);
    longest = 32 + 4 * about.width; /* the end is shorter */
    if (reliable && ks_ring_begin(&ring, kept, sizeof kept, longest, about.key))
        say(2, "there is no room for a row: compile with a greater KEEP than %d", KEEP);
    if (reliable) ks_meanwhile = keep_input;
    due_ms = (double)ks_now_ms();
    find_streamer();
    while (reliable ? deliver_rows() : send_rows()) {
        if (ending && !reliable) say(2, "the connection broke before the last labels came");
        say(0, "lost the streamer: connecting again");
        find_streamer();
    }
    return 0;
}
