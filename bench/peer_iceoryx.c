/* iceoryx 2 through its C binding: chunks of shared memory, loaned, filled in place and published; lossless (the
 * publisher waits for the subscriber). It needs its daemon, iox-roudi, which is started here and ended by its
 * process number. On SIGTERM it takes its shared memory along, unless a process that it knows has died unnoticed:
 * then it aborts, and its memory is removed here. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
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

#define DAEMON_START_MS   10000
#define DAEMON_STOP_MS    10000
#define SOCKETS           "sluice-bench-iox-%d-" /* and a role and a process; in /tmp */
#define CONNECT_MS        5000
#define PUBLISHER_STOP_MS 1000

static pid_t daemon_pid;
static int daemon_log = -1;  /* what it has said */
static pid_t daemon_starter; /* the bench itself, in all its children */

struct iceoryx {
    struct link_spec spec;
    iox_pub_storage_t publisher_storage;
    iox_sub_storage_t subscriber_storage;
    iox_pub_t publisher;
    iox_sub_t subscriber;
};

/* ---- The daemon. */

static void read_log(char *words, size_t bytes)
{
    ssize_t n = pread(daemon_log, words, bytes - 1, 0);
    words[n > 0 ? n : 0] = 0;
}

static bool says_ready(void)
{
    char words[4096];
    read_log(words, sizeof(words));
    return strstr(words, "ready for clients") != NULL;
}

/* Its words name each segment: "Reserving 4096 bytes in the shared memory [name]". */
static void remove_segments(void)
{
    static const char before[] = "in the shared memory [";
    char words[4096];
    read_log(words, sizeof(words));
    for (char *at = strstr(words, before); at != NULL; at = strstr(at, before)) {
        char name[128];
        at += sizeof(before) - 1;
        snprintf(name, sizeof(name), "/%.*s", (int)strcspn(at, "]"), at);
        shm_unlink(name);
    }
}

/* Each process that was registered leaves a socket and a lock, and so does the daemon; there is one on a machine.
 */
static void remove_sockets(void)
{
    static const char *const own[] = {"/tmp/roudi", "/tmp/roudi.lock", "/tmp/iox-unique-roudi.lock"};
    char pattern[64];
    glob_t found = {0};
    snprintf(pattern, sizeof(pattern), "/tmp/" SOCKETS "*", (int)daemon_starter);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            unlink(found.gl_pathv[i]);
        }
    }
    globfree(&found);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        unlink(own[i]);
    }
}

_Noreturn static void be_daemon(void)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(daemon_log, STDOUT_FILENO);
    dup2(daemon_log, STDERR_FILENO);
    if (getppid() == daemon_starter) {
        execlp("iox-roudi", "iox-roudi", "--log-level", "error", (char *)NULL);
    }
    _exit(127);
}

int iceoryx_daemon_start(struct error *err)
{
    daemon_starter = getpid();
    daemon_log = memfd_create("iox-roudi", MFD_CLOEXEC);
    daemon_pid = daemon_log >= 0 ? fork() : -1;
    if (daemon_pid == 0) {
        be_daemon();
    }
    bool ready = false;
    bool alive = daemon_pid > 0;
    for (int ms = 0; ms < DAEMON_START_MS && alive && !ready; ms += 10) {
        usleep(10000);
        ready = says_ready();
        alive = waitpid(daemon_pid, NULL, WNOHANG) == 0;
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
    int status = 0;
    kill(daemon_pid, SIGTERM);
    for (int ms = 0; waitpid(daemon_pid, &status, WNOHANG) == 0; ms += 10) {
        usleep(10000);
        if (ms == DAEMON_STOP_MS) {
            kill(daemon_pid, SIGKILL);
        }
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        remove_segments();
    }
    remove_sockets();
    close(daemon_log);
    daemon_pid = 0;
}

/* ---- One process's ends. */

/* The process registers with the first of its links, and takes its leave with the last. */
static uint32_t links;

static void runtime_enter(const char *role)
{
    if (links++ == 0) {
        char name[64];
        snprintf(name, sizeof(name), SOCKETS "%s-%d", (int)daemon_starter, role, (int)getpid());
        iox_set_loglevel(Iceoryx_LogLevel_Off);
        iox_runtime_init(name);
    }
}

static void runtime_leave(void)
{
    if (--links == 0) {
        iox_runtime_shutdown();
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
    runtime_leave();
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
    runtime_enter("both");
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
    uint64_t stop;     /* by the one who watches: the publisher may go */
};

_Noreturn static void be_publisher(const struct link_spec *spec, const char *service, struct death_watch *watch)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct iceoryx x = {.spec = *spec};
    runtime_enter("publisher");
    publish(&x, service);
    while (!iox_pub_has_subscribers(x.publisher)) {
        usleep(1000);
    }
    uint64_t last = tsc_now();
    while (__atomic_load_n(&watch->stop, __ATOMIC_ACQUIRE) == 0) {
        uint64_t sent = watch->sent + iceoryx_send(&x, watch->sent, 1);
        uint64_t now = tsc_now();
        watch->longest = now - last > watch->longest ? now - last : watch->longest;
        last = now;
        __atomic_store_n(&watch->last, now, __ATOMIC_RELEASE);
        __atomic_store_n(&watch->sent, sent, __ATOMIC_RELEASE);
    }
    iox_pub_deinit(x.publisher);
    runtime_leave();
    _exit(0);
}

_Noreturn static void be_subscriber(const struct link_spec *spec, const char *service, struct death_watch *watch)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct iceoryx x = {.spec = *spec};
    struct tally tally = {0};
    runtime_enter("subscriber");
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

static void kill_process(pid_t pid)
{
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

/* A publisher that goes round takes its leave; one that stands still is killed. */
static void end_publisher(pid_t pid, struct death_watch *watch)
{
    __atomic_store_n(&watch->stop, 1, __ATOMIC_RELEASE);
    for (int ms = 0; pid > 0 && ms < PUBLISHER_STOP_MS; ms += 10) {
        if (waitpid(pid, NULL, WNOHANG) != 0) {
            return;
        }
        usleep(10000);
    }
    kill_process(pid);
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
        kill_process(subscriber);
    } else {
        kill_process(subscriber);
        /* Twice the queue past the death, it is not its room that lets the publisher go on. */
        uint64_t until = __atomic_load_n(&watch->sent, __ATOMIC_ACQUIRE) + 2 * queue_of(&spec);
        *capped = !passes(watch, until, cap_s);
        uint64_t stall = *capped ? tsc_now() - watch->last : watch->longest;
        *stall_us = (double)stall / tsc_per_ns() / 1e3;
    }
    end_publisher(publisher, watch);
    munmap(watch, sizeof(*watch));
    return code;
}

const struct peer peer_iceoryx = {"iceoryx",     "",           PEER_OTHER,      iceoryx_open,
                                  iceoryx_close, iceoryx_send, iceoryx_receive, iceoryx_gate_kill};
