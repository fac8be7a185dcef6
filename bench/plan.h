/* What one run of a question asks, in order, and the rows that the answers go to. */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include "bench/environment.h"
#include "bench/measure.h"
#include "bench/progress.h"
#include "bench/rows.h"

#define PLAN_CASES_MAX 256u

struct plan_case {
    struct question question;
    uint32_t first_row;
    uint32_t row_count;
    double scale[MEASURE_VALUES_MAX]; /* from the outcome's values to the rows' unit */
    bool dropped;                     /* not available, failed, or said enough: not asked again */
    bool is_stall;                    /* what it finds is a stall by nature: it does not tell of the machine */
    char reason[ERROR_TEXT_BYTES];    /* why it was dropped; else what its values are to be read with */
};

struct plan {
    struct plan_case cases[PLAN_CASES_MAX];
    uint32_t case_count;
    struct row rows[ROWS_MAX];
    uint32_t row_count;
    const char *only; /* names, comma between them; NULL: everything */
    bool needs_iceoryx;
    const struct real_time *real_time; /* bench/report.h; NULL: nothing runs in real time */
    const char *question;              /* its name .. */
    uint32_t rounds;                   /* .. and how many there will be, for who waits; */
    struct progress *progress;         /* NULL: nobody does */
};

/* Fills the plan with every case of the ring that `only` lets through. */
void plan_ring(struct plan *plan, const struct environment *environment, double seconds, const char *only);

/* The same of the control core. `decisions`: of each variant in one round; 0: as many as fit into `seconds`. */
void plan_control(struct plan *plan, const struct environment *environment, double seconds, uint64_t decisions,
                  const char *only);

/* The same of the receiving paths. */
void plan_net(struct plan *plan, const struct environment *environment, double seconds, const char *only);

/* The same of the ways to read sensors. */
void plan_daq(struct plan *plan, const struct environment *environment, double seconds, const char *only);

/* The same of the recorder, which writes below `directory`. */
void plan_record(struct plan *plan, const struct environment *environment, double seconds, const char *directory,
                 const char *only);

/* The same of readers in Python and in C. */
void plan_readers(struct plan *plan, const struct environment *environment, double seconds, const char *only);

/* What only all rounds together say. Before rows_finish. */
void plan_control_finish(struct plan *plan);
void plan_record_finish(struct plan *plan);

/* Is the row's name, its variant or the first word of that in the list `only`? */
bool plan_wants(const char *only, const char *name, const char *variant);

/* No more cases after the one that is being asked, which is given a moment. Safe in a signal handler. */
void plan_stop(void);
bool plan_stopped(void);

/* What plan_stop wakes: readable from then on. -1: it cannot be had, and nobody is woken. Cold. */
int plan_stop_fd(void);

/* Asks every case once. `round` counts from 0. Says on standard error what fails; how many did. */
uint32_t plan_round(struct plan *plan, uint32_t round);

/* The same as short as may be, and what is found is thrown away: the first ones meet files, pages and clocks that
 * nobody has touched for a while. */
uint32_t plan_warm_up(struct plan *plan);

/* What all cases together should take in one round, in s, or those of the warm-up. A guess. */
double plan_expected_s(const struct plan *plan, bool warm);

#endif
