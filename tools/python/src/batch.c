/* Frames that adjoin, seen in place or copied. What needs NumPy is in sluice/_batch.py. */
#include "tools/python/src/module.h"

#include <string.h>
#include <structmember.h>

#include "ring/layout.h"

#define RELEASE_GIL_BYTES (1u << 20) /* that much is worth a switch of threads */

static PyTypeObject *batch_type;

static struct batch_object *batch_of(PyObject *self)
{
    return (struct batch_object *)(void *)self;
}

uint32_t batch_scan(const struct sluice_batch *frames, uint32_t *length_bytes_min)
{
    const uint8_t *slot = frames->first;
    uint32_t shortest = UINT32_MAX;
    uint32_t i = 0;
    for (; i < frames->count; i++, slot += frames->slot_bytes) {
        const struct ring_descriptor *descriptor = (const void *)slot;
        uint64_t rest = __atomic_load_n(&descriptor->rest, __ATOMIC_RELAXED);
        uint32_t length_bytes = (uint32_t)(rest & 0xffff);
        if ((rest >> 16 & RING_FLAG_GAP) != 0) {
            break;
        }
        shortest = length_bytes < shortest ? length_bytes : shortest;
    }
    *length_bytes_min =
        shortest < frames->payload_bytes || shortest == UINT32_MAX ? shortest : frames->payload_bytes;
    return i;
}

struct batch_object *batch_new(PyTypeObject *type, struct memory_object *memory, PyObject *source, PyObject *owner,
                               const struct sluice_batch *frames, uint32_t length_bytes_min, uint64_t lost,
                               PyObject *gaps)
{
    Py_ssize_t start = owner != NULL ? 0 : (Py_ssize_t)(frames->position % memory->ring.slots);
    struct batch_object *b = (struct batch_object *)(void *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (b == NULL || gaps == NULL) {
        Py_XDECREF(gaps);
        Py_XDECREF((PyObject *)b);
        return NULL;
    }
    b->memory = memory;
    Py_INCREF(&memory->ob_base);
    b->source = Py_NewRef(source);
    b->owner = Py_XNewRef(owner);
    b->gaps = gaps;
    b->frames = *frames;
    b->length_bytes_min = length_bytes_min;
    b->lost = lost;
    PyObject *from = PyLong_FromSsize_t(start);
    PyObject *to = PyLong_FromSsize_t(start + (Py_ssize_t)frames->count);
    b->slice = from != NULL && to != NULL ? PySlice_New(from, to, NULL) : NULL;
    Py_XDECREF(from);
    Py_XDECREF(to);
    if (b->slice == NULL) {
        Py_DECREF(&b->ob_base);
        return NULL;
    }
    return b;
}

static void batch_dealloc(PyObject *self)
{
    struct batch_object *b = batch_of(self);
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(b->source);
    Py_XDECREF(b->owner);
    Py_XDECREF(b->gaps);
    Py_XDECREF(b->slice);
    Py_XDECREF((PyObject *)b->memory);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

int batch_frames(PyObject *batch, const struct sluice_reader **reader, struct sluice_batch *frames)
{
    if (PyObject_TypeCheck(batch, batch_type) == 0) {
        PyErr_SetString(PyExc_TypeError, "expected a Batch");
        return -1;
    }
    batch_of(batch)->is_asked = false;
    *reader = batch_of(batch)->memory->reader;
    *frames = batch_of(batch)->frames;
    return 0;
}

uint32_t batch_overwritten(PyObject *batch)
{
    struct batch_object *b = batch_of(batch);
    uint32_t gone = 0;
    if (b->owner != NULL || b->frames.count == 0) {
        return 0;
    }
    if (b->is_current) {
        gone = sluice_reader_overwritten(b->memory->reader, &b->frames); /* counts them */
    } else {
        gone = (uint32_t)sluice_memory_overwritten(b->memory->memory, b->frames.position, b->frames.count);
    }
    b->seen = gone > b->seen ? gone : b->seen;
    b->is_asked = true;
    return gone;
}

static PyObject *batch_is_valid(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(batch_overwritten(self) == 0);
}

static PyObject *batch_count_overwritten(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(batch_overwritten(self));
}

static Py_ssize_t batch_length(PyObject *self)
{
    return (Py_ssize_t)batch_of(self)->frames.count;
}

/* batch["name"]: the source's array of that channel, sliced. */
static PyObject *batch_subscript(PyObject *self, PyObject *key)
{
    struct batch_object *b = batch_of(self);
    if (PyUnicode_Check(key) == 0) {
        return PyObject_CallMethod(self, "_check_key", "(O)", key); /* raises */
    }
    PyObject *column = PyObject_GetItem(b->source, key);
    PyObject *answer = NULL;
    b->is_asked = false;
    if (column == NULL) {
        return NULL;
    }
    if (b->length_bytes_min < b->memory->channels_end) { /* some frames may end before this channel does */
        PyObject *fine = PyObject_CallMethod(self, "_check_length", "O", key);
        if (fine == NULL) {
            Py_DECREF(column);
            return NULL;
        }
        Py_DECREF(fine);
    }
    answer = PyObject_GetItem(column, b->slice);
    Py_DECREF(column);
    return answer;
}

/* values(index, out): channel `index` in its unit into float64 [n]. */
static PyObject *batch_values(PyObject *self, PyObject *arguments)
{
    struct batch_object *b = batch_of(self);
    unsigned int index;
    PyObject *out;
    Py_buffer view;
    if (PyArg_ParseTuple(arguments, "IO", &index, &out) == 0 ||
        PyObject_GetBuffer(out, &view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) != 0) {
        return NULL;
    }
    b->is_asked = false;
    if (view.len != (Py_ssize_t)b->frames.count * 8) {
        PyErr_Format(PyExc_ValueError, "expected room for %u values of 8 bytes, found %zd bytes", b->frames.count,
                     view.len);
        PyBuffer_Release(&view);
        return NULL;
    }
    if ((uint64_t)b->frames.count * b->frames.slot_bytes < RELEASE_GIL_BYTES) {
        sluice_batch_values(b->memory->reader, index, &b->frames, 0, b->frames.count, view.buf);
    } else {
        Py_BEGIN_ALLOW_THREADS;
        sluice_batch_values(b->memory->reader, index, &b->frames, 0, b->frames.count, view.buf);
        Py_END_ALLOW_THREADS;
    }
    PyBuffer_Release(&view);
    Py_RETURN_NONE;
}

/* A copy that lies in owner, bytes of whole slots; all else but where they lie is the original's. */
static struct batch_object *copy_in(struct batch_object *b, PyObject *owner, uint64_t position, uint64_t lost,
                                    PyObject *gaps)
{
    char *bytes;
    Py_ssize_t size;
    PyObject *source = PyObject_CallMethod(b->source, "over", "O", owner);
    if (source == NULL || PyBytes_AsStringAndSize(owner, &bytes, &size) != 0) {
        Py_XDECREF(source);
        Py_XDECREF(gaps);
        return NULL;
    }
    struct sluice_batch frames = b->frames;
    uint32_t shortest;
    frames.first = (const uint8_t *)bytes;
    frames.position = position;
    frames.count = (uint32_t)(size / frames.slot_bytes);
    batch_scan(&frames, &shortest);
    struct memory_object *described = memory_described(b->memory);
    if (described == NULL) {
        Py_DECREF(source);
        Py_DECREF(gaps);
        return NULL;
    }
    struct batch_object *copy =
        batch_new(Py_TYPE(&b->ob_base), described, source, owner, &frames, shortest, lost, gaps);
    Py_DECREF(&described->ob_base);
    Py_DECREF(source);
    return copy;
}

/* The frames' bytes, copied and looked at afterwards: those of whole frames, and how many before were not. */
static PyObject *copy_bytes(struct batch_object *b, uint32_t *gone)
{
    Py_ssize_t size = (Py_ssize_t)b->frames.count * b->frames.slot_bytes;
    PyObject *owner = PyBytes_FromStringAndSize(NULL, size);
    if (owner == NULL) {
        return NULL;
    }
    char *to = PyBytes_AsString(owner);
    if (size < (Py_ssize_t)RELEASE_GIL_BYTES) {
        memcpy(to, b->frames.first, (size_t)size);
    } else {
        Py_BEGIN_ALLOW_THREADS;
        memcpy(to, b->frames.first, (size_t)size);
        Py_END_ALLOW_THREADS;
    }
    *gone = batch_overwritten(&b->ob_base);
    if (*gone > 0) {
        Py_ssize_t skip = (Py_ssize_t)*gone * b->frames.slot_bytes;
        PyObject *whole = PyBytes_FromStringAndSize(to + skip, size - skip);
        Py_DECREF(owner);
        owner = whole;
    }
    return owner;
}

static PyObject *batch_copy(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct batch_object *b = batch_of(self);
    uint32_t gone;
    PyObject *owner = copy_bytes(b, &gone);
    if (owner == NULL) {
        return NULL;
    }
    struct batch_object *copy = copy_in(b, owner, b->frames.position + gone, b->lost + gone, Py_NewRef(b->gaps));
    Py_DECREF(owner);
    return (PyObject *)copy;
}

/* joined(batch, bytes, position, lost, gaps): a copy like batch.copy(), of frames out of several. */
static PyObject *batch_joined(PyObject *module, PyObject *arguments)
{
    PyObject *like;
    PyObject *owner;
    PyObject *gaps;
    unsigned long long position;
    unsigned long long lost;
    (void)module;
    if (PyArg_ParseTuple(arguments, "OSKKO", &like, &owner, &position, &lost, &gaps) == 0) {
        return NULL;
    }
    if (PyObject_TypeCheck(like, batch_type) == 0 || PyTuple_Size(gaps) < 0) {
        PyErr_SetString(PyExc_TypeError, "expected a Batch and a tuple of Gap");
        return NULL;
    }
    return (PyObject *)copy_in(batch_of(like), owner, position, lost, Py_NewRef(gaps));
}

static PyObject *get_length(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(batch_of(self)->length_bytes_min);
}

static PyObject *get_is_copy(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(batch_of(self)->owner != NULL);
}

/* Whoever wants it looks at the frames with it. */
static PyObject *get_slice(PyObject *self, void *unused)
{
    struct batch_object *b = batch_of(self);
    (void)unused;
    b->is_asked = false;
    return Py_NewRef(b->slice);
}

static PyMethodDef batch_methods[] = {{"valid", batch_is_valid, METH_NOARGS,
                                       "valid() -> bool\n\nTrue if none of these frames has been overwritten by "
                                       "now. Ask after use: what was computed is "
                                       "right then."},
                                      {"overwritten", batch_count_overwritten, METH_NOARGS,
                                       "overwritten() -> int\n\nHow many of these frames, from the first on, have "
                                       "been overwritten by now. Ask after use: "
                                       "discard what came of those."},
                                      {"copy", batch_copy, METH_NOARGS,
                                       "copy() -> Batch\n\nThe frames that were whole after they had been copied: "
                                       "valid for good. Those that had been "
                                       "overwritten are left out, and count in its .lost."},
                                      {"_values", batch_values, METH_VARARGS, NULL},
                                      {NULL, NULL, 0, NULL}};

static PyGetSetDef batch_attributes[] = {
    {"_length_min", get_length, NULL, NULL, NULL},
    {"_slice", get_slice, NULL, NULL, NULL},
    {"is_copy", get_is_copy, NULL, "bool: not in the ring, valid for good", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMemberDef batch_members[] = {
    {"position", T_ULONGLONG, offsetof(struct batch_object, frames.position), READONLY,
     "int: position of the first frame: 0, 1, 2 .. over the ring's whole life"},
    {"lost", T_ULONGLONG, offsetof(struct batch_object, lost), READONLY,
     "int: positions overwritten before this reader came to them, just before this batch"},
    {"gaps", T_OBJECT, offsetof(struct batch_object, gaps), READONLY,
     "tuple of Gap: the gap records just before this batch"},
    {"_source", T_OBJECT, offsetof(struct batch_object, source), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot batch_slots[] = {{Py_tp_dealloc, batch_dealloc},
                                    {Py_tp_methods, batch_methods},
                                    {Py_tp_members, batch_members},
                                    {Py_tp_getset, batch_attributes},
                                    {Py_mp_length, batch_length},
                                    {Py_mp_subscript, batch_subscript},
                                    {0, NULL}};

static PyType_Spec batch_spec = {.name = "sluice._sluice.Batch",
                                 .basicsize = sizeof(struct batch_object),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
                                          Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                                 .slots = batch_slots};

static PyMethodDef functions[] = {{"joined", batch_joined, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

int batch_register(PyObject *module)
{
    batch_type = module_add_type(module, &batch_spec, "Batch");
    return batch_type != NULL ? PyModule_AddFunctions(module, functions) : -1;
}
