/* The two things that cross the wire, both big-endian.
 *
 * Sample frame, 32 bytes, plant -> server:
 *   0  u32 sync 0x54564143 "TVAC"          20  i32 coolant pressure, Pa
 *   4  u32 sequence, per stream, from 0    24  i16 shroud temperature, 0.01 degC
 *   8  u64 TAI of the sample, ns           26  i16 article temperature, 0.01 degC
 *  16  f32 chamber pressure, kPa           28  u16 status, PLANT_STATUS_*
 *                                          30  u16 CRC-16/CCITT-FALSE over bytes 4..29
 *
 * Relay command, 48 bytes, server -> plant:
 *   0  u32 magic 0x534C4F31 "SLO1"         24  u64 acknowledged: frames evaluated in total, 0 = none yet
 *   4  u32 sequence, per origin            32  u64 sequence of the newest sample evaluated, if any was
 *   8  u64 TAI of the decision, ns         40  u32 origin, PLANT_ORIGIN_*
 *  16  u32 lines that this sets            44  u32 reserved, 0
 *  20  u32 lines energised */
#ifndef SLUICE_PLANT_WIRE_H
#define SLUICE_PLANT_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define PLANT_FRAME_BYTES   32
#define PLANT_FRAME_SYNC    0x54564143u
#define PLANT_COMMAND_BYTES 48
#define PLANT_COMMAND_MAGIC 0x534C4F31u

enum plant_status {
    PLANT_STATUS_RELIEF_OPEN = 1 << 0,
    PLANT_STATUS_RELIEF_CLOSED = 1 << 1,
    PLANT_STATUS_SUPPLY_OPEN = 1 << 2,
    PLANT_STATUS_SUPPLY_CLOSED = 1 << 3,
    PLANT_STATUS_BURST = 1 << 4,
    PLANT_STATUS_LIFE = 0xFF00, /* a count that goes on every PLANT_LIFE_NS: the sensor box is alive */
};

#define PLANT_LIFE_NS    UINT64_C(10000000)
#define PLANT_LIFE_SHIFT 8

enum plant_line {
    PLANT_LINE_RELIEF = 1 << 0,
    PLANT_LINE_SUPPLY = 1 << 1,
    PLANT_LINE_ALL = PLANT_LINE_RELIEF | PLANT_LINE_SUPPLY,
};

enum plant_origin {
    PLANT_ORIGIN_WATCHDOG = 0, /* the relay itself; never on the wire */
    PLANT_ORIGIN_CONTROL = 1,
    PLANT_ORIGIN_SUPERVISOR = 2,
    PLANT_ORIGIN_PYTHON = 3,
    PLANT_ORIGIN_COUNT = 4,
};

struct plant_sample {
    uint64_t tai_ns;
    uint32_t sequence;
    float chamber_kpa;
    int32_t coolant_pa;
    int16_t shroud_centi_c;
    int16_t article_centi_c;
    uint16_t status;
};

struct plant_command {
    uint64_t decided_tai_ns;
    uint64_t acknowledged;          /* frames; 0 = none yet, and the next field says nothing */
    uint32_t acknowledged_sequence; /* of the sample frame */
    uint32_t sequence;
    uint32_t lines;
    uint32_t energised;
    uint32_t origin;
};

enum plant_command_fault {
    PLANT_COMMAND_OK = 0,
    PLANT_COMMAND_BAD_LENGTH,
    PLANT_COMMAND_BAD_MAGIC,
    PLANT_COMMAND_BAD_ORIGIN,
    PLANT_COMMAND_BAD_LINES,
    PLANT_COMMAND_BAD_ACKNOWLEDGE,
    PLANT_COMMAND_BAD_RESERVED,
};

/* Poly 0x1021, init 0xFFFF, not reflected, no final xor: "123456789" gives 0x29B1. */
uint16_t plant_crc16(const void *bytes, size_t length_bytes);
void plant_frame_encode(const struct plant_sample *sample, uint8_t frame[PLANT_FRAME_BYTES]);
/* Writes *command only for PLANT_COMMAND_OK. Any bytes, any length. */
enum plant_command_fault plant_command_decode(const void *bytes, size_t length_bytes,
                                              struct plant_command *command);
const char *plant_command_fault_name(enum plant_command_fault fault);
const char *plant_origin_name(uint32_t origin);

#endif
