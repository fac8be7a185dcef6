#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include "net/dpdk.h"
#include "net/dpdk_arguments.h"
#include "net/port_socket.h"

#define PROGRAM     "sluice-dpdk"
#define CORES_BYTES (12 * PLAN_THREADS_MAX + 4)

static const char *memory_note;

const char *dpdk_memory_note(void)
{
    return memory_note;
}

/* A port that several sources name is one port. */
static bool named_before(const struct worker_plan *plan, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        if (strcmp(plan->source[j].dpdk.port, plan->source[i].dpdk.port) == 0) {
            return true;
        }
    }
    return false;
}

static void add_ports(struct dpdk_arguments *a, const struct worker_plan *plan, bool physical)
{
    for (uint32_t i = 0; i < plan->sources; i++) {
        if (!named_before(plan, i)) {
            dpdk_arguments_port(a, plan->source[i].dpdk.port);
        }
    }
    dpdk_arguments_end(a, physical);
}

/* EAL's own memory: buffers' heads and the drivers' queues, no frames. */
static int add_memory(struct dpdk_arguments *a, const struct worker_plan *plan, const struct dpdk_bind *bind,
                      struct error *err)
{
    bool huge = dpdk_arguments_memory(a, PROGRAM, plan->dpdk_memory_mb);
    if (!bind->physical && !huge) {
        memory_note =
            "no huge pages free for DPDK's own memory: it lies on 4 KiB pages, which costs TLB misses; frames "
            "are not concerned (raise /proc/sys/vm/nr_hugepages)";
    } else if (!huge) {
        return error_set(
            err, -ENOMEM,
            "worker %s: expected %u MB of huge pages for DPDK's own memory, which are not free: port %s "
            "is bound to %s and goes by physical addresses, and ordinary pages may move; raise "
            "/proc/sys/vm/nr_hugepages, or bind all its ports to vfio-pci",
            plan->name, plan->dpdk_memory_mb, bind->physical_port, bind->physical_driver);
    } else if (bind->physical && !dpdk_dma_sees_physical()) {
        return error_set(err, -EPERM,
                         "worker %s: port %s is bound to %s and goes by physical addresses, which the kernel tells "
                         "to root only; run sluiced as root, or bind all the worker's ports to vfio-pci",
                         plan->name, bind->physical_port, bind->physical_driver);
    }
    return 0;
}

int dpdk_find_port(const struct source_plan *source, uint16_t *port)
{
    char name[DPDK_PORT_NAME_BYTES];
    return rte_eth_dev_get_port_by_name(dpdk_port_name(source->dpdk.port, name), port) == 0 ? 0 : -ENODEV;
}

/* A virtual device that fails does not make EAL fail. */
static int find_ports(const struct worker_plan *plan, struct error *err)
{
    for (uint32_t i = 0; i < plan->sources; i++) {
        char text[DPDK_PORT_TEXT_BYTES];
        uint16_t port;
        if (dpdk_find_port(&plan->source[i], &port) != 0) {
            return error_set(err, -ENODEV, "source %s: %s", plan->source[i].name,
                             dpdk_port_missing(plan->source[i].dpdk.port, text));
        }
    }
    return 0;
}

/* All of the polling threads' cores are EAL's main thread's: it puts its own threads elsewhere, if there is any
 * other core, and each of ours pins itself to its one later. */
static const char *cores_of(const struct worker_plan *plan, char cores[CORES_BYTES])
{
    size_t n = (size_t)snprintf(cores, CORES_BYTES, "(%d", plan->thread.core);
    for (uint32_t t = 1; t < plan_threads(plan); t++) {
        n += (size_t)snprintf(cores + n, CORES_BYTES - n, ",%d", plan->thread_core[t]);
    }
    snprintf(cores + n, CORES_BYTES - n, ")");
    return plan->thread.core >= 0 ? cores : NULL;
}

int dpdk_start(struct dpdk *dpdk, const struct worker_plan *plan, struct error *err)
{
    static struct dpdk_arguments a;
    char cores[CORES_BYTES];
    *dpdk = (struct dpdk){.plan = plan};
    int code = dpdk_bind_all(&dpdk->bind, DPDK_BIND_SYSFS, plan, err);
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        code = named_before(plan, i) ? 0 : port_socket_clear(&plan->source[i], err);
    }
    dpdk_arguments_begin(&a, PROGRAM, cores_of(plan, cores));
    code = code == 0 ? add_memory(&a, plan, &dpdk->bind, err) : code;
    if (code != 0) {
        return code;
    }
    add_ports(&a, plan, dpdk->bind.physical);
    for (uint32_t i = 0; i < PLAN_EAL_MAX && plan->eal[i][0] != 0; i++) {
        dpdk_arguments_add(&a, "%s", plan->eal[i]);
    }
    rte_openlog_stream(stderr);
    if (rte_eal_init(a.argc, a.argv) < 0) {
        return error_set(
            err, rte_errno != 0 ? -rte_errno : -EIO,
            "DPDK does not start: %s; the lines above say why (a first run with other options: `eal` of "
            "worker %s)",
            rte_strerror(rte_errno), plan->name);
    }
    (void)rmdir(rte_eal_get_runtime_dir()); /* empty: EAL makes it even if it keeps nothing there */
    return find_ports(plan, err);
}
