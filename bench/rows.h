/* The rows of a result: one figure each, with all its runs, and the ratios to the floor and to the best peer. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/peer.h"
#include "bench/stalls.h"

#define ROWS_MAX     1024u
#define ROW_RUNS_MAX 101u

struct row {
    const char *name; /* the question: "throughput" .. */
    char variant[48]; /* what answers it: "rte_ring-zc-b32" .. */
    const char *unit;
    const char *note;    /* a word for the reader, or NULL */
    uint32_t size_bytes; /* 0: it has none */
    uint32_t group;      /* rows of one name and size are compared within a group only */
    uint32_t batch;      /* frames per publish: compared with peers of the same or a smaller one */
    enum peer_kind kind;
    bool is_floor; /* the floor of the rows of its name and size */
    bool high;     /* higher is better */
    bool capped;   /* the truth is worse than the value */

    double samples[ROW_RUNS_MAX]; /* in the order of the rounds; NAN: this round has none */
    uint32_t rounds;
    double stall_us; /* worst of all runs; negative: not looked at */
    uint64_t frames, lost, wrong;
    struct row_stalls stalls;
    bool has_pooled;
    double pooled; /* of all rounds taken as one */

    /* By rows_finish(). NAN: there is none. */
    double min, median, max, floor_ratio, peer_ratio;
    double live_ratio;   /* to the same question with an observer that reads */
    double single_ratio; /* of two readers to one */
    uint32_t runs;
    const struct row *best_peer;
};

/* Statistics of every row, then the ratios: each is the median over the rounds of the two values of one round. A
 * row without a single value is left as it is. */
void rows_finish(struct row *rows, uint32_t count);

#endif
