/* The seal: from here on the calling thread (of most programs: the only one) may make only the listed system calls;
 * any other one kills it, and its watcher drives the outputs safe. Enforced by the kernel (seccomp), not by care.
 * Cold itself.
 */
#ifndef CONTROL_SEAL_H
#define CONTROL_SEAL_H

#include <stdbool.h>

#include "ring/board.h"

enum seal_profile {
    SEAL_CONTROL = 1, /* sleep, clock, write to outputs, leave */
    SEAL_WORKER = 2,  /* io_uring, sleep, clock, close a device, leave */
    SEAL_WORKER_LEASES =
        3, /* the same, and map the leases of gating readers: read-only, over what is mapped there */
    SEAL_CONTROL_GPIO = 4, /* as SEAL_CONTROL, and the one ioctl that sets GPIO lines */
    SEAL_ACTUATOR = 5,     /* IPv4 sockets, sleep, clock, leave */
    SEAL_WORKER_XDP = 7, /* as SEAL_WORKER_LEASES, and open AF_XDP sockets and attach the XDP program that is loaded
                            already, when an interface comes back */
    SEAL_OBSERVER = 8,   /* sleep, clock, leave: what the kernel tells is read from memory */
    SEAL_DPDK = 6 /* the polling thread alone (DPDK's threads for links and connections are there before): what port
                     drivers call while they are polled, sleep, clock, leases, leave */
};

/* Every descriptor, thread and byte of memory must exist before. If wanted is false only tells the test hook. On
 * refusal says so on the board. The list: seal_names(). */
void seal_process(enum seal_profile profile, bool wanted, struct board *board);

/* The same for one thread of several; what the board says of the process is left to its first one. True if it is
 * sealed. One thread at a time. */
bool seal_thread(enum seal_profile profile, bool wanted, struct board *board);

/* The listed system calls of a profile, NULL-terminated: the one list, used by the filter, the tests and the man
 * page's check. */
const char *const *seal_names(enum seal_profile profile);

#endif
