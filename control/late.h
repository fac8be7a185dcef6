/* The log of what was late: decisions, and the loop itself. All beyond their limit, and the worst of every second
 * beside them, so that there is always something to ask `sluice why` about. Written by the control loop only; a
 * line of it costs nothing but a comparison as long as nothing is late. Hot (HOT_SOURCES).
 */
#ifndef CONTROL_LATE_H
#define CONTROL_LATE_H

#include <stdint.h>

#define LATE_ENTRIES 1024u /* a power of two */

enum late_kind {
    LATE_DECISION = 0, /* from the frame's stamp to the decision */
    LATE_LOOP = 1,     /* from one cycle of the loop to the next */
    LATE_KINDS = 2
};

struct late_entry {
    uint64_t from_ns;  /* CLOCK_MONOTONIC */
    uint64_t to_ns;    /* never before from_ns */
    uint64_t position; /* of the frame in its ring; 0 of the loop */
    uint64_t limit_ns; /* what it was held against */
    uint32_t ring;
    uint16_t kind;   /* enum late_kind */
    uint16_t over;   /* 1: beyond limit_ns; 0: only the worst of its second */
    uint32_t frames; /* that the loop took in this time: its own work */
    uint32_t reserved;
};

/* Entry n at n % LATE_ENTRIES; `count` is stored last (release), a reader checks after copying that count - n is
 * still below LATE_ENTRIES. */
struct late_log {
    uint64_t count;
    uint64_t reserved[7];
    struct late_entry entry[LATE_ENTRIES];
};

/* The loop's own. */
struct late_watch {
    struct late_log *log; /* NULL: nothing is logged */
    uint64_t limit_ns[LATE_KINDS];
    uint64_t floor_ns[LATE_KINDS]; /* what is not longer is neither late nor the worst so far */
    struct late_entry worst[LATE_KINDS];
    uint64_t second_ends_ns;
};

/* Cold. log may be NULL. */
void late_init(struct late_watch *watch, struct late_log *log, uint64_t decision_limit_ns, uint64_t loop_limit_ns);

/* What late_look does in the seldom case. */
void late_note(struct late_watch *watch, enum late_kind kind, struct late_entry entry);

/* The second may be over: its worst are logged. Once a cycle. */
void late_turn(struct late_watch *watch, uint64_t now_ns);

static inline void late_look(struct late_watch *watch, enum late_kind kind, uint64_t from_ns, uint64_t to_ns,
                             uint32_t frames, uint32_t ring, uint64_t position)
{
    if (__builtin_expect(to_ns > from_ns && to_ns - from_ns > watch->floor_ns[kind], 0)) {
        late_note(watch, kind,
                  (struct late_entry){.from_ns = from_ns,
                                      .to_ns = to_ns,
                                      .position = position,
                                      .frames = frames,
                                      .ring = ring,
                                      .kind = (uint16_t)kind});
    }
}

#endif
