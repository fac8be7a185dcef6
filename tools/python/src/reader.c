/* A reader of one ring, as an iterator of batches that adjoin and have no gap record among them. Per batch nothing
 * is run in Python. What is not per batch is in sluice/_reader.py. */
#include "tools/python/src/module.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>
#include <sys/socket.h>
#include <time.h>

#include "ring/clock.h"
#include "ring/inside.h"
#include "ring/layout.h"

#define NS_PER_MS     ((int64_t)1000000)
#define SLEEP_MS_MAX  1000     /* then look again, whatever the server says or does not say */
#define SIGNALS_NS    10000000 /* a spinning reader asks for Ctrl-C that often */
#define EVICTED_LOOKS 20       /* the ring's writer says so in its next round */
#define EVICTED_NS    10000000
#define GAPS_MAX                                                                                                   \
    4096u /* that wait for a frame; anybody who can send datagrams can make the ring's writer write them */
#define PIECE_FRAMES 256u /* read and scanned at once: their descriptors' lines stay in the first cache */
#define LAPS_MAX     64   /* of one look, when the writer takes back what was read again and again */

static PyTypeObject *reader_type;

/* A gap record, as it was read. */
struct gap {
    uint64_t position;
    uint64_t tai_ns;
    uint64_t count;
    uint64_t from_tai_ns;
    uint32_t cause;
    uint32_t stream;
};

/* Whatever allocates an object may run the cyclic collector, and by it anybody's code, which may use this very
 * reader: what a call hands out is taken off here first, and nothing here is relied on after that. */
struct reader_object {
    PyObject ob_base;
    struct memory_object *memory;
    PyObject *source;
    PyTypeObject *batch_class;
    PyObject *gap_class;
    struct batch_object *last; /* handed out; its user has not asked for the next */
    unsigned long owner;       /* the thread that used this last */
    struct sluice_batch rest;  /* read, and not handed out: what stands behind a gap record */
    bool has_more;             /* .. and what was read last was as much as was asked for */
    uint64_t expected;         /* a batch that begins behind this position was lost up to there */
    uint64_t lost;             /* .. before the next batch */
    uint64_t missed;           /* overwritten before it was there: libsluice's reader does not count them */
    uint64_t end;              /* position at which iteration ends */
    struct gap *gap;           /* [gap_count], before the next batch; malloc's */
    uint32_t gap_count;
    uint32_t gap_room;
    int64_t timeout_ns; /* without anything new; < 0: none */
    uint64_t spin_ns;
    unsigned int max_frames;
    bool counts_overruns; /* does not raise */
    bool gives_gaps;      /* also without a frame behind them, and fewer than GAPS_MAX */
};

static struct reader_object *reader_of(PyObject *self)
{
    return (struct reader_object *)(void *)self;
}

/* The number of the first frame from a position on. False: there is none, or it went meanwhile. */
static bool number_at(const struct memory_object *m, uint64_t position, uint64_t *number)
{
    struct sluice_progress progress;
    sluice_progress(m->reader, &progress);
    for (uint64_t looks = 0; position < progress.published && looks < m->ring.slots; position++, looks++) {
        const uint8_t *slot = m->slots + position % m->ring.slots * m->ring.slot_bytes;
        const struct ring_descriptor *descriptor = (const void *)slot;
        uint64_t rest = __atomic_load_n(&descriptor->rest, __ATOMIC_RELAXED);
        *number = __atomic_load_n(&descriptor->source_sequence, __ATOMIC_RELAXED);
        if (sluice_memory_overwritten(m->memory, position, 1) != 0) {
            return false;
        }
        if ((rest >> 16 & RING_FLAG_GAP) == 0) {
            return true;
        }
    }
    return false;
}

/* How many positions between the place that was asked for and the one that was reached have been overwritten: of a
 * number at most so many, since some may never have come. */
static uint64_t missed_before(const struct memory_object *m, int start, uint64_t at)
{
    uint64_t position = sluice_reader_position(m->reader);
    uint64_t number;
    if (start == SLUICE_AT_POSITION) {
        return position > at ? position - at : 0;
    }
    if (start != SLUICE_AT_SEQUENCE || position == 0 ||
        sluice_memory_overwritten(m->memory, position - 1, 1) == 0 || !number_at(m, position, &number) ||
        number <= at) {
        return 0;
    }
    return number - at < position ? number - at : position;
}

/* It stands where it was told to: what is gone from there on is lost before the next batch. */
static void stand(struct reader_object *r, uint64_t missed)
{
    r->missed += missed;
    r->expected = sluice_reader_position(r->memory->reader) - missed;
}

/* open(cls, batch_class, gap_class, instance, ring, mode, start, at, deadline_ms) */
static PyObject *reader_open(PyObject *module, PyObject *arguments)
{
    PyObject *class;
    PyObject *batch_class;
    PyObject *gap_class;
    const char *instance;
    const char *ring;
    unsigned long long at;
    struct sluice_options options = {.bytes = sizeof(options)};
    (void)module;
    if (PyArg_ParseTuple(arguments, "OOOssIIKI", &class, &batch_class, &gap_class, &instance, &ring, &options.mode,
                         &options.start, &at, &options.deadline_ms) == 0) {
        return NULL;
    }
    if (PyType_Check(class) == 0 || PyType_IsSubtype((PyTypeObject *)class, reader_type) == 0 ||
        PyType_Check(batch_class) == 0) {
        PyErr_SetString(PyExc_TypeError, "expected classes derived from Reader and Batch");
        return NULL;
    }
    options.at = at;
    struct memory_object *memory = memory_attach(instance, ring, &options);
    if (memory == NULL) {
        return NULL;
    }
    PyObject *self = ((allocfunc)PyType_GetSlot((PyTypeObject *)class, Py_tp_alloc))((PyTypeObject *)class, 0);
    if (self == NULL) {
        memory_disconnect(memory);
        Py_DECREF(&memory->ob_base);
        return NULL;
    }
    struct reader_object *r = reader_of(self);
    r->memory = memory;
    r->batch_class = (PyTypeObject *)Py_NewRef(batch_class);
    r->gap_class = Py_NewRef(gap_class);
    stand(r, missed_before(memory, (int)options.start, at));
    r->end = UINT64_MAX;
    r->timeout_ns = -1;
    r->max_frames = 4096;
    return self;
}

static void end_last(struct reader_object *r)
{
    struct batch_object *last = r->last;
    r->last = NULL;
    if (last != NULL) {
        last->is_current = false;
        Py_DECREF(&last->ob_base);
    }
}

/* The last batch was not asked about, and will not be: what of it was overwritten counts. */
static void close_reader(struct reader_object *r)
{
    if (r->last != NULL && !r->last->is_asked && r->memory->is_connected) {
        batch_overwritten(&r->last->ob_base);
    }
    if (r->memory != NULL) {
        memory_disconnect(r->memory);
    }
    r->rest.count = 0;
    end_last(r);
}

static void reader_dealloc(PyObject *self)
{
    struct reader_object *r = reader_of(self);
    PyTypeObject *type = Py_TYPE(self);
    close_reader(r);
    Py_XDECREF(r->source);
    Py_XDECREF((PyObject *)r->batch_class);
    Py_XDECREF(r->gap_class);
    free(r->gap);
    Py_XDECREF((PyObject *)r->memory);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* ---- One batch after the other. */

static void skip(struct reader_object *r, uint32_t count)
{
    r->rest.first += (size_t)count * r->rest.slot_bytes;
    r->rest.position += count;
    r->rest.count -= count;
    r->expected = r->rest.position;
}

/* The user asks for the next: whether the batch before had been whole until now is told. -1: Overrun is set. */
static int finish_last(struct reader_object *r)
{
    struct batch_object *last = r->last;
    if (last == NULL) {
        return 0;
    }
    uint32_t seen = last->seen;
    uint32_t gone = last->is_asked ? seen : batch_overwritten(&last->ob_base);
    last->is_current = false;
    r->last = NULL;
    int code = 0;
    if (gone > seen && !r->counts_overruns) {
        PyObject *e = PyObject_CallFunction(error_types.overrun, "KIIK", (unsigned long long)last->frames.position,
                                            gone, last->frames.count, (unsigned long long)r->memory->ring.slots);
        if (e != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(e), e);
            Py_DECREF(e);
        }
        code = -1;
    }
    Py_DECREF(&last->ob_base);
    return code;
}

/* rest begins with a gap record: among the gaps, or lost if it was overwritten meanwhile. */
static int take_gap(struct reader_object *r)
{
    struct ring_gap gap;
    struct sluice_batch record = r->rest;
    struct sluice_descriptor descriptor = *sluice_batch_descriptor(&record, 0);
    if (r->gap_count == r->gap_room) {
        uint32_t room = r->gap_room > 0 ? r->gap_room * 2 : 16;
        struct gap *more = realloc(r->gap, room * sizeof(*more));
        if (more == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        r->gap = more;
        r->gap_room = room;
    }
    record.count = 1;
    memcpy(&gap, sluice_batch_payload(&record, 0), sizeof(gap));
    bool is_gone = sluice_reader_overwritten(r->memory->reader, &record) > 0;
    skip(r, 1);
    if (is_gone) {
        r->lost++;
        return 0;
    }
    r->gap[r->gap_count++] = (struct gap){.position = record.position,
                                          .tai_ns = descriptor.tai_ns,
                                          .count = gap.count,
                                          .from_tai_ns = gap.from_tai_ns,
                                          .cause = gap.cause,
                                          .stream = descriptor.stream};
    return 0;
}

/* Tuple of Gap, or NULL with an exception set. */
static PyObject *gaps_tuple(PyObject *gap_class, const struct gap *gap, uint32_t count)
{
    PyObject *all = PyTuple_New((Py_ssize_t)count);
    for (uint32_t i = 0; all != NULL && i < count; i++) {
        PyObject *entry = PyObject_CallFunction(
            gap_class, "KKsKKI", (unsigned long long)gap[i].position, (unsigned long long)gap[i].tai_ns,
            sluice_loss_name(gap[i].cause), (unsigned long long)gap[i].count,
            (unsigned long long)gap[i].from_tai_ns, (unsigned int)gap[i].stream);
        if (entry == NULL || PyTuple_SetItem(all, (Py_ssize_t)i, entry) != 0) {
            Py_CLEAR(all);
        }
    }
    return all;
}

/* NULL: an exception is set, and what should have been handed out counts as lost. */
static struct batch_object *hand_out(struct reader_object *r, const struct sluice_batch *frames, uint32_t shortest)
{
    struct gap *gap = r->gap;
    uint32_t gap_count = r->gap_count;
    uint64_t lost = r->lost;
    r->gap = NULL;
    r->gap_count = r->gap_room = 0;
    r->lost = 0;
    if (frames->count > 0) {
        skip(r, frames->count);
    }
    PyObject *gaps = gaps_tuple(r->gap_class, gap, gap_count);
    free(gap);
    struct batch_object *b = batch_new(r->batch_class, r->memory, r->source, NULL, frames, shortest, lost, gaps);
    if (b == NULL) {
        r->lost += lost + frames->count + gap_count;
        ring_inside(r->memory->reader).reader->lost += frames->count + gap_count;
        return NULL;
    }
    end_last(r); /* of somebody who came in between */
    b->is_current = true;
    r->last = b;
    Py_INCREF(&b->ob_base);
    return b;
}

/* No frames, behind all that were handed out. */
static struct sluice_batch nothing(const struct reader_object *r)
{
    const struct sluice_ring *ring = &r->memory->ring;
    return (struct sluice_batch){.first = r->memory->slots,
                                 .position = r->expected,
                                 .slot_bytes = ring->slot_bytes,
                                 .payload_offset = ring->payload_offset,
                                 .payload_bytes = ring->payload_bytes};
}

/* Gives back what was handed out, but not what was only read: for a gating reader. */
static void give_back(struct reader_object *r)
{
    struct ring_reader *ring = ring_inside(r->memory->reader).reader;
    uint64_t position = ring->position;
    ring->position = r->rest.count > 0 ? r->rest.position : position;
    ring_reader_release(ring);
    ring->position = position;
}

/* rest, which was scanned whole, goes on as far as it adjoins, in pieces: each is looked at a second time while it
 * is in the cache. Returns how many frames come before a gap record. */
static uint32_t read_pieces(struct reader_object *r, uint32_t max, uint32_t *shortest)
{
    struct ring_reader *ring = ring_inside(r->memory->reader).reader;
    uint32_t until_gap = r->rest.count;
    while (r->has_more && until_gap == r->rest.count && until_gap < max &&
           ring->position % r->memory->ring.slots != 0) {
        struct sluice_batch piece;
        uint32_t piece_shortest;
        uint32_t most = max - until_gap < PIECE_FRAMES ? max - until_gap : PIECE_FRAMES;
        uint32_t count = ring_reader_batch(ring, most, &piece); /* gives nothing back */
        r->has_more = count == most;
        if (count == 0) {
            break;
        }
        if (piece.position != r->rest.position + r->rest.count) { /* lapped: what was before is gone */
            (void)sluice_reader_overwritten(r->memory->reader, &r->rest);
            r->rest = piece;
            return batch_scan(&piece, shortest);
        }
        until_gap += batch_scan(&piece, &piece_shortest);
        *shortest = piece_shortest < *shortest ? piece_shortest : *shortest;
        r->rest.count += count;
    }
    return until_gap;
}

/* At most so many frames: those that were read and not handed out, and new ones behind them. Returns their count,
 * and how many of them come before a gap record. */
static uint32_t read_on(struct reader_object *r, uint32_t max, uint32_t *until_gap, uint32_t *shortest)
{
    uint64_t from = r->rest.count > 0 ? r->rest.position : sluice_reader_position(r->memory->reader);
    if (r->rest.count == 0 &&
        from >= r->end) { /* what was read is given, also if it was lapped, and lies behind the end */
        return 0;
    }
    max = from < r->end && r->end - from < max ? (uint32_t)(r->end - from) : max;
    if (r->rest.count == 0) {
        uint32_t most = max < PIECE_FRAMES ? max : PIECE_FRAMES;
        r->has_more = sluice_reader_batch(r->memory->reader, most, &r->rest) == most;
    } else {
        give_back(r);
    }
    struct sluice_batch frames = r->rest;
    frames.count = frames.count < max ? frames.count : max;
    *until_gap = batch_scan(&frames, shortest);
    if (frames.count > 0 && *until_gap == r->rest.count) {
        *until_gap = read_pieces(r, max, shortest);
    }
    return r->rest.count < max ? r->rest.count : max;
}

/* What the reader met in the ring cannot be true: it will never find anything more. */
static bool is_corrupt(const struct reader_object *r)
{
    return ring_inside(r->memory->reader).reader->corrupt != 0;
}

static void say_corrupt(const struct reader_object *r)
{
    const struct sluice_ring *ring = &r->memory->ring;
    char text[256];
    snprintf(text, sizeof(text),
             "ring '%.32s' of '%.32s': expected what a writer can have left, found words that cannot be true: its "
             "memory was overwritten; restart the server",
             ring->name, ring->instance);
    error_raise(-EPROTO, text);
}

/* Whether that thread is in the middle of some code of Python's. */
static bool runs(unsigned long thread)
{
    PyObject *ask = PySys_GetObject("_current_frames"); /* borrowed */
    int collects = PyGC_Disable(); /* it holds a lock: a finalizer that came here again would wait for itself */
    PyObject *frames = ask != NULL ? PyObject_CallNoArgs(ask) : NULL;
    if (collects != 0) {
        (void)PyGC_Enable();
    }
    PyObject *id = PyLong_FromUnsignedLong(thread);
    int found = frames != NULL && id != NULL ? PyDict_Contains(frames, id) : -1;
    Py_XDECREF(id);
    Py_XDECREF(frames);
    if (found < 0) {
        PyErr_Clear();
    }
    return found != 0;
}

/* Before each use, but for close(). A thread has a batch in hand if it did not ask whether that was whole after the
 * last look at it, and runs. 0, or -1 with an exception set. */
static int enter(struct reader_object *r)
{
    unsigned long thread = PyThread_get_thread_ident();
    const struct batch_object *last = r->last;
    if (memory_check(r->memory) != 0) {
        return -1;
    }
    if (thread != r->owner && last != NULL && last->frames.count > 0 && !last->is_asked && runs(r->owner)) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "another thread uses a batch of this reader, which this call would give back to the ring: "
            "expected it to be asked valid(), overwritten() or copy() last, or that thread to release() "
            "the reader; one thread at a time, or a reader for each");
        return -1;
    }
    r->owner = thread;
    return memory_check(r->memory); /* asking may have run other code */
}

/* The next batch. NULL: nothing there, or an exception is set. What is handed out was whole at that moment. */
static struct batch_object *take(struct reader_object *r, uint32_t max)
{
    uint32_t count;
    uint32_t until_gap;
    uint32_t shortest;
    int laps = 0;
    while (r->gap_count < GAPS_MAX && laps < LAPS_MAX && (count = read_on(r, max, &until_gap, &shortest)) > 0) {
        struct sluice_batch frames = r->rest;
        frames.count = count;
        if (frames.position > r->expected) {
            r->lost += frames.position - r->expected;
            r->expected = frames.position;
        }
        uint32_t gone = sluice_reader_overwritten(r->memory->reader, &frames);
        if (gone > 0) { /* and what was scanned may not be true */
            r->lost += gone;
            skip(r, gone);
            laps++;
        } else if (until_gap > 0) {
            frames.count = until_gap;
            return hand_out(r, &frames, shortest);
        } else if (take_gap(r) != 0) {
            return NULL;
        }
    }
    if (r->gap_count >= GAPS_MAX || (r->gives_gaps && r->gap_count > 0)) {
        struct sluice_batch none = nothing(r);
        return hand_out(r, &none, UINT32_MAX);
    }
    if (is_corrupt(r)) {
        say_corrupt(r);
    }
    return NULL;
}

/* ---- Waiting. Another thread may close the reader meanwhile. */

/* After each time without the GIL. 0, or -1: it was told to close, did so, and Closed is set. */
static int woken(struct reader_object *r)
{
    r->memory->is_busy = false;
    if (!r->memory->is_closing) {
        return 0;
    }
    close_reader(r);
    return memory_check(r->memory);
}

static int spin(struct reader_object *r, uint64_t until_ns)
{
    int found = 0;
    uint64_t now_ns = clock_monotonic_ns();
    while (found == 0 && now_ns < until_ns) {
        uint64_t signals_ns = now_ns + SIGNALS_NS;
        r->memory->is_busy = true;
        Py_BEGIN_ALLOW_THREADS;
        do {
            found = sluice_reader_wait(r->memory->reader, 0);
            now_ns = clock_monotonic_ns();
        } while (found == 0 && now_ns < until_ns && now_ns < signals_ns);
        Py_END_ALLOW_THREADS;
        if (woken(r) != 0 || PyErr_CheckSignals() != 0 || memory_check(r->memory) != 0) {
            return -1;
        }
    }
    return found > 0 ? 1 : 0; /* arming says why not */
}

/* Nothing more will come, by what sluice_reader_arm() said. */
static void say_end(struct reader_object *r, int why)
{
    const struct sluice_ring *ring = &r->memory->ring;
    if (why == -EPROTO) {
        say_corrupt(r);
        return;
    }
    for (int i = 0; i < EVICTED_LOOKS && sluice_reader_state(r->memory->reader) == SLUICE_STATE_DEMOTED; i++) {
        r->memory->is_busy = true;
        Py_BEGIN_ALLOW_THREADS;
        nanosleep(&(struct timespec){.tv_nsec = EVICTED_NS}, NULL);
        Py_END_ALLOW_THREADS;
        if (woken(r) != 0) {
            return;
        }
    }
    if (sluice_reader_state(r->memory->reader) == SLUICE_STATE_EVICTED) {
        PyErr_Format(error_types.evicted,
                     "ring '%.32s' of '%.32s': the server has given this reader's place away, because it held the "
                     "writer up for longer than the ring's deadline; read faster, or follow as an observer",
                     ring->name, ring->instance);
    } else {
        PyErr_Format(
            error_types.server_gone,
            "ring '%.32s' of '%.32s': the server has ended; what was read stays readable; attach again once "
            "it runs",
            ring->name, ring->instance);
    }
}

/* 1: something new is there; 0: not within that time (< 0: for ever); -1: an exception is set. */
static int await(struct reader_object *r, int64_t timeout_ns)
{
    struct memory_object *memory = r->memory;
    uint64_t start_ns = clock_monotonic_ns();
    if (r->rest.count > 0) {
        return 1;
    }
    if (r->spin_ns > 0 && timeout_ns != 0) {
        uint64_t spin_ns = timeout_ns >= 0 && (uint64_t)timeout_ns < r->spin_ns ? (uint64_t)timeout_ns : r->spin_ns;
        int found = spin(r, start_ns + spin_ns);
        if (found != 0) {
            return found;
        }
    }
    for (;;) {
        if (memory_check(memory) != 0) { /* a signal's handler may have closed it */
            return -1;
        }
        int code = sluice_reader_arm(memory->reader);
        int64_t left_ns = timeout_ns - (int64_t)(clock_monotonic_ns() - start_ns);
        if (code < 0) {
            say_end(r, code);
            return -1;
        }
        if (code > 0 || (timeout_ns >= 0 && left_ns <= 0)) {
            return code;
        }
        int64_t left_ms = timeout_ns < 0 ? SLEEP_MS_MAX : (left_ns + NS_PER_MS - 1) / NS_PER_MS;
        struct pollfd p = {.fd = sluice_reader_fd(memory->reader), .events = POLLIN | POLLRDHUP};
        memory->is_busy = true;
        Py_BEGIN_ALLOW_THREADS;
        (void)poll(&p, 1, left_ms < SLEEP_MS_MAX ? (int)left_ms : SLEEP_MS_MAX);
        Py_END_ALLOW_THREADS;
        if (woken(r) != 0 || PyErr_CheckSignals() != 0) {
            return -1;
        }
    }
}

static PyObject *reader_next(PyObject *self)
{
    struct reader_object *r = reader_of(self);
    if (enter(r) != 0 || finish_last(r) != 0) {
        return NULL;
    }
    for (;;) {
        struct batch_object *b = take(r, r->max_frames);
        if (b != NULL || PyErr_Occurred() != NULL) {
            return (PyObject *)b;
        }
        bool is_at_end = r->rest.count == 0 && sluice_reader_position(r->memory->reader) >= r->end;
        if (is_at_end || await(r, r->timeout_ns) <= 0 || PyErr_CheckSignals() != 0 ||
            memory_check(r->memory) != 0) {
            return NULL;
        }
    }
}

static PyObject *reader_iter(PyObject *self)
{
    return Py_NewRef(self);
}

static PyObject *reader_batch(PyObject *self, PyObject *arguments, PyObject *named)
{
    static char max_frames[] = "max_frames";
    char *names[] = {max_frames, NULL};
    struct reader_object *r = reader_of(self);
    PyObject *given = NULL;
    long long max = r->max_frames;
    int is_beyond = 0;
    if (PyArg_ParseTupleAndKeywords(arguments, named, "|O:batch", names, &given) == 0) {
        return NULL;
    }
    if (given != NULL) {
        max = PyLong_AsLongLongAndOverflow(given, &is_beyond);
        if (max == -1 && PyErr_Occurred() != NULL) {
            return NULL;
        }
    }
    if (is_beyond != 0 || max < 1 || max > UINT32_MAX) {
        PyErr_Format(PyExc_ValueError, "expected max_frames of 1 to %u, found %S", UINT32_MAX, given);
        return NULL;
    }
    if (enter(r) != 0 || finish_last(r) != 0) {
        return NULL;
    }
    struct batch_object *b = take(r, (uint32_t)max);
    if (b == NULL && PyErr_Occurred() == NULL) {
        Py_RETURN_NONE;
    }
    return (PyObject *)b;
}

static PyObject *reader_wait(PyObject *self, PyObject *arguments)
{
    struct reader_object *r = reader_of(self);
    long long timeout_ns;
    if (PyArg_ParseTuple(arguments, "L", &timeout_ns) == 0 || enter(r) != 0) {
        return NULL;
    }
    int found = await(r, timeout_ns);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

static PyObject *reader_arm(PyObject *self, PyObject *unused)
{
    struct reader_object *r = reader_of(self);
    (void)unused;
    if (enter(r) != 0) {
        return NULL;
    }
    if (r->rest.count > 0) {
        Py_RETURN_TRUE;
    }
    int code = sluice_reader_arm(r->memory->reader);
    if (code < 0) {
        say_end(r, code);
        return NULL;
    }
    return PyBool_FromLong(code);
}

/* ---- The rest. */

static PyObject *reader_seek(PyObject *self, PyObject *arguments)
{
    struct reader_object *r = reader_of(self);
    int start;
    unsigned long long at;
    int counts = 0; /* what was overwritten from there on */
    if (PyArg_ParseTuple(arguments, "iK|p", &start, &at, &counts) == 0 || enter(r) != 0 || finish_last(r) != 0) {
        return NULL;
    }
    uint64_t before = sluice_reader_position(r->memory->reader);
    if (sluice_reader_seek(r->memory->reader, start, at) != 0) {
        PyErr_Format(PyExc_ValueError, "expected a start of 1 to 5, found %d", start);
        return NULL;
    }
    r->rest.count = 0;
    r->lost = 0;
    r->gap_count = 0;
    uint64_t position = sluice_reader_position(r->memory->reader);
    bool is_kept = position == before && sluice_reader_state(r->memory->reader) != SLUICE_STATE_OBSERVER;
    stand(r, counts != 0 && !is_kept ? missed_before(r->memory, start, at) : 0); /* a gating one does not go back */
    return PyLong_FromUnsignedLongLong(position);
}

static PyObject *reader_release(PyObject *self, PyObject *unused)
{
    struct reader_object *r = reader_of(self);
    (void)unused;
    if (enter(r) != 0 || finish_last(r) != 0) {
        return NULL;
    }
    give_back(r);
    return Py_NewRef(Py_None);
}

/* Of a thread that waits in it: that one is woken, and closes it. */
static PyObject *reader_close(PyObject *self, PyObject *unused)
{
    struct reader_object *r = reader_of(self);
    (void)unused;
    if (r->memory->is_busy) {
        r->memory->is_closing = true;
        /* Wakes poll(); one that spins looks by itself. */
        (void)shutdown(sluice_reader_fd(r->memory->reader), SHUT_RDWR);
    } else {
        close_reader(r);
    }
    return Py_NewRef(Py_None);
}

/* finish(): as asking for the next batch does, tells whether the one before was whole. */
static PyObject *reader_finish(PyObject *self, PyObject *unused)
{
    struct reader_object *r = reader_of(self);
    (void)unused;
    return r->memory->is_connected && finish_last(r) != 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *reader_fileno(PyObject *self, PyObject *unused)
{
    const struct memory_object *memory = reader_of(self)->memory;
    (void)unused;
    bool is_busy = memory->is_busy; /* asking is no use */
    if ((!memory->is_connected || !is_busy) && memory_check(memory) != 0) {
        return NULL;
    }
    return PyLong_FromLong(sluice_reader_fd(memory->reader));
}

/* describe() -> (ring, channels, streams) as tuples */
static PyObject *reader_describe(PyObject *self, PyObject *unused)
{
    const struct memory_object *memory = reader_of(self)->memory;
    struct sluice_channel channel;
    struct sluice_stream stream;
    PyObject *channels = PyList_New(0);
    PyObject *streams = PyList_New(0);
    int code = channels != NULL && streams != NULL ? 0 : -1;
    (void)unused;
    for (uint32_t i = 0; code == 0 && sluice_channel(memory->reader, i, &channel) == 0; i++) {
        PyObject *entry = describe_channel(&channel);
        code = entry != NULL ? PyList_Append(channels, entry) : -1;
        Py_XDECREF(entry);
    }
    for (uint32_t i = 0; code == 0 && sluice_stream(memory->reader, i, &stream) == 0; i++) {
        PyObject *entry = describe_stream(&stream);
        code = entry != NULL ? PyList_Append(streams, entry) : -1;
        Py_XDECREF(entry);
    }
    if (code != 0) {
        Py_XDECREF(channels);
        Py_XDECREF(streams);
        return NULL;
    }
    return Py_BuildValue("NNN", describe_ring(&memory->ring), channels, streams);
}

static PyObject *reader_progress(PyObject *self, PyObject *unused)
{
    struct sluice_progress progress;
    (void)unused;
    sluice_progress(reader_of(self)->memory->reader, &progress);
    return describe_progress(&progress);
}

static PyObject *get_position(PyObject *self, void *unused)
{
    const struct reader_object *r = reader_of(self);
    (void)unused;
    return PyLong_FromUnsignedLongLong(r->rest.count > 0 ? r->rest.position
                                                         : sluice_reader_position(r->memory->reader));
}

static PyObject *get_lost(PyObject *self, void *unused)
{
    (void)unused;
    const struct reader_object *r = reader_of(self);
    return PyLong_FromUnsignedLongLong(sluice_reader_lost(r->memory->reader) + r->missed);
}

static PyObject *get_state(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(sluice_reader_state(reader_of(self)->memory->reader));
}

static PyObject *get_epoch(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(sluice_reader_epoch(reader_of(self)->memory->reader));
}

static PyObject *get_closed(PyObject *self, void *unused)
{
    (void)unused;
    const struct memory_object *memory = reader_of(self)->memory;
    return PyBool_FromLong(!memory->is_connected || memory->is_closing);
}

static PyObject *get_gaps(PyObject *self, void *unused)
{
    const struct reader_object *r = reader_of(self);
    uint32_t count = r->gap_count;
    struct gap *gap = malloc(count * sizeof(*gap) + 1);
    (void)unused;
    if (gap == NULL) {
        return PyErr_NoMemory();
    }
    if (count > 0) {
        memcpy(gap, r->gap, count * sizeof(*gap));
    }
    PyObject *gaps = gaps_tuple(r->gap_class, gap, count);
    free(gap);
    return gaps;
}

static PyMethodDef reader_methods[] = {
    {"batch", (PyCFunction)(void (*)(void))reader_batch, METH_VARARGS | METH_KEYWORDS,
     "batch(max_frames=...) -> Batch or None\n\nThe next frames that adjoin, at most max_frames; None: nothing "
     "new. Never "
     "waits. Gives the batch before back."},
    {"_wait", reader_wait, METH_VARARGS, NULL},
    {"arm", reader_arm, METH_NOARGS,
     "arm() -> bool\n\nFor event loops: True if something new is there, read it first. False: fileno() becomes "
     "readable "
     "once there is. Arm again each time that it was readable and all was read."},
    {"_seek", reader_seek, METH_VARARGS, NULL},
    {"release", reader_release, METH_NOARGS,
     "release()\n\nGives back what was handed out, before the next batch would: for a gating reader that pauses, "
     "or before "
     "another thread goes on with this one. Raises Overrun as the next batch would."},
    {"close", reader_close, METH_NOARGS,
     "close()\n\nGives the server's place back at once. What of the last batch was overwritten, unasked, counts in "
     "lost. Arrays stay readable; twice is fine. Any thread: a wait of another one ends at once, and raises "
     "Closed."},
    {"_finish", reader_finish, METH_NOARGS, NULL},
    {"fileno", reader_fileno, METH_NOARGS,
     "fileno() -> int\n\nA descriptor for select, poll and event loops, nothing else may be done with it. See "
     "arm()."},
    {"_describe", reader_describe, METH_NOARGS, NULL},
    {"_progress", reader_progress, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef reader_attributes[] = {
    {"position", get_position, NULL, "int: the next position that will be looked at", NULL},
    {"lost", get_lost, NULL, "int: frames overwritten before, or while, this reader used them, in total", NULL},
    {"epoch", get_epoch, NULL, "int: grows by one each time the ring's writer (re)starts", NULL},
    {"closed", get_closed, NULL, "bool: after close(), and in a child of fork()", NULL},
    {"gaps", get_gaps, NULL, "tuple of Gap: come since the last batch, with no frame behind them yet", NULL},
    {"_state", get_state, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMemberDef reader_members[] = {
    {"max_frames", T_UINT, offsetof(struct reader_object, max_frames), READONLY, "int: most frames of a batch"},
    {"_max_frames", T_UINT, offsetof(struct reader_object, max_frames), 0, NULL},
    {"_source", T_OBJECT_EX, offsetof(struct reader_object, source), 0, NULL},
    {"_memory", T_OBJECT_EX, offsetof(struct reader_object, memory), READONLY, NULL},
    {"_end", T_ULONGLONG, offsetof(struct reader_object, end), 0, NULL},
    {"_timeout_ns", T_LONGLONG, offsetof(struct reader_object, timeout_ns), 0, NULL},
    {"_spin_ns", T_ULONGLONG, offsetof(struct reader_object, spin_ns), 0, NULL},
    {"_counts_overruns", T_BOOL, offsetof(struct reader_object, counts_overruns), 0, NULL},
    {"_gives_gaps", T_BOOL, offsetof(struct reader_object, gives_gaps), 0, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot reader_slots[] = {{Py_tp_dealloc, reader_dealloc},
                                     {Py_tp_methods, reader_methods},
                                     {Py_tp_members, reader_members},
                                     {Py_tp_getset, reader_attributes},
                                     {Py_tp_iter, reader_iter},
                                     {Py_tp_iternext, reader_next},
                                     {0, NULL}};

static PyType_Spec reader_spec = {.name = "sluice._sluice.Reader",
                                  .basicsize = sizeof(struct reader_object),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
                                           Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                                  .slots = reader_slots};

/* empty(reader, gaps, lost): a batch of no frames, where the reader stands */
static PyObject *reader_empty(PyObject *module, PyObject *arguments)
{
    PyObject *self;
    PyObject *gaps;
    unsigned long long lost;
    (void)module;
    if (PyArg_ParseTuple(arguments, "OOK", &self, &gaps, &lost) == 0) {
        return NULL;
    }
    if (PyObject_TypeCheck(self, reader_type) == 0 || PyTuple_Size(gaps) < 0) {
        PyErr_SetString(PyExc_TypeError, "expected a Reader and a tuple of Gap");
        return NULL;
    }
    const struct reader_object *r = reader_of(self);
    struct sluice_batch none = nothing(r);
    return (PyObject *)batch_new(r->batch_class, r->memory, r->source, NULL, &none, UINT32_MAX, lost,
                                 Py_NewRef(gaps));
}

static PyMethodDef functions[] = {{"open_reader", reader_open, METH_VARARGS, NULL},
                                  {"empty", reader_empty, METH_VARARGS, NULL},
                                  {NULL, NULL, 0, NULL}};

int reader_register(PyObject *module)
{
    reader_type = module_add_type(module, &reader_spec, "Reader");
    return reader_type != NULL ? PyModule_AddFunctions(module, functions) : -1;
}
