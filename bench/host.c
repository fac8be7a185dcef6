#include "bench/host.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FLAWS_FOLDER "/sys/devices/system/cpu/vulnerabilities"
#define PAGES_FOLDER "/sys/kernel/mm/hugepages"
#define STEAL_FIELD  8 /* of a processor's line in /proc/stat, from 1 */

void host_line(const char *path, char *line, unsigned long bytes)
{
    FILE *f = fopen(path, "re");
    line[0] = 0;
    if (f != NULL) {
        if (fgets(line, (int)bytes, f) == NULL) {
            line[0] = 0;
        }
        fclose(f);
    }
    line[strcspn(line, "\n")] = 0;
}

/* "madvise" of "always [madvise] never". */
static void chosen(const char *path, char *word, size_t bytes)
{
    char line[128];
    host_line(path, line, sizeof(line));
    const char *from = strchr(line, '[');
    size_t n = from != NULL ? strcspn(from + 1, "]") : 0;
    snprintf(word, bytes, "%.*s", (int)n, from != NULL ? from + 1 : "");
}

static void read_preemption(struct host *host)
{
    char model[32];
    const char *kind = strstr(host->version, " PREEMPT_RT") != NULL        ? "PREEMPT_RT"
                       : strstr(host->version, " PREEMPT_DYNAMIC") != NULL ? "PREEMPT_DYNAMIC"
                       : strstr(host->version, " PREEMPT") != NULL         ? "PREEMPT"
                                                                           : "none";
    chosen("/sys/kernel/debug/sched/preempt", model, sizeof(model));
    snprintf(host->preemption, sizeof(host->preemption), "%.16s%s%.28s", kind, model[0] != 0 ? ", " : "", model);
}

/* Only those words: the others may name disks and more. */
static void read_options(struct host *host)
{
    static const char *const wanted[] = {
        "mitigations=", "isolcpus=",    "nohz_full=",   "nohz=",       "rcu_nocbs=",
        "preempt=",     "idle=",        "nosmt",        "spectre_v2=", "intel_idle.",
        "processor.",   "irqaffinity=", "clocksource=", "tsc=",        "threadirqs"};
    char line[4096];
    char *rest = NULL;
    size_t used = 0;
    host_line("/proc/cmdline", line, sizeof(line));
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]) && used < sizeof(host->options); i++) {
            if (strncmp(word, wanted[i], strlen(wanted[i])) == 0) {
                used += (size_t)snprintf(host->options + used, sizeof(host->options) - used, "%s%s",
                                         used > 0 ? " " : "", word);
                break;
            }
        }
    }
}

static int compare_flaws(const void *a, const void *b)
{
    return strcmp(((const struct host_flaw *)a)->name, ((const struct host_flaw *)b)->name);
}

static void read_flaws(struct host *host)
{
    DIR *folder = opendir(FLAWS_FOLDER);
    struct dirent *entry;
    while (folder != NULL && host->flaws < HOST_FLAWS_MAX && (entry = readdir(folder)) != NULL) {
        struct host_flaw *flaw = &host->flaw[host->flaws];
        char path[320];
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), FLAWS_FOLDER "/%s", entry->d_name);
        snprintf(flaw->name, sizeof(flaw->name), "%.39s", entry->d_name);
        host_line(path, flaw->says, sizeof(flaw->says));
        host->flaws++;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    qsort(host->flaw, host->flaws, sizeof(host->flaw[0]), compare_flaws);
}

static void read_pages(struct host *host)
{
    DIR *folder = opendir(PAGES_FOLDER);
    struct dirent *entry;
    while (folder != NULL && host->page_kinds < HOST_PAGES_MAX && (entry = readdir(folder)) != NULL) {
        static const char begin[] = "hugepages-";
        char path[320];
        char count[32];
        if (strncmp(entry->d_name, begin, sizeof(begin) - 1) != 0) {
            continue;
        }
        snprintf(path, sizeof(path), PAGES_FOLDER "/%s/nr_hugepages", entry->d_name);
        host_line(path, count, sizeof(count));
        uint64_t kib = strtoull(entry->d_name + sizeof(begin) - 1, NULL, 10);
        host->pages[host->page_kinds++] =
            (struct host_pages){.bytes = kib * 1024, .count = strtoull(count, NULL, 10)};
    }
    if (folder != NULL) {
        closedir(folder);
    }
}

static int64_t read_rt_runtime(void)
{
    char text[32];
    char *end;
    host_line("/proc/sys/kernel/sched_rt_runtime_us", text, sizeof(text));
    long long us = strtoll(text, &end, 10);
    return end == text ? INT64_MIN : us;
}

void host_read(struct host *host)
{
    struct utsname name;
    char text[64];
    *host = (struct host){.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), .rt_runtime_us = read_rt_runtime()};
    if (uname(&name) == 0) {
        snprintf(host->version, sizeof(host->version), "%s", name.version);
    }
    host_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", host->clocksource,
              sizeof(host->clocksource));
    host_line("/proc/loadavg", text, sizeof(text));
    host->load = strtod(text, NULL);
    chosen("/sys/kernel/mm/transparent_hugepage/enabled", host->thp, sizeof(host->thp));
    read_preemption(host);
    read_options(host);
    read_flaws(host);
    read_pages(host);
}

static uint64_t field(const char *line, int number)
{
    char *at = NULL;
    unsigned long long value = 0;
    line += strcspn(line, " ");
    for (int i = 0; i < number; i++, line = at) {
        value = strtoull(line, &at, 10);
    }
    return value;
}

void host_steal(const int *cores, uint32_t count, uint64_t *ticks)
{
    char line[512];
    FILE *f = fopen("/proc/stat", "re");
    for (uint32_t i = 0; i < count; i++) {
        ticks[i] = 0;
    }
    while (f != NULL && fgets(line, sizeof(line), f) != NULL && strncmp(line, "cpu", 3) == 0) {
        for (uint32_t i = 0; line[3] != ' ' && i < count; i++) {
            if (strtol(line + 3, NULL, 10) == cores[i]) {
                ticks[i] = field(line, STEAL_FIELD);
            }
        }
    }
    if (f != NULL) {
        fclose(f);
    }
}

double host_tick_hz(void)
{
    return (double)sysconf(_SC_CLK_TCK);
}
