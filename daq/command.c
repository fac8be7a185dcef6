#include "daq/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/engine.h"
#include "daq/json_line.h"
#include "ring/clock.h"

#define REASON_CHARACTERS_MIN 3

const char *command_name(uint32_t op)
{
    switch (op) {
    case PROTOCOL_ARM:
        return "arm";
    case PROTOCOL_RESET:
        return "reset";
    case PROTOCOL_TRIP:
        return "trip";
    case PROTOCOL_BYPASS:
        return "bypass";
    case PROTOCOL_UNBYPASS:
        return "unbypass";
    case PROTOCOL_PROOF_TEST:
        return "proof-test";
    case PROTOCOL_ACKNOWLEDGE_ALARM:
        return "ack";
    case PROTOCOL_SHELVE:
        return "shelve";
    case PROTOCOL_UNSHELVE:
        return "unshelve";
    case PROTOCOL_ACKNOWLEDGE_CONFIG:
        return "acknowledge";
    case PROTOCOL_RECORD:
        return "record";
    default:
        return "unknown command";
    }
}

uint32_t command_of(uint32_t op)
{
    switch (op) {
    case PROTOCOL_ARM:
        return COMMAND_ARM;
    case PROTOCOL_RESET:
        return COMMAND_RESET;
    case PROTOCOL_TRIP:
        return COMMAND_TRIP;
    case PROTOCOL_BYPASS:
        return COMMAND_BYPASS;
    case PROTOCOL_UNBYPASS:
        return COMMAND_UNBYPASS;
    case PROTOCOL_PROOF_TEST:
        return COMMAND_TEST;
    case PROTOCOL_ACKNOWLEDGE_ALARM:
        return COMMAND_ACKNOWLEDGE;
    case PROTOCOL_SHELVE:
        return COMMAND_SHELVE;
    case PROTOCOL_UNSHELVE:
        return COMMAND_UNSHELVE;
    default:
        return COMMAND_NONE;
    }
}

void command_duration(uint64_t ns, char text[32])
{
    uint64_t s = ns / CLOCK_NS_PER_S;
    if (s > 0 && s % 3600 == 0) {
        snprintf(text, 32, "%" PRIu64 " h", s / 3600);
    } else if (s > 0 && s % 60 == 0) {
        snprintf(text, 32, "%" PRIu64 " min", s / 60);
    } else if (ns % CLOCK_NS_PER_S == 0) {
        snprintf(text, 32, "%" PRIu64 " s", s);
    } else {
        snprintf(text, 32, "%.3f s", (double)ns / 1e9);
    }
}

/* What there is to choose from. */
static void list_names(const struct control_table *table, bool outputs, bool alarms, char *text, size_t bytes)
{
    uint32_t count = outputs ? table->outputs : table->rules;
    size_t n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < count && n < bytes; i++) {
        if (!outputs && (table->rule[i].role == ROLE_ALARM) != alarms) {
            continue;
        }
        n += (size_t)snprintf(text + n, bytes - n, "%s%s", n > 0 ? ", " : "",
                              outputs ? table->output[i].name : table->rule[i].name);
    }
    if (n == 0) {
        snprintf(text, bytes, "none");
    }
}

static int find(const struct control_table *table, const struct protocol_request *request,
                struct server_command *command, struct error *err)
{
    char names[300];
    bool outputs = request->op == PROTOCOL_PROOF_TEST;
    bool alarms = request->op != PROTOCOL_BYPASS && request->op != PROTOCOL_UNBYPASS;
    for (uint32_t i = 0; i < (outputs ? table->outputs : table->rules); i++) {
        if (strcmp(outputs ? table->output[i].name : table->rule[i].name, command->name) == 0) {
            command->index = i;
            return 0;
        }
    }
    list_names(table, outputs, alarms, names, sizeof(names));
    return error_set(err, -ENOENT, "%s: there is no %s '%s'; expected one of: %s", command_name(request->op),
                     outputs  ? "output"
                     : alarms ? "alarm"
                              : "rule",
                     command->name, names);
}

static size_t characters_without_blanks(const char *text)
{
    size_t n = 0;
    while (*text != 0) {
        size_t bytes = utf8_character(text);
        n += *text != ' ';
        text += bytes > 0 ? bytes : 1;
    }
    return n;
}

static int take_words(const struct protocol_request *request, struct server_command *command, struct error *err)
{
    const char *name = command_name(request->op);
    if (!text_is_line(request->name, sizeof(request->name)) ||
        !text_is_line(request->person, sizeof(request->person)) ||
        !text_is_line(request->reason, sizeof(request->reason))) {
        return error_set(
            err, -EINVAL,
            "%s: expected a name and a person of at most %u bytes and a reason of at most %u, in UTF-8, "
            "printable and on one line",
            name, PROTOCOL_PERSON_BYTES - 1, PROTOCOL_REASON_BYTES - 1);
    }
    memcpy(command->name, request->name, sizeof(command->name));
    memcpy(command->reason, request->reason, sizeof(command->reason));
    if (characters_without_blanks(request->person) > 0) {
        memcpy(command->person, request->person, sizeof(command->person));
    } else {
        snprintf(command->person, sizeof(command->person), "%s", command->user);
    }
    if (request->op == PROTOCOL_BYPASS && characters_without_blanks(request->reason) < REASON_CHARACTERS_MIN) {
        return error_set(err, -EINVAL,
                         "bypass refused: expected a reason of %d characters or more, found '%s'; say why with "
                         "--reason",
                         REASON_CHARACTERS_MIN, request->reason);
    }
    return 0;
}

int command_parse(const struct control_table *table, const struct protocol_request *request,
                  struct server_command *command, struct error *err)
{
    command->op = request->op;
    command->argument = request->argument;
    command->index = ENGINE_NONE;
    int code = take_words(request, command, err);
    if (code != 0) {
        return code;
    }
    switch (request->op) {
    case PROTOCOL_ACKNOWLEDGE_ALARM:
        return command->name[0] == 0 ? 0 : find(table, request, command, err);
    case PROTOCOL_BYPASS:
    case PROTOCOL_UNBYPASS:
    case PROTOCOL_PROOF_TEST:
    case PROTOCOL_SHELVE:
    case PROTOCOL_UNSHELVE:
        return find(table, request, command, err);
    default:
        return 0;
    }
}
