/* Starting a child with exactly the descriptors it is to have. Cold. */
#ifndef DAQ_LAUNCH_H
#define DAQ_LAUNCH_H

#include <sys/types.h>

#include "ring/error.h"

#define LAUNCH_FDS_MAX 192u

/* One descriptor for the child: `fd` here becomes `number` there; named ones appear as `name=number` argument. */
struct launch_fd {
    int fd;
    int number;
    const char *name; /* NULL: only handed over */
};

struct launch {
    const char *program; /* file name, next to our own executable */
    char *last_argument; /* NULL: none */
    struct launch_fd fds[LAUNCH_FDS_MAX];
    unsigned count;
};

void launch_add(struct launch *launch, int fd, int number, const char *name);

/* Forks and executes. The child has the given descriptors and 0, 1, 2, an empty signal mask, nothing else of ours.
 * Its pid, or -errno. */
pid_t launch_start(const struct launch *launch, struct error *err);

#endif
