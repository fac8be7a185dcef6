/* A hostile segment: whatever its bytes, attaching and reading end, stay inside, and change nothing in it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ring/channel.h"
#include "ring/reader.h"
#include "ring/writer.h"
#include "tests/support/gates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

static void read_on(void *base, size_t bytes, int start)
{
    struct ring_reader reader;
    struct error err;
    struct sluice_frame frame;
    if (ring_reader_attach(&reader, base, bytes, start, &err) != 0) {
        return;
    }
    const uint8_t *end = (const uint8_t *)base + bytes;
    for (int i = 0; i < 64; i++) {
        if (ring_reader_next(&reader, &frame) == 0) {
            continue;
        }
        assert(frame.payload >= (const uint8_t *)base && frame.payload + frame.length_bytes <= end);
        (void)ring_reader_valid(&reader, frame.position);
        for (uint32_t c = 0; c < reader.view.channel_count; c++) {
            double value = 0;
            (void)ring_channels_decode(ring_channels(&reader.view), c, ring_numbers(&reader.view), frame.payload,
                                       frame.length_bytes, &value);
        }
    }
}

/* In batches; what a batch shows lies inside whatever the sequence words and lengths say. */
static void read_batches(void *base, size_t bytes)
{
    struct ring_reader reader;
    struct error err;
    struct sluice_batch batch;
    if (ring_reader_attach(&reader, base, bytes, SLUICE_OLDEST, &err) != 0) {
        return;
    }
    const uint8_t *end = (const uint8_t *)base + bytes;
    for (uint32_t i = 0; i < 64; i++) {
        (void)ring_reader_has_new(&reader);
        uint32_t count = ring_reader_batch(&reader, i % 8 == 7 ? UINT32_MAX : i, &batch);
        assert(count == 0 || batch.count == count);
        for (uint32_t k = 0; k < count; k++) {
            const uint8_t *payload = sluice_batch_payload(&batch, k);
            assert(payload >= (const uint8_t *)base && payload + sluice_batch_length(&batch, k) <= end);
        }
        assert(count == 0 || ring_reader_overwritten(&reader, &batch) <= count);
    }
}

/* To wherever the first words of the segment's slots say, and to the ends; then what is there is read. */
static void seek_about(void *base, size_t bytes)
{
    struct ring_reader reader;
    struct error err;
    struct sluice_frame frame;
    if (ring_reader_attach(&reader, base, bytes, SLUICE_NEWEST, &err) != 0) {
        return;
    }
    const struct ring_descriptor *d = ring_descriptor_at(&reader.view, 3);
    const uint64_t wanted[] = {0, 1, d->tai_ns, d->source_sequence, d->sequence, UINT64_MAX / 2, UINT64_MAX};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        (void)ring_reader_seek_time(&reader, wanted[i]);
        (void)ring_reader_next(&reader, &frame);
        (void)ring_reader_seek_sequence(&reader, wanted[i]);
        (void)ring_reader_next(&reader, &frame);
        (void)ring_reader_seek_position(&reader, wanted[i]);
        (void)ring_reader_next(&reader, &frame);
    }
}

/* A gating reader of a ring whose gate status may be anything. */
static void gate_on(void *base, size_t bytes)
{
    struct ring_reader reader;
    struct ring_lease lease = {.magic = RING_LEASE_MAGIC};
    struct error err;
    struct sluice_frame frame;
    if (ring_reader_attach(&reader, base, bytes, SLUICE_OLDEST, &err) != 0) {
        return;
    }
    for (uint32_t gate = 0; gate < RING_GATES_MAX; gate++) {
        const struct ring_gate_status *status = &reader.view.header->gate[gate];
        reader.gate = gate;
        reader.generation = status->generation;
        reader.lease = &lease;
        reader.position = status->base;
        (void)ring_reader_gate(&reader);
        for (int i = 0; i < 4; i++) {
            (void)ring_reader_next(&reader, &frame);
            ring_reader_release(&reader);
        }
        uint64_t position = reader.position;
        assert(ring_reader_seek_position(&reader, 0) >= position || reader.generation == 0);
        assert(lease.position == reader.position);
    }
}

/* Gates that an earlier writer left, in whatever state: the one that follows goes on for all that. */
static void write_behind_gates(void *base, size_t bytes, const uint8_t *data, size_t size)
{
    static struct test_gates server;
    struct ring_gates gates;
    struct ring_writer writer;
    struct error err;
    test_gates_create(&server, RING_GATES_MAX);
    test_gates_attach(&server, &gates);
    if (ring_writer_attach(&writer, base, bytes, 1, &gates, &err) != 0) {
        return;
    }
    for (uint32_t i = 0; i < 4; i++) {
        server.generation = writer.view.header->gate[i].generation - 1; /* so that it is taken over */
        uint64_t generation = test_gates_open(&server, &gates, i, data[i], 100);
        test_gates_release(&server, i, data[size - 1 - i]);
        (void)generation;
    }
    for (uint64_t round = 1; round < 30; round++) {
        ring_writer_look(&writer, round * 101);
        while (ring_writer_reserve(&writer) != NULL && writer.next - writer.published < 4) {
            ring_writer_commit(&writer, 8, 1, 2, 0, 0);
        }
        ring_writer_publish(&writer);
    }
    ring_writer_look(&writer, 100000);
    ring_writer_look(&writer, 200000);
    assert(ring_writer_reserve(&writer) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ring_writer writer;
    struct error err;
    uint8_t *base = aligned_alloc(4096, (size + 4096) / 4096 * 4096);
    if (base == NULL) {
        return 0;
    }
    /* Exactly `size` bytes may be touched: the rest of the allocation is a trap that tells by its content. */
    memset(base, 0xee, (size + 4096) / 4096 * 4096);
    memcpy(base, data, size);
    read_on(base, size, SLUICE_OLDEST);
    read_on(base, size, SLUICE_NEWEST);
    read_batches(base, size);
    seek_about(base, size);
    gate_on(base, size);
    assert(memcmp(base, data, size) == 0);
    if (ring_writer_attach(&writer, base, size, 1, NULL, &err) == 0) {
        for (int i = 0; i < 40; i++) {
            memset(ring_writer_reserve(&writer), i, writer.view.payload_bytes);
            ring_writer_commit(&writer, writer.view.payload_bytes, 1, 2, 0, 0);
            ring_writer_publish(&writer);
        }
        read_on(base, size, SLUICE_OLDEST);
        read_batches(base, size);
        write_behind_gates(base, size, data, size);
    }
    for (size_t i = size; i < (size + 4096) / 4096 * 4096; i++) {
        assert(base[i] == 0xee);
    }
    free(base);
    return 0;
}
