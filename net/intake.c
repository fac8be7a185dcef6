#include "net/intake.h"

#include <string.h>

#include "net/sequence.h"

enum ring_refusal intake_judge(const struct source_plan *plan, const uint8_t *payload, uint32_t bytes,
                               uint32_t room, struct format_frame *frame)
{
    bool read = format_read(&plan->format, &plan->sequence, payload, bytes < room ? bytes : room, frame);
    if (frame->stranger) {
        return RING_REFUSED_STRANGER;
    }
    if (bytes > room || (plan->frame_bytes != 0 && bytes > plan->frame_bytes)) {
        return RING_REFUSED_LONG;
    }
    if (read && frame->heartbeat) {
        return RING_REFUSALS; /* as short as it likes */
    }
    if (bytes < plan->frame_bytes || (!read && plan->format.kind <= FORMAT_FIELD)) {
        return RING_REFUSED_SHORT;
    }
    if (!read) {
        return RING_REFUSED_SYNTAX;
    }
    return net_checksum_ok(&plan->checksum, payload) ? RING_REFUSALS : RING_REFUSED_CHECKSUM;
}

enum ring_refusal intake_judge_packet(const struct source_plan *plan, struct intake_packet *packet)
{
    struct packet_place place;
    packet->payload_bytes = 0;
    packet->said = (struct format_frame){0};
    enum ring_refusal refusal =
        packet_judge(&plan->packet, packet->frame, packet->frame_bytes, packet->checks, &place);
    if (__builtin_expect(refusal != RING_REFUSALS, 0)) {
        return refusal;
    }
    packet->payload_bytes = place.payload_bytes;
    if (__builtin_expect(packet->frame + place.payload_offset != packet->payload, 0)) {
        memmove(packet->payload, packet->frame + place.payload_offset,
                place.payload_bytes < packet->room ? place.payload_bytes : packet->room);
    }
    return intake_judge(plan, packet->payload, place.payload_bytes, packet->room, &packet->said);
}

enum ring_loss intake_loss(enum ring_refusal refusal)
{
    return refusal == RING_REFUSED_SHORT || refusal == RING_REFUSED_LONG ? RING_LOSS_TRUNCATED
                                                                         : RING_LOSS_MALFORMED;
}

uint64_t intake_refuse(const struct source_plan *plan, struct ring_writer *writer, enum ring_refusal refusal)
{
    struct ring_ledger *ledger = &writer->view.header->ledger;
    uint64_t lost = refusal != RING_REFUSED_STRANGER;
    ring_count_add(&ledger->refused[refusal], 1);
    if (lost > 0) {
        net_sequence_explain(&plan->sequence, ledger, intake_loss(refusal), lost);
    }
    return lost;
}

/* The record tells what is missing, less what records have told when it was refused or dropped. */
static void take_heartbeat(const struct source_plan *plan, struct ring_writer *writer,
                           const struct format_frame *frame, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &writer->view.header->ledger;
    struct sequence_result seq;
    uint64_t told = ledger->tracker_pending[RING_LOSS_RING_FULL] + ledger->tracker_pending[RING_LOSS_MALFORMED] +
                    ledger->tracker_pending[RING_LOSS_TRUNCATED];
    net_sequence_heartbeat(&plan->sequence, ledger, frame->number, &seq);
    uint64_t untold = seq.lost_before > told ? seq.lost_before - told : 0;
    (void)ring_writer_commit_gap(writer, (enum ring_loss)seq.cause, untold, 0, tai_ns);
}

static void take_frame(const struct source_plan *plan, struct ring_writer *writer, const struct format_frame *frame,
                       uint32_t bytes, uint64_t tai_ns, bool post)
{
    struct ring_ledger *ledger = &writer->view.header->ledger;
    struct sequence_result seq;
    if (plan->sequence.width_bytes != 0) {
        net_sequence_track(&plan->sequence, ledger, frame->number, &seq);
    } else {
        net_sequence_untracked(ledger, writer->next, &seq);
    }
    if (seq.verdict == SEQUENCE_LATE) {
        (void)ring_writer_commit_gap(writer, RING_LOSS_LATE, 0, 0, tai_ns);
        return;
    }
    ring_count_add(&ledger->bytes, bytes);
    if (writer->sent_tai_ns == 0) {
        writer->sent_tai_ns = frame->sender_tai_ns; /* the batch's first */
    }
    uint32_t flags = net_sequence_flags(&seq);
    if (post) {
        ring_writer_post(writer, bytes, tai_ns, seq.number, flags, seq.lost_before);
    } else {
        ring_writer_commit(writer, bytes, tai_ns, seq.number, flags, seq.lost_before);
    }
}

void intake_commit(const struct source_plan *plan, struct ring_writer *writer, enum ring_refusal refusal,
                   const struct format_frame *frame, uint32_t bytes, uint64_t tai_ns, bool post)
{
    if (refusal != RING_REFUSALS) {
        /* The slot holds nothing usable: it becomes a gap record, so that readers' positions stay dense. */
        uint64_t lost = intake_refuse(plan, writer, refusal);
        (void)ring_writer_commit_gap(writer, intake_loss(refusal), lost, 0, tai_ns);
    } else if (frame->heartbeat) {
        take_heartbeat(plan, writer, frame, tai_ns);
    } else {
        take_frame(plan, writer, frame, bytes, tai_ns, post);
    }
}

void intake_drop(const struct source_plan *plan, struct ring_writer *writer, enum ring_refusal refusal,
                 const struct format_frame *frame)
{
    if (refusal != RING_REFUSALS) {
        (void)intake_refuse(plan, writer, refusal);
    } else if (!frame->heartbeat) {
        net_sequence_explain(&plan->sequence, &writer->view.header->ledger, RING_LOSS_RING_FULL, 1);
        ring_writer_owe_gap(writer, RING_LOSS_RING_FULL, 1, 0);
    }
}
