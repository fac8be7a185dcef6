#include "daq/observer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "control/thief_table.h"
#include "control/thief_words.h"
#include "ring/clock.h"
#include "ring/ledger.h"
#include "ring/order.h"

#define OWN_WORK_NS     (20 * CLOCK_NS_PER_US) /* of a cycle, beside its sleep: not the host's */
#define SLEEP_LATE_NS   (50 * CLOCK_NS_PER_US) /* a sleep that is so much longer than planned is told */
#define OVERLAPPING_MAX 512u
#define SPANS_MAX       64u
#define SPANS_BACK      64u /* entries of control's log in which the loop's gaps are looked for */
#define READ_TRIES      100

/* A sleep that was planned is no loss: only what came after it. */
static bool trim_sleep(const struct observer *observer, struct thief_event *event)
{
    uint64_t planned_ns = observer->board->thread[event->thread].sleep_us * CLOCK_NS_PER_US;
    if (event->kind != THIEF_SLEEP || (event->what != SYS_clock_nanosleep && event->what != SYS_restart_syscall)) {
        return true;
    }
    if (event->ns <= planned_ns + SLEEP_LATE_NS) {
        return false;
    }
    event->from_ns += planned_ns;
    event->ns -= planned_ns;
    return true;
}

void observer_take(void *context, const struct thief_event *told)
{
    struct observer *observer = context;
    struct observer_board *board = observer->board;
    struct thief_event event = *told;
    if (event.thread >= THIEF_THREADS_MAX || event.kind >= THIEF_KINDS ||
        event.epoch != observer->settings->watched[event.thread].epoch || !trim_sleep(observer, &event)) {
        return;
    }
    struct observer_thread *thread = &board->thread[event.thread];
    thief_make_plain(event.name, sizeof(event.name)); /* anybody may call his program as he likes */
    hist_record(&board->lasted[event.kind], event.ns);
    ring_count_add(&thread->count[event.kind], 1);
    ring_count_add(&thread->ns[event.kind], event.ns);
    if (event.ns > thread->longest_ns[event.kind]) {
        ring_count_set(&thread->longest_ns[event.kind], event.ns);
    }
    ring_count_add(&board->told, 1);
    /* That a sleeper is taken up from an idle core is a matter of course with workers that wait. */
    if (event.kind != THIEF_WAKE || event.thread == 0 || event.ns > STALL_NS) {
        struct observer_log *log = &board->log[event.thread == 0 ? OBSERVER_LOG_CONTROL : OBSERVER_LOG_OTHERS];
        log->event[log->events % OBSERVER_LOG] = event;
        __atomic_store_n(&log->events, log->events + 1, __ATOMIC_RELEASE);
    }
}

void observer_count(struct observer *observer, const struct thief_counts *counts, uint64_t now_ns)
{
    uint64_t lost = __atomic_load_n(&counts->lost, __ATOMIC_RELAXED);
    if (lost != observer->lost) {
        observer->lost = lost;
        observer->lost_ns = now_ns;
    }
    ring_count_set(&observer->board->lost, lost);
    ring_count_set(&observer->board->brief, __atomic_load_n(&counts->brief, __ATOMIC_RELAXED));
}

/* The place of this name: a thread that is started again gets its old one, and its sums go on. Control's is the
 * first. THIEF_THREADS_MAX: there is none left. */
static uint32_t place_of(struct observer_board *board, const char *name)
{
    uint32_t i = 0;
    while (i < board->threads && strncmp(board->thread[i].name, name, sizeof(board->thread[i].name)) != 0) {
        i++;
    }
    if (i == board->threads && i < THIEF_THREADS_MAX) {
        snprintf(board->thread[i].name, sizeof(board->thread[i].name), "%s", name);
        __atomic_store_n(&board->threads, i + 1, __ATOMIC_RELEASE);
    }
    return i;
}

/* limit_ns: how much too long it may sleep; 0: it may wait for as long as it likes. */
static void watch_thread(struct observer *observer, const char *name, uint64_t tid, uint64_t started_tai_ns,
                         uint64_t sleep_us, uint64_t limit_ns)
{
    uint32_t place = place_of(observer->board, name);
    if (place == THIEF_THREADS_MAX) {
        return;
    }
    struct observer_thread *thread = &observer->board->thread[place];
    if (thread->tid != tid || thread->started_tai_ns != started_tai_ns) {
        int code = thief_table_set(observer->settings, place, (uint32_t)tid, sleep_us * CLOCK_NS_PER_US, limit_ns);
        thread->started_tai_ns = started_tai_ns;
        thread->sleep_us = sleep_us;
        ring_count_set(&thread->tid, code == 0 ? tid : 0);
        if (place == 0) { /* control: what was before is not known */
            observer->first_event_ns = observer->now_ns;
        }
    }
}

static void watch_worker(struct observer *observer, const struct worker_board *worker)
{
    uint64_t started = __atomic_load_n(&worker->common.started_tai_ns, __ATOMIC_ACQUIRE);
    uint32_t threads = __atomic_load_n(&worker->threads, __ATOMIC_ACQUIRE);
    char name[RING_NAME_BYTES];
    if (threads == 0) {
        uint64_t tid = __atomic_load_n(&worker->common.pid, __ATOMIC_ACQUIRE);
        snprintf(name, sizeof(name), "%.31s", worker->common.name);
        watch_thread(observer, name, tid, started, 0, 0);
    }
    for (uint32_t i = 0; i < threads && i < PLAN_THREADS_MAX; i++) {
        uint64_t tid = __atomic_load_n(&worker->thread[i].tid, __ATOMIC_ACQUIRE);
        snprintf(name, sizeof(name), "%.20s/poll-%u", worker->common.name, i);
        watch_thread(observer, name, tid, started, 0, 0);
    }
}

void observer_scan(struct observer *observer, uint64_t now_ns)
{
    const struct thread_plan *plan = &observer->table->thread;
    const struct board *control = &observer->control->common;
    uint64_t sleep_us = plan->idle != IDLE_BUSY ? plan->sleep_us : 0;
    if (observer->settings == NULL) {
        return;
    }
    observer->now_ns = now_ns;
    watch_thread(observer, "control", __atomic_load_n(&control->pid, __ATOMIC_ACQUIRE),
                 __atomic_load_n(&control->started_tai_ns, __ATOMIC_ACQUIRE), sleep_us, SLEEP_LATE_NS);
    for (uint32_t i = 0; i < observer->workers; i++) {
        watch_worker(observer, observer->worker[i]);
    }
}

static void keep_worst(struct observer_board *board, const struct observer_finding *finding)
{
    uint32_t kind = finding->late.kind;
    struct observer_finding *worst = board->worst[kind];
    uint64_t ns = finding->late.to_ns - finding->late.from_ns;
    uint32_t at = board->worst_count[kind];
    while (at > 0 && worst[at - 1].late.to_ns - worst[at - 1].late.from_ns < ns) {
        at--;
    }
    if (at == OBSERVER_WORST) {
        return;
    }
    uint32_t last = board->worst_count[kind] < OBSERVER_WORST ? board->worst_count[kind]++ : OBSERVER_WORST - 1;
    for (uint32_t i = last; i > at; i--) {
        worst[i] = worst[i - 1];
    }
    worst[at] = *finding;
}

/* An observer that died while it wrote has left one slot of the latest that nobody knows, and the worst in the
 * middle of being moved up: those are told anew from the latest that are whole. */
static void mend(struct observer_board *board)
{
    if (board->version % 2 == 0) {
        return;
    }
    memset(&board->latest[board->findings % OBSERVER_LATEST], 0, sizeof(board->latest[0]));
    memset(board->worst_count, 0, sizeof(board->worst_count));
    for (uint32_t i = 0; i < OBSERVER_LATEST; i++) {
        if (board->latest[i].late.to_ns != 0 && board->latest[i].late.kind < LATE_KINDS) {
            keep_worst(board, &board->latest[i]);
        }
    }
    board->version++;
}

/* What control logged while nobody looked: what took its time then is not known any more. */
static uint64_t passed_over(const struct observer_board *board, uint64_t count)
{
    if (board->findings == 0) {
        return 0;
    }
    uint64_t last = board->latest[(board->findings - 1) % OBSERVER_LATEST].number + 1;
    return count > last ? count - last : 0;
}

void observer_begin(struct observer *observer, uint64_t now_ns)
{
    struct observer_board *board = observer->board;
    for (uint32_t i = 0; i < THIEF_THREADS_MAX; i++) { /* what another one watched is not watched by us */
        board->thread[i].tid = 0;
        board->thread[i].started_tai_ns = 0;
        board->thread[i].name[sizeof(board->thread[i].name) - 1] = 0;
    }
    board->threads = board->threads <= THIEF_THREADS_MAX ? board->threads : 0;
    mend(board);
    for (uint32_t kind = 0; kind < LATE_KINDS; kind++) {
        board->worst_count[kind] = board->worst_count[kind] <= OBSERVER_WORST ? board->worst_count[kind] : 0;
    }
    observer->first_event_ns = now_ns;
    uint64_t count = __atomic_load_n(&observer->control->late.count, __ATOMIC_ACQUIRE);
    observer->seen = board->findings == 0 ? 0 : count;
    ring_count_add(&board->missed, passed_over(board, count));
    board->state = observer->settings != NULL ? OBSERVER_WATCHING : OBSERVER_BLIND;
}

/* The events of control that overlap, by when they began. Those that end later stand later in the log;
 * how far back one has to look is said by the log itself. */
static uint32_t overlapping(const struct observer_board *board, uint64_t from_ns, uint64_t to_ns,
                            const struct thief_event *found[OVERLAPPING_MAX])
{
    const struct observer_log *log = &board->log[OBSERVER_LOG_CONTROL];
    uint64_t oldest = log->events > OBSERVER_LOG ? log->events - OBSERVER_LOG : 0;
    uint32_t count = 0;
    for (uint64_t n = log->events; n > oldest && count < OVERLAPPING_MAX; n--) {
        const struct thief_event *event = &log->event[(n - 1) % OBSERVER_LOG];
        if (event->from_ns >= to_ns || event->from_ns + event->ns <= from_ns) {
            continue;
        }
        uint32_t at = count++;
        for (; at > 0 && found[at - 1]->from_ns > event->from_ns; at--) {
            found[at] = found[at - 1];
        }
        found[at] = event;
    }
    return count;
}

/* The loop's own gaps around: where it stood still, by its own clock. Apart from each other: a gap is between two
 * looks at the clock. */
static uint32_t gaps_around(const struct observer *observer, uint64_t number, const struct late_entry *late,
                            struct stall_span spans[SPANS_MAX])
{
    const struct late_log *log = &observer->control->late;
    uint64_t sleep_ns = observer->board->thread[0].sleep_us * CLOCK_NS_PER_US;
    /* What a frame takes is measured: half of the cycles that found something took no longer. */
    uint64_t frame_ns = hist_quantile_ns(&observer->control->hop[HOP_BUSY], 0.5);
    uint64_t count = __atomic_load_n(&log->count, __ATOMIC_ACQUIRE);
    uint64_t oldest = number > SPANS_BACK ? number - SPANS_BACK : 0;
    uint64_t newest = number + SPANS_BACK < count ? number + SPANS_BACK : count;
    uint32_t found = 0;
    for (uint64_t n = oldest; n < newest && found < SPANS_MAX; n++) {
        struct late_entry entry = log->entry[n % LATE_ENTRIES];
        if (entry.kind != LATE_LOOP || entry.from_ns >= late->to_ns || entry.to_ns <= late->from_ns) {
            continue;
        }
        bool known = false; /* the worst of a second is logged when it ends, beside what is over the limit */
        for (uint32_t i = 0; i < found; i++) {
            known = known || spans[i].from_ns == entry.from_ns;
        }
        if (!known) {
            spans[found++] =
                (struct stall_span){entry.from_ns, entry.to_ns, sleep_ns + OWN_WORK_NS + entry.frames * frame_ns};
        }
    }
    return found;
}

/* All that happened then is known. */
static bool is_known(const struct observer *observer, const struct late_entry *late, uint32_t events)
{
    const struct observer_log *log = &observer->board->log[OBSERVER_LOG_CONTROL];
    uint64_t oldest_ns = observer->first_event_ns;
    if (log->events > OBSERVER_LOG) {
        const struct thief_event *oldest = &log->event[log->events % OBSERVER_LOG];
        oldest_ns = oldest->from_ns + oldest->ns;
    }
    /* Without a core of its own it is given from one to another, and not all of that can be followed. */
    return observer->settings != NULL && observer->board->thread[0].tid != 0 &&
           observer->control->common.core >= 0 && late->from_ns > oldest_ns && events < OVERLAPPING_MAX &&
           (observer->lost_ns == 0 || late->from_ns > observer->lost_ns);
}

static void judge(struct observer *observer, uint64_t number, struct observer_finding *finding)
{
    const struct observer_board *board = observer->board;
    const struct thief_event *events[OVERLAPPING_MAX];
    struct stall_span spans[SPANS_MAX];
    const struct late_entry *late = &finding->late;
    uint32_t count = overlapping(board, late->from_ns, late->to_ns, events);
    uint32_t gaps = gaps_around(observer, number, late, spans);
    bool complete = is_known(observer, late, count);
    /* A gap that nobody was there to explain is nobody's. */
    culprits_find(events, count, spans, complete ? gaps : 0, late->from_ns, late->to_ns, &finding->verdict);
    finding->complete = complete;
}

static void publish(struct observer_board *board, const struct observer_finding *finding)
{
    /* An exchange: nothing below may be seen before it. */
    (void)__atomic_exchange_n(&board->version, board->version + 1, __ATOMIC_ACQ_REL);
    ring_writes_behind();
    board->latest[board->findings % OBSERVER_LATEST] = *finding;
    keep_worst(board, finding);
    ring_count_add(&board->judged[finding->late.kind], 1);
    ring_count_add(&board->over[finding->late.kind], finding->late.over);
    __atomic_store_n(&board->findings, board->findings + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&board->version, board->version + 1, __ATOMIC_RELEASE);
}

void observer_judge(struct observer *observer, uint64_t now_ns)
{
    const struct late_log *log = &observer->control->late;
    uint64_t count = __atomic_load_n(&log->count, __ATOMIC_ACQUIRE);
    if (count > observer->seen + LATE_ENTRIES - 1) {
        ring_count_add(&observer->board->missed, count - (LATE_ENTRIES - 1) - observer->seen);
        observer->seen = count - (LATE_ENTRIES - 1);
    }
    for (; observer->seen < count; observer->seen++) {
        struct observer_finding finding = {.number = observer->seen,
                                           .late = log->entry[observer->seen % LATE_ENTRIES]};
        ring_reads_before();
        if (__atomic_load_n(&log->count, __ATOMIC_ACQUIRE) - observer->seen >= LATE_ENTRIES) {
            ring_count_add(&observer->board->missed, 1); /* overwritten while it was copied */
            continue;
        }
        if (finding.late.kind >= LATE_KINDS || finding.late.to_ns < finding.late.from_ns) {
            continue;
        }
        if (finding.late.to_ns + OBSERVER_SETTLED_NS > now_ns) {
            return;
        }
        judge(observer, observer->seen, &finding);
        publish(observer->board, &finding);
    }
}

/* Copies while `version` stands still. */
static int read_findings(const struct observer_board *board, const struct observer_finding *from,
                         const uint32_t *count, struct observer_findings *findings)
{
    for (int i = 0; i < READ_TRIES; i++) {
        uint64_t before = __atomic_load_n(&board->version, __ATOMIC_ACQUIRE);
        if (before % 2 != 0) {
            continue;
        }
        uint32_t n = count != NULL                       ? *count
                     : board->findings < OBSERVER_LATEST ? (uint32_t)board->findings
                                                         : OBSERVER_LATEST;
        uint32_t room = count != NULL ? OBSERVER_WORST : OBSERVER_LATEST;
        n = n < room ? n : room;
        uint64_t first = count != NULL ? 0 : board->findings - n;
        findings->count = 0;
        for (uint32_t f = 0; f < n; f++) {
            findings->finding[findings->count] = from[(first + f) % room];
            findings->count += findings->finding[findings->count].late.to_ns != 0; /* see mend */
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&board->version, __ATOMIC_RELAXED) == before) {
            return 0;
        }
    }
    return -EAGAIN;
}

int observer_read_worst(const struct observer_board *board, enum late_kind kind, struct observer_findings *findings)
{
    return read_findings(board, board->worst[kind], &board->worst_count[kind], findings);
}

int observer_read_latest(const struct observer_board *board, struct observer_findings *findings)
{
    return read_findings(board, board->latest, NULL, findings);
}
