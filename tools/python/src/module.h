/* The extension sluice._sluice: libsluice for Python, of the stable ABI. It knows no NumPy: arrays are made in
 * Python over a read-only buffer (memory.c) that keeps the ring's memory mapped for as long as one of them is left.
 *
 * Everything here runs with the GIL held, but for what waits; a reader that waits is marked, and refuses others.
 */
#ifndef TOOLS_PYTHON_MODULE_H
#define TOOLS_PYTHON_MODULE_H

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "ring/sluice.h"

/* One attachment to a ring: what the server gave, and what views lie in. Its reader is disconnected by close(), and
 * detached when the last view is gone. */
struct memory_object {
    PyObject ob_base;
    struct sluice_reader *reader;
    struct sluice_memory *memory;
    const uint8_t *slots;
    size_t bytes;
    struct sluice_ring ring;
    uint32_t channels_end; /* bytes of a payload that has every channel */
    bool is_connected;
    bool is_forked;                  /* in a child of fork(): the connection is the parent's */
    bool is_busy;                    /* a thread waits, without the GIL */
    bool is_closing;                 /* .. and was told to close its reader: it is as good as closed */
    struct memory_object *described; /* what copies keep: without the map; NULL: made when it is wanted */
    struct memory_object *next, *previous;
};

/* Frames that adjoin, without gap records: in the ring, or a copy of such. The Python class Batch derives from it.
 */
struct batch_object {
    PyObject ob_base;
    struct memory_object *memory;
    PyObject *source; /* sluice._arrays.Source: a dict, channel -> array over all that `frames` lies in */
    PyObject *gaps;   /* tuple */
    PyObject *owner;  /* a copy's bytes; NULL: in the ring */
    PyObject *slice;  /* of source's arrays */
    struct sluice_batch frames;
    uint64_t lost;             /* frames overwritten before these */
    uint32_t length_bytes_min; /* of its frames; UINT32_MAX: it has none */
    uint32_t seen;             /* frames known to its user to be overwritten */
    bool is_asked;             /* whether they are, since the last look at them: its user is done, and knows */
    bool is_current;           /* its reader has not gone on */
};

/* What of frames lies in one run of memory: the first gap record's index (count: none), and the shortest before it.
 */
uint32_t batch_scan(const struct sluice_batch *frames, uint32_t *length_bytes_min);

/* A batch of class `type`. owner NULL: in the ring; else a copy: bytes that hold the frames from their start on.
 * gaps is stolen, also on failure. NULL: exception set. */
struct batch_object *batch_new(PyTypeObject *type, struct memory_object *memory, PyObject *source, PyObject *owner,
                               const struct sluice_batch *frames, uint32_t length_bytes_min, uint64_t lost,
                               PyObject *gaps);

/* Names of sluice.errors; borrowed, for the process's life. */
struct error_types {
    PyObject *of; /* function: (code, text) -> exception */
    PyObject *closed;
    PyObject *evicted;
    PyObject *forked;
    PyObject *overrun;
    PyObject *server_gone;
};
extern struct error_types error_types;

/* Sets the exception for what libsluice returned and said. */
void error_raise(int code, const char *text);

/* True if an exception is set after a request of libsluice: one for what it returned and said, or what a signal's
 * handler raised meanwhile. */
bool error_raised(int code, const char *text);

/* The same attachment is not used by two threads at once, nor after close(), nor in a child of fork(). 0, or -1
 * with an exception set. */
int memory_check(const struct memory_object *memory);

/* A new attachment, or NULL with an exception set. */
struct memory_object *memory_attach(const char *instance, const char *ring, const struct sluice_options *options);

/* What describes its frames, for copies of them: a new reference, or NULL with an exception set. */
struct memory_object *memory_described(struct memory_object *memory);

/* Gives the server's place back; views stay readable. */
void memory_disconnect(struct memory_object *memory);

/* A batch's frames and what describes them, for other parts, which look at them now and ask batch_overwritten()
 * after that; no reference is passed. -1 with an exception set if it is no batch. */
int batch_frames(PyObject *batch, const struct sluice_reader **reader, struct sluice_batch *frames);

/* How many of its frames, from the first on, have been overwritten by now; 0 of a copy. They count as lost of its
 * reader, if that has not gone on. Of a Batch only. */
uint32_t batch_overwritten(PyObject *batch);

/* A type of a spec, added to the module under its own name; the reference is the process's. NULL: exception set. */
PyTypeObject *module_add_type(PyObject *module, PyType_Spec *spec, const char *name);

/* Text that others wrote, to its 0 or its end: whatever it holds is shown, nothing is refused. NULL: exception set.
 */
PyObject *describe_text(const char *bytes, size_t size);

/* What libsluice's structures say, as tuples whose fields sluice/_describe.py names in the same order. NULL:
 * exception set. */
PyObject *describe_ring(const struct sluice_ring *ring);
PyObject *describe_channel(const struct sluice_channel *channel);
PyObject *describe_stream(const struct sluice_stream *stream);
PyObject *describe_progress(const struct sluice_progress *progress);
PyObject *describe_ledger(const struct sluice_ledger *ledger);
PyObject *describe_rate(const struct sluice_rate *rate);

/* In a child of fork(): the views of servers are closed. */
void server_after_fork(void);

/* Each part adds its types and functions. 0, or -1 with an exception set. */
int memory_register(PyObject *module);
int batch_register(PyObject *module);
int reader_register(PyObject *module);
int server_register(PyObject *module);
int stats_register(PyObject *module);

#endif
