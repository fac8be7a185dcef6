/* Hostile readers and hostile orders against a writer, two bytes a step: whatever the leases of gates 1 .. 3 and
 * the orders for them say, nothing that the honest reader of gate 0 has not released is claimed, and the writer
 * goes on once the deadlines are over.
 */
#include <assert.h>
#include <string.h>

#include "ring/reader.h"
#include "tests/support/gates.h"
#include "tests/support/temporary_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

#define SLOTS    UINT64_C(16)
#define WORDS    2u
#define SEED     5u
#define GATES    4u
#define DEADLINE UINT64_C(1000)

static struct temporary_ring t;
static struct test_gates server;
static struct ring_gates gates;
static struct ring_reader honest;
static uint64_t now_ns;

static void attach_writer(void)
{
    struct error err;
    test_gates_attach(&server, &gates);
    int code = ring_writer_attach(&t.writer, t.segment.base, t.segment.bytes, 1, &gates, &err);
    assert(code == 0);
    (void)code;
    ring_gates_mapped(&gates, 0, server.orders.gate[0].generation);
    ring_writer_look(&t.writer, now_ns);
}

static void begin(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 64, 32);
    struct error err;
    now_ns = 1;
    if (t.segment.base == NULL) {
        temporary_ring_create(&t, &spec);
    }
    memset(t.segment.base, 0, t.segment.bytes);
    int code = ring_create(t.segment.base, t.segment.bytes, &spec, &err);
    test_gates_create(&server, GATES);
    uint64_t generation = test_gates_order(&server, 0, 0, UINT64_MAX);
    attach_writer();
    code |= ring_reader_attach(&honest, t.segment.base, t.segment.bytes, SLUICE_OLDEST, &err);
    assert(code == 0);
    (void)code;
    test_gates_join(&server, &honest, 0, generation);
}

/* A number that is small, near what is published, or near an end of what there is. */
static uint64_t some_number(uint8_t byte)
{
    uint64_t near = t.writer.published + (byte & 31) - 16;
    switch (byte >> 5) {
    case 0:
    case 1:
        return byte;
    case 2:
        return UINT64_MAX - (byte & 31);
    case 3:
        return UINT64_C(1) << (2 * (byte & 31));
    default:
        return near;
    }
}

static void write_some(uint64_t count)
{
    for (uint64_t i = 0; i < count && ring_writer_reserve(&t.writer) != NULL; i++) {
        temporary_commit(&t.writer, SEED, WORDS);
        ring_writer_publish(&t.writer);
    }
}

/* Every frame, in order and whole. */
static void read_some(uint64_t count)
{
    struct sluice_frame frame;
    for (uint64_t i = 0; i < count && ring_reader_next(&honest, &frame) == 1; i++) {
        assert((frame.flags & SLUICE_FRAME_GAP) != 0 ||
               pattern_matches(frame.payload, SEED, frame.position, WORDS));
        assert(ring_reader_valid(&honest, frame.position));
    }
    assert(honest.lost == 0 && honest.corrupt == 0);
    ring_reader_release(&honest);
}

static void step(uint8_t what, uint8_t byte)
{
    uint32_t i = 1 + (what >> 4) % (GATES - 1);
    uint64_t first;
    struct ring_order *order = &server.orders.gate[i];
    switch (what & 15) {
    case 0:
    case 1:
        test_gates_release(&server, i, some_number(byte));
        break;
    case 2: /* whatever a lease says beside its position */
        memset(server.lease[i], byte, RING_LEASE_BYTES);
        break;
    case 3:
        (void)test_gates_open(&server, &gates, i, some_number(byte), byte % DEADLINE);
        break;
    case 4:
        test_gates_close(&server, i);
        break;
    case 5: /* an order whose lease never comes, or came before, or is another one's */
        order->from = some_number(byte);
        order->deadline_ns = byte;
        __atomic_store_n(&order->generation, byte, __ATOMIC_RELEASE);
        server.orders.changes += byte & 1;
        break;
    case 6:
        ring_gates_mapped(&gates, byte % (2 * GATES), (byte % (2 * GATES)) == 0 ? gates.gate[0].mapped : byte / 8);
        break;
    case 7:
        ring_writer_owe_gap(&t.writer, RING_LOSS_RING_FULL, byte, 0);
        if (ring_writer_pay_gap(&t.writer, 1)) {
            ring_writer_publish(&t.writer);
        }
        break;
    case 8:
        attach_writer();
        break;
    case 9:
        (void)ring_writer_reserve_many(&t.writer, byte % (SLOTS / 2 + 1));
        break;
    case 10:
        (void)ring_writer_hand_out(&t.writer, byte % (SLOTS / 2 + 1), &first);
        assert(t.writer.handed <= t.writer.claimed);
        ring_writer_take_back(&t.writer);
        break;
    case 11:
        read_some(byte % SLOTS);
        break;
    case 12:
        now_ns += byte;
        ring_writer_look(&t.writer, now_ns);
        break;
    default:
        write_some(byte % SLOTS);
        break;
    }
    const struct ring_header *header = temporary_header(&t);
    assert(header->progress.claimed <= honest.position + SLOTS);
    assert(header->gate[0].state == RING_GATE_GATING);
    assert(header->progress.claimed >= header->progress.published);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    for (size_t i = 0; i + 1 < size; i += 2) {
        step(data[i], data[i + 1]);
    }
    /* The honest one takes all, the others are given their deadlines: then there is room for a whole ring. */
    read_some(UINT64_MAX);
    for (uint64_t round = 0; round < UINT64_C(2) * GATES; round++) {
        ring_writer_look(&t.writer, now_ns);
        (void)ring_writer_reserve_many(&t.writer, 1);
        now_ns += DEADLINE + 1;
        write_some(SLOTS);
        read_some(UINT64_MAX);
    }
    uint64_t before = t.writer.published;
    write_some(SLOTS);
    assert(t.writer.published == before + SLOTS);
    return 0;
}
