/* A ring whose memory is scribbled over after it has been checked, and while it is read: whatever libsluice then
 * shows of it stays inside, ends, and its texts end. The input is eight scribbles of eight bytes, then the segment.
 */
#include <stdlib.h>
#include <string.h>

#include "ring/handle.h"
#include "ring/reader.h"
#include "tests/fuzz/must.h"

#define SCRIBBLES 8u
#define VALUES    64u
#define ROUNDS    24u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

struct scribble {
    uint16_t at; /* in words of eight bytes */
    uint8_t when;
    uint8_t shift;
    uint32_t value;
};

struct shown {
    uint8_t *base;
    size_t bytes;
    struct scribble scribble[SCRIBBLES];
    struct ring_lease lease;
    struct sluice_memory memory;
    struct sluice_reader reader;
    double value[VALUES];
};

/* 0: between the check and the copy, 1: behind that, later ones: before that round of reading. */
static void scribble(struct shown *s, uint32_t when)
{
    for (uint32_t i = 0; i < SCRIBBLES; i++) {
        const struct scribble *one = &s->scribble[i];
        size_t at = (size_t)one->at * 8;
        if (one->when == when && one->value != 0 && at + 8 <= s->bytes) {
            uint64_t word = (uint64_t)one->value << (one->shift & 63);
            memcpy(s->base + at, &word, sizeof(word));
        }
    }
}

static void describe(const struct shown *s)
{
    struct sluice_ring ring;
    struct sluice_stream stream;
    struct sluice_channel channel;
    struct sluice_progress progress;
    struct sluice_ledger ledger;
    struct sluice_rate rate;
    const struct sluice_reader *r = &s->reader;
    sluice_ring(r, &ring);
    must(memchr(ring.instance, 0, sizeof(ring.instance)) != NULL &&
         memchr(ring.name, 0, sizeof(ring.name)) != NULL);
    must(ring.streams >= 1 && ring.streams <= RING_STREAMS_MAX && ring.slots * ring.slot_bytes <= s->bytes);
    must(r->tables.identity.numbers <= RING_NUMBERS_MAX);
    for (uint32_t i = 0; i < ring.streams; i++) {
        must(sluice_stream(r, i, &stream) == 0 && memchr(stream.name, 0, sizeof(stream.name)) != NULL);
        must(memchr(stream.source, 0, sizeof(stream.source)) != NULL);
    }
    for (uint32_t i = 0; i < sluice_channels(r); i++) {
        must(sluice_channel(r, i, &channel) == 0 && memchr(channel.name, 0, sizeof(channel.name)) != NULL);
        must(memchr(channel.unit, 0, sizeof(channel.unit)) != NULL);
    }
    must(sluice_channel(r, sluice_channels(r), &channel) != 0 && sluice_stream(r, ring.streams, &stream) != 0);
    sluice_progress(r, &progress);
    must(progress.oldest <= progress.published && progress.published - progress.oldest <= ring.slots);
    sluice_ledger(r, &ledger);
    sluice_rate(r, &rate);
}

static void read_frame(struct shown *s)
{
    struct sluice_frame frame;
    if (sluice_reader_next(&s->reader, &frame) != 1) {
        return;
    }
    must(frame.payload >= s->base && frame.payload + frame.length_bytes <= s->base + s->bytes);
    for (uint32_t i = 0; i <= sluice_channels(&s->reader); i++) {
        (void)sluice_value(&s->reader, i, &frame);
    }
    (void)sluice_reader_valid(&s->reader, &frame);
}

static void read_batch(struct shown *s, uint32_t round)
{
    struct sluice_batch batch;
    uint32_t count = sluice_reader_batch(&s->reader, round % 5 == 4 ? UINT32_MAX : round, &batch);
    if (count == 0) {
        return;
    }
    must(batch.first >= s->base && batch.first + (size_t)count * batch.slot_bytes <= s->base + s->bytes);
    for (uint32_t i = 0; i <= sluice_channels(&s->reader); i++) {
        must(sluice_batch_values(&s->reader, i, &batch, round % 3, VALUES, s->value) <= VALUES);
    }
    must(sluice_reader_overwritten(&s->reader, &batch) <= count);
    must(sluice_memory_overwritten(&s->memory, batch.position, count) <= count);
}

static void read_on(struct shown *s)
{
    for (uint32_t round = 2; round < ROUNDS; round++) {
        scribble(s, round);
        switch (round % 4) {
        case 0:
            (void)sluice_reader_seek(&s->reader, 1 + (int)(round / 4 % 5), s->scribble[0].value);
            break;
        case 1:
            describe(s);
            break;
        case 2:
            read_frame(s);
            break;
        default:
            read_batch(s, round);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct shown *s = calloc(1, sizeof(*s));
    if (s == NULL || size < sizeof(s->scribble)) {
        free(s);
        return 0;
    }
    memcpy(s->scribble, data, sizeof(s->scribble));
    s->bytes = size - sizeof(s->scribble);
    /* No byte more than that, so that the address sanitizer sees the first beyond it. */
    s->base = aligned_alloc(8, s->bytes / 8 * 8);
    s->bytes = s->bytes / 8 * 8;
    if (s->base != NULL) {
        memcpy(s->base, data + sizeof(s->scribble), s->bytes);
        s->reader.socket_fd = -1;
        if (ring_reader_attach(&s->reader.ring, s->base, s->bytes, SLUICE_OLDEST, &err) == 0) {
            scribble(s, 0);
            if (sluice_tables_copy(&s->reader.tables, &s->reader.ring.view, &err) == 0) {
                s->reader.ring.lease = &s->lease;
                s->memory = (struct sluice_memory){.view = s->reader.ring.view};
                scribble(s, 1);
                describe(s);
                read_on(s);
            }
        }
    }
    free(s->base);
    free(s);
    return 0;
}
