/* iceoryx 2 through its C binding: chunks of shared memory, loaned, filled in place and published; lossless (the
 * publisher waits for the subscriber). It needs its daemon, iox-roudi, which is started here and ended by its
 * process number; on SIGTERM it takes its shared memory along. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iceoryx_binding_c/config.h>
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>

#include "bench/peer.h"
#include "bench/tsc.h"

#define DAEMON_START_MS 10000
#define DAEMON_STOP_MS  10000
#define CONNECT_MS      5000

static pid_t daemon_pid;

struct iceoryx {
    struct link_spec spec;
    iox_pub_storage_t publisher_storage;
    iox_sub_storage_t subscriber_storage;
    iox_pub_t publisher;
    iox_sub_t subscriber;
};

/* ---- The daemon. */

static bool says_ready(int log)
{
    char words[4096];
    ssize_t n = pread(log, words, sizeof(words) - 1, 0);
    words[n > 0 ? n : 0] = 0;
    return strstr(words, "ready for clients") != NULL;
}

int iceoryx_daemon_start(struct error *err)
{
    int log = memfd_create("iox-roudi", MFD_CLOEXEC);
    pid_t parent = getpid();
    daemon_pid = log >= 0 ? fork() : -1;
    if (daemon_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        if (getppid() == parent) {
            execlp("iox-roudi", "iox-roudi", "--log-level", "error", (char *)NULL);
        }
        _exit(127);
    }
    bool ready = false;
    bool alive = daemon_pid > 0;
    for (int ms = 0; ms < DAEMON_START_MS && alive && !ready; ms += 10) {
        usleep(10000);
        ready = says_ready(log);
        alive = waitpid(daemon_pid, NULL, WNOHANG) == 0;
    }
    if (log >= 0) {
        close(log);
    }
    if (ready && alive) {
        return 0;
    }
    if (alive) {
        iceoryx_daemon_stop();
    }
    daemon_pid = 0;
    return error_set(
        err, -ECHILD,
        "expected iox-roudi to become ready, it %s; is the package iceoryx installed, and does no other "
        "iox-roudi run?",
        alive ? "did not within 10 s" : "ended");
}

void iceoryx_daemon_stop(void)
{
    if (daemon_pid <= 0) {
        return;
    }
    kill(daemon_pid, SIGTERM);
    int ms = 0;
    while (waitpid(daemon_pid, NULL, WNOHANG) == 0) {
        usleep(10000);
        ms += 10;
        if (ms == DAEMON_STOP_MS) {
            kill(daemon_pid, SIGKILL);
        }
    }
    if (ms >= DAEMON_STOP_MS) {
        shm_unlink("/iceoryx_mgmt");
        fprintf(stderr, "iox-roudi had to be killed: look for its segments in /dev/shm\n");
    }
    daemon_pid = 0;
}

/* ---- One process's ends. */

/* Once per process. */
static void runtime_start(const char *role)
{
    static bool started;
    if (!started) {
        char name[64];
        snprintf(name, sizeof(name), "sluice-bench-%s-%d", role, (int)getpid());
        iox_set_loglevel(Iceoryx_LogLevel_Off);
        iox_runtime_init(name);
        started = true;
    }
}

static uint64_t queue_of(const struct link_spec *spec)
{
    uint64_t slots = bench_slots(spec->size_bytes);
    uint64_t most = iox_cfg_max_subscriber_queue_capacity();
    return slots < most ? slots : most;
}

static void subscribe(struct iceoryx *x, const char *service)
{
    iox_sub_options_t options;
    iox_sub_options_init(&options);
    options.queueCapacity = queue_of(&x->spec);
    options.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
    x->subscriber = iox_sub_init(&x->subscriber_storage, "sluice-bench", service, "frames", &options);
}

static void publish(struct iceoryx *x, const char *service)
{
    iox_pub_options_t options;
    iox_pub_options_init(&options);
    options.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
    x->publisher = iox_pub_init(&x->publisher_storage, "sluice-bench", service, "frames", &options);
}

static void iceoryx_close(void *link)
{
    struct iceoryx *x = link;
    if (x->publisher != NULL) {
        iox_pub_deinit(x->publisher);
    }
    if (x->subscriber != NULL) {
        iox_sub_deinit(x->subscriber);
    }
    free(x);
}

static void *iceoryx_open(const struct link_spec *spec, struct error *err)
{
    if (daemon_pid <= 0) {
        error_set(err, -ECHILD, "not available: iox-roudi does not run");
        return NULL;
    }
    struct iceoryx *x = calloc(1, sizeof(*x));
    if (x == NULL) {
        error_set(err, -ENOMEM, "no memory for a publisher");
        return NULL;
    }
    char service[48];
    snprintf(service, sizeof(service), "%d-%u", (int)getpid(), spec->id);
    x->spec = *spec;
    runtime_start("both");
    subscribe(x, service);
    publish(x, service);
    for (int ms = 0; ms < CONNECT_MS && !iox_pub_has_subscribers(x->publisher); ms++) {
        usleep(1000);
    }
    if (!iox_pub_has_subscribers(x->publisher)) {
        error_set(err, -ETIMEDOUT, "iceoryx: expected publisher and subscriber to meet within %d ms", CONNECT_MS);
        iceoryx_close(x);
        return NULL;
    }
    return x;
}

static uint32_t iceoryx_send(void *link, uint64_t first, uint32_t count)
{
    struct iceoryx *x = link;
    for (uint32_t i = 0; i < count; i++) {
        void *payload;
        if (iox_pub_loan_chunk(x->publisher, &payload, x->spec.size_bytes) != AllocationResult_SUCCESS) {
            return i;
        }
        payload_fill(payload, x->spec.size_bytes, payload_base(x->spec.seed, first + i));
        iox_pub_publish_chunk(x->publisher, payload);
    }
    return count;
}

static uint32_t iceoryx_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct iceoryx *x = link;
    (void)reader;
    uint32_t n = 0;
    const void *payload;
    while (n < max && iox_sub_take_chunk(x->subscriber, &payload) == ChunkReceiveResult_SUCCESS) {
        tally_payload(tally, &x->spec, payload);
        iox_sub_release_chunk(x->subscriber, payload);
        n++;
    }
    return n;
}

/* ---- kill -9 of a subscriber whose publisher waits for it: two processes, and this one watches. */

struct death_watch {
    uint64_t sent; /* by the publisher */
    uint64_t last; /* ticks, by the publisher: when it last came round */
    uint64_t longest;
    uint64_t received; /* by the subscriber */
};

_Noreturn static void be_publisher(const struct link_spec *spec, const char *service, struct death_watch *watch)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct iceoryx x = {.spec = *spec};
    runtime_start("publisher");
    publish(&x, service);
    while (!iox_pub_has_subscribers(x.publisher)) {
        usleep(1000);
    }
    uint64_t last = tsc_now();
    for (;;) {
        uint64_t sent = watch->sent + iceoryx_send(&x, watch->sent, 1);
        uint64_t now = tsc_now();
        watch->longest = now - last > watch->longest ? now - last : watch->longest;
        last = now;
        __atomic_store_n(&watch->last, now, __ATOMIC_RELEASE);
        __atomic_store_n(&watch->sent, sent, __ATOMIC_RELEASE);
    }
}

_Noreturn static void be_subscriber(const struct link_spec *spec, const char *service, struct death_watch *watch)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct iceoryx x = {.spec = *spec};
    struct tally tally = {0};
    runtime_start("subscriber");
    subscribe(&x, service);
    for (;;) {
        iceoryx_receive(&x, 0, &tally, 1);
        __atomic_store_n(&watch->received, tally.frames, __ATOMIC_RELEASE);
    }
}

/* Waits until the publisher has passed frame `until` and goes round, or for cap_s. False: the cap. */
static bool passes(const struct death_watch *watch, uint64_t until, double cap_s)
{
    uint64_t end = clock_monotonic_ns() + (uint64_t)(cap_s * 1e9);
    while (clock_monotonic_ns() < end) {
        if (__atomic_load_n(&watch->sent, __ATOMIC_ACQUIRE) > until) {
            return true;
        }
        usleep(1000);
    }
    return false;
}

static pid_t end_process(pid_t pid)
{
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return 0;
}

static int iceoryx_gate_kill(double cap_s, double *stall_us, bool *capped, struct error *err)
{
    struct link_spec spec = {.size_bytes = PAYLOAD_SMALL_BYTES, .batch = 1, .readers = 1};
    struct death_watch *watch =
        mmap(NULL, sizeof(*watch), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (daemon_pid <= 0 || watch == MAP_FAILED) {
        return error_set(err, -ENOTSUP, "not available: iox-roudi does not run");
    }
    char service[48];
    snprintf(service, sizeof(service), "%d-death", (int)getpid());
    pid_t subscriber = fork();
    if (subscriber == 0) {
        be_subscriber(&spec, service, watch);
    }
    pid_t publisher = fork();
    if (publisher == 0) {
        be_publisher(&spec, service, watch);
    }
    int code = 0;
    if (!passes(watch, 1000, CONNECT_MS / 1e3) || __atomic_load_n(&watch->received, __ATOMIC_ACQUIRE) == 0) {
        code = error_set(err, -ETIMEDOUT, "iceoryx: expected 1000 frames within %d ms", CONNECT_MS);
        subscriber = end_process(subscriber);
    } else {
        subscriber = end_process(subscriber);
        /* Twice the queue past the death, it is not its room that lets the publisher go on. */
        uint64_t until = __atomic_load_n(&watch->sent, __ATOMIC_ACQUIRE) + 2 * queue_of(&spec);
        *capped = !passes(watch, until, cap_s);
        uint64_t stall = *capped ? tsc_now() - watch->last : watch->longest;
        *stall_us = (double)stall / tsc_per_ns() / 1e3;
    }
    end_process(publisher);
    munmap(watch, sizeof(*watch));
    return code;
}

const struct peer peer_iceoryx = {"iceoryx",     "",           PEER_OTHER,      iceoryx_open,
                                  iceoryx_close, iceoryx_send, iceoryx_receive, iceoryx_gate_kill};
