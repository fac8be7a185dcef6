#include "daq/recording_source.h"

#include <string.h>
#include <unistd.h>

#include "ring/clock.h"

#define FRAMES_A_ROUND 1024u
#define RING_PART      4u
#define BYTES_A_ROUND  (1u << 20)
#define BLOCKED_NS     (200 * CLOCK_NS_PER_US) /* until a gating reader is asked again */

int recording_init(struct recording_source *source, const struct source_plan *plan, struct ring_writer *writer,
                   struct uring *uring, struct recording_start *start, uint64_t user, struct error *err)
{
    double speed = plan->recording.speed;
    *source = (struct recording_source){.plan = plan,
                                        .writer = writer,
                                        .uring = uring,
                                        .user = user,
                                        .start = start,
                                        .slower = speed > 0 ? 1.0 / speed : 0,
                                        .wakes_ns = UINT64_MAX};
    if (plan->recording.ring[0] == 0) {
        source->finished = true;
        return 0;
    }
    source->starts = true;
    start->sources++;
    return recording_reader_start(&source->reader, plan, &writer->view, err);
}

void recording_fini(struct recording_source *source)
{
    if (source->starts) {
        recording_reader_stop(&source->reader);
        source->starts = false;
    }
}

void recording_arm(struct recording_source *source)
{
    if (!source->finished && !source->waiting) {
        source->waiting =
            uring_read(source->uring, source->reader.wake_fd, &source->woken, sizeof(source->woken), source->user);
    }
}

void recording_complete(struct recording_source *source)
{
    source->waiting = false;
}

static void set_ready(struct recording_source *s)
{
    s->start->ready += !s->ready;
    s->ready = true;
}

/* True once all the worker's recordings can begin; the first that sees it says when that was. */
static bool has_begun(struct recording_source *s, uint64_t monotonic_ns, uint64_t tai_ns)
{
    if (s->start->monotonic_ns == 0 && s->start->ready == s->start->sources) {
        s->start->monotonic_ns = monotonic_ns;
        s->start->tai_ns = tai_ns;
    }
    return s->start->monotonic_ns != 0;
}

static void show_open(struct recording_source *s, bool open, uint32_t error)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    ring_count_set(&ledger->open_errno, error);
    if (open && ring_count_read(&ledger->is_open) == 0) {
        ring_count_add(&ledger->connects, 1);
        ring_count_set(&ledger->is_open, 1);
    } else if (!open && ring_count_read(&ledger->is_open) != 0) {
        ring_count_add(&ledger->disconnects, 1);
        ring_count_set(&ledger->is_open, 0);
    }
}

/* Those that it is to wait for are there: they get all of it. */
static bool has_readers(const struct recording_source *s)
{
    const struct ring_gates *gates = s->writer->gates;
    return s->plan->recording.wait_readers == 0 ||
           (gates != NULL && gates->gating >= s->plan->recording.wait_readers);
}

/* The batch that is being played; NULL: the reader is still at it, or there will be none any more. */
static struct recording_batch *batch_of(struct recording_source *s)
{
    struct recording_batch *batch = &s->reader.batch[s->next];
    if (s->finished || __atomic_load_n(&batch->state, __ATOMIC_ACQUIRE) != RECORDING_FULL) {
        return NULL;
    }
    if (!s->ready && has_readers(s)) {
        show_open(s, batch->error == 0, batch->error);
        set_ready(s);
    }
    return batch;
}

static void give_back(struct recording_source *s, struct recording_batch *batch)
{
    const uint64_t one = 1;
    if (batch->last) {
        show_open(s, false, batch->error);
        s->finished = true;
    }
    s->next = (s->next + 1) % RECORDING_BATCHES;
    s->at = 0;
    __atomic_store_n(&batch->state, RECORDING_EMPTY, __ATOMIC_RELEASE);
    (void)!write(s->reader.room_fd, &one, sizeof(one));
}

/* Since the begin of the play, at its speed. */
static uint64_t scaled(const struct recording_source *s, uint64_t ns)
{
    return s->slower == 1.0 ? ns : (uint64_t)((double)ns * s->slower);
}

/* A frame's stamp as it is played: never later than now. */
static uint64_t stamp_of(const struct recording_source *s, const struct recording_frame *frame, uint64_t tai_ns)
{
    if (s->plan->recording.stamps == RECORDING_STAMPS_ORIGINAL) {
        return frame->tai_ns;
    }
    uint64_t moved_ns = s->slower > 0 ? s->start->tai_ns + scaled(s, frame->due_ns) : tai_ns;
    return moved_ns < tai_ns ? moved_ns : tai_ns;
}

/* One that had been written off has come after all. */
static void find_again(struct ring_ledger *ledger)
{
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        uint64_t lost = ring_count_read(&ledger->lost[cause]);
        if (lost > 0 && cause != RING_LOSS_LATE) {
            ring_count_set(&ledger->lost[cause], lost - 1);
            return;
        }
    }
    ring_count_add(&ledger->sent, 1);
}

static void account(struct ring_ledger *ledger, const struct recording_frame *frame)
{
    if (frame->lost > 0) {
        ring_count_add(&ledger->lost[frame->lost_cause % RING_LOSSES], frame->lost);
        ring_count_add(&ledger->sent, frame->lost);
    }
    if ((frame->flags & RING_FLAG_GAP) != 0) {
        ring_count_add(&ledger->gap_records, 1);
        return;
    }
    ring_count_add(&ledger->bytes, frame->length_bytes);
    if ((frame->flags & RING_FLAG_DUPLICATE) != 0) {
        ring_count_add(&ledger->duplicated, 1);
        return;
    }
    if ((frame->flags & RING_FLAG_REORDERED) != 0) {
        ring_count_add(&ledger->reordered, 1);
        find_again(ledger);
    } else {
        ring_count_add(&ledger->sent, 1);
    }
    ring_count_add(&ledger->delivered, 1);
}

/* As it was recorded: ring_writer_commit knows of one stream only. */
static void commit(struct recording_source *s, const struct recording_frame *frame, uint64_t tai_ns)
{
    struct ring_descriptor *d = ring_descriptor_at(&s->writer->view, s->writer->next);
    ring_writer_commit(s->writer, frame->length_bytes, tai_ns, frame->source_sequence, frame->flags,
                       frame->lost_before);
    __atomic_store_n(&d->rest, ring_pack_rest(frame->length_bytes, frame->flags, frame->stream, frame->lost_before),
                     __ATOMIC_RELAXED);
}

/* False: there is no slot for it. */
static bool put(struct recording_source *s, const struct recording_frame *frame, const uint8_t *payload,
                uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    uint64_t stamp_ns = stamp_of(s, frame, tai_ns);
    uint8_t *to = ring_writer_reserve(s->writer);
    if (to == NULL) {
        return false;
    }
    if (frame->length_bytes > s->writer->view.payload_bytes) { /* recorded of a ring with larger slots */
        ring_count_add(&ledger->sent, 1);
        ring_count_add(&ledger->lost[RING_LOSS_TRUNCATED], 1);
        ring_count_add(&ledger->refused[RING_REFUSED_LONG], 1);
        return ring_writer_commit_gap(s->writer, RING_LOSS_TRUNCATED, 1, 0, stamp_ns);
    }
    memcpy(to, payload, frame->length_bytes);
    commit(s, frame, stamp_ns);
    account(ledger, frame);
    return true;
}

/* Puts the batch's next frame into the ring if it is due. False: not yet, and wakes_ns says when. */
static bool take_one(struct recording_source *s, const struct recording_batch *batch, uint64_t monotonic_ns,
                     uint64_t tai_ns)
{
    struct recording_frame frame;
    memcpy(&frame, batch->data + s->at, sizeof(frame));
    uint64_t due_ns = s->start->monotonic_ns + (s->slower > 0 ? scaled(s, frame.due_ns) : 0);
    if (monotonic_ns < due_ns) {
        s->wakes_ns = due_ns;
        return false;
    }
    if (!put(s, &frame, batch->data + s->at + sizeof(frame), tai_ns)) {
        s->wakes_ns = monotonic_ns + BLOCKED_NS;
        return false;
    }
    s->at += (uint32_t)sizeof(frame) + (frame.length_bytes + 7u) / 8u * 8u;
    return true;
}

uint32_t recording_take(struct recording_source *source, uint64_t monotonic_ns, uint64_t tai_ns, bool *more)
{
    struct recording_source *s = source;
    struct recording_batch *batch = batch_of(s);
    uint64_t part = s->writer->view.slot_count / RING_PART; /* what is not published yet fits (ring/writer.h) */
    uint32_t most = part < FRAMES_A_ROUND ? (uint32_t)part : FRAMES_A_ROUND;
    uint32_t bytes = 0;
    uint32_t frames = 0;
    *more = false;
    s->wakes_ns = UINT64_MAX;
    if (batch == NULL || !has_begun(s, monotonic_ns, tai_ns)) {
        return 0;
    }
    for (;;) {
        uint32_t from = s->at;
        if (s->at >= batch->bytes) {
            give_back(s, batch);
            batch = batch_of(s);
            if (batch == NULL) {
                break;
            }
            continue;
        }
        if (frames >= most || bytes >= BYTES_A_ROUND) {
            *more = true;
            break;
        }
        if (!take_one(s, batch, monotonic_ns, tai_ns)) {
            break;
        }
        bytes += s->at - from;
        frames++;
    }
    ring_writer_publish_timed(s->writer, tai_ns);
    return frames;
}
