/* Pages: what may be moved, paged out, or is missing; and what this user may lock. */
#include <errno.h>
#include <string.h>

#include "ring/numa.h"
#include "tools/doctor.h"

#define THP        "/sys/kernel/mm/transparent_hugepage/enabled"
#define SWAPPINESS "/proc/sys/vm/swappiness"
#define MANY       10 /* swappiness */

static void look_thp(struct doctor *d)
{
    char text[256];
    char word[32];
    int n = doctor_read(d, THP, text, sizeof(text));
    if (n < 0 || !doctor_parse_chosen(text, word, sizeof(word)) ||
        (strcmp(word, "always") != 0 && strcmp(word, "madvise") != 0 && strcmp(word, "never") != 0)) {
        doctor_unreadable(d, DOCTOR_THP, THP, n < 0 ? n : -EBADMSG);
        return;
    }
    bool always = strcmp(word, "always") == 0;
    doctor_find(d, DOCTOR_THP, always ? DOCTOR_WARNING : DOCTOR_OK, "%s", word);
    if (always) {
        doctor_propose(d, DOCTOR_THP, THP, word, "madvise");
    }
}

static void page_path(const struct doctor_pages *pages, const char *file, char path[DOCTOR_PATH_BYTES])
{
    unsigned kb = (unsigned)(pages->page_bytes / 1024);
    if (pages->node == NUMA_ANY) {
        doctor_path(path, "/sys/kernel/mm/hugepages/hugepages-%ukB/%s", kb, file);
    } else {
        doctor_path(path, "/sys/devices/system/node/node%d/hugepages/hugepages-%ukB/%s", pages->node, kb, file);
    }
}

/* No more than half of what is free: the rest of the machine has to live, too. */
static void propose_pages(struct doctor *d, const struct doctor_pages *pages, uint64_t lacking)
{
    char path[DOCTOR_PATH_BYTES];
    char text[4096];
    char from[32];
    char to[32];
    uint64_t available_kb;
    int64_t reserved;
    page_path(pages, "nr_hugepages", path);
    uint64_t kb = lacking * (pages->page_bytes / 1024);
    if (doctor_read_number(d, path, &reserved) != 0 || reserved < 0 ||
        doctor_read(d, "/proc/meminfo", text, sizeof(text)) < 0 ||
        !doctor_parse_field(text, "MemAvailable:", 10, &available_kb) || kb > available_kb / 2) {
        doctor_advise(d, DOCTOR_HUGE_PAGES,
                      "%llu kB more are not to be had safely now: make the rings smaller, or boot with hugepages=N",
                      (unsigned long long)kb);
        return;
    }
    snprintf(from, sizeof(from), "%lld", (long long)reserved);
    snprintf(to, sizeof(to), "%llu", (unsigned long long)reserved + lacking);
    doctor_propose(d, DOCTOR_HUGE_PAGES, path, from, to);
    doctor_advise(d, DOCTOR_HUGE_PAGES, "write %s to %s", to, path);
}

/* True: as many as are needed. The first that lacks is told, and worse ones. */
static bool look_pages_of(struct doctor *d, const struct doctor_pages *pages, uint64_t *count)
{
    char path[DOCTOR_PATH_BYTES];
    int64_t found;
    page_path(pages, "free_hugepages", path);
    int code = doctor_read_number(d, path, &found);
    enum doctor_severity severity = pages->required ? DOCTOR_DANGER : DOCTOR_WARNING;
    if (code != 0 || found < 0) {
        if (d->finding[DOCTOR_HUGE_PAGES].severity < DOCTOR_WARNING) {
            doctor_unreadable(d, DOCTOR_HUGE_PAGES, path, code != 0 ? code : -EBADMSG);
        }
        return false;
    }
    *count += pages->count;
    if ((uint64_t)found >= pages->count) {
        return true;
    }
    if (severity > d->finding[DOCTOR_HUGE_PAGES].severity) {
        doctor_find(d, DOCTOR_HUGE_PAGES, severity, "%llu of %llu pages of %zu kB are free%s", (long long)found,
                    (unsigned long long)pages->count, pages->page_bytes / 1024,
                    pages->required ? ": the server will not start" : ": smaller ones will be used");
    }
    propose_pages(d, pages, pages->count - (uint64_t)found);
    return false;
}

static void look_huge_pages(struct doctor *d)
{
    uint64_t count = 0;
    bool enough = true;
    if (d->need.running) {
        doctor_find(d, DOCTOR_HUGE_PAGES, DOCTOR_NOTE, "%s has its rings already: its arming gate tells (pages)",
                    d->need.name);
        doctor_advise(d, DOCTOR_HUGE_PAGES, "see sluice map; say --config FILE for what it would want anew");
        return;
    }
    if (d->need.name[0] == 0) {
        doctor_find(d, DOCTOR_HUGE_PAGES, DOCTOR_NOTE, "no configuration says how many are needed");
        doctor_advise(d, DOCTOR_HUGE_PAGES, "say --config FILE");
        return;
    }
    for (uint32_t i = 0; i < d->need.pages; i++) {
        enough = look_pages_of(d, &d->need.page[i], &count) && enough;
    }
    if (d->need.pages == 0) {
        doctor_find(d, DOCTOR_HUGE_PAGES, DOCTOR_OK, "%s asks for none", d->need.name);
    } else if (enough) {
        doctor_find(d, DOCTOR_HUGE_PAGES, DOCTOR_OK, "%llu are asked for, and free", (unsigned long long)count);
    }
}

/* A line for each behind the heading. */
static void look_swap(struct doctor *d)
{
    static const char path[] = "/proc/swaps";
    char text[DOCTOR_FILE_BYTES];
    int n = doctor_read(d, path, text, sizeof(text));
    if (n < 0 || strncmp(text, "Filename", 8) != 0) {
        doctor_unreadable(d, DOCTOR_SWAP, path, n < 0 ? n : -EBADMSG);
        return;
    }
    const char *first = strchr(text, '\n');
    if (first == NULL) {
        doctor_find(d, DOCTOR_SWAP, DOCTOR_OK, "there is none");
        return;
    }
    char name[128];
    size_t length = strcspn(first + 1, " \t\n");
    snprintf(name, sizeof(name), "%.*s", length < sizeof(name) ? (int)length : (int)sizeof(name), first + 1);
    doctor_find(d, DOCTOR_SWAP, d->need.lock ? DOCTOR_NOTE : DOCTOR_WARNING, "%s is in use%s", name,
                d->need.lock ? "; the server locks its memory" : "");
}

static void look_swappiness(struct doctor *d)
{
    int64_t value;
    char from[32];
    int code = doctor_read_number(d, SWAPPINESS, &value);
    if (code != 0 || value < 0) {
        doctor_unreadable(d, DOCTOR_SWAPPINESS, SWAPPINESS, code != 0 ? code : -EBADMSG);
        return;
    }
    doctor_find(d, DOCTOR_SWAPPINESS, value > MANY ? DOCTOR_NOTE : DOCTOR_OK, "%lld", (long long)value);
    if (value > MANY) {
        snprintf(from, sizeof(from), "%lld", (long long)value);
        doctor_propose(d, DOCTOR_SWAPPINESS, SWAPPINESS, from, "10");
    }
}

void doctor_look_memory(struct doctor *d)
{
    look_thp(d);
    look_huge_pages(d);
    look_swap(d);
    look_swappiness(d);
}
