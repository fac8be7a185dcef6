#include "daq/compile.h"

/* As the protocol has it: an answer has one byte for its length. */
#define REGISTERS_AT_ONCE 125u
#define BITS_AT_ONCE      2000u
#define NUMBERS           65536u

static bool is_bits(uint32_t table)
{
    return table == MODBUS_TABLE_COIL || table == MODBUS_TABLE_DISCRETE;
}

/* Unit 0 is everyone on a line, and everyone does not answer. */
static void compile_unit(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    bool line = to->kind == SOURCE_MODBUS_RTU;
    uint32_t least = line ? 1 : 0;
    uint32_t most = line ? 247 : 255;
    to->modbus.unit_id = from->unit_id != NULL ? *from->unit_id : 1;
    if (to->modbus.unit_id < least || to->modbus.unit_id > most) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].unit_id", i),
                        "expected a unit from %u to %u, found %u", least, most, to->modbus.unit_id);
    }
}

static void compile_read(struct compile *c, uint32_t i, uint32_t r, const struct config_modbus_read *from,
                         struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    bool bits = is_bits((uint32_t)from->table);
    uint32_t most = bits ? BITS_AT_ONCE : REGISTERS_AT_ONCE;
    if (from->count == 0 || from->count > most) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].registers[%u].count", i, r),
                        "expected 1 to %u in one request, found %u; more need another entry", most, from->count);
        return;
    }
    if (from->at >= NUMBERS || from->count > NUMBERS - from->at) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].registers[%u].at", i, r),
                        "expected numbers up to %u, found %u and %u behind it; they are counted from 0 (what a "
                        "manual calls 40001 is holding register 0)",
                        NUMBERS - 1, from->at, from->count - 1);
        return;
    }
    to->modbus.read[r] = (struct modbus_read){.table = (uint32_t)from->table, .at = from->at, .count = from->count};
    to->frame_bytes += from->count * (bits ? 1 : 2);
}

void compile_modbus(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    if (to->kind == SOURCE_MODBUS_RTU) {
        compile_serial(c, i, from, to);
    } else {
        compile_tcp(c, i, from, to);
    }
    compile_unit(c, i, from, to);
    to->frame_bytes = 0;
    if (from->registers_count == 0 || from->registers_count > PLAN_MODBUS_READS) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].registers", i),
                        "expected 1 to %u entries such as {table: holding, at: 0, count: 4}, found %u",
                        PLAN_MODBUS_READS, from->registers_count);
        return;
    }
    for (uint32_t r = 0; r < from->registers_count; r++) {
        compile_read(c, i, r, &from->registers[r], to);
    }
    to->modbus.reads = from->registers_count;
}
