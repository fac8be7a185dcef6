#include "net/udp_head.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "net/sequence.h"

static_assert(CMSG_SPACE(sizeof(uint32_t)) == UDP_TOLD_BYTES, "one thing told");

static bool from_stranger(const struct udp_plan *plan, const uint8_t *name, uint32_t name_bytes)
{
    struct sockaddr_in from;
    if (plan->from_address == 0 && plan->from_port == 0) {
        return false;
    }
    if (name_bytes < sizeof(from)) {
        return true;
    }
    memcpy(&from, name, sizeof(from));
    return from.sin_family != AF_INET || (plan->from_address != 0 && from.sin_addr.s_addr != plan->from_address) ||
           (plan->from_port != 0 && ntohs(from.sin_port) != plan->from_port);
}

static void read_told(const uint8_t *control, uint32_t bytes, struct udp_head *to)
{
    while (bytes >= CMSG_LEN(sizeof(uint32_t))) {
        struct cmsghdr head;
        uint32_t value;
        memcpy(&head, control, sizeof(head));
        memcpy(&value, control + CMSG_LEN(0), sizeof(value));
        if (head.cmsg_len != CMSG_LEN(sizeof(value))) {
            return; /* nothing that was asked for */
        }
        if (head.cmsg_level == SOL_SOCKET && head.cmsg_type == SO_RXQ_OVFL) {
            to->kernel_drops = value;
            to->drops_told = true;
        } else if (head.cmsg_level == IPPROTO_UDP && head.cmsg_type == UDP_GRO) {
            to->segment_bytes = value;
        }
        uint32_t step = bytes < UDP_TOLD_BYTES ? bytes : UDP_TOLD_BYTES;
        control += step;
        bytes -= step;
    }
}

void udp_head_read(const struct udp_plan *plan, const uint8_t *head, int32_t result, uint32_t control_bytes,
                   struct udp_head *to)
{
    struct uring_recvmsg_head kernel = {0};
    *to = (struct udp_head){0};
    if (result >= (int32_t)UDP_HEAD_BYTES(control_bytes)) {
        memcpy(&kernel, head, sizeof(kernel));
    }
    const uint8_t *name = head + URING_RECVMSG_HEAD_BYTES;
    uint32_t told = kernel.control_bytes < control_bytes ? kernel.control_bytes : control_bytes;
    to->payload_bytes = kernel.payload_bytes;
    to->cut = (kernel.flags & MSG_TRUNC) != 0;
    to->stranger = from_stranger(plan, name, kernel.name_bytes);
    read_told(name + UDP_NAME_BYTES, told, to);
}

void udp_head_explain(const struct udp_head *head, const struct sequence_spec *sequence, struct ring_ledger *ledger,
                      uint32_t each, uint32_t *seen)
{
    uint32_t more = head->drops_told ? head->kernel_drops - *seen : 0;
    *seen += more;
    if (more > 0) {
        net_sequence_explain(sequence, ledger, RING_LOSS_KERNEL, (uint64_t)more * each);
    }
}
