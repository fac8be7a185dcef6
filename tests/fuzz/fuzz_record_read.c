/* A recording that somebody has been at: refused with words, or read to its end, which comes. The first byte says
 * what follows:
 *
 *   0  one file as it is
 *   1  changes to a good recording of two rings, one of them striped, 6 bytes each: which file, offset (4), value
 *   2  the same, and all checksums are made right again, so that what lies behind them is met
 *   3  the same as 2; then the files are cut off: the last two bytes say where
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "daq/record_read.h"
#include "tests/fuzz/must.h"
#include "tests/support/recorded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

#define FILES      4u
#define FILE_BYTES (UINT64_C(128) << 10)

struct file {
    uint8_t bytes[FILE_BYTES];
    uint64_t size;
};
static struct file good[FILES];
static struct file file[FILES];
static volatile double seen; /* so that everything is looked at */

static void keep(struct file *to, struct recorded_file *made)
{
    must(made->account.offset <= FILE_BYTES);
    memcpy(to->bytes, made->bytes, made->account.offset);
    to->size = made->account.offset;
    free(made->bytes);
    free(made->account.index);
}

/* Packed blocks with gaps of all kinds between them. */
static void make_packed(struct file *to, bool closed)
{
    struct record_source source;
    struct recorded_file made;
    uint64_t position = 0;
    recorded_source(&source, "slow", 1, 0, 1);
    source.header.segment = closed ? 0 : 1;
    source.header.first_position = closed ? 0 : 100;
    recorded_file_begin(&made, &source);
    for (uint64_t n = closed ? 0 : 2; n < (closed ? 2 : 4); n++) {
        uint8_t *at = made.bytes + made.account.offset;
        struct record_packing packing = {.payload = at + RECORD_LEAD_BYTES, .room = RECORD_ALIGN};
        position = n * 50;
        record_packing_begin(&packing, source.header.run, n, position);
        for (uint64_t i = 0; i < 25; i++, position += 2) {
            struct ring_descriptor descriptor;
            uint8_t payload[RECORDED_PAYLOAD_MAX];
            struct record_gap gap = {.from_position = position + 1,
                                     .to_position = position + 2,
                                     .count = 1,
                                     .cause = 1 + (uint32_t)(n * 2 + i / 13) % RECORD_CAUSE_SERVER};
            recorded_frame(position, &descriptor, payload);
            must(record_packing_add(&packing, &descriptor, payload));
            must(record_lead_gap(&packing.lead, &gap));
        }
        record_block_finish(&packing.lead, packing.payload, NULL, RECORDED_TAI_NS);
        memcpy(at, &packing.lead, sizeof(packing.lead));
        must(record_account_block(&made.account, made.account.offset, &packing.lead));
        made.account.offset += packing.lead.bytes;
    }
    if (closed) {
        recorded_file_end(&made, RECORD_CLOSE_ROTATED);
    }
    keep(to, &made);
}

static void make_good(void)
{
    if (good[0].size > 0) {
        return;
    }
    make_packed(&good[0], true);
    make_packed(&good[1], false);
    for (uint32_t i = 0; i < 2; i++) {
        struct record_source source;
        struct recorded_file made;
        recorded_source(&source, "fast", 1, i, 2);
        recorded_file_begin(&made, &source);
        for (uint64_t n = i; n < 6; n += 2) {
            recorded_file_block(&made, n, 10 * n, 10 * n + 10, NULL);
        }
        made.account.totals.frames = 60;
        made.account.totals.bytes = UINT64_C(60) * RECORDED_SLOT_BYTES;
        made.account.totals.next_position = 60;
        if (i == 0) {
            recorded_file_end(&made, RECORD_CLOSE_STOPPED);
        }
        keep(&good[2 + i], &made);
    }
}

static uint64_t below(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

static void mend(struct file *f)
{
    struct record_file_header *header = (struct record_file_header *)(void *)f->bytes;
    if (header->description_bytes <= f->size - RECORD_ALIGN) {
        header->description_crc = record_crc(0, f->bytes + RECORD_ALIGN, header->description_bytes);
    }
    header->crc = record_crc(0, header, offsetof(struct record_file_header, crc));
    struct record_trailer *trailer = (struct record_trailer *)(void *)(f->bytes + f->size - sizeof(*trailer));
    if (trailer->magic == RECORD_TRAILER_MAGIC) {
        trailer->crc = record_crc(0, trailer, offsetof(struct record_trailer, crc));
    }
    for (uint64_t at = 0; at + RECORD_LEAD_BYTES <= f->size; at += RECORD_ALIGN) {
        struct record_block *lead = (struct record_block *)(void *)(f->bytes + at);
        if (lead->magic == RECORD_BLOCK_MAGIC) {
            uint64_t room = f->size - at - RECORD_LEAD_BYTES;
            lead->payload_crc = record_crc(0, f->bytes + at + RECORD_LEAD_BYTES, below(lead->payload_bytes, room));
            lead->crc = record_crc(0, lead, offsetof(struct record_block, crc));
        }
    }
}

static void change(const uint8_t *data, size_t size)
{
    memcpy(file, good, sizeof(file));
    for (; size >= 6; data += 6, size -= 6) {
        uint32_t offset;
        memcpy(&offset, data + 1, sizeof(offset));
        struct file *f = &file[data[0] % FILES];
        f->bytes[offset % f->size] = data[5];
    }
}

static void look_at(struct record_set *set, unsigned ring, const struct record_item *item)
{
    const struct record_ring *r = record_ring(set, ring);
    if (item->kind == RECORD_ITEM_GAP) {
        must(item->gap.from_position < item->gap.to_position);
        must(item->gap.count <= item->gap.to_position - item->gap.from_position);
        must(item->gap.cause < RECORD_CAUSES);
        return;
    }
    must(item->frame.length_bytes <= r->header.payload_bytes);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < item->frame.length_bytes; i++) {
        sum += item->frame.payload[i];
    }
    double value = sum;
    for (uint32_t c = 0; c <= r->header.channels; c++) {
        value += record_value(r, c, &item->frame);
    }
    seen = value;
}

/* Everything in order, and no end that does not come. */
static void read_ring(struct record_set *set, unsigned ring, bool gaps_only, uint64_t from)
{
    struct record_cursor *cursor;
    struct record_item item;
    struct error err = {{0}};
    uint64_t next = 0;
    uint64_t items = 0;
    must(record_cursor_open(&cursor, set, ring, &err) == 0);
    if (gaps_only) {
        record_cursor_gaps_only(cursor);
    }
    if (from > 0) {
        must(record_cursor_seek_position(cursor, from, &err) == 0);
    }
    int code;
    while ((code = record_next(cursor, &item, &err)) == 1) {
        uint64_t at = item.kind == RECORD_ITEM_FRAME ? item.frame.position : item.gap.from_position;
        must(at >= next && items++ < 100000);
        look_at(set, ring, &item);
        next = item.kind == RECORD_ITEM_FRAME             ? at + 1
               : item.gap.cause == RECORD_CAUSE_DECIMATED ? at
                                                          : item.gap.to_position;
    }
    must(code == 0);
    if (record_ring(set, ring)->first_tai_ns > 0) {
        must(record_cursor_seek_time(cursor, record_ring(set, ring)->last_tai_ns, &err) == 0);
        must(record_next(cursor, &item, &err) >= 0);
    }
    record_cursor_close(cursor);
}

static void read_all(struct record_set *set)
{
    struct error err = {{0}};
    size_t bytes;
    must(record_json(set) != NULL && record_config(set, &bytes) != NULL);
    for (unsigned i = 0; i < record_rings(set); i++) {
        const struct record_ring *ring = record_ring(set, i);
        must(record_find_ring(set, ring->header.ring) == (int)i);
        read_ring(set, i, false, 0);
        read_ring(set, i, true, 0);
        read_ring(set, i, false, ring->end_position / 2);
    }
    must(record_verify(set, NULL, NULL, &err) == 0);
    for (unsigned i = 0; i < record_rings(set); i++) {
        read_ring(set, i, false, 0);
        for (unsigned k = 0; record_file(set, i, k) != NULL; k++) {
            must(record_file(set, i, k)->blocks_end < record_file(set, i, k)->bytes + RECORD_ALIGN);
        }
    }
    const struct record_problem *problem;
    for (uint64_t i = 0; (problem = record_problem(set, i)) != NULL; i++) {
        must(problem->text[0] != 0 && problem->ring < record_rings(set));
    }
}

static void open_all(unsigned files)
{
    static char path[FILES][32];
    const char *paths[FILES];
    int fd[FILES];
    struct record_set *set = NULL;
    struct error err = {{0}};
    for (unsigned i = 0; i < files; i++) {
        fd[i] = memfd_create("recording", MFD_CLOEXEC);
        must(fd[i] >= 0 && write(fd[i], file[i].bytes, file[i].size) == (ssize_t)file[i].size);
        snprintf(path[i], sizeof(path[i]), "/proc/self/fd/%d", fd[i]);
        paths[i] = path[i];
    }
    if (record_open(&set, paths, files, &err) == 0) {
        read_all(set);
        record_close(set);
    } else {
        must(err.text[0] != 0 && set == NULL);
    }
    for (unsigned i = 0; i < files; i++) {
        close(fd[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_good();
    if (size == 0 || size - 1 > FILE_BYTES) {
        return 0;
    }
    unsigned kind = data[0] % 4;
    if (kind == 0) {
        memcpy(file[0].bytes, data + 1, size - 1);
        file[0].size = size - 1;
        open_all(1);
        return 0;
    }
    change(data + 1, size - 1);
    for (unsigned i = 0; kind >= 2 && i < FILES; i++) {
        mend(&file[i]);
    }
    if (kind == 3 && size >= 3) {
        for (unsigned i = 0; i < FILES; i++) {
            file[i].size = below(file[i].size, RECORD_ALIGN + ((uint64_t)data[size - 1] << 8 | data[size - 2]));
        }
    }
    open_all(FILES);
    return 0;
}
