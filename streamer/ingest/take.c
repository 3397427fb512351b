/* Takes samples messages: finds whose they are by their key, checks them, and copies their readings to their rows.
 *
 * A streamer of many wearers receives tens of thousands of messages a second, nearly all alike: the next few samples of
 * a session. Those are taken here, from a list of frames, until one comes that is anything else. That one is left to
 * Python (`kinestream.streamer.ingest.quick`), which then goes on behind it; so the order is kept, and nothing is taken
 * by halves.
 *
 * What is parsed here comes from strangers. A message is taken only if
 *   - it is a bytes object longer than a head and no longer than a message may be, and begins with the mark of version 2
 *     on the grid,
 *   - its length is that of as many readings as it says, and number and time are in range,
 *   - its key is in the table, its first number is the one that its lane expects next, and its last at most completes
 *     the lane's open window: so its rows lie within the lane.
 * Or its mark is that of readings with times, its key is that of a log (log.h;
 * `kinestream.streamer.streams.readinglog`), and
 *   - its readings are the next of the log, which has room for them, and their times go on from the last: none steps back
 *     or leaps, nor does the rate turn out to be another than what was declared,
 *   - nobody must look at the devices of its session first, because a window may be due.
 * A tracked message is taken if its key is one whose messages are counted, its number is the one that comes next, and
 * what it holds is taken.
 * `kinestream.streamer.ingest.taker.PlainTaker` does the same in Python; the tests compare both on whole sequences of
 * messages.
 *
 * The table from keys to lanes has open addresses and is at most half full. Keys are chosen by strangers, so where a key
 * begins to look for its place depends on a random number, too: else keys could be chosen that all begin at one place.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "readings are copied as they come, which is little-endian"
#endif

#define CAPSULE "kinestream.streamer.ingest._take.taker"
#define MAX_BYTES (1 << 16)
#define MAX_INT (INT64_C(1) << 62)
#define FIRST_SLOTS 64 /* a power of two, as every number of slots */

enum { EMPTY = -1, DELETED = -2 };

static const char ON_GRID[4] = {'K', 'S', 2, 1}, WITH_TIMES[4] = {'K', 'S', 2, 2}, TRACKED[4] = {'K', 'R', 2, 1};

typedef struct {
    char mark[4];
    uint32_t count;
    uint64_t key, seq;
    int64_t t;
} Head;

typedef struct {
    char mark[4];
    uint32_t after;
    uint64_t key, number, oldest;
} TrackedHead;

#include "log.h"

typedef struct {
    uint64_t key;
    int64_t lane; /* or EMPTY, DELETED */
    Log *log;     /* NULL where readings lie on the grid, and then go to the lane */
    Py_buffer *expected; /* the number of the tracked message that comes next; NULL where they are not counted */
} Slot;

typedef struct {
    Slot *slots;
    size_t mask, used; /* used: slots that are not EMPTY */
    size_t keys;
    uint64_t seed;
    size_t row_bytes;
    unsigned long long readings; /* with times, that were taken */
    Py_buffer rows, high, end, at;
    int attached;
} Taker;

static uint64_t mixed(uint64_t key) { /* the finalizer of SplitMix64 (Steele, Lea, Flood 2014) */
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
    return key ^ (key >> 31);
}

/* The slot of a key, or the first where it may be put. */
static Slot *slot_of(const Taker *taker, uint64_t key) {
    Slot *free_slot = NULL;
    for (size_t at = mixed(key ^ taker->seed) & taker->mask;; at = (at + 1) & taker->mask) {
        Slot *slot = taker->slots + at;
        if (slot->lane == EMPTY) return free_slot ? free_slot : slot;
        if (slot->lane == DELETED) {
            if (!free_slot) free_slot = slot;
        } else if (slot->key == key) {
            return slot;
        }
    }
}

static int resized(Taker *taker, size_t slots) {
    Slot *old = taker->slots;
    size_t count = old ? taker->mask + 1 : 0;
    Slot *fresh = malloc(slots * sizeof(Slot));
    if (!fresh) return 0;
    for (size_t at = 0; at < slots; at++) fresh[at].lane = EMPTY;
    taker->slots = fresh;
    taker->mask = slots - 1;
    taker->used = taker->keys;
    for (size_t at = 0; at < count; at++)
        if (old[at].lane >= 0) *slot_of(taker, old[at].key) = old[at];
    free(old);
    return 1;
}

static void detach(Taker *taker) {
    if (!taker->attached) return;
    PyBuffer_Release(&taker->rows);
    PyBuffer_Release(&taker->high);
    PyBuffer_Release(&taker->end);
    PyBuffer_Release(&taker->at);
    taker->attached = 0;
}

static void forget_slot(Slot *slot) {
    forget_log(slot->log);
    slot->log = NULL;
    if (slot->expected) {
        PyBuffer_Release(slot->expected);
        free(slot->expected);
        slot->expected = NULL;
    }
}

static void forget(PyObject *capsule) {
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    detach(taker);
    for (size_t at = 0; at <= taker->mask; at++)
        if (taker->slots[at].lane >= 0) forget_slot(taker->slots + at);
    free(taker->slots);
    free(taker);
}

static PyObject *new(PyObject *module, PyObject *args) {
    Py_ssize_t row_bytes;
    unsigned long long seed;
    if (!PyArg_ParseTuple(args, "nK", &row_bytes, &seed)) return NULL;
    if (row_bytes <= 0 || row_bytes > MAX_BYTES) {
        PyErr_SetString(PyExc_ValueError, "a row has from 1 byte to as many as a message");
        return NULL;
    }
    Taker *taker = calloc(1, sizeof(Taker));
    if (!taker || !resized(taker, FIRST_SLOTS)) {
        free(taker);
        return PyErr_NoMemory();
    }
    taker->row_bytes = (size_t)row_bytes;
    taker->seed = seed;
    PyObject *capsule = PyCapsule_New(taker, CAPSULE, forget);
    if (!capsule) {
        free(taker->slots);
        free(taker);
    }
    return capsule;
}

static PyObject *attach(PyObject *module, PyObject *args) {
    PyObject *capsule;
    Py_buffer rows, high, end, at;
    if (!PyArg_ParseTuple(args, "Ow*w*w*w*", &capsule, &rows, &high, &end, &at)) return NULL;
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    if (taker && (high.len != end.len || high.len != at.len || high.len % 8)) {
        PyErr_SetString(PyExc_ValueError, "high, end and at have a 64-bit number for every lane");
    }
    if (PyErr_Occurred()) {
        PyBuffer_Release(&rows);
        PyBuffer_Release(&high);
        PyBuffer_Release(&end);
        PyBuffer_Release(&at);
        return NULL;
    }
    detach(taker);
    taker->rows = rows;
    taker->high = high;
    taker->end = end;
    taker->at = at;
    taker->attached = 1;
    Py_RETURN_NONE;
}

/* Let messages of a key go to a lane, or to a log. */
static int put_key(Taker *taker, uint64_t key, int64_t lane, Log *log) {
    if (2 * (taker->used + 1) > taker->mask + 1) {
        size_t slots = FIRST_SLOTS;
        while (slots < 4 * (taker->keys + 1)) slots *= 2;
        if (!resized(taker, slots)) return 0;
    }
    Slot *slot = slot_of(taker, key);
    if (slot->lane == EMPTY) taker->used++;
    if (slot->lane < 0) {
        taker->keys++;
    } else {
        forget_slot(slot);
    }
    *slot = (Slot){key, lane, log, NULL};
    return 1;
}

static PyObject *put(PyObject *module, PyObject *args) {
    PyObject *capsule;
    unsigned long long key;
    Py_ssize_t lane;
    if (!PyArg_ParseTuple(args, "OKn", &capsule, &key, &lane)) return NULL;
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!taker) return NULL;
    if (lane < 0) {
        PyErr_SetString(PyExc_ValueError, "lanes count from 0");
        return NULL;
    }
    if (!put_key(taker, key, lane, NULL)) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *put_log(PyObject *module, PyObject *args) {
    PyObject *capsule;
    unsigned long long key;
    Log *log = new_log(args, &capsule, &key);
    if (!log) return NULL;
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!taker || !put_key(taker, key, 0, log)) {
        forget_log(log);
        return taker ? PyErr_NoMemory() : NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *track(PyObject *module, PyObject *args) {
    PyObject *capsule;
    unsigned long long key;
    Py_buffer expected;
    if (!PyArg_ParseTuple(args, "OKw*", &capsule, &key, &expected)) return NULL;
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    Slot *slot = taker ? slot_of(taker, key) : NULL;
    if (slot && expected.len != sizeof(int64_t)) PyErr_SetString(PyExc_ValueError, "expected is one 64-bit number");
    if (PyErr_Occurred() || slot->lane < 0) {
        PyBuffer_Release(&expected);
        if (PyErr_Occurred()) return NULL;
        Py_RETURN_NONE;
    }
    if (slot->expected) {
        PyBuffer_Release(slot->expected);
    } else if (!(slot->expected = malloc(sizeof(Py_buffer)))) {
        PyBuffer_Release(&expected);
        return PyErr_NoMemory();
    }
    *slot->expected = expected;
    Py_RETURN_NONE;
}

static PyObject *drop(PyObject *module, PyObject *args) {
    PyObject *capsule;
    unsigned long long key;
    if (!PyArg_ParseTuple(args, "OK", &capsule, &key)) return NULL;
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!taker) return NULL;
    Slot *slot = slot_of(taker, key);
    if (slot->lane >= 0) {
        forget_slot(slot);
        slot->lane = DELETED;
        taker->keys--;
    }
    Py_RETURN_NONE;
}

enum { LEFT, TAKEN_ONLY, COMPLETES, TO_LOOK_AT };

/* Take readings to a lane, if they are its next and at most complete its open window. */
static int taken_to_lane(Taker *taker, int64_t lane, const Head *head, const char *payload, size_t size) {
    if (size != (uint64_t)head->count * taker->row_bytes) return LEFT;
    if (lane >= taker->high.len / 8) return LEFT;
    int64_t *high = (int64_t *)taker->high.buf + lane, *at = (int64_t *)taker->at.buf + lane;
    int64_t end = ((const int64_t *)taker->end.buf)[lane], last = (int64_t)head->seq + head->count - 1;
    if ((int64_t)head->seq != *high || last > end) return LEFT;
    size_t begin = (size_t)*at * taker->row_bytes;
    if (*at < 0 || begin + size > (size_t)taker->rows.len) return LEFT;
    memcpy((char *)taker->rows.buf + begin, payload, size);
    *high = last + 1;
    *at += head->count;
    return last == end ? COMPLETES : TAKEN_ONLY;
}

/* Take readings to a log; somebody is to look where a window may be due. */
static int taken_to_log(Taker *taker, Log *log, const Head *head, const char *payload, size_t size) {
    if (!logged(log, head, payload, size)) return LEFT;
    taker->readings += head->count;
    int64_t *shared = log->shared.buf;
    if (((const int64_t *)log->marks.buf)[NEWEST] < shared[DUE]) return TAKEN_ONLY;
    shared[WAITING] = 1;
    return TO_LOOK_AT;
}

/* Take samples, if they are of those that are taken here; `head` and `lane` say whose they are. */
static int taken_samples(Taker *taker, const char *bytes, size_t size, Head *head, int64_t *lane) {
    if (size <= sizeof(Head)) return LEFT;
    memcpy(head, bytes, sizeof(Head));
    int on_grid = !memcmp(head->mark, ON_GRID, sizeof(ON_GRID));
    if ((!on_grid && memcmp(head->mark, WITH_TIMES, sizeof(WITH_TIMES))) || !head->count) return LEFT;
    if (head->seq >= (uint64_t)(MAX_INT - head->count) || head->t < 0 || head->t >= MAX_INT) return LEFT;
    Slot *slot = slot_of(taker, head->key);
    if (slot->lane < 0 || on_grid != !slot->log) return LEFT;
    *lane = slot->lane;
    const char *payload = bytes + sizeof(Head);
    size_t left = size - sizeof(Head);
    if (on_grid) return taken_to_lane(taker, *lane, head, payload, left);
    return taken_to_log(taker, slot->log, head, payload, left);
}

/* Take a tracked message, if it is the next of its key and what it holds is taken. */
static int taken_tracked(Taker *taker, const char *bytes, size_t size, Head *head, int64_t *lane) {
    TrackedHead tracked;
    if (size <= sizeof(tracked) + sizeof(Head)) return LEFT;
    memcpy(&tracked, bytes, sizeof(tracked));
    if (tracked.after || tracked.oldest > tracked.number || tracked.number >= (uint64_t)MAX_INT) return LEFT;
    Slot *slot = slot_of(taker, tracked.key);
    if (slot->lane < 0 || !slot->expected) return LEFT;
    int64_t *expected = slot->expected->buf;
    if (*expected != (int64_t)tracked.number) return LEFT;
    bytes += sizeof(tracked);
    if (memcmp(bytes + offsetof(Head, key), &tracked.key, sizeof(tracked.key))) return LEFT;
    int how = taken_samples(taker, bytes, size - sizeof(tracked), head, lane);
    if (how != LEFT) ++*expected;
    return how;
}

/* Take a message, if it is one of those that are taken here. */
static int taken(Taker *taker, PyObject *frame, Head *head, int64_t *lane) {
    if (!PyBytes_Check(frame)) return LEFT;
    Py_ssize_t size = PyBytes_Size(frame);
    if (size <= (Py_ssize_t)sizeof(Head) || size > MAX_BYTES) return LEFT;
    const char *bytes = PyBytes_AsString(frame);
    if (!memcmp(bytes, TRACKED, sizeof(TRACKED))) return taken_tracked(taker, bytes, (size_t)size, head, lane);
    return taken_samples(taker, bytes, (size_t)size, head, lane);
}

static int append(PyObject *list, PyObject *entry) {
    int done = entry && PyList_Append(list, entry) == 0;
    Py_XDECREF(entry);
    return done;
}

static PyObject *take(PyObject *module, PyObject *args) {
    PyObject *capsule, *frames, *due, *look;
    Py_ssize_t at;
    if (!PyArg_ParseTuple(args, "OOnOO", &capsule, &frames, &at, &due, &look)) return NULL;
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!taker) return NULL;
    if (!PyList_Check(frames) || !PyList_Check(due) || !PyList_Check(look) || at < 0) {
        PyErr_SetString(PyExc_TypeError, "take(taker, frames, begin, due, look): three lists and an index");
        return NULL;
    }
    Py_ssize_t count = taker->attached ? PyList_Size(frames) : at;
    for (; at < count; at++) {
        Head head;
        int64_t lane = 0;
        int how = taken(taker, PyList_GetItem(frames, at), &head, &lane);
        if (how == LEFT) break;
        if (how == COMPLETES && !append(due, Py_BuildValue("LL", (long long)lane, (long long)head.t))) return NULL;
        if (how == TO_LOOK_AT && !append(look, PyLong_FromUnsignedLongLong(head.key))) return NULL;
    }
    return PyLong_FromSsize_t(at);
}

static PyObject *readings(PyObject *module, PyObject *capsule) {
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    return taker ? PyLong_FromUnsignedLongLong(taker->readings) : NULL;
}

static PyMethodDef METHODS[] = {
    {"new", new, METH_VARARGS, "new(row_bytes, seed): a taker"},
    {"attach", attach, METH_VARARGS, "attach(taker, rows, high, end, at): where its lanes are"},
    {"put", put, METH_VARARGS, "put(taker, key, lane): let messages of a key go to a lane"},
    {"put_log", put_log, METH_VARARGS,
     "put_log(taker, key, storage, marks, shared, order, factors, width, most_samples, most_held, stride_ns, rate_hz): let "
     "messages of a key go to a log"},
    {"track", track, METH_VARARGS, "track(taker, key, expected): take tracked messages of a key that goes somewhere, too"},
    {"drop", drop, METH_VARARGS, "drop(taker, key): leave messages of a key alone"},
    {"take", take, METH_VARARGS,
     "take(taker, frames, begin, due, look): take messages from `begin` on and return the index of the first that was not; "
     "of each that completes a window, (lane, time) is added to `due`; of each that may, of several devices, its key to "
     "`look`"},
    {"readings", readings, METH_O, "readings(taker): how many with times it has taken"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_take", NULL, -1, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__take(void) {
    PyObject *module = PyModule_Create(&MODULE), *most = PyLong_FromLongLong(MAX_INT); /* a long may have 32 bits */
    int failed = !module || !most || PyModule_AddIntConstant(module, "MAX_BYTES", MAX_BYTES) < 0 ||
                 PyModule_AddIntConstant(module, "HEAD_BYTES", sizeof(Head)) < 0 ||
                 PyModule_AddObjectRef(module, "MAX_INT", most) < 0;
    PyObject *kinds = Py_BuildValue("y#y#", ON_GRID, (Py_ssize_t)sizeof ON_GRID, WITH_TIMES, (Py_ssize_t)sizeof WITH_TIMES);
    PyObject *tracked = Py_BuildValue("y#n", TRACKED, (Py_ssize_t)sizeof TRACKED, (Py_ssize_t)sizeof(TrackedHead));
    PyObject *marks = names(MARK_NAMES, MARK_COUNT), *shared = names(SHARED_NAMES, SHARED_COUNT);
    PyObject *rates = Py_BuildValue("dLLL", RATE_TOLERANCE, (long long)RATE_KNOWN_NS, (long long)LONGEST_BATCH_NS, (long long)DOUBT_NS);
    failed = failed || !kinds || !tracked || !marks || !shared || !rates ||
             PyModule_AddObjectRef(module, "KINDS", kinds) < 0 || PyModule_AddObjectRef(module, "TRACKED", tracked) < 0 ||
             PyModule_AddObjectRef(module, "MARKS", marks) < 0 ||
             PyModule_AddObjectRef(module, "SHARED", shared) < 0 || PyModule_AddObjectRef(module, "LIMITS", rates) < 0;
    Py_XDECREF(kinds);
    Py_XDECREF(tracked);
    Py_XDECREF(marks);
    Py_XDECREF(shared);
    Py_XDECREF(rates);
    Py_XDECREF(most);
    if (!failed) return module;
    Py_XDECREF(module);
    return NULL;
}
