/* The audit log: who commanded what, what was answered, and what the interlock did by itself. One JSON object a
 * line, appended, chained (daq/audit_chain.h). A thread of its own writes and syncs it, so that a slow or full disk
 * never delays the main thread, which drives outputs safe; what finds no place in the queue is counted, and the log
 * says so itself as soon as it can. Cold.
 */
#ifndef DAQ_AUDIT_H
#define DAQ_AUDIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daq/audit_chain.h"
#include "daq/board.h"
#include "daq/json_line.h"
#include "ring/error.h"

#define AUDIT_QUEUE 256u
#define AUDIT_ENTRY_BYTES                                                                                          \
    (AUDIT_LINE_BYTES - 256u) /* the rest is for number, chain and what else the writer adds */

struct audit_entry {
    uint32_t bytes;
    char text[AUDIT_ENTRY_BYTES]; /* members of a JSON object, without braces */
};

/* A bound on what one noisy client can have written: a hundred lines at once, twenty a second. */
struct audit_allowance {
    uint64_t filled_ns;
    uint32_t left;
    uint64_t refused; /* not told yet */
};

struct audit {
    char path[SUPERVISOR_PATH_BYTES]; /* empty: there is none */
    struct supervisor_audit *shown;   /* on our board */
    pthread_mutex_t lock;             /* of first, entries, unqueued, stopping and the entries that stand */
    pthread_cond_t wake;
    pthread_t thread;
    bool running;
    bool stopping;
    uint32_t first;
    uint32_t entries;
    uint64_t unqueued; /* that found no place since the last that did */
    struct audit_allowance allowance;
    /* The thread's own from here on. */
    int fd;
    uint64_t number;     /* of the last line */
    uint64_t chain;      /* .. and its hash */
    uint64_t torn_bytes; /* in front of the next line, left by a server that was ended; told by it */
    bool fresh;          /* the file is empty: the next line says what it follows */
    struct audit_entry entry[AUDIT_QUEUE];
};

/* Opens the log (its directory is made) and starts the thread; `path` empty: everything below does nothing. 0 or
 * -errno. audit_stop is fine after a failure, or on a zeroed struct. */
int audit_start(struct audit *audit, const char *path, struct supervisor_audit *shown, struct error *err);

/* Waits a while for the disk, then gives the rest up. */
void audit_stop(struct audit *audit);

/* Begins an entry in the caller's room: "time", "tai_ns" and "what". */
void audit_begin(struct json_line *line, char room[AUDIT_ENTRY_BYTES], const char *what, uint64_t tai_ns);

/* Queues it. Never waits for the disk. */
void audit_end(struct audit *audit, const struct json_line *line);

/* May this client have another line? What is refused is counted, and told in the log later. Main thread. */
bool audit_allows(struct audit *audit, uint64_t now_ns, uint64_t tai_ns);

/* For daq/audit_file.c: opening, writing, going on where an earlier server has stopped. The thread's, or before it
 * runs. */
int audit_file_open(struct audit *audit, struct error *err);
int audit_file_write(struct audit *audit, const struct audit_entry *entry);
/* Has the file been moved away (logrotate) or removed? Then a new one is begun. */
int audit_file_follow(struct audit *audit);

#endif
