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

/* Of each ring its readers, and what became of those that the writer waited for. */
json_t *report_gating(const struct session *session);

#endif
