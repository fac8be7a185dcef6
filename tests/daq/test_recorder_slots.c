/* daq/recorder_slots.c on a ring of the test's own: whole slots on their way to a file, and a writer that comes
 * round to them just before their checksum is made. */
#include <criterion/criterion.h>
#include <sys/mman.h>

#include "daq/recorder.h"
#include "tests/support/temporary_ring.h"

#define SLOTS      UINT64_C(256)
#define SLOT_BYTES 128u
#define UNIT       UINT64_C(32) /* slots: 4096 bytes */
#define PIECE      UINT64_C(64) /* slots that are written at once */
#define SEED       5u
#define WORDS      4u

static struct temporary_ring ring;
static struct ring_reader reader;
static struct recorder_plan plan;
static struct recorder_board board;
static struct recorder r;
static struct error err;
static uint64_t comes_round; /* frames that the writer publishes before the next checksum */

/* The names are the linker's.
 * NOLINTBEGIN(*-reserved-identifier,cert-*,readability-identifier-naming) */
void __real_record_block_finish(struct record_block *lead, const uint8_t *payload, const struct ring_ledger *ledger,
                                uint64_t tai_ns);
void __wrap_record_block_finish(struct record_block *lead, const uint8_t *payload, const struct ring_ledger *ledger,
                                uint64_t tai_ns);

void __wrap_record_block_finish(struct record_block *lead, const uint8_t *payload, const struct ring_ledger *ledger,
                                uint64_t tai_ns)
{
    uint64_t frames = comes_round;
    comes_round = 0;
    temporary_publish(&ring.writer, SEED, WORDS, frames);
    __real_record_block_finish(lead, payload, ledger, tai_ns);
}
/* NOLINTEND(*-reserved-identifier,cert-*,readability-identifier-naming) */

static void begin(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, SLOT_BYTES, 64);
    temporary_ring_create(&ring, &spec);
    cr_assert_eq(ring_reader_attach(&reader, ring.segment.base, ring.segment.bytes, SLUICE_NEWEST, &err), 0);
    plan = (struct recorder_plan){.directories = 1,
                                  .gating = 1,
                                  .block_bytes = 16384,
                                  .sync_bytes = 1 << 20,
                                  .sync_ns = UINT64_C(60000000000)};
    r = (struct recorder){.plan = &plan, .board = &board, .rings = 1};
    cr_assert_eq(recorder_disk_init(&r, &err), 0, "%s", err.text);
    struct recorder_ring *own = &r.ring[0];
    own->inside = &reader;
    own->shown = &board.ring[0];
    own->source.header = (struct record_file_header){
        .stripes = 1, .slot_bytes = SLOT_BYTES, .payload_offset = 64, .payload_bytes = SLOT_BYTES - 64};
    own->file[0] = &r.file[0];
    own->file[0]->fd = memfd_create("test", MFD_CLOEXEC);
    cr_assert_geq(own->file[0]->fd, 0);
}

static void end(void)
{
    recorder_disk_fini(&r);
    temporary_ring_destroy(&ring);
}

TestSuite(slots, .init = begin, .fini = end);

static unsigned under_way(void)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < r.writes; i++) {
        count += r.write[i].busy;
    }
    return count;
}

Test(slots, are_written_in_place)
{
    temporary_publish(&ring.writer, SEED, WORDS, PIECE);
    cr_assert_eq(recorder_slots_take(&r, 0, 1), PIECE);
    cr_assert_eq(under_way(), 1);
    recorder_disk_drain(&r);
    cr_assert_eq(board.ring[0].in_place_bytes, PIECE * SLOT_BYTES);
    cr_assert_eq(board.ring[0].frames, PIECE);
    cr_assert_eq(r.ring[0].owed_count, 0);
    cr_assert_eq(r.failure, 0);
}

/* The checksum would be that of the new frames, and hold: after a kill they would be taken for the old ones. */
Test(slots, none_is_written_that_changed_before_its_checksum)
{
    temporary_publish(&ring.writer, SEED, WORDS, UNIT + PIECE);
    reader.position = UNIT;
    r.ring[0].expected = UNIT;
    recorder_ring_lose(&r, 0, 0, UNIT, RECORD_CAUSE_DISK_FULL);
    comes_round = SLOTS;
    cr_assert_eq(recorder_slots_take(&r, 0, 1), 0);
    cr_assert_eq(under_way(), 0);
    cr_assert_eq(r.unsynced_bytes, 0);
    cr_assert_eq(r.ring[0].next_number, 0);
    cr_assert_eq(r.failure, 0);
    cr_assert_eq(r.ring[0].owed_count, 1, "what its lead would have told is still to be told");
    cr_assert_eq(r.ring[0].owed[0].to_position, UNIT);
    cr_assert_eq(reader.position, UNIT);
    cr_assert_eq(recorder_slots_take(&r, 0, 1), 1);
    cr_assert_gt(reader.position, UNIT);
    cr_assert_eq(r.ring[0].expected, reader.position);
    cr_assert_eq(board.ring[0].missing[RECORD_CAUSE_DISK_FULL], UNIT);
    cr_assert_eq(board.ring[0].missing[RECORD_CAUSE_DEMOTED], reader.position - UNIT);
}
