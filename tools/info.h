/* sluice info: what it has found, for its two ways to say it. Cold. */
#ifndef TOOLS_INFO_H
#define TOOLS_INFO_H

#include "tools/recording.h"

#define INFO_GAPS_MAX    1000000u
#define INFO_QUICK_BYTES (UINT64_C(1) << 30) /* so much is read frame by frame without being asked */

struct info_gap {
    bool of_ring; /* a gap record: from_position is its own, cause an enum ring_loss; else the recorder's */
    uint16_t stream;
    struct record_gap gap;
};

struct info_ring {
    uint64_t ring_gaps; /* all there are .. */
    uint64_t recorder_gaps;
    struct info_gap *gap; /* .. and the first of them */
    uint32_t kept;
};

struct info {
    struct record_set *set;
    struct info_ring *ring;
    uint32_t gaps_max;
    bool check;
    bool frames; /* every frame was looked at: the ring's own gap records are known */
    bool json;
};

/* Hexadecimal. */
void info_run_id(const struct record_file_header *header, char id[2 * RECORD_RUN_BYTES + 1]);
/* From the first stamp to the last. */
double info_seconds(const struct record_ring *ring);

void info_json(const struct info *info);

#endif
