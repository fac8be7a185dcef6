#include "daq/usher.h"
#include "ring/clock.h"

/* The time on the frame at this position, if it is still whole; else 0. */
static uint64_t stamp_at(const struct ring_view *view, uint64_t position)
{
    uint64_t tai_ns = __atomic_load_n(&ring_descriptor_at(view, position)->tai_ns, __ATOMIC_ACQUIRE);
    return ring_claimed_now(view->header) - position <= view->slot_count ? tai_ns : 0;
}

/* Where the reader stands, as far as that can be true; false: its gate has not been taken up yet. */
static bool position_of(const struct usher_ring *ring, const struct usher_reader *reader, uint64_t *position)
{
    const struct ring_lease *lease = reader->lease.segment.base;
    const struct ring_gate_status *gate = &ring->header->gate[reader->gate];
    *position = __atomic_load_n(&lease->position, __ATOMIC_ACQUIRE);
    if (reader->generation != 0) {
        if (__atomic_load_n(&gate->generation, __ATOMIC_ACQUIRE) != reader->generation) {
            return false;
        }
        *position = *position > gate->base ? *position : gate->base;
    }
    return true;
}

static void look_at(struct usher *usher, struct usher_reader *reader, uint64_t now_tai_ns)
{
    const struct usher_ring *ring = &usher->ring[reader->ring];
    struct usher_lag *lag = &reader->lag;
    uint64_t published = ring_published_now(ring->header);
    uint64_t position;
    if (!position_of(ring, reader, &position)) {
        return;
    }
    lag->frames = published > position ? published - position : 0;
    lag->ns = 0;
    if (lag->frames > 0) {
        uint64_t oldest = ring_oldest(ring_claimed_now(ring->header), ring->view.slot_count);
        uint64_t stamp_ns = stamp_at(&ring->view, position > oldest ? position : oldest);
        if (stamp_ns == 0) {
            return; /* the writer was faster: next time */
        }
        lag->ns = clock_elapsed_ns(stamp_ns, now_tai_ns);
    }
    lag->frames_max = lag->frames > lag->frames_max ? lag->frames : lag->frames_max;
    lag->ns_max = lag->ns > lag->ns_max ? lag->ns : lag->ns_max;
    hist_record(&usher->board->reader_lag[reader->ring], lag->ns);
}

uint32_t usher_look_at_lags(struct usher *usher, uint64_t monotonic_ns)
{
    uint64_t now_tai_ns = monotonic_ns + (uint64_t)usher->tai_minus_monotonic_ns;
    bool is_due = clock_elapsed_ns(usher->lags_looked_ns, monotonic_ns) >= SUPERVISOR_LAG_NS;
    uint32_t readers = 0;
    for (uint32_t i = 0; i < usher->readers_max; i++) {
        struct usher_reader *reader = &usher->reader[i];
        if (reader->fd < 0) {
            continue;
        }
        readers++;
        if (is_due) {
            look_at(usher, reader, now_tai_ns);
        }
    }
    if (is_due) {
        usher->lags_looked_ns = monotonic_ns;
        usher_tell_rest(usher, monotonic_ns);
    }
    return readers;
}
