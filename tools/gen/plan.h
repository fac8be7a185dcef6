/* What is sent, and what is done to it: lost, doubled, reordered, late, corrupted. Pure: the same spec gives the
 * same frames on every machine, and counts[] says exactly what a receiver's ledger must show.
 *
 * One draw decides the fate of a number, and a fate is taken only where it can be told exactly afterwards:
 *   - the first and the last number are sent as they are: what is missing lies between two frames that arrive
 *     (the last ones of all may be kept back on purpose, lose_tail: only a heartbeat can tell of these);
 *   - a reordered number changes places with the next one, which is then sent as it is;
 *   - a late one is sent once a frame with a number late_by higher has gone out, which the end allows for;
 *     never two numbers in a row, because late frames in a row look like a sender that has started again.
 */
#ifndef TOOLS_GEN_PLAN_H
#define TOOLS_GEN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define PLAN_SIZES_MAX 16u
#define PLAN_LATE_MAX  4096u /* numbers that a late one can be behind */
#define PLAN_BURST_MAX 256u  /* numbers that are dealt with at once */
#define PLAN_ITEMS_MAX (4 * PLAN_BURST_MAX)
#define PLAN_ENDLESS   UINT64_MAX

enum plan_fate {
    PLAN_SENT = 0,
    PLAN_LOST = 1,
    PLAN_DUPLICATED = 2,
    PLAN_REORDERED = 3,
    PLAN_LATE = 4,
    PLAN_CORRUPTED = 5,
    PLAN_FATES = 6
};

struct plan_size {
    uint32_t bytes;
    uint32_t weight;
};

struct plan_spec {
    uint64_t seed;
    uint64_t first;           /* number */
    uint64_t count;           /* numbers, lose_tail among them; PLAN_ENDLESS: until plan_end() */
    uint64_t lose_tail;       /* of them, the last that are not sent */
    double share[PLAN_FATES]; /* of each fate but the first; together at most 1 */
    uint32_t late_by;         /* 1 .. PLAN_LATE_MAX - 1 */
    uint32_t sizes;           /* used of size[], unless file_bytes */
    struct plan_size size[PLAN_SIZES_MAX];
    const uint32_t *file_bytes; /* NULL, or the size of each frame of a recording */
    uint64_t file_frames;
};

struct plan_counts {
    uint64_t numbers; /* dealt with: what a ledger calls sent */
    uint64_t frames;  /* handed out to be sent, duplicates too */
    uint64_t bytes;   /* of these frames' payloads */
    uint64_t fate[PLAN_FATES];
};

struct plan_item {
    uint64_t number;
    uint32_t bytes; /* of the payload */
    uint32_t corrupt;
};

struct plan {
    struct plan_spec spec;
    uint64_t threshold[PLAN_FATES]; /* of the draw, cumulative */
    uint64_t weights;               /* of all sizes */
    uint64_t next;
    uint64_t last;    /* the last number that is sent; PLAN_ENDLESS */
    uint64_t highest; /* sent so that a receiver takes it */
    uint64_t paced;   /* payload bytes of all numbers dealt with, lost ones too: their time passes as well */
    bool injects;     /* any share at all */
    bool held;        /* number next - 1 waits to be sent behind next */
    uint64_t held_late[PLAN_LATE_MAX];
    uint64_t late_head, late_tail; /* ever put in, taken out */
    struct plan_counts counts;
};

void plan_init(struct plan *plan, const struct plan_spec *spec);

/* Deals with up to `numbers` (PLAN_BURST_MAX) more; how many frames are to be sent, in this order. May be none. */
uint32_t plan_take(struct plan *plan, uint32_t numbers, struct plan_item items[PLAN_ITEMS_MAX]);

/* Nothing more will come. */
bool plan_done(const struct plan *plan);

/* Ends an endless plan as soon as what is held back has been sent, which may take late_by numbers more. */
void plan_end(struct plan *plan);

/* The size of a number's payload, and a random word of its own for each (number, what for). */
uint32_t plan_bytes(const struct plan *plan, uint64_t number);
uint64_t plan_random(uint64_t seed, uint64_t number);

#endif
