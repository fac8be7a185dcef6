#include "net/udp_gro.h"

#include <string.h>

#include "net/intake.h"
#include "net/udp.h"
#include "net/udp_head.h"

#define HEAD_BYTES UDP_HEAD_BYTES(UDP_GRO_TOLD_BYTES)
static_assert(UDP_GRO_AT_BYTES + HEAD_BYTES == 128, "the payload lies on a cache line");
static_assert((UDP_GRO_BUFFERS & (UDP_GRO_BUFFERS - 1)) == 0, "the kernel's ring wants a power of two");

static uint8_t *head_of(struct udp_source *s, uint16_t buffer)
{
    return s->gro.buffers + (size_t)buffer * UDP_GRO_STRIDE_BYTES + UDP_GRO_AT_BYTES;
}

void udp_gro_hand(struct udp_source *source, uint16_t buffer)
{
    struct udp_source *s = source;
    uring_buffers_add(s->uring, s->group, head_of(s, buffer), HEAD_BYTES + UDP_GRO_PAYLOAD_BYTES, buffer);
    uring_buffers_publish(s->uring, s->group, 1);
}

/* A slot for one datagram; what is owed to the readers comes first. NULL: gating readers leave none. */
static uint8_t *slot_for_one(struct udp_source *s, uint64_t tai_ns)
{
    struct ring_writer *writer = s->writer;
    if (writer->next - writer->published >= s->gro.publish_at) {
        ring_writer_publish(writer); /* a claim reaches half a ring beyond what is published, at most */
    }
    if (writer->owes && !ring_writer_pay_gap(writer, tai_ns)) {
        return NULL;
    }
    return ring_writer_reserve(writer);
}

/* `bytes` lie there; cut: there were more. */
static enum ring_refusal judge(const struct udp_source *s, const struct udp_head *head, const uint8_t *payload,
                               uint32_t bytes, bool cut, struct format_frame *frame)
{
    uint32_t room = s->writer->view.payload_bytes;
    if (head->stranger) {
        return RING_REFUSED_STRANGER;
    }
    if (cut) {
        return intake_judge(s->plan, payload, INTAKE_CUT, bytes < room ? bytes : room, frame);
    }
    return intake_judge(s->plan, payload, bytes, room, frame);
}

/* False: it has to wait for a slot. */
static bool take_one(struct udp_source *s, const struct udp_head *head, const uint8_t *payload, uint32_t bytes,
                     bool cut, uint64_t tai_ns)
{
    struct format_frame frame = {0};
    uint8_t *slot = slot_for_one(s, tai_ns);
    if (slot == NULL && !s->drops) {
        return false;
    }
    enum ring_refusal refusal = judge(s, head, payload, bytes, cut, &frame);
    if (slot == NULL) {
        intake_drop(s->plan, s->writer, refusal, &frame);
        return true;
    }
    if (refusal == RING_REFUSALS && !frame.heartbeat) {
        memcpy(slot, payload, bytes);
    }
    intake_commit(s->plan, s->writer, refusal, &frame, bytes, tai_ns, true);
    return true;
}

/* The kernel counts pieces that it dropped, not datagrams: each is taken for one as large as the largest so far, or
 * the sender would be blamed for what was lost here. */
static void count_drops(struct udp_source *s, const struct udp_head *head, uint32_t datagrams)
{
    s->gro.largest = s->gro.largest > datagrams ? s->gro.largest : datagrams;
    udp_head_explain(head, &s->plan->sequence, &s->writer->view.header->ledger, s->gro.largest, &s->kernel_drops);
}

/* Takes what is left of the first piece. False: some of it has to wait. */
static bool take_piece(struct udp_source *s, uint64_t tai_ns)
{
    struct udp_gro *gro = &s->gro;
    const struct udp_gro_piece *piece = &gro->waiting[gro->first];
    const uint8_t *at = head_of(s, piece->buffer);
    struct udp_head head;
    udp_head_read(&s->plan->udp, at, piece->result, UDP_GRO_TOLD_BYTES, &head);
    uint32_t total = head.payload_bytes < UDP_GRO_PAYLOAD_BYTES ? head.payload_bytes : UDP_GRO_PAYLOAD_BYTES;
    uint32_t each = head.segment_bytes != 0 && head.segment_bytes < total ? head.segment_bytes : total;
    count_drops(s, &head, each != 0 ? (total - 1) / each + 1 : 1);
    do {
        uint32_t left = total - gro->taken_bytes;
        uint32_t bytes = left < each ? left : each;
        bool cut = head.cut && bytes == left;
        if (!take_one(s, &head, at + HEAD_BYTES + gro->taken_bytes, bytes, cut, tai_ns)) {
            return false;
        }
        gro->taken_bytes += bytes;
    } while (gro->taken_bytes < total);
    return true;
}

static void take_pieces(struct udp_source *s, uint64_t tai_ns)
{
    struct udp_gro *gro = &s->gro;
    while (gro->count > 0 && take_piece(s, tai_ns)) {
        udp_gro_hand(s, gro->waiting[gro->first].buffer);
        gro->first = (gro->first + 1) % UDP_GRO_BUFFERS;
        gro->count--;
        gro->taken_bytes = 0;
    }
}

void udp_gro_arm(struct udp_source *source, uint64_t tai_ns)
{
    struct udp_source *s = source;
    /* Released since the last flush: what waits here would lie unseen for the whole wait. */
    take_pieces(s, tai_ns);
    ring_writer_publish(s->writer);
    if (!s->armed && s->gro.count < UDP_GRO_BUFFERS) {
        s->armed = uring_recvmsg_multishot(s->uring, s->fd, &s->message, s->group, s->user);
    } /* else what comes waits in the socket's buffer */
}

void udp_gro_complete(struct udp_source *source, const struct uring_event *event, uint64_t tai_ns)
{
    struct udp_source *s = source;
    struct udp_gro *gro = &s->gro;
    s->armed = s->armed && event->more;
    if (event->buffer == URING_NO_BUFFER) {
        return; /* the multishot ended (no buffer left, full queue): udp_arm starts it again */
    }
    assert(event->buffer < UDP_GRO_BUFFERS && gro->count < UDP_GRO_BUFFERS);
    gro->waiting[(gro->first + gro->count++) % UDP_GRO_BUFFERS] =
        (struct udp_gro_piece){.result = event->result, .buffer = (uint16_t)event->buffer};
    take_pieces(s, tai_ns);
}

uint32_t udp_gro_flush(struct udp_source *source, uint64_t tai_ns)
{
    struct udp_source *s = source;
    take_pieces(s, tai_ns);
    (void)ring_writer_pay_gap(s->writer, tai_ns);
    ring_writer_publish_timed(s->writer, tai_ns);
    uint32_t frames = (uint32_t)(s->writer->next - s->gro.reported);
    s->gro.reported = s->writer->next;
    return frames;
}
