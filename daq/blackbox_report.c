/* The files of a trip directory that are not frames. Cold. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daq/blackbox.h"
#include "ring/clock.h"

/* A row per board period, about one per millisecond; the last one is the newest. */
static void put_loop(const struct blackbox *box, FILE *to)
{
    uint64_t end = __atomic_load_n(&box->control->loop_periods, __ATOMIC_ACQUIRE);
    uint64_t first = end > CONTROL_LOOP_HISTORY - 64 ? end - (CONTROL_LOOP_HISTORY - 64) : 0;
    uint64_t wanted = (box->report.to_tai_ns - box->report.from_tai_ns) / CLOCK_NS_PER_MS;
    first = end - first > wanted ? end - wanted : first;
    fputs("period,longest_gap_ns\n", to);
    for (uint64_t n = first; n < end; n++) {
        fprintf(to, "%" PRIu64 ",%u\n", n,
                __atomic_load_n(&box->control->loop_max_ns[n % CONTROL_LOOP_HISTORY], __ATOMIC_RELAXED));
    }
}

/* Text built in memory, then written as a file. */
static int put_built(struct blackbox *box, const char *name, char *text, size_t bytes, struct error *err)
{
    int code = text == NULL ? error_set(err, -ENOMEM, "no memory for %s", name)
                            : blackbox_store_put(&box->store, name, text, bytes, err);
    free(text);
    return code;
}

static int put_with(struct blackbox *box, const char *name, void (*build)(const struct blackbox *box, FILE *to),
                    struct error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (to != NULL) {
        build(box, to);
        fclose(to);
    }
    return put_built(box, name, text, bytes, err);
}

static int put_journal(struct blackbox *box, struct blackbox_counts *counts, struct error *err)
{
    const struct blackbox_memory *memory = &box->memory;
    uint64_t first = box->report.journal_from > memory->from ? box->report.journal_from : memory->from;
    uint64_t sum = BLACKBOX_CHECKSUM_START;
    FILE *file = blackbox_store_open(&box->store, BLACKBOX_JOURNAL_FILE, err);
    if (file == NULL) {
        return -EIO;
    }
    box->report.journal_from = first;
    for (uint64_t n = first; n < box->report.journal_to; n++) {
        const struct journal_entry *entry = blackbox_memory_entry(memory, n);
        counts->lost += entry->now_ns == 0;
        counts->first_ns = n == first ? entry->now_ns : counts->first_ns;
        counts->entries++;
        sum = blackbox_checksum(sum, entry, sizeof(*entry));
        blackbox_store_write(&box->store, file, entry, sizeof(*entry));
    }
    return blackbox_store_close(&box->store, file, BLACKBOX_JOURNAL_FILE,
                                counts->entries * sizeof(struct journal_entry), sum, err);
}

/* From the one that the report begins with; those after it are for comparing, and for going on behind a gap. */
static int put_checkpoints(struct blackbox *box, struct blackbox_counts *counts, struct error *err)
{
    const struct blackbox_memory *memory = &box->memory;
    uint32_t i = 0;
    while (i < memory->checkpoints && memory->checkpoint[i].tai_ns < box->report.checkpoint_tai_ns) {
        i++;
    }
    counts->checkpoints = box->report.checkpoint_tai_ns != 0 ? memory->checkpoints - i : 0;
    return blackbox_store_put(&box->store, BLACKBOX_CHECKPOINT_FILE, &memory->checkpoint[i],
                              counts->checkpoints * sizeof(struct control_checkpoint), err);
}

static int put_trip(struct blackbox *box, const struct blackbox_counts *counts, struct error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (to != NULL) {
        blackbox_put_trip(box, to, counts);
        fclose(to);
    }
    return put_built(box, BLACKBOX_TRIP_FILE, text, bytes, err);
}

int blackbox_report_write(struct blackbox *box, struct error *err)
{
    struct blackbox_counts counts = {0};
    int code = 0;
    for (int step = 0; code == 0 && step < 7; step++) {
        switch (step) {
        case 0:
            code = put_journal(box, &counts, err);
            break;
        case 1:
            code = put_checkpoints(box, &counts, err);
            break;
        case 2:
            code = put_with(box, BLACKBOX_STATE_FILE, blackbox_put_state, err);
            break;
        case 3:
            code = put_with(box, BLACKBOX_LOOP_FILE, put_loop, err);
            break;
        case 4:
            code = blackbox_store_put(&box->store, BLACKBOX_CONFIG_FILE, box->config, box->plan->config_bytes, err);
            break;
        case 5:
            code = blackbox_store_put(&box->store, BLACKBOX_TABLE_FILE, box->table, sizeof(*box->table), err);
            break;
        default:
            code = put_trip(box, &counts, err);
        }
        blackbox_drain(box); /* each of them may have waited for the disk */
    }
    return code;
}
