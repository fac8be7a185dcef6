/* Is a figure worse than it was? Pure. */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#define COMPARE_SHARE    0.05 /* a smaller change says nothing, however small the spread */
#define COMPARE_RUNS_MIN 3u   /* fewer show no spread */

enum compare_verdict { COMPARE_SAME = 0, COMPARE_BETTER = 1, COMPARE_WORSE = 2, COMPARE_NOT_JUDGED = 3 };
#define COMPARE_VERDICTS 4u

/* A row, before or now. NAN: there is none. */
struct compare_side {
    double min, median, max;
    double floor_ratio;
    uint32_t runs;
    bool stalled; /* in so many rounds that the median may be a stall's */
    bool capped;
    const char *unit;
};

struct compare_row {
    const char *name;
    const char *kind; /* "ours", "floor", "peer" */
    struct compare_side old, now;
};

struct compare_judgement {
    enum compare_verdict verdict;
    double change;      /* now less before */
    double noise;       /* half of min .. max, of the two the larger */
    bool beyond;        /* the change is more than noise and COMPARE_SHARE, whatever was made of it */
    const char *reason; /* why it is not judged; else NULL */
};

/* Worse or better: the medians differ by more than the noise, and by more than COMPARE_SHARE of what it was; where
 * there is a floor, the ratio to it has changed by so much too. Which way is better is known by the unit. */
struct compare_judgement compare_judge(const struct compare_row *row);

/* 1: more is better, -1: less is, 0: not known. */
int compare_direction(const char *unit);

#endif
