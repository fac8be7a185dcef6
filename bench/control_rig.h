/* A control loop with everything around it but the processes: a ring in front, an output behind, a mailbox beside.
 * The writer's thread publishes and commands, the control thread runs the loop. */
#ifndef BENCH_CONTROL_RIG_H
#define BENCH_CONTROL_RIG_H

#include "bench/decisions.h"
#include "control/loop.h"
#include "ring/segment.h"
#include "ring/writer.h"

/* Lines of the output: what the writer sees. */
#define RIG_HELD     2u /* the permit stands, output 0 is held safe */
#define RIG_RELEASED 3u
#define RIG_TRIPPED  0u

struct control_rig {
    struct control_table table;
    struct control_board board;
    struct control_mailbox mailbox;
    struct control_journal journal;
    struct control_loop loop;
    struct segment segment;
    struct ring_writer writer;
    void *read_base; /* the control thread's own, read-only map of the ring */
    size_t read_bytes;
    int output;     /* the loop's descriptor of the output */
    int receiver;   /* UDP: where the datagrams arrive */
    uint32_t *word; /* STORE: the register in a page of its own; the loop has another map of it */
    uint32_t seen;  /* the writer's: last lines of a datagram */
};

/* Everything but threads; for the floor only the output. Zeroed memory. 0 or -errno; close it in either case. */
int rig_open(struct control_rig *rig, const struct decisions_spec *spec, int core, struct error *err);
void rig_close(struct control_rig *rig);

/* For the writer's thread. Publishes a sample of every channel; channel 0 beyond its limit or not. Returns when, in
 * ticks: directly before the frame could be seen. */
uint64_t rig_publish(struct control_rig *rig, bool beyond);

/* The output's lines as they are now. */
uint32_t rig_look(struct control_rig *rig);

/* While the control thread runs: to ARMED and released. 0 or -ETIMEDOUT with the reason. */
int rig_arm(struct control_rig *rig, struct error *err);

#endif
