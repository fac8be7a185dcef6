/* A ring's recording, frame by frame: one block in memory. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/record_set.h"

struct record_cursor {
    struct record_set *set;
    struct record_lane *lane;
    uint64_t place;   /* of lane->place: the block that is open, or that comes next */
    uint64_t next;    /* every position before it has been given out */
    uint64_t excused; /* before this one are positions left out on purpose: their gap has been given out */
    uint64_t from;    /* sought: nothing below it is given out */
    uint64_t from_ns; /* sought: no frame that is older */
    uint8_t *bytes;   /* lead and payload of the open block */
    uint64_t room;
    bool gaps_only;
    bool open;
    bool damaged;   /* from here on the block is not to be believed */
    uint64_t first; /* of the open block's positions .. */
    uint64_t end;   /* .. and behind the last */
    uint32_t gap;   /* the next of its gaps .. */
    uint64_t frame; /* .. and of its frames .. */
    uint64_t at;    /* .. which lies here in the payload */
    uint32_t file;  /* that is open */
    int fd;         /* of that; -1: none */
    uint32_t cause; /* of positions that are missing in this block and not told */
};

int record_cursor_open(struct record_cursor **cursor, struct record_set *set, unsigned ring, struct error *err)
{
    struct record_cursor *c = ring < set->lanes ? calloc(1, sizeof(*c)) : NULL;
    if (c == NULL) {
        return error_set(err, -ENOMEM, "no memory to read ring %u of %u", ring, set->lanes);
    }
    c->set = set;
    c->lane = &set->lane[ring];
    c->next = c->lane->begin_position;
    c->fd = -1;
    *cursor = c;
    return 0;
}

void record_cursor_close(struct record_cursor *cursor)
{
    if (cursor == NULL) {
        return;
    }
    if (cursor->fd >= 0) {
        close(cursor->fd);
    }
    free(cursor->bytes);
    free(cursor);
}

static const struct record_file_header *header_of(const struct record_cursor *c)
{
    return &c->set->file[c->file].header;
}

static struct record_block *lead_of(struct record_cursor *c)
{
    return (struct record_block *)(void *)c->bytes;
}

static int make_room(struct record_cursor *c, uint64_t bytes, struct error *err)
{
    if (bytes <= c->room) {
        return 0;
    }
    free(c->bytes);
    c->room = 0;
    c->bytes = malloc(bytes);
    if (c->bytes == NULL) {
        return error_set(err, -ENOMEM, "no memory for a block of %" PRIu64 " bytes", bytes);
    }
    c->room = bytes;
    return 0;
}

static int open_file(struct record_cursor *c, uint32_t file, struct error *err)
{
    if (c->fd >= 0 && c->file == file) {
        return 0;
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->file = file;
    c->fd = record_file_open(c->set->file[file].path, err);
    return c->fd >= 0 ? 0 : -EIO;
}

/* Reads the block at c->place; what is no longer as it was when its file was opened is damaged. */
static int open_block(struct record_cursor *c, struct error *err)
{
    const struct record_place *place = &c->lane->place[c->place];
    const struct record_index *index = record_place_index(c->set, place);
    bool torn = (place->block & RECORD_TORN_BIT) != 0;
    uint64_t bytes = torn || c->gaps_only ? RECORD_LEAD_BYTES : index->bytes;
    int code = open_file(c, place->file, err);
    if (code == 0) {
        code = make_room(c, bytes, err);
    }
    if (code != 0) {
        return code;
    }
    uint64_t n = record_file_read(c->fd, c->bytes, bytes, index->offset);
    struct record_block *lead = lead_of(c);
    bool lead_good = n >= RECORD_LEAD_BYTES && record_lead_check(header_of(c), lead) &&
                     lead->number == index->number && lead->first_position == index->first_position &&
                     lead->end_position == index->end_position && lead->kind != RECORD_END;
    bool good =
        lead_good && !torn && lead->bytes == index->bytes &&
        (c->gaps_only || (n >= RECORD_LEAD_BYTES + lead->payload_bytes &&
                          record_crc(0, c->bytes + RECORD_LEAD_BYTES, lead->payload_bytes) == lead->payload_crc));
    if (!lead_good) {
        lead->gaps = 0;
    }
    c->open = true;
    c->damaged = !good;
    c->cause = good ? RECORD_CAUSE_UNKNOWN : RECORD_CAUSE_DAMAGED;
    c->first = index->first_position;
    c->end = index->end_position;
    c->gap = 0;
    c->frame = 0;
    c->at = RECORD_LEAD_BYTES;
    return 0;
}

static void describe_frame(const struct ring_descriptor *d, const uint8_t *payload, struct sluice_frame *frame)
{
    *frame = (struct sluice_frame){.payload = payload,
                                   .position = d->sequence - 1,
                                   .tai_ns = d->tai_ns,
                                   .source_sequence = d->source_sequence,
                                   .length_bytes = d->length_bytes,
                                   .flags = d->flags & 0xffu,
                                   .cause = (uint16_t)(d->flags >> RING_FLAG_CAUSE_SHIFT),
                                   .lost_before = d->lost_before,
                                   .stream = d->stream};
}

/* The frame at c->at, which is not taken yet. 1; 0: there are no more; -1: it is not to be believed. */
static int peek_packed(struct record_cursor *c, struct sluice_frame *frame, uint64_t *bytes)
{
    struct ring_descriptor d;
    uint64_t end = RECORD_LEAD_BYTES + lead_of(c)->payload_bytes;
    if (end - c->at < sizeof(d)) {
        return -1;
    }
    memcpy(&d, c->bytes + c->at, sizeof(d));
    uint64_t position = d.sequence - 1;
    if (d.sequence == 0 || position < c->next || position >= c->end ||
        d.length_bytes > header_of(c)->payload_bytes || d.length_bytes > end - c->at - sizeof(d)) {
        return -1;
    }
    describe_frame(&d, c->bytes + c->at + sizeof(d), frame);
    uint64_t whole = record_round_up(sizeof(d) + d.length_bytes, RECORD_FRAME_ALIGN);
    *bytes = whole < end - c->at ? whole : end - c->at;
    return 1;
}

static int peek_slot(struct record_cursor *c, struct sluice_frame *frame, uint64_t *bytes)
{
    struct ring_descriptor d;
    const struct record_file_header *header = header_of(c);
    memcpy(&d, c->bytes + c->at, sizeof(d));
    *bytes = header->slot_bytes;
    if (d.sequence - 1 != lead_of(c)->first_position + c->frame || d.sequence - 1 < c->next ||
        d.length_bytes > header->payload_bytes) {
        return -1;
    }
    describe_frame(&d, c->bytes + c->at + header->payload_offset, frame);
    return 1;
}

/* As peek_packed. A slot that is not to be believed is passed over, the next one stands by itself; behind a packed
 * frame that is not, nothing is found any more. */
static int peek_frame(struct record_cursor *c, struct sluice_frame *frame, uint64_t *bytes)
{
    const struct record_block *lead = lead_of(c);
    while (!c->damaged && !c->gaps_only && c->frame < lead->frames) {
        bool slots = lead->kind == RECORD_SLOTS;
        int found = slots ? peek_slot(c, frame, bytes) : peek_packed(c, frame, bytes);
        if (found > 0) {
            return 1;
        }
        c->cause = RECORD_CAUSE_DAMAGED;
        c->damaged = !slots;
        c->at += slots ? *bytes : 0;
        c->frame++;
    }
    return 0;
}

/* The next of the block's gaps that is not given out yet, as far as it is inside. */
static bool peek_gap(struct record_cursor *c, struct record_gap *gap)
{
    const struct record_block *lead = lead_of(c);
    for (; c->gap < lead->gaps; c->gap++) {
        *gap = lead->gap[c->gap];
        gap->from_position = gap->from_position > c->next ? gap->from_position : c->next;
        gap->to_position = gap->to_position < c->end ? gap->to_position : c->end;
        if (gap->from_position < gap->to_position) {
            uint64_t all = gap->to_position - gap->from_position;
            bool part = gap->cause == RECORD_CAUSE_DECIMATED && gap->count < all;
            gap->count = part ? gap->count : all;
            gap->cause = gap->cause < RECORD_CAUSES ? gap->cause : RECORD_CAUSE_UNKNOWN;
            return true;
        }
    }
    return false;
}

/* Positions up to `to` that nothing accounts for: those in front of the block are unknown, whatever has become of
 * it. False: there are none. */
static bool give_missing(struct record_cursor *c, uint64_t to, uint32_t cause, struct record_item *item)
{
    uint64_t from = c->next > c->excused ? c->next : c->excused;
    if (from >= to) {
        return false;
    }
    bool at_end = c->place == c->lane->places;
    if (from < c->first || at_end) {
        to = to < c->first || at_end ? to : c->first;
        cause = RECORD_CAUSE_UNKNOWN;
        struct record_gap late = record_late(c->lane, from, to); /* what is told elsewhere */
        if (late.count != 0 && late.from_position > from) {
            to = late.from_position;
        } else if (late.count != 0) {
            *item = (struct record_item){.kind = RECORD_ITEM_GAP, .gap = late};
            c->next = late.to_position;
            return true;
        }
    }
    *item =
        (struct record_item){.kind = RECORD_ITEM_GAP,
                             .gap = {.from_position = from, .to_position = to, .count = to - from, .cause = cause}};
    c->next = to;
    return true;
}

/* From the open block. 1, or 0: it has no more. */
static int next_of_block(struct record_cursor *c, struct record_item *item)
{
    bool frames_unseen = c->gaps_only && !c->damaged;
    struct sluice_frame frame;
    struct record_gap gap;
    uint64_t bytes = 0;
    bool has_frame = peek_frame(c, &frame, &bytes) > 0;
    bool has_gap = peek_gap(c, &gap);
    if (has_gap && (!has_frame || gap.from_position <= frame.position)) {
        uint64_t to = frames_unseen && gap.from_position > c->first ? c->first : gap.from_position;
        if (give_missing(c, to, c->cause, item)) {
            return 1;
        }
        *item = (struct record_item){.kind = RECORD_ITEM_GAP, .gap = gap};
        c->gap++;
        if (gap.cause == RECORD_CAUSE_DECIMATED && gap.count < gap.to_position - gap.from_position) {
            c->excused = gap.to_position > c->excused ? gap.to_position : c->excused;
            c->next = gap.from_position;
        } else {
            c->next = gap.to_position;
        }
        return 1;
    }
    if (has_frame) {
        if (give_missing(c, frame.position, c->cause, item)) {
            return 1;
        }
        *item = (struct record_item){.kind = RECORD_ITEM_FRAME, .frame = frame};
        c->frame++;
        c->at += bytes;
        c->next = frame.position + 1;
        return 1;
    }
    if (give_missing(c, frames_unseen ? c->first : c->end, c->cause, item)) {
        return 1; /* and perhaps once more */
    }
    c->next = c->end > c->next ? c->end : c->next;
    return 0;
}

static int next_of_all(struct record_cursor *c, struct record_item *item, struct error *err)
{
    for (;;) {
        if (!c->open && c->place == c->lane->places) {
            return give_missing(c, c->lane->ring.end_position, RECORD_CAUSE_UNKNOWN, item) ? 1 : 0;
        }
        if (!c->open) {
            int code = open_block(c, err);
            if (code != 0) {
                return code;
            }
        }
        if (next_of_block(c, item) > 0) {
            return 1;
        }
        c->open = false;
        c->place++;
    }
}

void record_cursor_gaps_only(struct record_cursor *cursor)
{
    cursor->gaps_only = true;
    cursor->open = false; /* what is read of a block is read again */
}

/* Whether it lies before what was sought. */
static bool is_before(const struct record_cursor *c, const struct record_item *item)
{
    if (item->kind == RECORD_ITEM_FRAME) {
        return item->frame.position < c->from || item->frame.tai_ns < c->from_ns;
    }
    return item->gap.to_position <= c->from || c->from_ns > 0;
}

int record_next(struct record_cursor *cursor, struct record_item *item, struct error *err)
{
    for (;;) {
        int code = next_of_all(cursor, item, err);
        if (code != 1 || !is_before(cursor, item)) {
            cursor->from_ns = code == 1 ? 0 : cursor->from_ns; /* of the first frame, not of all */
            return code;
        }
    }
}

/* To the block at `place`, with nothing of it given out. */
static void go_to(struct record_cursor *c, uint64_t place)
{
    c->place = place;
    c->open = false;
    c->excused = 0;
    c->next =
        place == 0 ? c->lane->begin_position : record_place_index(c->set, &c->lane->place[place - 1])->end_position;
    c->from = 0;
    c->from_ns = 0;
}

int record_cursor_seek_position(struct record_cursor *cursor, uint64_t position, struct error *err)
{
    (void)err;
    uint64_t low = 0;
    uint64_t high = cursor->lane->places;
    while (low < high) { /* positions rise from block to block */
        uint64_t middle = low + (high - low) / 2;
        if (record_place_index(cursor->set, &cursor->lane->place[middle])->end_position > position) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    go_to(cursor, low);
    cursor->from = position;
    return 0;
}

int record_cursor_seek_time(struct record_cursor *cursor, uint64_t tai_ns, struct error *err)
{
    (void)err;
    uint64_t place = 0;
    /* A device's stamps need not rise: one by one. */
    while (place < cursor->lane->places) {
        const struct record_index *index = record_place_index(cursor->set, &cursor->lane->place[place]);
        if (index->frames > 0 && (index->last_tai_ns >= tai_ns || index->first_tai_ns >= tai_ns)) {
            break;
        }
        place++;
    }
    go_to(cursor, place);
    cursor->from_ns = tai_ns;
    return 0;
}
