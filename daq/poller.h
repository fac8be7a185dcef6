/* Instruments that answer when they are asked. Each has a thread of its own, because asking blocks and one that
 * does not answer must not hold up another; it asks on a schedule and passes what it gets to the worker through a
 * socket pair, one message for each poll. There it is a stream like any other: received straight into the slot.
 *
 *     poll thread: sleep until due -> ask -> [ frame | trailer ] --socket pair--> worker: slot, trailer behind the
 * frame
 */
#ifndef DAQ_POLLER_H
#define DAQ_POLLER_H

#include <pthread.h>
#include <stdbool.h>

#include "net/plan.h"
#include "ring/error.h"

/* Behind each frame; alone if the poll failed. */
struct poller_trailer {
    uint64_t monotonic_ns; /* when the answer was there: the frame's time */
    uint64_t late_ns;      /* so much after it was due the question was asked */
    uint64_t took_ns;      /* so long it took to answer: so much older than its time a value may be */
    uint32_t missed;       /* times that were due since the last message and were not kept */
    uint32_t error;        /* errno of a poll that failed; 0: none */
};
static_assert(sizeof(struct poller_trailer) == 32, "a poll's trailer is 32 bytes");

/* How one kind of instrument is asked. Called by its own thread; may block. */
struct poller_way {
    size_t state_bytes;
    /* 0 or -errno with words. The state is zeroed before. */
    int (*open)(void *state, const struct source_plan *plan, struct error *err);
    /* Fills frame_bytes. 0; -errno with words: this poll failed, and what was opened is closed and opened again
     * before the next one; 1 with words: it failed, and nothing needs to be opened again (the instrument said no).
     */
    int (*poll)(void *state, const struct source_plan *plan, uint8_t *frame, struct error *err);
    void (*close)(void *state, const struct source_plan *plan);
};

extern const struct poller_way poll_sysfs;
extern const struct poller_way poll_gpio_levels;
extern const struct poller_way poll_i2c;
extern const struct poller_way poll_spi;
extern const struct poller_way poll_modbus;
extern const struct poller_way poll_scpi;
extern const struct poller_way poll_registers;
extern const struct poller_way poll_comedi;

/* That of a kind of source, NULL: it is not polled. */
const struct poller_way *poller_way_of(uint32_t kind);

struct poller;

/* Starts the thread. *fd is the worker's end, to be read from; the poller ends when that is closed, or poller_stop
 * is called. 0 or -errno. */
int poller_start(struct poller **poller, const struct source_plan *plan, int *fd, struct error *err);
/* Waits for a poll that is under way. NULL: nothing. */
void poller_stop(struct poller *poller);

#endif
