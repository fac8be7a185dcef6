#include <inttypes.h>

#include "daq/compile.h"

#define WINDOW_BYTES_MAX (1u << 20)
#define OFFSET_BYTES_MAX (UINT64_C(1) << 40)

static bool is_width(uint32_t width)
{
    return width == 1 || width == 2 || width == 4 || width == 8;
}

static bool lies_in(const struct source_plan *plan, uint32_t at, uint32_t bytes)
{
    return at <= plan->registers.window_bytes && bytes <= plan->registers.window_bytes - at;
}

static bool fits(uint32_t width, uint64_t value)
{
    return width >= 8 || value >> (8 * width) == 0;
}

/* One register under its key. */
static void compile_register(struct compile *c, uint32_t i, const char *key, const struct config_written *from,
                             const struct source_plan *plan, struct register_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    uint32_t width = from->width_bytes != NULL ? *from->width_bytes : 4;
    compile_path(path, "sources[%u].%s", i, key);
    if (!is_width(width)) {
        config_complain(c->file, c->errors, path, "expected width_bytes of 1, 2, 4 or 8, found %u", width);
        return;
    }
    if (from->at_byte % width != 0 || !lies_in(plan, from->at_byte, width)) {
        config_complain(
            c->file, c->errors, path,
            "expected at_byte to be a multiple of the width, %u, inside the window of %u bytes, found %u", width,
            plan->registers.window_bytes, from->at_byte);
    }
    if (!fits(width, from->value)) {
        config_complain(c->file, c->errors, path, "%" PRIu64 " does not fit into %u bytes", from->value, width);
    }
    to->at_byte = from->at_byte;
    to->width_bytes = width;
    to->byte_order = (uint32_t)(from->byte_order != NULL ? *from->byte_order : RING_LITTLE_ENDIAN);
    to->value = from->value;
}

static void compile_data(struct compile *c, uint32_t i, const struct config_window *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    compile_path(path, "sources[%u].data", i);
    if (from == NULL) {
        config_complain(c->file, c->errors, path, "expected data: {at_byte: N, count_bytes: N}, found nothing");
        return;
    }
    uint32_t width = from->width_bytes != NULL ? *from->width_bytes : 4;
    if (!is_width(width)) {
        config_complain(c->file, c->errors, path, "expected width_bytes of 1, 2, 4 or 8, found %u", width);
        return;
    }
    if (from->count_bytes == 0 || from->count_bytes % width != 0 || from->at_byte % width != 0 ||
        !lies_in(to, from->at_byte, from->count_bytes)) {
        config_complain(
            c->file, c->errors, path,
            "expected at_byte and count_bytes to be multiples of the width, %u, inside the window of %u "
            "bytes, found %u and %u",
            width, to->registers.window_bytes, from->at_byte, from->count_bytes);
        return;
    }
    to->registers.data_at = from->at_byte;
    to->registers.data_width = width;
    to->frame_bytes = from->count_bytes;
}

/* The bits that say "ready" are a value, too. */
static void compile_status(struct compile *c, uint32_t i, const struct config_status *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    const struct config_written bits = {.at_byte = from->at_byte,
                                        .width_bytes = from->width_bytes,
                                        .byte_order = from->byte_order,
                                        .value = from->ready_mask};
    if (from->ready_mask == 0) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].status.ready_mask", i),
                        "expected one bit at least, found 0");
    }
    compile_register(c, i, "status", &bits, to, &to->registers.status);
}

static void compile_window(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct registers_plan *registers = &to->registers;
    compile_string(c, i, "device", from->device, registers->device, sizeof(registers->device),
                   "a UIO device or a file");
    registers->window_bytes = from->window_bytes != NULL ? *from->window_bytes : 4096;
    if (registers->window_bytes == 0 || registers->window_bytes > WINDOW_BYTES_MAX) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].window_bytes", i),
                        "expected 1 to %u bytes, found %u", WINDOW_BYTES_MAX, registers->window_bytes);
    }
    registers->offset_bytes = from->offset_bytes != NULL ? *from->offset_bytes : 0;
    if (registers->offset_bytes % 8 != 0 || registers->offset_bytes > OFFSET_BYTES_MAX) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].offset_bytes", i),
                        "expected a multiple of 8 up to %" PRIu64 ", found %" PRIu64, OFFSET_BYTES_MAX,
                        registers->offset_bytes);
    }
}

void compile_registers(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    struct registers_plan *registers = &to->registers;
    compile_window(c, i, from, to);
    compile_data(c, i, from->data, to);
    registers->wait = (uint32_t)(from->wait != NULL ? *from->wait : REGISTERS_WAIT_POLL);
    if (from->status != NULL) {
        compile_status(c, i, from->status, to);
    }
    if (from->acknowledge != NULL) {
        const bool *clears = from->acknowledge->clears;
        compile_register(c, i, "acknowledge", &from->acknowledge->written, to, &registers->acknowledge);
        registers->clears = clears == NULL || *clears;
    }
    if (from->interrupt_mask != NULL) {
        compile_register(c, i, "interrupt_mask", from->interrupt_mask, to, &registers->interrupt_mask);
    }
}
