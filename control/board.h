/* The control process's board: everything `sluice status` and `sluice latency` show of the interlock. Written by
 * the control loop only. And the mailbox in which sluiced leaves a command for it. */
#ifndef CONTROL_BOARD_H
#define CONTROL_BOARD_H

#include "control/engine.h"
#include "control/late.h"
#include "ring/board.h"
#include "ring/histogram.h"

enum control_hop {
    HOP_ARRIVAL_TO_SEEN = 0,    /* frame's stamp -> control looked at it */
    HOP_ARRIVAL_TO_DECIDED = 1, /* frame's stamp -> engine done */
    HOP_ARRIVAL_TO_OUTPUT = 2,  /* frame's stamp -> output written; only of frames whose own cycle sent something */
    HOP_LOOP = 3,               /* one cycle to the next */
    HOP_PUBLISH_TO_SEEN = 4,    /* visible in the ring -> control looked at it; of a ring's newest frame, if its
                                   writer tells when (ring_newest_ns) */
    HOP_SEEN_TO_DECIDED = 5,    /* exactly what arrival_to_decided has more than arrival_to_seen */
    HOP_DECIDED_TO_OUTPUT = 6,  /* engine done -> output written; of the frames of arrival_to_output */
    HOP_BUSY = 7,               /* a cycle that found a frame or a command, without the idling */
    HOPS = 8
};

/* "arrival_to_seen" ..: stable keys. */
static inline const char *control_hop_name(uint32_t hop)
{
    static const char *const names[HOPS] = {"arrival_to_seen", "arrival_to_decided", "arrival_to_output", "loop",
                                            "publish_to_seen", "seen_to_decided",    "decided_to_output", "busy"};
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
#define CONTROL_EVENTS       512u
#define CONTROL_LOOP_HISTORY 4096u

/* What `sluice status` shows of a rule, as of the snapshot. */
struct control_board_rule {
    double measure;
    uint64_t demands;
    uint64_t bypass_until_ns;
    uint64_t shelved_until_ns;
    uint32_t truth; /* enum engine_truth */
    uint32_t why;   /* enum engine_cause_kind */
    uint32_t alarm; /* enum alarm_state */
    uint32_t reserved;
};

/* The whole engine as it was between two steps: from one of these and the journal on, a replay decides what the
 * live interlock decided. Two of them are written in turn; `number` is stored before (odd) and after (even)
 * writing. */
struct control_checkpoint {
    uint64_t number;
    uint64_t journal; /* entries of the journal that were written before it */
    uint64_t tai_ns;
    struct engine_inputs inputs;
    struct engine_state state;
};

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
    uint32_t demand_count; /* of the causes, the first so many trip an armed interlock */
    uint32_t first_out_count;
    uint32_t died_armed; /* by sluiced, only while no control process lives: the last one held the permit */
    uint32_t latched;    /* outputs tripped by rules that name only some */
    uint32_t held;       /* outputs held safe by a rule */
    uint32_t bypasses;
    uint32_t gate_missing; /* required checks that do not pass now */
    uint32_t gate_passed;
    uint64_t last_miss_ns; /* monotonic; 0: none yet */
    uint64_t heartbeats;   /* toggles of heartbeat outputs so far */
    struct engine_test test;
    struct engine_cause cause[ENGINE_CAUSES_MAX];
    struct engine_cause first_out[ENGINE_CAUSES_MAX];
    struct engine_cause trip_history[CONTROL_TRIP_HISTORY]; /* first cause of trip n at n % CONTROL_TRIP_HISTORY */
    struct control_board_channel channel[CONTROL_CHANNELS_MAX];
    struct control_board_device device[CONTROL_DEVICES_MAX];
    struct control_board_rule rule[CONTROL_RULES_MAX];
    uint32_t position[CONTROL_OUTPUTS_MAX]; /* enum output_position */
    struct histogram hop[HOPS];
    /* Event n at n % CONTROL_EVENTS; `events` is stored last (release). */
    uint64_t events;
    uint64_t events_lost; /* that did not fit into their step */
    struct engine_event event[CONTROL_EVENTS];
    /* Longest gap of the loop in each board period (about 1 ms); entry n at n % CONTROL_LOOP_HISTORY. */
    uint64_t loop_periods;
    uint32_t loop_max_ns[CONTROL_LOOP_HISTORY];
    struct late_log late;
    struct control_checkpoint checkpoint[2];
};

/* A command's operands; entry ticket % CONTROL_OPERANDS is written before the word with that ticket. */
#define CONTROL_OPERANDS 4u
struct control_operand {
    uint64_t ticket;
    uint64_t duration_ns;
    uint32_t index;
    uint32_t reserved;
};

/* Written by sluiced only; control reads it once a cycle. One word, so that a command can never be taken with
 * another command's ticket, and one that has timed out can be withdrawn by the next word. */
#define MAILBOX_COMMAND_BITS  16u
#define MAILBOX_COMMAND_MASK  UINT64_C(0xffff)
#define MAILBOX_GATE_BITS     16u
#define MAILBOX_WORKERS_FRESH UINT64_C(0x8000) /* in the gate word: every worker runs and has been heard */
static_assert((MAILBOX_WORKERS_FRESH & GATE_ALL) == 0 &&
                  (MAILBOX_WORKERS_FRESH | GATE_ALL) >> MAILBOX_GATE_BITS == 0,
              "the gate word's low bits hold every check, and this one");
struct control_mailbox {
    uint64_t word; /* ticket << 16 | enum engine_command; the ticket grows by one per command */
    /* What sluiced knows of the arming gate: gate_ns << 16 | mask of enum gate_check that pass, gate_ns being the
     * monotonic time of the look in ns / 65536. Control does not believe one that is older than a second. */
    uint64_t gate;
    struct control_operand operand[CONTROL_OPERANDS];
};

/* The journal: every engine step that a replay needs, one writer (the control loop), any reader. Entry n at
 * n % CONTROL_JOURNAL; `count` is stored last (release), a reader checks after copying that count - n <=
 * CONTROL_JOURNAL
 * - 64. */
#define CONTROL_JOURNAL       8192u
#define CONTROL_JOURNAL_MAGIC UINT64_C(0x314e524a434c53) /* "SLCJRN1" */

/* What the step was taken for. */
enum journal_kind {
    JOURNAL_IDLE = 0,    /* nothing new but the time */
    JOURNAL_FRAME = 1,   /* WATCH_FRAME of a ring: `position` */
    JOURNAL_GAP = 2,     /* WATCH_GAP: decoded nothing; spoiled with `cause` if that is not 0 */
    JOURNAL_OVERRUN = 3, /* WATCH_OVERRUN: spoiled with `cause` */
    JOURNAL_COMMAND = 4, /* the mailbox */
    JOURNAL_DEADLINE = 5 /* the loop saw its own stall within a cycle */
};

struct journal_entry {
    uint64_t now_ns; /* TAI, of the step */
    uint64_t position;
    uint64_t command_ns;
    uint32_t command;
    uint32_t command_index;
    uint16_t kind; /* enum journal_kind */
    uint16_t ring;
    uint16_t cause;
    uint8_t old;        /* the frame was flagged reordered */
    uint8_t conditions; /* bit 0 self_test_bad, 1 deadline_missed, 2 supervisor_silent */
    uint16_t output_fault;
    uint16_t gate_passed;
    uint32_t energised; /* what was decided */
    uint32_t code;      /* enum engine_state_code afterwards */
    uint32_t trips;     /* low 32 bits, afterwards */
};
static_assert(sizeof(struct journal_entry) == 56, "a journal entry is 56 bytes");

struct control_journal {
    uint64_t magic;
    uint64_t count;
    uint8_t pad[112];
    struct journal_entry entry[CONTROL_JOURNAL];
};

/* A consistent copy of the part in front of hop[]. 0, or -EAGAIN if the writer kept writing. Any process. */
int control_board_read(const struct control_board *board, struct control_board *copy);

#endif
