/* A trial offers frames at a rate for --seconds; it is good if every frame was taken, nothing else counts. The rate
 * is then halved in on. A loss that a stall of a core explains says nothing about the receiver: that trial is made
 * again, a few times; if it goes on, the highest rate at which no more was lost than that is given apart. */
#include "bench/net_search.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/measure.h"
#include "bench/net_generator.h"
#include "bench/net_process.h"
#include "bench/net_reader.h"
#include "bench/net_rig.h"
#include "bench/tsc.h"
#include "ring/ledger.h"

#define WARM_FRAMES   65536u
#define STEPS         6
#define CLOSE         0.02 /* of the rate: near enough */
#define BEGIN_SHARE   0.95 /* of what was taken when more was offered than could be */
#define SHORT_SHARE   0.97 /* a generator that reaches less of what it was asked for does not reach more either */
#define REPEATS_MAX   2u   /* of one trial .. */
#define REPEATS_ALL   6u   /* .. and of a search, so that it ends */
#define STALLED_SHARE 0.05 /* of a trial: it does not show what the generator can */
#define DRAIN_NS      (120 * CLOCK_NS_PER_MS) /* without a frame: nothing follows */
#define STALLED_NS    (20 * CLOCK_NS_PER_MS)
#define CATCH_UP_US   1000.0 /* a generator that was stalled makes up for as much, back to back */
#define EXPLAIN_SHARE 0.5    /* of the wire's buffers, which are not empty when a stall begins */

struct search {
    struct net_rig rig;
    double seconds;
    struct outcome *outcome;
};

struct trial {
    struct net_sent sent;
    uint64_t taken;
    struct net_read read;
    double longest_us; /* stall of either core */
    double stalled_s;  /* the receiver, all together */
    double stall_us;   /* that the wire's buffers had to bridge */
};

/* A receiver that has not finished a round for so long does not run at the moment: it will yet take some. */
static bool is_stalled(const struct net_rig *rig)
{
    uint64_t beat_ns = __atomic_load_n(net_rig_heartbeat(rig), __ATOMIC_RELAXED);
    uint64_t now_ns = clock_monotonic_ns();
    return beat_ns != 0 && now_ns > beat_ns && now_ns - beat_ns > STALLED_NS;
}

/* Until all are there, or none has come for a while. */
static uint64_t drain(const struct net_rig *rig, uint64_t before, uint64_t wanted)
{
    uint64_t taken = net_rig_taken(rig) - before;
    uint64_t from_ns = clock_monotonic_ns();
    uint64_t moved_ns = from_ns;
    while (taken < wanted && clock_monotonic_ns() - moved_ns < DRAIN_NS) {
        net_rest_us(500);
        uint64_t now = net_rig_taken(rig) - before;
        if (now != taken || (is_stalled(rig) && clock_monotonic_ns() - from_ns < NET_PATIENCE_NS)) {
            moved_ns = clock_monotonic_ns();
        }
        taken = now;
    }
    return taken;
}

/* What the ring itself has to say against it. */
static int check_ledger(const struct net_rig *rig, struct error *err)
{
    const struct ring_ledger *ledger = &rig->header->ledger;
    int64_t residual = ring_ledger_residual(ledger);
    if (residual != 0 || ledger->duplicated != 0) {
        return error_set(err, -EPROTO,
                         "the ledger does not balance: residual %" PRId64 ", duplicated %" PRIu64
                         "; expected 0 of both",
                         residual, ledger->duplicated);
    }
    return 0;
}

static int try(struct search *s, double rate_hz, struct trial *trial, struct error *err)
{
    uint64_t before = net_rig_taken(&s->rig);
    const struct stall_record stalls = *net_rig_stalls(&s->rig);
    *trial = (struct trial){.stall_us = 0};
    int code = net_generator_run(s->rig.generator, rate_hz, s->seconds, &trial->sent, err);
    if (code != 0) {
        return code;
    }
    trial->taken = drain(&s->rig, before, trial->sent.numbers);
    if (s->rig.reader != NULL) {
        code = net_reader_finish(s->rig.reader, &trial->read, err);
        code = code == 0 ? check_ledger(&s->rig, err) : code;
    }
    double receiver_us = (double)stall_longest_since(net_rig_stalls(&s->rig), &stalls) * 1e-3;
    double generator_us = trial->sent.longest_us;
    trial->stalled_s = (double)(net_rig_stalls(&s->rig)->total_ns - stalls.total_ns) * 1e-9;
    trial->longest_us = receiver_us > generator_us ? receiver_us : generator_us;
    generator_us = generator_us > CATCH_UP_US ? CATCH_UP_US : generator_us;
    trial->stall_us = receiver_us > generator_us ? receiver_us : generator_us;
    s->outcome->stall_us = trial->longest_us > s->outcome->stall_us ? trial->longest_us : s->outcome->stall_us;
    s->outcome->frames += trial->read.frames;
    s->outcome->wrong += trial->read.wrong;
    s->outcome->values[NET_TRIALS]++;
    return code == 0 ? net_rig_alive(&s->rig, err) : code;
}

static bool lost_some(const struct trial *trial)
{
    return trial->taken < trial->sent.numbers || trial->read.lost > 0;
}

/* No more are missing than came while the receiver was stalled: else it kept up. */
static bool is_excused(const struct trial *trial)
{
    double lost = (double)(trial->sent.numbers - trial->taken);
    return trial->taken > 0 && trial->read.lost == 0 && lost <= trial->stalled_s * trial->sent.rate_hz;
}

/* More frames came during the longest stall than the wire's buffers hold beside what is in them. */
static bool is_explained(const struct search *s, const struct trial *trial)
{
    return trial->stall_us * 1e-6 * trial->sent.rate_hz > EXPLAIN_SHARE * s->rig.buffer_frames;
}

static int try_again(struct search *s, double rate_hz, struct trial *trial, struct error *err)
{
    for (uint32_t i = 0;; i++) {
        int code = try(s, rate_hz, trial, err);
        if (code != 0 || i == REPEATS_MAX || s->outcome->values[NET_REPEATED] >= REPEATS_ALL || !lost_some(trial) ||
            !is_explained(s, trial)) {
            return code;
        }
        s->outcome->values[NET_REPEATED]++;
    }
}

/* As fast as the generator can, in a trial without a long stall if there is one. */
static int try_most(struct search *s, struct trial *best, struct error *err)
{
    struct trial trial;
    *best = (struct trial){.taken = 0};
    for (uint32_t i = 0; i <= REPEATS_MAX; i++) {
        int code = try(s, 0, &trial, err);
        if (code != 0) {
            return code;
        }
        if (i == 0 || (trial.taken > 0 && trial.sent.rate_hz > best->sent.rate_hz)) {
            *best = trial;
        }
        if (trial.taken > 0 && trial.longest_us * 1e-6 < STALLED_SHARE * s->seconds) {
            break;
        }
    }
    return best->sent.numbers > 0 && best->taken > 0
               ? 0
               : error_set(err, -EIO,
                           "nothing came: %" PRIu64 " frames were offered, %" PRIu64
                           " of them not taken by the port",
                           best->sent.numbers, best->sent.dropped);
}

/* The first frames meet pages and caches that nobody has touched, and that the first trial is not to pay for. */
static int warm_up(struct search *s, struct error *err)
{
    struct net_sent sent;
    struct net_read read;
    uint64_t before = net_rig_taken(&s->rig);
    int code = net_generator_warm(s->rig.generator, WARM_FRAMES, &sent, err);
    if (code == 0) {
        (void)drain(&s->rig, before, sent.numbers);
        code = s->rig.reader != NULL ? net_reader_finish(s->rig.reader, &read, err) : 0;
    }
    return code;
}

/* What a good trial shows. */
static void take_note(struct search *s, const struct trial *trial)
{
    double *values = s->outcome->values;
    double rate = trial->sent.rate_hz;
    if (!lost_some(trial) && rate > values[NET_LOSS_FREE]) {
        values[NET_LOSS_FREE] = rate;
    }
    if (is_excused(trial) && rate > values[NET_EXCUSED]) {
        values[NET_EXCUSED] = rate;
    }
}

/* Halves between what is known to be good and `high`, `rate` first. By the trials without any loss (strict), or by
 * the excused ones. */
static int halve(struct search *s, bool strict, double high, double rate, struct error *err)
{
    const double *good = &s->outcome->values[strict ? NET_LOSS_FREE : NET_EXCUSED];
    for (int i = 0; i < STEPS && high - *good > CLOSE * high; i++) {
        struct trial trial;
        int code = try_again(s, rate, &trial, err);
        if (code != 0) {
            return code;
        }
        take_note(s, &trial);
        bool is_good = strict ? !lost_some(&trial) : is_excused(&trial);
        high = is_good && trial.sent.rate_hz >= SHORT_SHARE * rate ? high : rate;
        rate = (*good + high) / 2;
    }
    return 0;
}

/* Where cores are taken away all the time, every other trial would say "too fast" at any rate: the excused ones
 * show the way first. */
static int search(struct search *s, struct error *err)
{
    struct trial trial;
    double *values = s->outcome->values;
    int code = warm_up(s, err);
    if (code == 0) {
        code = try_most(s, &trial, err);
    }
    if (code != 0) {
        return code;
    }
    values[NET_OFFERED] = trial.sent.rate_hz;
    take_note(s, &trial);
    double share = (double)trial.taken / (double)trial.sent.numbers;
    values[NET_TAKEN] = trial.sent.rate_hz * share;
    code = halve(s, false, trial.sent.rate_hz, trial.sent.rate_hz * share * BEGIN_SHARE, err);
    double most = values[NET_EXCUSED];
    return code == 0 ? halve(s, true, most, (values[NET_LOSS_FREE] + most) / 2, err) : code;
}

void measure_net(const struct question *question, struct outcome *outcome)
{
    static struct search s; /* its records are too large for a stack */
    s.rig.path = question->net;
    s.rig.size_bytes = question->spec.size_bytes;
    s.rig.receiver_core = question->cores[0];
    s.rig.generator_core = question->cores[1];
    s.rig.reader_core = question->cores[question->core_count > 2 ? 2 : 1];
    s.seconds = question->seconds;
    s.outcome = outcome;
    payload_init();
    (void)tsc_per_ns();
    outcome->stall_us = 0;
    outcome->code = net_rig_open(&s.rig, &outcome->err);
    if (outcome->code == 0) {
        outcome->code = search(&s, &outcome->err);
    }
    net_rig_close(&s.rig);
}
