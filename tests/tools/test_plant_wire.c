/* The plant's two wire formats against bytes written down by hand, and the command parser against hostile bytes. */
#include <criterion/criterion.h>
#include <string.h>

#include "tools/plant/random.h"
#include "tools/plant/wire.h"

static const uint8_t good_command[PLANT_COMMAND_BYTES] = {'S', 'L', 'O', '1', 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 2,
                                                          0,   0,   0,   3,   0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9,
                                                          0,   0,   0,   0,   1, 2, 3, 4, 0, 0, 0, 1, 0, 0, 0, 0};

Test(plant_wire, crc_check_value)
{
    cr_assert_eq(plant_crc16("123456789", 9), 0x29B1);
    cr_assert_eq(plant_crc16("", 0), 0xFFFF);
}

Test(plant_wire, frame_bytes)
{
    struct plant_sample sample = {.tai_ns = 0x0102030405060708u,
                                  .sequence = 0xA1B2C3D4u,
                                  .chamber_kpa = 150.0f, /* 0x43160000 */
                                  .coolant_pa = -2,
                                  .shroud_centi_c = -1,
                                  .article_centi_c = 0x1234,
                                  .status = PLANT_STATUS_BURST | PLANT_STATUS_RELIEF_OPEN};
    static const uint8_t expected[30] = {'T',  'V',  'A',  'C',  0xA1, 0xB2, 0xC3, 0xD4, 1, 2,
                                         3,    4,    5,    6,    7,    8,    0x43, 0x16, 0, 0,
                                         0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0xFF, 0x12, 0x34, 0, 0x11};
    uint8_t frame[PLANT_FRAME_BYTES];

    plant_frame_encode(&sample, frame);
    cr_assert_arr_eq(frame, expected, sizeof(expected));
    cr_assert_eq((unsigned)frame[30] << 8 | frame[31], plant_crc16(frame + 4, 26));
    /* A CRC without a final xor over the bytes and the CRC behind them leaves 0. */
    cr_assert_eq(plant_crc16(frame + 4, 28), 0);
}

Test(plant_wire, good_command_is_taken)
{
    struct plant_command command;

    cr_assert_eq(plant_command_decode(good_command, sizeof(good_command), &command), PLANT_COMMAND_OK);
    cr_assert_eq(command.sequence, 7);
    cr_assert_eq(command.decided_tai_ns, 0x102);
    cr_assert_eq(command.lines, PLANT_LINE_ALL);
    cr_assert_eq(command.energised, PLANT_LINE_RELIEF);
    cr_assert_eq(command.acknowledged, 9);
    cr_assert_eq(command.acknowledged_sequence, 0x01020304);
    cr_assert_eq(command.origin, PLANT_ORIGIN_CONTROL);
}

static enum plant_command_fault with_byte(unsigned offset_bytes, uint8_t value)
{
    struct plant_command command, untouched;
    uint8_t bytes[PLANT_COMMAND_BYTES];
    enum plant_command_fault fault;

    memset(&command, 0x5A, sizeof(command));
    untouched = command;
    memcpy(bytes, good_command, sizeof(bytes));
    bytes[offset_bytes] = value;
    fault = plant_command_decode(bytes, sizeof(bytes), &command);
    if (fault != PLANT_COMMAND_OK)
        cr_assert_arr_eq(&command, &untouched, sizeof(command), "a refused command leaves nothing behind");
    return fault;
}

Test(plant_wire, each_bad_field_is_refused)
{
    cr_assert_eq(with_byte(0, 'X'), PLANT_COMMAND_BAD_MAGIC);
    cr_assert_eq(with_byte(19, 7), PLANT_COMMAND_BAD_LINES);
    cr_assert_eq(with_byte(16, 0x80), PLANT_COMMAND_BAD_LINES);
    cr_assert_eq(with_byte(23, 4), PLANT_COMMAND_BAD_LINES);
    cr_assert_eq(with_byte(35, 1), PLANT_COMMAND_BAD_ACKNOWLEDGE);
    cr_assert_eq(with_byte(43, 0), PLANT_COMMAND_BAD_ORIGIN);
    cr_assert_eq(with_byte(43, 4), PLANT_COMMAND_BAD_ORIGIN);
    cr_assert_eq(with_byte(40, 1), PLANT_COMMAND_BAD_ORIGIN);
    cr_assert_eq(with_byte(47, 1), PLANT_COMMAND_BAD_RESERVED);
}

Test(plant_wire, any_other_length_is_refused)
{
    uint8_t bytes[2 * PLANT_COMMAND_BYTES] = {0};
    struct plant_command command;

    memcpy(bytes, good_command, sizeof(good_command));
    for (size_t length_bytes = 0; length_bytes <= sizeof(bytes); length_bytes++)
        cr_assert_eq(plant_command_decode(bytes, length_bytes, &command) == PLANT_COMMAND_OK,
                     length_bytes == PLANT_COMMAND_BYTES, "%zu bytes", length_bytes);
}

Test(plant_wire, hostile_bytes_never_get_through_unbounded)
{
    struct plant_random random;
    uint8_t bytes[PLANT_COMMAND_BYTES];
    struct plant_command command;

    plant_random_init(&random, 11);
    for (unsigned i = 0; i < 200000; i++) {
        memcpy(bytes, good_command, sizeof(bytes));
        for (unsigned flips = 0; flips < 1 + i % 6; flips++)
            bytes[plant_random_next(&random) % sizeof(bytes)] ^= (uint8_t)plant_random_next(&random);
        if (plant_command_decode(bytes, sizeof(bytes), &command) != PLANT_COMMAND_OK)
            continue;
        cr_assert_leq(command.lines, PLANT_LINE_ALL);
        cr_assert_leq(command.energised, PLANT_LINE_ALL);
        cr_assert(command.origin > PLANT_ORIGIN_WATCHDOG && command.origin < PLANT_ORIGIN_COUNT);
    }
}
