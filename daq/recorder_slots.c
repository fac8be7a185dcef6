/* Whole slots, written from where the ring's writer has put them: no byte is copied, only read for the checksum.
 * The ring's memory is mapped read-only, which O_DIRECT takes; it must align, so that the first and the last few
 * frames of a piece are copied like any other. Only of a gating reader: else the slots could change under the disk.
 */
#include <errno.h>
#include <string.h>

#include "daq/recorder.h"
#include "ring/clock.h"

#define FULL_OF_4   3u /* a slot that is so many quarters full is written as it is */
#define SEEN_ENOUGH 256u
#define MOST_WRITES 8u /* in one turn */
#define PIECES      4u /* of the ring: a piece is written once it is so large, that the others are free meanwhile */

static uint32_t slots_of_unit(uint32_t slot_bytes);

bool recorder_slots_wanted(const struct recorder *r, const struct recorder_ring *ring)
{
    uint32_t slot_bytes = ring->inside->view.slot_bytes;
    uint32_t unit = slots_of_unit(slot_bytes);
    if ((uint64_t)unit * slot_bytes > r->block_bytes || unit > ring->inside->view.slot_count / PIECES) {
        return false; /* no block, or not the ring, holds what would align */
    }
    if (r->plan->gating == 0 || ring->inside->generation == 0 || r->decimates ||
        r->plan->layout == RECORDER_PACKED || ring_reader_gate(ring->inside) != RING_GATE_GATING) {
        return false;
    }
    if (r->plan->layout == RECORDER_SLOTS) {
        return true;
    }
    return ring->frames_seen >= SEEN_ENOUGH &&
           ring->bytes_seen / ring->frames_seen * 4 >= (uint64_t)ring->inside->view.slot_bytes * FULL_OF_4;
}

/* So many slots end where they began, in units of RECORD_ALIGN. */
static uint32_t slots_of_unit(uint32_t slot_bytes)
{
    uint32_t unit = RECORD_ALIGN;
    while (slot_bytes % unit != 0) {
        unit /= 2; /* slots are a multiple of 64 */
    }
    return RECORD_ALIGN / unit;
}

/* Published frames from `position` on that adjoin in memory, at most `max`. */
static uint32_t frames_there(const struct ring_reader *reader, uint64_t position, uint64_t max)
{
    uint64_t to_end = reader->view.slot_count - (position & reader->view.mask);
    uint64_t most = max < to_end ? max : to_end;
    uint32_t count = 0;
    while (count < most && ring_sequence_at(&reader->view, position + count) == position + count + 1) {
        count++;
    }
    return count;
}

static bool write_in_place(struct recorder *r, uint32_t index, uint64_t position, uint32_t count, uint64_t now_ns)
{
    struct recorder_ring *ring = &r->ring[index];
    struct recorder_write *write = recorder_disk_take(r, index, false);
    if (write == NULL) {
        ring->waiting_ns = ring->waiting_ns != 0 ? ring->waiting_ns : now_ns;
        return false;
    }
    const uint8_t *slots = (const uint8_t *)ring_descriptor_at(&ring->inside->view, position);
    write->since_ns = ring->waiting_ns != 0 ? ring->waiting_ns : now_ns;
    record_slots_lead(write->lead, &ring->source.header, slots, position, count);
    memcpy(write->lead->run, r->run.id, sizeof(write->lead->run));
    recorder_ring_owed(ring, write->lead);
    if (!recorder_disk_write(r, write, slots)) {
        if (write->overtaken) { /* the next look finds what of it is left, and tells the rest */
            recorder_ring_owe_again(ring, write->lead);
            recorder_disk_give_back(write);
            return false;
        }
        uint32_t cause = r->cause != RECORD_CAUSE_NONE ? r->cause : RECORD_CAUSE_DISK_ERROR;
        recorder_ring_lose_block(r, index, write->lead, cause);
        recorder_disk_give_back(write);
        r->failure = r->failure != 0 ? r->failure : -EIO;
        r->cause = cause;
    }
    ring->inside->position = position + count;
    ring->expected = position + count;
    ring->waiting_ns = 0;
    return true;
}

/* The frames in front of an aligned place, or those that are too few for one. */
static uint32_t copy(struct recorder *r, uint32_t index, uint32_t count, uint64_t now_ns)
{
    struct recorder_ring *ring = &r->ring[index];
    const struct ring_view *view = &ring->inside->view;
    struct sluice_batch batch = {.first = (const uint8_t *)ring_descriptor_at(view, ring->inside->position),
                                 .position = ring->inside->position,
                                 .count = count,
                                 .slot_bytes = view->slot_bytes,
                                 .payload_offset = view->payload_offset,
                                 .payload_bytes = view->payload_bytes};
    uint32_t done = recorder_ring_copy(r, index, &batch, now_ns);
    ring->inside->position = batch.position + done;
    return done;
}

uint64_t recorder_slots_take(struct recorder *r, uint32_t index, uint64_t now_ns)
{
    struct recorder_ring *ring = &r->ring[index];
    struct ring_reader *inside = ring->inside;
    uint32_t unit = slots_of_unit(inside->view.slot_bytes);
    uint64_t most = r->block_bytes / inside->view.slot_bytes / unit * unit;
    uint64_t piece = inside->view.slot_count / PIECES / unit * unit;
    uint64_t least = most / 2 < piece ? most / 2 : piece;
    uint64_t flush_ns = r->plan->sync_ns / 3;
    uint64_t taken = 0;
    for (uint32_t i = 0; i < MOST_WRITES && r->failure == 0 && most > 0; i++) {
        uint64_t position = inside->position;
        if (!ring_reader_valid(inside, position)) {
            (void)ring_reader_jumped(inside); /* demoted, and lapped */
            recorder_ring_reach(r, index, inside->position);
            return taken + 1;
        }
        uint32_t there = frames_there(inside, position, most + unit);
        uint32_t off = (uint32_t)((position & inside->view.mask) % unit);
        uint32_t aligned = there / unit * unit;
        bool to_end = there > 0 && ((position + there) & inside->view.mask) == 0;
        bool old = r->ending || (ring->waiting_ns != 0 && now_ns - ring->waiting_ns > flush_ns);
        if (there == 0) {
            break;
        }
        if (off != 0) {
            taken += copy(r, index, there < unit - off ? there : unit - off, now_ns);
            if (inside->position == position) {
                break;
            }
            continue;
        }
        aligned = aligned > most ? (uint32_t)most : aligned;
        if (aligned == 0 || (aligned < least && !to_end)) { /* small ones are wasteful: wait for more */
            if (!old) {
                ring->waiting_ns = ring->waiting_ns != 0 ? ring->waiting_ns : now_ns;
                break;
            }
            if (aligned == 0) {
                taken += copy(r, index, there, now_ns);
                ring->waiting_ns = 0;
                break;
            }
        }
        if (ring->filling != NULL && !recorder_ring_flush(r, index)) {
            break;
        }
        if (!write_in_place(r, index, position, aligned, now_ns)) {
            break;
        }
        taken += aligned;
    }
    return taken;
}
