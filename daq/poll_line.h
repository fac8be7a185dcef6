/* A serial line to an instrument that answers questions. On such a line nothing says to which question an answer
 * belongs: what comes late would be taken for the answer to the next one.
 */
#ifndef DAQ_POLL_LINE_H
#define DAQ_POLL_LINE_H

#include "net/plan.h"
#include "ring/error.h"

/* Opens the plan's tty, and waits until it has been silent for the plan's timeout: whatever was asked before is
 * answered by then or never. A descriptor that does not block, or -errno. */
int poll_line_open(const struct source_plan *plan, struct error *err);

/* Waits until the descriptor can be read from, or written to (events: POLLIN, POLLOUT). 0, -ETIMEDOUT: it is
 * later than until_ns (monotonic), or -errno. */
int poll_line_wait(int fd, short events, uint64_t until_ns);

#endif
