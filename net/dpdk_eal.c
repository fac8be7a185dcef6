#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include "net/dpdk.h"
#include "net/dpdk_memory.h"
#include "net/port_socket.h"

#define ARGUMENTS_MAX (24 + 2 * PLAN_SOURCES_MAX + PLAN_EAL_MAX)

static const char *memory_note;

const char *dpdk_memory_note(void)
{
    return memory_note;
}

struct arguments {
    char *argv[ARGUMENTS_MAX];
    int argc;
    char text[ARGUMENTS_MAX][PLAN_PORT_BYTES + 16];
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *a, const char *format, ...)
{
    va_list args;
    if (a->argc >= (int)ARGUMENTS_MAX - 1) {
        return;
    }
    va_start(args, format);
    vsnprintf(a->text[a->argc], sizeof(a->text[0]), format, args);
    va_end(args);
    a->argv[a->argc] = a->text[a->argc];
    a->argc++;
}

/* "0000:03:00.0": a device by its place on the PCI bus; everything else is a virtual device's arguments. */
static bool is_pci(const char *port)
{
    const char *digits = "0123456789abcdefABCDEF";
    const char *pattern = "hhhh:hh:hh.h";
    for (; *pattern != 0; pattern++, port++) {
        if (*port == 0 || (*pattern == 'h' ? strchr(digits, *port) == NULL : *port != *pattern)) {
            return false;
        }
    }
    return *port == 0 || *port == ',';
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

static void add_ports(struct arguments *a, const struct worker_plan *plan)
{
    bool any_pci = false;
    for (uint32_t i = 0; i < plan->sources; i++) {
        const char *port = plan->source[i].dpdk.port;
        if (named_before(plan, i)) {
            continue;
        }
        if (is_pci(port)) {
            any_pci = true;
            add(a, "--allow=%s", port);
        } else {
            add(a, "--vdev=%s", port);
        }
    }
    if (!any_pci) {
        add(a, "--no-pci"); /* else EAL would take this machine's own network card */
    }
}

/* EAL's own memory: buffers' heads and the drivers' queues, no frames. */
static void add_memory(struct arguments *a, const struct worker_plan *plan)
{
    uint32_t memory_mb = plan->dpdk_memory_mb;
    add(a, "-m");
    add(a, "%u", memory_mb);
    if (!dpdk_huge_pages_for(memory_mb)) {
        add(a, "--no-huge");
        add(a, "--no-shconf");
        add(a, "--file-prefix=sluice-%d", (int)getpid());
        memory_note =
            "no huge pages free for DPDK's own memory: it lies on 4 KiB pages, which costs TLB misses; frames "
            "are not concerned (raise /proc/sys/vm/nr_hugepages)";
    } else {
        add(a, "--in-memory");
        add(a, "--single-file-segments");
    }
}

/* A device's name: what stands in front of its arguments. */
static const char *device_name(const char *port, char name[RTE_DEV_NAME_MAX_LEN])
{
    size_t n = strcspn(port, ",");
    n = n < RTE_DEV_NAME_MAX_LEN ? n : RTE_DEV_NAME_MAX_LEN - 1;
    memcpy(name, port, n);
    name[n] = 0;
    return name;
}

int dpdk_find_port(const struct source_plan *source, uint16_t *port)
{
    char name[RTE_DEV_NAME_MAX_LEN];
    return rte_eth_dev_get_port_by_name(device_name(source->dpdk.port, name), port) == 0 ? 0 : -ENODEV;
}

/* A virtual device that fails does not make EAL fail. */
static int find_ports(const struct worker_plan *plan, struct error *err)
{
    for (uint32_t i = 0; i < plan->sources; i++) {
        char name[RTE_DEV_NAME_MAX_LEN];
        uint16_t port;
        if (dpdk_find_port(&plan->source[i], &port) != 0) {
            device_name(plan->source[i].dpdk.port, name);
            return error_set(
                err, -ENODEV,
                is_pci(name)
                    ? "source %s: no DPDK port at PCI %s: is it there (lspci), bound to vfio-pci or "
                      "uio_pci_generic (dpdk-devbind.py -s), and not another process's?"
                    : "source %s: DPDK made no port '%s': expected a virtual device such as "
                      "net_memif0,role=server,socket=/run/x.sock; the lines above say what it did not like",
                plan->source[i].name, name);
        }
    }
    return 0;
}

/* All of the polling threads' cores are EAL's main thread's: it puts its own threads elsewhere, if there is any
 * other core, and each of ours pins itself to its one later. */
static void add_cores(struct arguments *a, const struct worker_plan *plan)
{
    char list[8 * PLAN_THREADS_MAX];
    size_t n = 0;
    add(a, "--lcores");
    if (plan->thread.core < 0) {
        add(a, "0@(0-%ld)", sysconf(_SC_NPROCESSORS_ONLN) - 1);
        return;
    }
    list[0] = 0;
    for (uint32_t t = 1; t < plan_threads(plan); t++) {
        n += (size_t)snprintf(list + n, sizeof(list) - n, ",%d", plan->thread_core[t]);
    }
    add(a, "0@(%d%s)", plan->thread.core, list);
}

int dpdk_start(struct dpdk *dpdk, const struct worker_plan *plan, struct error *err)
{
    static struct arguments a;
    int code = 0;
    a.argc = 0;
    memset(dpdk, 0, sizeof(*dpdk));
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        code = named_before(plan, i) ? 0 : port_socket_clear(&plan->source[i], err);
    }
    if (code != 0) {
        return code;
    }
    add(&a, "sluice-dpdk");
    add(&a, "--no-telemetry");
    add(&a, "--iova-mode=va");
    add(&a, "--log-level=*:4"); /* warnings */
    add_cores(&a, plan);
    add_memory(&a, plan);
    add_ports(&a, plan);
    for (uint32_t i = 0; i < PLAN_EAL_MAX && plan->eal[i][0] != 0; i++) {
        add(&a, "%s", plan->eal[i]);
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
