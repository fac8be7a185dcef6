/* The control process's board: everything `sluice status` and `sluice latency` show of the interlock. Written by
 * the control loop only. And the mailbox in which sluiced leaves a command for it. */
#ifndef CONTROL_BOARD_H
#define CONTROL_BOARD_H

#include "control/engine.h"
#include "ring/board.h"
#include "ring/histogram.h"

enum control_hop {
    HOP_ARRIVAL_TO_SEEN = 0,    /* frame's stamp -> control looked at it */
    HOP_ARRIVAL_TO_DECIDED = 1, /* frame's stamp -> engine done */
    HOP_ARRIVAL_TO_OUTPUT = 2,  /* frame's stamp -> output written; only of frames whose own cycle sent something */
    HOP_LOOP = 3,               /* one cycle to the next */
    HOPS = 4
};

/* "arrival_to_seen" ..: stable keys. */
static inline const char *control_hop_name(uint32_t hop)
{
    static const char *const names[HOPS] = {"arrival_to_seen", "arrival_to_decided", "arrival_to_output", "loop"};
    return hop < HOPS ? names[hop] : "unknown";
}

struct control_board_channel {
    double value;
    uint64_t tai_ns; /* stamp of the newest sample */
    uint64_t samples;
    uint32_t quality; /* enum engine_quality */
    uint32_t reserved;
};

struct control_board_device {
    uint64_t sent;
    uint64_t errors;
    int64_t last_error; /* errno; 0: the last one went out */
    uint64_t evaluated;
};

#define CONTROL_TRIP_HISTORY 64u

struct control_board {
    struct board common;
    uint8_t pad[BOARD_BYTES - sizeof(struct board)];
    uint64_t version; /* odd while a snapshot is being written: read, look, read again */
    uint32_t state;   /* enum engine_state_code */
    uint32_t energised;
    uint64_t trips;
    uint64_t steps;
    uint64_t overruns;
    uint64_t misses; /* cycles over the budget */
    uint64_t worst_gap_ns;
    uint64_t answered_ticket;
    uint32_t answer; /* enum engine_answer */
    uint32_t cause_count;
    uint32_t first_out_count;
    uint32_t died_armed; /* by sluiced, only while no control process lives: the last one held the permit */
    struct engine_cause cause[ENGINE_CAUSES_MAX];
    struct engine_cause first_out[ENGINE_CAUSES_MAX];
    struct engine_cause trip_history[CONTROL_TRIP_HISTORY]; /* first cause of trip n at n % CONTROL_TRIP_HISTORY */
    struct control_board_channel channel[CONTROL_CHANNELS_MAX];
    struct control_board_device device[CONTROL_DEVICES_MAX];
    struct histogram hop[HOPS];
};

/* Written by sluiced only; control reads it once a cycle. One word, so that a command can never be taken with
 * another command's ticket, and one that has timed out can be withdrawn by the next word. */
struct control_mailbox {
    uint64_t word; /* ticket << 8 | enum engine_command; the ticket grows by one per command */
};

/* A consistent copy of the part in front of hop[]. 0, or -EAGAIN if the writer kept writing. Any process. */
int control_board_read(const struct control_board *board, struct control_board *copy);

#endif
