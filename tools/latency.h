/* The latency histograms of a running server, as files. Cold. */
#ifndef TOOLS_LATENCY_H
#define TOOLS_LATENCY_H

#include "tools/session.h"

/* Writes each of them to FOLDER/NAME.hgrm (tools/hgrm.h), in us, and says which on standard output. What is there
 * already is replaced, whole or not at all. 0 or -errno. */
int latency_write(const struct session *session, const char *folder, struct error *err);

#endif
