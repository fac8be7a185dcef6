/* What becomes of a frame, whichever way it came: judged where it lies, then published, refused or dropped, and
 * counted. For every source whose payload lies in memory as a whole (UDP, AF_XDP, DPDK). Hot (HOT_SOURCES).
 */
#ifndef NET_INTAKE_H
#define NET_INTAKE_H

#include "net/format.h"
#include "net/packet.h"
#include "net/plan.h"
#include "ring/writer.h"

#define INTAKE_CUT UINT32_MAX /* bytes of a payload that was longer than the place it was put into */

/* What is wrong with a payload of `bytes`, of which at most `room` lie there: RING_REFUSALS if nothing is, and then
 * *frame is what its header says. */
enum ring_refusal intake_judge(const struct source_plan *plan, const uint8_t *payload, uint32_t bytes,
                               uint32_t room, struct format_frame *frame);

/* A whole frame as a device delivers it, somewhere in its slot. */
struct intake_packet {
    uint8_t *frame;
    uint32_t frame_bytes;
    uint32_t checks;  /* enum packet_checks, or-ed */
    uint8_t *payload; /* where the slot has its payload; the headers are in front of it */
    uint32_t room;    /* bytes there */
    /* What intake_judge_packet finds out. */
    uint32_t payload_bytes;
    struct format_frame said;
};

/* What is wrong with a frame and its payload: RING_REFUSALS if nothing is. The payload lies in its place then: it
 * was received there if the headers are as long as was to be expected, else (IP options, a VLAN tag more) it is
 * moved. */
enum ring_refusal intake_judge_packet(const struct source_plan *plan, struct intake_packet *packet);

/* The slot at writer->next, which is the writer's to fill and holds the payload at its place, becomes a frame; or a
 * gap record, if the payload is refused, too late, or a heartbeat. post: readers see a frame at once
 * (ring_writer_post). */
void intake_commit(const struct source_plan *plan, struct ring_writer *writer, enum ring_refusal refusal,
                   const struct format_frame *frame, uint32_t bytes, uint64_t tai_ns, bool post);

/* No slot is free for it: counted, and a record owed. A heartbeat is not missed: the next one says the same. */
void intake_drop(const struct source_plan *plan, struct ring_writer *writer, enum ring_refusal refusal,
                 const struct format_frame *frame);

/* Counts what is refused, for a source that needs no slot for it. Frames lost by it: what a stranger sent is none.
 */
uint64_t intake_refuse(const struct source_plan *plan, struct ring_writer *writer, enum ring_refusal refusal);

/* The loss that a refusal is put down to. Pure. */
enum ring_loss intake_loss(enum ring_refusal refusal);

#endif
