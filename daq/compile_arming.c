/* What must be so before the interlock may be armed, and the bounds of what operators may do to it. */
#include <stdio.h>
#include <string.h>

#include "daq/board.h"
#include "daq/compile.h"
#include "daq/state_dir.h"
#include "ring/clock.h"

static void compile_gate(struct compile *c)
{
    static const struct config_arming none = {.waive = NULL};
    const struct config_arming *from = c->config->arming != NULL ? c->config->arming : &none;
    struct control_table *to = &c->plan->table;
    to->gate_required = GATE_ALL;
    for (uint32_t i = 0; i < from->waive_count; i++) {
        to->gate_required &= ~(uint32_t)from->waive[i];
    }
    to->gate_latency_ns = CLOCK_NS_PER_S * compile_bounded(c, "arming.latency_s", from->latency_s, 5, 1, 3600, "s");
    to->gate_trips = from->on_loss == NULL || *from->on_loss == ON_LOSS_TRIP;
}

static void compile_audit(struct compile *c)
{
    const char *file = c->config->audit != NULL ? c->config->audit->file : NULL;
    struct server_plan *plan = c->plan;
    struct error err = {{0}};
    if (file == NULL) {
        if (state_path(plan->audit_path, sizeof(plan->audit_path), plan->instance, "audit.log", &err) != 0) {
            config_complain(c->file, c->errors, "audit.file", "%s, or say where (none: no audit log)", err.text);
        }
    } else if (file[0] == 0 || strlen(file) >= sizeof(plan->audit_path) || file[strlen(file) - 1] == '/') {
        config_complain(c->file, c->errors, "audit.file",
                        "expected the path of a file of 1 to %zu characters, or none, found '%s'",
                        sizeof(plan->audit_path) - 1, file);
    } else if (strcmp(file, "none") != 0) {
        snprintf(plan->audit_path, sizeof(plan->audit_path), "%s", file);
    }
}

void compile_arming(struct compile *c)
{
    static const struct config_bypass no_bypass = {.at_once_max = NULL};
    static const struct config_alarms no_alarms = {.shelve_max_s = NULL};
    const struct config_bypass *bypass = c->config->bypass != NULL ? c->config->bypass : &no_bypass;
    const struct config_alarms *alarms = c->config->alarms != NULL ? c->config->alarms : &no_alarms;
    struct control_table *to = &c->plan->table;
    compile_gate(c);
    compile_audit(c);
    to->bypasses_max =
        (uint32_t)compile_bounded(c, "bypass.at_once_max", bypass->at_once_max, 2, 0, 256, "bypasses");
    to->shelve_max_ns =
        CLOCK_NS_PER_S * compile_bounded(c, "alarms.shelve_max_s", alarms->shelve_max_s, 28800, 1, 604800, "s");
}
