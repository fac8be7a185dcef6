#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/output.h"
#include "control/register.h"
#include "control/watchdog.h"
#include "daq/compile.h"
#include "ring/clock.h"

#define PATH_BYTES          128
#define MODBUS_FAULT_MIN_NS (20 * CLOCK_NS_PER_MS)

static const char *path_of(char path[PATH_BYTES], uint32_t i, const char *key)
{
    snprintf(path, PATH_BYTES, "outputs[%u]%s%s", i, key[0] != 0 ? "." : "", key);
    return path;
}

/* What tells one device of a kind from another besides its target. */
static void compile_addressing(struct compile *c, uint32_t i, struct control_device *to)
{
    static const struct config_register none = {0};
    const struct config_output *from = &c->config->outputs[i];
    const struct config_register *reg = from->memory_register != NULL ? from->memory_register : &none;
    char path[PATH_BYTES];
    if (to->kind == DEVICE_MODBUS) {
        to->unit = (uint32_t)compile_bounded(c, path_of(path, i, "unit_id"), from->unit_id, 1, 0, 255, "(unit)");
    }
    if (to->kind != DEVICE_MEMORY) {
        return;
    }
    to->register_at = reg->at_byte != NULL ? *reg->at_byte : 0;
    to->register_bytes = reg->width_bytes != NULL ? *reg->width_bytes : 4;
    to->big_endian = reg->byte_order != NULL && *reg->byte_order == RING_BIG_ENDIAN;
    uint32_t width = to->register_bytes;
    if (width != 1 && width != 2 && width != 4 && width != 8) {
        config_complain(c->file, c->errors, path_of(path, i, "register.width_bytes"),
                        "expected 1, 2, 4 or 8 bytes, found %u", width);
        to->register_bytes = 4;
    }
    if (to->register_at > REGISTER_AT_MAX || to->register_at % to->register_bytes != 0) {
        config_complain(c->file, c->errors, path_of(path, i, "register.at_byte"),
                        "expected a multiple of the register's width, %u, up to %" PRIu64 ", found %" PRIu64,
                        to->register_bytes, REGISTER_AT_MAX, to->register_at);
        to->register_at = 0;
    }
}

/* One device may have several names; as two devices its lines would be driven twice, and differently. */
static bool same_target(const struct control_device *a, const struct control_device *b)
{
    char path_a[PATH_MAX];
    char path_b[PATH_MAX];
    struct sockaddr_in address_a;
    struct sockaddr_in address_b;
    if (strcmp(a->target, b->target) == 0) {
        return true;
    }
    if (output_parse_address(a->target, &address_a) && output_parse_address(b->target, &address_b)) {
        return address_a.sin_addr.s_addr == address_b.sin_addr.s_addr && address_a.sin_port == address_b.sin_port;
    }
    return realpath(a->target, path_a) != NULL && realpath(b->target, path_b) != NULL &&
           strcmp(path_a, path_b) == 0;
}

static bool same_device(const struct control_device *a, const struct control_device *b)
{
    return a->kind == b->kind && same_target(a, b) && a->unit == b->unit && a->register_at == b->register_at &&
           a->register_bytes == b->register_bytes && a->big_endian == b->big_endian;
}

/* Two devices that read, change and store the same bytes would undo each other's lines. */
static bool overlap(const struct control_device *a, const struct control_device *b)
{
    return a->kind == DEVICE_MEMORY && b->kind == DEVICE_MEMORY && same_target(a, b) &&
           a->register_at < b->register_at + b->register_bytes &&
           b->register_at < a->register_at + a->register_bytes;
}

static const char *expected_target(uint32_t kind)
{
    return kind == DEVICE_UDP      ? "ADDRESS:PORT such as 127.0.0.1:7000"
           : kind == DEVICE_MODBUS ? "ADDRESS:PORT such as 192.168.7.2:502"
           : kind == DEVICE_GPIO   ? "a path with a '/' in it such as /dev/gpiochip0"
           : kind == DEVICE_MEMORY ? "a path with a '/' in it such as /dev/uio0"
                                   : "a path with a '/' in it such as /run/valve";
}

static uint32_t find_device(struct compile *c, uint32_t i)
{
    const struct config_output *from = &c->config->outputs[i];
    struct control_table *table = &c->plan->table;
    struct control_device device = {.kind = (uint32_t)from->kind};
    char path[PATH_BYTES];
    snprintf(device.target, sizeof(device.target), "%s", from->target);
    compile_addressing(c, i, &device);
    path_of(path, i, "target");
    for (uint32_t d = 0; d < table->devices; d++) {
        if (same_device(&table->device[d], &device)) {
            return d;
        }
        if (overlap(&table->device[d], &device)) {
            config_complain(c->file, c->errors, path_of(path, i, "register"),
                            "this register overlaps another one in %s; outputs of one register have the same "
                            "at_byte, width_bytes and byte_order",
                            device.target);
        }
    }
    if (table->devices == CONTROL_DEVICES_MAX || from->target[0] == 0 ||
        strlen(from->target) >= CONTROL_TARGET_BYTES) {
        config_complain(c->file, c->errors, path,
                        "expected at most %u different targets of 1 to %u characters each, found '%s'",
                        CONTROL_DEVICES_MAX, CONTROL_TARGET_BYTES - 1, from->target);
        return CONTROL_DEVICES_MAX;
    }
    if (!output_target_ok(device.kind, from->target)) {
        config_complain(c->file, c->errors, path, "expected %s, found '%s'", expected_target(device.kind),
                        from->target);
    }
    table->device[table->devices] = device;
    return table->devices++;
}

static void compile_acknowledge(struct compile *c, uint32_t i, const char *name, struct control_device *device)
{
    const struct control_table *table = &c->plan->table;
    char path[PATH_BYTES];
    path_of(path, i, "acknowledge");
    if (device->kind == DEVICE_GPIO || device->kind == DEVICE_MEMORY || device->kind == DEVICE_MODBUS) {
        config_complain(c->file, c->errors, path, "a target of kind %s cannot be told of frames; remove it",
                        output_kind_name(device->kind));
        return;
    }
    for (uint32_t r = 0; r < table->rings; r++) {
        if (strcmp(table->ring[r].name, name) == 0) {
            if (device->acknowledge_ring != 0 && device->acknowledge_ring != r + 1) {
                config_complain(c->file, c->errors, path, "this target already acknowledges another ring");
            }
            device->acknowledge_ring = r + 1;
            return;
        }
    }
    config_complain(c->file, c->errors, path, "no ring with channels is named '%s'", name);
}

/* The line's number and its bit in the device's word. */
static void compile_line(struct compile *c, uint32_t i)
{
    const struct config_output *from = &c->config->outputs[i];
    struct control_table *table = &c->plan->table;
    struct control_output *to = &table->output[i];
    struct control_device *device = &table->device[to->device];
    bool by_rank = device->kind == DEVICE_GPIO || device->kind == DEVICE_MODBUS;
    char path[PATH_BYTES];
    uint32_t rank = 0;
    path_of(path, i, "line");
    if (by_rank) {
        to->line = (uint32_t)compile_bounded(c, path, from->line, 0, 0, 65535, "(number of the line)");
    } else {
        to->line = (uint32_t)compile_bounded(c, path, from->line, 0, 0, 31, "(number of the line)");
    }
    if (device->kind == DEVICE_MEMORY && to->line >= 8 * device->register_bytes) {
        config_complain(c->file, c->errors, path, "expected a bit of a register of %u bytes, 0 to %u, found %u",
                        device->register_bytes, 8 * device->register_bytes - 1, to->line);
    }
    for (uint32_t j = 0; j < i; j++) {
        if (table->output[j].device == to->device) {
            rank++;
            if (table->output[j].line == to->line) {
                config_complain(c->file, c->errors, path, "line %u of %s is already another output", to->line,
                                device->target);
            }
        }
    }
    device->lines |= UINT32_C(1) << (by_rank ? rank : to->line);
}

/* Nothing releases a register when its writer dies, nor a GPIO line, while anybody holds its descriptor or its
 * driver leaves it as it is. */
static bool needs_pump(uint32_t kind)
{
    return kind == DEVICE_MEMORY || kind == DEVICE_GPIO;
}

/* Keys that belong to one kind only say so where they stand. */
static void check_keys(struct compile *c, uint32_t i)
{
    const struct config_output *from = &c->config->outputs[i];
    char path[PATH_BYTES];
    if (from->memory_register != NULL && from->kind != DEVICE_MEMORY) {
        config_complain(c->file, c->errors, path_of(path, i, "register"),
                        "only an output of kind memory has a register");
    }
    if (from->without_heartbeat != NULL && !needs_pump((uint32_t)from->kind)) {
        config_complain(c->file, c->errors, path_of(path, i, "without_heartbeat"),
                        "only an output of kind gpio or memory needs a heartbeat beside it; remove this");
    }
    if (from->unit_id != NULL && from->kind != DEVICE_MODBUS) {
        config_complain(c->file, c->errors, path_of(path, i, "unit_id"),
                        "only an output of kind modbus has a unit");
    }
    if (from->kind == DEVICE_MODBUS && c->plan->table.output_fault_ns < MODBUS_FAULT_MIN_NS) {
        config_complain(
            c->file, c->errors, path_of(path, i, "kind"),
            "a Modbus device has half of control.output_fault_ms for an answer; expected at least %" PRIu64
            " ms, found %" PRIu64,
            MODBUS_FAULT_MIN_NS / CLOCK_NS_PER_MS, c->plan->table.output_fault_ns / CLOCK_NS_PER_MS);
    }
}

static void compile_heartbeat_output(struct compile *c, uint32_t i)
{
    const struct config_output *from = &c->config->outputs[i];
    char path[PATH_BYTES];
    c->plan->table.output[i].heartbeat = from->heartbeat != NULL && *from->heartbeat;
    if (c->plan->table.output[i].heartbeat == 0) {
        return;
    }
    if (from->kind == DEVICE_MODBUS) {
        config_complain(
            c->file, c->errors, path_of(path, i, "heartbeat"),
            "coils are written behind control's back, and would toggle for a loop that is late; expected "
            "another kind");
    }
    if (from->feedback != NULL) {
        config_complain(c->file, c->errors, path_of(path, i, "feedback"),
                        "a heartbeat toggles: it has no position to be read back; remove one of the two");
    }
}

static void compile_output(struct compile *c, uint32_t i)
{
    const struct config_output *from = &c->config->outputs[i];
    struct control_table *table = &c->plan->table;
    struct control_output *to = &table->output[i];
    char path[PATH_BYTES];
    path_of(path, i, "name");
    compile_name(c, path, from->name, to->name);
    for (uint32_t j = 0; j < i; j++) {
        if (strcmp(table->output[j].name, to->name) == 0) {
            config_complain(c->file, c->errors, path, "a second output named '%s'; names must differ", to->name);
        }
    }
    check_keys(c, i);
    compile_heartbeat_output(c, i);
    compile_feedback(c, i);
    to->device = find_device(c, i);
    if (to->device == CONTROL_DEVICES_MAX) {
        return;
    }
    compile_line(c, i);
    if (from->acknowledge != NULL) {
        compile_acknowledge(c, i, from->acknowledge, &table->device[to->device]);
    }
}

static void check_pumps(struct compile *c)
{
    const struct control_table *table = &c->plan->table;
    char path[PATH_BYTES];
    for (uint32_t d = 0; d < table->devices; d++) {
        uint32_t first = table->outputs;
        bool pumped = !needs_pump(table->device[d].kind);
        for (uint32_t i = table->outputs; i-- > 0;) {
            if (table->output[i].device == d) {
                first = i;
                pumped =
                    pumped || table->output[i].heartbeat != 0 || c->config->outputs[i].without_heartbeat != NULL;
            }
        }
        if (!pumped && first < table->outputs) {
            config_complain(c->file, c->errors, path_of(path, first, ""),
                            "nothing releases a %s when its writer dies: expected an output with heartbeat: true "
                            "on %s, which feeds a charge pump in series with the permit; where something else "
                            "drops it, write without_heartbeat: accepted",
                            table->device[d].kind == DEVICE_GPIO ? "GPIO line" : "register",
                            table->device[d].target);
        }
    }
}

static void compile_pulse(struct compile *c)
{
    static const struct config_control none = {0};
    const struct config_control *from = c->config->control != NULL ? c->config->control : &none;
    struct control_table *table = &c->plan->table;
    uint64_t heartbeat_us = compile_bounded(c, "control.heartbeat_us", from->heartbeat_us, 0, 10, 1000000, "us");
    table->heartbeat_ns = heartbeat_us != 0 ? heartbeat_us * CLOCK_NS_PER_US : table->refresh_ns;
    if (from->watchdog == NULL) {
        return;
    }
    const struct config_watchdog *dog = from->watchdog;
    uint64_t timeout_s = compile_bounded(c, "control.watchdog.timeout_s", dog->timeout_s, 10, 1, 600, "s");
    if (strchr(dog->device, '/') == NULL || strlen(dog->device) >= sizeof(c->plan->watchdog_path)) {
        config_complain(c->file, c->errors, "control.watchdog.device",
                        "expected a path such as /dev/watchdog of at most %zu characters, found '%s'",
                        sizeof(c->plan->watchdog_path) - 1, dog->device);
    }
    snprintf(c->plan->watchdog_path, sizeof(c->plan->watchdog_path), "%s", dog->device);
    c->plan->watchdog_timeout_s = (uint32_t)timeout_s;
    table->watchdog_ns = timeout_s * CLOCK_NS_PER_S / WATCHDOG_PETS_PER_TIMEOUT;
}

void compile_outputs(struct compile *c)
{
    compile_pulse(c);
    if (c->config->outputs_count > CONTROL_OUTPUTS_MAX) {
        config_complain(c->file, c->errors, "outputs", "expected at most %u outputs", CONTROL_OUTPUTS_MAX);
        return;
    }
    for (uint32_t i = 0; i < c->config->outputs_count; i++) {
        compile_output(c, i);
    }
    c->plan->table.outputs = c->config->outputs_count;
    check_pumps(c);
}
