/* The control loop: take what is new, decide, put it out, account for the time. No heap, no lock; its system calls
 * are those of SEAL_CONTROL. One thread owns the struct.
 */
#ifndef CONTROL_LOOP_H
#define CONTROL_LOOP_H

#include <signal.h>

#include "control/board.h"
#include "control/evidence.h"
#include "control/heartbeat.h"
#include "control/late.h"
#include "control/output.h"
#include "control/watch.h"
#include "control/watchdog.h"

struct loop_device {
    uint64_t last_sent_ns; /* monotonic */
    uint64_t last_told_ns; /* last send that told of newly evaluated frames */
    uint64_t last_ok_ns;
    bool failed;   /* the last send met an error */
    uint64_t told; /* evaluated frames of the acknowledged ring at the last send */
    uint32_t number;
    uint32_t lines; /* energised ones at the last send */
};

struct control_loop {
    const struct control_table *table;
    struct control_board *board;
    const struct control_mailbox *mailbox;
    struct watch watch;
    struct engine_inputs inputs;
    struct engine_state state;
    struct engine_outputs outputs; /* of the last step .. */
    enum journal_kind kind;        /* .. which was taken for this .. */
    uint32_t from_ring;            /* .. and this ring's frame */
    struct evidence evidence;
    struct late_watch late;
    uint32_t frames;     /* taken in the last cycle */
    uint64_t started_ns; /* monotonic */
    uint32_t energised;  /* outputs as last decided */
    uint32_t levels;     /* the same, heartbeat outputs at their level */
    struct heartbeat heartbeat;
    struct watchdog watchdog;
    bool others_fresh;   /* workers and supervisor, by the supervisor's word */
    uint64_t seen_word;  /* of the mailbox */
    uint64_t cycle_ns;   /* monotonic start of this cycle */
    uint64_t now_ns;     /* monotonic, what decisions go by: cycle_ns or later */
    bool measures;       /* keeps the board's histograms; off for the bench and tests only */
    uint64_t decided_ns; /* monotonic: of the last decision that changed an output, .. */
    uint64_t sent_ns;    /* .. and when it had been written; 0: this frame's has changed none */
    uint64_t spin_since_ns;
    uint64_t board_ns;   /* last snapshot */
    uint64_t scrub_hash; /* of the table's bytes below scrub_at */
    size_t scrub_at;
    struct loop_device device[CONTROL_DEVICES_MAX];
};

/* Zeroes and prepares; rings are attached afterwards with watch_attach. Sends every output the safe state.
 * journal may be NULL. */
void loop_init(struct control_loop *loop, const struct control_table *table, struct control_board *board,
               const struct control_mailbox *mailbox, struct control_journal *journal);

/* One cycle without the idling. Returns the number of frames taken. */
uint32_t loop_cycle(struct control_loop *loop);

/* Idles as the table's thread plan says. */
void loop_idle(struct control_loop *loop);

/* Cycles until *stop; then drives every output safe and, unless *orphaned (may be NULL), disarms the watchdog. */
void loop_run(struct control_loop *loop, const volatile sig_atomic_t *stop, const volatile sig_atomic_t *orphaned);

/* Every output safe, now. */
void loop_safe(struct control_loop *loop);

#endif
