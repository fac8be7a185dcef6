#include "net/udp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
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

/* Slots for the kernel, in ring order. */
static void hand_out(struct udp_source *s)
{
    uint64_t first;
    uint32_t count = ring_writer_hand_out(s->writer, s->ahead, &first);
    for (uint64_t p = first; p < first + count; p++) {
        uint8_t *payload = ring_payload_at(&s->writer->view, p);
        uring_buffers_add(s->uring, s->group, payload - HEAD_BYTES, HEAD_BYTES + s->writer->view.payload_bytes,
                          (uint16_t)(p & (s->ahead - 1)));
    }
    if (count > 0) {
        uring_buffers_publish(s->uring, s->group, count);
    }
}

static uint16_t scratch_group(const struct udp_source *s)
{
    return (uint16_t)(s->group + UDP_SCRATCH_GROUP);
}

static void hand_scratch(struct udp_source *s, uint16_t id)
{
    uring_buffers_add(s->uring, scratch_group(s), s->scratch + (size_t)id * s->scratch_bytes, s->scratch_bytes, id);
    uring_buffers_publish(s->uring, scratch_group(s), 1);
}

/* Only a source that is to drop what finds no slot needs a place to put it. */
static int open_scratch(struct udp_source *s, struct error *err)
{
    if (s->plan->gates == 0 || s->plan->when_full != WHEN_FULL_DROP) {
        return 0;
    }
    s->scratch_bytes = HEAD_BYTES + s->writer->view.payload_bytes;
    s->scratch = calloc(UDP_SCRATCH, s->scratch_bytes);
    if (s->scratch == NULL) {
        return error_set(err, -ENOMEM, "source %s: no memory for %u bytes of scratch", s->plan->name,
                         UDP_SCRATCH * s->scratch_bytes);
    }
    int code = uring_buffers_create(s->uring, scratch_group(s), UDP_SCRATCH, err);
    for (uint16_t i = 0; code == 0 && i < UDP_SCRATCH; i++) {
        hand_scratch(s, i);
    }
    return code;
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
    if (code == 0) {
        code = open_scratch(source, err);
    }
    if (code != 0) {
        udp_close(source);
        return code;
    }
    ring_writer_take_back(writer);
    if (!writer->owes) {
        hand_out(source);
    }
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
    free(source->scratch);
    source->scratch = NULL;
}

void udp_arm(struct udp_source *source, uint64_t tai_ns)
{
    struct udp_source *s = source;
    if (s->armed || s->scratch_armed) {
        return;
    }
    /* Released since the last flush: with no receive running, what comes would lie unseen for the whole wait. */
    if (s->writer->handed <= s->writer->next && ring_writer_reserve(s->writer) != NULL &&
        ring_writer_pay_gap(s->writer, tai_ns)) {
        hand_out(s);
    }
    if (s->writer->handed > s->writer->next) {
        s->armed = uring_recvmsg_multishot(s->uring, s->fd, &s->message, s->group, s->user);
    } else if (s->scratch != NULL && ring_writer_reserve(s->writer) == NULL) {
        s->scratch_armed =
            uring_recvmsg_multishot(s->uring, s->fd, &s->message, scratch_group(s), s->user + UDP_SCRATCH_USER);
    } /* else what comes waits in the socket's buffer */
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

/* What is wrong with a datagram: RING_REFUSALS if nothing is. */
static enum ring_refusal judge(struct udp_source *s, const uint8_t *head, int32_t result,
                               struct uring_recvmsg_head *out)
{
    const struct source_plan *plan = s->plan;
    uint32_t need_bytes = plan->sequence.at_byte + plan->sequence.width_bytes;
    *out = (struct uring_recvmsg_head){0};
    if (result >= (int32_t)HEAD_BYTES) {
        memcpy(out, head, sizeof(*out));
    }
    take_kernel_drops(s, head + URING_RECVMSG_HEAD_BYTES + NAME_BYTES, out->control_bytes);
    if (from_stranger(&plan->udp, head + URING_RECVMSG_HEAD_BYTES, out->name_bytes)) {
        return RING_REFUSED_STRANGER;
    }
    if ((out->flags & MSG_TRUNC) != 0 || (plan->frame_bytes != 0 && out->payload_bytes > plan->frame_bytes)) {
        return RING_REFUSED_LONG;
    }
    if (out->payload_bytes < plan->frame_bytes || out->payload_bytes < need_bytes ||
        out->payload_bytes > s->writer->view.payload_bytes) {
        return RING_REFUSED_SHORT;
    }
    return net_checksum_ok(&plan->checksum, head + HEAD_BYTES) ? RING_REFUSALS : RING_REFUSED_CHECKSUM;
}

static enum ring_loss loss_by(enum ring_refusal refusal)
{
    return refusal == RING_REFUSED_SHORT || refusal == RING_REFUSED_LONG ? RING_LOSS_TRUNCATED
                                                                         : RING_LOSS_MALFORMED;
}

/* Counts a refused datagram; what a stranger sent is not lost. The frames lost by it. */
static uint64_t refuse(struct udp_source *s, enum ring_refusal refusal)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    uint64_t lost = refusal != RING_REFUSED_STRANGER;
    ring_count_add(&ledger->refused[refusal], 1);
    if (lost > 0) {
        net_sequence_explain(&s->plan->sequence, ledger, loss_by(refusal), lost);
    }
    return lost;
}

/* No slot was free: it lies in scratch. */
static void complete_scratch(struct udp_source *s, const struct uring_event *event)
{
    struct uring_recvmsg_head out;
    s->scratch_armed = s->scratch_armed && event->more;
    s->cancelling = s->cancelling && s->scratch_armed;
    if (event->buffer == URING_NO_BUFFER || event->buffer >= UDP_SCRATCH) {
        return;
    }
    enum ring_refusal refusal =
        judge(s, s->scratch + (size_t)event->buffer * s->scratch_bytes, event->result, &out);
    if (refusal != RING_REFUSALS) {
        (void)refuse(s, refusal);
    } else {
        net_sequence_explain(&s->plan->sequence, &s->writer->view.header->ledger, RING_LOSS_RING_FULL, 1);
        ring_writer_owe_gap(s->writer, RING_LOSS_RING_FULL, 1, 0);
    }
    hand_scratch(s, (uint16_t)event->buffer);
}

void udp_complete(struct udp_source *source, const struct uring_event *event, uint64_t tai_ns)
{
    struct udp_source *s = source;
    struct uring_recvmsg_head out;
    if (event->user != s->user) {
        complete_scratch(s, event);
        return;
    }
    s->armed = s->armed && event->more;
    if (event->buffer == URING_NO_BUFFER) {
        return; /* the multishot ended (no buffer left, full queue): udp_arm starts it again */
    }
    /* Provided buffers come back in the order in which they were handed out; readers rely on it, so it is checked.
     */
    assert(event->buffer == (s->writer->next & (s->ahead - 1)));
    const uint8_t *payload = ring_payload_at(&s->writer->view, s->writer->next);
    enum ring_refusal refusal = judge(s, payload - HEAD_BYTES, event->result, &out);
    if (refusal == RING_REFUSALS) {
        accept_frame(s, payload, out.payload_bytes, tai_ns);
    } else {
        /* The slot holds nothing usable: it becomes a gap record, so that readers' positions stay dense. */
        uint64_t lost = refuse(s, refusal);
        (void)ring_writer_commit_gap(s->writer, loss_by(refusal), lost, 0, tai_ns);
    }
}

uint32_t udp_flush(struct udp_source *source, uint64_t tai_ns)
{
    struct udp_source *s = source;
    uint32_t frames = (uint32_t)(s->writer->next - s->writer->published);
    ring_writer_publish(s->writer);
    if (s->scratch_armed) {
        /* Back to the slots as soon as there is one: the receive into scratch must have ended before. */
        if (!s->cancelling && ring_writer_reserve(s->writer) != NULL) {
            s->cancelling = uring_cancel(s->uring, s->user + UDP_SCRATCH_USER);
        }
    } else if (ring_writer_pay_gap(s->writer, tai_ns)) {
        hand_out(s);
    }
    return frames;
}
