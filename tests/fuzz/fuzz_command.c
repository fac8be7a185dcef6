/* A request of any content, as a client may send it: it is refused with a sentence, or it is a command whose words
 * can go into the log and whose index stands in the table. Whatever control answers, a sentence comes of it. */
#include <stdlib.h>
#include <string.h>

#include "daq/command.h"
#include "daq/json_line.h"

#define must(condition)                                                                                            \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            abort();                                                                                               \
        }                                                                                                          \
    } while (0)

static const struct control_table table = {
    .rules = 2,
    .outputs = 1,
    .rule = {{.name = "overpressure", .role = ROLE_PROTECT}, {.name = "warm", .role = ROLE_ALARM}},
    .output = {{.name = "relief"}}};
static const struct supervisor_bypass bypass[CONTROL_RULES_MAX];

static void answer(const struct server_command *command, uint32_t code, uint32_t mask)
{
    static struct control_board board;
    char text[ERROR_TEXT_BYTES];
    board.answer = code;
    board.gate_missing = mask;
    memset(text, 'x', sizeof(text));
    int result = command_answer(&table, &board, bypass, command, text, sizeof(text));
    must(result <= 0 && text[0] != 0 && memchr(text, 0, sizeof(text)) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct protocol_request request = {.magic = 0};
    struct server_command command = {.user = "fuzz"};
    struct error err = {{0}};
    memcpy(&request, data, size < sizeof(request) ? size : sizeof(request));
    request.op = (uint16_t)(request.op % 16);
    if (size > 0 && (data[size - 1] & 1) != 0) {
        strcpy(request.name, request.op == PROTOCOL_PROOF_TEST ? "relief"
                             : (data[size - 1] & 2) != 0       ? "warm"
                                                               : "overpressure");
    }
    if (command_parse(&table, &request, &command, &err) != 0) {
        must(err.text[0] != 0);
        return 0;
    }
    must(text_is_line(command.name, sizeof(command.name)) && text_is_line(command.person, sizeof(command.person)) &&
         text_is_line(command.reason, sizeof(command.reason)) && command.person[0] != 0);
    must(command.index == ENGINE_NONE || command.index < table.rules);
    for (uint32_t code = 0; code < 14; code++) {
        answer(&command, code, (uint32_t)request.argument);
    }
    return 0;
}
