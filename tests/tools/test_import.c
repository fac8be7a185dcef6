/* Foreign files into frames: values to the last bit, and what cannot be said in a raw type is refused where it
 * stands. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "ring/channel.h"
#include "tools/import.h"

static struct server_plan plan;
static struct import_sink sink;
static struct error err;
static struct replay_csv_options options;

static void begin(void)
{
    struct ring_plan *ring = &plan.ring[0];
    plan.rings = plan.workers = plan.worker[0].sources = 1;
    *ring =
        (struct ring_plan){.name = "a", .slots = 64, .slot_bytes = 192, .payload_offset = 32, .channel_count = 1};
    snprintf(ring->stream.name, sizeof(ring->stream.name), "s");
    ring->channel[0] = (struct ring_channel){.name = "x",
                                             .type = RING_TYPE_I16,
                                             .byte_order = RING_BIG_ENDIAN,
                                             .at_byte = 4,
                                             .scale = 1,
                                             .range_low = -1,
                                             .range_high = 1};
    plan.worker[0].source[0] = (struct source_plan){.kind = SOURCE_UDP, .ring = "a", .frame_bytes = 16};
    options = (struct replay_csv_options){.delimiter = ',', .period_ns = 1000};
}

static void end(void)
{
    import_sink_fini(&sink);
}

TestSuite(import, .init = begin, .fini = end);

static int import_text(const char *text)
{
    import_sink_fini(&sink);
    cr_assert_eq(import_sink_init(&sink, &plan, 0, &err), 0, "%s", err.text);
    static char copy[256];
    snprintf(copy, sizeof(copy), "%s", text);
    FILE *file = fmemopen(copy, strlen(copy), "r");
    int code = import_csv(file, &options, 37, 5, &sink, &err);
    fclose(file);
    return code;
}

/* What a reader of the ring's first frame decodes. */
static double decoded(void)
{
    double value = -1;
    cr_assert(ring_channel_decode(&plan.ring[0].channel[0], NULL, NULL, ring_payload_at(&sink.writer.view, 0), 16,
                                  &value));
    return value;
}

static void assert_round_trip(uint32_t type, const char *text, double value)
{
    char csv[128];
    plan.ring[0].channel[0].type = type;
    for (uint32_t order = RING_LITTLE_ENDIAN; order <= RING_BIG_ENDIAN; order++) {
        plan.ring[0].channel[0].byte_order = order;
        snprintf(csv, sizeof(csv), "x\n%s\n", text);
        cr_assert_eq(import_text(csv), 0, "%s: %s", ring_type_name(type), err.text);
        cr_assert_eq(decoded(), value, "%s: %s became %.17g", ring_type_name(type), text, decoded());
    }
}

static void assert_refused(uint32_t type, const char *text)
{
    char csv[128];
    plan.ring[0].channel[0].type = type;
    snprintf(csv, sizeof(csv), "x\n%s\n", text);
    cr_assert_eq(import_text(csv), -EINVAL, "%s: %s", ring_type_name(type), text);
    cr_assert(strstr(err.text, "line 2, column 1") != NULL, "%s", err.text);
}

Test(import, the_ends_of_each_type)
{
    assert_round_trip(RING_TYPE_I8, "-128", -128);
    assert_round_trip(RING_TYPE_I8, "127", 127);
    assert_round_trip(RING_TYPE_U8, "255", 255);
    assert_round_trip(RING_TYPE_I16, "-32768", -32768);
    assert_round_trip(RING_TYPE_U16, "65535", 65535);
    assert_round_trip(RING_TYPE_I32, "-2147483648", -2147483648.0);
    assert_round_trip(RING_TYPE_U32, "4294967295", 4294967295.0);
    assert_round_trip(RING_TYPE_I64, "-9223372036854775808", -9223372036854775808.0);
    assert_round_trip(RING_TYPE_U64, "18446744073709549568", 18446744073709549568.0);
    assert_round_trip(RING_TYPE_F32, "0.1", (double)0.1f);
    assert_round_trip(RING_TYPE_F64, "0.1", 0.1);
    assert_refused(RING_TYPE_I8, "128");
    assert_refused(RING_TYPE_I8, "-129");
    assert_refused(RING_TYPE_U8, "-1");
    assert_refused(RING_TYPE_U16, "65536");
    assert_refused(RING_TYPE_I64, "9223372036854775808");
    assert_refused(RING_TYPE_U64, "18446744073709551616");
    assert_refused(RING_TYPE_F32, "1e39");
    assert_refused(RING_TYPE_I32, "nan");
    assert_refused(RING_TYPE_F64, "12 apples");
}

Test(import, scale_offset_and_bits)
{
    struct ring_channel *channel = &plan.ring[0].channel[0];
    channel->scale = 0.25;
    channel->offset = -10;
    assert_round_trip(RING_TYPE_I16, "-10.25", -10.25);
    assert_round_trip(RING_TYPE_I16, "8181.75", 8181.75);
    assert_refused(RING_TYPE_I16, "8182");
    channel->bits = 12;
    channel->shift = 3;
    assert_round_trip(RING_TYPE_I16, "501.75", 501.75);
    assert_round_trip(RING_TYPE_I16, "-522", -522);
    assert_refused(RING_TYPE_I16, "502");
    assert_round_trip(RING_TYPE_U16, "1013.75", 1013.75);
    assert_refused(RING_TYPE_U16, "-10.25");
}

Test(import, empty_is_nan_where_there_is_one)
{
    plan.ring[0].channel[0].type = RING_TYPE_F64;
    cr_assert_eq(import_text("y,x\n1,\n"), 0, "%s", err.text);
    cr_assert(isnan(decoded()));
    plan.ring[0].channel[0].type = RING_TYPE_I32;
    cr_assert_eq(import_text("y,x\n1,\n"), -EINVAL);
    cr_assert(strstr(err.text, "line 2, column 2") != NULL, "%s", err.text);
}

Test(import, what_cannot_be_imported)
{
    plan.ring[0].channel[0].calibration = RING_CALIBRATION_POLYNOMIAL;
    plan.ring[0].channel[0].numbers = plan.ring[0].number_count = 1;
    cr_assert_eq(import_text("x\n1\n"), -EINVAL);
    cr_assert(strstr(err.text, "cannot be turned round") != NULL, "%s", err.text);
    begin();
    plan.worker[0].source[0].frame_bytes = 0;
    cr_assert_eq(import_text("x\n1\n"), -EINVAL);
    begin();
    cr_assert_eq(import_text("x,x\n1,1\n"), -EINVAL);
    cr_assert(strstr(err.text, "one column for channel x, found 2") != NULL, "%s", err.text);
    cr_assert_eq(import_text("x\n"), -EINVAL);
    options.time = "t";
    cr_assert_eq(import_text("x\n1\n"), -EINVAL, "both a period and a column");
    options.period_ns = 0;
    cr_assert_eq(import_text("x\n1\n"), -EINVAL, "no such column");
    options.mappings = 1;
    options.mapping[0].column = "t";
    options.mapping[0].channel = "nowhere";
    cr_assert_eq(import_text("t,x\n1,1\n"), -EINVAL);
    cr_assert(strstr(err.text, "no channel of that name") != NULL, "%s", err.text);
}
