/* What a server says of itself, as JSON with stable keys; the screens are drawn from the same objects. Cold. */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include <jansson.h>

#include "tools/session.h"

/* The whole status. New reference; NULL with err: the server is gone, or no memory. */
json_t *report_status(struct session *session, struct error *err);

/* Its parts. */
json_t *report_latency(const struct session *session);
json_t *report_streams(const struct session *session);

/* JSON has no NaN: a value that is not a number is null, and the quality says why. */
json_t *report_real(double value);

/* tools/report_interlock.c, tools/report_rules.c. `board` is a consistent copy. */
json_t *report_interlock(const struct session *s, const struct control_board *board);
json_t *report_outputs(const struct session *s, const struct control_board *board);
json_t *report_rules(const struct session *s, const struct control_board *board);
json_t *report_configuration(const struct session *s);
json_t *report_audit(const struct session *s);

/* tools/report_rate.c: how regularly a ring's stream comes, and what its stamps are. Never NULL but for memory. */
json_t *report_rate(const struct ring_header *header);

/* {"rules": [..]} alone. New reference; NULL with err. */
json_t *report_rules_alone(struct session *session, struct error *err);

/* Of each ring its readers, and what became of those that the writer waited for. */
json_t *report_gating(const struct session *session);

#endif
