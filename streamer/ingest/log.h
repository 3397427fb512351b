/* Adds readings that carry times to the log of their device, if they are simply the next: what
 * `kinestream.streamer.streams.readinglog.ReadingLog.take_in_order` does in Python. Part of take.c, which says what is
 * checked.
 */

typedef struct {
    PyObject *storage; /* a list of two arrays, times and values, which Python replaces as they grow */
    Py_buffer marks, shared, order, factors; /* factors.buf is NULL where values stay as they are */
    size_t width, most_samples;              /* columns of a message, and readings that it may hold */
    int64_t most_held, stride_ns;
    double rate_hz;
} Log;

/* `kinestream.streamer.ingest.taker` compares these names with those in `kinestream.streamer.streams.readinglog` when
 * it is imported. */
static const char *const MARK_NAMES[] = {"next",  "begin",    "end",      "last",      "newest",    "longest",
                                         "taken", "in_order", "rate_seq", "rate_time", "rate_told", "needed"};
enum { NEXT, BEGIN, END, LAST, NEWEST, LONGEST, TAKEN, IN_ORDER, RATE_SEQ, RATE_TIME, RATE_TOLD, NEEDED, MARK_COUNT };
static const char *const SHARED_NAMES[] = {"due", "waiting"};
enum { DUE, WAITING, SHARED_COUNT };

#define RATE_TOLERANCE 0.05
#define RATE_KNOWN_NS INT64_C(5000000000)
#define LONGEST_BATCH_NS INT64_C(5000000000)
#define DOUBT_NS INT64_C(10000000000)

static void forget_log(Log *log) {
    if (!log) return;
    Py_XDECREF(log->storage);
    if (log->marks.obj) PyBuffer_Release(&log->marks);
    if (log->shared.obj) PyBuffer_Release(&log->shared);
    if (log->order.obj) PyBuffer_Release(&log->order);
    if (log->factors.obj) PyBuffer_Release(&log->factors);
    free(log);
}

/* Whether times go on from the last: none steps back, and none is so far from the one before that it is in doubt. */
static int times_follow(const Log *log, const char *payload, size_t count, int64_t last) {
    int64_t most = log->rate_hz != 0 ? log->stride_ns : DOUBT_NS;
    for (size_t i = 0; i < count; i++) {
        int64_t time;
        memcpy(&time, payload + 8 * i, 8);
        if (time < last || time >= MAX_INT || time - last > most) return 0;
        last = time;
    }
    return 1;
}

/* Whether the rate of what comes is so far from what was declared that it must be told. */
static int rate_is_wrong(const Log *log, const int64_t *marks, int64_t seq, int64_t count, int64_t time) {
    if (log->rate_hz == 0 || marks[RATE_TOLD] || marks[RATE_SEQ] < 0) return 0;
    int64_t passed = time - marks[RATE_TIME], come = seq + count - 1 - marks[RATE_SEQ];
    if (come <= 0 || passed < RATE_KNOWN_NS) return 0;
    double off = (double)come * 1e9 / (double)passed / log->rate_hz - 1;
    return off > RATE_TOLERANCE || off < -RATE_TOLERANCE;
}

static void copy_rows(const Log *log, float *to, const char *from, size_t count) {
    size_t channels = (size_t)log->order.len / 8;
    const int64_t *order = log->order.buf;
    const float *factors = log->factors.buf;
    for (size_t i = 0; i < count; i++, from += 4 * log->width, to += channels) {
        for (size_t c = 0; c < channels; c++) {
            memcpy(to + c, from + 4 * order[c], 4);
            if (factors) to[c] *= factors[c];
        }
    }
}

/* Add a message's readings to what is stored, if they follow it; `ends` is then when the last was taken. */
static int stored(Log *log, int64_t seq, int64_t count, const char *payload, Py_buffer *times, Py_buffer *values) {
    int64_t *marks = log->marks.buf, begin = marks[BEGIN], end = marks[END];
    Py_ssize_t channels = log->order.len / 8, rows = times->len / 8;
    if (marks[LAST] < 0 || begin < 0 || end < begin || end + count > rows || values->len / 4 < rows * channels) return 0;
    if (end - begin + count > 2 * log->most_held) return 0;
    int64_t first, last;
    if (!times_follow(log, payload, (size_t)count, marks[LAST])) return 0;
    memcpy(&first, payload, 8);
    memcpy(&last, payload + 8 * (count - 1), 8);
    if (first < marks[NEEDED] || rate_is_wrong(log, marks, seq, count, last)) return 0;
    memcpy((int64_t *)times->buf + end, payload, 8 * (size_t)count);
    copy_rows(log, (float *)values->buf + end * channels, payload + 8 * count, (size_t)count);
    int64_t spanned = last - first < LONGEST_BATCH_NS ? last - first : LONGEST_BATCH_NS;
    if (spanned > marks[LONGEST]) marks[LONGEST] = spanned;
    marks[LAST] = last;
    if (last > marks[NEWEST]) marks[NEWEST] = last;
    marks[END] = end + count;
    marks[NEXT] = seq + count;
    marks[TAKEN] += count;
    return 1;
}

/* Add a message's readings to a log; return whether they were added. */
static int logged(Log *log, const Head *head, const char *payload, size_t size) {
    const int64_t *marks = log->marks.buf, *shared = log->shared.buf;
    if (head->count > log->most_samples || size != head->count * (8 + 4 * log->width)) return 0;
    if (!marks[IN_ORDER] || shared[WAITING] || (int64_t)head->seq != marks[NEXT]) return 0;
    Py_buffer times, values;
    if (PyObject_GetBuffer(PyList_GetItem(log->storage, 0), &times, PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
        return 0;
    }
    int added = 0;
    if (PyObject_GetBuffer(PyList_GetItem(log->storage, 1), &values, PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
    } else {
        added = stored(log, (int64_t)head->seq, head->count, payload, &times, &values);
        PyBuffer_Release(&values);
    }
    PyBuffer_Release(&times);
    return added;
}

/* A log from what Python says of it; NULL where that does not fit together. */
static Log *new_log(PyObject *args, PyObject **capsule, unsigned long long *key) {
    Log *log = calloc(1, sizeof(Log));
    if (!log) return (Log *)PyErr_NoMemory();
    PyObject *storage = NULL, *factors = NULL;
    Py_ssize_t width, most_samples;
    long long most_held, stride_ns;
    if (!PyArg_ParseTuple(args, "OKOw*w*y*OnnLLd", capsule, key, &storage, &log->marks, &log->shared, &log->order, &factors,
                          &width, &most_samples, &most_held, &stride_ns, &log->rate_hz) ||
        (factors != Py_None && PyObject_GetBuffer(factors, &log->factors, PyBUF_SIMPLE) < 0)) {
        forget_log(log);
        return NULL;
    }
    Py_ssize_t channels = log->order.len / 8;
    const int64_t *order = log->order.buf;
    int fits = PyList_Check(storage) && PyList_Size(storage) == 2 && log->marks.len == 8 * MARK_COUNT &&
               log->shared.len == 8 * SHARED_COUNT && log->order.len % 8 == 0 && width > 0 && width <= MAX_BYTES &&
               most_samples > 0 && most_held > 0 && most_held < MAX_INT / 2 &&
               (!log->factors.buf || log->factors.len == 4 * channels);
    for (Py_ssize_t c = 0; fits && c < channels; c++) fits = order[c] >= 0 && order[c] < width;
    if (!fits) {
        forget_log(log);
        PyErr_SetString(PyExc_ValueError, "storage, marks, order and factors of a log do not fit together");
        return NULL;
    }
    Py_INCREF(storage);
    log->storage = storage;
    log->width = (size_t)width;
    log->most_samples = (size_t)most_samples;
    log->most_held = most_held;
    log->stride_ns = stride_ns;
    return log;
}

static PyObject *names(const char *const *each, Py_ssize_t count) {
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple && i < count; i++) {
        PyObject *name = PyUnicode_FromString(each[i]);
        if (!name || PyTuple_SetItem(tuple, i, name) < 0) Py_CLEAR(tuple);
    }
    return tuple;
}
