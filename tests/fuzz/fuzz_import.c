/* Files of others, as sluice import gets them: refused with a message, or taken. The first byte says what follows:
 *
 *   0  a table of numbers
 *   1  a capture
 *   2  VDIF frames
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tools/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

static struct server_plan plan;
static struct error err;

static void make_plan(bool vdif)
{
    static const struct ring_channel channels[] = {
        {.name = "p",
         .type = RING_TYPE_I16,
         .byte_order = RING_BIG_ENDIAN,
         .at_byte = 8,
         .scale = 0.5,
         .bits = 12,
         .shift = 2},
        {.name = "q",
         .type = RING_TYPE_U64,
         .byte_order = RING_LITTLE_ENDIAN,
         .at_byte = 16,
         .scale = 1,
         .offset = -3},
        {.name = "r", .type = RING_TYPE_F32, .byte_order = RING_BIG_ENDIAN, .at_byte = 24, .scale = 2}};
    struct ring_plan *ring = &plan.ring[0];
    struct source_plan *source = &plan.worker[0].source[0];
    plan.rings = 1;
    plan.workers = 1;
    plan.worker[0].sources = 1;
    *ring =
        (struct ring_plan){.name = "a", .slots = 64, .slot_bytes = 192, .payload_offset = 32, .channel_count = 3};
    snprintf(ring->stream.name, sizeof(ring->stream.name), "s");
    for (uint32_t i = 0; i < 3; i++) {
        ring->channel[i] = channels[i];
        ring->channel[i].range_low = -1;
        ring->channel[i].range_high = 1;
    }
    *source = (struct source_plan){.kind = SOURCE_UDP, .ring = "a", .frame_bytes = vdif ? 0 : 32};
    source->udp.port = 7000;
    source->sequence = (struct sequence_spec){.width_bytes = 4, .byte_order = RING_BIG_ENDIAN, .step = 1};
    if (vdif) {
        source->format = (struct format_spec){.kind = FORMAT_VDIF, .frames_per_second = 10, .threads = 1};
        format_sequence(&source->format, &source->sequence);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct replay_csv_options options = {
        .delimiter = ',', .time = "t", .mappings = 1, .mapping = {{.column = "x", .channel = "p"}}};
    static uint8_t copy[8192];
    struct import_sink sink;
    if (size < 2 || size > sizeof(copy)) {
        return 0;
    }
    memcpy(copy, data + 1, size - 1);
    FILE *file = fmemopen(copy, size - 1, "r");
    assert(file != NULL);
    make_plan(data[0] == 2);
    err.text[0] = 0;
    int code = import_sink_init(&sink, &plan, 0, &err);
    assert(code == 0);
    switch (data[0]) {
    case 1:
        code = import_pcap(file, 37, &sink, &err); /* closes it */
        break;
    case 2:
        code = import_vdif(file, 37, &sink, &err);
        fclose(file);
        break;
    default:
        code = import_csv(file, &options, 37, 0, &sink, &err);
        fclose(file);
    }
    assert(code == 0 || err.text[0] != 0);
    assert(ring_ledger_residual(&sink.writer.view.header->ledger) == 0);
    import_sink_fini(&sink);
    return 0;
}
