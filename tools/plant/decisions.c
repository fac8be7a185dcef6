#include "tools/plant/decisions.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FINE_NS     100u
#define FINE_BINS   100000u
#define COARSE_NS   10000u
#define COARSE_BINS 1000000u

int plant_decisions_open(struct plant_decisions *decisions, const char *csv_path, char *error, size_t error_bytes)
{
    int failed;

    memset(decisions, 0, sizeof(*decisions));
    decisions->waiting = calloc(PLANT_DECISIONS_CAPACITY, sizeof(*decisions->waiting));
    decisions->fine = calloc(FINE_BINS, sizeof(*decisions->fine));
    decisions->coarse = calloc(COARSE_BINS, sizeof(*decisions->coarse));
    if (decisions->waiting == NULL || decisions->fine == NULL || decisions->coarse == NULL) {
        snprintf(error, error_bytes, "expected about 9 MB of memory for the decision log, got none; free some");
        plant_decisions_close(decisions);
        return -ENOMEM;
    }
    if (csv_path == NULL)
        return 0;
    decisions->csv = fopen(csv_path, "we");
    if (decisions->csv == NULL) {
        failed = -errno;
        snprintf(error, error_bytes, "--decisions %s: expected a file that can be written, got: %s", csv_path,
                 strerror(-failed));
        plant_decisions_close(decisions);
        return failed;
    }
    setvbuf(decisions->csv, NULL, _IOFBF, 1 << 20);
    fputs("sequence,sent_tai_ns,acknowledged_tai_ns\n", decisions->csv);
    return 0;
}

static struct plant_decision *oldest(struct plant_decisions *decisions)
{
    return &decisions->waiting[decisions->head % PLANT_DECISIONS_CAPACITY];
}

static void give_up_oldest(struct plant_decisions *decisions)
{
    const struct plant_decision *sample = oldest(decisions);

    if (decisions->csv != NULL)
        fprintf(decisions->csv, "%" PRIu32 ",%" PRIu64 ",\n", sample->sequence, sample->sent_tai_ns);
    decisions->missing++;
    decisions->head++;
}

static void decide_oldest(struct plant_decisions *decisions, uint64_t tai_ns)
{
    const struct plant_decision *sample = oldest(decisions);
    /* The two stamps come from two clocks tied together to some 100 ns: never let that make a negative time. */
    uint64_t taken_ns = tai_ns > sample->sent_tai_ns ? tai_ns - sample->sent_tai_ns : 0;
    uint64_t coarse = taken_ns / COARSE_NS;

    if (taken_ns / FINE_NS < FINE_BINS)
        decisions->fine[taken_ns / FINE_NS]++;
    else
        decisions->coarse[coarse < COARSE_BINS ? coarse : COARSE_BINS - 1]++;
    if (taken_ns > decisions->longest_ns)
        decisions->longest_ns = taken_ns;
    if (taken_ns > PLANT_DECISIONS_LATE_NS)
        decisions->late++;
    if (decisions->csv != NULL)
        fprintf(decisions->csv, "%" PRIu32 ",%" PRIu64 ",%" PRIu64 "\n", sample->sequence, sample->sent_tai_ns,
                tai_ns);
    decisions->decided++;
    decisions->head++;
}

void plant_decisions_sent(struct plant_decisions *decisions, uint32_t sequence, uint64_t sent_tai_ns, bool counted)
{
    if (!decisions->any_sent || (int32_t)(sequence - decisions->newest_sequence) > 0)
        decisions->newest_sequence = sequence;
    decisions->any_sent = true;
    if (!counted)
        return;
    if (decisions->tail - decisions->head == PLANT_DECISIONS_CAPACITY)
        give_up_oldest(decisions);
    decisions->waiting[decisions->tail % PLANT_DECISIONS_CAPACITY] =
        (struct plant_decision){.sent_tai_ns = sent_tai_ns, .sequence = sequence};
    decisions->tail++;
}

void plant_decisions_acknowledged(struct plant_decisions *decisions, uint32_t sequence, uint64_t tai_ns)
{
    /* Nobody can have evaluated what was not sent: such a claim must not count as a fast decision later. */
    if (!decisions->any_sent || (int32_t)(sequence - decisions->newest_sequence) > 0) {
        decisions->impossible++;
        return;
    }
    while (decisions->head != decisions->tail && (int32_t)(sequence - oldest(decisions)->sequence) >= 0)
        decide_oldest(decisions, tai_ns);
}

void plant_decisions_settle(struct plant_decisions *decisions, uint64_t tai_ns)
{
    while (decisions->head != decisions->tail &&
           oldest(decisions)->sent_tai_ns + PLANT_DECISIONS_SETTLE_NS <= tai_ns)
        give_up_oldest(decisions);
    decisions->open += decisions->tail - decisions->head;
    decisions->head = decisions->tail;
}

double plant_decisions_percentile_us(const struct plant_decisions *decisions, double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)decisions->decided);
    uint64_t seen = 0;
    double longest_us = (double)decisions->longest_ns * 1e-3;

    if (decisions->decided == 0)
        return -1.0;
    /* The upper edge of a bin, so that a percentile is never flattered; and never above the longest seen. */
    for (uint32_t i = 0; i < FINE_BINS; i++)
        if ((seen += decisions->fine[i]) >= wanted)
            return fmin((i + 1) * (FINE_NS * 1e-3), longest_us);
    for (uint32_t i = 0; i + 1 < COARSE_BINS; i++)
        if ((seen += decisions->coarse[i]) >= wanted)
            return fmin((i + 1) * (COARSE_NS * 1e-3), longest_us);
    return longest_us;
}

int plant_decisions_close(struct plant_decisions *decisions)
{
    int failed = 0;

    if (decisions->csv != NULL) {
        failed = ferror(decisions->csv) != 0;
        failed |= fclose(decisions->csv) != 0;
    }
    free(decisions->waiting);
    free(decisions->fine);
    free(decisions->coarse);
    memset(decisions, 0, sizeof(*decisions));
    return failed ? -EIO : 0;
}
