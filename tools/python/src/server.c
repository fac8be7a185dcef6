/* A running server as a whole (ring/server.h), as tuples; sluice/_server.py gives them names. */
#include "tools/python/src/module.h"

#include <errno.h>
#include <string.h>

#include "ring/server.h"

#define WORD(n)       ((unsigned long long)(n))
#define INSTANCES_MAX 256u

static PyTypeObject *server_type;

struct server_object {
    PyObject ob_base;
    struct sluice_server *server; /* NULL: closed */
    bool is_forked;               /* in a child of fork() */
    struct server_object *next, *previous;
};
static struct server_object *first; /* all there are, for fork() */

static struct server_object *server_of(PyObject *self)
{
    return (struct server_object *)(void *)self;
}

/* NULL: an exception is set. Asked again after whatever makes an object or looks at one: the cyclic collector, or a
 * number's own __index__(), may have closed it. */
static struct sluice_server *opened(PyObject *self)
{
    struct server_object *s = server_of(self);
    if (s->is_forked) {
        PyErr_SetString(error_types.forked,
                        "this server's view belongs to the parent of fork(); attach again in the child");
    } else if (s->server == NULL) {
        PyErr_SetString(error_types.closed, "this server's view is closed; attach again");
    }
    return s->server;
}

/* open_server(instance or None) */
static PyObject *server_open(PyObject *module, PyObject *arguments)
{
    const char *instance;
    char error[512] = "";
    struct sluice_server *server = NULL;
    int code;
    (void)module;
    if (PyArg_ParseTuple(arguments, "z", &instance) == 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    code = sluice_open(&server, instance, error, sizeof(error));
    Py_END_ALLOW_THREADS;
    if (error_raised(code, error)) {
        sluice_close(server);
        return NULL;
    }
    PyObject *self = ((allocfunc)PyType_GetSlot(server_type, Py_tp_alloc))(server_type, 0);
    if (self == NULL) {
        sluice_close(server);
        return NULL;
    }
    struct server_object *s = server_of(self);
    s->server = server;
    s->next = first;
    if (first != NULL) {
        first->previous = s;
    }
    first = s;
    return self;
}

static void server_dealloc(PyObject *self)
{
    struct server_object *s = server_of(self);
    PyTypeObject *type = Py_TYPE(self);
    if (s->next != NULL) {
        s->next->previous = s->previous;
    }
    if (s->previous != NULL) {
        s->previous->next = s->next;
    } else if (first == s) {
        first = s->next;
    }
    sluice_close(s->server);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *server_close(PyObject *self, PyObject *unused)
{
    struct server_object *s = server_of(self);
    (void)unused;
    sluice_close(s->server);
    s->server = NULL;
    Py_RETURN_NONE;
}

void server_after_fork(void)
{
    for (struct server_object *s = first; s != NULL; s = s->next) {
        sluice_close(s->server);
        s->server = NULL;
        s->is_forked = true;
    }
}

static PyObject *server_instance(PyObject *self, PyObject *unused)
{
    const struct sluice_server *server = opened(self);
    const char *instance = server != NULL ? sluice_server_instance(server) : NULL;
    (void)unused;
    return instance != NULL ? describe_text(instance, strlen(instance)) : NULL;
}

static PyObject *server_alive(PyObject *self, PyObject *unused)
{
    const struct sluice_server *server = opened(self);
    (void)unused;
    return server != NULL ? PyBool_FromLong(sluice_server_alive(server)) : NULL;
}

/* Steals entry, which may be NULL. 0 or -1. */
static int append(PyObject *list, PyObject *entry)
{
    int code = entry != NULL ? PyList_Append(list, entry) : -1;
    Py_XDECREF(entry);
    return code;
}

/* The ring, or measure, that is asked for. NULL: an exception is set. */
static const struct sluice_server *ring_of(PyObject *self, PyObject *arguments, unsigned int *ring)
{
    return PyArg_ParseTuple(arguments, "I", ring) != 0 ? opened(self) : NULL;
}

static int append_channels(PyObject *self, unsigned int ring, PyObject *all)
{
    const struct sluice_server *server;
    struct sluice_channel channel;
    for (uint32_t i = 0; (server = opened(self)) != NULL; i++) {
        if (sluice_server_channel(server, ring, i, &channel) != 0) {
            return 0;
        }
        if (append(all, describe_channel(&channel)) != 0) {
            return -1;
        }
    }
    return -1;
}

static int append_streams(PyObject *self, unsigned int ring, PyObject *all)
{
    const struct sluice_server *server;
    struct sluice_stream stream;
    for (uint32_t i = 0; (server = opened(self)) != NULL; i++) {
        if (sluice_server_stream(server, ring, i, &stream) != 0) {
            return 0;
        }
        if (append(all, describe_stream(&stream)) != 0) {
            return -1;
        }
    }
    return -1;
}

/* describe(ring) -> (ring, channels, streams) as tuples; IndexError behind the last. */
static PyObject *server_describe(PyObject *self, PyObject *arguments)
{
    unsigned int ring;
    const struct sluice_server *server = ring_of(self, arguments, &ring);
    struct sluice_ring about;
    if (server == NULL) {
        return NULL;
    }
    if (sluice_server_ring(server, ring, &about) != 0) {
        PyErr_Format(PyExc_IndexError, "expected a ring below %u, found %u", sluice_server_rings(server), ring);
        return NULL;
    }
    PyObject *channels = PyList_New(0);
    PyObject *streams = PyList_New(0);
    if (channels == NULL || streams == NULL || append_channels(self, ring, channels) != 0 ||
        append_streams(self, ring, streams) != 0) {
        Py_XDECREF(channels);
        Py_XDECREF(streams);
        return NULL;
    }
    return Py_BuildValue("NNN", describe_ring(&about), channels, streams);
}

static PyObject *server_rings(PyObject *self, PyObject *unused)
{
    const struct sluice_server *server = opened(self);
    (void)unused;
    return server != NULL ? PyLong_FromUnsignedLong(sluice_server_rings(server)) : NULL;
}

static PyObject *no_ring(unsigned int ring)
{
    PyErr_Format(PyExc_IndexError, "there is no ring %u", ring);
    return NULL;
}

static PyObject *server_progress(PyObject *self, PyObject *arguments)
{
    unsigned int ring;
    const struct sluice_server *server = ring_of(self, arguments, &ring);
    struct sluice_progress progress;
    if (server == NULL) {
        return NULL;
    }
    return sluice_server_progress(server, ring, &progress) == 0 ? describe_progress(&progress) : no_ring(ring);
}

static PyObject *server_ledger(PyObject *self, PyObject *arguments)
{
    unsigned int ring;
    const struct sluice_server *server = ring_of(self, arguments, &ring);
    struct sluice_ledger ledger;
    if (server == NULL) {
        return NULL;
    }
    return sluice_server_ledger(server, ring, &ledger) == 0 ? describe_ledger(&ledger) : no_ring(ring);
}

static PyObject *server_rate(PyObject *self, PyObject *arguments)
{
    unsigned int ring;
    const struct sluice_server *server = ring_of(self, arguments, &ring);
    struct sluice_rate rate;
    if (server == NULL) {
        return NULL;
    }
    return sluice_server_rate(server, ring, &rate) == 0 ? describe_rate(&rate) : no_ring(ring);
}

static PyObject *describe_process(const struct sluice_process *p)
{
    return Py_BuildValue("NKKKKiiiNNIKKK", describe_text(p->name, sizeof(p->name)), WORD(p->pid),
                         WORD(p->started_tai_ns), WORD(p->heartbeats), WORD(p->heartbeat_ns), p->core, p->policy,
                         p->priority, PyBool_FromLong(p->is_locked != 0), PyBool_FromLong(p->is_sealed != 0),
                         p->refusals, WORD(p->stalls), WORD(p->stall_ns), WORD(p->stall_ns_max));
}

static PyObject *describe_measure(uint32_t index, const struct sluice_measure *m)
{
    return Py_BuildValue("INIKKN", index, describe_text(m->name, sizeof(m->name)), m->kind, WORD(m->value),
                         WORD(m->period_ns), describe_text(m->word, sizeof(m->word)));
}

static PyObject *server_processes(PyObject *self, PyObject *unused)
{
    const struct sluice_server *server;
    struct sluice_process process;
    PyObject *all = PyList_New(0);
    (void)unused;
    for (uint32_t i = 0; all != NULL; i++) {
        server = opened(self);
        if (server != NULL && sluice_server_process(server, i, &process) != 0) {
            break;
        }
        if (server == NULL || append(all, describe_process(&process)) != 0) {
            Py_CLEAR(all);
        }
    }
    return all;
}

/* measures() -> list of (index, name, kind, value, period_ns, word) */
static PyObject *server_measures(PyObject *self, PyObject *unused)
{
    const struct sluice_server *server;
    struct sluice_measure measure;
    PyObject *all = PyList_New(0);
    (void)unused;
    for (uint32_t i = 0; all != NULL; i++) {
        server = opened(self);
        if (server != NULL && sluice_server_measure(server, i, &measure) != 0) {
            break;
        }
        if (server == NULL || append(all, describe_measure(i, &measure)) != 0) {
            Py_CLEAR(all);
        }
    }
    return all;
}

/* histogram(index) -> (count, max_ns, sum_ns, late, limit_ns, bytes of the buckets) */
static PyObject *server_histogram(PyObject *self, PyObject *arguments)
{
    unsigned int index;
    const struct sluice_server *server = ring_of(self, arguments, &index);
    struct sluice_histogram h;
    if (server == NULL) {
        return NULL;
    }
    if (sluice_server_histogram(server, index, &h) != 0) {
        PyErr_Format(PyExc_IndexError, "measure %u is no histogram", index);
        return NULL;
    }
    return Py_BuildValue("KKKKKy#", WORD(h.count), WORD(h.max_ns), WORD(h.sum_ns), WORD(h.late), WORD(h.limit_ns),
                         (const char *)h.buckets, (Py_ssize_t)sizeof(h.buckets));
}

/* histogram_quantile(count, max_ns, buckets, q) */
static PyObject *histogram_quantile(PyObject *module, PyObject *arguments)
{
    unsigned long long count;
    unsigned long long max_ns;
    const char *buckets;
    Py_ssize_t bytes;
    double q;
    struct sluice_histogram h = {.count = 0};
    (void)module;
    if (PyArg_ParseTuple(arguments, "KKy#d", &count, &max_ns, &buckets, &bytes, &q) == 0) {
        return NULL;
    }
    if (bytes != (Py_ssize_t)sizeof(h.buckets) || !(q >= 0 && q <= 1)) {
        PyErr_SetString(PyExc_ValueError, "expected q of 0 to 1");
        return NULL;
    }
    h.count = count;
    h.max_ns = max_ns;
    memcpy(h.buckets, buckets, sizeof(h.buckets));
    return PyLong_FromUnsignedLongLong(sluice_histogram_quantile_ns(&h, q));
}

/* histogram_highs() -> bytes of uint64: the highest value of each bucket, ns */
static PyObject *histogram_highs(PyObject *module, PyObject *unused)
{
    uint64_t high_ns[SLUICE_HISTOGRAM_BUCKETS];
    (void)module;
    (void)unused;
    for (uint32_t i = 0; i < SLUICE_HISTOGRAM_BUCKETS; i++) {
        high_ns[i] = sluice_histogram_high_ns(i);
    }
    return PyBytes_FromStringAndSize((const char *)high_ns, sizeof(high_ns));
}

static PyObject *instances(PyObject *module, PyObject *unused)
{
    char names[INSTANCES_MAX][32];
    PyObject *all = PyList_New(0);
    uint32_t count;
    (void)module;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS; /* it waits for whoever is slow to take a connection */
    count = sluice_instances(names, INSTANCES_MAX);
    Py_END_ALLOW_THREADS;
    if (PyErr_Occurred() != NULL) { /* a signal's handler raised meanwhile */
        Py_XDECREF(all);
        return NULL;
    }
    for (uint32_t i = 0; all != NULL && i < count && i < INSTANCES_MAX; i++) {
        if (append(all, PyUnicode_DecodeFSDefaultAndSize(names[i],
                                                         (Py_ssize_t)strnlen(names[i], sizeof(names[i])))) != 0) {
            Py_CLEAR(all);
        }
    }
    return all;
}

static PyMethodDef server_methods[] = {
    {"close", server_close, METH_NOARGS, NULL},          {"instance", server_instance, METH_NOARGS, NULL},
    {"alive", server_alive, METH_NOARGS, NULL},          {"rings", server_rings, METH_NOARGS, NULL},
    {"describe", server_describe, METH_VARARGS, NULL},   {"progress", server_progress, METH_VARARGS, NULL},
    {"ledger", server_ledger, METH_VARARGS, NULL},       {"rate", server_rate, METH_VARARGS, NULL},
    {"processes", server_processes, METH_NOARGS, NULL},  {"measures", server_measures, METH_NOARGS, NULL},
    {"histogram", server_histogram, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

static PyType_Slot server_slots[] = {{Py_tp_dealloc, server_dealloc}, {Py_tp_methods, server_methods}, {0, NULL}};

static PyType_Spec server_spec = {.name = "sluice._sluice.Server",
                                  .basicsize = sizeof(struct server_object),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION |
                                           Py_TPFLAGS_IMMUTABLETYPE,
                                  .slots = server_slots};

static PyMethodDef functions[] = {{"open_server", server_open, METH_VARARGS, NULL},
                                  {"instances", instances, METH_NOARGS, NULL},
                                  {"histogram_quantile", histogram_quantile, METH_VARARGS, NULL},
                                  {"histogram_highs", histogram_highs, METH_NOARGS, NULL},
                                  {NULL, NULL, 0, NULL}};

int server_register(PyObject *module)
{
    server_type = module_add_type(module, &server_spec, "Server");
    return server_type != NULL ? PyModule_AddFunctions(module, functions) : -1;
}
