/* sluice latency: where the time goes. What its parts share. Cold.
 *
 *   server's histograms --latency_take--> snapshot --latency_view_make--> view --> table, curve, JSON, files
 *
 * Nothing is ever reset in the server: what was counted in an interval is the difference of two snapshots.
 */
#ifndef TOOLS_LATENCY_H
#define TOOLS_LATENCY_H

#include <jansson.h>

#include "tools/hops.h"
#include "tools/terminal.h"

#define LATENCY_HOPS_MAX   512u
#define LATENCY_LINES_MAX  (2 * LATENCY_HOPS_MAX)
#define LATENCY_QUANTILES  5u
#define LATENCY_CURVES_MAX 8u
#define LATENCY_TOO_HIGH   (1.0 / HISTOGRAM_STEPS)
#define LATENCY_CORRECTED  ".corrected" /* behind the hop's name: the line, the file */
#define LATENCY_LINE_BYTES (HOP_NAME_BYTES + sizeof(LATENCY_CORRECTED))

struct latency_options {
    const char *instance;
    const char *hops;   /* NULL: all */
    const char *folder; /* --hgrm */
    const char *plot;
    double watch_s;    /* 0: once */
    double interval_s; /* 0: since the start of the server */
    bool json, buckets, curve, raw;
};

/* Reads the command line. EXIT_DONE, or an exit code, said; -1: --help was asked for and printed. */
int latency_options_take(int argc, char **argv, struct latency_options *options);

/* The shares that every report has, and their words: 0.5 "p50" .. */
double latency_quantile(uint32_t n);
const char *latency_quantile_name(uint32_t n);

struct latency_hop {
    char name[HOP_NAME_BYTES];
    char meaning[128];
    uint64_t period_ns;
    struct histogram values;
};

struct latency_snapshot {
    char instance[RING_NAME_BYTES];
    uint64_t started_tai_ns; /* the server; another one: another run */
    uint64_t tai_ns, monotonic_ns;
    uint32_t hops;
    struct latency_hop hop[LATENCY_HOPS_MAX];
};

/* Copies every histogram of the server. 0 or -errno: it is gone. */
int latency_take(struct session *session, struct latency_snapshot *snapshot, struct error *err);

/* Does this list of names, with commas between them, choose the hop? By the beginning of its name or its last part.
 * NULL chooses all. */
bool latency_chosen(const char *list, const char *name);

/* Every name in the list chooses a hop. False with err: which one does not, and which there are. */
bool latency_all_known(const char *list, const struct latency_snapshot *snapshot, struct error *err);

/* One histogram that is shown: a hop's, or its corrected one, which stands behind it. */
struct latency_line {
    char name[LATENCY_LINE_BYTES];
    const struct latency_hop *hop;
    const struct histogram *values;
    bool corrected;
    bool idle;  /* corrected, and nothing was to be added: it is left out of what people read */
    bool exact; /* the maximum */
};

struct latency_view {
    const struct latency_snapshot *at;
    double seconds; /* what it is of: the server's life, or an interval */
    bool interval;
    char anew[HOP_NAME_BYTES]; /* a hop whose counts went back; empty: none */
    uint32_t lines;
    struct latency_line line[LATENCY_LINES_MAX];
    struct histogram difference[LATENCY_HOPS_MAX];
    struct histogram corrected[LATENCY_HOPS_MAX];
};

/* before NULL: of all that was counted. Both snapshots outlive the view. */
void latency_view_make(const struct latency_options *options, const struct latency_snapshot *now,
                       const struct latency_snapshot *before, struct latency_view *view);

/* "3 h 2 min", "12.5 s": what a view is of. */
void latency_span(double seconds, char text[48]);

/* A value for people, in us with at most `characters` (5 or 6); from 0.1 s on in s. "-" if there are no values. */
void latency_value_words(const struct histogram *values, uint64_t ns, unsigned characters, char text[16]);
void latency_count_words(uint64_t count, unsigned characters, char text[24]);

/* 80 columns. */
void latency_table(const struct latency_view *view, FILE *to);

/* Both side by side, in 80 columns, or in 116 with more percentiles. interval NULL: there is none yet. */
void latency_pair_table(const struct latency_view *interval, const struct latency_view *total, unsigned columns,
                        FILE *to);

/* The percentile curves as text. */
void latency_curve(const struct latency_view *view, const struct terminal *terminal, FILE *to);

/* interval NULL: there is none. New reference, or NULL: no memory. */
json_t *latency_json(const struct latency_view *total, const struct latency_view *interval, bool buckets);

/* Whether what the options name can be written, before anything is measured. 0 or -errno; -EINVAL: wrong usage. */
int latency_files_ready(const struct latency_options *options, struct error *err);

/* Files: whole or not at all; what was there is replaced. Each is told on standard output. 0 or -errno. */
int latency_write_hgrm(const struct latency_view *view, const char *folder, struct error *err);
int latency_write_plot(const struct latency_view *view, const char *path, struct error *err);

/* Until interrupted. `session` is open. An exit code. */
int latency_watch(const struct latency_options *options, struct session *session, const char *instance);

#endif
