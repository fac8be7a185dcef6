/* UDP datagrams straight into ring slots: multishot recvmsg over provided buffers that are the slots themselves, in
 * ring order. Or, if the plan says `gro`, several at a time and copied (net/udp_gro.h). One source, one socket, one
 * ring; one thread.
 */
#ifndef NET_UDP_H
#define NET_UDP_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "net/plan.h"
#include "net/udp_gro.h"
#include "net/uring.h"
#include "ring/writer.h"

#define UDP_PAYLOAD_OFFSET 128u /* what a ring for this source must have: descriptor + the kernel's own head */

struct udp_source {
    const struct source_plan *plan;
    struct ring_writer *writer;
    struct uring *uring;
    uint64_t user;         /* tag of our completions */
    int fd;                /* -1: closed */
    uint16_t group;        /* buffer group */
    bool armed;            /* the multishot receive is running */
    bool scratch_armed;    /* the same into scratch: no slot is free, what comes is dropped */
    bool cancelling;       /* the receive into scratch is being ended */
    bool drops;            /* what finds no slot is dropped; else it waits */
    uint32_t ahead;        /* slots in the kernel's hands, at most */
    uint32_t kernel_drops; /* SO_RXQ_OVFL as last seen */
    uint8_t *scratch;      /* UDP_SCRATCH buffers; NULL: this source waits when the ring is full */
    uint32_t scratch_bytes;
    struct udp_gro gro;
    struct msghdr message;
};
#define UDP_SCRATCH 8u

/* Opens and binds the socket, joins the group, hands the first slots to the kernel. `group` is
 * below UDP_SCRATCH_GROUP. Completions come back with the tag `user`, with UDP_SCRATCH_USER added or not. 0 or
 * -errno. Cold. */
int udp_open(struct udp_source *source, const struct source_plan *plan, struct ring_writer *writer,
             struct uring *uring, uint16_t group, uint64_t user, struct error *err);
#define UDP_SCRATCH_USER  UINT64_C(0x100) /* added to `user` for what goes into scratch */
#define UDP_SCRATCH_GROUP (URING_GROUPS_MAX / 2)
void udp_close(struct udp_source *source);

/* (Re)arms the receive if it is not running, with the slots there are by now. No system call by itself. */
void udp_arm(struct udp_source *source, uint64_t tai_ns);

/* One completion: checks the datagram where it lies, commits its slot. */
void udp_complete(struct udp_source *source, const struct uring_event *event, uint64_t tai_ns);

/* After a batch: publishes, hands out the next slots as far as there are any. Returns frames published. */
uint32_t udp_flush(struct udp_source *source, uint64_t tai_ns);

#endif
