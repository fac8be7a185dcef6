/* The writer of the ring that is recorded: as fast as there is room, or at a line's rate; then what finds no room
 * is lost, as a card would lose it. */
#include <sys/prctl.h>

#include "bench/disk_rig.h"
#include "bench/net_process.h"
#include "daq/leases.h"
#include "net/payload.h"

#define BATCH    32u
#define FULL_US  50  /* while there is no room .. */
#define IDLE_US  20  /* .. until more is due .. */
#define ORDER_US 200 /* .. and until there is an order */

struct pace {
    uint64_t from_ns; /* 0: not begun */
    uint64_t offered;
    double frames_per_ns; /* 0: none */
};

/* Frames that are due, at most a batch. */
static uint32_t due(struct pace *pace, uint64_t now_ns)
{
    if (!(pace->frames_per_ns > 0)) {
        return BATCH;
    }
    if (pace->from_ns == 0) {
        pace->from_ns = now_ns;
        pace->offered = 0;
    }
    uint64_t frames = (uint64_t)((double)(now_ns - pace->from_ns) * pace->frames_per_ns);
    uint64_t more = frames > pace->offered ? frames - pace->offered : 0;
    return more < BATCH ? (uint32_t)more : BATCH;
}

/* Publishes as many as there is room for; how many. */
static uint32_t write_frames(struct disk_feed *feed, uint32_t count, uint64_t now_ns)
{
    struct ring_writer *w = feed->writer;
    uint32_t bytes = feed->path->frame_bytes;
    uint64_t tai_ns = now_ns + (uint64_t)feed->tai_offset_ns;
    uint32_t room = ring_writer_reserve_many(w, count);
    for (uint32_t i = 0; i < room; i++) {
        uint64_t number = w->next;
        payload_fill(ring_payload_at(&w->view, number), bytes, payload_base(DISK_SEED, number));
        ring_writer_commit(w, bytes, tai_ns, number, 0, 0);
    }
    ring_writer_publish(w);
    return room;
}

/* One turn; for how long it may rest now, in us. */
static long send_some(struct disk_feed *feed, struct pace *pace, uint64_t now_ns)
{
    uint32_t count = due(pace, now_ns);
    uint32_t written = count > 0 ? write_frames(feed, count, now_ns) : 0;
    pace->offered += count;
    __atomic_store_n(&feed->offered, feed->offered + count, __ATOMIC_RELAXED);
    if (pace->frames_per_ns > 0) {
        feed->dropped += count - written;
        return count < BATCH ? IDLE_US : 0;
    }
    return written == 0 ? FULL_US : 0;
}

void *disk_feed_run(void *argument)
{
    struct disk_feed *feed = argument;
    struct ring_gates *gates[1] = {feed->gates};
    struct pace pace = {.frames_per_ns = feed->path->pace / feed->path->frame_bytes / 1e9};
    uint64_t order;
    uint64_t before_ns = 0;
    prctl(PR_SET_TIMERSLACK, 1UL);
    (void)pin_to(feed->core);
    while ((order = __atomic_load_n(&feed->order, __ATOMIC_ACQUIRE)) != DISK_END) {
        uint64_t now_ns = clock_monotonic_ns();
        long rest_us = ORDER_US;
        if (ring_gates_ordered(feed->gates)) {
            leases_take(feed->leases_fd, gates, 1);
        }
        ring_writer_look(feed->writer, now_ns);
        if (order == DISK_SEND) {
            if (before_ns != 0 && now_ns - before_ns > feed->longest_ns) {
                feed->longest_ns = now_ns - before_ns;
            }
            rest_us = send_some(feed, &pace, now_ns);
        } else {
            pace.from_ns = 0;
        }
        __atomic_store_n(&feed->obeyed, order, __ATOMIC_RELEASE);
        before_ns = order == DISK_SEND ? now_ns : 0;
        if (rest_us > 0) {
            net_rest_us(rest_us);
            before_ns = order == DISK_SEND ? clock_monotonic_ns() : 0;
        }
    }
    return NULL;
}
