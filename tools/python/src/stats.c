/* Statistics over arrays and batches (ring/stats.h). Their states are plain data that Python holds as arrays of one
 * structure; what sluice/stats.py makes of them is thin. */
#include "tools/python/src/module.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/layout.h"
#include "ring/stats.h"

#define CHUNK              1024 /* values at a time: they stay in the cache */
#define RELEASE_GIL_VALUES 4096 /* that many are worth a switch of threads */
#define DIMENSIONS_MAX     32

/* In the order of sluice/stats.py. */
enum kind { KIND_SUMMARY, KIND_QUANTILES, KIND_BINS, KIND_ENVELOPE, KIND_EDGES, KINDS };

/* What came of it: what is not a state's own. */
struct told {
    uint64_t values;
    uint64_t discarded; /* frames that were overwritten before they were put aside */
    uint64_t missing;   /* frames that the ring says are missing before others */
    bool is_broken;     /* something is missing before what comes next */
};

/* Points or edges; grows. */
struct out {
    char *bytes;
    size_t item_bytes;
    size_t count;
    size_t room;
    bool is_full; /* there was no memory for more */
};

struct fold {
    enum kind kind;
    sluice_fold_function *function; /* of a state that takes all */
    void *state;
    struct out out;
    struct told told;
    double values[CHUNK];
    uint64_t tai_ns[CHUNK];
};

/* Room for `more` items more: a pointer behind those there are, or NULL. */
static void *out_room(struct out *out, size_t more)
{
    if (out->room - out->count < more) {
        size_t room = out->room * 2 > out->count + more ? out->room * 2 : out->count + more;
        char *bytes = realloc(out->bytes, room * out->item_bytes);
        if (bytes == NULL) {
            out->is_full = true;
            return NULL;
        }
        out->bytes = bytes;
        out->room = room;
    }
    return out->bytes + out->count * out->item_bytes;
}

static void fold_envelope(struct fold *fold, const struct sluice_chunk *chunk)
{
    struct sluice_fold_envelope_context c = {.envelope = fold->state, .room = chunk->count};
    c.points = out_room(&fold->out, c.room);
    if (c.points != NULL) {
        sluice_fold_envelope(&c, chunk);
        fold->out.count += c.written;
    }
}

static void fold_edges(struct fold *fold, const struct sluice_chunk *chunk)
{
    struct sluice_fold_edges_context c = {.edges = fold->state, .room = chunk->count};
    c.out = out_room(&fold->out, c.room);
    if (c.out != NULL) {
        sluice_fold_edges(&c, chunk);
        fold->out.count += c.written;
    }
}

static void fold_chunk(struct fold *fold, const struct sluice_chunk *chunk)
{
    if (fold->function != NULL) {
        fold->function(fold->state, chunk);
    } else if (fold->kind == KIND_ENVELOPE) {
        fold_envelope(fold, chunk);
    } else {
        fold_edges(fold, chunk);
    }
    fold->told.values += chunk->count;
    fold->told.is_broken = false;
}

/* ---- Arrays: any type, any strides, nothing is copied but a chunk at a time. */

struct array {
    Py_buffer view;
    uint32_t type;
    uint32_t is_big_endian;
    const uint64_t *tai_ns; /* NULL: none were given */
    uint64_t position;      /* of the first value */
};

/* The last axis is walked by its stride; the others are counted on like a mileage. */
struct walk {
    const char *row;
    Py_ssize_t index[DIMENSIONS_MAX];
    Py_ssize_t at; /* along the last axis */
    Py_ssize_t length;
    Py_ssize_t stride;
    bool is_done;
};

static void walk_begin(struct walk *walk, const Py_buffer *view)
{
    *walk = (struct walk){.row = view->buf, .length = 1, .stride = view->itemsize};
    if (view->ndim > 0) {
        walk->length = view->shape[view->ndim - 1];
        walk->stride = view->strides[view->ndim - 1];
    }
    walk->is_done = view->len == 0;
}

static void walk_row(struct walk *walk, const Py_buffer *view)
{
    walk->at = 0;
    int axis = view->ndim - 2;
    for (; axis >= 0; axis--) {
        walk->row += view->strides[axis];
        if (++walk->index[axis] < view->shape[axis]) {
            return;
        }
        walk->row -= view->strides[axis] * view->shape[axis];
        walk->index[axis] = 0;
    }
    walk->is_done = true;
}

static size_t walk_fill(struct walk *walk, const struct array *array, double *values)
{
    size_t n = 0;
    while (n < CHUNK && !walk->is_done) {
        size_t left = (size_t)(walk->length - walk->at);
        size_t count = left < CHUNK - n ? left : CHUNK - n;
        (void)sluice_values_from(walk->row + walk->at * walk->stride, array->type, array->is_big_endian,
                                 walk->stride, count, values + n);
        n += count;
        walk->at += (Py_ssize_t)count;
        if (walk->at == walk->length) {
            walk_row(walk, &array->view);
        }
    }
    return n;
}

static void fold_array(struct fold *fold, const struct array *array)
{
    struct walk walk;
    size_t n;
    size_t done = 0;
    walk_begin(&walk, &array->view);
    while ((n = walk_fill(&walk, array, fold->values)) > 0) {
        for (size_t i = 0; i < n; i++) {
            fold->tai_ns[i] = array->tai_ns != NULL ? array->tai_ns[done + i] : array->position + done + i;
        }
        struct sluice_chunk chunk = {.values = fold->values,
                                     .tai_ns = fold->tai_ns,
                                     .position = array->position + done,
                                     .frame_tai_ns = fold->tai_ns[0],
                                     .count = n,
                                     .is_after_gap = fold->told.is_broken ? 1 : 0};
        fold_chunk(fold, &chunk);
        done += n;
    }
}

/* ---- Batches: a channel in its unit; what was overwritten by the time it had been put aside is left out. */

struct frames {
    const struct batch_object *batch;
    uint32_t channel;
    uint64_t next_position; /* that would follow what came before */
};

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static uint32_t flags_of(uint64_t rest)
{
    return (uint32_t)(rest >> 16) & 0xffff;
}

static void fold_frames(struct fold *fold, struct frames *frames)
{
    const struct batch_object *b = frames->batch;
    uint64_t position[CHUNK];
    uint64_t rest[CHUNK];
    for (uint32_t done = 0; done < b->frames.count;) {
        uint32_t n = sluice_batch_values(b->memory->reader, frames->channel, &b->frames, done, CHUNK, fold->values);
        for (uint32_t i = 0; i < n; i++) {
            const struct ring_descriptor *d = (const void *)sluice_batch_descriptor(&b->frames, done + i);
            position[i] = load(&d->sequence) - 1;
            fold->tai_ns[i] = load(&d->tai_ns);
            rest[i] = load(&d->rest);
        }
        uint32_t i = 0;
        if (b->owner == NULL) { /* else it is a copy, of what was whole */
            i = (uint32_t)sluice_memory_overwritten(b->memory->memory, b->frames.position + done, n);
            fold->told.discarded += i;
            fold->told.is_broken = fold->told.is_broken || i > 0;
        }
        while (i < n) {
            bool is_missing = (flags_of(rest[i]) & SLUICE_FRAME_LOST_BEFORE) != 0;
            uint32_t end = i + 1;
            fold->told.missing += is_missing ? rest[i] >> 48 : 0;
            while (end < n && position[end] == position[end - 1] + 1 &&
                   (flags_of(rest[end]) & SLUICE_FRAME_LOST_BEFORE) == 0) {
                end++;
            }
            struct sluice_chunk chunk = {
                .values = fold->values + i,
                .tai_ns = fold->tai_ns + i,
                .position = position[i],
                .frame_tai_ns = fold->tai_ns[i],
                .count = end - i,
                .is_after_gap = fold->told.is_broken || is_missing || position[i] != frames->next_position ? 1 : 0};
            fold_chunk(fold, &chunk);
            frames->next_position = position[end - 1] + 1;
            i = end;
        }
        done += n;
    }
}

/* ---- From Python. */

static const size_t state_bytes[KINDS] = {sizeof(struct sluice_summary), sizeof(struct sluice_quantiles),
                                          sizeof(struct sluice_bins), sizeof(struct sluice_envelope),
                                          sizeof(struct sluice_edges)};

/* A state's memory, of the right size. 0 or -1 with an exception set. */
static int state_get(PyObject *state, int kind, Py_buffer *view)
{
    if (kind < 0 || kind >= KINDS) {
        PyErr_Format(PyExc_ValueError, "expected a kind of 0 to %d, found %d", KINDS - 1, kind);
        return -1;
    }
    if (PyObject_GetBuffer(state, view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) != 0) {
        return -1;
    }
    if (view->len != (Py_ssize_t)state_bytes[kind] || (uintptr_t)view->buf % sizeof(uint64_t) != 0) {
        PyErr_Format(PyExc_ValueError, "expected a state of %zu bytes on a multiple of 8, found %zd",
                     state_bytes[kind], view->len);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

/* Bins have their counts in an array of their own. */
static int counts_get(PyObject *counts, struct sluice_bins *bins, Py_buffer *view)
{
    if (PyObject_GetBuffer(counts, view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) != 0) {
        return -1;
    }
    if ((uint64_t)view->len != bins->bins * sizeof(uint64_t) || view->len == 0) {
        PyErr_Format(PyExc_ValueError, "expected counts of %llu bins, found %zd bytes",
                     (unsigned long long)bins->bins, view->len);
        PyBuffer_Release(view);
        return -1;
    }
    bins->counts = view->buf;
    return 0;
}

static void fold_init(struct fold *fold, int kind, void *state, int is_broken)
{
    static sluice_fold_function *const functions[KINDS] = {sluice_fold_summary, sluice_fold_quantiles,
                                                           sluice_fold_bins, NULL, NULL};
    memset(fold, 0, offsetof(struct fold, values));
    fold->kind = (enum kind)kind;
    fold->function = functions[kind];
    fold->state = state;
    fold->told.is_broken = is_broken != 0;
    fold->out.item_bytes =
        kind == KIND_ENVELOPE ? sizeof(struct sluice_envelope_point) : sizeof(struct sluice_edge);
}

/* (values, discarded, missing, is_broken, bytes of points or edges) */
static PyObject *fold_told(struct fold *fold)
{
    PyObject *answer = NULL;
    if (fold->out.is_full) {
        PyErr_NoMemory();
    } else {
        answer = Py_BuildValue(
            "KKKNy#", (unsigned long long)fold->told.values, (unsigned long long)fold->told.discarded,
            (unsigned long long)fold->told.missing, PyBool_FromLong(fold->told.is_broken),
            fold->out.bytes != NULL ? fold->out.bytes : "", (Py_ssize_t)(fold->out.count * fold->out.item_bytes));
    }
    free(fold->out.bytes);
    return answer;
}

/* What a state's call of Python needs: its memory, and that of its counts. */
struct held {
    Py_buffer state;
    Py_buffer counts;
    bool has_counts;
};

static int held_get(struct held *held, PyObject *state, PyObject *counts, int kind)
{
    held->has_counts = false;
    if (state_get(state, kind, &held->state) != 0) {
        return -1;
    }
    if (kind == KIND_BINS) {
        if (counts_get(counts, held->state.buf, &held->counts) != 0) {
            PyBuffer_Release(&held->state);
            return -1;
        }
        held->has_counts = true;
    }
    return 0;
}

static void held_drop(struct held *held)
{
    if (held->has_counts) {
        ((struct sluice_bins *)held->state.buf)->counts = NULL; /* it may be copied, and sent */
        PyBuffer_Release(&held->counts);
    }
    PyBuffer_Release(&held->state);
}

/* fold_array(kind, state, counts, is_broken, array, type, is_big_endian, times, position) */
static PyObject *stats_fold_array(PyObject *module, PyObject *arguments)
{
    struct array array = {.tai_ns = NULL};
    struct held held;
    PyObject *state;
    PyObject *counts;
    PyObject *values;
    PyObject *times;
    unsigned long long position;
    int kind;
    int is_broken;
    Py_buffer times_view = {.buf = NULL};
    PyObject *answer = NULL;
    (void)module;
    if (PyArg_ParseTuple(arguments, "iOOpOIIOK", &kind, &state, &counts, &is_broken, &values, &array.type,
                         &array.is_big_endian, &times, &position) == 0 ||
        held_get(&held, state, counts, kind) != 0) {
        return NULL;
    }
    array.position = position;
    if (PyObject_GetBuffer(values, &array.view, PyBUF_STRIDES) != 0) {
        goto drop;
    }
    double probe;
    if (sluice_values_from(&probe, array.type, 0, 0, 0, &probe) != 0 || array.view.ndim > DIMENSIONS_MAX) {
        PyErr_SetString(PyExc_ValueError, "expected an array of numbers");
        goto release;
    }
    if (times != Py_None && PyObject_GetBuffer(times, &times_view, PyBUF_C_CONTIGUOUS) != 0) {
        goto release;
    }
    Py_ssize_t count = array.view.itemsize > 0 ? array.view.len / array.view.itemsize : 0;
    if (times_view.buf != NULL && times_view.len != count * 8) {
        PyErr_Format(PyExc_ValueError, "expected %zd times of 8 bytes, found %zd bytes", count, times_view.len);
        goto release;
    }
    array.tai_ns = times_view.buf;
    struct fold fold;
    fold_init(&fold, kind, held.state.buf, is_broken);
    if (count < RELEASE_GIL_VALUES) {
        fold_array(&fold, &array);
    } else {
        Py_BEGIN_ALLOW_THREADS;
        fold_array(&fold, &array);
        Py_END_ALLOW_THREADS;
    }
    answer = fold_told(&fold);
release:
    if (times_view.buf != NULL) {
        PyBuffer_Release(&times_view);
    }
    PyBuffer_Release(&array.view);
drop:
    held_drop(&held);
    return answer;
}

/* fold_batch(kind, state, counts, is_broken, batch, channel, next_position) */
static PyObject *stats_fold_batch(PyObject *module, PyObject *arguments)
{
    const struct sluice_reader *reader;
    struct sluice_batch checked;
    struct frames frames;
    struct held held;
    PyObject *state;
    PyObject *counts;
    PyObject *batch;
    unsigned long long next_position;
    int kind;
    int is_broken;
    (void)module;
    if (PyArg_ParseTuple(arguments, "iOOpOIK", &kind, &state, &counts, &is_broken, &batch, &frames.channel,
                         &next_position) == 0 ||
        batch_frames(batch, &reader, &checked) != 0 || held_get(&held, state, counts, kind) != 0) {
        return NULL;
    }
    frames.batch = (const struct batch_object *)(const void *)batch;
    frames.next_position = next_position;
    struct fold fold;
    fold_init(&fold, kind, held.state.buf, is_broken);
    if (checked.count < RELEASE_GIL_VALUES) {
        fold_frames(&fold, &frames);
    } else {
        Py_BEGIN_ALLOW_THREADS;
        fold_frames(&fold, &frames);
        Py_END_ALLOW_THREADS;
    }
    PyObject *answer = fold_told(&fold);
    held_drop(&held);
    return answer;
}

/* stats_init(kind, state, counts, a, b): a and b are low and high of bins and edges, or values and ns of envelopes.
 */
static PyObject *stats_init(PyObject *module, PyObject *arguments)
{
    PyObject *state;
    PyObject *counts;
    Py_buffer view;
    Py_buffer counts_view;
    double a;
    double b;
    int kind;
    int code = -EINVAL;
    (void)module;
    if (PyArg_ParseTuple(arguments, "iOOdd", &kind, &state, &counts, &a, &b) == 0 ||
        state_get(state, kind, &view) != 0) {
        return NULL;
    }
    if (kind == KIND_BINS) {
        if (PyObject_GetBuffer(counts, &counts_view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) != 0) {
            PyBuffer_Release(&view);
            return NULL;
        }
        code = sluice_bins_init(view.buf, a, b, counts_view.buf, (uint64_t)counts_view.len / 8);
        ((struct sluice_bins *)view.buf)->counts = NULL;
        PyBuffer_Release(&counts_view);
    } else if (kind == KIND_ENVELOPE && a >= 0 && a < 0x1p63 && b >= 0 && b < 0x1p63) {
        code = sluice_envelope_init(view.buf, (uint64_t)a, (uint64_t)b);
    } else if (kind == KIND_EDGES) {
        code = sluice_edges_init(view.buf, a, b);
    }
    PyBuffer_Release(&view);
    return PyBool_FromLong(code == 0);
}

/* stats_merge(kind, into, from), but for bins, which NumPy adds. */
static PyObject *stats_merge(PyObject *module, PyObject *arguments)
{
    PyObject *into;
    PyObject *from;
    Py_buffer to_view;
    Py_buffer from_view;
    int kind;
    (void)module;
    if (PyArg_ParseTuple(arguments, "iOO", &kind, &into, &from) == 0 || state_get(into, kind, &to_view) != 0) {
        return NULL;
    }
    if (state_get(from, kind, &from_view) != 0) {
        PyBuffer_Release(&to_view);
        return NULL;
    }
    if (kind == KIND_SUMMARY) {
        sluice_summary_merge(to_view.buf, from_view.buf);
    } else if (kind == KIND_QUANTILES) {
        sluice_quantiles_merge(to_view.buf, from_view.buf);
    }
    PyBuffer_Release(&from_view);
    PyBuffer_Release(&to_view);
    Py_RETURN_NONE;
}

static PyObject *stats_std(PyObject *module, PyObject *arguments)
{
    PyObject *state;
    Py_buffer view;
    unsigned int ddof;
    (void)module;
    if (PyArg_ParseTuple(arguments, "OI", &state, &ddof) == 0 || state_get(state, KIND_SUMMARY, &view) != 0) {
        return NULL;
    }
    double value = sluice_summary_std(view.buf, ddof);
    PyBuffer_Release(&view);
    return PyFloat_FromDouble(value);
}

static PyObject *stats_quantile(PyObject *module, PyObject *arguments)
{
    PyObject *state;
    Py_buffer view;
    double q;
    (void)module;
    if (PyArg_ParseTuple(arguments, "Od", &state, &q) == 0 || state_get(state, KIND_QUANTILES, &view) != 0) {
        return NULL;
    }
    double value = sluice_quantiles_at(view.buf, q);
    PyBuffer_Release(&view);
    return PyFloat_FromDouble(value);
}

/* envelope_flush(state) -> bytes of the open group's point, or of none; envelope_gap(state), edges_gap(state) */
static PyObject *stats_flush(PyObject *module, PyObject *state)
{
    struct sluice_envelope_point point;
    Py_buffer view;
    (void)module;
    if (state_get(state, KIND_ENVELOPE, &view) != 0) {
        return NULL;
    }
    int found = sluice_envelope_flush(view.buf, &point);
    PyBuffer_Release(&view);
    return PyBytes_FromStringAndSize((const char *)&point, found != 0 ? (Py_ssize_t)sizeof(point) : 0);
}

static PyMethodDef functions[] = {{"stats_fold_array", stats_fold_array, METH_VARARGS, NULL},
                                  {"stats_fold_batch", stats_fold_batch, METH_VARARGS, NULL},
                                  {"stats_init", stats_init, METH_VARARGS, NULL},
                                  {"stats_merge", stats_merge, METH_VARARGS, NULL},
                                  {"stats_std", stats_std, METH_VARARGS, NULL},
                                  {"stats_quantile", stats_quantile, METH_VARARGS, NULL},
                                  {"stats_flush", stats_flush, METH_O, NULL},
                                  {NULL, NULL, 0, NULL}};

int stats_register(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
