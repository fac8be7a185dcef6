#include "net/udp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/intake.h"
#include "net/udp_head.h"

/* In front of the payload the kernel writes its head, the sender's address and the drop counter; all of it inside
 * the slot's headroom, behind the descriptor whose sequence word readers watch. */
#define HEAD_BYTES UDP_HEAD_BYTES(UDP_TOLD_BYTES)
#define AHEAD_MAX  4096u
static_assert(RING_DESCRIPTOR_BYTES + HEAD_BYTES <= UDP_PAYLOAD_OFFSET, "the headroom holds both");

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

static int set_options(int fd, const struct udp_plan *udp)
{
    const int on = 1;
    int bytes = (int)udp->receive_buffer_bytes;
    if ((udp->multicast_address != 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) ||
        (udp->gro != 0 && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) != 0) ||
        setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) != 0) {
        return -errno;
    }
    /* FORCE goes beyond net.core.rmem_max where we may; the plain one is the fallback. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
    return 0;
}

static int open_socket(const struct source_plan *plan, struct error *err)
{
    const struct udp_plan *udp = &plan->udp;
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
    int code = set_options(fd, udp);
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
    if (!s->drops) {
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

/* Every page is touched: the receive must not be the first to. */
static int open_gro(struct udp_source *s, struct error *err)
{
    const size_t bytes = (size_t)UDP_GRO_BUFFERS * UDP_GRO_STRIDE_BYTES;
    int code = uring_buffers_create(s->uring, s->group, UDP_GRO_BUFFERS, err);
    if (code != 0) {
        return code;
    }
    s->gro.buffers = aligned_alloc(4096, bytes);
    if (s->gro.buffers == NULL) {
        return error_set(err, -ENOMEM, "source %s: no memory for the %zu bytes that gro needs", s->plan->name,
                         bytes);
    }
    memset(s->gro.buffers, 0, bytes);
    s->gro.publish_at =
        (uint32_t)(s->writer->view.slot_count / 4 < AHEAD_MAX ? s->writer->view.slot_count / 4 : AHEAD_MAX);
    s->gro.reported = s->writer->next;
    s->message.msg_controllen = UDP_GRO_TOLD_BYTES;
    for (uint16_t i = 0; i < UDP_GRO_BUFFERS; i++) {
        udp_gro_hand(s, i);
    }
    return 0;
}

/* The kernel gets the slots themselves. */
static int open_slots(struct udp_source *s, struct error *err)
{
    int code = uring_buffers_create(s->uring, s->group, s->ahead, err);
    if (code == 0) {
        code = open_scratch(s, err);
    }
    if (code != 0) {
        return code;
    }
    ring_writer_take_back(s->writer);
    if (!s->writer->owes) {
        hand_out(s);
    }
    return 0;
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
                                  .drops = plan->gates != 0 && plan->when_full == WHEN_FULL_DROP,
                                  .message = {.msg_namelen = UDP_NAME_BYTES, .msg_controllen = UDP_TOLD_BYTES}};
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
    int code = plan->udp.gro != 0 ? open_gro(source, err) : open_slots(source, err);
    if (code != 0) {
        udp_close(source);
        return code;
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
    free(source->gro.buffers);
    source->gro.buffers = NULL;
}

void udp_arm(struct udp_source *source, uint64_t tai_ns)
{
    struct udp_source *s = source;
    if (s->gro.buffers != NULL) {
        udp_gro_arm(s, tai_ns);
        return;
    }
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

/* What is wrong with a datagram behind its head: RING_REFUSALS if nothing is. *bytes: of its payload. */
static enum ring_refusal judge(struct udp_source *s, const uint8_t *head, int32_t result,
                               struct format_frame *frame, uint32_t *bytes)
{
    struct udp_head told;
    udp_head_read(&s->plan->udp, head, result, UDP_TOLD_BYTES, &told);
    udp_head_explain(&told, &s->plan->sequence, &s->writer->view.header->ledger, 1, &s->kernel_drops);
    *frame = (struct format_frame){0};
    *bytes = told.cut ? INTAKE_CUT : told.payload_bytes;
    if (told.stranger) {
        return RING_REFUSED_STRANGER;
    }
    return intake_judge(s->plan, head + HEAD_BYTES, *bytes, s->writer->view.payload_bytes, frame);
}

/* No slot was free: it lies in scratch. */
static void complete_scratch(struct udp_source *s, const struct uring_event *event)
{
    struct format_frame frame;
    uint32_t bytes;
    s->scratch_armed = s->scratch_armed && event->more;
    s->cancelling = s->cancelling && s->scratch_armed;
    if (event->buffer == URING_NO_BUFFER || event->buffer >= UDP_SCRATCH) {
        return;
    }
    const uint8_t *head = s->scratch + (size_t)event->buffer * s->scratch_bytes;
    enum ring_refusal refusal = judge(s, head, event->result, &frame, &bytes);
    intake_drop(s->plan, s->writer, refusal, &frame);
    hand_scratch(s, (uint16_t)event->buffer);
}

void udp_complete(struct udp_source *source, const struct uring_event *event, uint64_t tai_ns)
{
    struct udp_source *s = source;
    struct format_frame frame;
    uint32_t bytes;
    if (s->gro.buffers != NULL) {
        udp_gro_complete(s, event, tai_ns);
        return;
    }
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
    enum ring_refusal refusal = judge(s, payload - HEAD_BYTES, event->result, &frame, &bytes);
    intake_commit(s->plan, s->writer, refusal, &frame, bytes, tai_ns, false);
}

uint32_t udp_flush(struct udp_source *source, uint64_t tai_ns)
{
    struct udp_source *s = source;
    if (s->gro.buffers != NULL) {
        return udp_gro_flush(s, tai_ns);
    }
    uint32_t frames = (uint32_t)(s->writer->next - s->writer->published);
    ring_writer_publish_timed(s->writer, tai_ns);
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
