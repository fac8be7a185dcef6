/* Our XDP program on a network interface: frames of the configured flows go to AF_XDP sockets, one per queue, all
 * others to the kernel as ever. libbpf is included in net/steer.c alone.
 *
 * The attachment is a link that the kernel undoes when this process ends, however it ends. What must happen again
 * while the process runs, sealed, is two operations of bpf(2): attach (an interface came back) and put a socket
 * into the program's map.
 */
#ifndef NET_STEER_H
#define NET_STEER_H

#include <linux/if.h>
#include <stdbool.h>

#include "net/packet.h"
#include "net/steer_flow.h"
#include "ring/error.h"

struct bpf_object;

/* One per interface. All zero: free. */
struct steer {
    char interface[IFNAMSIZ];
    struct bpf_object *object;
    struct steer_queue *queue; /* STEER_QUEUES_MAX of them, mapped; NULL: not loaded */
    int program_fd;
    int sockets_fd;
    int link_fd;      /* -1: not attached */
    unsigned ifindex; /* that it is attached to */
    bool generic;     /* the driver has no XDP: the kernel runs the program later, at the price of a copy */
};

/* The program for an interface, of `count` places: the one that is loaded for it already, or a new one in a free
 * place. NULL: no such program can be loaded (who may not is told what is missing), or all places are taken. Cold.
 */
struct steer *steer_for(struct steer *places, uint32_t count, const char *interface, struct error *err);
void steer_unload(struct steer *steer);

/* What is to be steered from a queue. Before its socket is there. */
void steer_set_flow(struct steer *steer, uint32_t queue, const struct packet_filter *filter,
                    uint32_t frame_bytes_max);

/* Attaches to the interface that has this index, natively if its driver can. Nothing to do if it is already.
 * -EBUSY: somebody else's XDP program is there. 0 or -errno. No heap. */
int steer_attach(struct steer *steer, unsigned ifindex);

/* The interface that had this index is gone, and the attachment with it: another one may get the same index. */
void steer_detach(struct steer *steer, unsigned ifindex);

/* From here on the flow of this queue goes to an AF_XDP socket bound to it. Closing the socket takes it out. 0 or
 * -errno. No heap. */
int steer_to_socket(const struct steer *steer, uint32_t queue, int socket_fd);

#endif
