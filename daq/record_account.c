/* What becomes of every position of a ring: recorded, told as missing, or neither. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/record_set.h"

/* Going through a ring's blocks. */
struct walk {
    struct record_set *set;
    struct record_lane *lane;
    uint32_t ring;
    uint64_t next;          /* every position before it is accounted for */
    uint32_t end_file;      /* the next of the lane's files whose end is to be compared */
    bool something_missing; /* so the totals cannot agree */
    uint32_t open_file;
    int fd; /* of that; -1: none */
};

static void trouble(struct walk *walk, enum record_problem_kind kind, const struct record_place *place,
                    uint64_t from, uint64_t to, const char *text)
{
    struct record_trouble what = {
        .problem = {.kind = kind, .ring = walk->ring, .from_position = from, .to_position = to}, .of_order = true};
    if (place != NULL) {
        what.problem.path = walk->set->file[place->file].path;
        what.problem.offset = record_place_index(walk->set, place)->offset;
        what.problem.bytes = record_place_index(walk->set, place)->bytes;
    }
    record_trouble(walk->set, &what, "%s", text);
}

struct record_gap record_late(const struct record_lane *lane, uint64_t from, uint64_t to)
{
    struct record_gap found = {.count = 0};
    for (uint64_t i = 0; i < lane->lates && lane->late[i].from_position < to; i++) {
        const struct record_gap *gap = &lane->late[i];
        if (gap->to_position > from) {
            found = *gap;
            found.from_position = gap->from_position > from ? gap->from_position : from;
            found.to_position = gap->to_position < to ? gap->to_position : to;
            found.count = found.to_position - found.from_position;
            return found;
        }
    }
    return found;
}

static void tell_unaccounted(struct walk *walk, uint64_t from, uint64_t to, uint64_t count)
{
    char text[ERROR_TEXT_BYTES];
    struct record_ring *ring = &walk->lane->ring;
    ring->missing[RECORD_CAUSE_UNKNOWN] += count;
    snprintf(text, sizeof(text),
             "ring %s: %" PRIu64 " of the positions from %" PRIu64 " to %" PRIu64
             " are neither recorded nor told as missing",
             ring->header.ring, count, from, to);
    trouble(walk, RECORD_PROBLEM_UNACCOUNTED, NULL, from, to, text);
}

/* `count` positions of [from, to) are in no block and in no gap that stands in its place. */
static void unaccounted(struct walk *walk, uint64_t from, uint64_t to, uint64_t count)
{
    struct record_ring *ring = &walk->lane->ring;
    walk->something_missing = true;
    if (count < to - from) { /* some of them: which is not known */
        struct record_gap late = record_late(walk->lane, from, to);
        if (late.count == to - from && late.cause < RECORD_CAUSES) {
            ring->missing[late.cause] += count;
            ring->gaps++;
        } else {
            tell_unaccounted(walk, from, to, count);
        }
        return;
    }
    while (from < to) {
        struct record_gap late = record_late(walk->lane, from, to);
        uint64_t until = late.count != 0 ? late.from_position : to;
        if (from < until) {
            tell_unaccounted(walk, from, until, until - from);
        }
        if (late.count != 0) {
            ring->missing[late.cause < RECORD_CAUSES ? late.cause : RECORD_CAUSE_UNKNOWN] += late.count;
            ring->gaps++;
        }
        from = late.count != 0 ? late.to_position : to;
    }
}

/* The lead of a block whose gaps are to be seen. False: it cannot be read. */
static bool read_lead(struct walk *walk, const struct record_place *place, struct record_block *lead)
{
    const struct record_found *found = &walk->set->file[place->file];
    bool torn = (place->block & RECORD_TORN_BIT) != 0;
    lead->gaps = 0;
    if (!torn && found->note[place->block].gaps == 0) {
        return false;
    }
    if (walk->fd < 0 || walk->open_file != place->file) {
        if (walk->fd >= 0) {
            close(walk->fd);
        }
        walk->fd = record_file_open(found->path, NULL);
        walk->open_file = place->file;
    }
    const struct record_index *index = record_place_index(walk->set, place);
    if (walk->fd < 0 || record_file_read(walk->fd, lead, sizeof(*lead), index->offset) != sizeof(*lead) ||
        !record_lead_check(&found->header, lead) || lead->number != index->number) {
        lead->gaps = 0;
        return false;
    }
    return true;
}

static int keep_late(struct record_lane *lane, const struct record_gap *gap)
{
    if (gap->from_position >= gap->to_position || gap->to_position >= INT64_MAX || gap->cause >= RECORD_CAUSES) {
        return 0; /* says nothing */
    }
    if (lane->lates == lane->late_room) {
        uint64_t room = lane->late_room != 0 ? lane->late_room * 2 : 64;
        struct record_gap *more = realloc(lane->late, room * sizeof(*more));
        if (more == NULL) {
            return -ENOMEM;
        }
        lane->late = more;
        lane->late_room = room;
    }
    lane->late[lane->lates++] = *gap;
    return 0;
}

static int by_position(const void *a, const void *b)
{
    const struct record_gap *x = a;
    const struct record_gap *y = b;
    return x->from_position < y->from_position ? -1 : x->from_position > y->from_position;
}

/* What ends tell, and what blocks tell of positions before the block in front of them. What is left out on purpose
 * stands with the frames that were not. */
static int find_late(struct walk *walk)
{
    struct record_block lead;
    struct record_lane *lane = walk->lane;
    uint64_t before = 0;
    int code = 0;
    lane->lates = 0;
    for (uint32_t i = lane->first_file; code == 0 && i < lane->first_file + lane->files; i++) {
        const struct record_found *found = &walk->set->file[i];
        for (uint32_t k = 0; code == 0 && k < found->tolds; k++) {
            code = keep_late(lane, &found->told[k]);
        }
    }
    for (uint64_t i = 0; code == 0 && i < lane->places; i++) {
        (void)read_lead(walk, &lane->place[i], &lead);
        for (uint32_t k = 0; code == 0 && k < lead.gaps; k++) {
            if (lead.gap[k].from_position < before && lead.gap[k].cause != RECORD_CAUSE_DECIMATED) {
                code = keep_late(lane, &lead.gap[k]);
            }
        }
        before = record_place_index(walk->set, &lane->place[i])->end_position;
    }
    if (lane->lates > 0) {
        qsort(lane->late, lane->lates, sizeof(lane->late[0]), by_position);
    }
    return code;
}

static uint64_t gap_count(const struct record_gap *gap, uint64_t from, uint64_t to)
{
    return gap->cause == RECORD_CAUSE_DECIMATED && gap->count < to - from ? gap->count : to - from;
}

/* The gaps of a block. Returns how many positions of those between its first and its last are told by them. */
static uint64_t take_gaps(struct walk *walk, const struct record_index *index, const struct record_block *lead)
{
    struct record_ring *ring = &walk->lane->ring;
    uint64_t inside = 0;
    for (uint32_t i = 0; i < lead->gaps; i++) {
        const struct record_gap *gap = &lead->gap[i];
        uint64_t from = gap->from_position > walk->next ? gap->from_position : walk->next;
        uint64_t to = gap->to_position < index->end_position ? gap->to_position : index->end_position;
        if (from >= to) {
            continue;
        }
        uint64_t count = gap_count(gap, from, to);
        ring->missing[gap->cause < RECORD_CAUSES ? gap->cause : RECORD_CAUSE_UNKNOWN] += count;
        ring->gaps++;
        if (from < index->first_position) {
            uint64_t until = to < index->first_position ? to : index->first_position;
            if (from > walk->next) {
                unaccounted(walk, walk->next, from, from - walk->next);
            }
            walk->next = until;
            count -= count < until - from ? count : until - from;
        }
        inside += count;
    }
    return inside;
}

static void take_frames(struct walk *walk, const struct record_place *place, const struct record_index *index)
{
    struct record_ring *ring = &walk->lane->ring;
    const struct record_found *found = &walk->set->file[place->file];
    ring->blocks++;
    ring->payload_bytes += index->bytes - RECORD_LEAD_BYTES - found->note[place->block].pad;
    if (index->frames == 0) {
        return;
    }
    if (ring->frames == 0) {
        ring->first_position = index->first_position;
    }
    ring->frames += index->frames;
    uint64_t low = index->first_tai_ns < index->last_tai_ns ? index->first_tai_ns : index->last_tai_ns;
    uint64_t high = index->first_tai_ns < index->last_tai_ns ? index->last_tai_ns : index->first_tai_ns;
    if (ring->first_tai_ns == 0 || low < ring->first_tai_ns) {
        ring->first_tai_ns = low;
    }
    if (high > ring->last_tai_ns) {
        ring->last_tai_ns = high;
    }
}

/* A block that follows in number. False: its positions were there before. */
static bool take_block(struct walk *walk, const struct record_place *place)
{
    struct record_block lead;
    const struct record_index *index = record_place_index(walk->set, place);
    bool torn = (place->block & RECORD_TORN_BIT) != 0;
    if (index->first_position < walk->next && index->end_position > index->first_position) {
        return false;
    }
    (void)read_lead(walk, place, &lead);
    uint64_t inside = take_gaps(walk, index, &lead);
    if (walk->next < index->first_position) {
        unaccounted(walk, walk->next, index->first_position, index->first_position - walk->next);
    }
    uint64_t all = index->end_position - index->first_position;
    if (torn) {
        walk->lane->ring.missing[RECORD_CAUSE_DAMAGED] += inside < all ? all - inside : 0;
        walk->something_missing = true;
    } else {
        take_frames(walk, place, index);
        uint64_t known = index->frames + inside;
        if (known < all) {
            unaccounted(walk, index->first_position, index->end_position, all - known);
        }
    }
    walk->next = index->end_position > walk->next ? index->end_position : walk->next;
    return true;
}

static void compare_totals(struct walk *walk, const struct record_found *found)
{
    char text[ERROR_TEXT_BYTES];
    const struct record_ring *ring = &walk->lane->ring;
    const struct record_totals *totals = &found->totals;
    uint64_t told = 0;
    uint64_t counted = 0;
    for (uint32_t i = 0; i < RECORD_CAUSES; i++) {
        told += totals->missing[i];
        counted += ring->missing[i];
    }
    if (totals->frames == ring->frames && totals->bytes == ring->payload_bytes && told == counted &&
        totals->next_position == walk->next) {
        return;
    }
    struct record_trouble what = {.problem = {.kind = RECORD_PROBLEM_TOTALS,
                                              .ring = walk->ring,
                                              .path = found->path,
                                              .offset = found->end_offset,
                                              .from_position = walk->next,
                                              .to_position = walk->next},
                                  .of_order = true};
    snprintf(text, sizeof(text),
             "its end tells %" PRIu64 " frames in %" PRIu64 " bytes and %" PRIu64 " missing up to position %" PRIu64
             ", its blocks %" PRIu64 " in %" PRIu64 " and %" PRIu64 " up to %" PRIu64,
             totals->frames, totals->bytes, told, totals->next_position, ring->frames, ring->payload_bytes, counted,
             walk->next);
    record_trouble(walk->set, &what, "%.200s: %s", found->path, text);
}

/* The ends that were written at this point, or would have been before it. */
static void pass_ends(struct walk *walk, bool last)
{
    const struct record_lane *lane = walk->lane;
    for (; walk->end_file < lane->first_file + lane->files; walk->end_file++) {
        const struct record_found *found = &walk->set->file[walk->end_file];
        if (!found->file.closed) {
            continue;
        }
        if (!last && found->totals.next_position > walk->next) {
            return;
        }
        if (!walk->something_missing) {
            compare_totals(walk, found);
        }
    }
}

/* Behind the last block: what recover told of blocks that it cut off, and what the last end tells of. */
static void account_tail(struct walk *walk)
{
    const struct record_lane *lane = walk->lane;
    uint64_t end = walk->next;
    for (uint32_t i = lane->first_file; i < lane->first_file + lane->files; i++) {
        const struct record_found *found = &walk->set->file[i];
        for (uint32_t k = 0; k < found->tolds; k++) {
            uint64_t to = found->told[k].to_position;
            end = to > end && to < INT64_MAX ? to : end;
        }
        uint64_t to = found->totals.next_position;
        end = found->file.closed && to > end && to < INT64_MAX ? to : end;
    }
    if (end > walk->next) {
        uint64_t from = walk->next;
        unaccounted(walk, from, end, end - from);
        walk->next = end;
    }
}

/* Where the recording begins: where it was asked to, or, where files are missing, with what is there. */
static uint64_t begin_position(struct walk *walk)
{
    struct record_block lead;
    const struct record_lane *lane = walk->lane;
    const struct record_found *first = &walk->set->file[lane->first_file];
    uint64_t begin = lane->ring.header.first_position;
    if (first->file.segment == 0 || lane->places == 0) {
        return begin;
    }
    begin = record_place_index(walk->set, &lane->place[0])->first_position;
    if (read_lead(walk, &lane->place[0], &lead) && lead.gaps > 0 && lead.gap[0].from_position < begin) {
        begin = lead.gap[0].from_position;
    }
    return begin;
}

static void account(struct walk *walk)
{
    struct record_lane *lane = walk->lane;
    uint64_t kept = 0;
    uint64_t before = UINT64_MAX;
    bool doubled = false;
    lane->begin_position = begin_position(walk);
    walk->next = lane->begin_position;
    walk->something_missing = walk->set->file[lane->first_file].file.segment != 0;
    pass_ends(walk, false);
    for (uint64_t i = 0; i < lane->places; i++) {
        const struct record_place place = lane->place[i];
        const struct record_index *index = record_place_index(walk->set, &place);
        bool again = index->number == before;
        if (!again && take_block(walk, &place)) {
            lane->place[kept++] = place;
            pass_ends(walk, false);
        } else if (!again || !walk->set->file[place.file].doubled) {
            trouble(walk, RECORD_PROBLEM_DAMAGED, &place, index->first_position, index->end_position,
                    again ? "a block of this number was there before: it is left out"
                          : "positions of this block were there before: it is left out");
            doubled = true;
        }
        before = index->number;
    }
    lane->places = kept;
    walk->something_missing |= doubled;
    account_tail(walk);
    pass_ends(walk, true);
    lane->ring.end_position = walk->next;
}

int record_account(struct record_set *set, uint32_t lane)
{
    struct walk walk = {
        .set = set, .lane = &set->lane[lane], .ring = lane, .end_file = set->lane[lane].first_file, .fd = -1};
    int code = find_late(&walk);
    if (code == 0) {
        account(&walk);
    }
    if (walk.fd >= 0) {
        close(walk.fd);
    }
    return code;
}
