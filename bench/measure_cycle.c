/* One cycle of the loop in one thread, without a writer beside it: what the loop does of itself. Its longest cycle
 * is the bound on how much of a gap can be the loop's own work. */
#include <errno.h>
#include <sys/mman.h>

#include "bench/control_rig.h"
#include "bench/tsc.h"

#define CYCLES_MIN 64u

enum cycle_kind {
    CYCLE_IDLE = 0,
    CYCLE_FRAME = 1,
    CYCLE_FULL = 2,
    CYCLE_IDLE_OFF = 3, /* measures nothing: what the measuring costs, cycle by cycle beside it */
    CYCLE_FRAME_OFF = 4,
    CYCLE_KINDS = 5
};

static void run_one(struct control_rig *rig, enum cycle_kind kind, bool *beyond, struct spread *spreads)
{
    /* The snapshot comes once in a millisecond, the checkpoint once in a second. */
    rig->loop.board_ns = kind == CYCLE_FULL ? 0 : clock_monotonic_ns();
    rig->loop.evidence.checkpoint_ns = kind == CYCLE_FULL ? 0 : clock_monotonic_ns();
    rig->loop.measures = kind < CYCLE_IDLE_OFF;
    loop_cycle(&rig->loop); /* so that none is timed behind one of another kind */
    if (kind != CYCLE_IDLE && kind != CYCLE_IDLE_OFF) {
        rig_publish(rig, *beyond);
        *beyond = !*beyond;
    }
    rig->loop.board_ns = kind == CYCLE_FULL ? 0 : clock_monotonic_ns();
    rig->loop.evidence.checkpoint_ns = kind == CYCLE_FULL ? 0 : clock_monotonic_ns();
    uint64_t from = tsc_ordered();
    loop_cycle(&rig->loop);
    uint64_t ticks = tsc_ordered() - from;
    spread_add(&spreads[kind], (uint64_t)((double)ticks / tsc_per_ns() + 0.5));
}

static void run(struct control_rig *rig, struct spread *spreads, double seconds)
{
    uint64_t end = tsc_now() + (uint64_t)(seconds * 1e9 * tsc_per_ns());
    bool beyond = false;
    do {
        for (uint32_t kind = 0; kind < CYCLE_KINDS; kind++) {
            run_one(rig, (enum cycle_kind)kind, &beyond, spreads);
        }
    } while (tsc_now() < end || spreads[CYCLE_IDLE].count < CYCLES_MIN);
}

/* Without the miss that would trip it: nobody else runs the loop here. */
static int arm(struct control_rig *rig, struct error *err)
{
    static const uint32_t commands[] = {COMMAND_RESET, COMMAND_ARM};
    struct timespec pause = {.tv_nsec = 200000};
    rig->table.miss_trips = 0;
    for (uint32_t i = 0; i < 16; i++) {
        rig_publish(rig, false);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        loop_cycle(&rig->loop);
    }
    for (uint32_t i = 0; i < 2; i++) {
        rig->mailbox.word = (uint64_t)(i + 1) << MAILBOX_COMMAND_BITS | commands[i];
        loop_cycle(&rig->loop);
    }
    rig_publish(rig, false);
    loop_cycle(&rig->loop);
    if (rig->loop.state.code != ENGINE_ARMED) {
        return error_set(err, -EINVAL, "the bench's interlock cannot be armed: state %s, first cause %s",
                         engine_state_name(rig->loop.state.code), engine_cause_name(rig->loop.state.cause[0].kind));
    }
    return 0;
}

void measure_cycle(const struct question *question, struct outcome *outcome)
{
    static struct spread spreads[CYCLE_KINDS];
    static struct control_rig rig;
    struct decisions_spec spec = {.rules = question->rules, .idle = IDLE_BUSY, .port = PORT_STORE};
    pin_to(question->cores[1]);
    outcome->code = rig_open(&rig, &spec, question->cores[1], &outcome->err);
    if (outcome->code == 0) {
        outcome->code = arm(&rig, &outcome->err);
    }
    if (outcome->code == 0) {
        run(&rig, spreads, question->seconds);
        for (uint32_t kind = 0; kind < CYCLE_KINDS; kind++) {
            double longest_us = (double)spreads[kind].max_ns / 1e3;
            outcome->values[kind] = (double)spread_quantile_ns(&spreads[kind], 0.5);
            outcome->stall_us = longest_us > outcome->stall_us ? longest_us : outcome->stall_us;
        }
        outcome->frames = spreads[CYCLE_FRAME].count + spreads[CYCLE_FULL].count + spreads[CYCLE_FRAME_OFF].count;
    }
    rig_close(&rig);
}
