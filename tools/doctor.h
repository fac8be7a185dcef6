/* sluice doctor: is this host fit for a valve? What is not known is never called good. Cold.
 *
 *   doctor.c          options, order, exit code
 *   doctor_kinds.c    every finding there can be: its key, what is expected, why, what to do
 *   doctor_read.c     files of the kernel's below the root, and the small languages in them
 *   doctor_need.c     what the configuration, or a running server, wants of the host
 *   doctor_cpu.c, doctor_kernel.c, doctor_limits.c, doctor_irqs.c, doctor_devices.c  looking
 *   doctor_measure.c  measuring; doctor_judge.c: what that means
 *   doctor_fix.c      changes; doctor_undo.c: the file that takes them back
 *   doctor_lock.c     one doctor at a time changes this host
 *   doctor_certify.c  the verdict that is left for the arming gate
 *   doctor_report.c   text and JSON
 */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "daq/compile.h"
#include "ring/error.h"

/* From the best to the worst. Unknown stands behind what is known to be harmless. */
enum doctor_severity { DOCTOR_OK = 0, DOCTOR_NOTE = 1, DOCTOR_UNKNOWN = 2, DOCTOR_WARNING = 3, DOCTOR_DANGER = 4 };

/* In the order of the report and of doctor_kinds[]. */
enum doctor_key {
    DOCTOR_CORES,
    DOCTOR_ISOLATION,
    DOCTOR_NOHZ_FULL,
    DOCTOR_RCU_NOCBS,
    DOCTOR_GOVERNOR,
    DOCTOR_IDLE_STATES,
    DOCTOR_SMT_SIBLINGS,
    DOCTOR_IRQ_AFFINITY,
    DOCTOR_HYPERVISOR,
    DOCTOR_PREEMPTION,
    DOCTOR_RT_THROTTLING,
    DOCTOR_CLOCKSOURCE,
    DOCTOR_LOCKUP_DETECTOR,
    DOCTOR_THP,
    DOCTOR_HUGE_PAGES,
    DOCTOR_SWAP,
    DOCTOR_SWAPPINESS,
    DOCTOR_MEMLOCK,
    DOCTOR_RTPRIO,
    DOCTOR_CAPABILITIES,
    DOCTOR_WATCHDOG,
    DOCTOR_VFIO,
    DOCTOR_NIC_NODE,
    DOCTOR_STALLS,
    DOCTOR_TIMER,
    DOCTOR_BANDWIDTH,
    DOCTOR_PING_PONG,
    DOCTOR_KEYS
};

struct doctor_kind {
    const char *key;
    const char *gate; /* the arming gate's check that looks at the same; NULL: none does */
    const char *expected;
    const char *why;
    const char *remedy;
};
extern const struct doctor_kind doctor_kinds[DOCTOR_KEYS];

#define DOCTOR_TEXT_BYTES      384u
#define DOCTOR_CHANGES_MAX     512u
#define DOCTOR_PATH_BYTES      160u
#define DOCTOR_VALUE_BYTES     192u
#define DOCTOR_CORES_MAX       64u /* measured; more are named as not measured */
#define DOCTOR_PORTS_MAX       32u
#define DOCTOR_FILE_BYTES      65536u
#define DOCTOR_CERTIFIED_BYTES 300u
#define DOCTOR_LIMIT_NO_MORE   UINT64_MAX /* "unlimited" */

struct doctor_finding {
    enum doctor_severity severity;
    bool fixable; /* a change of it stands in doctor.change */
    char found[DOCTOR_TEXT_BYTES];
    char remedy[DOCTOR_TEXT_BYTES]; /* empty: the kind's */
};

/* Writing `to` into a file of the kernel's that holds `from`. */
struct doctor_change {
    enum doctor_key key;
    char path[DOCTOR_PATH_BYTES]; /* as under "/" */
    char from[DOCTOR_VALUE_BYTES];
    char to[DOCTOR_VALUE_BYTES];
};

/* Pages of one size on one node, for all rings together. */
struct doctor_pages {
    size_t page_bytes;
    int node;      /* NUMA_ANY: wherever */
    bool required; /* the server does not start without */
    uint64_t count;
};

struct doctor_port {
    char name[32]; /* a network interface, or a PCI address */
    bool pci;
    int core; /* that polls it; -1: any */
};

struct doctor_need {
    char name[RING_NAME_BYTES]; /* of the instance; empty: nothing is configured */
    bool running;               /* taken from a running server: what it got already is not asked for */
    bool pinned;                /* cores: of the configuration; else all that we may run on */
    bool control_pinned;        /* control.core is given */
    cpu_set_t cores;
    bool busy_fifo;     /* a thread under SCHED_FIFO that never sleeps */
    bool busy_anywhere; /* .. and has no core of its own */
    bool busy_unknown;  /* there may be one: a running server does not tell how its workers idle */
    cpu_set_t busy;     /* theirs */
    bool lock;          /* memory.lock */
    uint64_t budget_ns;
    uint64_t checksum;                   /* of the configuration; 0: none was given */
    char watchdog[CONTROL_TARGET_BYTES]; /* empty: none is configured */
    uint32_t pages;
    struct doctor_pages page[CONTROL_RINGS_MAX];
    uint32_t ports;
    struct doctor_port port[DOCTOR_PORTS_MAX];
};

struct doctor_core {
    int core;
    bool pinned; /* it ran there, or nothing of it counts */
    uint64_t span_ns;
    uint64_t gaps; /* longer than DOCTOR_GAP_NS */
    uint64_t gap_max_ns;
    uint64_t stolen_ns; /* all gaps together */
    uint64_t timers;
    uint64_t timer_p50_ns;
    uint64_t timer_p99_ns;
    uint64_t timer_max_ns;
};

struct doctor_pair {
    int from;
    int to;
    uint64_t rounds; /* 0: not measured */
    uint64_t p50_ns; /* one way: half a round trip */
    uint64_t max_ns;
};

struct doctor_measures {
    bool done;
    char why_not[160];
    uint32_t seconds;
    uint32_t cores;
    uint32_t cores_left_out;
    struct doctor_core core[DOCTOR_CORES_MAX];
    uint64_t memcpy_bytes_per_s; /* 0: not measured */
    uint32_t pairs;
    struct doctor_pair pair[DOCTOR_CORES_MAX];
};

struct doctor {
    const char *root; /* "": this host */
    struct doctor_need need;
    struct doctor_finding finding[DOCTOR_KEYS];
    uint32_t changes;
    uint32_t changes_left_out;
    struct doctor_change change[DOCTOR_CHANGES_MAX];
    struct doctor_measures measures;
    uint32_t failed;                        /* changes that could not be made, or taken back */
    char certified[DOCTOR_CERTIFIED_BYTES]; /* the file that --certify has left; empty: none */
};

/* doctor_kinds.c */
const char *doctor_severity_word(enum doctor_severity severity);
const char *doctor_remedy(const struct doctor *d, enum doctor_key key);
/* Everything unknown, nothing to change; need and measures stay. */
void doctor_reset(struct doctor *d);
__attribute__((format(printf, 4, 5))) void doctor_find(struct doctor *d, enum doctor_key key,
                                                       enum doctor_severity severity, const char *format, ...);
__attribute__((format(printf, 3, 4))) void doctor_advise(struct doctor *d, enum doctor_key key, const char *format,
                                                         ...);
/* Unknown, because `path` could not be read. */
void doctor_unreadable(struct doctor *d, enum doctor_key key, const char *path, int code);
/* One more change for --fix; makes the finding fixable. */
void doctor_propose(struct doctor *d, enum doctor_key key, const char *path, const char *from, const char *to);
enum doctor_severity doctor_verdict(const struct doctor *d);
/* 0: nothing above a note; 1: warnings, unknowns, or a change that failed; 3: dangers. */
int doctor_exit_code(const struct doctor *d);

/* doctor_read.c: a text of the kernel's without the line end; bytes of it, or -errno: -ENODATA: empty, -EFBIG,
 * -EBADMSG: binary. doctor_read_head: the beginning of one of any length. */
int doctor_read(const struct doctor *d, const char *path, char *text, size_t bytes);
int doctor_read_head(const struct doctor *d, const char *path, char *text, size_t bytes);
int doctor_read_number(const struct doctor *d, const char *path, int64_t *value);
__attribute__((format(printf, 2, 3))) const char *doctor_path(char path[DOCTOR_PATH_BYTES], const char *format,
                                                              ...);
/* The file under the root; false: too long. */
bool doctor_full_path(const struct doctor *d, const char *path, char *full, size_t bytes);
/* "0-1,3"; empty: none. False: no such list; *set is untouched. */
bool doctor_parse_cores(const char *text, cpu_set_t *set);
/* Back again; ends in ".." if there is not enough room. */
void doctor_print_cores(const cpu_set_t *set, char *text, size_t bytes);
/* "always [madvise] never": madvise. */
bool doctor_parse_chosen(const char *text, char *word, size_t bytes);
bool doctor_parse_number(const char *text, int64_t *value);
/* "Max locked memory   65536   65536   bytes": the first number. */
bool doctor_parse_limit(const char *text, const char *name, uint64_t *value);
/* "CapEff:\t0000..": hexadecimal; "MemAvailable:   123 kB": decimal. */
bool doctor_parse_field(const char *text, const char *name, int base, uint64_t *value);
/* rcu_nocbs=VALUE among the words of a command line. */
bool doctor_parse_option(const char *text, const char *name, char *value, size_t bytes);

/* doctor_need.c */
int doctor_need_host(struct doctor_need *need);
void doctor_need_plan(struct doctor_need *need, const struct server_plan *plan);
int doctor_need_instance(struct doctor_need *need, const char *instance, struct error *err);
/* Whose cores a measurement would take; also one that runs where our run directory is not. */
bool doctor_server_runs(void);

/* One look each; findings and changes into d. */
void doctor_look_cpu(struct doctor *d);
void doctor_look_irqs(struct doctor *d);
void doctor_look_kernel(struct doctor *d);
void doctor_look_memory(struct doctor *d);
void doctor_look_limits(struct doctor *d);
void doctor_look_devices(struct doctor *d);
/* All of them, and the judgement of what was measured. */
void doctor_look(struct doctor *d);

#define DOCTOR_GAP_NS UINT64_C(10000)

/* doctor_measure.c: takes about so many seconds. doctor_judge.c: of d->measures, done or not. */
void doctor_measure(struct doctor *d, uint32_t seconds);
void doctor_judge(struct doctor *d);

/* doctor_fix.c: --fix, --undo. 0, or -errno: nothing was changed; what failed by itself is in d->failed. */
int doctor_fix(struct doctor *d, FILE *say, struct error *err);
int doctor_undo(struct doctor *d, FILE *say, struct error *err);
void doctor_dry_run(const struct doctor *d, FILE *say);

/* doctor_undo.c: what was changed, in that order. */
struct doctor_undo {
    char root[256];
    char boot[48];
    uint32_t entries;
    struct doctor_change entry[DOCTOR_CHANGES_MAX]; /* without key */
};
/* A file that this program changes. */
bool doctor_may_write(const char *path);
void doctor_boot(const struct doctor *d, char *boot, size_t bytes);
/* Of the bytes of a file. False: it is none; why in err. */
bool doctor_undo_parse(const char *text, size_t bytes, struct doctor_undo *undo, struct error *err);
/* 0, 1: there is none, or -errno. */
int doctor_undo_load(struct doctor_undo *undo, struct error *err);
/* With no entries: removes it. */
int doctor_undo_save(const struct doctor_undo *undo, struct error *err);
/* The folder of a file, with those above it; `variable` says where else it could be. */
int doctor_make_folder(const char *path, const char *variable, struct error *err);

/* doctor_lock.c: a descriptor to close, or -errno: -EBUSY: who has it stands in err. */
int doctor_lock(struct error *err);

/* doctor_certify.c: of what was measured, and found since; leaves it for the server, good or bad. 0 or -errno. */
uint32_t doctor_count(const struct doctor *d, enum doctor_severity severity);
int doctor_certify(struct doctor *d, struct error *err);
/* What was certified was another host than the one that --undo leaves. */
void doctor_withdraw(struct doctor *d, FILE *say);

/* doctor_report.c */
void doctor_print(const struct doctor *d, FILE *to);
void doctor_print_json(const struct doctor *d, FILE *to);

int command_doctor(int argc, char **argv);

#endif
