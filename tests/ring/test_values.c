/* Values of a batch are those of its frames one by one, bit for bit: every type, byte order and calibration, bits
 * of a word, gap records, frames that are too short, lengths that are not true, places outside of the payload. */
#include <criterion/criterion.h>
#include <math.h>

#include "ring/channel.h"
#include "tests/support/installed_reader.h"
#include "tests/support/random.h"

#define SLOTS         UINT64_C(256)
#define SLOT_BYTES    128u
#define PAYLOAD_BYTES (SLOT_BYTES - RING_DESCRIPTOR_BYTES)
#define UNTOUCHED     (-12345.0)

static const double numbers[] = {
    1.5,  -2,  0.25, 1e-3,                  /* 0: a polynomial */
    -1e4, 5,   0,    6,    100, -7, 3e4, 8, /* 4: points */
    21.5,                                   /* 12: a cold junction that is always so warm */
    0.5,  -2.5                              /* 13: a logarithmic scale */
};
#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static struct ring_channel channels[RING_CHANNELS_MAX];
static uint32_t channel_count;
static struct temporary_ring t;
static struct installed_reader installed;
static struct sluice_reader *reader;

static struct ring_channel *add(uint32_t type, uint32_t byte_order, uint32_t at_byte)
{
    cr_assert_lt(channel_count, RING_CHANNELS_MAX);
    struct ring_channel *c = &channels[channel_count++];
    *c = (struct ring_channel){.unit = "u",
                               .at_byte = at_byte,
                               .type = type,
                               .byte_order = byte_order,
                               .scale = 0.1,
                               .offset = -3.25,
                               .range_low = -1e300,
                               .range_high = 1e300};
    snprintf(c->name, sizeof(c->name), "c%u", channel_count);
    return c;
}

static struct ring_channel *add_calibrated(uint32_t type, uint32_t at_byte, uint16_t calibration,
                                           uint32_t first_number, uint32_t count)
{
    struct ring_channel *c = add(type, RING_BIG_ENDIAN, at_byte);
    c->calibration = calibration;
    c->first_number = first_number;
    c->numbers = count;
    return c;
}

static struct ring_channel *add_thermocouple(uint32_t thermocouple, uint32_t at_byte, uint32_t reference)
{
    bool is_measured = reference != 0;
    struct ring_channel *c = add_calibrated(RING_TYPE_I16, at_byte, RING_CALIBRATION_THERMOCOUPLE,
                                            is_measured ? 0 : 12, is_measured ? 0 : 1);
    c->thermocouple = (uint16_t)thermocouple;
    c->reference = reference;
    c->scale = 1e-3;
    return c;
}

static void add_linear(void)
{
    for (uint32_t type = RING_TYPE_I8; type < RING_TYPES; type++) {
        add(type, RING_LITTLE_ENDIAN, 3 * type);
        add(type, RING_BIG_ENDIAN, 5 * type + 1);
    }
    add(RING_TYPE_F64, RING_LITTLE_ENDIAN, PAYLOAD_BYTES - 8); /* the last that fits */
    add(RING_TYPE_F64, RING_LITTLE_ENDIAN, PAYLOAD_BYTES - 7); /* the first that does not */
    add(RING_TYPE_U8, RING_LITTLE_ENDIAN, PAYLOAD_BYTES - 1);
    add(RING_TYPE_U8, RING_LITTLE_ENDIAN, PAYLOAD_BYTES);
    add(RING_TYPE_I64, RING_BIG_ENDIAN, RING_SLOT_BYTES_MAX);
}

static void add_bits(void)
{
    for (uint32_t type = RING_TYPE_I8; type < RING_TYPE_F32; type++) {
        struct ring_channel *c = add(type, type % 3 == 0 ? RING_BIG_ENDIAN : RING_LITTLE_ENDIAN, 2 * type);
        c->bits = (uint8_t)(1 + type % 5);
        c->shift = (uint8_t)(type % 3);
    }
    struct ring_channel *all = add(RING_TYPE_I64, RING_BIG_ENDIAN, 9);
    all->bits = 64;
    struct ring_channel *top = add(RING_TYPE_U64, RING_LITTLE_ENDIAN, 9);
    top->bits = 1;
    top->shift = 63;
}

static void add_calibrations(void)
{
    add_calibrated(RING_TYPE_I16, 7, RING_CALIBRATION_POLYNOMIAL, 0, 4);
    add_calibrated(RING_TYPE_F32, 12, RING_CALIBRATION_POLYNOMIAL, 2, 1);
    add_calibrated(RING_TYPE_I16, 20, RING_CALIBRATION_POINTS, 4, 8);
    add_calibrated(RING_TYPE_F64, 30, RING_CALIBRATION_POINTS, 4, 4);
    add_calibrated(RING_TYPE_I8, 33, RING_CALIBRATION_LOGARITHMIC, 13, 2);
    struct ring_channel *bits = add_calibrated(RING_TYPE_U16, 40, RING_CALIBRATION_POLYNOMIAL, 0, 3);
    bits->bits = 12;
    bits->shift = 4;
    struct ring_channel *junction = add(RING_TYPE_I8, RING_LITTLE_ENDIAN, 60);
    uint32_t reference = channel_count;
    junction->range_low = -5; /* else the cold junction is no good */
    junction->range_high = 9;
    for (uint32_t type = RING_THERMOCOUPLE_J; type < RING_THERMOCOUPLES; type++) {
        add_thermocouple(type, 44, 0);
        add_thermocouple(type, 46, reference);
    }
}

static void open_all(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, SLOT_BYTES, RING_DESCRIPTOR_BYTES);
    add_linear();
    add_bits();
    add_calibrations();
    spec.channels = channels;
    spec.channel_count = channel_count;
    spec.numbers = numbers;
    spec.number_count = NUMBERS;
    temporary_ring_create(&t, &spec);
    installed_reader_open(&installed, &t, SLUICE_OLDEST);
    reader = installed.reader;
}

static void close_all(void)
{
    installed_reader_close(&installed);
    temporary_ring_destroy(&t);
}

TestSuite(values, .init = open_all, .fini = close_all);

static void put_random(struct test_random *random, uint32_t length_bytes)
{
    uint8_t *payload = ring_writer_reserve(&t.writer);
    for (uint32_t i = 0; i < PAYLOAD_BYTES; i++) {
        payload[i] = (uint8_t)test_random_next(random);
    }
    ring_writer_commit(&t.writer, length_bytes, 1, 1, 0, 0);
    ring_writer_publish(&t.writer);
}

static void put_gap(void)
{
    (void)ring_writer_reserve(&t.writer);
    cr_assert(ring_writer_commit_gap(&t.writer, RING_LOSS_LATE, 1, 1, 2));
    ring_writer_publish(&t.writer);
}

/* As sluice_reader_next() would show it. */
static struct sluice_frame frame_of(const struct sluice_batch *batch, uint32_t i)
{
    const struct sluice_descriptor *d = sluice_batch_descriptor(batch, i);
    return (struct sluice_frame){.payload = sluice_batch_payload(batch, i),
                                 .position = batch->position + i,
                                 .length_bytes = sluice_batch_length(batch, i),
                                 .flags = d->flags & 0xffu};
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* Every channel of the batch both ways. Returns how many values are numbers. */
static uint64_t compare(const struct sluice_batch *batch)
{
    static double values[SLOTS];
    uint64_t good = 0;
    for (uint32_t c = 0; c < channel_count; c++) {
        cr_assert_eq(sluice_batch_values(reader, c, batch, 0, batch->count, values), batch->count);
        for (uint32_t i = 0; i < batch->count; i++) {
            struct sluice_frame frame = frame_of(batch, i);
            double one = sluice_value(reader, c, &frame);
            cr_assert_eq(bits_of(values[i]), bits_of(one),
                         "channel %u (type %u), %u bytes, flags %u: %.17g, one by one %.17g", c, channels[c].type,
                         frame.length_bytes, frame.flags, values[i], one);
            good += isfinite(one) ? 1 : 0;
        }
    }
    return good;
}

static void take_all(struct sluice_batch *batch, uint32_t count)
{
    cr_assert_eq(sluice_reader_batch(reader, UINT32_MAX, batch), count);
}

Test(values, of_a_batch_are_those_of_its_frames)
{
    struct test_random random = {31};
    struct sluice_batch batch;
    uint64_t good = 0;
    for (int round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < SLOTS / 2; i++) {
            if (test_random_chance(&random, 100)) {
                put_gap();
            } else {
                bool is_short = test_random_chance(&random, 500);
                put_random(&random,
                           is_short ? (uint32_t)test_random_below(&random, PAYLOAD_BYTES + 1) : PAYLOAD_BYTES);
            }
        }
        take_all(&batch, SLOTS / 2);
        good += compare(&batch);
        cr_assert_eq(sluice_reader_overwritten(reader, &batch), 0);
    }
    cr_assert_gt(good, 40 * SLOTS / 2 * channel_count / 4, "few numbers: nothing was tried");
}

/* Every length, of a frame whose bytes are there and are not to be used. */
Test(values, a_frame_that_is_too_short_has_none)
{
    struct test_random random = {32};
    struct sluice_batch batch;
    double value;
    for (uint32_t length_bytes = 0; length_bytes <= PAYLOAD_BYTES; length_bytes++) {
        put_random(&random, length_bytes);
    }
    take_all(&batch, PAYLOAD_BYTES + 1);
    (void)compare(&batch);
    for (uint32_t c = 0; c < channel_count; c++) {
        uint32_t end = channels[c].at_byte + ring_type_bytes(channels[c].type);
        for (uint32_t i = 0; i < batch.count && i < end; i++) {
            cr_assert_eq(sluice_batch_values(reader, c, &batch, i, 1, &value), 1);
            cr_assert(isnan(value), "channel %u of %u bytes", c, i);
        }
    }
}

/* Fault: the writer is about to overwrite the frame, and its length is any number. Nothing is read beyond the slot.
 */
Test(values, a_length_that_is_not_true_is_that_of_the_slot)
{
    struct test_random random = {33};
    struct sluice_batch batch;
    for (uint32_t i = 0; i < 64; i++) {
        put_random(&random, PAYLOAD_BYTES);
        uint64_t rest = ring_pack_rest(PAYLOAD_BYTES + 1 + i * 1000, 0, 0, 0);
        __atomic_store_n(&ring_descriptor_at(&t.writer.view, i)->rest, rest, __ATOMIC_RELAXED);
    }
    take_all(&batch, 64);
    cr_assert_eq(sluice_batch_length(&batch, 63), PAYLOAD_BYTES);
    cr_assert_gt(compare(&batch), 0);
}

Test(values, of_a_gap_record_are_none)
{
    struct sluice_batch batch;
    double value;
    put_gap();
    take_all(&batch, 1);
    for (uint32_t c = 0; c < channel_count; c++) {
        cr_assert_eq(sluice_batch_values(reader, c, &batch, 0, 1, &value), 1);
        cr_assert(isnan(value));
    }
    (void)compare(&batch);
}

/* Extremes and what is not a number, through every channel of floats. */
Test(values, special_floats_come_through_alike)
{
    static const uint64_t words[] = {0,
                                     UINT64_C(0x8000000000000000),
                                     UINT64_C(0x7ff0000000000000),
                                     UINT64_C(0xfff0000000000000),
                                     UINT64_C(0x7ff8000000000001),
                                     UINT64_C(0x7ff0000000000001),
                                     UINT64_C(0xfff7ffffffffffff),
                                     UINT64_C(0x0000000000000001),
                                     UINT64_C(0x7fefffffffffffff),
                                     UINT64_C(0x7f8000007f800001),
                                     UINT64_C(0x7fc000017f7fffff),
                                     UINT64_MAX};
    struct sluice_batch batch;
    uint32_t count = 0;
    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        for (uint32_t c = 0; c < channel_count; c++) {
            uint8_t *payload = ring_writer_reserve(&t.writer);
            memset(payload, 0, PAYLOAD_BYTES);
            for (uint32_t i = 0; i < 8 && channels[c].at_byte + i < PAYLOAD_BYTES; i++) {
                payload[channels[c].at_byte + i] = (uint8_t)(words[w] >> (8 * i));
            }
            ring_writer_commit(&t.writer, PAYLOAD_BYTES, 1, 1, 0, 0);
            ring_writer_publish(&t.writer);
            count++;
            if (count == SLOTS / 4) {
                take_all(&batch, count);
                (void)compare(&batch);
                count = 0;
            }
        }
    }
}

Test(values, count_is_cut_to_what_the_batch_has)
{
    struct test_random random = {34};
    struct sluice_batch batch;
    double all[10];
    double some[11];
    for (int i = 0; i < 10; i++) {
        put_random(&random, PAYLOAD_BYTES);
    }
    take_all(&batch, 10);
    for (uint32_t c = 0; c < channel_count; c++) {
        cr_assert_eq(sluice_batch_values(reader, c, &batch, 0, 10, all), 10);
        for (uint32_t first = 0; first <= 11; first++) {
            for (uint32_t count = 0; count <= 11; count++) {
                uint32_t expected = first >= 10 ? 0 : count < 10 - first ? count : 10 - first;
                some[expected] = UNTOUCHED;
                cr_assert_eq(sluice_batch_values(reader, c, &batch, first, count, some), expected);
                cr_assert_eq(some[expected], UNTOUCHED, "written beyond");
                cr_assert(expected == 0 || memcmp(some, all + first, expected * sizeof(all[0])) == 0);
            }
        }
        cr_assert_eq(sluice_batch_values(reader, c, &batch, UINT32_MAX, UINT32_MAX, some), 0);
    }
}

Test(values, of_a_channel_that_is_none_are_none)
{
    struct test_random random = {35};
    struct sluice_batch batch;
    double values[2] = {1, 2};
    put_random(&random, PAYLOAD_BYTES);
    take_all(&batch, 1);
    struct sluice_frame frame = frame_of(&batch, 0);
    const uint32_t none[] = {channel_count, RING_CHANNELS_MAX, UINT32_MAX};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        values[0] = 1;
        cr_assert_eq(sluice_batch_values(reader, none[i], &batch, 0, 2, values), 1);
        cr_assert(isnan(values[0]));
        cr_assert(isnan(sluice_value(reader, none[i], &frame)));
    }
    cr_assert_eq(values[1], 2);
}

Test(values, an_empty_batch_has_none)
{
    struct sluice_batch batch;
    double value = UNTOUCHED;
    cr_assert_eq(sluice_reader_batch(reader, 10, &batch), 0);
    cr_assert_eq(sluice_batch_values(reader, 0, &batch, 0, 10, &value), 0);
    cr_assert_eq(value, UNTOUCHED);
}
