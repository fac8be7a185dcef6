#include <errno.h>
#include <string.h>

#include "daq/recorder.h"
#include "ring/clock.h"

#define BATCH           64u /* frames copied before it is looked whether they were overwritten meanwhile */
#define TAKE_FRAMES     65536u
#define REGAIN_NS       (500 * CLOCK_NS_PER_MS)
#define CAUGHT_UP_PARTS 8u /* of the ring */

/* What of a block changes while frames are added to it: taken back if they turn out to have been overwritten. */
struct mark {
    uint64_t payload_bytes;
    uint64_t first_position;
    uint64_t end_position;
    uint64_t frames;
    uint64_t first_tai_ns;
    uint64_t last_tai_ns;
    uint64_t first_sequence;
    uint64_t last_sequence;
    uint64_t left_out;
    uint32_t gaps;
    struct record_gap last_gap;
};

static struct mark mark_of(const struct recorder_ring *ring)
{
    const struct record_block *lead = &ring->packing.lead;
    struct mark mark = {.payload_bytes = lead->payload_bytes,
                        .first_position = lead->first_position,
                        .end_position = lead->end_position,
                        .frames = lead->frames,
                        .first_tai_ns = lead->first_tai_ns,
                        .last_tai_ns = lead->last_tai_ns,
                        .first_sequence = lead->first_sequence,
                        .last_sequence = lead->last_sequence,
                        .left_out = ring->shown->missing[RECORD_CAUSE_DECIMATED],
                        .gaps = lead->gaps};
    if (lead->gaps > 0) {
        mark.last_gap = lead->gap[lead->gaps - 1];
    }
    return mark;
}

static void back_to(struct recorder_ring *ring, const struct mark *mark)
{
    struct record_block *lead = &ring->packing.lead;
    lead->payload_bytes = mark->payload_bytes;
    lead->first_position = mark->first_position;
    lead->end_position = mark->end_position;
    lead->frames = mark->frames;
    lead->first_tai_ns = mark->first_tai_ns;
    lead->last_tai_ns = mark->last_tai_ns;
    lead->first_sequence = mark->first_sequence;
    lead->last_sequence = mark->last_sequence;
    lead->gaps = mark->gaps;
    if (lead->gaps > 0) {
        lead->gap[lead->gaps - 1] = mark->last_gap;
    }
    ring->shown->missing[RECORD_CAUSE_DECIMATED] = mark->left_out;
}

void recorder_ring_owed(struct recorder_ring *ring, struct record_block *lead)
{
    for (uint32_t i = 0; i < ring->owed_count; i++) {
        (void)record_lead_gap(lead, &ring->owed[i]); /* the lead is empty, and has as many places */
    }
    ring->owed_count = 0;
}

void recorder_ring_owe_again(struct recorder_ring *ring, const struct record_block *lead)
{
    ring->owed_count = lead->gaps;
    memcpy(ring->owed, lead->gap, lead->gaps * sizeof(ring->owed[0]));
}

/* Kept in order of position. With no place left two that adjoin by position become one of the first one's cause:
 * the sum stays right, the causes get coarser. */
static void owe(struct recorder_ring *ring, const struct record_gap *gap)
{
    if (ring->owed_count == RECORD_GAPS_MAX) {
        struct record_gap *last = &ring->owed[RECORD_GAPS_MAX - 1];
        last->to_position = gap->to_position > last->to_position ? gap->to_position : last->to_position;
        last->count += gap->count;
        return;
    }
    uint32_t at = ring->owed_count++;
    for (; at > 0 && ring->owed[at - 1].from_position > gap->from_position; at--) {
        ring->owed[at] = ring->owed[at - 1];
    }
    ring->owed[at] = *gap;
}

void recorder_ring_lose(struct recorder *r, uint32_t index, uint64_t from, uint64_t to, uint32_t cause)
{
    struct recorder_ring *ring = &r->ring[index];
    if (to <= from) {
        return;
    }
    struct record_gap gap = {.from_position = from,
                             .to_position = to,
                             .count = to - from,
                             .tai_ns = clock_tai_ns(ring->source.header.tai_minus_monotonic_ns),
                             .cause = cause};
    struct record_gap *last = ring->owed_count > 0 ? &ring->owed[ring->owed_count - 1] : NULL;
    ring->shown->missing[cause] += gap.count;
    if (last != NULL && last->cause == cause && last->to_position == from) {
        last->to_position = to;
        last->count += gap.count;
    } else {
        owe(ring, &gap);
    }
}

/* Why frames were overwritten before we came to them. */
static uint32_t cause_of_loss(const struct recorder *r, const struct recorder_ring *ring)
{
    if (r->cause != RECORD_CAUSE_NONE) {
        return r->cause;
    }
    if (ring->filling == NULL && ring->waiting_ns != 0) {
        return RECORD_CAUSE_DISK_SLOW;
    }
    return r->plan->gating != 0 ? RECORD_CAUSE_DEMOTED : RECORD_CAUSE_OVERWRITTEN;
}

void recorder_ring_reach(struct recorder *r, uint32_t index, uint64_t position)
{
    struct recorder_ring *ring = &r->ring[index];
    if (position > ring->expected) {
        recorder_ring_lose(r, index, ring->expected, position, cause_of_loss(r, ring));
        ring->expected = position;
    }
}

void recorder_ring_release(struct recorder *r, uint32_t index)
{
    struct recorder_ring *ring = &r->ring[index];
    if (ring->inside == NULL || ring->inside->lease == NULL) {
        return;
    }
    uint64_t position = ring->inside->position;
    for (uint32_t i = r->writes - RECORDER_LEADS; i < r->writes; i++) {
        const struct recorder_write *write = &r->write[i];
        if (write->busy && write->ring == index && write->lead->first_position < position) {
            position = write->lead->first_position;
        }
    }
    __atomic_store_n(&ring->inside->lease->lost, ring->inside->lost, __ATOMIC_RELAXED);
    __atomic_store_n(&ring->inside->lease->position, position, __ATOMIC_RELEASE);
}

static bool begin_filling(struct recorder *r, uint32_t index, uint64_t now_ns)
{
    struct recorder_ring *ring = &r->ring[index];
    ring->filling = recorder_disk_take(r, index, true);
    if (ring->filling == NULL) {
        ring->waiting_ns = ring->waiting_ns != 0 ? ring->waiting_ns : now_ns;
        return false;
    }
    ring->waiting_ns = 0;
    ring->filling->since_ns = now_ns;
    ring->packing = (struct record_packing){.payload = ring->filling->payload, .room = r->block_bytes};
    record_packing_begin(&ring->packing, r->run.id, ring->next_number, ring->expected);
    recorder_ring_owed(ring, &ring->packing.lead);
    return true;
}

bool recorder_ring_flush(struct recorder *r, uint32_t index)
{
    struct recorder_ring *ring = &r->ring[index];
    struct recorder_write *write = ring->filling;
    if (write == NULL) {
        return true;
    }
    ring->filling = NULL;
    if (ring->packing.lead.frames == 0 && ring->packing.lead.gaps == 0) {
        recorder_disk_give_back(write);
        return true;
    }
    *write->lead = ring->packing.lead;
    if (!recorder_disk_write(r, write, write->payload)) {
        uint32_t cause = r->cause != RECORD_CAUSE_NONE ? r->cause : RECORD_CAUSE_DISK_ERROR;
        ring->filling = write;
        recorder_ring_drop_filling(r, index, cause);
        r->failure = r->failure != 0 ? r->failure : -EIO;
        r->cause = cause;
        return false;
    }
    return true;
}

/* What it told as missing is told again; what was left out on purpose of it is simply lost with the rest. */
void recorder_ring_lose_block(struct recorder *r, uint32_t index, const struct record_block *lead, uint32_t cause)
{
    struct recorder_ring *ring = &r->ring[index];
    uint64_t from = lead->frames > 0 ? lead->first_position : lead->end_position;
    for (uint32_t i = 0; i < lead->gaps && i < RECORD_GAPS_MAX; i++) {
        const struct record_gap *gap = &lead->gap[i];
        ring->shown->missing[gap->cause] -= gap->count;
        if (gap->cause != RECORD_CAUSE_DECIMATED) {
            recorder_ring_lose(r, index, gap->from_position, gap->to_position, gap->cause);
        } else if (gap->from_position < from) {
            from = gap->from_position;
        }
    }
    recorder_ring_lose(r, index, from, lead->end_position, cause);
}

void recorder_ring_drop_filling(struct recorder *r, uint32_t index, uint32_t cause)
{
    struct recorder_ring *ring = &r->ring[index];
    struct recorder_write *write = ring->filling;
    if (write != NULL) {
        ring->filling = NULL;
        recorder_disk_give_back(write);
        recorder_ring_lose_block(r, index, &ring->packing.lead, cause);
    }
}

/* One frame of `decimate` is kept while there is too little room; the ring's own gap records always are. */
static bool is_left_out(struct recorder *r, struct recorder_ring *ring, const struct ring_descriptor *descriptor)
{
    if (!r->decimates || (descriptor->flags & RING_FLAG_GAP) != 0) {
        return false;
    }
    return ring->decimator++ % r->plan->decimate != 0;
}

static bool leave_out(struct recorder_ring *ring, uint64_t position, uint64_t tai_ns)
{
    struct record_gap gap = {.from_position = position,
                             .to_position = position + 1,
                             .count = 1,
                             .tai_ns = tai_ns,
                             .cause = RECORD_CAUSE_DECIMATED};
    return record_lead_gap(&ring->packing.lead, &gap);
}

/* Adds one frame to the block that is being filled, ends that and begins the next if need be. False: no memory. */
static bool add_frame(struct recorder *r, uint32_t index, const struct ring_descriptor *descriptor,
                      const uint8_t *payload, uint64_t now_ns)
{
    struct recorder_ring *ring = &r->ring[index];
    bool left_out = is_left_out(r, ring, descriptor);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (ring->filling == NULL && !begin_filling(r, index, now_ns)) {
            ring->decimator -= r->decimates && (descriptor->flags & RING_FLAG_GAP) == 0; /* it is asked again */
            return false;
        }
        if (left_out) {
            if (leave_out(ring, descriptor->sequence - 1, descriptor->tai_ns)) {
                ring->shown->missing[RECORD_CAUSE_DECIMATED]++;
                return true;
            }
        } else if (record_packing_add(&ring->packing, descriptor, payload)) {
            return true;
        }
        if (!recorder_ring_flush(r, index)) {
            return false;
        }
    }
    return false;
}

/* Frames of a batch; those that turn out to have been overwritten are not in it. How many were taken, also those
 * that are lost; fewer than there are: there was no memory. */
uint32_t recorder_ring_copy(struct recorder *r, uint32_t index, const struct sluice_batch *batch, uint64_t now_ns)
{
    struct recorder_ring *ring = &r->ring[index];
    uint32_t done = 0;
    while (done < batch->count && r->failure == 0) {
        if (ring->owed_count > 0 && ring->filling != NULL && !recorder_ring_flush(r, index)) {
            return done;
        }
        if (ring->filling == NULL && !begin_filling(r, index, now_ns)) {
            return done;
        }
        struct recorder_write *into = ring->filling;
        struct mark mark = mark_of(ring);
        uint32_t begin = done;
        uint64_t bytes = 0;
        while (done < batch->count && done - begin < BATCH) {
            struct ring_descriptor descriptor;
            memcpy(&descriptor, sluice_batch_descriptor(batch, done), sizeof(descriptor));
            descriptor.sequence = batch->position + done + 1;
            descriptor.length_bytes = (uint16_t)sluice_batch_length(batch, done);
            bool fits = ring->packing.lead.payload_bytes + record_packed_bytes(descriptor.length_bytes) <=
                            ring->packing.room &&
                        ring->packing.lead.gaps < RECORD_GAPS_MAX;
            if (!fits && done > begin) {
                break; /* first look at what is in this block, for it will be gone */
            }
            if (!add_frame(r, index, &descriptor, sluice_batch_payload(batch, done), now_ns)) {
                break;
            }
            done++;
            bytes += descriptor.length_bytes;
            if (ring->filling != into) { /* it was the first of a new block */
                into = ring->filling;
                mark = (struct mark){.first_position = ring->expected,
                                     .end_position = ring->expected,
                                     .left_out = ring->shown->missing[RECORD_CAUSE_DECIMATED]};
                break;
            }
        }
        struct sluice_batch looked = *batch;
        looked.first += (size_t)begin * batch->slot_bytes;
        looked.position += begin;
        looked.count = done - begin;
        uint32_t gone = ring_reader_overwritten(ring->inside, &looked);
        if (gone > 0) { /* all of these once more, without the first */
            back_to(ring, &mark);
            recorder_ring_reach(r, index, looked.position + gone);
            done = begin + gone;
            continue;
        }
        if (looked.count == 0) {
            return done;
        }
        ring->expected = looked.position + looked.count;
        ring->frames_seen += looked.count;
        ring->bytes_seen += bytes + looked.count * sizeof(struct ring_descriptor);
    }
    return done;
}

static uint64_t take_copied(struct recorder *r, uint32_t index, uint64_t now_ns)
{
    struct recorder_ring *ring = &r->ring[index];
    uint64_t taken = 0;
    struct sluice_batch batch;
    while (taken < TAKE_FRAMES && ring_reader_batch(ring->inside, 4 * BATCH, &batch) > 0) {
        recorder_ring_reach(r, index, batch.position);
        uint32_t done = recorder_ring_copy(r, index, &batch, now_ns);
        taken += done;
        if (done < batch.count) { /* the rest when there is memory: it stays in the ring */
            ring->inside->position = batch.position + done;
            break;
        }
    }
    return taken;
}

static bool writes_in_place(const struct recorder *r, uint32_t index)
{
    for (uint32_t i = r->writes - RECORDER_LEADS; i < r->writes; i++) {
        if (r->write[i].busy && r->write[i].ring == index) {
            return true;
        }
    }
    return false;
}

static int attach(struct recorder *r, uint32_t index, struct sluice_options *options, struct sluice_reader **reader,
                  struct error *err)
{
    char text[ERROR_TEXT_BYTES];
    options->bytes = sizeof(*options);
    options->mode = r->plan->gating != 0 ? SLUICE_GATING : SLUICE_OBSERVER;
    int code =
        sluice_attach_with(reader, r->plan->instance, r->ring[index].shown->name, options, text, sizeof(text));
    return code == 0 ? 0 : error_set(err, code, "cannot read ring %s: %s", r->ring[index].shown->name, text);
}

static void point_at_tables(struct recorder_ring *ring)
{
    struct sluice_inside inside = ring_inside(ring->reader);
    ring->inside = inside.reader;
    ring->source.channel = inside.channel;
    ring->source.number = inside.number;
    ring->source.stream = inside.stream;
}

/* It was demoted, or shown out: once it has caught up it asks to be waited for again. What lies in the old reader's
 * mapping must not be under way. */
static void regain(struct recorder *r, uint32_t index, uint64_t now_ns)
{
    struct recorder_ring *ring = &r->ring[index];
    struct sluice_reader *reader = NULL;
    struct error err = {{0}};
    bool caught_up = ring->shown->lag_frames <= ring->inside->view.slot_count / CAUGHT_UP_PARTS;
    if (r->plan->gating == 0 || ring->shown->gating != 0 || !caught_up || now_ns < ring->regain_ns ||
        writes_in_place(r, index)) {
        return;
    }
    ring->regain_ns = now_ns + REGAIN_NS;
    struct sluice_options options = {.start = SLUICE_AT_POSITION, .at = ring->inside->position};
    if (attach(r, index, &options, &reader, &err) != 0) {
        return; /* as an observer it goes on */
    }
    sluice_detach(ring->reader);
    ring->reader = reader;
    point_at_tables(ring);
    recorder_ring_reach(r, index, ring->inside->position);
}

uint64_t recorder_ring_take(struct recorder *r, uint32_t index, uint64_t now_ns)
{
    struct recorder_ring *ring = &r->ring[index];
    struct recorder_ring_board *shown = ring->shown;
    uint64_t taken =
        recorder_slots_wanted(r, ring) ? recorder_slots_take(r, index, now_ns) : take_copied(r, index, now_ns);
    uint64_t published = ring_published_now(ring->inside->view.header);
    shown->position = ring->inside->position;
    shown->lag_frames = published > shown->position ? published - shown->position : 0;
    shown->lag_frames_max = shown->lag_frames > shown->lag_frames_max ? shown->lag_frames : shown->lag_frames_max;
    shown->gating = ring->inside->generation != 0 && ring_reader_gate(ring->inside) == RING_GATE_GATING;
    recorder_ring_release(r, index);
    regain(r, index, now_ns);
    return taken;
}

static void describe(struct recorder *r, struct recorder_ring *ring)
{
    const struct ring_identity *id = ring_inside(ring->reader).identity;
    struct record_file_header *header = &ring->source.header;
    *header = (struct record_file_header){.stripes = r->plan->directories,
                                          .channels = id->channels,
                                          .numbers = id->numbers,
                                          .streams = id->streams,
                                          .stamp = id->stamp,
                                          .utc_offset_s = id->utc_offset_s,
                                          .slot_bytes = id->slot_bytes,
                                          .payload_offset = id->payload_offset,
                                          .payload_bytes = id->slot_bytes - id->payload_offset,
                                          .slots = id->slots,
                                          .tai_minus_monotonic_ns = id->tai_minus_monotonic_ns,
                                          .created_tai_ns = id->created_tai_ns,
                                          .config_bytes = (uint32_t)r->plan->config_bytes};
    memcpy(header->run, r->run.id, sizeof(header->run));
    memcpy(header->instance, id->instance, sizeof(header->instance));
    memcpy(header->ring, id->name, sizeof(header->ring));
    memcpy(header->recorder, r->plan->name, sizeof(header->recorder));
    ring->source.config = r->config;
}

/* Whether it is the ring that the run before was of: after a restart of the server positions begin anew. */
static bool is_same_ring(const struct recorder_ring *ring)
{
    const struct ring_identity *id = ring_inside(ring->reader).identity;
    return id->created_tai_ns == ring->source.header.created_tai_ns;
}

int recorder_ring_attach(struct recorder *r, uint32_t index, uint64_t from_ns, uint64_t from_position,
                         struct error *err)
{
    struct recorder_ring *ring = &r->ring[index];
    bool by_position = from_position != UINT64_MAX;
    struct sluice_options options = {.start = by_position ? SLUICE_AT_POSITION : SLUICE_NEWEST,
                                     .at = from_position};
    ring->reader = NULL;
    ring->inside = NULL;
    int code = attach(r, index, &options, &ring->reader, err);
    if (code != 0) {
        return code;
    }
    point_at_tables(ring);
    if (by_position && !is_same_ring(ring)) {
        by_position = false;
        ring->owed_count = 0;
        (void)sluice_reader_seek(ring->reader, SLUICE_NEWEST, 0);
    }
    if (!by_position && from_ns != 0 && r->plan->gating == 0) {
        uint64_t tai_ns = from_ns + (uint64_t)ring_inside(ring->reader).identity->tai_minus_monotonic_ns;
        (void)sluice_reader_seek(ring->reader, SLUICE_AT_TIME, tai_ns);
        r->run.from_tai_ns = tai_ns;
    }
    ring->expected = by_position ? from_position : ring->inside->position;
    if (by_position) { /* what is no longer there is missing */
        (void)ring_reader_jumped(ring->inside);
        recorder_ring_reach(r, index, ring->inside->position);
    }
    ring->waiting_ns = 0;
    ring->decimator = 0;
    ring->totals = (struct record_totals){.began = *ring_inside(ring->reader).ledger};
    describe(r, ring);
    return 0;
}

void recorder_ring_detach(struct recorder_ring *ring)
{
    sluice_detach(ring->reader);
    ring->reader = NULL;
    ring->inside = NULL;
}
