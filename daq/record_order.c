/* The blocks of a ring in order of their numbers, over all its files; and files that are not there. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/record_set.h"

const struct record_index *record_place_index(const struct record_set *set, const struct record_place *place)
{
    const struct record_found *found = &set->file[place->file];
    return (place->block & RECORD_TORN_BIT) != 0 ? &found->torn[place->block & ~RECORD_TORN_BIT]
                                                 : &found->index[place->block];
}

/* By number; of two with the same the whole one first, then as the files stand. */
static int compare(const void *a, const void *b, void *context)
{
    const struct record_set *set = context;
    const struct record_place *x = a;
    const struct record_place *y = b;
    uint64_t m = record_place_index(set, x)->number;
    uint64_t n = record_place_index(set, y)->number;
    if (m != n) {
        return m < n ? -1 : 1;
    }
    if ((x->block & RECORD_TORN_BIT) != (y->block & RECORD_TORN_BIT)) {
        return (x->block & RECORD_TORN_BIT) == 0 ? -1 : 1;
    }
    if (x->file != y->file) {
        return x->file < y->file ? -1 : 1;
    }
    return x->block == y->block ? 0 : x->block < y->block ? -1 : 1;
}

static int collect(struct record_set *set, struct record_lane *lane)
{
    uint64_t room = 1;
    uint64_t n = 0;
    for (uint32_t i = lane->first_file; i < lane->first_file + lane->files; i++) {
        room += set->file[i].file.indices + set->file[i].torns;
    }
    free(lane->place);
    lane->places = 0;
    lane->place = calloc(room, sizeof(lane->place[0]));
    if (lane->place == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = lane->first_file; i < lane->first_file + lane->files; i++) {
        for (uint32_t k = 0; k < set->file[i].file.indices; k++) {
            lane->place[n++] = (struct record_place){.file = i, .block = k};
        }
        for (uint32_t k = 0; k < set->file[i].torns; k++) {
            lane->place[n++] = (struct record_place){.file = i, .block = k | RECORD_TORN_BIT};
        }
    }
    qsort_r(lane->place, n, sizeof(lane->place[0]), compare, set);
    lane->places = n;
    return 0;
}

static void tell_missing(struct record_set *set, const struct record_found *near, const char *what, const char *why)
{
    char text[ERROR_TEXT_BYTES];
    struct record_trouble told = {
        .problem = {.kind = RECORD_PROBLEM_FILE_MISSING, .ring = near->ring, .path = near->path}, .of_order = true};
    snprintf(text, sizeof(text), "ring %s: %s not here%s", set->lane[near->ring].ring.header.ring, what, why);
    record_trouble(set, &told, "%s", text);
}

/* Between two neighbours in the order of segments and stripes. */
static void tell_between(struct record_set *set, const struct record_found *next, uint64_t from, uint64_t to)
{
    char text[128];
    uint32_t stripes = set->lane[next->ring].ring.header.stripes;
    if (stripes == 1 && from + 1 == to) {
        snprintf(text, sizeof(text), "segment %" PRIu64 " is", from);
    } else if (stripes == 1) {
        snprintf(text, sizeof(text), "segments %" PRIu64 " to %" PRIu64 " are", from, to - 1);
    } else {
        snprintf(text, sizeof(text),
                 "segment %" PRIu64 " stripe %" PRIu64 " to segment %" PRIu64 " stripe %" PRIu64 " are",
                 from / stripes, from % stripes, (to - 1) / stripes, (to - 1) % stripes);
    }
    tell_missing(set, next, text, from == 0 ? ", and nothing says that the recorder removed it to make room" : "");
}

/* How many of its first segments the recorder removed: RING.removed beside the first file that is here. */
static uint64_t removed_segments(const struct record_found *first, const char *ring)
{
    char path[PATH_MAX];
    char text[16] = "";
    const char *slash = strrchr(first->path, '/');
    int bytes = slash != NULL ? (int)(slash - first->path) + 1 : 0;
    if (snprintf(path, sizeof(path), "%.*s%s" RECORD_REMOVED_SUFFIX, bytes, first->path, ring) >=
        (int)sizeof(path)) {
        return 0;
    }
    int fd = record_file_open(path, NULL);
    if (fd >= 0) {
        (void)record_file_read(fd, text, sizeof(text) - 1, 0);
        close(fd);
    }
    return text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : 0;
}

/* Files that others tell of: those before and between what is here, and what follows a rotation. */
static void account_files(struct record_set *set, const struct record_lane *lane)
{
    char text[64];
    uint32_t stripes = lane->ring.header.stripes;
    const struct record_found *last = &set->file[lane->first_file + lane->files - 1];
    uint64_t removed = removed_segments(&set->file[lane->first_file], lane->ring.header.ring);
    uint64_t first = set->file[lane->first_file].file.segment;
    uint64_t expected = (removed < first ? removed : first) * stripes;
    for (uint32_t i = lane->first_file; i < lane->first_file + lane->files; i++) {
        const struct record_found *found = &set->file[i];
        uint64_t at = (uint64_t)found->file.segment * stripes + found->file.stripe;
        if (at > expected) {
            tell_between(set, found, expected, at);
        }
        expected = at >= expected ? at + 1 : expected;
    }
    if (expected % stripes != 0) {
        snprintf(text, sizeof(text), "the last %" PRIu64 " stripes of segment %u are", stripes - expected % stripes,
                 last->file.segment);
        tell_missing(set, last, text, "");
    }
    if (last->file.closed && last->totals.why == RECORD_CLOSE_ROTATED) {
        snprintf(text, sizeof(text), "segment %u is", last->file.segment + 1);
        tell_missing(set, last, text, ", and its recorder said that it follows");
    }
}

static void account_ends(struct record_set *set, struct record_lane *lane)
{
    struct record_block lead;
    struct record_ring *ring = &lane->ring;
    const struct record_found *last = NULL;
    ring->closed = true;
    for (uint32_t i = lane->first_file; i < lane->first_file + lane->files; i++) {
        const struct record_found *found = &set->file[i];
        ring->closed = ring->closed && found->file.closed;
        last = found->file.closed ? found : last;
    }
    if (last != NULL) {
        ring->totals = last->totals;
        ring->closed = ring->closed && last->totals.why != RECORD_CLOSE_ROTATED;
    }
    if (ring->closed) {
        ring->ledger = ring->totals.ended;
        return;
    }
    for (uint64_t i = lane->places; i > 0; i--) { /* the last that can be read */
        const struct record_place *place = &lane->place[i - 1];
        const struct record_found *found = &set->file[place->file];
        int fd = record_file_open(found->path, NULL);
        bool good =
            fd >= 0 &&
            record_file_read(fd, &lead, sizeof(lead), record_place_index(set, place)->offset) == sizeof(lead) &&
            record_lead_check(&found->header, &lead);
        if (fd >= 0) {
            close(fd);
        }
        if (good) {
            ring->ledger = lead.ledger;
            return;
        }
    }
}

static void forget(struct record_ring *ring)
{
    ring->blocks = 0;
    ring->frames = 0;
    ring->payload_bytes = 0;
    ring->first_position = 0;
    ring->end_position = 0;
    ring->first_tai_ns = 0;
    ring->last_tai_ns = 0;
    ring->gaps = 0;
    memset(ring->missing, 0, sizeof(ring->missing));
    memset(&ring->totals, 0, sizeof(ring->totals));
    memset(&ring->ledger, 0, sizeof(ring->ledger));
}

int record_order(struct record_set *set, struct error *err)
{
    record_trouble_forget_order(set);
    for (uint32_t i = 0; i < set->lanes; i++) {
        struct record_lane *lane = &set->lane[i];
        if (collect(set, lane) != 0) {
            return error_set(err, -ENOMEM, "no memory for the index of ring %s", lane->ring.header.ring);
        }
        forget(&lane->ring);
        if (set->whole) {
            account_files(set, lane);
        }
        if (record_account(set, i) != 0) {
            return error_set(err, -ENOMEM, "no memory for the gaps of ring %s", lane->ring.header.ring);
        }
        account_ends(set, lane);
    }
    record_trouble_sort(set);
    return 0;
}
