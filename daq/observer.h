/* The observer: who took the cores of the pinned threads, and what each late decision is put down to. Its board is
 * written by sluice-observer only, read by `sluice why`. Cold, but a round of it costs little: it goes on all the
 * time.
 */
#ifndef DAQ_OBSERVER_H
#define DAQ_OBSERVER_H

#include "control/board.h"
#include "control/culprits.h"
#include "control/table.h"
#include "daq/worker_board.h"
#include "ring/error.h"
#include "ring/histogram.h"

#define OBSERVER_LOG        2048u /* stretches in each log, a power of two */
#define OBSERVER_LATEST     128u
#define OBSERVER_WORST      32u                    /* of each kind */
#define OBSERVER_SETTLED_NS (40 * CLOCK_NS_PER_MS) /* by then what overlaps a decision has been told */
/* Arguments by which the workers' boards are handed over. */
#define OBSERVER_WORKER_NAMES "worker0", "worker1", "worker2", "worker3", "worker4", "worker5", "worker6", "worker7"
#define OBSERVER_BOARDS_MAX   8u /* of workers */

enum observer_state {
    OBSERVER_STARTING = 0,
    OBSERVER_WATCHING = 1,
    OBSERVER_BLIND = 2 /* the board's refusals say why; decisions are listed, without causes */
};

/* A decision, or a gap of the loop, and what it is put down to. */
struct observer_finding {
    uint64_t number; /* of control's log, from 0; goes on when control is started again */
    struct late_entry late;
    struct verdict verdict;
    uint32_t complete; /* 0: some of what was told had been lost or overwritten before it was looked at */
    uint32_t reserved;
};

struct observer_thread {
    char name[RING_NAME_BYTES]; /* "control", the worker's name, or with its polling thread behind a slash */
    uint64_t tid;               /* 0: not watched now */
    uint64_t started_tai_ns;
    uint64_t sleep_us; /* that it plans at a time */
    uint64_t count[THIEF_KINDS];
    uint64_t ns[THIEF_KINDS];
    uint64_t longest_ns[THIEF_KINDS];
};

/* Control's losses have a log of their own, so that those of many workers do not push them out. */
enum { OBSERVER_LOG_CONTROL = 0, OBSERVER_LOG_OTHERS = 1, OBSERVER_LOGS = 2 };
struct observer_log {
    uint64_t events; /* ever: entry n at n % OBSERVER_LOG; stored last (release) */
    struct thief_event event[OBSERVER_LOG];
};

struct observer_board {
    struct board common;
    uint8_t pad[BOARD_BYTES - sizeof(struct board)];
    /* By sluiced, before it starts the process. */
    uint64_t threshold_ns;
    uint64_t reserved[15];
    /* By the observer, from here on. `version` is odd while findings are being written: read, copy, read again. */
    uint64_t version;
    uint32_t state; /* enum observer_state */
    uint32_t threads;
    uint64_t told;               /* stretches, ever */
    uint64_t lost;               /* that found no room between kernel and observer */
    uint64_t brief;              /* below the threshold */
    uint64_t judged[LATE_KINDS]; /* findings, ever */
    uint64_t over[LATE_KINDS];   /* of them beyond their limit */
    uint64_t missed;   /* entries of control's log that nobody judged: overwritten before, or none was there */
    char missing[256]; /* what this kernel does not tell of */
    struct observer_thread thread[THIEF_THREADS_MAX];
    uint64_t findings; /* finding n at n % OBSERVER_LATEST; stored last (release) */
    struct observer_finding latest[OBSERVER_LATEST];
    uint32_t worst_count[LATE_KINDS];
    struct observer_finding worst[LATE_KINDS][OBSERVER_WORST]; /* the longest first */
    struct observer_log log[OBSERVER_LOGS];
    struct histogram lasted[THIEF_KINDS]; /* of all threads */
};

struct observer {
    const struct control_table *table;
    const struct control_board *control;
    struct observer_board *board;
    const struct worker_board *worker[OBSERVER_BOARDS_MAX];
    uint32_t workers;
    uint64_t seen;                   /* of control's log */
    uint64_t first_event_ns;         /* before it control was not watched */
    uint64_t now_ns;                 /* of the scan under way */
    uint64_t lost;                   /* events, as of the last look */
    uint64_t lost_ns;                /* when some were lost last */
    struct thief_settings *settings; /* NULL: blind */
};

/* Tells of an event: into the log, the thread's sums, the histograms. A struct observer is the context. */
void observer_take(void *context, const struct thief_event *told);

/* What the programs have counted so far. */
void observer_count(struct observer *observer, const struct thief_counts *counts, uint64_t now_ns);

/* Before all others: goes on with the board of one that has died, whatever it left there. */
void observer_begin(struct observer *observer, uint64_t now_ns);

/* Looks which threads there are now: those of every process whose board says that it runs. */
void observer_scan(struct observer *observer, uint64_t now_ns);

/* Judges what control's log has that is old enough. */
void observer_judge(struct observer *observer, uint64_t now_ns);

/* A consistent copy of one of the board's tables of findings. 0, or -EAGAIN if the writer kept writing. Any
 * process. */
struct observer_findings {
    uint32_t count;
    struct observer_finding finding[OBSERVER_LATEST];
};
int observer_read_worst(const struct observer_board *board, enum late_kind kind,
                        struct observer_findings *findings);
int observer_read_latest(const struct observer_board *board, struct observer_findings *findings);

#endif
