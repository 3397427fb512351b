/* The network as a Python module, in the stable ABI: `load` takes its weights, `answer` names windows. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

#define CAPSULE "kinestream.model.engine.kernel._kernel.network"
#define ALIGNED 64

typedef struct {
    Shape shape;
    float *weights;
    float *room; /* kept from one call to the next, unless a call in another thread has it */
} Network;

static float *floats(size_t count) {
    size_t bytes = (count * sizeof(float) + ALIGNED - 1) / ALIGNED * ALIGNED;
    return aligned_alloc(ALIGNED, bytes ? bytes : ALIGNED);
}

static void forget(PyObject *capsule) {
    Network *network = PyCapsule_GetPointer(capsule, CAPSULE);
    free(network->weights);
    free(network->room);
    free(network);
}

static PyObject *load(PyObject *module, PyObject *args) {
    Py_buffer shape, weights;
    if (!PyArg_ParseTuple(args, "y*y*", &shape, &weights)) return NULL;
    PyObject *capsule = NULL;
    Network *network = calloc(1, sizeof(Network));
    if (shape.len != sizeof(Shape)) {
        PyErr_Format(PyExc_ValueError, "a shape has %zu bytes, not %zd", sizeof(Shape), shape.len);
    } else if (network) {
        memcpy(&network->shape, shape.buf, sizeof(Shape));
        size_t bytes = weights_of(&network->shape) * sizeof(float);
        if ((size_t)weights.len != bytes) {
            PyErr_Format(PyExc_ValueError, "this network has %zu bytes of weights, not %zd", bytes, weights.len);
        } else if ((network->weights = floats(bytes / sizeof(float)))) {
            memcpy(network->weights, weights.buf, bytes);
            capsule = PyCapsule_New(network, CAPSULE, forget);
        }
    }
    if (!capsule) {
        if (network) free(network->weights);
        free(network);
        if (!PyErr_Occurred()) PyErr_NoMemory();
    }
    PyBuffer_Release(&shape);
    PyBuffer_Release(&weights);
    return capsule;
}

static PyObject *answer_windows(PyObject *module, PyObject *args) {
    PyObject *capsule;
    Py_buffer windows, out;
    if (!PyArg_ParseTuple(args, "Oy*w*", &capsule, &windows, &out)) return NULL;
    Network *network = PyCapsule_GetPointer(capsule, CAPSULE);
    float *room = NULL;
    if (network) {
        const Shape *shape = &network->shape;
        size_t window = sizeof(float) * shape->length * shape->inputs, row = sizeof(float) * shape->classes;
        size_t count = windows.len / window;
        room = network->room ? network->room : floats(room_of(shape));
        network->room = NULL;
        if (windows.len % window || (size_t)out.len != count * row) {
            PyErr_Format(PyExc_ValueError, "%zd bytes of windows do not go with %zd of answers", windows.len, out.len);
        } else if (!room) {
            PyErr_NoMemory();
        } else {
            Py_BEGIN_ALLOW_THREADS
            answer(shape, network->weights, windows.buf, count, room, out.buf);
            Py_END_ALLOW_THREADS
        }
        free(network->room); /* of a call that has ended meanwhile */
        network->room = room;
    }
    PyBuffer_Release(&windows);
    PyBuffer_Release(&out);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {
    {"load", load, METH_VARARGS, "load(shape, weights): a network, of a shape's integers and its weights"},
    {"answer", answer_windows, METH_VARARGS, "answer(network, windows, out): write the probabilities of windows"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_kernel", NULL, -1, METHODS, NULL, NULL, NULL, NULL};

#define QUOTED(name) #name,
static const char *const FIELD_LIST[] = {SHAPE_FIELDS(QUOTED) NULL};
static const char *const GATE_LIST[] = {GATE_NAMES(QUOTED) NULL};
static const char *const NORM_LIST[] = {NORM_NAMES(QUOTED) NULL};

/* Add a value, whose reference is taken; tell whether that went well. */
static int added(PyObject *module, const char *name, PyObject *value) {
    int failed = PyModule_AddObjectRef(module, name, value);
    Py_XDECREF(value);
    return !failed;
}

static PyObject *tuple_of(const char *const *names) {
    Py_ssize_t count = 0;
    while (names[count]) count++;
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t at = 0; tuple && at < count; at++) {
        PyObject *name = PyUnicode_FromString(names[at]);
        if (!name || PyTuple_SetItem(tuple, at, name) < 0) Py_CLEAR(tuple);
    }
    return tuple;
}

PyMODINIT_FUNC PyInit__kernel(void) {
    PyObject *module = PyModule_Create(&MODULE);
    if (module && added(module, "INSTRUCTIONS", PyUnicode_FromString(instructions())) &&
        added(module, "FIELDS", tuple_of(FIELD_LIST)) && added(module, "GATES", tuple_of(GATE_LIST)) &&
        added(module, "NORMS", tuple_of(NORM_LIST)) && added(module, "PANEL", PyLong_FromLong(PANEL)) &&
        added(module, "FIELD_BYTES", PyLong_FromLong(sizeof(Shape) / (sizeof(FIELD_LIST) / sizeof(char *) - 1))) &&
        added(module, "MOST_SCALED", PyFloat_FromDouble(MOST_SCALED)) &&
        added(module, "LAYER_NORM_EPS", PyFloat_FromDouble(LAYER_NORM_EPS)))
        return module;
    Py_XDECREF(module);
    return NULL;
}
