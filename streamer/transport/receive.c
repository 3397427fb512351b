/* Receives messages, and knows how much was taken of each connection.
 *
 * A streamer of many wearers receives tens of thousands of messages a second. Here they are received in a loop, without
 * a call from Python and an exception at the end of each burst. Beside that the loop counts, by the number of the file
 * of the connection that a message came over, how many bytes it was on its way: what the kernel received for that
 * connection, less this, is what libzmq holds of it (`kinestream.streamer.transport.unfinished`).
 *
 * libzmq's functions are called at addresses that Python finds in the library that pyzmq has loaded: nothing is linked,
 * and no second libzmq comes into the process. The layout of a message, 64 bytes without an alignment of more than 8, is
 * the same in every libzmq 4; Python makes sure of the version.
 *
 * Numbers of files are used again. A message says by the address of its connection's properties whose it is: that of
 * another connection cannot be the same while a message of the first is alive. So a new address under a known number is
 * a new connection, and is counted from zero. What still comes of the one before it is counted, too: so is too much
 * counted as taken rather than too little, which would break a connection that does no wrong.
 *
 * Where the socket asks for keys (CURVE), a message also says whose connection it came over: libzmq keeps with it what the
 * answer to the key was, before anything that the peer says of itself.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <linux/tcp.h> /* glibc's own lacks the newer counters */
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#endif

#define CAPSULE "kinestream.streamer.transport._receive.inlet"
#define MAX_FILES (1 << 20)
#define DONTWAIT 1
#define SHORT_FRAME 255 /* bytes: what is longer has a head of 9 bytes on the wire instead of 2 */
#define INSIDE 33       /* bytes that libzmq keeps within a message: what is longer lies beside it */
#define FEW_FRAMES 2
#define KEPT_FRAMES 3
#define TRIES 8

typedef struct {
    _Alignas(8) unsigned char bytes[64];
} Message;

typedef struct {
    int (*init)(Message *);
    int (*receive)(Message *, void *, int);
    void *(*data)(Message *);
    size_t (*size)(const Message *);
    int (*more)(const Message *);
    const char *(*gets)(const Message *, const char *);
    int (*close)(Message *);
    int (*error)(void);
} Library;

typedef struct {
    PyObject *user;             /* who asked for its key says it is; NULL where nobody did */
    const char *owner, *before; /* the properties' address of the connection, and of the one before it */
    uint64_t generation;        /* connections that had this number */
    uint64_t bytes, messages;   /* taken of it */
    uint64_t last;              /* messages that had been taken of all when the last of its own was */
    double spread;              /* memory for each byte of its worst message of many frames, or 1 */
} Taken;

typedef struct {
    Library zmq;
    void *socket;
    int skipped;    /* frames at the head of a message that were not on the wire */
    int overhead;   /* bytes by which encryption makes a frame longer; then connections have users */
    PyObject *user; /* of the message that came last */
    int open, fd;
    Message message;
    Taken *files;
    size_t size;
    uint64_t messages, emptied;
    uint64_t frames, wire, memory; /* of the message that is being received */
} Inlet;

static void forget(PyObject *capsule) {
    Inlet *inlet = PyCapsule_GetPointer(capsule, CAPSULE);
    if (inlet->open) inlet->zmq.close(&inlet->message);
    for (size_t i = 0; i < inlet->size; i++) Py_XDECREF(inlet->files[i].user);
    Py_XDECREF(inlet->user);
    free(inlet->files);
    free(inlet);
}

static PyObject *new(PyObject *module, PyObject *args) {
    unsigned long long at[8], socket;
    int skipped, overhead;
    if (!PyArg_ParseTuple(args, "(KKKKKKKK)Kii", at, at + 1, at + 2, at + 3, at + 4, at + 5, at + 6, at + 7, &socket,
                          &skipped, &overhead))
        return NULL;
    Inlet *inlet = calloc(1, sizeof(Inlet));
    if (!inlet) return PyErr_NoMemory();
    void *functions[8];
    for (int i = 0; i < 8; i++) functions[i] = (void *)(uintptr_t)at[i];
    memcpy(&inlet->zmq, functions, sizeof(functions));
    inlet->socket = (void *)(uintptr_t)socket;
    inlet->skipped = skipped;
    inlet->overhead = overhead;
    inlet->open = inlet->zmq.init(&inlet->message) == 0;
    PyObject *capsule = PyCapsule_New(inlet, CAPSULE, forget);
    if (!capsule) free(inlet);
    return capsule;
}

/* Where a file's counters are, or NULL: there is no memory for so many, or it is no file. */
static Taken *taken_of(Inlet *inlet, int fd) {
    if (fd < 0 || fd >= MAX_FILES) return NULL;
    if ((size_t)fd >= inlet->size) {
        size_t size = inlet->size ? inlet->size : 64;
        while (size <= (size_t)fd) size *= 2;
        Taken *files = realloc(inlet->files, size * sizeof(Taken));
        if (!files) return NULL;
        memset(files + inlet->size, 0, (size - inlet->size) * sizeof(Taken));
        for (size_t i = inlet->size; i < size; i++) files[i].spread = 1.0;
        inlet->files = files;
        inlet->size = size;
    }
    return inlet->files + fd;
}

/* Note who has sent the message: what libzmq was told when it asked for the key of the connection. */
static void note_user(Inlet *inlet, Taken *taken) {
    const char *name = inlet->overhead ? inlet->zmq.gets(&inlet->message, "User-Id") : NULL;
    PyObject *user = name && taken ? taken->user : NULL;
    const char *before = user ? PyUnicode_AsUTF8AndSize(user, NULL) : NULL;
    if (before && !strcmp(name, before)) {
        Py_INCREF(user);
    } else { /* the first of its connection, which may have the number of another that has gone */
        user = name ? PyUnicode_FromString(name) : NULL;
        if (!user) PyErr_Clear();
        if (taken) {
            Py_XDECREF(taken->user);
            Py_XINCREF(user);
            taken->user = user;
        }
    }
    Py_XDECREF(inlet->user);
    inlet->user = user;
}

static void count(Inlet *inlet, size_t size, int more) {
    if (!more) inlet->messages++;
    uint64_t sent = size + (uint64_t)inlet->overhead;
    uint64_t wire = sent + (sent > SHORT_FRAME ? 9 : 2);
    if (inlet->frames++ >= (uint64_t)inlet->skipped) {
        inlet->wire += wire;
        inlet->memory += sizeof(Message) + (size > INSIDE ? size : 0);
    } else {
        wire = 0;
    }
    const char *owner = inlet->zmq.gets(&inlet->message, "__fd");
    Taken *taken = NULL;
    inlet->fd = -1;
    if (owner) {
        inlet->fd = atoi(owner);
        taken = taken_of(inlet, inlet->fd);
    }
    if (inlet->overhead) note_user(inlet, taken);
    if (taken) {
        if (owner != taken->owner && owner != taken->before) {
            taken->before = taken->owner;
            taken->owner = owner;
            taken->generation++;
            taken->bytes = taken->messages = 0;
            taken->spread = 1.0;
        }
        taken->bytes += wire;
        if (!more) {
            taken->messages++;
            taken->last = inlet->messages;
            double spread = (double)inlet->memory / (double)(inlet->wire ? inlet->wire : 1);
            if (inlet->frames > (uint64_t)(FEW_FRAMES + inlet->skipped) && spread > taken->spread)
                taken->spread = spread;
        }
    }
    if (!more) inlet->frames = inlet->wire = inlet->memory = 0;
}

/* Receive a frame: 1, or 0 where none waits, or -1 with an exception. */
static int received(Inlet *inlet, size_t *size, int *more) {
    while (inlet->zmq.receive(&inlet->message, inlet->socket, DONTWAIT) < 0) {
        int error = inlet->zmq.error();
        if (error == EAGAIN) {
            inlet->emptied++;
            return 0;
        }
        if (error != EINTR) {
            PyObject *number = PyLong_FromLong(error);
            if (number) PyErr_SetObject(PyExc_OSError, number);
            Py_XDECREF(number);
            return -1;
        }
        if (PyErr_CheckSignals() < 0) return -1;
    }
    *size = inlet->zmq.size(&inlet->message);
    *more = inlet->zmq.more(&inlet->message);
    count(inlet, *size, *more);
    return 1;
}

static int append(PyObject *frames, Inlet *inlet, size_t size) {
    PyObject *frame = PyBytes_FromStringAndSize(inlet->zmq.data(&inlet->message), (Py_ssize_t)size);
    int failed = !frame || PyList_Append(frames, frame) < 0;
    Py_XDECREF(frame);
    return !failed;
}

static PyObject *receive(PyObject *module, PyObject *args) {
    PyObject *capsule, *frames, *users;
    Py_ssize_t most, most_bytes, bytes = 0;
    if (!PyArg_ParseTuple(args, "OO!nnO", &capsule, &PyList_Type, &frames, &most, &most_bytes, &users)) return NULL;
    Inlet *inlet = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!inlet) return NULL;
    int found = 1;
    while (most-- > 0 && bytes < most_bytes) {
        size_t size;
        int more;
        found = received(inlet, &size, &more);
        if (found < 0) return NULL;
        if (!found) break;
        if (!append(frames, inlet, size)) return NULL;
        if (users != Py_None && PyList_Append(users, inlet->user ? inlet->user : Py_None) < 0) return NULL;
        bytes += (Py_ssize_t)size;
    }
    return Py_BuildValue("nO", bytes, found ? Py_False : Py_True);
}

static PyObject *message(PyObject *module, PyObject *capsule) {
    Inlet *inlet = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!inlet) return NULL;
    PyObject *frames = PyList_New(0);
    if (!frames) return NULL;
    for (int more = 1; more;) {
        size_t size;
        int found = received(inlet, &size, &more);
        if (!found) {
            Py_DECREF(frames);
            Py_RETURN_NONE;
        }
        if (found < 0 || (PyList_Size(frames) < KEPT_FRAMES && !append(frames, inlet, size))) {
            Py_DECREF(frames);
            return NULL;
        }
    }
    return frames;
}

static PyObject *frame(PyObject *module, PyObject *capsule) {
    Inlet *inlet = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!inlet) return NULL;
    size_t size;
    int more, found = received(inlet, &size, &more);
    if (found < 0) return NULL;
    if (!found) Py_RETURN_NONE;
    return Py_BuildValue("y#i", (const char *)inlet->zmq.data(&inlet->message), (Py_ssize_t)size, inlet->fd);
}

static PyObject *user(PyObject *module, PyObject *args) {
    PyObject *capsule;
    int fd;
    if (!PyArg_ParseTuple(args, "Oi", &capsule, &fd)) return NULL;
    Inlet *inlet = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!inlet) return NULL;
    PyObject *found = fd < 0 ? inlet->user : (size_t)fd < inlet->size ? inlet->files[fd].user : NULL;
    if (!found) Py_RETURN_NONE;
    Py_INCREF(found);
    return found;
}

static PyObject *forget_user(PyObject *module, PyObject *args) {
    PyObject *capsule;
    int fd;
    if (!PyArg_ParseTuple(args, "Oi", &capsule, &fd)) return NULL;
    Inlet *inlet = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!inlet) return NULL;
    if (fd >= 0 && (size_t)fd < inlet->size) Py_CLEAR(inlet->files[fd].user);
    Py_RETURN_NONE;
}

static PyObject *totals(PyObject *module, PyObject *capsule) {
    Inlet *inlet = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!inlet) return NULL;
    return Py_BuildValue("KK", (unsigned long long)inlet->messages, (unsigned long long)inlet->emptied);
}

static PyObject *taken(PyObject *module, PyObject *args) {
    PyObject *capsule;
    int fd;
    if (!PyArg_ParseTuple(args, "Oi", &capsule, &fd)) return NULL;
    Inlet *inlet = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!inlet) return NULL;
    Taken none = {.spread = 1.0}, *of = taken_of(inlet, fd);
    if (!of) of = &none;
    return Py_BuildValue("KKKKd", (unsigned long long)of->generation, (unsigned long long)of->bytes,
                         (unsigned long long)of->messages, (unsigned long long)of->last, of->spread);
}

#ifdef __linux__
static int told(int fd, struct tcp_info *info) {
    socklen_t size = sizeof(*info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0 &&
           size >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info->tcpi_bytes_received);
}
#endif

/* What was read of a connection, and what its peer has acknowledged; None where the system does not tell. What has come
   and what waits are asked for one after the other: they belong together only if nothing came in between. */
static PyObject *transferred(PyObject *module, PyObject *args) {
    int fd;
    if (!PyArg_ParseTuple(args, "i", &fd)) return NULL;
#ifdef __linux__
    struct tcp_info before, after;
    int unread = 0, known = told(fd, &before);
    for (int tries = 0; known && tries < TRIES; tries++) {
        known = ioctl(fd, FIONREAD, &unread) == 0 && told(fd, &after);
        if (known && after.tcpi_bytes_received == before.tcpi_bytes_received)
            return Py_BuildValue("LL", (long long)after.tcpi_bytes_received - unread, (long long)after.tcpi_bytes_acked);
        before = after;
    }
#endif
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {
    {"new", new, METH_VARARGS, "new(addresses, socket, skipped, overhead): an inlet of a socket"},
    {"receive", receive, METH_VARARGS,
     "receive(inlet, frames, most, most_bytes, users): add frames to a list, and whose they are to another unless that is "
     "None; return their bytes, and whether no more waited"},
    {"user", user, METH_VARARGS, "user(inlet, fd): whose a connection is, or with -1 the last message; or None"},
    {"forget_user", forget_user, METH_VARARGS, "forget_user(inlet, fd): its number is another connection's"},
    {"message", message, METH_O, "message(inlet): the first frames of a message, or None"},
    {"frame", frame, METH_O, "frame(inlet): a frame and the file of its connection, or None"},
    {"totals", totals, METH_O, "totals(inlet): messages received, and times that none was left"},
    {"taken", taken, METH_VARARGS, "taken(inlet, fd): generation, bytes, messages, last, spread"},
    {"transferred", transferred, METH_VARARGS, "transferred(fd): bytes read of a TCP connection and acknowledged by it"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_receive", NULL, -1, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__receive(void) { return PyModule_Create(&MODULE); }
