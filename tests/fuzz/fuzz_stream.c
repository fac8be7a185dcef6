/* Bytes from a line, in pieces of any size: every framing of a stream, without a device. The first byte says which,
 * the second how large the pieces are, and what is made of the times in the frames. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daq/stream.h"
#include "daq/stream_take.h"
#include "daq/text.h"
#include "ring/clock.h"
#include "ring/segment.h"
#include "tests/support/temporary_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

static struct segment segment;
static struct ring_writer writer;
static struct stream_source source = {.fd = -1};
static struct source_plan plan;

/* A device's clock, a rate, or a recording's own times. */
static void add_times(uint8_t what)
{
    bool text = plan.framing.kind == FRAMING_TEXT;
    struct clock_field field = {.width_bytes = text ? 8 : 4,
                                .at_byte = text ? 0 : 4,
                                .byte_order = RING_LITTLE_ENDIAN,
                                .is_real = text,
                                .unit_ns = text ? 1e9 : 1000};
    plan.rate = (struct rate_plan){.stamp = what == 1   ? RING_STAMP_DEVICE
                                            : what == 2 ? RING_STAMP_RECONSTRUCTED
                                                        : RING_STAMP_TAKEN,
                                   .clock = STAMP_CLOCK_FREE,
                                   .field = field,
                                   .nominal_hz = 1000,
                                   .lag_max_ns = 1000,
                                   .ahead_max_ns = 100};
    if (what == 3) {
        plan.kind = SOURCE_FILE;
        plan.file = (struct file_plan){
            .follow = FILE_REPLAY, .timing = field, .speed = 2, .gap_max_ns = 10 * CLOCK_NS_PER_S};
    }
}

/* No stamp is later than the arrival, and what is held is let go when it is due, each frame once. */
static void check_times(uint64_t monotonic_ns, uint64_t tai_ns)
{
    uint64_t now_ns = monotonic_ns;
    for (uint32_t i = 0; source.held; i++) {
        assert(i < PLAN_LINE_BYTES && source.again_ns > now_ns);
        now_ns = source.again_ns;
        (void)stream_take(&source, 0, now_ns, tai_ns);
    }
    if (writer.next > 0) {
        assert(ring_descriptor_at(&writer.view, writer.next - 1)->tai_ns <= tai_ns);
    }
}

static void prepare(uint8_t kind, uint8_t what)
{
    static const uint32_t framings[] = {FRAMING_FIXED, FRAMING_DELIMITED, FRAMING_LENGTH, FRAMING_MESSAGE};
    stream_fini(&source);
    struct ring_spec spec = {.instance = "fuzz",
                             .name = "fuzz",
                             .streams = &temporary_stream,
                             .stream_count = 1,
                             .numa_node = -1,
                             .slots = 16,
                             .slot_bytes = 128,
                             .payload_offset = 32,
                             .page_bytes = 4096};
    struct error err;
    int code = 0;
    if (segment.base == NULL) {
        code = segment_create(&segment, "fuzz", ring_segment_bytes(&spec), SEGMENT_NORMAL, &err);
    }
    memset(segment.base, 0, segment.bytes);
    code |= ring_create(segment.base, segment.bytes, &spec, &err);
    code |= ring_writer_attach(&writer, segment.base, segment.bytes, 1, NULL, &err);
    assert(code == 0);
    (void)code;
    plan = (struct source_plan){
        .kind = SOURCE_SERIAL,
        .frame_bytes = 16,
        .sequence = {.width_bytes = (kind & 2) != 0 ? 2 : 0,
                     .at_byte = 2,
                     .byte_order = RING_BIG_ENDIAN,
                     .step = 1 + kind / 32},
        .checksum = {.kind = (kind & 4) != 0 ? CHECKSUM_CRC16_CCITT : CHECKSUM_NONE, .from = 2, .at_byte = 14},
        .framing = {.kind = (kind & 1) != 0 ? FRAMING_TEXT : framings[kind >> 6],
                    .sync = {0xa5, 0x5a},
                    .sync_bytes = (kind & 8) != 0 ? 2 : 0,
                    .read_frames = kind >> 6 == 0 && (kind & 17) == 16 ? 5 : 0, /* fixed */
                    .fields = 3,
                    .bytes_max = 80,
                    .delimiter = {0x0d, 0x0a},
                    .delimiter_bytes = (kind & 16) != 0 ? 2 : 1,
                    .length_at = 2,
                    .length_width = (kind & 16) != 0 ? 2 : 1,
                    .length_order = (kind & 32) != 0 ? RING_BIG_ENDIAN : RING_LITTLE_ENDIAN,
                    .length_adds = 3}};
    if (plan.framing.kind != FRAMING_FIXED) {
        plan.frame_bytes = 0;
        plan.checksum.kind = CHECKSUM_NONE;
    }
    if (plan.framing.kind == FRAMING_TEXT) {
        plan.frame_bytes = 24;
        plan.sequence.width_bytes = 0;
        plan.checksum.kind = CHECKSUM_NONE;
    }
    add_times(what);
    code = stream_init(&source, &plan, &writer, NULL, NULL, 1, &err);
    assert(code == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    prepare(data[0], data[1] / 64);
    size_t piece = 1 + data[1] % 64;
    for (size_t at = 2; at < size;) {
        /* As stream_arm would have it: never more than there is room for. */
        uint8_t *to;
        size_t room = stream_wants(&source, &to);
        size_t n = size - at < piece ? size - at : piece;
        n = n < room ? n : room;
        assert(n > 0);
        memcpy(to, data + at, n);
        at += n;
        struct uring_event event = {.user = 1, .result = (int32_t)n, .buffer = URING_NO_BUFFER};
        (void)stream_complete(&source, &event, 1000 + at, 1000 + at);
        check_times(1000 + at, 1000 + at);
        assert(ring_ledger_residual(&writer.view.header->ledger) == 0);
        assert(writer.published == writer.next);
    }
    char line[PLAN_LINE_BYTES + 1] = {0};
    double values[PLAN_FIELDS_MAX];
    memcpy(line, data + 2, size - 2 < PLAN_LINE_BYTES ? size - 2 : PLAN_LINE_BYTES);
    (void)text_parse_line(line, 1 + data[1] % PLAN_FIELDS_MAX, values);
    char *half = line + strlen(line) / 2; /* a pattern and what it is to match */
    char pattern[PLAN_LINE_BYTES + 1] = {0};
    memcpy(pattern, line, (size_t)(half - line));
    (void)text_match(pattern, half, PLAN_FIELDS_MAX, values);
    struct error err;
    (void)text_pattern_fields(pattern, &err);
    return 0;
}
