/* A command to the server, and its answer. Cold. */
#ifndef TOOLS_ORDER_H
#define TOOLS_ORDER_H

#include "ring/protocol.h"
#include "tools/sluice.h"

/* The instance that is meant. EXIT_DONE, or another exit code, said. */
int order_instance(const struct arguments *a, const char *name, char instance[RING_NAME_BYTES]);

/* Fills in the request. EXIT_DONE, or EXIT_USAGE, said. */
int order_request(const struct arguments *a, const char *name, uint16_t op, struct protocol_request *request);

/* Asks. An exit code; err->text is the answer in any case. */
int order_ask(const char *instance, struct protocol_request *request, struct error *err);

#endif
