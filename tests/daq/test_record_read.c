/* daq/record_read.c, record_scan.c, record_order.c, record_cursor.c ..: what comes back from a recording, whole and
 * damaged in every way that a crash, a disk or a person can think of. */
#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <sys/stat.h>

#include "daq/blackbox_format.h"
#include "daq/record_read.h"
#include "tests/support/recorded.h"

TestSuite(record_read, .timeout = 60);

static char directory[64];
static struct error err;

static void make_directory(void)
{
    snprintf(directory, sizeof(directory), "/tmp/sluice-read-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_directory(void)
{
    cr_assert_eq(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static struct record_set *open_directory(void)
{
    struct record_set *set = NULL;
    const char *paths[1] = {directory};
    int code = record_open(&set, paths, 1, &err);
    cr_assert_eq(code, 0, "%d: %s", code, err.text);
    return set;
}

/* What was missing by the cursor's word. */
struct seen {
    uint64_t frames;
    uint64_t missing[RECORD_CAUSES];
    uint64_t gaps;
    uint64_t end;
};

static void check_frame(const struct sluice_frame *frame)
{
    struct ring_descriptor d;
    uint8_t payload[RECORDED_PAYLOAD_MAX];
    recorded_frame(frame->position, &d, payload);
    cr_assert_eq(frame->tai_ns, d.tai_ns);
    cr_assert_eq(frame->source_sequence, d.source_sequence);
    cr_assert_eq(frame->length_bytes, d.length_bytes);
    cr_assert_eq(frame->flags, d.flags & 0xff);
    cr_assert_eq(frame->cause, d.flags >> RING_FLAG_CAUSE_SHIFT);
    cr_assert_eq(frame->lost_before, d.lost_before);
    cr_assert_eq(memcmp(frame->payload, payload, d.length_bytes), 0, "position %lu", frame->position);
}

/* Reads all, checks every frame with what its position says, and that nothing comes twice or out of order. */
static struct seen read_all(struct record_set *set, unsigned ring)
{
    struct seen seen = {0};
    struct record_cursor *cursor = NULL;
    struct record_item item;
    bool decimated = false;
    cr_assert_eq(record_cursor_open(&cursor, set, ring, &err), 0);
    int code;
    while ((code = record_next(cursor, &item, &err)) == 1) {
        uint64_t from = item.kind == RECORD_ITEM_FRAME ? item.frame.position : item.gap.from_position;
        cr_assert(decimated || seen.end == 0 || from == seen.end, "%lu follows %lu", from, seen.end);
        if (item.kind == RECORD_ITEM_FRAME) {
            check_frame(&item.frame);
            cr_assert_geq(from, decimated ? 0 : seen.end);
            seen.frames++;
            seen.end = from + 1;
        } else {
            seen.missing[item.gap.cause] += item.gap.count;
            seen.gaps++;
            decimated |= item.gap.cause == RECORD_CAUSE_DECIMATED;
            seen.end = item.gap.cause == RECORD_CAUSE_DECIMATED ? item.gap.from_position : item.gap.to_position;
        }
    }
    cr_assert_eq(code, 0, "%s", err.text);
    record_cursor_close(cursor);
    const struct record_ring *r = record_ring(set, ring);
    cr_assert_eq(seen.frames, r->frames);
    for (uint32_t i = 0; i < RECORD_CAUSES; i++) {
        cr_assert_eq(seen.missing[i], r->missing[i], "%s: %lu given out, %lu counted", record_cause_name(i),
                     seen.missing[i], r->missing[i]);
    }
    return seen;
}

/* [0, count) in packed blocks of a page, segments of `segment` frames (0: one). */
static void write_packed(uint64_t count, uint64_t segment, bool closed)
{
    struct record_source source;
    struct record_writer *writer = NULL;
    recorded_source(&source, "slow", 1, 0, 1);
    cr_assert_eq(record_writer_open(&writer, directory, &source, RECORD_ALIGN, &err), 0, "%s", err.text);
    for (uint64_t p = 0; p < count; p += segment != 0 ? segment : count) {
        uint64_t to = segment != 0 && p + segment < count ? p + segment : count;
        cr_assert(p == 0 || record_writer_rotate(writer, &err) == 0);
        cr_assert_eq(recorded_write(writer, p, to, &err), 0, "%s", err.text);
    }
    struct ring_ledger ledger = {.sent = 20, .delivered = 15, .lost[1] = 5};
    if (closed) {
        cr_assert_eq(record_writer_close(writer, RECORD_CLOSE_STOPPED, &ledger, &err), 0, "%s", err.text);
    } else {
        cr_assert_eq(record_writer_flush(writer, &err), 0);
        record_writer_abandon(writer);
    }
}

/* `blocks` of ten slots each, alternately in `stripes` files; every one but `absent` is there. */
static void write_slots(uint32_t stripes, uint64_t blocks, uint64_t absent, bool closed)
{
    struct recorded_file file[RECORD_STRIPES_MAX];
    for (uint32_t i = 0; i < stripes; i++) {
        struct record_source source;
        recorded_source(&source, "fast", 1, i, stripes);
        recorded_file_begin(&file[i], &source);
    }
    for (uint64_t n = 0; n < blocks; n++) {
        if (n != absent) {
            recorded_file_block(&file[n % stripes], n, 10 * n, 10 * n + 10, NULL);
        }
    }
    struct record_totals sum = {0};
    for (uint32_t i = 0; i < stripes; i++) {
        sum.frames += file[i].account.totals.frames;
        sum.bytes += file[i].account.totals.bytes;
        sum.blocks += file[i].account.totals.blocks;
    }
    for (uint32_t i = 0; i < stripes; i++) {
        struct record_totals *totals = &file[i].account.totals;
        totals->frames = sum.frames;
        totals->bytes = sum.bytes;
        totals->blocks = sum.blocks;
        totals->next_position = 10 * blocks;
        if (closed) {
            recorded_file_end(&file[i], RECORD_CLOSE_STOPPED);
        }
        cr_assert_eq(recorded_file_write(&file[i], directory), 0);
    }
}

static void scribble(const char *name, uint64_t offset, const void *data, size_t bytes)
{
    int fd = open(path_of(name), O_WRONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, data, bytes, (off_t)offset), (ssize_t)bytes);
    close(fd);
}

static uint64_t size_of(const char *name)
{
    struct stat st;
    cr_assert_eq(stat(path_of(name), &st), 0);
    return (uint64_t)st.st_size;
}

static void expect_problem(const struct record_set *set, enum record_problem_kind kind, const char *words)
{
    for (uint64_t i = 0; i < record_problems(set); i++) {
        const struct record_problem *problem = record_problem(set, i);
        if (problem->kind == kind && strstr(problem->text, words) != NULL) {
            return;
        }
    }
    for (uint64_t i = 0; i < record_problems(set); i++) {
        fprintf(stderr, "  %d %s\n", (int)record_problem(set, i)->kind, record_problem(set, i)->text);
    }
    cr_assert_fail("expected a problem of kind %d: %s", (int)kind, words);
}

static void expect_whole(const struct record_set *set)
{
    cr_assert_eq(record_problems(set), 0, "%s", record_problem(set, 0)->text);
}

Test(record_read, what_was_written_comes_back, .init = make_directory, .fini = remove_directory)
{
    write_packed(1000, 0, true);
    struct record_set *set = open_directory();
    expect_whole(set);
    cr_assert_eq(record_rings(set), 1);
    cr_assert_eq(record_find_ring(set, "slow"), 0);
    cr_assert_eq(record_find_ring(set, "other"), -1);
    const struct record_ring *ring = record_ring(set, 0);
    cr_assert(ring->closed);
    cr_assert_eq(ring->frames, 1000);
    cr_assert_eq(ring->end_position, 1000);
    cr_assert_eq(ring->first_tai_ns, RECORDED_TAI_NS);
    cr_assert_eq(ring->last_tai_ns, RECORDED_TAI_NS + 999 * RECORDED_PERIOD_NS);
    cr_assert_eq(ring->totals.why, RECORD_CLOSE_STOPPED);
    cr_assert_eq(ring->ledger.delivered, 15);
    cr_assert_str_eq(ring->channel[1].name, "pressure");
    cr_assert_str_eq(ring->stream[0].name, "one");
    cr_assert_str_eq(record_json(set), recorded_json);
    size_t bytes;
    cr_assert_str_eq(record_config(set, &bytes), recorded_config);
    cr_assert_eq(bytes, sizeof(recorded_config) - 1);
    struct seen seen = read_all(set, 0);
    cr_assert_eq(seen.end, 1000);
    cr_assert_eq(seen.gaps, 0);
    cr_assert_eq(record_verify(set, NULL, NULL, &err), 0);
    expect_whole(set);
    const struct record_file *file = record_file(set, 0, 0);
    cr_assert(file->closed);
    cr_assert_eq(file->indices, ring->blocks);
    cr_assert_null(record_file(set, 0, 1));
    record_close(set);
}

Test(record_read, values_are_calibrated, .init = make_directory, .fini = remove_directory)
{
    struct record_cursor *cursor;
    struct record_item item;
    write_packed(300, 0, true);
    struct record_set *set = open_directory();
    cr_assert_eq(record_cursor_open(&cursor, set, 0, &err), 0);
    for (uint64_t p = 0; p < 300; p++) {
        cr_assert_eq(record_next(cursor, &item, &err), 1);
        double count = record_value(record_ring(set, 0), 0, &item.frame);
        double pressure = record_value(record_ring(set, 0), 1, &item.frame);
        if (p % 100 == 99) {
            cr_assert(isnan(count) && isnan(pressure), "a gap record has no values");
        } else {
            cr_assert_float_eq(count, (double)p, 0);
            cr_assert_float_eq(pressure, 10.0 + 2.0 * 0.5 * (double)p, 0);
        }
        cr_assert(isnan(record_value(record_ring(set, 0), 2, &item.frame)), "there is no such channel");
    }
    record_cursor_close(cursor);
    record_close(set);
}

Test(record_read, segments_and_stripes_are_one, .init = make_directory, .fini = remove_directory)
{
    write_packed(1000, 300, true);
    write_slots(3, 20, UINT64_MAX, true);
    struct record_set *set = open_directory();
    expect_whole(set);
    cr_assert_eq(record_rings(set), 2);
    int fast = record_find_ring(set, "fast");
    int slow = record_find_ring(set, "slow");
    cr_assert_eq(record_ring(set, (unsigned)fast)->files, 3);
    cr_assert_eq(record_ring(set, (unsigned)slow)->files, 4);
    cr_assert_eq(read_all(set, (unsigned)fast).end, 200);
    cr_assert_eq(read_all(set, (unsigned)slow).end, 1000);
    cr_assert(record_ring(set, (unsigned)fast)->closed && record_ring(set, (unsigned)slow)->closed);
    record_close(set);
}

Test(record_read, files_by_name_and_twice, .init = make_directory, .fini = remove_directory)
{
    struct record_set *set;
    char one[256];
    write_packed(1000, 300, true);
    snprintf(one, sizeof(one), "%s", path_of("slow.000001.slr"));
    const char *paths[3] = {one, directory, one};
    cr_assert_eq(record_open(&set, paths, 3, &err), 0, "%s", err.text);
    cr_assert_eq(record_ring(set, 0)->files, 4, "a file named twice is one");
    expect_whole(set);
    record_close(set);
    cr_assert_eq(record_open(&set, paths, 1, &err), 0, "%s", err.text);
    expect_whole(set);
    struct seen seen = read_all(set, 0);
    cr_assert_eq(seen.frames, 300, "what was not asked for is not missing");
    cr_assert_eq(seen.end, 600);
    record_close(set);
}

Test(record_read, seeks, .init = make_directory, .fini = remove_directory)
{
    struct record_cursor *cursor;
    struct record_item item;
    write_packed(2000, 700, true);
    struct record_set *set = open_directory();
    cr_assert_eq(record_cursor_open(&cursor, set, 0, &err), 0);
    for (uint64_t p = 0; p < 2000; p += 13) {
        uint64_t tai_ns = RECORDED_TAI_NS + p * RECORDED_PERIOD_NS;
        cr_assert_eq(record_cursor_seek_position(cursor, p, &err), 0);
        cr_assert_eq(record_next(cursor, &item, &err), 1);
        cr_assert_eq(item.frame.position, p);
        cr_assert_eq(record_cursor_seek_time(cursor, tai_ns - (p > 0 ? 10 : 0), &err), 0);
        cr_assert_eq(record_next(cursor, &item, &err), 1);
        cr_assert_eq(item.frame.position, p);
        check_frame(&item.frame);
        cr_assert(record_next(cursor, &item, &err) == 0 || item.frame.position == p + 1);
    }
    cr_assert_eq(record_cursor_seek_position(cursor, 2000, &err), 0);
    cr_assert_eq(record_next(cursor, &item, &err), 0);
    cr_assert_eq(record_cursor_seek_time(cursor, UINT64_MAX, &err), 0);
    cr_assert_eq(record_next(cursor, &item, &err), 0);
    cr_assert_eq(record_cursor_seek_time(cursor, 0, &err), 0);
    cr_assert_eq(record_next(cursor, &item, &err), 1);
    cr_assert_eq(item.frame.position, 0);
    record_cursor_close(cursor);
    record_close(set);
}

Test(record_read, told_gaps_are_no_problem, .init = make_directory, .fini = remove_directory)
{
    struct record_source source;
    struct record_writer *writer = NULL;
    recorded_source(&source, "slow", 1, 0, 1);
    source.header.first_position = 50;
    cr_assert_eq(record_writer_open(&writer, directory, &source, RECORD_ALIGN, &err), 0, "%s", err.text);
    struct record_gap gaps[] = {
        {.from_position = 50, .to_position = 70, .count = 20, .cause = RECORD_CAUSE_OVERWRITTEN},
        {.from_position = 300, .to_position = 301, .count = 1, .cause = RECORD_CAUSE_DISK_SLOW},
        {.from_position = 302, .to_position = 400, .count = 98, .cause = RECORD_CAUSE_DISK_FULL},
        {.from_position = 500, .to_position = 510, .count = 10, .cause = RECORD_CAUSE_SERVER}};
    uint64_t until[] = {50, 300, 302, 500};
    uint64_t at = 50;
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(recorded_write(writer, at, until[i], &err), 0, "%s", err.text);
        if (i == 2) {
            at = 301;
            cr_assert_eq(recorded_write(writer, 301, 302, &err), 0, "%s", err.text);
        }
        cr_assert_eq(record_writer_gap(writer, &gaps[i], &err), 0);
        at = i == 1 ? until[2] : gaps[i].to_position;
    }
    cr_assert_eq(record_writer_close(writer, RECORD_CLOSE_POST, NULL, &err), 0);
    struct record_set *set = open_directory();
    expect_whole(set);
    struct seen seen = read_all(set, 0);
    cr_assert_eq(seen.missing[RECORD_CAUSE_OVERWRITTEN], 20);
    cr_assert_eq(seen.missing[RECORD_CAUSE_DISK_SLOW], 1);
    cr_assert_eq(seen.missing[RECORD_CAUSE_DISK_FULL], 98);
    cr_assert_eq(seen.missing[RECORD_CAUSE_SERVER], 10);
    cr_assert_eq(seen.frames, 230 + 1 + 100);
    cr_assert_eq(seen.end, 510);
    cr_assert_eq(record_ring(set, 0)->gaps, 4);
    cr_assert_eq(record_ring(set, 0)->first_position, 70);
    record_close(set);
}

Test(record_read, decimated_frames_stand_in_their_gap, .init = make_directory, .fini = remove_directory)
{
    struct record_source source;
    struct record_writer *writer = NULL;
    recorded_source(&source, "slow", 1, 0, 1);
    cr_assert_eq(record_writer_open(&writer, directory, &source, RECORD_ALIGN, &err), 0, "%s", err.text);
    cr_assert_eq(recorded_write(writer, 0, 95, &err), 0);
    for (uint64_t p = 95; p < 500; p += 10) {
        struct record_gap gap = {
            .from_position = p, .to_position = p + 9, .count = 9, .cause = RECORD_CAUSE_DECIMATED};
        cr_assert_eq(record_writer_gap(writer, &gap, &err), 0);
        cr_assert_eq(recorded_write(writer, p + 9, p + 10, &err), 0, "%s", err.text);
    }
    cr_assert_eq(recorded_write(writer, 505, 700, &err), 0);
    cr_assert_eq(record_writer_close(writer, RECORD_CLOSE_STOPPED, NULL, &err), 0);
    struct record_set *set = open_directory();
    expect_whole(set);
    struct seen seen = read_all(set, 0);
    cr_assert_eq(seen.missing[RECORD_CAUSE_DECIMATED], 369);
    cr_assert_eq(seen.frames, 95 + 41 + 195);
    record_close(set);
}

Test(record_read, untold_positions_are_found, .init = make_directory, .fini = remove_directory)
{
    struct record_source source;
    struct record_writer *writer = NULL;
    recorded_source(&source, "slow", 1, 0, 1);
    cr_assert_eq(record_writer_open(&writer, directory, &source, RECORD_ALIGN, &err), 0, "%s", err.text);
    cr_assert_eq(recorded_write(writer, 7, 10, &err), 0);
    cr_assert_eq(recorded_write(writer, 12, 500, &err), 0);
    cr_assert_eq(record_writer_close(writer, RECORD_CLOSE_STOPPED, NULL, &err), 0);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_UNACCOUNTED, "7 of the positions from 0 to 7");
    expect_problem(set, RECORD_PROBLEM_UNACCOUNTED, "2 of the positions from 7 to");
    cr_assert_eq(record_problems(set), 2);
    struct seen seen = read_all(set, 0);
    cr_assert_eq(seen.missing[RECORD_CAUSE_UNKNOWN], 9);
    record_close(set);
}

Test(record_read, not_closed_is_read_all_the_same, .init = make_directory, .fini = remove_directory)
{
    write_packed(1000, 300, false);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_NOT_CLOSED, "slow.000003.slr: it was not closed");
    cr_assert_eq(record_problems(set), 1);
    cr_assert_not(record_ring(set, 0)->closed);
    cr_assert_eq(read_all(set, 0).end, 1000);
    cr_assert_eq(record_file(set, 0, 3)->blocks_end, size_of("slow.000003.slr"));
    record_close(set);
}

/* Where the payload of the block at this place ends: the zeros behind it may be cut off. */
static uint64_t payload_end(uint64_t offset)
{
    struct record_block lead;
    int fd = open(path_of("slow.000000.slr"), O_RDONLY | O_CLOEXEC);
    cr_assert_eq(pread(fd, &lead, sizeof(lead), (off_t)offset), (ssize_t)sizeof(lead));
    close(fd);
    return offset + RECORD_LEAD_BYTES + lead.payload_bytes;
}

/* At every page and at odd places: nothing but what lay behind the cut is lost, and it is told. */
Test(record_read, cut_off_anywhere, .init = make_directory, .fini = remove_directory)
{
    write_packed(400, 0, true);
    struct record_set *set = open_directory();
    const struct record_file *file = record_file(set, 0, 0);
    uint64_t blocks = file->indices;
    uint64_t begin = file->index[0].offset;
    uint64_t block_end[64];
    uint64_t position_end[64];
    cr_assert_leq(blocks, 64);
    for (uint64_t i = 0; i < blocks; i++) {
        block_end[i] = payload_end(file->index[i].offset);
        position_end[i] = file->index[i].end_position;
    }
    record_close(set);
    for (uint64_t cut = size_of("slow.000000.slr") - 1; cut >= begin; cut -= cut % 1024 == 0 ? 1000 : cut % 1024) {
        cr_assert_eq(truncate(path_of("slow.000000.slr"), (off_t)cut), 0);
        set = open_directory();
        uint64_t end = 0;
        for (uint64_t i = 0; i < blocks && block_end[i] <= cut; i++) {
            end = position_end[i];
        }
        expect_problem(set, RECORD_PROBLEM_NOT_CLOSED, "");
        cr_assert_eq(record_ring(set, 0)->frames, end, "cut at %lu", cut);
        (void)read_all(set, 0);
        record_close(set);
    }
}

Test(record_read, a_torn_last_block_is_not_whole, .init = make_directory, .fini = remove_directory)
{
    write_packed(1000, 0, false);
    uint64_t bytes = size_of("slow.000000.slr");
    scribble("slow.000000.slr", bytes - RECORD_ALIGN + 100, "torn", 4);
    cr_assert_eq(truncate(path_of("slow.000000.slr"), (off_t)(bytes + (1 << 20))), 0, "preallocated");
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_TORN, "does not pass its checksum");
    cr_assert_eq(record_problems(set), 2);
    const struct record_ring *ring = record_ring(set, 0);
    cr_assert_lt(ring->frames, 1000);
    cr_assert_eq(ring->frames + ring->missing[RECORD_CAUSE_DAMAGED], 1000);
    cr_assert_eq(read_all(set, 0).end, 1000, "its lead says what was in it");
    cr_assert_eq(record_file(set, 0, 0)->blocks_end, bytes - UINT64_C(2) * RECORD_ALIGN);
    record_close(set);
}

Test(record_read, a_lost_block_in_the_middle_is_told, .init = make_directory, .fini = remove_directory)
{
    uint8_t zeros[2 * RECORD_ALIGN] = {0};
    write_slots(1, 40, UINT64_MAX, false);
    struct record_set *set = open_directory();
    uint64_t offset = record_file(set, 0, 0)->index[20].offset;
    record_close(set);
    scribble("fast.000000.slr", offset, zeros, sizeof(zeros)); /* as if it had never reached the disk */
    set = open_directory();
    expect_problem(set, RECORD_PROBLEM_DAMAGED, "are no block");
    expect_problem(set, RECORD_PROBLEM_UNACCOUNTED, "10 of the positions from 200 to 210");
    struct seen seen = read_all(set, 0);
    cr_assert_eq(seen.frames, 390, "those behind it are there");
    cr_assert_eq(seen.missing[RECORD_CAUSE_UNKNOWN], 10);
    record_close(set);
}

Test(record_read, a_stripe_that_is_gone_is_told, .init = make_directory, .fini = remove_directory)
{
    write_slots(3, 30, UINT64_MAX, true);
    cr_assert_eq(unlink(path_of("fast.000000.1.slr")), 0);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_FILE_MISSING, "stripe 1");
    expect_problem(set, RECORD_PROBLEM_UNACCOUNTED, "from 10 to 20");
    struct seen seen = read_all(set, 0);
    cr_assert_eq(seen.frames, 200);
    cr_assert_eq(seen.missing[RECORD_CAUSE_UNKNOWN], 100);
    record_close(set);
}

Test(record_read, segments_that_are_gone_are_told, .init = make_directory, .fini = remove_directory)
{
    write_packed(1000, 200, true);
    cr_assert_eq(unlink(path_of("slow.000000.slr")), 0);
    cr_assert_eq(unlink(path_of("slow.000002.slr")), 0);
    cr_assert_eq(unlink(path_of("slow.000004.slr")), 0);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_FILE_MISSING, "segment 0 is not here, and nothing says that the recorder");
    expect_problem(set, RECORD_PROBLEM_FILE_MISSING, "segment 2 is not here");
    expect_problem(set, RECORD_PROBLEM_FILE_MISSING,
                   "segment 4 is not here, and its recorder said that it follows");
    expect_problem(set, RECORD_PROBLEM_UNACCOUNTED, "200 of the positions from 400 to 600");
    cr_assert_not(record_ring(set, 0)->closed);
    struct seen seen = read_all(set, 0);
    cr_assert_eq(seen.frames, 400);
    record_close(set);
}

Test(record_read, a_block_absent_although_closed, .init = make_directory, .fini = remove_directory)
{
    write_slots(2, 30, 7, true);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_UNACCOUNTED, "10 of the positions from 70 to 80");
    cr_assert_eq(record_problems(set), 1);
    (void)read_all(set, 0);
    record_close(set);
}

Test(record_read, verifying_finds_what_opening_does_not, .init = make_directory, .fini = remove_directory)
{
    write_packed(1000, 0, true);
    struct record_set *set = open_directory();
    scribble("slow.000000.slr", record_file(set, 0, 0)->index[3].offset + RECORD_LEAD_BYTES + 8, "x", 1);
    record_close(set);
    set = open_directory();
    expect_whole(set);
    uint64_t blocks = record_ring(set, 0)->blocks;
    cr_assert_eq(record_verify(set, NULL, NULL, &err), 0);
    cr_assert_eq(record_problems(set), 1);
    expect_problem(set, RECORD_PROBLEM_TORN, "block 3");
    cr_assert_eq(record_ring(set, 0)->blocks, blocks - 1);
    struct seen seen = read_all(set, 0);
    cr_assert_eq(seen.frames + seen.missing[RECORD_CAUSE_DAMAGED], 1000);
    cr_assert_eq(record_verify(set, NULL, NULL, &err), 0, "a second time");
    cr_assert_eq(record_problems(set), 1);
    record_close(set);
}

static bool stop_at_once(void *context, uint64_t bytes, uint64_t of)
{
    *(unsigned *)context += 1;
    cr_assert_leq(bytes, of);
    return false;
}

Test(record_read, verifying_can_be_stopped, .init = make_directory, .fini = remove_directory)
{
    unsigned calls = 0;
    write_packed(1000, 0, true);
    struct record_set *set = open_directory();
    cr_assert_eq(record_verify(set, stop_at_once, &calls, &err), -EINTR);
    cr_assert_eq(calls, 1);
    cr_assert_eq(read_all(set, 0).frames, 1000);
    record_close(set);
}

/* A cursor meets damage that came after opening. */
Test(record_read, damage_under_a_cursor_is_a_gap, .init = make_directory, .fini = remove_directory)
{
    struct record_cursor *cursor;
    struct record_item item;
    uint64_t damaged = 0;
    uint64_t frames = 0;
    write_packed(1000, 0, true);
    struct record_set *set = open_directory();
    scribble("slow.000000.slr", record_file(set, 0, 0)->index[3].offset + RECORD_LEAD_BYTES + 8, "x", 1);
    scribble("slow.000000.slr", record_file(set, 0, 0)->index[5].offset + 8, "x", 1); /* in a lead */
    cr_assert_eq(record_cursor_open(&cursor, set, 0, &err), 0);
    while (record_next(cursor, &item, &err) == 1) {
        cr_assert(item.kind == RECORD_ITEM_FRAME || item.gap.cause == RECORD_CAUSE_DAMAGED);
        damaged += item.kind == RECORD_ITEM_GAP ? item.gap.count : 0;
        frames += item.kind == RECORD_ITEM_FRAME;
    }
    cr_assert_gt(damaged, 0);
    cr_assert_eq(frames + damaged, 1000);
    record_cursor_close(cursor);
    record_close(set);
}

Test(record_read, an_end_that_lies_is_told, .init = make_directory, .fini = remove_directory)
{
    struct record_source source;
    struct recorded_file file;
    recorded_source(&source, "fast", 1, 0, 1);
    recorded_file_begin(&file, &source);
    recorded_file_block(&file, 0, 0, 10, NULL);
    file.account.totals.frames++;
    recorded_file_end(&file, RECORD_CLOSE_STOPPED);
    cr_assert_eq(recorded_file_write(&file, directory), 0);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_TOTALS, "its end tells 11 frames");
    record_close(set);
}

Test(record_read, a_block_that_is_there_twice_counts_once, .init = make_directory, .fini = remove_directory)
{
    struct record_source source;
    struct recorded_file file;
    recorded_source(&source, "fast", 1, 0, 1);
    recorded_file_begin(&file, &source);
    recorded_file_block(&file, 0, 0, 10, NULL);
    recorded_file_block(&file, 0, 0, 10, NULL);
    recorded_file_block(&file, 1, 10, 20, NULL);
    recorded_file_block(&file, 2, 15, 25, NULL); /* positions again */
    cr_assert_eq(recorded_file_write(&file, directory), 0);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_DAMAGED, "a block of this number was there before");
    expect_problem(set, RECORD_PROBLEM_DAMAGED, "positions of this block were there before");
    cr_assert_eq(read_all(set, 0).frames, 20);
    record_close(set);
}

static void touch(const char *name, const void *data, size_t bytes, uint64_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, data, bytes), (ssize_t)bytes);
    cr_assert_eq(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

Test(record_read, a_copied_segment_is_told_once, .init = make_directory, .fini = remove_directory)
{
    write_packed(1000, 0, true);
    uint64_t size = size_of("slow.000000.slr");
    uint8_t *bytes = malloc(size);
    int fd = open(path_of("slow.000000.slr"), O_RDONLY | O_CLOEXEC);
    cr_assert(bytes != NULL && read(fd, bytes, size) == (ssize_t)size);
    close(fd);
    touch("slow.copy.slr", bytes, size, size);
    free(bytes);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_DAMAGED, "it is the same segment as");
    cr_assert_eq(record_problems(set), 1);
    cr_assert_eq(read_all(set, 0).frames, 1000);
    record_close(set);
}

Test(record_read, files_without_a_header_are_told, .init = make_directory, .fini = remove_directory)
{
    write_packed(1000, 500, false);
    touch("slow.000002.slr", "", 0, 0);
    touch("slow.000003.slr", "", 0, 1 << 20);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_NOT_CLOSED, "slow.000002.slr: it has no header");
    expect_problem(set, RECORD_PROBLEM_NOT_CLOSED, "slow.000003.slr: it has no header");
    cr_assert_eq(record_problems(set), 3);
    cr_assert_eq(record_file(set, 0, 2)->segment, 2);
    cr_assert_eq(record_file(set, 0, 2)->blocks_end, 0);
    cr_assert_not(record_ring(set, 0)->closed);
    cr_assert_eq(read_all(set, 0).frames, 1000);
    record_close(set);
}

Test(record_read, one_damaged_header_does_not_lose_the_others, .init = make_directory, .fini = remove_directory)
{
    write_packed(1000, 400, true);
    scribble("slow.000001.slr", 100, "damage", 6);
    scribble("slow.000002.slr", RECORD_ALIGN + 3, "damage", 6);
    struct record_set *set = open_directory();
    expect_problem(set, RECORD_PROBLEM_DAMAGED, "slow.000001.slr: its header is damaged");
    expect_problem(set, RECORD_PROBLEM_DAMAGED, "slow.000002.slr: its description is damaged");
    expect_problem(set, RECORD_PROBLEM_UNACCOUNTED, "400 of the positions from 400 to 800");
    cr_assert_eq(read_all(set, 0).frames, 600);
    record_close(set);
}

static void expect_refused(const char *path, int code, const char *words)
{
    struct record_set *set = NULL;
    err.text[0] = 0;
    int got = record_open(&set, &path, 1, &err);
    cr_assert_eq(got, code, "%d %s", got, err.text);
    cr_assert_not_null(strstr(err.text, words), "%s", err.text);
    cr_assert_null(set);
}

Test(record_read, what_cannot_be_opened_is_refused, .init = make_directory, .fini = remove_directory)
{
    struct blackbox_ring_header trip = {.magic = BLACKBOX_RING_MAGIC};
    expect_refused(directory, -ENOENT, "found none in this directory");
    expect_refused(path_of("none"), -ENOENT, "No such file");
    touch("text.txt", "hello", 5, 5);
    expect_refused(path_of("text.txt"), -EPROTO, "its first bytes are SLLREC01");
    touch("empty", "", 0, 0);
    expect_refused(path_of("empty"), -EPROTO, "a file without a header");
    touch("ring-a.slr", &trip, sizeof(trip), sizeof(trip));
    expect_refused(path_of("ring-a.slr"), -EPROTO, "sluice replay");
    expect_refused(directory, -EPROTO, "sluice replay");
    expect_refused("/dev/null", -EPROTO, "found neither");
    cr_assert_eq(mkdir(path_of("above"), 0750), 0);
    expect_refused(path_of("above"), -ENOENT, "found none in this directory");
    cr_assert_eq(mkdir(path_of("above/run"), 0750), 0);
    touch("above/run/a.slr", "", 0, 0);
    expect_refused(path_of("above"), -ENOENT, "found 1 of them in it: name one, run");
    const char *none[1] = {NULL};
    struct record_set *set = NULL;
    cr_assert_eq(record_open(&set, none, 0, &err), -ENOENT);
}

Test(record_read, another_version_is_refused, .init = make_directory, .fini = remove_directory)
{
    uint32_t version = 7;
    write_packed(10, 5, true);
    scribble("slow.000001.slr", offsetof(struct record_file_header, version), &version, sizeof(version));
    expect_refused(directory, -EPROTO, "written by a newer release, version 7 of the format; this one reads 1");
    version = 0;
    scribble("slow.000001.slr", offsetof(struct record_file_header, version), &version, sizeof(version));
    expect_refused(path_of("slow.000001.slr"), -EPROTO, "expected version 1 of the format, found 0");
}

Test(record_read, two_runs_are_refused, .init = make_directory, .fini = remove_directory)
{
    struct record_source source;
    struct recorded_file file;
    write_packed(10, 0, true);
    recorded_source(&source, "fast", 2, 0, 1);
    recorded_file_begin(&file, &source);
    recorded_file_block(&file, 0, 0, 10, NULL);
    cr_assert_eq(recorded_file_write(&file, directory), 0);
    expect_refused(directory, -EINVAL, "expected files of one run");
}

Test(record_read, a_damaged_header_is_refused, .init = make_directory, .fini = remove_directory)
{
    write_packed(10, 0, true);
    scribble("slow.000000.slr", 50, "x", 1);
    expect_refused(directory, -EPROTO, "the header's checksum is wrong");
    remove_directory();
    make_directory();
    write_packed(10, 0, true);
    scribble("slow.000000.slr", RECORD_ALIGN, "x", 1);
    expect_refused(directory, -EPROTO, "description of ring slow is damaged");
}

Test(record_read, run_json_comes_first, .init = make_directory, .fini = remove_directory)
{
    size_t bytes;
    write_packed(10, 0, true);
    touch(RECORD_RUN_FILE, "{\"run\": 1}", 10, 10);
    touch(RECORD_CONFIG_FILE, "instance: other\n", 16, 16);
    struct record_set *set = open_directory();
    cr_assert_str_eq(record_json(set), "{\"run\": 1}");
    cr_assert_str_eq(record_config(set, &bytes), "instance: other\n");
    cr_assert_eq(bytes, 16);
    record_close(set);
}
