/* One thread tells the audit log, its own thread writes, a third moves the file away under it, a fourth looks at
 * its counters as a tool does: for the thread sanitizer, and as a test in itself. stress_audit [milliseconds], 2500
 * by default. Ends 0, or 1 with the first thing that was wrong: every line that was told is in one of the files, in
 * a whole chain, or counted as lost.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daq/audit.h"
#include "daq/log.h"
#include "ring/clock.h"

#define FILES_MAX  10000u
#define PATH_BYTES 128
#define PATIENCE_S 60u

static struct audit audit;
static struct supervisor_audit shown;
static char folder[] = "/tmp/sluice-stress-XXXXXX";
static uint64_t until_ns;
static uint32_t moved; /* files */
static uint64_t seen;  /* of the counters; only so that they are read */

/* Where this program's log goes: nowhere. */
void log_line(const char *format, ...)
{
    (void)format;
}

static void nap_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void path_of(char path[PATH_BYTES], uint32_t file)
{
    snprintf(path, PATH_BYTES, file == 0 ? "%s/audit.log" : "%s/audit.%u", folder, file);
}

static void tell(uint64_t number)
{
    char room[AUDIT_ENTRY_BYTES];
    struct json_line line;
    audit_begin(&line, room, "test", clock_monotonic_ns());
    json_line_count(&line, "number", number);
    audit_end(&audit, &line);
}

static void *move_away(void *unused)
{
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    path_of(from, 0);
    while (clock_monotonic_ns() < until_ns && moved + 1 < FILES_MAX) {
        path_of(to, moved + 1);
        moved += rename(from, to) == 0;
        nap_us(3000);
    }
    return unused;
}

static void *look(void *unused)
{
    while (clock_monotonic_ns() < until_ns) {
        seen += __atomic_load_n(&shown.written, __ATOMIC_RELAXED) +
                __atomic_load_n(&shown.pending, __ATOMIC_RELAXED) + __atomic_load_n(&shown.lost, __ATOMIC_RELAXED) +
                __atomic_load_n(&shown.last_errno, __ATOMIC_RELAXED);
        nap_us(500);
    }
    return unused;
}

static uint64_t tell_on(void)
{
    uint64_t told = 0;
    while (clock_monotonic_ns() < until_ns) {
        for (unsigned burst = told % 7 == 0 ? 2 * AUDIT_QUEUE : 5; burst > 0; burst--) {
            tell(told++);
        }
        nap_us(200);
    }
    return told;
}

static bool wait_until_written(void)
{
    uint64_t since_ns = clock_monotonic_ns();
    while (__atomic_load_n(&shown.pending, __ATOMIC_RELAXED) != 0) {
        if (clock_monotonic_ns() - since_ns > PATIENCE_S * CLOCK_NS_PER_S) {
            return false;
        }
        nap_us(1000);
    }
    return true;
}

/* What all files hold together; they are removed. */
static const char *count_lines(uint64_t *lines, uint64_t *lost)
{
    const char *wrong = NULL;
    char path[PATH_BYTES];
    for (uint32_t i = 0; i <= moved; i++) {
        struct audit_verdict verdict = {.bad_line = 0};
        path_of(path, i);
        FILE *file = fopen(path, "re");
        if (file == NULL) { /* moved as the very last thing: no line came after it */
            continue;
        }
        if (audit_verify(file, &verdict) != 0 || verdict.bad_line != 0) {
            fprintf(stderr, "%s, line %llu: %s\n", path, (unsigned long long)verdict.bad_line, verdict.what);
            wrong = "a chain is broken";
        }
        fclose(file);
        *lines += verdict.lines;
        *lost += verdict.lost;
        unlink(path);
    }
    rmdir(folder);
    return wrong;
}

int main(int argc, char **argv)
{
    pthread_t mover;
    pthread_t looker;
    char path[PATH_BYTES];
    struct error err = {{0}};
    uint64_t run_ms = argc > 1 ? strtoull(argv[1], NULL, 10) : 2500;
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    path_of(path, 0);
    if (audit_start(&audit, path, &shown, &err) != 0) {
        fprintf(stderr, "stress_audit: %s\n", err.text);
        return 1;
    }
    until_ns = clock_monotonic_ns() + run_ms * CLOCK_NS_PER_MS;
    if (pthread_create(&mover, NULL, move_away, NULL) != 0 || pthread_create(&looker, NULL, look, NULL) != 0) {
        fprintf(stderr, "stress_audit: no threads\n");
        return 1;
    }
    uint64_t told = tell_on();
    pthread_join(mover, NULL);
    pthread_join(looker, NULL);
    bool written = wait_until_written();
    tell(told++); /* says how many were lost, if the last ones were */
    written = wait_until_written() && written;
    audit_stop(&audit);
    uint64_t lines = 0;
    uint64_t lost = 0;
    const char *wrong = count_lines(&lines, &lost);
    if (!written) {
        wrong = "the log is not written";
    } else if (wrong == NULL && (lost != shown.lost || lines != shown.written || lines < told - lost)) {
        wrong = "lines are missing";
    }
    printf("stress_audit: %llu told, %llu lines in %u files, %llu lost (counted: %llu)\n", (unsigned long long)told,
           (unsigned long long)lines, moved + 1, (unsigned long long)lost, (unsigned long long)shown.lost);
    if (wrong != NULL) {
        fprintf(stderr, "stress_audit: %s\n", wrong);
    }
    return wrong == NULL ? 0 : 1;
}
