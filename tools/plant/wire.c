#include "tools/plant/wire.h"

#include <endian.h>
#include <string.h>

uint16_t plant_crc16(const void *bytes, size_t length_bytes)
{
    const uint8_t *byte = bytes;
    unsigned crc = 0xFFFF;

    /* Bit by bit: 26 bytes at 100 kHz are a few percent of a core at most, and a table would be more to trust. */
    for (size_t i = 0; i < length_bytes; i++) {
        crc ^= (unsigned)byte[i] << 8;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ ((crc & 0x8000) != 0 ? 0x1021u : 0u)) & 0xFFFF;
    }
    return (uint16_t)crc;
}

static void put16(uint8_t *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof(value));
}

static void put64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return be32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return be64toh(value);
}

void plant_frame_encode(const struct plant_sample *sample, uint8_t frame[PLANT_FRAME_BYTES])
{
    uint32_t chamber_bits;

    memcpy(&chamber_bits, &sample->chamber_kpa, sizeof(chamber_bits));
    put32(frame, PLANT_FRAME_SYNC);
    put32(frame + 4, sample->sequence);
    put64(frame + 8, sample->tai_ns);
    put32(frame + 16, chamber_bits);
    put32(frame + 20, (uint32_t)sample->coolant_pa);
    put16(frame + 24, (uint16_t)sample->shroud_centi_c);
    put16(frame + 26, (uint16_t)sample->article_centi_c);
    put16(frame + 28, sample->status);
    put16(frame + 30, plant_crc16(frame + 4, 26));
}

enum plant_command_fault plant_command_decode(const void *bytes, size_t length_bytes, struct plant_command *command)
{
    const uint8_t *at = bytes;
    struct plant_command got;
    uint64_t sequence;

    if (length_bytes != PLANT_COMMAND_BYTES)
        return PLANT_COMMAND_BAD_LENGTH;
    if (get32(at) != PLANT_COMMAND_MAGIC)
        return PLANT_COMMAND_BAD_MAGIC;
    got.sequence = get32(at + 4);
    got.decided_tai_ns = get64(at + 8);
    got.lines = get32(at + 16);
    got.energised = get32(at + 20);
    got.acknowledged = get64(at + 24);
    sequence = get64(at + 32);
    got.origin = get32(at + 40);
    if (got.origin == PLANT_ORIGIN_WATCHDOG || got.origin >= PLANT_ORIGIN_COUNT)
        return PLANT_COMMAND_BAD_ORIGIN;
    if (((got.lines | got.energised) & ~(uint32_t)PLANT_LINE_ALL) != 0)
        return PLANT_COMMAND_BAD_LINES;
    if (got.acknowledged != 0 && sequence > UINT32_MAX)
        return PLANT_COMMAND_BAD_ACKNOWLEDGE;
    if (get32(at + 44) != 0)
        return PLANT_COMMAND_BAD_RESERVED;
    got.acknowledged_sequence = (uint32_t)sequence;
    *command = got;
    return PLANT_COMMAND_OK;
}

const char *plant_command_fault_name(enum plant_command_fault fault)
{
    static const char *const names[] = {"ok",    "length_not_48", "magic_not_SLO1",        "origin_not_1_to_3",
                                        "lines", "acknowledge",   "reserved_word_not_zero"};

    return (size_t)fault < sizeof(names) / sizeof(names[0]) ? names[fault] : "unknown";
}

const char *plant_origin_name(uint32_t origin)
{
    static const char *const names[] = {"watchdog", "control", "supervisor", "python"};

    return origin < PLANT_ORIGIN_COUNT ? names[origin] : "unknown";
}
