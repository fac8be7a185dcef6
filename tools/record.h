/* sluice record: records rings into a directory until it is stopped, or gives an order to one of the server's
 * recorders. Cold.
 *
 *   record.c           the command, its options
 *   record_run.c       a recorder of its own: started, followed, stopped
 *   record_report.c    recorders as JSON and as lines, for status, too
 */
#ifndef TOOLS_RECORD_H
#define TOOLS_RECORD_H

#include <jansson.h>
#include <stdbool.h>

#include "daq/recorder_plan.h"
#include "tools/session.h"

int command_record(int argc, char **argv);

/* A recorder of our own, as `plan` says; what is missing of it (rings, directories) is filled in. Exit code. */
int record_run(struct session *session, struct recorder_plan *plan, bool json);

/* One recorder as an object; a new reference. */
json_t *record_report(const struct recorder_board *board);
/* All of a server's, an array. */
json_t *record_report_all(const struct session *session);
void record_draw(const json_t *recorder);

/* Positions that are missing, of all rings and causes; what was left out on purpose apart. */
uint64_t record_missing(const struct recorder_board *board, uint64_t *decimated);

#endif
