/* A hostile segment: whatever its bytes, attaching and reading end, stay inside, and change nothing in it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ring/channel.h"
#include "ring/reader.h"
#include "ring/writer.h"

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
            (void)ring_channel_decode(&ring_channels(&reader.view)[c], frame.payload, frame.length_bytes, &value);
        }
    }
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
    assert(memcmp(base, data, size) == 0);
    if (ring_writer_attach(&writer, base, size, 1, NULL, &err) == 0) {
        for (int i = 0; i < 40; i++) {
            memset(ring_writer_reserve(&writer), i, writer.view.payload_bytes);
            ring_writer_commit(&writer, writer.view.payload_bytes, 1, 2, 0, 0);
            ring_writer_publish(&writer);
        }
        read_on(base, size, SLUICE_OLDEST);
    }
    for (size_t i = size; i < (size + 4096) / 4096 * 4096; i++) {
        assert(base[i] == 0xee);
    }
    free(base);
    return 0;
}
