/* Bytes from a line, in pieces of any size: the binary and the text path of a serial source, without a device. The
 * first byte says which, the second how large the pieces are. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daq/serial.h"
#include "ring/segment.h"
#include "tests/support/temporary_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

static struct segment segment;
static struct ring_writer writer;
static struct serial_source source;
static struct source_plan plan;

static void prepare(uint8_t kind)
{
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
        .serial = {.format = (kind & 1) != 0 ? SERIAL_TEXT : SERIAL_BINARY,
                   .sync = {0xa5, 0x5a},
                   .sync_bytes = (kind & 8) != 0 ? 2 : 0,
                   .fields = 3}};
    if (plan.serial.format == SERIAL_TEXT) {
        plan.frame_bytes = 24;
        plan.sequence.width_bytes = 0;
        plan.checksum.kind = CHECKSUM_NONE;
    }
    code = serial_init(&source, &plan, &writer, NULL, 1, &err);
    assert(code == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    prepare(data[0]);
    size_t piece = 1 + data[1] % 64;
    for (size_t at = 2; at < size;) {
        /* As serial_arm would have it: never more than there is room for. */
        bool text = plan.serial.format == SERIAL_TEXT;
        size_t room = text ? PLAN_LINE_BYTES - source.have : plan.frame_bytes - source.have;
        uint8_t *to = text ? (uint8_t *)source.line + source.have : ring_writer_reserve(&writer) + source.have;
        size_t n = size - at < piece ? size - at : piece;
        n = n < room ? n : room;
        assert(n > 0);
        memcpy(to, data + at, n);
        at += n;
        struct uring_event event = {.user = 1, .result = (int32_t)n, .buffer = URING_NO_BUFFER};
        (void)serial_complete(&source, &event, 1000 + at);
        assert(ring_ledger_residual(&writer.view.header->ledger) == 0);
        assert(writer.published == writer.next);
    }
    char line[PLAN_LINE_BYTES + 1] = {0};
    double values[PLAN_FIELDS_MAX];
    memcpy(line, data + 2, size - 2 < PLAN_LINE_BYTES ? size - 2 : PLAN_LINE_BYTES);
    (void)serial_parse_line(line, 1 + data[1] % PLAN_FIELDS_MAX, values);
    return 0;
}
