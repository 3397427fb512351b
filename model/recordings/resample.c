/* Lays readings on grid points, as `kinestream.model.recordings.resample` says and does in Python: the same bits, in a
 * fraction of the time. A live window takes two such calls of some sixteen points each, for which forty NumPy calls
 * take longer than all else that happens to the window's readings.
 *
 * The bits are the same because every sum, product and quotient is the same, of the same doubles and in the same order.
 * So this file is compiled without contracting products and sums into one operation (-ffp-contract=off), and whoever
 * changes a formula here changes it there: `tests/model/recordings/test_compiled.py` compares both.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "doubles are rounded otherwise than NumPy rounds them"
#endif

typedef struct { /* readings, none of which lacks a value in any of these columns */
    const int64_t *times;
    const float *values;
    Py_ssize_t count, width; /* readings; values from one to the next */
    const int64_t *columns;  /* of each value, where it goes */
    Py_ssize_t channels;
} Readings;

typedef struct {
    int64_t longest_gap, half_width;
} How;

/* a - b: what is so far apart that it does not fit wraps around, as it does in NumPy. */
static int64_t since(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static int64_t later(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

/* How many of the times lie before a point, or at it where `at` says so. */
static Py_ssize_t before(const Readings *all, int64_t point, int at) {
    Py_ssize_t low = 0, high = all->count;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (all->times[middle] < point || (at && all->times[middle] == point)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The half-width of the triangle around a point: 0 where it is the line itself, -1 where there is none. `last` is the
 * last reading that does not lie past the point. */
static int64_t width_at(const Readings *all, How how, int64_t point, Py_ssize_t last) {
    if (last < 0) return -1;
    int joined = last + 1 < all->count && since(all->times[last + 1], all->times[last]) <= how.longest_gap;
    if (!joined && all->times[last] != point) return -1;
    if (!how.half_width) return 0;
    Py_ssize_t first = last, end = last;
    while (since(point, all->times[first]) < how.half_width && first > 0 &&
           since(all->times[first], all->times[first - 1]) <= how.longest_gap)
        first--;
    while (since(all->times[end], point) < how.half_width && end + 1 < all->count &&
           since(all->times[end + 1], all->times[end]) <= how.longest_gap)
        end++;
    int64_t left = since(point, all->times[first]), right = since(all->times[end], point);
    int64_t narrower = left < right ? left : right;
    return narrower < how.half_width ? narrower : how.half_width;
}

static void put(float *out, const Readings *all, Py_ssize_t channel, double value) {
    float *cell = out + all->columns[channel];
    if (isnan(*cell)) *cell = (float)value;
}

static void join(const Readings *all, int64_t point, Py_ssize_t last, float *out) {
    Py_ssize_t next = last + 1 < all->count ? last + 1 : last;
    const float *here = all->values + last * all->width, *there = all->values + next * all->width;
    int64_t apart = since(all->times[next], all->times[last]);
    double passed = (double)since(point, all->times[last]), span = (double)(apart > 1 ? apart : 1);
    for (Py_ssize_t c = 0; c < all->channels; c++) {
        double from = here[c], to = there[c];
        put(out, all, c, passed == 0 ? from : (to - from) / span * passed + from);
    }
}

static double clipped(double value) { return value < -1 ? -1 : value > 1 ? 1 : value; }

static void average(const Readings *all, int64_t point, int64_t width, double *sums, float *out) {
    Py_ssize_t begin = before(all, since(point, width), 1) - 1, end = before(all, later(point, width), 0);
    double scale = (double)width;
    for (Py_ssize_t c = 0; c < all->channels; c++) sums[c] = 0;
    for (Py_ssize_t piece = begin; piece < end; piece++) {
        double a = (double)since(all->times[piece], point) / scale;
        double b = (double)since(all->times[piece + 1], point) / scale;
        double from = clipped(a), to = clipped(b), low = fabs(from), high = fabs(to);
        double zeroth = to - from - (to * high - from * low) / 2;
        double first = (to * to - from * from) / 2 - (high * to * to - low * from * from) / 3;
        double span = b - a;
        if (span == 0) span = 1;
        double here = (b * zeroth - first) / span, there = (first - a * zeroth) / span;
        const float *one = all->values + piece * all->width, *next = one + all->width;
        for (Py_ssize_t c = 0; c < all->channels; c++) sums[c] += here * one[c] + there * next[c];
    }
    for (Py_ssize_t c = 0; c < all->channels; c++) put(out, all, c, sums[c]);
}

static void lay_readings(
    const Readings *all, How how, const int64_t *points, Py_ssize_t count, double *sums, float *out, Py_ssize_t out_width
) {
    for (Py_ssize_t k = 0; k < count; k++, out += out_width) {
        Py_ssize_t last = before(all, points[k], 1) - 1;
        int64_t width = width_at(all, how, points[k], last);
        if (width == 0) {
            join(all, points[k], last, out);
        } else if (width > 0) {
            average(all, points[k], width, sums, out);
        }
    }
}

static int all_are_finite(const float *values, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++)
        if (!isfinite(values[i])) return 0;
    return 1;
}

/* Lay each column on its own, by the readings that have a value in it. */
static int lay_columns(
    const Readings *all, How how, const int64_t *points, Py_ssize_t count, double *sums, float *out, Py_ssize_t out_width
) {
    size_t room = (size_t)all->count;
    int64_t *times = malloc(room * sizeof(int64_t));
    float *values = malloc(room * sizeof(float));
    if (times && values) {
        for (Py_ssize_t c = 0; c < all->channels; c++) {
            Readings some = {times, values, 0, 1, all->columns + c, 1};
            for (Py_ssize_t i = 0; i < all->count; i++) {
                float value = all->values[i * all->width + c];
                if (!isfinite(value)) continue;
                times[some.count] = all->times[i];
                values[some.count++] = value;
            }
            if (some.count) lay_readings(&some, how, points, count, sums, out, out_width);
        }
    }
    int done = times && values;
    free(times);
    free(values);
    return done;
}

/* Whether buffers hold what they are said to hold, so that nothing is read or written beside them. */
static const char *wrong(
    const Py_buffer *times, const Py_buffer *values, const Py_buffer *points, const Py_buffer *columns, const Py_buffer *out
) {
    Py_ssize_t readings = times->len / 8, channels = columns->len / 8, count = points->len / 8;
    if (times->len % 8 || columns->len % 8 || points->len % 8) return "times, points and columns have 64 bits each";
    if (values->len % 4 || values->len / 4 != readings * channels) return "values: a row for every time";
    if (!count ? out->len != 0 : out->len % (4 * count)) return "out: a row for every point";
    Py_ssize_t width = count ? out->len / (4 * count) : 0;
    const int64_t *column = columns->buf;
    for (Py_ssize_t c = 0; count && c < channels; c++)
        if (column[c] < 0 || column[c] >= width) return "columns: of those that there are";
    return NULL;
}

static PyObject *lay(PyObject *module, PyObject *args) {
    Py_buffer times, values, points, columns, out;
    long long longest_gap, half_width;
    if (!PyArg_ParseTuple(args, "y*y*y*LLy*w*", &times, &values, &points, &longest_gap, &half_width, &columns, &out))
        return NULL;
    const char *problem = wrong(&times, &values, &points, &columns, &out);
    double *sums = NULL;
    if (!problem && points.len && times.len && columns.len) {
        Py_ssize_t channels = columns.len / 8, count = points.len / 8, width = out.len / 4 / count;
        How how = {longest_gap, half_width};
        Readings all = {times.buf, values.buf, times.len / 8, channels, columns.buf, channels};
        int done = (sums = malloc((size_t)channels * sizeof(double))) != NULL;
        if (done && all_are_finite(all.values, all.count * channels)) {
            lay_readings(&all, how, points.buf, count, sums, out.buf, width);
        } else if (done) {
            done = lay_columns(&all, how, points.buf, count, sums, out.buf, width);
        }
        if (!done) PyErr_NoMemory();
    }
    if (problem) PyErr_SetString(PyExc_ValueError, problem);
    free(sums);
    PyBuffer_Release(&times);
    PyBuffer_Release(&values);
    PyBuffer_Release(&points);
    PyBuffer_Release(&columns);
    PyBuffer_Release(&out);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static int64_t settled_time(const Readings *all, How how) {
    int64_t newest = all->times[all->count - 1], least = INT64_MAX;
    if (all_are_finite(all->values + (all->count - 1) * all->width, all->channels)) return since(newest, how.half_width);
    for (Py_ssize_t c = 0; c < all->channels; c++) {
        Py_ssize_t last = all->count - 1;
        while (last >= 0 && !isfinite(all->values[last * all->width + c])) last--;
        int ended = last < 0 || since(newest, all->times[last]) >= how.longest_gap;
        int64_t until = ended ? newest : since(all->times[last], how.half_width);
        if (until < least) least = until;
    }
    return least;
}

static PyObject *settled(PyObject *module, PyObject *args) {
    Py_buffer times, values;
    long long longest_gap, half_width;
    if (!PyArg_ParseTuple(args, "y*y*LL", &times, &values, &longest_gap, &half_width)) return NULL;
    Py_ssize_t readings = times.len / 8, channels = readings ? values.len / 4 / readings : 0;
    PyObject *until = NULL;
    if (!channels || times.len % 8 || values.len != 4 * readings * channels) {
        PyErr_SetString(PyExc_ValueError, "values: a row for every time, of which there is one at least");
    } else {
        Readings all = {times.buf, values.buf, readings, channels, NULL, channels};
        until = PyLong_FromLongLong(settled_time(&all, (How){longest_gap, half_width}));
    }
    PyBuffer_Release(&times);
    PyBuffer_Release(&values);
    return until;
}

static PyMethodDef METHODS[] = {
    {"lay", lay, METH_VARARGS,
     "lay(times, values, points, longest_gap, half_width, columns, out): write what readings are at points to the columns "
     "of `out` that are theirs, where these are NaN"},
    {"settled", settled, METH_VARARGS,
     "settled(times, values, longest_gap, half_width): until when grid points no longer change"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_resample", NULL, -1, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__resample(void) { return PyModule_Create(&MODULE); }
