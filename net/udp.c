#include "net/udp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/sequence.h"

/* In front of the payload the kernel writes its head, the sender's address and the drop counter; all of it inside
 * the slot's headroom, behind the descriptor whose sequence word readers watch. */
#define NAME_BYTES    32u
#define CONTROL_BYTES 24u /* CMSG_SPACE(sizeof(uint32_t)) */
#define HEAD_BYTES    (URING_RECVMSG_HEAD_BYTES + NAME_BYTES + CONTROL_BYTES)
#define AHEAD_MAX     4096u
static_assert(RING_DESCRIPTOR_BYTES + HEAD_BYTES <= UDP_PAYLOAD_OFFSET, "the headroom holds both");
static_assert(CMSG_SPACE(sizeof(uint32_t)) == CONTROL_BYTES, "one counter");

static int bind_patiently(int fd, const struct sockaddr_in *address)
{
    /* After a kill the old socket lives on for some milliseconds while its request is torn down. */
    for (int i = 0; i < 100; i++) {
        if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0) {
            return 0;
        }
        if (errno != EADDRINUSE) {
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return -errno;
}

static int join_group(int fd, const struct udp_plan *plan)
{
    struct ip_mreq request = {.imr_multiaddr.s_addr = plan->multicast_address,
                              .imr_interface.s_addr = plan->interface_address};
    return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)) == 0 ? 0 : -errno;
}

static int open_socket(const struct source_plan *plan, struct error *err)
{
    const struct udp_plan *udp = &plan->udp;
    int on = 1;
    int bytes = (int)udp->receive_buffer_bytes;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(udp->port),
                                  .sin_addr.s_addr =
                                      udp->multicast_address != 0 ? udp->multicast_address : udp->listen_address};
    char text[INET_ADDRSTRLEN] = "?";
    inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set(err, -errno, "source %s: cannot open a UDP socket: %s", plan->name, strerror(errno));
    }
    int code = 0;
    if (udp->multicast_address != 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
        code = -errno;
    }
    if (code == 0 && setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) != 0) {
        code = -errno;
    }
    /* FORCE goes beyond net.core.rmem_max where we may; the plain one is the fallback. */
    if (code == 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
    if (code == 0) {
        code = bind_patiently(fd, &address);
    }
    if (code == 0 && udp->multicast_address != 0) {
        code = join_group(fd, udp);
    }
    if (code != 0) {
        close(fd);
        return error_set(err, code, "source %s: cannot listen on %s port %u: %s%s", plan->name, text, udp->port,
                         strerror(-code),
                         code == -EADDRINUSE ? "; another program has it: end that or choose another port" : "");
    }
    return fd;
}

static void hand_out(struct udp_source *s)
{
    uint64_t end = s->writer->next + s->ahead;
    uint32_t added = 0;
    ring_writer_claim(s->writer, end);
    for (; s->handed < end; s->handed++, added++) {
        uint8_t *payload = ring_payload_at(&s->writer->view, s->handed);
        uring_buffers_add(s->uring, s->group, payload - HEAD_BYTES, HEAD_BYTES + s->writer->view.payload_bytes,
                          (uint16_t)(s->handed & (s->ahead - 1)));
    }
    if (added > 0) {
        uring_buffers_publish(s->uring, s->group, added);
    }
}

int udp_open(struct udp_source *source, const struct source_plan *plan, struct ring_writer *writer,
             struct uring *uring, uint16_t group, uint64_t user, struct error *err)
{
    *source = (struct udp_source){.plan = plan,
                                  .writer = writer,
                                  .uring = uring,
                                  .user = user,
                                  .fd = -1,
                                  .group = group,
                                  .message = {.msg_namelen = NAME_BYTES, .msg_controllen = CONTROL_BYTES}};
    if (writer->view.payload_offset != UDP_PAYLOAD_OFFSET) {
        return error_set(err, -EINVAL, "source %s: its ring has its payload at %u, a UDP source needs %u",
                         plan->name, writer->view.payload_offset, UDP_PAYLOAD_OFFSET);
    }
    uint64_t half = writer->view.slot_count / 2;
    source->ahead = half < AHEAD_MAX ? (uint32_t)half : AHEAD_MAX;
    source->fd = open_socket(plan, err);
    if (source->fd < 0) {
        return source->fd;
    }
    int code = uring_buffers_create(uring, group, source->ahead, err);
    if (code != 0) {
        udp_close(source);
        return code;
    }
    source->handed = writer->next;
    hand_out(source);
    ring_count_add(&writer->view.header->ledger.connects, 1);
    ring_count_set(&writer->view.header->ledger.is_open, 1);
    return 0;
}

void udp_close(struct udp_source *source)
{
    if (source->fd >= 0) {
        close(source->fd);
        source->fd = -1;
        ring_count_set(&source->writer->view.header->ledger.is_open, 0);
    }
}

void udp_arm(struct udp_source *source)
{
    if (!source->armed) {
        source->armed =
            uring_recvmsg_multishot(source->uring, source->fd, &source->message, source->group, source->user);
    }
}

/* The slot holds nothing usable: it becomes a gap record, so that readers' positions stay dense. */
static void refuse(struct udp_source *s, enum ring_refusal reason, enum ring_loss cause, uint64_t lost,
                   uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    ring_count_add(&ledger->refused[reason], 1);
    if (lost > 0) {
        net_sequence_explain(&s->plan->sequence, ledger, cause, lost);
    }
    ring_writer_commit_gap(s->writer, cause, lost, 0, tai_ns);
}

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

/* The kernel counts what it dropped for want of socket buffer and tells with the next datagram. */
static void take_kernel_drops(struct udp_source *s, const uint8_t *control, uint32_t control_bytes)
{
    struct cmsghdr head;
    uint32_t drops;
    if (control_bytes < CMSG_LEN(sizeof(drops))) {
        return;
    }
    memcpy(&head, control, sizeof(head));
    if (head.cmsg_level != SOL_SOCKET || head.cmsg_type != SO_RXQ_OVFL) {
        return;
    }
    memcpy(&drops, control + CMSG_LEN(0), sizeof(drops));
    uint32_t more = drops - s->kernel_drops;
    s->kernel_drops = drops;
    if (more > 0) {
        net_sequence_explain(&s->plan->sequence, &s->writer->view.header->ledger, RING_LOSS_KERNEL, more);
    }
}

static void accept_frame(struct udp_source *s, const uint8_t *payload, uint32_t bytes, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    struct sequence_result seq;
    net_sequence_take(&s->plan->sequence, ledger, payload, s->writer->next, &seq);
    if (seq.verdict == SEQUENCE_LATE) {
        ring_writer_commit_gap(s->writer, RING_LOSS_LATE, 0, 0, tai_ns);
        return;
    }
    ring_count_add(&ledger->bytes, bytes);
    ring_writer_commit(s->writer, bytes, tai_ns, seq.number, net_sequence_flags(&seq), seq.lost_before);
}

void udp_complete(struct udp_source *source, const struct uring_event *event, uint64_t tai_ns)
{
    source->armed = source->armed && event->more;
    if (event->buffer == URING_NO_BUFFER) {
        return; /* the multishot ended (no buffer left, full queue): udp_arm starts it again */
    }
    /* Provided buffers come back in the order in which they were handed out; readers rely on it, so it is checked.
     */
    assert(event->buffer == (source->writer->next & (source->ahead - 1)));
    const uint8_t *payload = ring_payload_at(&source->writer->view, source->writer->next);
    const uint8_t *head = payload - HEAD_BYTES;
    struct uring_recvmsg_head out = {0};
    if (event->result >= (int32_t)HEAD_BYTES) {
        memcpy(&out, head, sizeof(out));
    }
    uint32_t frame_bytes = source->plan->frame_bytes;
    uint32_t need_bytes = source->plan->sequence.at_byte + source->plan->sequence.width_bytes;
    take_kernel_drops(source, head + URING_RECVMSG_HEAD_BYTES + NAME_BYTES, out.control_bytes);
    if (from_stranger(&source->plan->udp, head + URING_RECVMSG_HEAD_BYTES, out.name_bytes)) {
        refuse(source, RING_REFUSED_STRANGER, RING_LOSS_MALFORMED, 0, tai_ns);
    } else if ((out.flags & MSG_TRUNC) != 0 || (frame_bytes != 0 && out.payload_bytes > frame_bytes)) {
        refuse(source, RING_REFUSED_LONG, RING_LOSS_TRUNCATED, 1, tai_ns);
    } else if (out.payload_bytes < frame_bytes || out.payload_bytes < need_bytes ||
               out.payload_bytes > source->writer->view.payload_bytes) {
        refuse(source, RING_REFUSED_SHORT, RING_LOSS_TRUNCATED, 1, tai_ns);
    } else if (!net_checksum_ok(&source->plan->checksum, payload)) {
        refuse(source, RING_REFUSED_CHECKSUM, RING_LOSS_MALFORMED, 1, tai_ns);
    } else {
        accept_frame(source, payload, out.payload_bytes, tai_ns);
    }
}

uint32_t udp_flush(struct udp_source *source)
{
    uint32_t frames = (uint32_t)(source->writer->next - source->writer->published);
    if (frames > 0) {
        ring_writer_publish(source->writer);
        hand_out(source);
    }
    return frames;
}
