#include <string.h>

#include "net/afxdp.h"
#include "net/intake.h"
#include "net/sequence.h"

#define BURST         64u
#define BURSTS_A_TAKE 64u
#define BURSTS_TIMED                                                                                               \
    4u /* of full ones, the last of so many looks at the clock: each would be 2.5 % of their work */

struct burst {
    uint64_t tai_ns;
    uint32_t index; /* of the frame under way, in the receive ring */
    bool counted;   /* what was dropped has been looked at since the burst began */
};

void afxdp_hand_out(struct afxdp_source *source, uint64_t tai_ns)
{
    struct afxdp_source *s = source;
    const struct ring_view *view = &s->writer->view;
    uint64_t first;
    if (s->is_full && s->drops && s->writer->handed <= s->writer->next) {
        afxdp_count_drops(s); /* their record goes before what comes now */
    }
    if (!ring_writer_pay_gap(s->writer, tai_ns)) {
        return;
    }
    if (s->pieces.memory != NULL) {
        if (xsk_needs_wakeup(&s->xsk)) {
            xsk_wake(&s->xsk);
        }
        return;
    }
    uint32_t count = ring_writer_hand_out(s->writer, s->ahead, &first);
    s->is_full = s->is_full || s->writer->handed - s->writer->next < s->ahead;
    if (count > 0) {
        for (uint64_t p = first; p < first + count; p++) {
            xsk_fill(&s->xsk, (uint64_t)((const uint8_t *)ring_descriptor_at(view, p) - view->slots));
        }
        xsk_fill_publish(&s->xsk);
    }
    if (xsk_needs_wakeup(&s->xsk)) {
        xsk_wake(&s->xsk);
    }
}

/* Explains up to `frames` frames that are missing. */
static void tell(struct afxdp_source *s, uint64_t frames)
{
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        uint64_t n = s->untold[cause] < frames ? s->untold[cause] : frames;
        if (n > 0) {
            net_sequence_explain(&s->plan->sequence, &s->writer->view.header->ledger, (enum ring_loss)cause, n);
            s->untold[cause] -= n;
            frames -= n;
        }
    }
}

/* The kernel says how many it has dropped, not where. The numbers say where: a gap is explained by what was
 * dropped, as far as it goes, and the next one by what is left over. (Which of two gaps it was is a guess if frames
 * were lost elsewhere too; the sums are exact.) Only a frame that certainly came later and shows no gap proves that
 * those were none of the stream's numbers. */
static void tell_drops(struct afxdp_source *s, struct burst *burst, uint64_t number)
{
    uint64_t gap = net_sequence_gap(&s->plan->sequence, &s->writer->view.header->ledger, number);
    if (__builtin_expect(gap > 0, 0)) {
        if (!burst->counted) {
            afxdp_count_drops(s);
            burst->counted = true;
        }
        tell(s, gap);
    } else if (__builtin_expect(s->is_untold, 0) && (int32_t)(burst->index - s->untold_before) >= 0) {
        tell(s, UINT64_MAX);
        s->is_untold = false;
    }
}

/* One frame, in the slot that is next. false: it is not there. */
static bool take(struct afxdp_source *s, const struct xdp_desc *place, struct burst *burst)
{
    const struct ring_view *view = &s->writer->view;
    uint64_t slot = (uint64_t)((const uint8_t *)ring_descriptor_at(view, s->writer->next) - view->slots);
    uint64_t at = xsk_offset(&s->xsk, place) - slot;
    if (at < XSK_HEADROOM_BYTES || at > s->xsk.chunk_bytes || place->len > s->xsk.chunk_bytes - at) {
        return false;
    }
    struct intake_packet packet = {.frame = view->slots + slot + at,
                                   .frame_bytes = place->len,
                                   .checks = PACKET_UDP_LEFT_OUT,
                                   .payload = ring_payload_at(view, s->writer->next),
                                   .room = view->payload_bytes};
    enum ring_refusal refusal = intake_judge_packet(s->plan, &packet);
    if (__builtin_expect(refusal == RING_REFUSALS, 1) && s->plan->sequence.width_bytes != 0) {
        tell_drops(s, burst, packet.said.number);
    }
    intake_commit(s->plan, s->writer, refusal, &packet.said, packet.payload_bytes, burst->tai_ns, false);
    return true;
}

/* Where the next frame is put together: in its slot, its payload in the payload's place. false: there is none, and
 * the frame has to wait. */
static bool begin_frame(struct afxdp_source *s, uint64_t tai_ns)
{
    struct afxdp_pieces *pieces = &s->pieces;
    uint8_t *payload = NULL;
    if (!s->writer->owes || ring_writer_pay_gap(s->writer, tai_ns)) {
        payload = ring_writer_reserve(s->writer);
    }
    if (payload == NULL && !s->drops) {
        return false;
    }
    pieces->to = payload != NULL ? payload - s->headers : pieces->spare;
    pieces->bytes = 0;
    return true;
}

static void end_frame(struct afxdp_source *s, struct burst *burst)
{
    struct afxdp_pieces *pieces = &s->pieces;
    struct intake_packet packet = {.frame = pieces->to,
                                   .frame_bytes = pieces->bytes,
                                   .checks = PACKET_UDP_LEFT_OUT,
                                   .payload = pieces->to + s->headers,
                                   .room = s->writer->view.payload_bytes};
    enum ring_refusal refusal =
        pieces->bytes > pieces->room ? RING_REFUSED_LONG : intake_judge_packet(s->plan, &packet);
    if (pieces->to == pieces->spare) {
        intake_drop(s->plan, s->writer, refusal, &packet.said);
    } else {
        if (refusal == RING_REFUSALS && s->plan->sequence.width_bytes != 0) {
            tell_drops(s, burst, packet.said.number);
        }
        intake_commit(s->plan, s->writer, refusal, &packet.said, packet.payload_bytes, burst->tai_ns, false);
    }
    pieces->to = NULL;
}

enum piece { PIECE_TAKEN, PIECE_WAITS, PIECE_WRONG };

/* One piece of a frame, behind those before it; its chunk is the kernel's again. */
static enum piece take_piece(struct afxdp_source *s, const struct xdp_desc *place, struct burst *burst)
{
    struct afxdp_pieces *pieces = &s->pieces;
    uint64_t at = xsk_offset(&s->xsk, place);
    uint64_t in_chunk = at % XSK_CHUNK_BYTES_MAX;
    if (at / XSK_CHUNK_BYTES_MAX >= s->ahead || place->len > XSK_CHUNK_BYTES_MAX - in_chunk) {
        return PIECE_WRONG;
    }
    if (pieces->to == NULL && !begin_frame(s, burst->tai_ns)) {
        return PIECE_WAITS;
    }
    if (pieces->bytes + place->len <= pieces->room) {
        memcpy(pieces->to + pieces->bytes, pieces->memory + at, place->len);
    }
    pieces->bytes += place->len;
    xsk_fill(&s->xsk, at - in_chunk);
    if ((place->options & XDP_PKT_CONTD) == 0) {
        end_frame(s, burst);
    }
    return PIECE_TAKEN;
}

static uint32_t take_pieces(struct afxdp_source *s, struct burst *burst, uint32_t count)
{
    enum piece piece = PIECE_TAKEN;
    uint32_t taken = 0;
    for (; taken < count && piece == PIECE_TAKEN; taken += piece == PIECE_TAKEN, burst->index++) {
        piece = take_piece(s, xsk_frame(&s->xsk, taken), burst);
    }
    if (piece == PIECE_WRONG) {
        afxdp_break(s);
    }
    xsk_fill_publish(&s->xsk);
    return taken;
}

static uint32_t take_frames(struct afxdp_source *s, struct burst *burst, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, burst->index++) {
        if (__builtin_expect(!take(s, xsk_frame(&s->xsk, i), burst), 0)) {
            afxdp_break(s);
            break;
        }
    }
    return count;
}

static uint32_t take_burst(struct afxdp_source *s, uint64_t tai_ns, bool is_timed)
{
    struct burst burst = {.tai_ns = tai_ns, .index = s->xsk.receive.next};
    uint32_t count = xsk_waiting(&s->xsk);
    count = count < BURST ? count : BURST;
    count = s->pieces.memory != NULL ? take_pieces(s, &burst, count) : take_frames(s, &burst, count);
    if (count > 0) {
        xsk_release(&s->xsk, count);
        if (is_timed || count < BURST) {
            ring_writer_publish_timed(s->writer, tai_ns);
        } else {
            ring_writer_publish(s->writer);
        }
    } else {
        ring_writer_account_rest(s->writer, tai_ns);
    }
    return count;
}

uint32_t afxdp_take(struct afxdp_source *source, uint64_t tai_ns, bool *more)
{
    struct afxdp_source *s = source;
    uint32_t taken = 0;
    uint32_t count = BURST;
    *more = false;
    if (s->xsk.fd < 0 || s->broken) {
        return 0;
    }
    for (uint32_t n = 0; n < BURSTS_A_TAKE && count == BURST && !s->broken; n++) {
        count = take_burst(s, tai_ns, n % BURSTS_TIMED == BURSTS_TIMED - 1);
        taken += count;
        if (count > 0) {
            afxdp_hand_out(s, tai_ns);
        }
    }
    *more = count == BURST && !s->broken;
    return taken;
}
