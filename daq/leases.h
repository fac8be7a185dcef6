/* The leases of gating readers, as they reach a writer's process: one packet each, over a socket from sluiced. */
#ifndef DAQ_LEASES_H
#define DAQ_LEASES_H

#include "ring/gate.h"

/* Reserves address space for `count` leases, which stays mapped whatever comes. 0 or -ENOMEM. Cold. */
int leases_open(struct ring_gates *gates, const struct ring_orders *orders, uint32_t count, struct error *err);

/* Takes the leases that have come and maps each in its place, read-only; does not wait. gates[i]: those of source
 * i. socket_fd -1: none ever come. Some microseconds for each, only when a gating reader attaches: recvmsg, mmap
 * and close are on the seal's list for this. */
void leases_take(int socket_fd, struct ring_gates *const gates[], uint32_t sources);

#endif
