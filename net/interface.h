/* A network interface by its name, watched from a process that is sealed: which one has the name now, whether it
 * runs, what its device has dropped. It may go away and come back as another one at any time. No heap; none of
 * these calls waits for the kernel's lock on network configuration.
 */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include <linux/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring/error.h"

struct interface {
    char name[IFNAMSIZ];
    int socket_fd; /* for questions and for groups; -1: closed */
    int missed_fd; /* the device's count of frames for which it had no buffer; -1: it does not tell */
};

/* 0 or -errno. The interface need not exist. Cold. */
int interface_open(struct interface *interface, const char *name, struct error *err);
void interface_close(struct interface *interface);

/* The index of the interface that has the name now, if it is up and has a carrier. 0; -ENODEV: there is none;
 * -ENETDOWN: it is down. */
int interface_find(const struct interface *interface, unsigned *ifindex);

/* Joins a multicast group (network order) on it, so that switches and its device let the group's frames in. 0 or
 * -errno; having joined already is no error. */
int interface_join(const struct interface *interface, unsigned ifindex, uint32_t group);

/* Begins to look at the counters of the interface that has this index. It is no error if it does not tell. */
void interface_watch(struct interface *interface, unsigned ifindex);

/* Frames that the device has missed, ever; 0 if it does not tell. */
uint64_t interface_missed(const struct interface *interface);

#endif
