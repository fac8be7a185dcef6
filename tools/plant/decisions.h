/* How long from a sample leaving the plant to the first command that says it was evaluated, for every sample of one
 * stream. A command that acknowledges sequence q covers every sample up to q that is still waiting (sequences are
 * compared as distances, so the 32-bit wrap does not matter). */
#ifndef SLUICE_PLANT_DECISIONS_H
#define SLUICE_PLANT_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PLANT_DECISIONS_CAPACITY                                                                                   \
    (1u << 18) /* samples waiting: 2.6 s at 100 kHz; older ones are given up as missing */
#define PLANT_DECISIONS_LATE_NS   500000u
#define PLANT_DECISIONS_SETTLE_NS 100000000u /* younger than this at the end: neither decided nor missing */

struct plant_decision {
    uint64_t sent_tai_ns;
    uint32_t sequence;
};

struct plant_decisions {
    struct plant_decision *waiting; /* ring of PLANT_DECISIONS_CAPACITY */
    uint32_t *fine;                 /* decisions per 100 ns, below 10 ms */
    uint32_t *coarse;               /* decisions per 10 us, below 10 s, the last for everything above */
    FILE *csv;                      /* or NULL */
    uint64_t head, tail;            /* count of samples ever taken out, put in */
    uint64_t decided, missing, open, late, impossible;
    uint64_t longest_ns;
    uint32_t newest_sequence; /* ever sent, counted or not */
    bool any_sent;
};

/* csv_path may be NULL. 0 or -errno with a message. */
int plant_decisions_open(struct plant_decisions *decisions, const char *csv_path, char *error, size_t error_bytes);
/* Every first sending of a sample; `counted` if its decision is to be measured. */
void plant_decisions_sent(struct plant_decisions *decisions, uint32_t sequence, uint64_t sent_tai_ns, bool counted);
void plant_decisions_acknowledged(struct plant_decisions *decisions, uint32_t sequence, uint64_t tai_ns);
/* What is still waiting becomes missing, or open if it is too young to tell. */
void plant_decisions_settle(struct plant_decisions *decisions, uint64_t tai_ns);
/* share in 0..1; -1 if nothing was decided. Resolution 100 ns below 10 ms, 10 us above. */
double plant_decisions_percentile_us(const struct plant_decisions *decisions, double share);
/* 0, or -EIO if the CSV could not be written in full. */
int plant_decisions_close(struct plant_decisions *decisions);

#endif
