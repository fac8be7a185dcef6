/* Cards and the watchdog. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"

#define GROUPS "/sys/kernel/iommu_groups"

/* Entries of a directory but those of every one; -errno. */
static int count_entries(const struct doctor *d, const char *path)
{
    char full[512];
    struct dirent *entry;
    int count = 0;
    DIR *dir = doctor_full_path(d, path, full, sizeof(full)) ? opendir(full) : NULL;
    if (dir == NULL) {
        return -errno;
    }
    while ((entry = readdir(dir)) != NULL && count < 65536) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

static void look_watchdog(struct doctor *d)
{
    static const char path[] = "/sys/class/watchdog/watchdog0/identity";
    static const char folder[] = "/sys/class/watchdog";
    char text[128];
    enum doctor_severity none = d->need.watchdog[0] != 0 ? DOCTOR_DANGER : DOCTOR_NOTE;
    int n = doctor_read(d, path, text, sizeof(text));
    int devices = count_entries(d, folder);
    if (n > 0) {
        bool soft = strstr(text, "oftware") != NULL || strstr(text, "soft") != NULL;
        doctor_find(d, DOCTOR_WATCHDOG, soft ? DOCTOR_NOTE : DOCTOR_OK, "%s%s", text,
                    soft ? ": is part of the kernel that it watches" : "");
    } else if (devices == 0) {
        doctor_find(d, DOCTOR_WATCHDOG, none, "there is none%s%s",
                    d->need.watchdog[0] != 0 ? ", and one is asked for: " : "", d->need.watchdog);
    } else {
        doctor_unreadable(d, DOCTOR_WATCHDOG, devices < 0 ? folder : path,
                          devices < 0 ? devices
                          : n < 0     ? n
                                      : -ENODATA);
    }
}

/* The name of the driver that a card is bound to. 0 or -errno. */
static int driver_of(const struct doctor *d, const char *address, char *name, size_t bytes)
{
    char path[DOCTOR_PATH_BYTES];
    char full[512];
    char target[256];
    if (!doctor_full_path(d, doctor_path(path, "/sys/bus/pci/devices/%s/driver", address), full, sizeof(full))) {
        return -ENAMETOOLONG;
    }
    ssize_t n = readlink(full, target, sizeof(target) - 1);
    if (n < 0) {
        return -errno;
    }
    target[n] = 0;
    const char *slash = strrchr(target, '/');
    snprintf(name, bytes, "%.*s", (int)bytes - 1, slash != NULL ? slash + 1 : target);
    return 0;
}

static void judge_card(struct doctor *d, const struct doctor_port *port, int groups, bool *good)
{
    char driver[64];
    int code = driver_of(d, port->name, driver, sizeof(driver));
    *good = code == 0 && groups > 0 && strcmp(driver, "vfio-pci") == 0;
    if (code != 0) {
        doctor_find(d, DOCTOR_VFIO, DOCTOR_WARNING, "card %s: no driver is bound to it (%s)", port->name,
                    strerror(-code));
    } else if (groups < 0) {
        doctor_unreadable(d, DOCTOR_VFIO, GROUPS, groups);
    } else if (!*good) {
        doctor_find(d, DOCTOR_VFIO, DOCTOR_WARNING, "card %s: driver %s, %d IOMMU groups", port->name, driver,
                    groups);
    }
}

static void look_vfio(struct doctor *d)
{
    uint32_t cards = 0;
    bool good = true;
    int groups = count_entries(d, GROUPS);
    if (d->need.running) {
        doctor_find(d, DOCTOR_VFIO, DOCTOR_NOTE, "%s runs, and has what cards it wants", d->need.name);
        return;
    }
    for (uint32_t i = 0; good && i < d->need.ports; i++) {
        if (d->need.port[i].pci) {
            cards++;
            judge_card(d, &d->need.port[i], groups, &good);
        }
    }
    if (d->need.name[0] == 0) {
        doctor_find(d, DOCTOR_VFIO, DOCTOR_NOTE, "no configuration names a card");
        doctor_advise(d, DOCTOR_VFIO, "say --config FILE");
    } else if (good) {
        doctor_find(d, DOCTOR_VFIO, DOCTOR_OK, cards > 0 ? "every card is" : "no dpdk source drives a card");
    }
}

/* The node of a core: the folder nodeN in its own. -1: not told. */
static int node_of_core(const struct doctor *d, int core)
{
    char path[DOCTOR_PATH_BYTES];
    char full[512];
    struct dirent *entry;
    int node = -1;
    DIR *dir = doctor_full_path(d, doctor_path(path, "/sys/devices/system/cpu/cpu%d", core), full, sizeof(full))
                   ? opendir(full)
                   : NULL;
    while (dir != NULL && node < 0 && (entry = readdir(dir)) != NULL) {
        int64_t n;
        if (strncmp(entry->d_name, "node", 4) == 0 && doctor_parse_number(entry->d_name + 4, &n) && n >= 0 &&
            n < CPU_SETSIZE) {
            node = (int)n;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return node;
}

/* False: not as it should be, or not known, and told. */
static bool judge_node(struct doctor *d, const struct doctor_port *port)
{
    char path[DOCTOR_PATH_BYTES];
    int64_t node;
    int own = port->core >= 0 ? node_of_core(d, port->core) : -1;
    doctor_path(path, port->pci ? "/sys/bus/pci/devices/%s/numa_node" : "/sys/class/net/%s/device/numa_node",
                port->name);
    int code = doctor_read_number(d, path, &node);
    if (code != 0) {
        doctor_unreadable(d, DOCTOR_NIC_NODE, path, code);
    } else if (node < 0 || own < 0) {
        doctor_find(d, DOCTOR_NIC_NODE, DOCTOR_UNKNOWN, "the node of %s is not told",
                    node < 0 ? port->name : "its core");
    } else if (node != own) {
        doctor_find(d, DOCTOR_NIC_NODE, DOCTOR_WARNING, "%s is on node %lld, core %d on node %d", port->name,
                    (long long)node, port->core, own);
    }
    return code == 0 && node >= 0 && node == own;
}

static void look_nic_node(struct doctor *d)
{
    char text[128];
    bool good = true;
    if (d->need.name[0] == 0 || d->need.running) {
        doctor_find(d, DOCTOR_NIC_NODE, DOCTOR_NOTE, "no configuration names a card");
        doctor_advise(d, DOCTOR_NIC_NODE, "say --config FILE");
        return;
    }
    int n = doctor_read(d, "/sys/devices/system/node/has_memory", text, sizeof(text));
    bool single = n > 0 && strcspn(text, ",-") == strlen(text);
    for (uint32_t i = 0; good && !single && i < d->need.ports; i++) {
        good = judge_node(d, &d->need.port[i]);
    }
    if (good) {
        doctor_find(d, DOCTOR_NIC_NODE, DOCTOR_OK,
                    d->need.ports == 0 ? "no source reads a card"
                    : single           ? "one node has all the memory"
                                       : "every card is");
    }
}

void doctor_look_devices(struct doctor *d)
{
    look_watchdog(d);
    look_vfio(d);
    look_nic_node(d);
}
