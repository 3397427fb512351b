/* Takes samples messages: finds whose they are by their key, checks them, and copies their readings to their rows.
 *
 * A streamer of many wearers receives tens of thousands of messages a second, nearly all alike: the next few samples of
 * a session. Those are taken here, from a list of frames, until one comes that is anything else. That one is left to
 * Python (`streamer.ingest.quick`), which then goes on behind it; so the order is kept, and nothing is taken by halves.
 *
 * What is parsed here comes from strangers. A message is taken only if
 *   - it is a bytes object longer than a head and no longer than a message may be, and begins with the mark of version 2
 *     on the grid,
 *   - its length is that of as many readings as it says, and number and time are in range,
 *   - its key is in the table, its first number is the one that its lane expects next, and its last at most completes
 *     the lane's open window: so its rows lie within the lane.
 * `streamer.ingest.taker.PlainTaker` does the same in Python; the tests compare both on whole sequences of messages.
 *
 * The table from keys to lanes has open addresses and is at most half full. Keys are chosen by strangers, so where a key
 * begins to look for its place depends on a random number, too: else keys could be chosen that all begin at one place.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
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

static const char MARK[4] = {'K', 'S', 2, 1};

typedef struct {
    char mark[4];
    uint32_t count;
    uint64_t key, seq;
    int64_t t;
} Head;

typedef struct {
    uint64_t key;
    int64_t lane; /* or EMPTY, DELETED */
} Slot;

typedef struct {
    Slot *slots;
    size_t mask, used; /* used: slots that are not EMPTY */
    size_t keys;
    uint64_t seed;
    size_t row_bytes;
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

static void forget(PyObject *capsule) {
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    detach(taker);
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
    if (2 * (taker->used + 1) > taker->mask + 1) {
        size_t slots = FIRST_SLOTS;
        while (slots < 4 * (taker->keys + 1)) slots *= 2;
        if (!resized(taker, slots)) return PyErr_NoMemory();
    }
    Slot *slot = slot_of(taker, key);
    if (slot->lane == EMPTY) taker->used++;
    if (slot->lane < 0) taker->keys++;
    slot->key = key;
    slot->lane = lane;
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
        slot->lane = DELETED;
        taker->keys--;
    }
    Py_RETURN_NONE;
}

/* The time of the last of a message's samples and whose they are, if it was taken: else -1. */
static int64_t taken(Taker *taker, PyObject *frame, int64_t *t, int *completes) {
    if (!PyBytes_Check(frame)) return -1;
    Py_ssize_t size = PyBytes_Size(frame);
    if (size <= (Py_ssize_t)sizeof(Head) || size > MAX_BYTES) return -1;
    const char *bytes = PyBytes_AsString(frame);
    Head head;
    memcpy(&head, bytes, sizeof(Head));
    size_t payload = (size_t)size - sizeof(Head);
    if (memcmp(head.mark, MARK, sizeof(MARK)) || !head.count) return -1;
    if (payload != (uint64_t)head.count * taker->row_bytes) return -1;
    if (head.seq >= (uint64_t)(MAX_INT - head.count) || head.t < 0 || head.t >= MAX_INT) return -1;
    int64_t lane = slot_of(taker, head.key)->lane;
    if (lane < 0 || lane >= taker->high.len / 8) return -1;
    int64_t *high = (int64_t *)taker->high.buf + lane, *at = (int64_t *)taker->at.buf + lane;
    int64_t end = ((const int64_t *)taker->end.buf)[lane], last = (int64_t)head.seq + head.count - 1;
    if ((int64_t)head.seq != *high || last > end) return -1;
    size_t begin = (size_t)*at * taker->row_bytes;
    if (*at < 0 || begin + payload > (size_t)taker->rows.len) return -1;
    memcpy((char *)taker->rows.buf + begin, bytes + sizeof(Head), payload);
    *high = last + 1;
    *at += head.count;
    *t = head.t;
    *completes = last == end;
    return lane;
}

static PyObject *take(PyObject *module, PyObject *args) {
    PyObject *capsule, *frames, *due;
    Py_ssize_t at;
    if (!PyArg_ParseTuple(args, "OOnO", &capsule, &frames, &at, &due)) return NULL;
    Taker *taker = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!taker) return NULL;
    if (!PyList_Check(frames) || !PyList_Check(due) || at < 0) {
        PyErr_SetString(PyExc_TypeError, "take(taker, frames, begin, due): two lists and an index");
        return NULL;
    }
    Py_ssize_t count = taker->attached ? PyList_Size(frames) : at;
    for (; at < count; at++) {
        int64_t t;
        int completes;
        int64_t lane = taken(taker, PyList_GetItem(frames, at), &t, &completes);
        if (lane < 0) break;
        if (completes) {
            PyObject *entry = Py_BuildValue("LL", (long long)lane, (long long)t);
            int failed = !entry || PyList_Append(due, entry) < 0;
            Py_XDECREF(entry);
            if (failed) return NULL;
        }
    }
    return PyLong_FromSsize_t(at);
}

static PyMethodDef METHODS[] = {
    {"new", new, METH_VARARGS, "new(row_bytes, seed): a taker"},
    {"attach", attach, METH_VARARGS, "attach(taker, rows, high, end, at): where its lanes are"},
    {"put", put, METH_VARARGS, "put(taker, key, lane): let messages of a key go to a lane"},
    {"drop", drop, METH_VARARGS, "drop(taker, key): leave messages of a key alone"},
    {"take", take, METH_VARARGS,
     "take(taker, frames, begin, due): take messages from `begin` on and return the index of the first that was not; "
     "of each that completes a window, (lane, time) is added to `due`"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_take", NULL, -1, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__take(void) {
    PyObject *module = PyModule_Create(&MODULE), *most = PyLong_FromLongLong(MAX_INT); /* a long may have 32 bits */
    int failed = !module || !most || PyModule_AddIntConstant(module, "MAX_BYTES", MAX_BYTES) < 0 ||
                 PyModule_AddIntConstant(module, "HEAD_BYTES", sizeof(Head)) < 0 ||
                 PyModule_AddObjectRef(module, "MAX_INT", most) < 0;
    Py_XDECREF(most);
    if (!failed) return module;
    Py_XDECREF(module);
    return NULL;
}
