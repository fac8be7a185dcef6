/* A port, what is written into its frames, and runs over it. */
#ifndef TOOLS_GEN_GENERATOR_H
#define TOOLS_GEN_GENERATOR_H

#include "ring/stall.h"
#include "tools/gen/options.h"
#include "tools/gen/transport.h"

struct generator {
    struct options options;
    struct transport *transport;
    struct recording recording;
    struct frame_head head;
    struct writer writer;
    int64_t tai_offset_ns; /* TAI - CLOCK_MONOTONIC */
    uint64_t opened_ns;    /* how long it took to open the port */
    const volatile sig_atomic_t *stop;
};

/* What a run has done. */
struct run_result {
    uint64_t first;
    uint64_t next; /* number that comes after */
    struct plan_counts counts;
    struct pace pace;
    struct stall_record stalls;   /* bursts that began long after they could, and were due */
    struct transport_counts sent; /* of this run */
    uint64_t heartbeats;          /* the frame at the end among them */
    uint64_t elapsed_ns;
    bool interrupted;
};

/* 0 or -errno with a message; generator_close undoes a half-open one. */
int generator_open(struct generator *generator, const struct options *options, const volatile sig_atomic_t *stop,
                   struct error *err);
void generator_close(struct generator *generator);

/* One run with these options (those of a run). 0 or -errno with a message; *result says what was done either way.
 */
int generator_run(struct generator *generator, const struct options *options, struct run_result *result,
                  struct error *err);

#endif
