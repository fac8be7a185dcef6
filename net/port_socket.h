/* The socket file on which a virtual port of DPDK waits for its other end: DPDK does not remove it when its process
 * ends, and does not start where one lies. Needs no DPDK. Cold. */
#ifndef NET_PORT_SOCKET_H
#define NET_PORT_SOCKET_H

#include "net/plan.h"
#include "ring/error.h"

/* Removes the file that this source's port would listen on, if there is one and nobody listens there. 0, also if
 * there is none; -EEXIST: it is no socket, -EADDRINUSE: somebody listens, or -errno. Never waits. */
int port_socket_clear(const struct source_plan *source, struct error *err);

#endif
