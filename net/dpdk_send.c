#include "net/dpdk_send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "net/dpdk_arguments.h"
#include "net/dpdk_bind.h"
#include "net/dpdk_grace.h"
#include "ring/clock.h"

#define PROGRAM         "sluice-gen"
#define LOG_LINES       12   /* of EAL, when it fails */
#define EAL_MB          64u  /* EAL's and the drivers' own */
#define POOL_CACHE      256u /* buffers that come back are the next to go: they are still in the core's cache */
#define RECEIVE_BUFFERS 512u /* some drivers want a queue for that, too; nothing is taken out of it */
#define RECEIVE_DEPTH   64u
#define LOOK_NS         (20 * CLOCK_NS_PER_MS)
#define RETRY_NS        (50 * CLOCK_NS_PER_MS)
#define REVIVE_NS       (300 * CLOCK_NS_PER_MS) /* a vain try takes some 50 ms, in which nothing is sent */
#define CONNECT_NS      (2 * CLOCK_NS_PER_S)    /* from a start to its link, which takes milliseconds */
#define SAY_AFTER_NS    (500 * CLOCK_NS_PER_MS)

struct dpdk_send {
    uint16_t id;
    bool started;
    bool was_down;                        /* until a frame is taken again */
    void (*work)(struct dpdk_send *port); /* what DPDK's thread for events was asked to do */
    uint32_t is_done;
    struct rte_mempool *pool, *receive_pool;
    struct rte_mbuf *batch[DPDK_SEND_BATCH_MAX];
    uint64_t look_ns; /* when the link is looked at again */
    struct dpdk_grace grace;
    struct dpdk_send_counts counts;
    struct dpdk_send_spec spec;
    char about[128];
};

static uint32_t room_bytes(const struct dpdk_send_spec *spec)
{
    return (spec->frame_bytes_max + RTE_PKTMBUF_HEADROOM + 63) / 64 * 64;
}

/* A memif ring has its own size, whatever its queue is asked for. */
static uint32_t depth_of(const struct dpdk_send_spec *spec)
{
    const char *at = strstr(spec->port, ",rsize=");
    unsigned long bits = at != NULL ? strtoul(at + strlen(",rsize="), NULL, 10) : 0;
    return bits <= 15 && 1u << bits > spec->descriptors ? 1u << bits : spec->descriptors;
}

/* What the port may hold, what lies in our hand, and what the pool's cache keeps back. */
static uint32_t buffers_of(const struct dpdk_send_spec *spec)
{
    return 2 * depth_of(spec) + 2 * DPDK_SEND_BATCH_MAX + 2 * POOL_CACHE;
}

static uint32_t memory_mb(const struct dpdk_send_spec *spec)
{
    uint64_t bytes = (uint64_t)buffers_of(spec) * (room_bytes(spec) + 256);
    return EAL_MB + (uint32_t)(bytes >> 20);
}

/* False: on pages of 4 KiB. */
static bool fill_arguments(struct dpdk_arguments *a, const struct dpdk_send_spec *spec, bool physical)
{
    char core[16];
    snprintf(core, sizeof(core), "%d", spec->core);
    dpdk_arguments_begin(a, PROGRAM, spec->core >= 0 ? core : NULL);
    bool huge = dpdk_arguments_memory(a, PROGRAM, memory_mb(spec));
    dpdk_arguments_port(a, spec->port);
    dpdk_arguments_end(a, physical);
    return huge;
}

/* EAL and its drivers say why in their own log: into memory, so that it is shown if it is wanted. */
static FILE *open_log(char **text, size_t *bytes)
{
    FILE *log = open_memstream(text, bytes);
    if (log != NULL) {
        rte_openlog_stream(log);
    }
    return log;
}

/* The last lines of it, if any are wanted: each vain try says the same again. */
static void close_log(FILE *log, char **text, uint32_t lines)
{
    rte_openlog_stream(stderr);
    if (log != NULL) {
        fclose(log);
    }
    if (*text != NULL && lines > 0) {
        const char *from = *text + strlen(*text);
        while (from > *text && (from[-1] != '\n' || from[0] == 0 || lines-- > 1)) {
            from--;
        }
        fputs(from, stderr);
    }
    free(*text);
    *text = NULL;
}

static int no_port(const char *port, struct error *err)
{
    char text[DPDK_PORT_TEXT_BYTES];
    return error_set(err, -ENODEV, "%s", dpdk_port_missing(port, text));
}

/* A virtual device that fails does not make EAL fail. */
static int find_port(struct dpdk_send *p, struct error *err)
{
    char name[DPDK_PORT_NAME_BYTES];
    dpdk_port_name(p->spec.port, name);
    return rte_eth_dev_get_port_by_name(name, &p->id) == 0 ? 0 : no_port(p->spec.port, err);
}

/* What EAL does not like it answers with its whole usage on standard output, where our report goes. */
static int init_eal(struct dpdk_arguments *a)
{
    int out = dup(STDOUT_FILENO);
    fflush(stdout);
    if (out >= 0) {
        dup2(STDERR_FILENO, STDOUT_FILENO);
    }
    int code = rte_eal_init(a->argc, a->argv);
    fflush(stdout);
    if (out >= 0) {
        dup2(out, STDOUT_FILENO);
        close(out);
    }
    rmdir(rte_eal_get_runtime_dir()); /* an empty one, made without --in-memory */
    return code;
}

static int start_eal(struct dpdk_send *p, struct error *err)
{
    static struct dpdk_arguments a;
    char *text = NULL;
    size_t bytes = 0;
    if (strlen(p->spec.port) + sizeof("--allow=") > DPDK_ARGUMENT_BYTES) {
        return error_set(err, -EINVAL, "expected a port's arguments of at most %u bytes, found more",
                         DPDK_ARGUMENT_BYTES - 16);
    }
    struct dpdk_bind bind = {.any_pci = false};
    int code = dpdk_bind_port(&bind, DPDK_BIND_SYSFS, p->spec.port, err);
    if (code != 0) {
        return code;
    }
    bool huge = fill_arguments(&a, &p->spec, bind.physical);
    if (!huge && bind.physical) {
        return error_set(err, -ENOMEM,
                         "expected %u MB of huge pages, which are not free: port %s is bound to %s and goes by "
                         "physical addresses; raise /proc/sys/vm/nr_hugepages, or bind it to vfio-pci",
                         memory_mb(&p->spec), p->spec.port, bind.physical_driver);
    }
    if (!huge && strstr(p->spec.port, "zero-copy=yes") != NULL) {
        return error_set(err, -ENOMEM,
                         "a port that lends its buffers wants %u MB of huge pages, which are not free: raise "
                         "/proc/sys/vm/nr_hugepages, or leave out zero-copy=yes",
                         memory_mb(&p->spec));
    }
    FILE *log = open_log(&text, &bytes);
    int failed = init_eal(&a) >= 0 ? find_port(p, err)
                 : rte_errno == ENODEV
                     ? no_port(p->spec.port, err)
                     : error_set(err, rte_errno != 0 ? -rte_errno : -EIO,
                                 "DPDK does not start: %s; the lines above say why", rte_strerror(rte_errno));
    close_log(log, &text, failed != 0 ? LOG_LINES : 0);
    if (failed == 0 && !huge) {
        snprintf(p->about, sizeof(p->about),
                 "no %u MB of huge pages free: on pages of 4 KiB, which cost TLB misses", memory_mb(&p->spec));
    }
    return failed;
}

static int make_pools(struct dpdk_send *p, struct error *err)
{
    uint32_t bytes = room_bytes(&p->spec);
    if (bytes > UINT16_MAX) {
        return error_set(err, -EINVAL, "expected frames of at most %u bytes on a DPDK port, found %u",
                         UINT16_MAX - RTE_PKTMBUF_HEADROOM - 63, p->spec.frame_bytes_max);
    }
    p->pool = rte_pktmbuf_pool_create("send", buffers_of(&p->spec), POOL_CACHE, 0, (uint16_t)bytes, SOCKET_ID_ANY);
    p->receive_pool =
        rte_pktmbuf_pool_create("receive", RECEIVE_BUFFERS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (p->pool == NULL || p->receive_pool == NULL) {
        return error_set(err, -ENOMEM,
                         "DPDK has no memory for %u frames of %u bytes: %s; fewer --descriptors, or more "
                         "huge pages (/proc/sys/vm/nr_hugepages)",
                         buffers_of(&p->spec), bytes, rte_strerror(rte_errno));
    }
    return 0;
}

static int configure(struct dpdk_send *p, struct error *err)
{
    struct rte_eth_conf conf = {0};
    uint16_t receive = RECEIVE_DEPTH;
    uint16_t send = (uint16_t)p->spec.descriptors;
    int failed = rte_eth_dev_configure(p->id, 1, 1, &conf);
    if (failed == 0) {
        rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &receive, &send);
        failed = rte_eth_rx_queue_setup(p->id, 0, receive, SOCKET_ID_ANY, NULL, p->receive_pool);
    }
    if (failed == 0) {
        failed = rte_eth_tx_queue_setup(p->id, 0, send, SOCKET_ID_ANY, NULL);
    }
    return failed == 0 ? 0
                       : error_set(err, failed, "the port %s refuses a queue of %u descriptors each way: %s",
                                   p->spec.port, send, rte_strerror(-failed));
}

static bool is_up(const struct dpdk_send *p)
{
    struct rte_eth_link link = {0};
    return rte_eth_link_get_nowait(p->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

static void rest(void)
{
    struct timespec pause = {.tv_nsec = (long)RETRY_NS};
    nanosleep(&pause, NULL);
}

static void do_work(void *context)
{
    struct dpdk_send *p = context;
    p->work(p);
    __atomic_store_n(&p->is_done, 1, __ATOMIC_RELEASE);
}

/* A port is stopped by the thread that hears of its other end's death, and so never at the same time as it is taken
 * down for that: memif's driver would free its memory twice. */
static void on_event_thread(struct dpdk_send *p, void (*work)(struct dpdk_send *port))
{
    const struct timespec pause = {.tv_nsec = (long)(100 * CLOCK_NS_PER_US)};
    p->work = work;
    __atomic_store_n(&p->is_done, 0, __ATOMIC_RELEASE);
    if (rte_eal_alarm_set(1, do_work, p) != 0) {
        do_work(p);
    }
    while (__atomic_load_n(&p->is_done, __ATOMIC_ACQUIRE) == 0) {
        nanosleep(&pause, NULL);
    }
}

static void restart(struct dpdk_send *p)
{
    if (p->started && is_up(p)) { /* meanwhile */
        return;
    }
    if (p->started) {
        rte_eth_dev_stop(p->id);
    }
    p->started = rte_eth_dev_start(p->id) == 0;
}

/* A memif client cannot be started before its server listens, a vhost server waits for its client: both are asked
 * again, patiently. */
static int start_and_wait(struct dpdk_send *p, struct error *err)
{
    uint64_t begun_ns = clock_monotonic_ns();
    uint64_t tried_ns = begun_ns;
    bool said = false;
    while (*p->spec.stop == 0) {
        uint64_t now_ns = clock_monotonic_ns();
        if (!p->started || clock_elapsed_ns(tried_ns, now_ns) > CONNECT_NS) {
            on_event_thread(p, restart); /* again: what it was connected to may have been about to die */
            tried_ns = now_ns;
        }
        if (p->started && is_up(p)) {
            return 0;
        }
        uint64_t waited_ns = clock_elapsed_ns(begun_ns, clock_monotonic_ns());
        if (waited_ns >= p->spec.wait_s * CLOCK_NS_PER_S) {
            break;
        }
        if (waited_ns >= SAY_AFTER_NS && !said) {
            fprintf(stderr, "sluice-gen: waits for the other end of %s, at most %u s\n", p->spec.port,
                    p->spec.wait_s);
            said = true;
        }
        rest();
    }
    if (*p->spec.stop != 0) {
        return error_set(err, -EINTR, "stopped before the other end of %s was there", p->spec.port);
    }
    return error_set(err, -ENOTCONN,
                     "the port %s %s after %u s: expected its other end; start it first, or --wait for longer",
                     p->spec.port, p->started ? "has no link" : "does not start", p->spec.wait_s);
}

static int connect_port(struct dpdk_send *p, struct error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *log = open_log(&text, &bytes); /* each vain try is an error to the driver */
    int failed = start_and_wait(p, err);
    close_log(log, &text, failed != 0 && failed != -EINTR && !p->started ? 1 : 0);
    return failed;
}

static void describe(struct dpdk_send *p, uint64_t begun_ns)
{
    struct rte_eth_dev_info info = {0};
    char memory[sizeof(p->about)];
    snprintf(memory, sizeof(memory), "%s", p->about);
    snprintf(p->about, sizeof(p->about), "%s after %.0f ms%s%.80s",
             rte_eth_dev_info_get(p->id, &info) == 0 && info.driver_name != NULL ? info.driver_name : "?",
             (double)clock_elapsed_ns(begun_ns, clock_monotonic_ns()) * 1e-6, memory[0] != 0 ? "; " : "", memory);
}

struct dpdk_send *dpdk_send_open(const struct dpdk_send_spec *spec, struct error *err)
{
    struct dpdk_send *p = calloc(1, sizeof(*p));
    uint64_t begun_ns = clock_monotonic_ns();
    if (p == NULL) {
        error_set(err, -ENOMEM, "expected memory for a port, got none; free some");
        return NULL;
    }
    p->spec = *spec;
    if (start_eal(p, err) != 0) {
        free(p);
        return NULL;
    }
    (void)dpdk_grace_join(&p->grace); /* there is one port */
    if (make_pools(p, err) != 0 || configure(p, err) != 0 || connect_port(p, err) != 0) {
        dpdk_send_close(p);
        return NULL;
    }
    describe(p, begun_ns);
    return p;
}

static void shut(struct dpdk_send *p)
{
    if (p->started) {
        rte_eth_dev_stop(p->id);
    }
    rte_eth_dev_close(p->id);
}

void dpdk_send_close(struct dpdk_send *port)
{
    on_event_thread(port, shut);
    dpdk_grace_leave(&port->grace);
    rte_eal_cleanup();
    free(port);
}

const char *dpdk_send_about(const struct dpdk_send *port)
{
    return port->about;
}

const struct dpdk_send_counts *dpdk_send_counts(const struct dpdk_send *port)
{
    return &port->counts;
}

struct visit {
    void (*visit)(void *context, uint8_t *room, uint32_t bytes);
    void *context;
};

static void visit_one(struct rte_mempool *pool, void *opaque, void *object, unsigned index)
{
    const struct visit *v = opaque;
    struct rte_mbuf *m = object;
    (void)pool;
    (void)index;
    v->visit(v->context, (uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM,
             (uint32_t)m->buf_len - RTE_PKTMBUF_HEADROOM);
}

void dpdk_send_rooms(struct dpdk_send *port, void (*visit)(void *context, uint8_t *room, uint32_t bytes),
                     void *context)
{
    struct visit v = {.visit = visit, .context = context};
    rte_mempool_obj_iter(port->pool, visit_one, &v);
}

bool dpdk_send_reserve(struct dpdk_send *port, uint8_t **room, uint32_t count)
{
    if (rte_pktmbuf_alloc_bulk(port->pool, port->batch, count) != 0) {
        if (port->started) {
            dpdk_grace_enter(&port->grace);
            rte_eth_tx_burst(port->id, 0, port->batch, 0); /* some drivers give back what was sent only here */
            dpdk_grace_exit(&port->grace);
        }
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        room[i] = rte_pktmbuf_mtod(port->batch[i], uint8_t *);
    }
    return true;
}

uint32_t dpdk_send_burst(struct dpdk_send *port, const uint32_t *bytes, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < count; i++) {
        port->batch[i]->data_len = (uint16_t)bytes[i];
        port->batch[i]->pkt_len = bytes[i];
    }
    dpdk_grace_enter(&port->grace);
    uint16_t n = port->started ? rte_eth_tx_burst(port->id, 0, port->batch + from, (uint16_t)(count - from)) : 0;
    dpdk_grace_exit(&port->grace);
    port->counts.sent += n;
    port->counts.full += n == 0;
    if (n > 0 && port->was_down) {
        port->was_down = false;
        port->counts.reconnects++;
    }
    return n;
}

void dpdk_send_release(struct dpdk_send *port, uint32_t from, uint32_t count)
{
    rte_pktmbuf_free_bulk(port->batch + from, count - from);
}

void dpdk_send_revive(struct dpdk_send *port, uint64_t now_ns)
{
    char *text = NULL;
    size_t bytes = 0;
    if (now_ns < port->look_ns) {
        return;
    }
    port->look_ns = now_ns + LOOK_NS;
    if (port->started && is_up(port)) {
        return;
    }
    FILE *log = open_log(&text, &bytes); /* each vain try is an error to the driver */
    on_event_thread(port, restart);
    port->was_down = true;
    close_log(log, &text, 0);
    port->look_ns = now_ns + REVIVE_NS;
}
