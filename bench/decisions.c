/* A writer on one core publishes samples, a control loop (or a bare one) on another decides and writes to an
 * output, and the writer sees that and measures. Every sample changes the output, so every decision is seen. Late
 * decisions are set against the stall records of both cores afterwards. */
#include "bench/decisions.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/control_rig.h"
#include "bench/gaps.h"
#include "bench/load.h"
#include "bench/tsc.h"

#define CONTROL_PRIORITY 80
#define WRITER_PRIORITY  79 /* it must see the output even if the core is loaded */
#define GAP_US           5.0
#define SPIN_US          200.0
#define SLEEP_US         20L
#define REST_US          2.0 /* at most, between two decisions */
#define ANSWER_LIMIT_S   10.0
#define LATE_MAX         65536u
#define OWN_WORK_US      50.0 /* of a gap of the loop's that is taken as its own work: see the row `cycle` */

struct decisions {
    const struct question *question;
    const struct decisions_spec *spec;
    struct control_rig *rig;
    uint32_t stop;
    uint32_t ready;
    uint8_t pad[128];
    uint32_t asked; /* floor: the writer's word, in a line of its own */
    uint8_t pad1[124];
    /* The control thread's. */
    uint64_t spin_since;
    uint64_t misses;
    uint64_t unacted;
    uint64_t preempted;
    int policy;
    uint64_t miss[LATE_MAX]; /* when it counted one */
    struct gaps spin;        /* the core was taken away while it ran .. */
    struct gaps wake;        /* .. or given back too late when it slept */
    /* The writer's. */
    uint8_t pad2[128];
    struct gaps writer;
    uint64_t random;
    uint64_t awake_since;
    uint64_t trips;
    uint32_t late_count;
    struct gap late[LATE_MAX];
    struct spread spread;
    struct error err;
};

static uint64_t ticks_of(double us)
{
    return (uint64_t)(us * 1e3 * tsc_per_ns());
}

/* The policy that was obtained. Not fatal: the environment of the result tells it. */
static int become_real_time(int core, int priority)
{
    struct sched_param param = {.sched_priority = priority};
    pin_to(core);
    sched_setscheduler(0, SCHED_FIFO, &param);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    return sched_getscheduler(0);
}

static void sleep_briefly(void)
{
    struct timespec pause = {.tv_nsec = SLEEP_US * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* It slept since it looked at the clock last, and planned to: what was beyond that. */
static void note_wake(struct decisions *d)
{
    uint64_t now = tsc_now();
    uint64_t due = d->spin.last + ticks_of(SLEEP_US);
    if (now > due && now - due > d->wake.limit) {
        gaps_note(&d->wake, due, now);
    }
    d->spin.last = now;
}

static void bare_idle(struct decisions *d)
{
    uint64_t now = tsc_now();
    if (d->spec->idle == IDLE_DUTY && now - d->spin_since >= ticks_of(SPIN_US)) {
        sleep_briefly();
        note_wake(d);
        d->spin_since = d->spin.last;
    }
}

static void bare_write(struct decisions *d, uint32_t lines)
{
    uint8_t bytes[OUTPUT_DATAGRAM_BYTES];
    if (d->spec->port == PORT_STORE) {
        __atomic_store_n(d->rig->word, lines, __ATOMIC_RELEASE);
        return;
    }
    output_encode(&(struct output_message){.energised = lines}, RIG_RELEASED, bytes);
    (void)!send(d->rig->output, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void bare_loop(struct decisions *d)
{
    uint32_t seen = RIG_RELEASED;
    bare_write(d, seen);
    while (__atomic_load_n(&d->stop, __ATOMIC_RELAXED) == 0) {
        uint32_t asked = __atomic_load_n(&d->asked, __ATOMIC_ACQUIRE);
        if (asked != seen) {
            bare_write(d, asked);
            seen = asked;
        }
        gaps_look(&d->spin, tsc_now());
        bare_idle(d);
    }
}

/* A miss must be counted, and no permit may stand after it. */
static void look_at_misses(struct decisions *d, uint64_t now)
{
    uint64_t misses = d->rig->board.misses;
    if (misses == d->misses) {
        return;
    }
    if (d->misses < LATE_MAX) {
        d->miss[d->misses] = now;
    }
    d->misses = misses;
    d->unacted += d->rig->loop.energised != 0;
}

static void real_loop(struct decisions *d)
{
    struct control_loop *loop = &d->rig->loop;
    while (__atomic_load_n(&d->stop, __ATOMIC_RELAXED) == 0) {
        loop_cycle(loop);
        uint64_t now = tsc_now();
        gaps_look(&d->spin, now);
        look_at_misses(d, now);
        uint64_t since_ns = loop->spin_since_ns;
        loop_idle(loop);
        if (loop->spin_since_ns != since_ns) {
            note_wake(d);
        }
    }
}

static uint64_t switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_nivcsw;
}

static void *control_thread(void *argument)
{
    struct decisions *d = argument;
    d->policy = become_real_time(d->question->cores[1], CONTROL_PRIORITY);
    uint64_t before = switches();
    gaps_begin(&d->wake, GAP_US);
    gaps_begin(&d->spin, GAP_US);
    d->spin_since = d->spin.last;
    __atomic_store_n(&d->ready, 1, __ATOMIC_RELEASE);
    if (d->spec->floor) {
        bare_loop(d);
    } else {
        real_loop(d);
    }
    d->preempted = switches() - before;
    return NULL;
}

/* Some time passes, never the same, so that the loop is met in every phase. */
static void rest(struct decisions *d)
{
    d->random = d->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    uint64_t now = tsc_now();
    uint64_t end = now + (d->random >> 32) * ticks_of(REST_US) / UINT32_MAX;
    if (now - d->awake_since > ticks_of(SPIN_US)) {
        sleep_briefly();
        d->awake_since = tsc_now();
        return;
    }
    while (tsc_now() < end) {
    }
}

static uint64_t ask(struct decisions *d, bool beyond)
{
    if (!d->spec->floor) {
        return rig_publish(d->rig, beyond);
    }
    uint64_t from = tsc_now();
    __atomic_store_n(&d->asked, beyond ? RIG_HELD : RIG_RELEASED, __ATOMIC_RELEASE);
    return from;
}

/* One decision: from the sample to the output's change, whichever it is. False: there was none. */
static bool decide_once(struct decisions *d)
{
    uint32_t before = rig_look(d->rig);
    if (before == RIG_TRIPPED) {
        return true; /* by a miss, while nothing was asked */
    }
    gaps_look(&d->writer, tsc_now());
    uint64_t from = ask(d, before == RIG_RELEASED);
    uint64_t to = from;
    d->writer.last = from;
    while (rig_look(d->rig) == before) {
        to = tsc_now();
        gaps_look(&d->writer, to);
        if (to - from > ticks_of(ANSWER_LIMIT_S * 1e6)) {
            error_set(&d->err, -ETIMEDOUT, "no output within %.0f s of a sample", ANSWER_LIMIT_S);
            return false;
        }
    }
    to = tsc_now();
    gaps_look(&d->writer, to);
    spread_add(&d->spread, (uint64_t)((double)(to - from) / tsc_per_ns() + 0.5));
    if (to - from > ticks_of(DECISION_LATE_US) && d->late_count < LATE_MAX) {
        d->late[d->late_count++] = (struct gap){from, to};
    }
    return true;
}

/* What a miss tripped is armed again, as an operator would. */
static int write_samples(struct decisions *d)
{
    uint64_t end = tsc_now() + ticks_of(d->question->seconds * 1e6);
    d->awake_since = tsc_now();
    gaps_begin(&d->writer, GAP_US);
    bool counts = d->spec->most > 0 && !d->question->warm;
    while (counts ? d->spread.count < d->spec->most : tsc_now() < end) {
        rest(d);
        d->writer.last = tsc_now();
        if (!decide_once(d)) {
            return -ETIMEDOUT;
        }
        if (rig_look(d->rig) == RIG_TRIPPED) {
            d->trips++;
            int code = rig_arm(d->rig, &d->err);
            if (code != 0) {
                return code;
            }
            d->awake_since = tsc_now();
        }
    }
    return 0;
}

static int run_threads(struct decisions *d, double *seconds)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, control_thread, d) != 0) {
        return error_set(&d->err, -EAGAIN, "no thread");
    }
    while (__atomic_load_n(&d->ready, __ATOMIC_ACQUIRE) == 0) {
        sleep_briefly();
    }
    become_real_time(d->question->cores[0], WRITER_PRIORITY);
    while (d->spec->floor && rig_look(d->rig) != RIG_RELEASED) {
        sleep_briefly();
    }
    int code = d->spec->floor ? 0 : rig_arm(d->rig, &d->err);
    uint64_t from = tsc_now();
    code = code == 0 ? write_samples(d) : code;
    *seconds = (double)(tsc_now() - from) / tsc_per_ns() / 1e9;
    __atomic_store_n(&d->stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    return code;
}

static bool counted_as_miss(const struct decisions *d, const struct gap *late)
{
    for (uint64_t i = 0; i < d->misses && i < LATE_MAX; i++) {
        if (d->miss[i] >= late->from && d->miss[i] <= late->to + ticks_of(2 * DECISION_LATE_US)) {
            return true;
        }
    }
    return false;
}

/* Of each late decision: was it the writer who was stalled? If not: was the control core? Did the loop know? */
static void judge_late(const struct decisions *d, double *values)
{
    const struct gaps *own[] = {&d->writer};
    const struct gaps *all[] = {&d->writer, &d->spin, &d->wake};
    uint64_t limit = ticks_of(DECISION_LATE_US);
    uint64_t uncounted = 0;
    for (uint32_t i = 0; i < d->late_count; i++) {
        const struct gap *late = &d->late[i];
        uint64_t took = late->to - late->from;
        if (took - gaps_cover(own, 1, late->from, late->to) <= limit) {
            continue;
        }
        uint64_t stalled = gaps_cover(all, 3, late->from, late->to);
        uint64_t work = ticks_of(OWN_WORK_US);
        values[DECISION_LATE]++;
        values[DECISION_UNEXPLAINED] += took - (stalled > work ? stalled - work : 0) > limit;
        uncounted += !d->spec->floor && !counted_as_miss(d, late);
    }
    uint64_t known = d->rig->board.hop[HOP_ARRIVAL_TO_DECIDED].late;
    values[LOOP_UNDETECTED] = uncounted > 0 && (double)known < values[DECISION_LATE] ? (double)uncounted : 0;
    values[LOOP_MISSES] = (double)d->misses;
    values[LOOP_UNACTED] = (double)d->unacted;
    values[LOOP_TRIPS] = (double)d->trips;
}

static void describe_stalls(const struct decisions *d, double *values)
{
    double us = 1 / tsc_per_ns() / 1e3;
    values[STALL_5US] = (double)gaps_longer(&d->spin, 5);
    values[STALL_50US] = (double)gaps_longer(&d->spin, 50);
    values[STALL_500US] = (double)gaps_longer(&d->spin, 500);
    values[STALL_SHARE] = (double)d->spin.ticks * us;
    values[STALL_MAX] = (double)d->spin.longest * us;
    values[WAKE_MAX] = (double)d->wake.longest * us;
    values[PREEMPTED] = (double)d->preempted;
}

static bool is_longest(uint32_t value)
{
    return value == STALL_MAX || value == WAKE_MAX;
}

static bool is_rate(uint32_t value)
{
    return value == PREEMPTED || (value >= STALL_5US && value <= STALL_SHARE);
}

/* Of the round, and added to that of all rounds. */
static void take_result(const struct decisions *d, double seconds, struct outcome *outcome)
{
    static const double shares[] = {0.5, 0.99, 0.999, 0.9999, 0.99999};
    struct decisions_total *total = d->question->total;
    double *values = outcome->values;
    judge_late(d, values);
    describe_stalls(d, values);
    total->self_late += d->rig->board.hop[HOP_ARRIVAL_TO_DECIDED].late;
    total->seconds += seconds;
    total->policy = d->policy;
    spread_merge(&total->spread, &d->spread);
    for (uint32_t i = DECISION_LATE; i < DECISION_VALUES; i++) {
        double most = values[i] > total->values[i] ? values[i] : total->values[i];
        total->values[i] = is_longest(i) ? most : total->values[i] + values[i];
        values[i] = is_rate(i) ? values[i] / seconds : values[i];
    }
    values[DECISION_LATE] *= 1e6 / (double)d->spread.count;
    for (uint32_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        values[i] = (double)spread_quantile_ns(&d->spread, shares[i]);
    }
    values[DECISION_MAX] = (double)d->spread.max_ns;
    outcome->stall_us = values[STALL_MAX];
    outcome->frames = d->spread.count;
}

static void *take_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    // cppcheck-suppress memleak ; it is the caller's
    return memory == MAP_FAILED ? NULL : memory;
}

void measure_decisions(const struct question *question, struct outcome *outcome)
{
    struct decisions *d = take_memory(sizeof(*d));
    struct control_rig *rig = take_memory(sizeof(*rig));
    double seconds = 0;
    if (d == NULL || rig == NULL) {
        outcome->code = error_set(&outcome->err, -ENOMEM, "no memory for a control loop");
        return; /* the process ends */
    }
    d->question = question;
    d->spec = question->decisions;
    d->rig = rig;
    d->asked = RIG_RELEASED;
    int load_core = question->cores[question->core_count > 2 ? 2 : 0];
    pid_t load = d->spec->loaded ? load_start(load_core) : 0;
    int code = load < 0 ? error_set(&d->err, -EAGAIN, "cannot fork a load") : 0;
    question->total->locked = mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
    code = code == 0 ? rig_open(rig, d->spec, question->cores[1], &d->err) : code;
    code = code == 0 ? run_threads(d, &seconds) : code;
    load_stop(load);
    if (code == 0 && !question->warm) {
        take_result(d, seconds, outcome);
    }
    outcome->code = code;
    outcome->err = d->err;
    rig_close(rig);
}
