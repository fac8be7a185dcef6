/* Creating a ring, and refusing one whose header cannot be true. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/reader.h"
#include "tests/support/random.h"
#include "tests/support/temporary_ring.h"

static struct ring_channel two_channels[2] = {
    {.name = "pressure", .unit = "kPa", .at_byte = 0, .type = RING_TYPE_F32, .byte_order = 2, .scale = 1},
    {.name = "temperature", .unit = "degC", .at_byte = 4, .type = RING_TYPE_I16, .byte_order = 1, .scale = 1}};

static struct ring_spec spec_with_channels(void)
{
    struct ring_spec spec = temporary_spec(64, 128, 32);
    spec.channels = two_channels;
    spec.channel_count = 2;
    return spec;
}

Test(ring, create_and_attach)
{
    struct temporary_ring t;
    struct ring_view view;
    struct error err = {{0}};
    struct ring_spec spec = spec_with_channels();
    temporary_ring_create(&t, &spec);
    cr_assert_eq(ring_attach(&view, t.segment.base, t.segment.bytes, &err), 0, "%s", err.text);
    cr_assert_eq(view.slot_count, 64);
    cr_assert_eq(view.mask, 63);
    cr_assert_eq(view.slot_bytes, 128);
    cr_assert_eq(view.payload_bytes, 96);
    cr_assert_eq(view.channel_count, 2);
    cr_assert_str_eq(ring_channels(&view)[1].name, "temperature");
    cr_assert_str_eq(view.header->identity.name, "ring");
    cr_assert_eq((uintptr_t)view.slots % 4096, 0);
    cr_assert_eq(ring_payload_at(&view, 64 + 5), view.slots + (size_t)5 * 128 + 32, "position 69 lives in slot 5");
}

Test(ring, geometry_out_of_bounds_is_refused)
{
    static const struct {
        uint64_t slots;
        uint32_t slot_bytes, payload_offset, channels;
    } bad[] = {
        {0, 128, 32, 0},         {8, 128, 32, 0},           {100, 128, 32, 0}, {UINT64_C(1) << 31, 128, 32, 0},
        {64, 0, 32, 0},          {64, 32, 32, 0},           {64, 100, 32, 0},  {64, 65536 + 64, 32, 0},
        {64, 128, 0, 0},         {64, 128, 16, 0},          {64, 128, 48, 0},  {64, 1024, 576, 0},
        {64, 128, 128, 0},       {64, 64, 64, 0},           {64, 128, 32, 65}, {UINT64_MAX, 128, 32, 0},
        {64, UINT32_MAX, 32, 0}, {64, 128, 32, UINT32_MAX}, {64, 1024, 96, 0}};
    static uint8_t memory[4096];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = {{0}};
        struct ring_spec spec = temporary_spec(bad[i].slots, bad[i].slot_bytes, bad[i].payload_offset);
        spec.channel_count = bad[i].channels;
        cr_assert_eq(ring_segment_bytes(&spec), 0, "case %zu", i);
        cr_assert_eq(ring_create(memory, sizeof(memory), &spec, &err), -EINVAL, "case %zu", i);
    }
    struct error err = {{0}};
    struct ring_spec spec = temporary_spec(64, 128, 32);
    cr_assert_eq(ring_create(memory, sizeof(memory), &spec, &err), -EINVAL, "a segment too small for it");
}

struct wrong {
    const char *field;
    size_t offset;
    size_t bytes;
    uint64_t value;
};

#define WRONG(member, v)                                                                                           \
    {                                                                                                              \
#member, offsetof(struct ring_identity, member), sizeof(((struct ring_identity *)NULL)->member), v         \
    }

static const struct wrong wrongs[] = {
    WRONG(magic, 0),
    WRONG(magic, RING_MAGIC ^ 1),
    WRONG(version, 0),
    WRONG(version, RING_LAYOUT_VERSION + 1),
    WRONG(header_bytes, 0),
    WRONG(header_bytes, 8192),
    WRONG(slots, 0),
    WRONG(slots, 63),
    WRONG(slots, 128),
    WRONG(slots, UINT64_C(1) << 30),
    WRONG(slots, UINT64_C(1) << 58),
    WRONG(slots, UINT64_MAX),
    WRONG(slot_bytes, 0),
    WRONG(slot_bytes, 96),
    WRONG(slot_bytes, 256),
    WRONG(slot_bytes, UINT32_MAX),
    WRONG(payload_offset, 0),
    WRONG(payload_offset, 33),
    WRONG(payload_offset, 128),
    WRONG(payload_offset, UINT32_MAX),
    WRONG(slots_offset, 0),
    WRONG(slots_offset, 4096),
    WRONG(slots_offset, UINT64_MAX - 4095),
    WRONG(channels_offset, 0),
    WRONG(channels_offset, UINT32_MAX),
    WRONG(channels, 65),
    WRONG(channels, UINT32_MAX),
};

Test(ring, every_wrong_header_field_is_a_protocol_error)
{
    struct temporary_ring t;
    struct ring_spec spec = spec_with_channels();
    temporary_ring_create(&t, &spec);
    uint8_t *base = t.segment.base;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct ring_view view = {.slot_count = 4711};
        struct error err = {{0}};
        uint64_t saved = 0;
        memcpy(&saved, base + wrongs[i].offset, wrongs[i].bytes);
        memcpy(base + wrongs[i].offset, &wrongs[i].value, wrongs[i].bytes);
        cr_assert_eq(ring_attach(&view, base, t.segment.bytes, &err), -EPROTO, "%s = %#lx", wrongs[i].field,
                     wrongs[i].value);
        cr_assert_neq(err.text[0], 0);
        cr_assert_eq(view.slot_count, 4711, "the view is untouched on failure");
        memcpy(base + wrongs[i].offset, &saved, wrongs[i].bytes);
        cr_assert_eq(ring_attach(&view, base, t.segment.bytes, &err), 0);
    }
}

static void expect_refused(struct temporary_ring *t, const char *why)
{
    struct ring_view view;
    struct error err = {{0}};
    cr_assert_eq(ring_attach(&view, t->segment.base, t->segment.bytes, &err), -EPROTO, "%s", why);
}

Test(ring, unterminated_names_and_impossible_channels_are_refused)
{
    struct temporary_ring t;
    struct ring_spec spec = spec_with_channels();
    temporary_ring_create(&t, &spec);
    struct ring_identity *id = &temporary_header(&t)->identity;
    struct ring_channel *channel =
        (struct ring_channel *)(void *)((uint8_t *)t.segment.base + RING_HEADER_BYTES) + 1;
    struct ring_identity whole = *id;
    memset(id->name, 'x', sizeof(id->name));
    expect_refused(&t, "name");
    *id = whole;
    memset(id->instance, 'x', sizeof(id->instance));
    expect_refused(&t, "instance");
    *id = whole;
    struct ring_stream *stream = &temporary_header(&t)->stream[0];
    struct ring_stream good_stream = *stream;
    memset(stream->name, 'x', sizeof(stream->name));
    expect_refused(&t, "stream");
    *stream = good_stream;
    memset(stream->source, 'x', sizeof(stream->source));
    expect_refused(&t, "source");
    *stream = good_stream;
    id->streams = 0;
    expect_refused(&t, "no stream");
    id->streams = RING_STREAMS_MAX + 1;
    expect_refused(&t, "too many streams");
    *id = whole;
    struct ring_channel good = *channel;
    memset(channel->name, 'x', sizeof(channel->name));
    expect_refused(&t, "channel name");
    *channel = good;
    memset(channel->unit, 'x', sizeof(channel->unit));
    expect_refused(&t, "unit");
    *channel = good;
    channel->type = RING_TYPE_NONE;
    expect_refused(&t, "no type");
    channel->type = RING_TYPES;
    expect_refused(&t, "unknown type");
    *channel = good;
    channel->at_byte = UINT32_MAX;
    expect_refused(&t, "at_byte");
}

Test(ring, too_small_a_segment_is_refused)
{
    struct temporary_ring t;
    struct ring_spec spec = spec_with_channels();
    temporary_ring_create(&t, &spec);
    for (size_t bytes = 0; bytes < t.segment.bytes; bytes += 509) {
        struct ring_view view;
        struct error err = {{0}};
        cr_assert_eq(ring_attach(&view, t.segment.base, bytes, &err), -EPROTO, "%zu bytes", bytes);
    }
}

static void use_all_of(void *base, size_t bytes, const struct ring_view *view)
{
    const uint8_t *end = (const uint8_t *)base + bytes;
    cr_assert_leq((uintptr_t)view->slots + view->slot_count * view->slot_bytes, (uintptr_t)end);
    cr_assert_leq((uintptr_t)(ring_channels(view) + view->channel_count), (uintptr_t)end);
    struct ring_reader reader;
    struct error err;
    if (ring_reader_attach(&reader, base, bytes, SLUICE_OLDEST, &err) == 0) {
        struct sluice_frame frame;
        for (int i = 0; i < 200 && ring_reader_next(&reader, &frame) == 1; i++) {
            cr_assert_leq((uintptr_t)frame.payload + frame.length_bytes, (uintptr_t)end);
        }
    }
}

/* Any byte of the header or the channel table may be anything: refused, or a view that stays inside the segment. */
Test(ring, scribbled_headers_never_lead_outside)
{
    struct temporary_ring t;
    struct ring_spec spec = spec_with_channels();
    struct test_random random = {3};
    temporary_ring_create(&t, &spec);
    temporary_publish(&t.writer, 1, 12, 100);
    uint8_t *copy = aligned_alloc(4096, t.segment.bytes);
    for (int i = 0; i < 20000; i++) {
        struct ring_view view;
        struct error err = {{0}};
        memcpy(copy, t.segment.base, t.segment.bytes);
        for (uint64_t n = 1 + test_random_below(&random, 3); n > 0; n--) {
            size_t at = test_random_below(&random, i % 2 != 0 ? sizeof(struct ring_identity) : 4096 + 256);
            copy[at] = (uint8_t)test_random_next(&random);
        }
        int code = ring_attach(&view, copy, t.segment.bytes, &err);
        cr_assert(code == 0 || code == -EPROTO);
        if (code == 0) {
            use_all_of(copy, t.segment.bytes, &view);
        }
    }
    free(copy);
}
