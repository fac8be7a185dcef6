#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include "net/dpdk.h"

#define ARGUMENTS_MAX (24 + 2 * PLAN_SOURCES_MAX + PLAN_EAL_MAX)
#define HUGE_PAGE_KB  2048

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

static uint64_t free_huge_pages(void)
{
    char text[32] = "";
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
    if (file == NULL) {
        return 0;
    }
    char *line = fgets(text, sizeof(text), file);
    fclose(file);
    return line != NULL ? strtoull(line, NULL, 10) : 0;
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
    if (free_huge_pages() * HUGE_PAGE_KB < (uint64_t)memory_mb * 1024) {
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

static const char *device_name(const char *port, char name[RTE_DEV_NAME_MAX_LEN])
{
    size_t n = strcspn(port, ",");
    n = n < RTE_DEV_NAME_MAX_LEN ? n : RTE_DEV_NAME_MAX_LEN - 1;
    memcpy(name, port, n);
    name[n] = 0;
    return name;
}

/* The socket that a port will listen on, if it is a file: memif's `socket` (unless it is abstract, which is its
 * default) or vhost's `iface`. false: none. */
static bool listens_on(const char *port, char path[PLAN_PORT_BYTES])
{
    bool memif = strncmp(port, "net_memif", 9) == 0 && strstr(port, "role=server") != NULL &&
                 strstr(port, "socket-abstract=no") != NULL;
    const char *key = memif ? ",socket=" : ",iface=";
    const char *at = strstr(port, key);
    if (at == NULL || (!memif && strncmp(port, "net_vhost", 9) != 0) || strstr(port, "client=1") != NULL) {
        return false;
    }
    at += strlen(key);
    snprintf(path, PLAN_PORT_BYTES, "%.*s", (int)strcspn(at, ","), at);
    return true;
}

/* What a killed process left behind keeps the next one from listening there. */
static int clear_socket(const struct source_plan *source, struct error *err)
{
    char path[PLAN_PORT_BYTES];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat about;
    if (!listens_on(source->dpdk.port, path) || lstat(path, &about) != 0) {
        return 0;
    }
    if (!S_ISSOCK(about.st_mode) || strlen(path) >= sizeof(address.sun_path)) {
        return error_set(err, -EEXIST,
                         "source %s: port %s is to listen on %s, which is there and no socket; remove it",
                         source->name, source->dpdk.port, path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    bool taken = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EPROTOTYPE ||
                 errno == EAGAIN;
    close(fd);
    if (taken) {
        return error_set(err, -EADDRINUSE,
                         "source %s: another process listens on %s; end it, or choose another socket for port %s",
                         source->name, path, source->dpdk.port);
    }
    return unlink(path) == 0
               ? 0
               : error_set(err, -errno, "source %s: cannot remove %s, which a killed process left: %s",
                           source->name, path, strerror(errno));
}

/* A virtual device that fails does not make EAL fail. */
static int find_ports(const struct worker_plan *plan, struct error *err)
{
    for (uint32_t i = 0; i < plan->sources; i++) {
        char name[RTE_DEV_NAME_MAX_LEN];
        uint16_t port;
        device_name(plan->source[i].dpdk.port, name);
        if (rte_eth_dev_get_port_by_name(name, &port) != 0) {
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

int dpdk_start(struct dpdk *dpdk, const struct worker_plan *plan, struct error *err)
{
    static struct arguments a;
    int code = 0;
    a.argc = 0;
    memset(dpdk, 0, sizeof(*dpdk));
    for (uint32_t i = 0; code == 0 && i < plan->sources; i++) {
        code = named_before(plan, i) ? 0 : clear_socket(&plan->source[i], err);
    }
    if (code != 0) {
        return code;
    }
    add(&a, "sluice-dpdk");
    add(&a, "--no-telemetry");
    add(&a, "--iova-mode=va");
    add(&a, "--log-level=*:4"); /* warnings */
    add(&a, "--lcores");
    if (plan->thread.core >= 0) {
        add(&a, "0@%d", plan->thread.core);
    } else {
        add(&a, "0@(0-%ld)", sysconf(_SC_NPROCESSORS_ONLN) - 1);
    }
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
    dpdk->started = true;
    return find_ports(plan, err);
}
