/* What a ring says of itself, as tuples: sluice/_describe.py has their fields in the same order. */
#include "tools/python/src/module.h"

#include <string.h>

#define WORD(n) ((unsigned long long)(n))

PyObject *describe_text(const char *bytes, size_t size)
{
    return PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)strnlen(bytes, size), "backslashreplace");
}
#define TEXT(field) describe_text(field, sizeof(field))

PyObject *describe_ring(const struct sluice_ring *r)
{
    return Py_BuildValue("NNKIIIIIIKKLii", TEXT(r->instance), TEXT(r->name), WORD(r->slots), r->slot_bytes,
                         r->payload_offset, r->payload_bytes, r->channels, r->streams, r->stamp,
                         WORD(r->page_bytes), WORD(r->created_tai_ns), (long long)r->tai_minus_monotonic_ns,
                         r->utc_offset_s, r->numa_node);
}

PyObject *describe_channel(const struct sluice_channel *c)
{
    return Py_BuildValue("NNIIIIIIdddd", TEXT(c->name), TEXT(c->unit), c->at_byte, c->type, c->big_endian,
                         (unsigned)c->calibration, (unsigned)c->bits, (unsigned)c->shift, c->scale, c->offset,
                         c->range_low, c->range_high);
}

PyObject *describe_stream(const struct sluice_stream *s)
{
    return Py_BuildValue("NNIII", TEXT(s->name), TEXT(s->source), s->frame_bytes, s->sequence_width_bytes,
                         s->sequence_step);
}

PyObject *describe_progress(const struct sluice_progress *p)
{
    return Py_BuildValue("KKKKKK", WORD(p->oldest), WORD(p->published), WORD(p->oldest_tai_ns),
                         WORD(p->newest_tai_ns), WORD(p->epoch), WORD(p->writer_pid));
}

/* name of each -> count */
static PyObject *counts(const uint64_t *count, uint32_t n, const char *name_of(uint32_t))
{
    PyObject *all = PyDict_New();
    for (uint32_t i = 0; all != NULL && i < n; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(count[i]);
        if (number == NULL || PyDict_SetItemString(all, name_of(i), number) != 0) {
            Py_CLEAR(all);
        }
        Py_XDECREF(number);
    }
    if (all != NULL && PyDict_DelItemString(all, "unknown") != 0) { /* reserved entries */
        PyErr_Clear();
    }
    return all;
}

PyObject *describe_ledger(const struct sluice_ledger *l)
{
    return Py_BuildValue("KKNLKKNKKKKKK", WORD(l->sent), WORD(l->delivered),
                         counts(l->lost, sizeof(l->lost) / sizeof(l->lost[0]), sluice_loss_name),
                         (long long)l->residual, WORD(l->duplicated), WORD(l->reordered),
                         counts(l->refused, sizeof(l->refused) / sizeof(l->refused[0]), sluice_refusal_name),
                         WORD(l->noise_bytes), WORD(l->gap_records), WORD(l->connects), WORD(l->disconnects),
                         WORD(l->is_open), WORD(l->bytes));
}

PyObject *describe_rate(const struct sluice_rate *r)
{
    return Py_BuildValue("ddKKKKK", r->nominal_hz, r->measured_hz, WORD(r->window_ns), WORD(r->frames),
                         WORD(r->interval_ns_min), WORD(r->interval_ns_max), WORD(r->missed));
}
