#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/explain.h"
#include "daq/log.h"
#include "daq/server.h"
#include "ring/clock.h"

#define EVENT_TEXT_BYTES 480

void server_audit(struct server *server, const char *what, uint64_t tai_ns, const char *text)
{
    char room[AUDIT_ENTRY_BYTES];
    struct json_line line;
    audit_begin(&line, room, what, tai_ns);
    json_line_text(&line, "text", text);
    audit_end(&server->audit, &line);
}

/* `copy` is the board without its events: it tells trips and states, each once. */
static void tell_trips(struct server *server, const struct control_board *copy)
{
    char text[256];
    char line[320];
    if (copy->trips < server->shown_trips) {
        server->shown_trips = copy->trips;
    }
    if (copy->trips - server->shown_trips > CONTROL_TRIP_HISTORY) {
        server->shown_trips = copy->trips - CONTROL_TRIP_HISTORY;
    }
    while (server->shown_trips < copy->trips) {
        server->shown_trips++;
        const struct engine_cause *cause = &copy->trip_history[server->shown_trips % CONTROL_TRIP_HISTORY];
        control_explain(&server->plan->table, cause, text, sizeof(text));
        snprintf(line, sizeof(line), "TRIP %" PRIu64 ": %s", server->shown_trips, text);
        log_line("%s", line);
        server_audit(server, "trip",
                     cause->tai_ns != 0 ? cause->tai_ns : clock_tai_ns(server->tai_minus_monotonic_ns), line);
    }
    if (copy->state != server->shown_state) {
        server->shown_state = copy->state;
        log_line("interlock is %s", engine_state_name(copy->state));
    }
}

void server_bypass_began(struct server *server, uint32_t rule, uint64_t duration_ns)
{
    struct supervisor_bypass *shown = &server_board(server)->bypass[rule % CONTROL_RULES_MAX];
    const struct server_command *last = &server->last_bypass;
    uint64_t now_ns = clock_tai_ns(server->tai_minus_monotonic_ns);
    if (shown->since_tai_ns != 0) {
        return;
    }
    bool known = last->op == PROTOCOL_BYPASS && last->index == rule;
    snprintf(shown->person, sizeof(shown->person), "%s", known ? last->person : "?");
    snprintf(shown->reason, sizeof(shown->reason), "%s", known ? last->reason : "?");
    shown->until_tai_ns = now_ns + duration_ns;
    __atomic_store_n(&shown->since_tai_ns, now_ns, __ATOMIC_RELEASE);
}

static void end_bypass(struct server *server, uint32_t rule)
{
    struct supervisor_bypass *shown = &server_board(server)->bypass[rule % CONTROL_RULES_MAX];
    __atomic_store_n(&shown->since_tai_ns, 0, __ATOMIC_RELEASE);
    memset(shown, 0, sizeof(*shown));
}

void server_events_control_died(struct server *server, uint64_t tai_ns)
{
    for (uint32_t i = 0; i < server->plan->table.rules; i++) {
        end_bypass(server, i);
    }
    server_audit(server, "state", tai_ns,
                 "the control process has ended: outputs driven safe, bypasses and shelving are over");
}

static const char *rule_name(const struct server *server, uint32_t index)
{
    return index < server->plan->table.rules ? server->plan->table.rule[index].name : "?";
}

/* Names of the outputs in a mask. */
static void list_outputs(const struct server *server, uint32_t mask, char *text, size_t bytes)
{
    size_t n = 0;
    snprintf(text, bytes, "none");
    for (uint32_t i = 0; i < server->plan->table.outputs && n < bytes; i++) {
        if ((mask >> i & 1) != 0) {
            n += (size_t)snprintf(text + n, bytes - n, "%s%s", n > 0 ? ", " : "",
                                  server->plan->table.output[i].name);
        }
    }
}

static const char *bypass_end(double how)
{
    return how == 0 ? "by command" : how == 1 ? "its time is over" : "by a trip";
}

/* A gone check of the gate is told by name; what to do about it stands in status. */
static void tell_gate(uint32_t missing, char *text, size_t bytes)
{
    size_t n = (size_t)snprintf(text, bytes, "arming gate: %s", missing == 0 ? "passes" : "misses");
    for (uint32_t check = 1; check < GATE_ALL && n < bytes; check <<= 1) {
        if ((missing & check) != 0) {
            n += (size_t)snprintf(text + n, bytes - n, " %s", engine_gate_name(check));
        }
    }
}

/* The kind of line and its words. NULL: not for the audit log. A trip is told by tell_trips(), with its cause. */
static const char *describe(const struct server *server, const struct engine_event *e, char *text, size_t bytes)
{
    char names[300];
    switch (e->kind) {
    case EVENT_STATE:
        snprintf(text, bytes, "interlock is %s", engine_state_name(e->index));
        return "state";
    case EVENT_BYPASS_ON:
        snprintf(text, bytes, "%s is bypassed for %.0f s", rule_name(server, e->index), e->value);
        return "bypass";
    case EVENT_BYPASS_OFF:
        snprintf(text, bytes, "the bypass of %s has ended: %s", rule_name(server, e->index), bypass_end(e->value));
        return e->value == 1 ? "expiry" : "bypass";
    case EVENT_ALARM:
        snprintf(text, bytes, "alarm %s is %s", rule_name(server, e->index), engine_alarm_name((uint32_t)e->value));
        return "alarm";
    case EVENT_SHELVED:
        if (e->value > 0) {
            snprintf(text, bytes, "alarm %s is shelved for %.0f s", rule_name(server, e->index), e->value);
        } else {
            snprintf(text, bytes, "alarm %s is not shelved any more", rule_name(server, e->index));
        }
        return "alarm";
    case EVENT_LATCHED:
    case EVENT_HELD:
        list_outputs(server, e->index, names, sizeof(names));
        snprintf(text, bytes, "outputs %s: %s", e->kind == EVENT_HELD ? "held safe" : "tripped alone", names);
        return e->kind == EVENT_HELD ? "hold" : "trip";
    case EVENT_GATE:
        tell_gate(e->index, text, bytes);
        return "gate";
    case EVENT_TEST:
        snprintf(text, bytes, "proof test of %s: %s",
                 e->index < server->plan->table.outputs ? server->plan->table.output[e->index].name : "?",
                 engine_test_name((uint32_t)e->value));
        return "test";
    default:
        return NULL;
    }
}

static void tell_event(struct server *server, const struct engine_event *e)
{
    char text[EVENT_TEXT_BYTES];
    uint64_t now_ns = clock_monotonic_ns();
    const char *what = describe(server, e, text, sizeof(text));
    if (e->kind == EVENT_BYPASS_ON) {
        server_bypass_began(server, e->index, e->value > 0 ? (uint64_t)(e->value * 1e9) : 0);
    } else if (e->kind == EVENT_BYPASS_OFF) {
        end_bypass(server, e->index);
    }
    /* A chattering alarm or hold fills no disk; what the interlock did to the permit is always told. */
    bool chatters = e->kind == EVENT_ALARM || e->kind == EVENT_HELD || e->kind == EVENT_GATE;
    if (what == NULL ||
        (chatters && !audit_allows(&server->audit, now_ns, now_ns + (uint64_t)server->tai_minus_monotonic_ns))) {
        return;
    }
    server_audit(server, what, e->tai_ns, text);
    if (e->kind != EVENT_STATE) {
        log_line("%s", text);
    }
}

/* The ring of events: an entry counts only if it was not overwritten while it was copied. */
static void tell_events(struct server *server)
{
    const struct control_board *board = server_control_board(server);
    uint64_t events = __atomic_load_n(&board->events, __ATOMIC_ACQUIRE);
    uint64_t missed = 0;
    char text[80];
    if (events < server->shown_events) {
        server->shown_events = 0; /* a new control process counts from the beginning */
    }
    while (server->shown_events < events) {
        uint64_t n = server->shown_events++;
        struct engine_event event = board->event[n % CONTROL_EVENTS];
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&board->events, __ATOMIC_ACQUIRE) - n >= CONTROL_EVENTS - ENGINE_EVENTS_MAX) {
            missed++;
        } else {
            tell_event(server, &event);
        }
    }
    uint64_t unfit = __atomic_load_n(&board->events_lost, __ATOMIC_RELAXED);
    if (unfit > server->shown_events_lost) {
        snprintf(text, sizeof(text), "%" PRIu64 " events of the interlock did not fit into their step",
                 unfit - server->shown_events_lost);
        server_audit(server, "lost", clock_tai_ns(server->tai_minus_monotonic_ns), text);
    }
    server->shown_events_lost = unfit;
    if (missed > 0) {
        snprintf(text, sizeof(text), "%" PRIu64 " events of the interlock were overwritten unread", missed);
        log_line("%s", text);
        server_audit(server, "lost", clock_tai_ns(server->tai_minus_monotonic_ns), text);
    }
}

/* Should the event that ended a bypass be among those that were overwritten. */
static void sweep_bypasses(struct server *server, const struct control_board *copy)
{
    uint64_t now_ns = clock_tai_ns(server->tai_minus_monotonic_ns);
    for (uint32_t i = 0; i < server->plan->table.rules && i < CONTROL_RULES_MAX; i++) {
        const struct supervisor_bypass *shown = &server_board(server)->bypass[i];
        if (shown->since_tai_ns != 0 && copy->rule[i].bypass_until_ns == 0 &&
            now_ns - shown->since_tai_ns > CLOCK_NS_PER_S) {
            end_bypass(server, i);
        }
    }
}

void server_events(struct server *server)
{
    static struct control_board copy;
    tell_events(server);
    if (control_board_read(server_control_board(server), &copy) == 0) {
        tell_trips(server, &copy);
        sweep_bypasses(server, &copy);
    }
}
