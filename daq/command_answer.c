#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/explain.h"
#include "control/gate_words.h"
#include "daq/command.h"
#include "ring/clock.h"

#define REFUSED (-EPERM)

struct asked {
    const struct control_table *table;
    const struct control_board *board;
    const struct supervisor_bypass *bypass;
    const struct server_command *command;
    char *text;
    size_t bytes;
};

__attribute__((format(printf, 3, 4))) static int say(const struct asked *a, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(a->text, a->bytes, format, args);
    va_end(args);
    return code;
}

/* The causes that stand, as sentences. */
static void list_causes(const struct asked *a, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < a->board->cause_count && i < ENGINE_CAUSES_MAX && n < bytes; i++) {
        char one[200];
        control_explain(a->table, &a->board->cause[i], one, sizeof(one));
        n += (size_t)snprintf(text + n, bytes - n, "%s%s", i > 0 ? "; " : "", one);
    }
    if (n == 0) {
        snprintf(text, bytes, "a cause that has gone again meanwhile");
    }
}

static void list_checks(uint32_t missing, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = 0;
    for (uint32_t check = 1; check < GATE_ALL && n < bytes; check <<= 1) {
        if ((missing & check) != 0) {
            n += (size_t)snprintf(text + n, bytes - n, "%s%s", n > 0 ? ", " : "", engine_gate_name(check));
        }
    }
}

/* All names first: the advice on many may not fit. */
static int refuse_gate(const struct asked *a)
{
    static const char refusal[] = "arm refused: the arming gate misses ";
    char names[120];
    char advice[ERROR_TEXT_BYTES - sizeof(refusal) - sizeof(names)];
    uint32_t missing = a->board->gate_missing;
    if (missing == 0) {
        return say(a, REFUSED, "arm refused: a check of the arming gate did not pass just then; try again");
    }
    list_checks(missing, names, sizeof(names));
    gate_explain(missing, advice, sizeof(advice));
    return say(a, REFUSED, "%s%s. %s", refusal, names, advice);
}

static void list_bypasses(const struct asked *a, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < a->table->rules && i < CONTROL_RULES_MAX && n < bytes; i++) {
        if (a->board->rule[i].bypass_until_ns != 0) {
            const char *person = a->bypass[i].since_tai_ns != 0 ? a->bypass[i].person : "?";
            n += (size_t)snprintf(text + n, bytes - n, "%s%s (by %s)", n > 0 ? ", " : "", a->table->rule[i].name,
                                  person);
        }
    }
}

static int refuse_too_many(const struct asked *a)
{
    char standing[300];
    list_bypasses(a, standing, sizeof(standing));
    return say(a, REFUSED,
               "bypass refused: %u at once are allowed (bypass.at_once_max), these stand: %s; end one with: "
               "sluice unbypass RULE",
               a->table->bypasses_max, standing[0] != 0 ? standing : "none");
}

static int refuse_too_long(const struct asked *a)
{
    char wanted[32];
    char longest[32];
    bool shelve = a->command->op == PROTOCOL_SHELVE;
    uint64_t max_ns =
        shelve ? a->table->shelve_max_ns : a->table->rule[a->command->index % CONTROL_RULES_MAX].bypass_max_ns;
    command_duration(a->command->argument, wanted);
    command_duration(max_ns, longest);
    return say(a, REFUSED, "%s of '%s' refused: expected a time of at most %s (%s), found %s",
               command_name(a->command->op), a->command->name, longest,
               shelve ? "alarms.shelve_max_s" : "bypass_max_s of the rule", wanted);
}

static int refuse_no_such(const struct asked *a)
{
    const struct server_command *c = a->command;
    switch (c->op) {
    case PROTOCOL_BYPASS:
    case PROTOCOL_UNBYPASS:
        return say(a, REFUSED,
                   "%s refused: '%s' is an alarm, which acts on nothing; to silence it: sluice shelve %s",
                   command_name(c->op), c->name, c->name);
    case PROTOCOL_PROOF_TEST:
        return say(a, REFUSED,
                   "proof-test refused: output '%s' has no feedback, so that nothing would show whether it "
                   "moves; give it one in the configuration",
                   c->name);
    default:
        return say(a, REFUSED, "%s refused: '%s' is no alarm (role: alarm)", command_name(c->op), c->name);
    }
}

static int answer_already(const struct asked *a)
{
    const struct server_command *c = a->command;
    const struct supervisor_bypass *standing = &a->bypass[c->index % CONTROL_RULES_MAX];
    char left[32];
    uint64_t until_ns = standing->until_tai_ns;
    switch (c->op) {
    case PROTOCOL_BYPASS:
        command_duration(until_ns > standing->since_tai_ns ? until_ns - standing->since_tai_ns : 0, left);
        return say(
            a, REFUSED,
            "bypass refused: '%s' is bypassed already, for %s by %s (%s); a bypass is not extended: end it first "
            "with: sluice unbypass %s",
            c->name, left, standing->person, standing->reason, c->name);
    case PROTOCOL_UNBYPASS:
        return say(a, 0, "unbypass: nothing to do, '%s' is not bypassed", c->name);
    case PROTOCOL_ACKNOWLEDGE_ALARM:
        return say(a, 0, "ack: nothing to do, %s to be acknowledged",
                   c->name[0] != 0 ? "that alarm does not wait" : "no alarm waits");
    case PROTOCOL_SHELVE:
        return say(a, REFUSED,
                   "shelve refused: '%s' is shelved already, which is not extended; end it first with: "
                   "sluice unshelve %s",
                   c->name, c->name);
    case PROTOCOL_UNSHELVE:
        return say(a, 0, "unshelve: nothing to do, '%s' is not shelved", c->name);
    default:
        return say(a, 0, "%s: nothing to do, the interlock is %s", command_name(c->op),
                   engine_state_name(a->board->state));
    }
}

static int answer_done(const struct asked *a)
{
    const struct server_command *c = a->command;
    char duration[32];
    command_duration(c->argument, duration);
    switch (c->op) {
    case PROTOCOL_BYPASS:
        return say(a, 0, "bypass: '%s' does not act for %s; by %s: %s", c->name, duration, c->person, c->reason);
    case PROTOCOL_UNBYPASS:
        return say(a, 0, "unbypass: '%s' acts again", c->name);
    case PROTOCOL_PROOF_TEST:
        return say(a, 0, "proof-test: output '%s' has been told to go safe", c->name);
    case PROTOCOL_ACKNOWLEDGE_ALARM:
        return say(a, 0, "ack: %s%s acknowledged", c->name[0] != 0 ? c->name : "all alarms",
                   c->name[0] != 0 ? " is" : " are");
    case PROTOCOL_SHELVE:
        return say(a, 0, "shelve: '%s' is shelved for %s", c->name, duration);
    case PROTOCOL_UNSHELVE:
        return say(a, 0, "unshelve: '%s' is announced again", c->name);
    default:
        return say(a, 0, "%s: done", command_name(c->op));
    }
}

static const char *position_name(uint32_t position)
{
    return position == POSITION_SAFE ? "safe" : position == POSITION_ENERGISED ? "energised" : "unknown";
}

static int refuse_not_now(const struct asked *a)
{
    uint32_t i = a->command->index % CONTROL_OUTPUTS_MAX;
    return say(a, REFUSED,
               "proof-test refused: expected the state armed, output '%s' energised and read back so, and no other "
               "test under way; found the state %s, the output %s and read back as %s",
               a->command->name, engine_state_name(a->board->state),
               (a->board->energised >> i & 1) != 0 ? "energised" : "safe", position_name(a->board->position[i]));
}

int command_answer(const struct control_table *table, const struct control_board *board,
                   const struct supervisor_bypass bypass[CONTROL_RULES_MAX], const struct server_command *command,
                   char *text, size_t bytes)
{
    struct asked a = {table, board, bypass, command, text, bytes};
    const char *name = command_name(command->op);
    char causes[400];
    switch (board->answer) {
    case ANSWER_DONE:
        return answer_done(&a);
    case ANSWER_ALREADY:
        return answer_already(&a);
    case ANSWER_CAUSE_STANDS:
        list_causes(&a, causes, sizeof(causes));
        return say(&a, REFUSED, "%s refused while a cause stands: %s", name, causes);
    case ANSWER_RESET_FIRST:
        return say(&a, REFUSED, "arm refused: the interlock is tripped; look at the first-out, then: sluice reset");
    case ANSWER_GATE:
        return refuse_gate(&a);
    case ANSWER_NO_SUCH:
        return refuse_no_such(&a);
    case ANSWER_NOT_ALLOWED:
        return say(&a, REFUSED,
                   "bypass refused: the configuration allows none of '%s' (the rule has no bypass_max_s)",
                   command->name);
    case ANSWER_TOO_LONG:
        return refuse_too_long(&a);
    case ANSWER_TOO_MANY:
        return refuse_too_many(&a);
    case ANSWER_NOT_NOW:
        return refuse_not_now(&a);
    case ANSWER_NONE:
        return say(&a, REFUSED, "%s: the control process took no notice; the interlock is %s; try again", name,
                   engine_state_name(board->state));
    default:
        return say(&a, REFUSED, "%s refused: the interlock is in fault; restart the server", name);
    }
}
