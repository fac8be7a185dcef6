#include "daq/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daq/log.h"
#include "ring/clock.h"

#define STACK_BYTES      ((size_t)128 * 1024)
#define RETRY_S          1
#define STOP_PATIENCE_S  2
#define ALLOWANCE_BURST  100u
#define ALLOWANCE_PERIOD (50 * CLOCK_NS_PER_MS)

/* The thread is the only writer of these; the tools read them. */
static void show(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static void complain(struct audit *audit, int code)
{
    if (__atomic_load_n(&audit->shown->last_errno, __ATOMIC_RELAXED) != (uint64_t)-code) {
        log_line("the audit log %s cannot be written: %s; decisions go on, what happens waits in memory",
                 audit->path, strerror(-code));
    }
    show(&audit->shown->errors, audit->shown->errors + 1);
    show(&audit->shown->last_errno, (uint64_t)-code);
}

/* Writes as many of the `n` entries from `first` as the disk takes, and syncs. */
static uint32_t write_entries(struct audit *audit, uint32_t first, uint32_t n)
{
    uint32_t done = 0;
    int code = audit_file_follow(audit);
    while (code == 0 && done < n) {
        code = audit_file_write(audit, &audit->entry[(first + done) % AUDIT_QUEUE]);
        done += code == 0;
    }
    if (done > 0 && fdatasync(audit->fd) != 0 && code == 0) {
        code = -errno;
    }
    if (code != 0) {
        complain(audit, code);
    } else if (audit->shown->last_errno != 0) {
        show(&audit->shown->last_errno, 0);
        log_line("the audit log %s can be written again", audit->path);
    }
    show(&audit->shown->written, audit->shown->written + done);
    return done;
}

static void *write_on(void *argument)
{
    struct audit *audit = argument;
    pthread_mutex_lock(&audit->lock);
    for (;;) {
        while (audit->entries == 0 && !audit->stopping) {
            pthread_cond_wait(&audit->wake, &audit->lock);
        }
        uint32_t first = audit->first;
        uint32_t n = audit->entries;
        if (n == 0) {
            break;
        }
        pthread_mutex_unlock(&audit->lock); /* the entries that stand are not touched meanwhile */
        uint32_t done = write_entries(audit, first, n);
        pthread_mutex_lock(&audit->lock);
        audit->first = (audit->first + done) % AUDIT_QUEUE;
        audit->entries -= done;
        audit->first = audit->entries == 0 ? 0 : audit->first; /* few entries: few pages of memory */
        show(&audit->shown->pending, audit->entries);
        if (done < n) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += RETRY_S;
            while (!audit->stopping && pthread_cond_timedwait(&audit->wake, &audit->lock, &until) == 0) {
            }
            if (audit->stopping) {
                break;
            }
        }
    }
    pthread_mutex_unlock(&audit->lock);
    return NULL;
}

int audit_start(struct audit *audit, const char *path, struct supervisor_audit *shown, struct error *err)
{
    pthread_attr_t attributes;
    audit->shown = shown;
    audit->fd = -1;
    snprintf(audit->path, sizeof(audit->path), "%s", path);
    snprintf(shown->path, sizeof(shown->path), "%s", path);
    if (path[0] == 0) {
        return 0;
    }
    int code = audit_file_open(audit, err);
    if (code != 0) {
        return code;
    }
    pthread_mutex_init(&audit->lock, NULL);
    pthread_cond_init(&audit->wake, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    code = -pthread_create(&audit->thread, &attributes, write_on, audit);
    pthread_attr_destroy(&attributes);
    audit->running = code == 0;
    return code == 0 ? 0 : error_set(err, code, "no thread for the audit log: %s", strerror(-code));
}

void audit_stop(struct audit *audit)
{
    struct timespec until;
    if (!audit->running) {
        return;
    }
    pthread_mutex_lock(&audit->lock);
    audit->stopping = true;
    pthread_cond_signal(&audit->wake);
    pthread_mutex_unlock(&audit->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_PATIENCE_S;
    if (pthread_timedjoin_np(audit->thread, NULL, &until) != 0) {
        log_line("the audit log %s takes nothing: what waited for it is lost", audit->path);
        pthread_detach(audit->thread); /* it hangs in the disk; the end of the process is the end of it */
    } else if (audit->fd >= 0) {
        close(audit->fd);
    }
    audit->running = false;
}

void audit_begin(struct json_line *line, char room[AUDIT_ENTRY_BYTES], const char *what, uint64_t tai_ns)
{
    char text[48];
    char date[32];
    struct tm tm;
    uint64_t utc_ns = tai_ns - (uint64_t)(int64_t)clock_utc_offset_s() * CLOCK_NS_PER_S;
    time_t seconds = (time_t)(utc_ns / CLOCK_NS_PER_S);
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof(text), "%s.%06uZ", date, (unsigned)(utc_ns % CLOCK_NS_PER_S / 1000));
    json_line_begin(line, room, AUDIT_ENTRY_BYTES);
    json_line_text(line, "time", text);
    json_line_count(line, "tai_ns", tai_ns);
    json_line_text(line, "what", what);
}

static void queue(struct audit *audit, const struct json_line *line)
{
    struct audit_entry *entry = &audit->entry[(audit->first + audit->entries) % AUDIT_QUEUE];
    memcpy(entry->text, line->text, line->used);
    entry->bytes = (uint32_t)line->used;
    audit->entries++;
}

/* "lost": how many entries should stand here. */
static void queue_lost(struct audit *audit, const char *why, uint64_t count)
{
    char room[AUDIT_ENTRY_BYTES];
    struct json_line line;
    struct timespec now;
    clock_gettime(CLOCK_TAI, &now);
    audit_begin(&line, room, "lost", (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec);
    json_line_count(&line, "lost", count);
    json_line_text(&line, "text", why);
    queue(audit, &line);
}

void audit_end(struct audit *audit, const struct json_line *line)
{
    if (!audit->running) {
        return;
    }
    pthread_mutex_lock(&audit->lock);
    if (audit->entries + 2 > AUDIT_QUEUE) {
        audit->unqueued++;
        show(&audit->shown->lost, audit->shown->lost + 1);
    } else {
        if (audit->unqueued > 0) {
            queue_lost(audit, "entries that found no place in memory while the disk took nothing", audit->unqueued);
            audit->unqueued = 0;
        }
        queue(audit, line);
        pthread_cond_signal(&audit->wake);
    }
    show(&audit->shown->pending, audit->entries);
    pthread_mutex_unlock(&audit->lock);
}

bool audit_allows(struct audit *audit, uint64_t now_ns, uint64_t tai_ns)
{
    struct audit_allowance *a = &audit->allowance;
    uint64_t more = a->filled_ns == 0 ? ALLOWANCE_BURST : (now_ns - a->filled_ns) / ALLOWANCE_PERIOD;
    if (more > 0) {
        a->left = more + a->left < ALLOWANCE_BURST ? a->left + (uint32_t)more : ALLOWANCE_BURST;
        a->filled_ns = now_ns;
    }
    if (a->left == 0) {
        a->refused++;
        return false;
    }
    a->left--;
    if (a->refused > 0) {
        char room[AUDIT_ENTRY_BYTES];
        struct json_line line;
        audit_begin(&line, room, "suppressed", tai_ns);
        json_line_count(&line, "suppressed", a->refused);
        json_line_text(&line, "text", "commands that changed nothing and came too fast to be told one by one");
        a->refused = 0;
        audit_end(audit, &line);
    }
    return true;
}
