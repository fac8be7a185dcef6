/* What was recorded, read back. Whole frames only of the first part: reading takes as long as writing. */
#include <errno.h>
#include <inttypes.h>

#include "bench/disk_rig.h"
#include "daq/record_read.h"
#include "net/payload.h"

#define CHECKED_BYTES ((uint64_t)64 << 20)

static bool is_right(const struct disk_path *path, const struct sluice_frame *frame)
{
    return frame->length_bytes == path->frame_bytes && frame->source_sequence == frame->position &&
           payload_sum(frame->payload, frame->length_bytes) ==
               payload_expected(path->frame_bytes, payload_base(DISK_SEED, frame->source_sequence));
}

static int read_frames(const struct disk_rig *rig, struct record_set *set, struct outcome *outcome)
{
    struct record_cursor *cursor = NULL;
    struct record_item item;
    uint64_t bytes = 0;
    int code = record_cursor_open(&cursor, set, 0, &outcome->err);
    while (code == 0 && bytes < CHECKED_BYTES) {
        int got = record_next(cursor, &item, &outcome->err);
        if (got <= 0) {
            code = got;
            break;
        }
        if (item.kind == RECORD_ITEM_FRAME) {
            bool right = is_right(rig->path, &item.frame);
            outcome->frames += right;
            outcome->wrong += !right;
            bytes += item.frame.length_bytes;
        }
    }
    record_cursor_close(cursor);
    return code;
}

/* All that was published is there, or told as missing. */
static int balance(const struct disk_rig *rig, const struct record_set *set, uint64_t missing, struct error *err)
{
    const struct record_ring *ring = record_ring(set, 0);
    uint64_t published = ring_published_now(rig->ring.writer.view.header);
    const struct record_problem *problem = record_problems(set) > 0 ? record_problem(set, 0) : NULL;
    if (problem != NULL) {
        return error_set(err, -EIO, "the recording is not whole: %.400s", problem->text);
    }
    if (ring == NULL || ring->frames + missing != published) {
        return error_set(err, -EIO,
                         "expected %" PRIu64 " frames in the recording (%" PRIu64 " published, %" PRIu64
                         " told as missing), found %" PRIu64,
                         published - missing, published, missing, ring != NULL ? ring->frames : 0);
    }
    return 0;
}

int disk_check(const struct disk_rig *rig, uint64_t missing, struct outcome *outcome)
{
    struct record_set *set = NULL;
    char path[RECORDER_PATH_BYTES + RECORDER_RUN_BYTES];
    const char *const paths[] = {path};
    const struct recorder_board *board = disk_rig_board(rig);
    snprintf(path, sizeof(path), "%.255s/%.79s", board->directory, board->run);
    int code = record_open(&set, paths, 1, &outcome->err);
    if (code == 0) {
        code = balance(rig, set, missing, &outcome->err);
    }
    if (code == 0) {
        code = read_frames(rig, set, outcome);
    }
    record_close(set);
    return code;
}
