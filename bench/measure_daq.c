/* What it costs to take samples one by one at the rate that they come, and how late they are. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "bench/calls.h"
#include "bench/daq_late.h"
#include "bench/daq_rig.h"
#include "bench/measure.h"
#include "bench/net_process.h"
#include "ring/clock.h"

#define WARM_S   0.1
#define CALLS_S  0.1 /* at least */
#define DRAIN_NS CLOCK_NS_PER_S
#define MILLION  1e6
#define PERCENT  100.0

/* Of all its threads. */
static uint64_t cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t written(const struct daq_rig *rig)
{
    return rig->sent - rig->refused;
}

/* What is on its way arrives. */
static void drain(const struct daq_rig *rig, uint64_t taken)
{
    uint64_t from_ns = clock_monotonic_ns();
    while (daq_rig_taken(rig) < taken && clock_monotonic_ns() - from_ns < DRAIN_NS) {
        net_rest_us(100);
    }
}

static void count_calls(struct daq_rig *rig, double seconds, double *values)
{
    struct calls calls;
    struct error err = {{0}};
    values[DAQ_CALLS] = NAN;
    if (calls_begin(&calls, rig->receiver, &err) != 0) {
        return;
    }
    uint64_t before = daq_rig_taken(rig);
    daq_send(rig, seconds > CALLS_S ? seconds : CALLS_S);
    uint64_t frames = daq_rig_taken(rig) - before;
    uint64_t made = calls_end(&calls);
    values[DAQ_CALLS] = frames > 0 ? (double)made / (double)frames : NAN;
}

/* Polls that were due in this time; the bare timer has one schedule. */
static uint64_t polls_due(const struct daq_rig *rig, double spent_ns)
{
    uint64_t sources = rig->path->receiver == DAQ_TIMER ? 1 : rig->path->sources;
    return (uint64_t)(spent_ns / (double)DAQ_PERIOD_NS) * sources;
}

/* What the warm-up left behind may come late, on top of all that was sent. */
static uint64_t lost_samples(uint64_t want, uint64_t got)
{
    return want > got ? want - got : 0;
}

static void measure(struct daq_rig *rig, double seconds, struct outcome *outcome)
{
    struct daq_tally *tally = rig->tally.base;
    static struct daq_late late;
    uint64_t from[DAQ_SOURCES_MAX];
    daq_send(rig, WARM_S);
    drain(rig, written(rig));
    for (uint32_t i = 0; i < rig->path->sources; i++) {
        from[i] = ring_published_now(rig->view[i].header);
    }
    uint64_t taken = daq_rig_taken(rig);
    uint64_t sent = rig->sent;
    uint64_t cpu = cpu_ns(rig->receiver);
    uint64_t from_ns = clock_monotonic_ns();
    __atomic_store_n(&tally->counts, 1, __ATOMIC_RELAXED);
    rig->longest_ns = 0;
    daq_send(rig, seconds);
    outcome->stall_us = (double)rig->longest_ns / (double)CLOCK_NS_PER_US; /* the sender's, which never waits */
    double spent_ns = (double)(clock_monotonic_ns() - from_ns);
    drain(rig, written(rig)); /* what is lost is waited for in vain: that is no time of the receiver's work */
    cpu = cpu_ns(rig->receiver) - cpu;
    __atomic_store_n(&tally->counts, 0, __ATOMIC_RELAXED);
    uint64_t got = daq_rig_taken(rig) - taken;
    daq_late_of(rig, from, &late);
    double *values = outcome->values;
    values[DAQ_CPU_PERCENT] = (double)cpu * PERCENT / spent_ns;
    values[DAQ_CPU_NS] = got > 0 ? (double)cpu / (double)got : NAN;
    values[DAQ_LATE_P50] = (double)spread_quantile_ns(&late.spread, 0.5);
    values[DAQ_LATE_P99] = (double)spread_quantile_ns(&late.spread, 0.99);
    values[DAQ_LATE_MAX] = (double)late.spread.max_ns;
    uint64_t want = rig->path->wire == DAQ_FILES ? polls_due(rig, spent_ns) : rig->sent - sent;
    outcome->lost = lost_samples(want, got);
    values[DAQ_LOST] = want > 0 ? (double)outcome->lost * MILLION / (double)want : 0;
    outcome->frames = late.right;
    outcome->wrong = late.wrong + tally->wrong;
}

void measure_daq(const struct question *question, struct outcome *outcome)
{
    static struct daq_rig rig; /* too large for a stack */
    rig.path = question->daq;
    rig.receiver_core = question->cores[0];
    rig.sender_core = question->cores[1];
    outcome->code = daq_rig_open(&rig, &outcome->err);
    if (outcome->code == 0) {
        outcome->code = pin_to(rig.sender_core); /* only now: what was started pins itself, or may run anywhere */
    }
    if (outcome->code == 0) {
        measure(&rig, question->seconds, outcome);
        count_calls(&rig, question->seconds / 4, outcome->values);
        if (net_process_ended(rig.receiver)) {
            outcome->code = error_set(&outcome->err, -ECHILD, "the receiver has ended; the lines above say why");
        }
    }
    daq_rig_close(&rig);
}
