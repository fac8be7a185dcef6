#include "daq/poll_threads.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/realtime.h"
#include "ring/clock.h"

#define STACK_BYTES ((size_t)256 * 1024) /* all of it is locked memory */
#define WAIT_NS     (100 * CLOCK_NS_PER_US)
#define PARK_S      3600

static void rest(time_t seconds, uint64_t ns)
{
    clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_sec = seconds, .tv_nsec = (long)ns}, NULL);
}

static uint32_t state_of(const struct poll_thread *thread)
{
    return __atomic_load_n(&thread->state, __ATOMIC_ACQUIRE);
}

static void set_state(struct poll_thread *thread, enum poll_state state)
{
    __atomic_store_n(&thread->state, (uint32_t)state, __ATOMIC_RELEASE);
}

void poll_threads_init(struct poll_threads *threads, const struct worker_plan *plan, struct worker_board *board)
{
    memset(threads, 0, sizeof(*threads));
    threads->plan = plan;
    threads->board = board;
    threads->count = plan_threads(plan);
    board->threads = 0;
    memset(board->thread, 0, sizeof(board->thread));
    pthread_getname_np(pthread_self(), board->thread[0].name, sizeof(board->thread[0].name));
    for (uint32_t i = 0; i < threads->count; i++) {
        threads->thread[i].all = threads;
        threads->thread[i].index = i;
        board->thread[i].core = -1;
    }
}

/* Before its seal: what the thread is to the system. */
static int prepare(struct poll_thread *thread)
{
    struct poll_threads *all = thread->all;
    struct worker_thread *part = &all->board->thread[thread->index];
    struct thread_plan plan = all->plan->thread;
    struct realtime_thread got;
    plan.core = all->plan->thread_core[thread->index];
    snprintf(part->name, sizeof(part->name), "sluice-poll-%u", thread->index);
    pthread_setname_np(pthread_self(), part->name);
    part->tid = (uint64_t)gettid();
    realtime_enter_thread(&plan, &all->board->common, &got);
    part->core = got.core;
    part->policy = got.policy;
    part->priority = got.priority;
    int code = all->work->begin(all->context, thread->index, &thread->err);
    if (code == 0) {
        part->sealed = seal_thread(thread->profile, plan.seal != 0, &all->board->common);
    }
    return code;
}

static void *thread_main(void *argument)
{
    struct poll_thread *thread = argument;
    struct poll_threads *all = thread->all;
    if (prepare(thread) != 0) {
        set_state(thread, POLL_FAILED);
        return NULL; /* unsealed: it may */
    }
    set_state(thread, POLL_READY);
    while (__atomic_load_n(&all->order, __ATOMIC_ACQUIRE) == POLL_WAIT) {
        rest(0, WAIT_NS);
    }
    all->work->run(all->context, thread->index);
    if (!poll_threads_stopping(all)) {
        _exit(1); /* never half a worker */
    }
    set_state(thread, POLL_DONE);
    for (;;) { /* a thread that ends makes calls that the seal does not list; it ends with the process, soon */
        rest(PARK_S, 0);
    }
}

/* Signals are for the threads that were there before. */
static int create(struct poll_thread *thread)
{
    pthread_attr_t attributes;
    pthread_t id;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = -pthread_create(&id, &attributes, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return code;
}

int poll_threads_start(struct poll_threads *threads, enum seal_profile profile, const struct poll_work *work,
                       void *context, struct error *err)
{
    threads->work = work;
    threads->context = context;
    for (uint32_t i = 1; i < threads->count; i++) {
        struct poll_thread *thread = &threads->thread[i];
        thread->profile = profile;
        int code = create(thread);
        if (code != 0) {
            return error_set(err, code, "cannot start polling thread %u of %u: %s", i + 1, threads->count,
                             strerror(-code));
        }
        while (state_of(thread) == POLL_STARTS) { /* one at a time: the board and EAL's lists are for one */
            rest(0, WAIT_NS);
        }
        if (state_of(thread) == POLL_FAILED) {
            *err = thread->err;
            return -EIO;
        }
    }
    return 0;
}

/* The first thread's own part tells of it what the board does. */
void poll_threads_go(struct poll_threads *threads)
{
    struct worker_board *board = threads->board;
    struct worker_thread *own = &board->thread[0];
    if (threads->count > 1) {
        bool sealed = board->common.sealed != 0;
        own->tid = board->common.pid; /* sealed: it cannot be asked */
        own->core = board->common.core;
        own->policy = board->common.policy;
        own->priority = board->common.priority;
        own->sealed = sealed;
        for (uint32_t i = 1; i < threads->count; i++) {
            sealed = sealed && board->thread[i].sealed != 0;
        }
        __atomic_store_n(&board->common.sealed, sealed, __ATOMIC_RELEASE);
        __atomic_store_n(&board->threads, threads->count, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&threads->order, POLL_GO, __ATOMIC_RELEASE);
}

void poll_threads_stop(struct poll_threads *threads)
{
    __atomic_store_n(&threads->order, POLL_STOP, __ATOMIC_RELEASE);
}

void poll_threads_join(struct poll_threads *threads)
{
    for (uint32_t i = 1; i < threads->count; i++) {
        while (state_of(&threads->thread[i]) != POLL_DONE) {
            rest(0, WAIT_NS);
        }
    }
}

bool poll_threads_all_round(struct poll_threads *threads, uint64_t *oldest_ns)
{
    const struct worker_thread *part = threads->board->thread;
    for (uint32_t i = 1; i < threads->count; i++) {
        if (__atomic_load_n(&part[i].heartbeat, __ATOMIC_ACQUIRE) == threads->seen[i]) {
            return false;
        }
    }
    for (uint32_t i = 1; i < threads->count; i++) {
        threads->seen[i] = __atomic_load_n(&part[i].heartbeat, __ATOMIC_ACQUIRE);
        uint64_t ns = __atomic_load_n(&part[i].heartbeat_ns, __ATOMIC_RELAXED);
        *oldest_ns = ns < *oldest_ns ? ns : *oldest_ns;
    }
    return true;
}
