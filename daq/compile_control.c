#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "ring/clock.h"

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
    to->supervisor_silence_ns =
        CLOCK_NS_PER_MS *
        compile_bounded(c, "control.supervisor_silence_ms", from->supervisor_silence_ms, 1000, 100, 60000, "ms");
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

void compile_control(struct compile *c)
{
    struct control_table *table = &c->plan->table;
    table->magic = CONTROL_TABLE_MAGIC;
    table->version = CONTROL_TABLE_VERSION;
    table->bytes = sizeof(*table);
    memcpy(table->instance, c->plan->instance, sizeof(table->instance));
    compile_settings(c);
    compile_outputs(c);
    compile_rules(c);
    compile_budgets(c);
}
