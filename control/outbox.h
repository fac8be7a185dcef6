/* The hand-over of one slow output device to the process that speaks to it: what its lines should be, and what it
 * says of them. Control stores and goes on; it never waits.
 *
 *   control (sluiced while no control lives)  --command-->  sluice-actuator
 *   control                                  <--answer---   sluice-actuator
 *
 * A command is one word, number and lines together, so that lines are never taken with another command's number,
 * and a writer that dies leaves a whole one. The actuator believes lines only while the number moves.
 */
#ifndef CONTROL_OUTBOX_H
#define CONTROL_OUTBOX_H

#include "control/output.h"
#include "ring/board.h"
#include "ring/histogram.h"

/* Written by control; by sluiced once control is dead. */
struct outbox_command {
    uint64_t word;           /* number << 32 | energised lines */
    uint64_t decided_tai_ns; /* of that word or a neighbouring one: for the delay only */
    uint64_t reserved[14];
};

/* Written by the actuator; `error` by sluiced while none lives. */
struct outbox_answer {
    uint64_t word;           /* the newest command that the device has and has confirmed */
    uint64_t decided_tai_ns; /* when that was decided */
    int64_t error;           /* -errno of the last try; 0: it was confirmed */
    uint64_t connects;
    uint64_t writes; /* confirmed ones */
    uint64_t errors;
    uint64_t silences; /* times that control was not heard and the lines were made safe for that */
    uint64_t reserved[9];
};

struct outbox {
    struct board common; /* the actuator's */
    uint8_t pad[BOARD_BYTES - sizeof(struct board)];
    struct outbox_command command;
    struct outbox_answer answer;
    struct histogram taken;     /* by the actuator: decision -> it looked at a command for the first time */
    struct histogram confirmed; /* .. -> the device has confirmed changed lines */
};
static_assert(offsetof(struct outbox, command) % 128 == 0, "each writer on its own pair of lines");
static_assert(offsetof(struct outbox, answer) % 128 == 0, "each writer on its own pair of lines");
static_assert(offsetof(struct outbox, taken) % 128 == 0, "no padding");

/* A command as the actuator takes it. */
struct outbox_order {
    uint64_t word;
    uint64_t decided_tai_ns;
    uint32_t lines;
};

/* Writer of the command: leaves one. No system call. */
void outbox_put(struct outbox *outbox, uint32_t number, uint32_t lines, uint64_t decided_tai_ns);

/* The actuator. */
struct outbox_order outbox_take(const struct outbox *outbox);

/* The actuator: the device has confirmed this order. */
void outbox_confirm(struct outbox *outbox, const struct outbox_order *order);

/* The actuator, or sluiced in the place of a dead one: it has not. */
void outbox_fail(struct outbox *outbox, int code);

/* What a device's last answer means for whoever decides at `decided_tai_ns`: 0, the actuator's own error, or
 * -ETIMEDOUT if what it has confirmed was decided more than half of fault_ns ago (or nothing was yet). Half: a
 * device that answers only so slowly is late whenever it matters, and what is called a fault after fault_ns of
 * errors has then lasted one and a half. */
int outbox_verdict(const struct outbox *outbox, uint64_t decided_tai_ns, uint64_t fault_ns);

#endif
