/* A small ring whose every byte is known, for who reads rings from their description: ring-sample FILE writes it.
 * It is the example of sluice-ring(5): 16 slots, 20 positions published, a gap record among those that are left.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ring/ring.h"
#include "ring/writer.h"

#define SEGMENT_BYTES     (8192 + 16 * 64)
#define FIRST_TAI_NS      UINT64_C(1700000037000000000)
#define PERIOD_NS         UINT64_C(1000000)
#define FRAME_BYTES       8u
#define FRAMES_BEFORE_GAP 18u

static _Alignas(4096) uint8_t segment[SEGMENT_BYTES];

static const struct ring_channel channels[] = {{.name = "pressure",
                                                .unit = "kPa",
                                                .at_byte = 0,
                                                .type = RING_TYPE_F32,
                                                .byte_order = RING_BIG_ENDIAN,
                                                .scale = 1.0,
                                                .range_low = 0.0,
                                                .range_high = 500.0},
                                               {.name = "temperature",
                                                .unit = "degC",
                                                .at_byte = 4,
                                                .type = RING_TYPE_I16,
                                                .byte_order = RING_LITTLE_ENDIAN,
                                                .calibration = RING_CALIBRATION_POLYNOMIAL,
                                                .scale = 0.01,
                                                .range_low = -200.0,
                                                .range_high = 300.0,
                                                .first_number = 0,
                                                .numbers = 2}};
static const double numbers[] = {-0.5, 1.25};

static void commit(struct ring_writer *writer, uint64_t number, uint32_t flags, uint64_t lost_before)
{
    float kpa = (float)(100.0 + 0.5 * (double)number);
    uint32_t word;
    memcpy(&word, &kpa, sizeof(word));
    word = __builtin_bswap32(word);
    int16_t raw = (int16_t)(2000 + number);
    uint8_t *payload = ring_writer_reserve(writer);
    memcpy(payload, &word, sizeof(word));
    memcpy(payload + 4, &raw, sizeof(raw));
    memset(payload + 6, 0, 2);
    ring_writer_commit(writer, FRAME_BYTES, FIRST_TAI_NS + number * PERIOD_NS, number, flags, lost_before);
}

static int lay_out(struct error *err)
{
    static const struct ring_stream stream = {.name = "sensor",
                                              .source = "udp",
                                              .frame_bytes = FRAME_BYTES,
                                              .sequence_width_bytes = 4,
                                              .sequence_at_byte = 0,
                                              .sequence_byte_order = RING_LITTLE_ENDIAN,
                                              .sequence_step = 1,
                                              .stamp = RING_STAMP_TAKEN,
                                              .nominal_hz = 1000.0};
    struct ring_spec spec = {.instance = "example",
                             .name = "small",
                             .streams = &stream,
                             .stream_count = 1,
                             .slots = RING_SLOTS_MIN,
                             .slot_bytes = RING_SLOT_BYTES_MIN,
                             .payload_offset = RING_DESCRIPTOR_BYTES,
                             .channels = channels,
                             .channel_count = 2,
                             .number_count = 2,
                             .numbers = numbers,
                             .page_bytes = 4096,
                             .numa_node = -1,
                             .tai_minus_monotonic_ns = (int64_t)(FIRST_TAI_NS - 1000 * PERIOD_NS)};
    struct ring_writer writer;
    int code = ring_create(segment, sizeof(segment), &spec, err);
    code = code == 0 ? ring_writer_attach(&writer, segment, sizeof(segment), 4711, NULL, err) : code;
    if (code != 0) {
        return code;
    }
    for (uint64_t number = 0; number < FRAMES_BEFORE_GAP; number++) {
        commit(&writer, number, 0, 0);
        ring_writer_publish(&writer);
    }
    uint64_t last_tai_ns = FIRST_TAI_NS + (FRAMES_BEFORE_GAP - 1) * PERIOD_NS;
    if (!ring_writer_commit_gap(&writer, RING_LOSS_RESTART, 3, last_tai_ns, last_tai_ns + PERIOD_NS)) {
        return error_set(err, -ENOSPC, "no room for a gap record");
    }
    ring_writer_publish(&writer);
    commit(&writer, FRAMES_BEFORE_GAP + 3, RING_FLAG_LOST_BEFORE | RING_LOSS_RESTART << RING_FLAG_CAUSE_SHIFT, 3);
    ring_writer_publish(&writer);
    return 0;
}

int main(int argc, char **argv)
{
    struct error err = {{0}};
    if (argc != 2) {
        fprintf(stderr, "usage: ring-sample FILE\n");
        return 2;
    }
    if (lay_out(&err) != 0) {
        fprintf(stderr, "ring-sample: %s\n", err.text);
        return 1;
    }
    FILE *to = fopen(argv[1], "we");
    if (to == NULL || fwrite(segment, 1, sizeof(segment), to) != sizeof(segment) || fclose(to) != 0) {
        fprintf(stderr, "ring-sample: cannot write %s\n", argv[1]);
        return 1;
    }
    return 0;
}
