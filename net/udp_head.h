/* What the kernel writes in front of a datagram (multishot recvmsg): its own head, the sender's address, what it
 * has to tell. Read where it lies. Hot (HOT_SOURCES).
 */
#ifndef NET_UDP_HEAD_H
#define NET_UDP_HEAD_H

#include <stdbool.h>

#include "net/plan.h"
#include "net/uring.h"
#include "ring/ledger.h"

#define UDP_NAME_BYTES                32u
#define UDP_TOLD_BYTES                24u /* CMSG_SPACE(sizeof(uint32_t)): one thing told */
#define UDP_HEAD_BYTES(control_bytes) (URING_RECVMSG_HEAD_BYTES + UDP_NAME_BYTES + (control_bytes))

struct udp_head {
    uint32_t payload_bytes;
    uint32_t segment_bytes; /* UDP_GRO: several datagrams of this length, the last may be shorter; 0: one */
    uint32_t kernel_drops;  /* SO_RXQ_OVFL, if drops_told: dropped for want of socket buffer, ever */
    bool drops_told;
    bool cut;      /* the payload was longer than the buffer */
    bool stranger; /* from another sender than the plan's */
};

/* `result`: of the completion. The head lies in a buffer with control_bytes for what is told. */
void udp_head_read(const struct udp_plan *plan, const uint8_t *head, int32_t result, uint32_t control_bytes,
                   struct udp_head *to);

/* What the kernel has dropped since the last time, *seen: explains the next gap. `each`: datagrams that one of its
 * drops stands for. */
void udp_head_explain(const struct udp_head *head, const struct sequence_spec *sequence, struct ring_ledger *ledger,
                      uint32_t each, uint32_t *seen);

#endif
