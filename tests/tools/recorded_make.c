/* recorded-make: recordings for tests/tools/test_recordings.py, whose every frame follows from its position
 * (tests/support/recorded.h says how).
 *
 *   recorded-make packed DIR FRAMES SEGMENT END        a ring "slow" in packed blocks; segments of so many frames
 * (0: one file) recorded-make slots BLOCKS ABSENT END DIR ..       a ring "fast" of whole slots, ten to a block, a
 * stripe in each DIR; block ABSENT is not there recorded-make gaps DIR                             told gaps of
 * every cause
 *
 * END: `closed`, or `killed` (no end, as after kill -9), or `full` (the same, and preallocated space behind).
 */
#include <stdio.h>

#include "tests/support/recorded.h"

static int fail(const struct error *err)
{
    fprintf(stderr, "recorded-make: %s\n", err->text);
    return 1;
}

static const struct ring_ledger ledger = {.sent = 120, .delivered = 100, .lost = {[RING_LOSS_KERNEL] = 20}};

static int packed(const char *directory, uint64_t frames, uint64_t segment, bool closed)
{
    struct record_source source;
    struct record_writer *writer = NULL;
    struct error err = {{0}};
    recorded_source(&source, "slow", 1, 0, 1);
    int code = record_writer_open(&writer, directory, &source, RECORD_ALIGN, &err);
    for (uint64_t p = 0; code == 0 && p < frames; p += segment != 0 ? segment : frames) {
        uint64_t to = segment != 0 && p + segment < frames ? p + segment : frames;
        code = p > 0 ? record_writer_rotate(writer, &err) : 0;
        code = code == 0 ? recorded_write(writer, p, to, &err) : code;
    }
    if (code == 0 && closed) {
        return record_writer_close(writer, RECORD_CLOSE_STOPPED, &ledger, &err) == 0 ? 0 : fail(&err);
    }
    code = code == 0 ? record_writer_flush(writer, &err) : code;
    record_writer_abandon(writer);
    return code == 0 ? 0 : fail(&err);
}

static int slots(uint64_t blocks, uint64_t absent, const char *end, unsigned stripes, char **directories)
{
    struct recorded_file file[RECORD_STRIPES_MAX];
    struct record_totals sum = {0};
    int failed = 0;
    for (uint32_t i = 0; i < stripes; i++) {
        struct record_source source;
        recorded_source(&source, "fast", 1, i, stripes);
        recorded_file_begin(&file[i], &source);
    }
    for (uint64_t n = 0; n < blocks; n++) {
        if (n != absent) {
            recorded_file_block(&file[n % stripes], n, 10 * n, 10 * n + 10, NULL);
        } else { /* its place stays, as of a write that was not done */
            file[n % stripes].account.offset += RECORD_LEAD_BYTES + RECORD_ALIGN;
        }
    }
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
        if (strcmp(end, "closed") == 0) {
            recorded_file_end(&file[i], RECORD_CLOSE_STOPPED);
        } else if (strcmp(end, "full") == 0) {
            file[i].account.offset += UINT64_C(256) << 10;
        }
        failed |= recorded_file_write(&file[i], directories[i]);
    }
    return failed != 0;
}

static int gaps(const char *directory)
{
    struct record_source source;
    struct record_writer *writer = NULL;
    struct error err = {{0}};
    recorded_source(&source, "slow", 1, 0, 1);
    int code = record_writer_open(&writer, directory, &source, RECORD_ALIGN, &err);
    uint64_t at = 0;
    for (uint32_t cause = RECORD_CAUSE_OVERWRITTEN; code == 0 && cause <= RECORD_CAUSE_SERVER; cause++) {
        uint64_t n = cause == RECORD_CAUSE_DECIMATED ? 1 : cause;
        struct record_gap gap = {.from_position = at + 50,
                                 .to_position = at + 50 + n,
                                 .count = n,
                                 .tai_ns = RECORDED_TAI_NS + at * RECORDED_PERIOD_NS,
                                 .cause = cause};
        code = recorded_write(writer, at, at + 50, &err);
        code = code == 0 ? record_writer_gap(writer, &gap, &err) : code;
        at += 50 + n;
    }
    code = code == 0 ? recorded_write(writer, at, at + 50, &err) : code;
    if (code != 0) {
        record_writer_abandon(writer);
        return fail(&err);
    }
    return record_writer_close(writer, RECORD_CLOSE_POST, &ledger, &err) == 0 ? 0 : fail(&err);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "packed") == 0) {
        return packed(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10),
                      strcmp(argv[5], "closed") == 0);
    }
    if (argc >= 6 && argc <= 5 + (int)RECORD_STRIPES_MAX && strcmp(argv[1], "slots") == 0) {
        return slots(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), argv[4], (unsigned)argc - 5,
                     argv + 5);
    }
    if (argc == 3 && strcmp(argv[1], "gaps") == 0) {
        return gaps(argv[2]);
    }
    fprintf(stderr,
            "usage: recorded-make packed DIR FRAMES SEGMENT END | slots BLOCKS ABSENT END DIR .. | gaps DIR\n");
    return 2;
}
