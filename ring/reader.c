#include "ring/reader.h"

/* No jump this large can be true: 2^62 frames take centuries. */
#define POSITION_LIMIT (UINT64_C(1) << 62)

static_assert(sizeof(struct sluice_descriptor) == sizeof(struct ring_descriptor),
              "what is installed is what is here");
static_assert(offsetof(struct sluice_descriptor, length_bytes) == offsetof(struct ring_descriptor, length_bytes) &&
                  offsetof(struct sluice_descriptor, lost_before) == offsetof(struct ring_descriptor, lost_before),
              "what is installed is what is here");

int ring_reader_attach(struct ring_reader *reader, void *base, size_t bytes, int start, struct error *err)
{
    struct ring_view view;
    int code = ring_attach(&view, base, bytes, err);
    if (code != 0) {
        return code;
    }
    uint64_t published = ring_published_now(view.header);
    uint64_t oldest = ring_oldest(ring_claimed_now(view.header), view.slot_count);
    *reader = (struct ring_reader){.view = view,
                                   .position = start == SLUICE_OLDEST && oldest < published ? oldest : published};
    return 0;
}

/* The writer is more than a ring ahead: skip to an eighth of a ring past the oldest slot, so that the next look
 * does not find itself lapped again. */
static void skip_lapped(struct ring_reader *reader, uint64_t claimed)
{
    uint64_t published = ring_published_now(reader->view.header);
    uint64_t to = claimed - reader->view.slot_count + reader->view.slot_count / 8;
    if (to > published) {
        to = published;
    }
    if (claimed > POSITION_LIMIT || published > POSITION_LIMIT || to <= reader->position) {
        reader->corrupt++;
        return;
    }
    reader->lost += to - reader->position;
    reader->position = to;
}

bool ring_reader_jumped(struct ring_reader *reader)
{
    uint64_t position = reader->position;
    uint64_t claimed = ring_claimed_now(reader->view.header);
    if (claimed - position <= reader->view.slot_count) {
        return false;
    }
    if (claimed < position) {
        reader->corrupt++;
        return false;
    }
    skip_lapped(reader, claimed);
    return reader->position != position;
}

static inline void fill_frame(const struct ring_view *view, uint64_t position, struct sluice_frame *frame)
{
    const struct ring_descriptor *d = ring_descriptor_at(view, position);
    uint64_t rest = __atomic_load_n(&d->rest, __ATOMIC_RELAXED);
    uint16_t flags = (uint16_t)(rest >> 16);
    frame->payload = ring_payload_at(view, position);
    frame->position = position;
    frame->tai_ns = __atomic_load_n(&d->tai_ns, __ATOMIC_RELAXED);
    frame->source_sequence = __atomic_load_n(&d->source_sequence, __ATOMIC_RELAXED);
    frame->length_bytes = (uint16_t)rest;
    frame->flags = flags & 0xffu;
    frame->cause = (uint16_t)(flags >> RING_FLAG_CAUSE_SHIFT);
    frame->stream = (uint16_t)(rest >> 32);
    frame->lost_before = (uint16_t)(rest >> 48);
}

int ring_reader_next(struct ring_reader *reader, struct sluice_frame *frame)
{
    const struct ring_view *view = &reader->view;
    for (int attempt = 0; attempt < RING_READER_JUMPS; attempt++) {
        uint64_t position = reader->position;
        if (ring_sequence_at(view, position) == position + 1) {
            fill_frame(view, position, frame);
            if (__builtin_expect(ring_reader_valid(reader, position), 1)) {
                if (frame->length_bytes > view->payload_bytes) {
                    reader->corrupt++;
                    return 0;
                }
                reader->position = position + 1;
                return 1;
            }
        }
        if (!ring_reader_jumped(reader)) {
            return 0;
        }
    }
    return 0;
}

uint32_t ring_reader_gate(const struct ring_reader *reader)
{
    const struct ring_gate_status *status = &reader->view.header->gate[reader->gate];
    if (reader->generation == 0 || __atomic_load_n(&status->generation, __ATOMIC_ACQUIRE) != reader->generation) {
        return RING_GATE_FREE;
    }
    uint32_t state = __atomic_load_n(&status->state, __ATOMIC_ACQUIRE);
    /* Looked at again: else the state may be that of the next reader of this gate. */
    return __atomic_load_n(&status->generation, __ATOMIC_ACQUIRE) == reader->generation ? state : RING_GATE_FREE;
}
