/* A ring's memory as a read-only buffer, and the connection that it came by. */
#include "tools/python/src/module.h"

#include <errno.h>
#include <string.h>

#include "ring/channel.h"
#include "ring/inside.h"

static PyTypeObject *memory_type;
static struct memory_object *first; /* all there are, for fork() */

int memory_check(const struct memory_object *memory)
{
    if (memory->is_forked) {
        PyErr_SetString(error_types.forked,
                        "this reader belongs to the parent of fork(); attach again in the child");
    } else if (!memory->is_connected || memory->is_closing) {
        PyErr_SetString(error_types.closed, "this reader is closed; follow() the ring again");
    } else if (memory->is_busy) {
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread waits in this reader: one thread at a time, or a reader for "
                        "each");
    } else {
        return 0;
    }
    return -1;
}

static uint32_t channels_end(const struct sluice_reader *reader)
{
    struct sluice_channel channel;
    uint32_t end = 0;
    for (uint32_t i = 0; sluice_channel(reader, i, &channel) == 0; i++) {
        uint32_t channel_end = channel.at_byte + ring_type_bytes(channel.type);
        end = channel_end > end ? channel_end : end;
    }
    return end;
}

/* Takes the reader, also on failure. */
static struct memory_object *new_memory(struct sluice_reader *reader)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(memory_type, Py_tp_alloc);
    struct memory_object *m = (struct memory_object *)(void *)allocate(memory_type, 0);
    if (m == NULL) {
        sluice_detach(reader);
        return NULL;
    }
    m->reader = reader;
    m->next = first;
    if (first != NULL) {
        first->previous = m;
    }
    first = m;
    return m;
}

struct memory_object *memory_attach(const char *instance, const char *ring, const struct sluice_options *options)
{
    char error[512] = "";
    struct sluice_reader *reader = NULL;
    int code;
    Py_BEGIN_ALLOW_THREADS;
    code = sluice_attach_with(&reader, instance, ring, options, error, sizeof(error));
    Py_END_ALLOW_THREADS;
    if (error_raised(code, error)) {
        sluice_detach(reader);
        return NULL;
    }
    struct memory_object *m = new_memory(reader);
    if (m == NULL) {
        return NULL;
    }
    m->memory = sluice_memory_keep(reader);
    m->slots = sluice_memory_slots(m->memory, &m->bytes);
    sluice_ring(reader, &m->ring);
    m->channels_end = channels_end(reader);
    m->is_connected = true;
    return m;
}

struct memory_object *memory_described(struct memory_object *memory)
{
    if (memory->memory == NULL) { /* it is one */
        Py_INCREF(&memory->ob_base);
        return memory;
    }
    if (memory->described == NULL) {
        struct sluice_reader *description = ring_description(memory->reader);
        if (description == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        memory->described = new_memory(description);
        if (memory->described == NULL) {
            return NULL;
        }
        memory->described->ring = memory->ring;
        memory->described->channels_end = memory->channels_end;
    }
    Py_INCREF(&memory->described->ob_base);
    return memory->described;
}

void memory_disconnect(struct memory_object *memory)
{
    if (memory->is_connected) {
        ring_disconnect(memory->reader);
        memory->is_connected = false;
    }
}

static void memory_dealloc(PyObject *self)
{
    struct memory_object *m = (struct memory_object *)(void *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (m->next != NULL) {
        m->next->previous = m->previous;
    }
    if (m->previous != NULL) {
        m->previous->next = m->next;
    } else if (first == m) {
        first = m->next;
    }
    Py_XDECREF((PyObject *)m->described);
    sluice_detach(m->reader);
    sluice_memory_drop(m->memory);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* The map is read-only: who asks for more is refused, by us and by the kernel. */
static int memory_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    const struct memory_object *m = (const struct memory_object *)(const void *)self;
    void *slots;
    memcpy(&slots, &m->slots, sizeof(slots)); /* PyBuffer_FillInfo does not write to it */
    return PyBuffer_FillInfo(view, self, slots, (Py_ssize_t)m->bytes, 1, flags);
}

/* In the child: the copies of the descriptors are closed, nothing is said to the server, whose place is the
 * parent's. */
static PyObject *after_fork_in_child(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    for (struct memory_object *m = first; m != NULL; m = m->next) {
        memory_disconnect(m);
        m->is_forked = true;
        m->is_busy = false;
    }
    server_after_fork();
    Py_RETURN_NONE;
}

static PyType_Slot memory_slots[] = {
    {Py_tp_dealloc, memory_dealloc}, {Py_bf_getbuffer, memory_get_buffer}, {0, NULL}};

static PyType_Spec memory_spec = {.name = "sluice._sluice.Memory",
                                  .basicsize = sizeof(struct memory_object),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION |
                                           Py_TPFLAGS_IMMUTABLETYPE,
                                  .slots = memory_slots};

static PyMethodDef functions[] = {{"after_fork_in_child", after_fork_in_child, METH_NOARGS, NULL},
                                  {NULL, NULL, 0, NULL}};

int memory_register(PyObject *module)
{
    memory_type = module_add_type(module, &memory_spec, "Memory");
    return memory_type != NULL ? PyModule_AddFunctions(module, functions) : -1;
}
