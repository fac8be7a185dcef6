/* An operator's command as the server has it, and the sentences with which it is answered. Pure; cold. */
#ifndef DAQ_COMMAND_H
#define DAQ_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "control/board.h"
#include "daq/authority.h"
#include "daq/board.h"
#include "ring/protocol.h"

struct server_command {
    uint32_t op;    /* enum protocol_op; 0: none */
    uint32_t index; /* of the rule or output, or ENGINE_NONE */
    uint64_t argument;
    uid_t uid;
    pid_t pid;
    char user[AUTHORITY_USER_BYTES];
    char name[RING_NAME_BYTES];
    char person[PROTOCOL_PERSON_BYTES];
    char reason[PROTOCOL_REASON_BYTES];
};

/* "arm", "proof-test" ..: what an operator types. Any thread. */
const char *command_name(uint32_t op);

/* What control is told. 0: the command is not for control. Pure. */
uint32_t command_of(uint32_t op);

/* Takes a request apart: is the form right, does the name exist? Who asks is filled in already. 0 or -errno with a
 * sentence. */
int command_parse(const struct control_table *table, const struct protocol_request *request,
                  struct server_command *command, struct error *err);

/* Control's answer as a sentence. 0: it was done, or was so already; -EPERM: refused. `board` is a consistent copy.
 */
int command_answer(const struct control_table *table, const struct control_board *board,
                   const struct supervisor_bypass bypass[CONTROL_RULES_MAX], const struct server_command *command,
                   char *text, size_t bytes);

/* "90 s", "30 min", "8 h". */
void command_duration(uint64_t ns, char text[32]);

#endif
