/* net-floor-dpdk PORT SIZE DESCRIPTORS: the plainest DPDK receiver: takes bursts, counts them, drops them. What it
 * costs to receive at all. Its buffers come from DPDK's own pool, the last one given back first, so that they stay
 * in the cache; ours go through a ring that does not fit there. A program of its own: nothing else here loads DPDK.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "bench/net_rig.h"
#include "net/dpdk.h"
#include "ring/clock.h"

#define CACHE     256u
#define MEMORY_MB 64u

static int fail(const char *what, int code)
{
    fprintf(stderr, "net-floor-dpdk: %s: %s\n", what, rte_strerror(code < 0 ? -code : code));
    return 1;
}

static int start_port(uint16_t port, uint32_t size, uint16_t descriptors)
{
    struct rte_eth_conf conf = {0};
    uint32_t room = (size + 63) / 64 * 64 + RTE_PKTMBUF_HEADROOM;
    struct rte_mempool *pool = rte_pktmbuf_pool_create("bare", 2u * descriptors + 2 * CACHE + DPDK_BURST, CACHE, 0,
                                                       (uint16_t)room, SOCKET_ID_ANY);
    if (pool == NULL) {
        return -ENOMEM;
    }
    int code = rte_eth_dev_configure(port, 1, 1, &conf);
    code = code == 0 ? rte_eth_tx_queue_setup(port, 0, DPDK_BURST, SOCKET_ID_ANY, NULL) : code;
    code = code == 0 ? rte_eth_rx_queue_setup(port, 0, descriptors, SOCKET_ID_ANY, NULL, pool) : code;
    return code == 0 ? rte_eth_dev_start(port) : code;
}

/* The core that who started us has pinned us to; -1: to none. */
static int32_t own_core(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0 || CPU_COUNT(&set) != 1) {
        return -1;
    }
    int32_t core = 0;
    while (!CPU_ISSET((size_t)core, &set)) {
        core++;
    }
    return core;
}

static volatile sig_atomic_t stop;

static void on_stop(int number)
{
    (void)number;
    stop = 1;
}

int main(int argc, char **argv)
{
    static struct worker_plan plan;
    static struct dpdk_grace grace;
    struct dpdk dpdk;
    struct error err = {{0}};
    struct net_tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
    if (argc != 4 || tally == MAP_FAILED) {
        fprintf(stderr, "net-floor-dpdk: is started by sluice-bench net\n");
        return 2;
    }
    uint32_t size = (uint32_t)strtoul(argv[2], NULL, 10);
    uint16_t descriptors = (uint16_t)strtoul(argv[3], NULL, 10);
    signal(SIGTERM, on_stop);
    signal(SIGPIPE, SIG_IGN);
    plan = (struct worker_plan){.sources = 1,
                                .name = "floor",
                                .dpdk_memory_mb = MEMORY_MB + 3 * descriptors * (size + 512) / (1u << 20),
                                .thread = {.core = own_core()}}; /* EAL pins anew */
    snprintf(plan.source[0].name, sizeof(plan.source[0].name), "floor");
    snprintf(plan.source[0].dpdk.port, sizeof(plan.source[0].dpdk.port), "%s", argv[1]);
    int code = dpdk_start(&dpdk, &plan, &err);
    if (code != 0) {
        return fail(err.text, code);
    }
    if (dpdk_memory_note() != NULL) {
        fprintf(stderr, "net-floor-dpdk: %s\n", dpdk_memory_note());
    }
    code = start_port(0, size, descriptors);
    if (code != 0) {
        return fail("the port does not start", code);
    }
    (void)dpdk_grace_join(&grace);
    tally->ready = 1;
    while (stop == 0) {
        struct rte_mbuf *mbufs[DPDK_BURST];
        dpdk_grace_enter(&grace);
        uint16_t n = rte_eth_rx_burst(0, 0, mbufs, DPDK_BURST);
        dpdk_grace_exit(&grace);
        net_tally_beat(tally);
        if (n > 0) {
            rte_pktmbuf_free_bulk(mbufs, n);
            __atomic_store_n(&tally->frames, tally->frames + n, __ATOMIC_RELAXED);
        }
    }
    rte_eth_dev_stop(0);
    rte_eth_dev_close(0);
    return 0;
}
