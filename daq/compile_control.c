#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/output.h"
#include "daq/compile.h"
#include "ring/clock.h"

#define PATH_BYTES 128

static void compile_settings(struct compile *c)
{
    static const struct config_control none = {0};
    const struct config_control *from = c->config->control != NULL ? c->config->control : &none;
    struct control_table *to = &c->plan->table;
    compile_thread(c, "control", from->core, from->policy, from->priority, from->idle, from->spin_us,
                   from->sleep_us, IDLE_DUTY, &to->thread);
    to->cycle_budget_ns = CLOCK_NS_PER_US * compile_bounded(c, "control.cycle_budget_us", from->cycle_budget_us,
                                                            500, 10, 1000000, "us");
    to->miss_trips = from->on_miss == NULL || *from->on_miss == ON_MISS_TRIP;
    to->stall_trip_ns =
        CLOCK_NS_PER_MS * compile_bounded(c, "control.stall_trip_ms", from->stall_trip_ms, 100, 1, 60000, "ms");
    to->refresh_ns =
        CLOCK_NS_PER_US * compile_bounded(c, "control.refresh_us", from->refresh_us, 1000, 10, 1000000, "us");
    to->acknowledge_ns =
        CLOCK_NS_PER_US * compile_bounded(c, "control.acknowledge_us", from->acknowledge_us, 200, 0, 1000000, "us");
    to->output_fault_ns =
        CLOCK_NS_PER_MS * compile_bounded(c, "control.output_fault_ms", from->output_fault_ms, 100, 1, 60000, "ms");
    to->late_ns = CLOCK_NS_PER_US * compile_bounded(c, "control.late_us", from->late_us, 500, 1, 1000000, "us");
    to->future_ns = 10 * CLOCK_NS_PER_MS;
    c->plan->silence_ns =
        CLOCK_NS_PER_MS * compile_bounded(c, "control.silence_ms", from->silence_ms, 200, 50, 60000, "ms");
    if (to->thread.idle != IDLE_BUSY && to->cycle_budget_ns < to->thread.sleep_us * CLOCK_NS_PER_US) {
        config_complain(c->file, c->errors, "control.cycle_budget_us",
                        "the loop sleeps %u us at a time and could never meet a budget of %" PRIu64 " us",
                        to->thread.sleep_us, to->cycle_budget_ns / CLOCK_NS_PER_US);
    }
    if (to->output_fault_ns < 2 * to->refresh_ns) {
        config_complain(c->file, c->errors, "control.output_fault_ms",
                        "an output is spoken to every %" PRIu64 " us and would be called faulty in between; set at "
                        "least twice refresh_us",
                        to->refresh_ns / CLOCK_NS_PER_US);
    }
    if (to->thread.idle != IDLE_BUSY && c->plan->silence_ns < UINT64_C(2) * to->thread.sleep_us * CLOCK_NS_PER_US) {
        config_complain(c->file, c->errors, "control.silence_ms",
                        "the loop sleeps %u us at a time and would be killed for its silence", to->thread.sleep_us);
    }
    if (to->stall_trip_ns < to->cycle_budget_ns) {
        config_complain(c->file, c->errors, "control.stall_trip_ms",
                        "a stall of %" PRIu64 " ms is shorter than the budget of one cycle, %" PRIu64 " us",
                        to->stall_trip_ns / CLOCK_NS_PER_MS, to->cycle_budget_ns / CLOCK_NS_PER_US);
    }
}

static uint32_t find_device(struct compile *c, uint32_t i, const struct config_output *from)
{
    struct control_table *table = &c->plan->table;
    char path[PATH_BYTES];
    for (uint32_t d = 0; d < table->devices; d++) {
        if (table->device[d].kind == (uint32_t)from->kind && strcmp(table->device[d].target, from->target) == 0) {
            return d;
        }
    }
    snprintf(path, sizeof(path), "outputs[%u].target", i);
    if (table->devices == CONTROL_DEVICES_MAX || from->target[0] == 0 ||
        strlen(from->target) >= CONTROL_TARGET_BYTES) {
        config_complain(c->file, c->errors, path,
                        "expected at most %u different targets of 1 to %u characters each, found '%s'",
                        CONTROL_DEVICES_MAX, CONTROL_TARGET_BYTES - 1, from->target);
        return CONTROL_DEVICES_MAX;
    }
    if (!output_target_ok((uint32_t)from->kind, from->target)) {
        config_complain(c->file, c->errors, path, "expected %s, found '%s'",
                        from->kind == DEVICE_UDP ? "ADDRESS:PORT such as 127.0.0.1:7000"
                                                 : "a path with a '/' in it such as /run/valve",
                        from->target);
    }
    struct control_device *device = &table->device[table->devices];
    device->kind = (uint32_t)from->kind;
    snprintf(device->target, sizeof(device->target), "%s", from->target);
    return table->devices++;
}

static void compile_acknowledge(struct compile *c, uint32_t i, const char *name, struct control_device *device)
{
    const struct control_table *table = &c->plan->table;
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "outputs[%u].acknowledge", i);
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

static void compile_output(struct compile *c, uint32_t i)
{
    const struct config_output *from = &c->config->outputs[i];
    struct control_table *table = &c->plan->table;
    struct control_output *to = &table->output[i];
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "outputs[%u].name", i);
    compile_name(c, path, from->name, to->name);
    for (uint32_t j = 0; j < i; j++) {
        if (strcmp(table->output[j].name, to->name) == 0) {
            config_complain(c->file, c->errors, path, "a second output named '%s'; names must differ", to->name);
        }
    }
    to->device = find_device(c, i, from);
    snprintf(path, sizeof(path), "outputs[%u].line", i);
    to->line = (uint32_t)compile_bounded(c, path, from->line, 0, 0, 31, "(number of the line)");
    if (to->device == CONTROL_DEVICES_MAX) {
        return;
    }
    struct control_device *device = &table->device[to->device];
    if ((device->lines >> to->line & 1) != 0) {
        config_complain(c->file, c->errors, path, "line %u of %s is already another output", to->line,
                        device->target);
    }
    device->lines |= UINT32_C(1) << to->line;
    if (from->acknowledge != NULL) {
        compile_acknowledge(c, i, from->acknowledge, device);
    }
}

void compile_control(struct compile *c)
{
    struct control_table *table = &c->plan->table;
    const struct config *config = c->config;
    table->magic = CONTROL_TABLE_MAGIC;
    table->version = CONTROL_TABLE_VERSION;
    table->bytes = sizeof(*table);
    memcpy(table->instance, c->plan->instance, sizeof(table->instance));
    compile_settings(c);
    if (config->outputs_count > CONTROL_OUTPUTS_MAX) {
        config_complain(c->file, c->errors, "outputs", "expected at most %u outputs", CONTROL_OUTPUTS_MAX);
        return;
    }
    for (uint32_t i = 0; i < config->outputs_count; i++) {
        compile_output(c, i);
    }
    table->outputs = config->outputs_count;
    compile_rules(c);
    compile_budgets(c);
}
