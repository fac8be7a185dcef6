/* What sluice info and sluice recover share: a recording in words and in JSON. Cold. */
#ifndef TOOLS_RECORDING_H
#define TOOLS_RECORDING_H

#include <jansson.h>

#include "daq/record_read.h"

#define RECORDING_TIME_BYTES 40u

/* TAI as UTC, "2026-11-26T14:30:00.123456789Z", by the offset that the recording knows; "-" for 0. */
void recording_time(const struct record_file_header *header, uint64_t tai_ns, char text[RECORDING_TIME_BYTES]);
/* TAI - UTC, ns: as the kernel knew it, else as both clocks stood when the file was opened. */
int64_t recording_utc_offset_ns(const struct record_file_header *header);

/* "12.3 MB". */
#define RECORDING_SIZE_BYTES 24u
void recording_size(uint64_t bytes, char text[RECORDING_SIZE_BYTES]);

/* For record_verify: how far it is, on standard error if that is a terminal. */
struct recording_progress {
    bool shown;
    uint64_t last_ns;
};
void recording_progress_begin(struct recording_progress *progress);
bool recording_progress(void *progress, uint64_t bytes, uint64_t of);

/* Positions that no block has and no gap tells, of all rings. */
uint64_t recording_unaccounted(const struct record_ring *ring);
/* All that are missing, but what was left out on purpose. */
uint64_t recording_missing(const struct record_ring *ring);

/* "torn", "damaged" ..: stable keys. */
const char *recording_problem_name(enum record_problem_kind kind);
json_t *recording_problems(const struct record_set *set);
/* {"overwritten": n ..}, every cause but none. */
json_t *recording_causes(const uint64_t missing[RECORD_CAUSES]);

/* Text of others as it may be printed: control characters become '?'. The same buffer each time it is called for
 * one of four. */
const char *recording_plain(const char *text);
/* The same for JSON: what is no UTF-8 becomes '?'. */
json_t *recording_json_text(const char *text);

/* A list of gaps, which grows; adjoining ones of one cause become one. */
struct recording_gaps {
    struct record_gap *gap;
    uint64_t count;
    uint64_t room;
};
/* 0 or -ENOMEM. */
int recording_gaps_add(struct recording_gaps *gaps, const struct record_gap *gap);
void recording_gaps_free(struct recording_gaps *gaps);

/* What of a ring is neither recorded nor told, exactly, from the blocks around each of the recording's problems. 0
 * or -errno. */
int recording_find_missing(struct record_set *set, unsigned ring, struct recording_gaps *gaps, struct error *err);

int command_info(int argc, char **argv);
int command_recover(int argc, char **argv);

#endif
