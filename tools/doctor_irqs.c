/* Where the devices' interrupts go. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "tools/doctor.h"

#define IRQS_MAX 8192

struct irqs {
    uint32_t seen;
    uint32_t bad;
    uint32_t unknown;
};

/* Where it goes if the kernel tells, else where it may go. */
static int read_affinity(const struct doctor *d, const char *irq, const char *file, char *text, size_t bytes,
                         cpu_set_t *set)
{
    char path[DOCTOR_PATH_BYTES];
    int n = doctor_read(d, doctor_path(path, "/proc/irq/%s/%s", irq, file), text, bytes);
    if (n < 0) {
        return n;
    }
    return doctor_parse_cores(text, set) ? 0 : -EBADMSG;
}

static void look_irq(struct doctor *d, const char *irq, struct irqs *irqs)
{
    char from[DOCTOR_VALUE_BYTES];
    char to[DOCTOR_VALUE_BYTES];
    char path[DOCTOR_PATH_BYTES];
    cpu_set_t allowed;
    cpu_set_t effective;
    cpu_set_t bad;
    irqs->seen++;
    if (read_affinity(d, irq, "effective_affinity_list", to, sizeof(to), &effective) != 0 &&
        read_affinity(d, irq, "smp_affinity_list", to, sizeof(to), &effective) != 0) {
        irqs->unknown++;
        return;
    }
    CPU_AND(&bad, &effective, &d->need.cores);
    if (CPU_COUNT(&bad) == 0) {
        return;
    }
    irqs->bad++;
    if (read_affinity(d, irq, "smp_affinity_list", from, sizeof(from), &allowed) != 0) {
        return;
    }
    CPU_AND(&bad, &allowed, &d->need.cores);
    CPU_XOR(&allowed, &allowed, &bad);
    if (CPU_COUNT(&bad) > 0 && CPU_COUNT(&allowed) > 0) {
        doctor_print_cores(&allowed, to, sizeof(to));
        doctor_propose(d, DOCTOR_IRQ_AFFINITY, doctor_path(path, "/proc/irq/%s/smp_affinity_list", irq), from, to);
    }
}

static void judge(struct doctor *d, const struct irqs *irqs)
{
    if (irqs->bad > 0) {
        doctor_find(d, DOCTOR_IRQ_AFFINITY, DOCTOR_WARNING, "%u of %u interrupts go to pinned cores%s", irqs->bad,
                    irqs->seen, irqs->unknown > 0 ? "; of others it is not known" : "");
        if (!d->finding[DOCTOR_IRQ_AFFINITY].fixable) {
            doctor_advise(d, DOCTOR_IRQ_AFFINITY,
                          "none has another core to go to: leave one unpinned for the devices");
        }
    } else if (irqs->unknown > 0 || irqs->seen == 0) {
        doctor_find(d, DOCTOR_IRQ_AFFINITY, DOCTOR_UNKNOWN, "of %u of %u interrupts in /proc/irq it is not known",
                    irqs->unknown, irqs->seen);
    } else {
        doctor_find(d, DOCTOR_IRQ_AFFINITY, DOCTOR_OK, "none of %u goes to a pinned core", irqs->seen);
    }
}

void doctor_look_irqs(struct doctor *d)
{
    char full[512];
    struct irqs irqs = {0};
    struct dirent *entry;
    if (!d->need.pinned) {
        doctor_find(d, DOCTOR_IRQ_AFFINITY, DOCTOR_NOTE, "no core is pinned, so none is to be kept free of them");
        doctor_advise(d, DOCTOR_IRQ_AFFINITY, "say --config FILE, to have its cores looked at");
        return;
    }
    DIR *dir = doctor_full_path(d, "/proc/irq", full, sizeof(full)) ? opendir(full) : NULL;
    if (dir == NULL) {
        doctor_unreadable(d, DOCTOR_IRQ_AFFINITY, "/proc/irq", -errno);
        return;
    }
    while ((entry = readdir(dir)) != NULL && irqs.seen < IRQS_MAX) {
        size_t n = strlen(entry->d_name);
        if (n > 0 && n < 10 && strspn(entry->d_name, "0123456789") == n) {
            look_irq(d, entry->d_name, &irqs);
        }
    }
    closedir(dir);
    judge(d, &irqs);
}
