/* Opens what sources read, on a thread of its own: a device that takes its time to open, an address where nobody
 * answers or a child process to be started never holds up the sealed thread, which only asks, looks and closes. The
 * two speak by counters; neither waits for the other and no system call is made for it.
 */
#ifndef DAQ_OPENER_H
#define DAQ_OPENER_H

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>

#include "net/plan.h"
#include "ring/error.h"

struct opening;
struct poller;

/* How one kind of thing is opened; all are called by the opener alone. */
struct opener_way {
    /* A descriptor to be read from, -EAGAIN: not yet, call again, or -errno with words. It must not block for
     * long: other sources wait for it. Sockets, pipes and ttys have blocking semantics, io_uring waits. Of other
     * character devices O_NONBLOCK stays: io_uring then waits by poll(2) and reads in the thread itself, while a
     * read that may block is handed to a thread of the kernel's each time. */
    int (*open)(struct opening *opening, struct error *err);
    /* Called now and then while the descriptor is in use. False: it is no longer worth reading, open again. NULL:
     * it tells by itself. */
    bool (*check)(struct opening *opening);
    /* Lets go of what open made besides the descriptor; called before it opens again, and at the end. NULL:
     * nothing. */
    void (*clear)(struct opening *opening);
};

struct opening {
    const struct source_plan *plan;
    const struct opener_way *way;
    /* The way's own: a listening socket or one that connects; a child. */
    int held_fd; /* -1: none */
    int child;   /* pid, 0: none */
    struct poller *poller;
    uint64_t device;
    uint64_t inode;
    uint64_t began_ns;       /* monotonic: when its child was started */
    uint64_t asked_to_go_ns; /* and when that was asked to end; 0: it was not */
    uint64_t checked_ns;
    bool told;  /* iio: what the log says once of the device has been said */
    int said;   /* errno that was said last, so that it is said once */
    int in_use; /* what was handed out last, for check */
    /* Written by the sealed thread. */
    alignas(64) uint32_t asked; /* how often it asked */
    /* Written by the opener. */
    alignas(64) uint32_t answered; /* asked, when there is an answer */
    int result;                    /* a descriptor, or -errno */
    uint32_t spoiled;              /* answers whose descriptor is no longer worth reading */
};

struct opener {
    struct opening opening[PLAN_SOURCES_MAX];
    uint32_t openings;
    pthread_t thread;
    bool running;
    int ending; /* written by the sealed thread */
    int ended;  /* written by the opener: all is cleared */
};

/* Adds a source; its way must outlive the opener. Before opener_start. Cold. */
struct opening *opener_add(struct opener *opener, const struct source_plan *plan, const struct opener_way *way);

/* One round, at the time given: what the thread does again and again, and tests do by hand. */
void opener_round(struct opener *opener, uint64_t monotonic_ns);

/* Starts the thread if there is anything to open. Before the seal. 0 or -errno. Cold. */
int opener_start(struct opener *opener, struct error *err);
void opener_fini(struct opener *opener);

/* Of the sealed thread, which may not join another: has the opener end its children and remove its sockets, and
 * waits for it for 2 s at most. */
void opener_stop(struct opener *opener);

/* Of the sealed thread: asks for a descriptor; takes the answer once it is there. */
void opening_ask(struct opening *opening);
/* A descriptor, which is the caller's to close; -EAGAIN: no answer yet; -errno: it could not be opened, ask again
 * later. */
int opening_take(const struct opening *opening);
/* True: what was taken last should be closed and asked for again. */
bool opening_is_spoiled(const struct opening *opening);

#endif
