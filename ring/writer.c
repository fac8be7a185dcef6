#include "ring/writer.h"

#include <string.h>

#include "ring/clock.h"
#include "ring/order.h"

#define CLAIM_CHUNK_MAX  256u
#define SETTLE_PART      4u /* of the ring: a mark, and what is published and committed since, lie within one ring */
#define CLAIM_CHUNK_PART 16u /* of the ring: what is claimed is lost to observers */

/* A writer killed between the ledger and the publish has counted frames that nobody will ever see. What is in the
 * ring decides: delivered is set right by the descriptors behind the last settled position, the rest goes to
 * `restart`. */
static void settle_ledger(const struct ring_view *view, uint64_t position)
{
    struct ring_ledger *ledger = &view->header->ledger;
    uint64_t newer = ledger->settled_index & 1;
    uint64_t from = ledger->settled_position[newer];
    uint64_t delivered = ledger->settled_delivered[newer];
    if (from <= position && position - from <= view->slot_count) {
        for (uint64_t p = from; p < position; p++) {
            delivered += (ring_descriptor_at(view, p)->flags & (RING_FLAG_GAP | RING_FLAG_DUPLICATE)) == 0;
        }
        ring_count_set(&ledger->delivered, delivered);
    }
    int64_t residual = ring_ledger_residual(ledger);
    if (residual > 0) {
        ring_count_add(&ledger->lost[RING_LOSS_RESTART], (uint64_t)residual);
    } else if (residual < 0) {
        ring_count_add(&ledger->sent, UINT64_C(0) - (uint64_t)residual);
    }
}

/* The last writer may have died between the sequence words and `published`: the words decide. At most one ring of
 * them can be ahead. */
static uint64_t find_position(const struct ring_view *view, uint64_t position)
{
    for (uint64_t i = 0; i < view->slot_count; i++) {
        if (__atomic_load_n(&ring_descriptor_at(view, position)->sequence, __ATOMIC_ACQUIRE) != position + 1) {
            break;
        }
        position++;
    }
    return position;
}

void ring_writer_settle(struct ring_writer *writer)
{
    struct ring_ledger *ledger = &writer->view.header->ledger;
    writer->settle_at = writer->published + writer->view.slot_count / SETTLE_PART;
    uint64_t other = (ledger->settled_index & 1) ^ 1;
    ledger->settled_position[other] = writer->published;
    ledger->settled_delivered[other] = ledger->delivered;
    __atomic_store_n(&ledger->settled_index, other, __ATOMIC_RELEASE);
}

int ring_writer_attach(struct ring_writer *writer, void *base, size_t bytes, uint64_t pid, struct ring_gates *gates,
                       struct error *err)
{
    struct ring_view view;
    int code = ring_attach(&view, base, bytes, err);
    if (code != 0) {
        return code;
    }
    struct ring_progress *progress = &view.header->progress;
    uint64_t published = ring_published_now(view.header);
    uint64_t position = find_position(&view, published);
    uint64_t claimed = __atomic_load_n(&progress->claimed, __ATOMIC_ACQUIRE);
    code = ring_check_progress(&view, published, position, claimed, err);
    if (code != 0) {
        return code;
    }
    uint64_t chunk = view.slot_count / CLAIM_CHUNK_PART;
    *writer = (struct ring_writer){.view = view,
                                   .next = position,
                                   .published = position,
                                   .claimed = claimed < position ? position : claimed,
                                   .limit = gates != NULL ? 0 : UINT64_MAX, /* 0: look before the first claim */
                                   .claim_chunk = chunk > CLAIM_CHUNK_MAX ? CLAIM_CHUNK_MAX : chunk,
                                   .handed = position,
                                   .visible = position,
                                   .epoch = progress->epoch + 1,
                                   .gates = gates,
                                   .restarted = position != 0};
    __atomic_store_n(&progress->claimed, writer->claimed, __ATOMIC_RELEASE);
    __atomic_store_n(&progress->published, position, __ATOMIC_RELEASE);
    __atomic_store_n(&progress->writer_pid, pid, __ATOMIC_RELAXED);
    __atomic_store_n(&progress->restart_position, position, __ATOMIC_RELAXED);
    if (writer->epoch > 1) {
        settle_ledger(&view, position);
    }
    ring_writer_settle(writer);
    __atomic_store_n(&progress->epoch, writer->epoch, __ATOMIC_RELEASE);
    return 0;
}

void ring_writer_measure(struct ring_writer *writer, struct ring_hops *hops, bool is_dated, bool sent_by_batch)
{
    writer->hops = hops;
    writer->is_dated = is_dated;
    writer->sent_by_batch = sent_by_batch;
    writer->hops_delivered = ring_count_read(&writer->view.header->ledger.delivered);
}

/* A packet's stamp is looked at once a batch: its first frame's counts for all of it, which is the longest. */
static void account_sent(struct ring_writer *writer, uint64_t arrival_tai_ns, uint64_t frames)
{
    struct ring_hops *hops = writer->hops;
    if (writer->sent_tai_ns == 0) {
        ring_count_add(&hops->undated, frames);
    } else if (writer->sent_tai_ns > arrival_tai_ns) {
        ring_count_add(&hops->ahead, frames);
    } else {
        hist_record_n(&hops->sent_to_arrival, arrival_tai_ns - writer->sent_tai_ns, frames);
    }
    writer->sent_tai_ns = 0;
}

void ring_writer_account(struct ring_writer *writer, uint64_t arrival_tai_ns, uint64_t monotonic_ns)
{
    uint64_t delivered = ring_count_read(&writer->view.header->ledger.delivered);
    uint64_t frames = delivered - writer->hops_delivered;
    uint64_t published_tai_ns = monotonic_ns + (uint64_t)writer->view.tai_minus_monotonic_ns;
    if (frames == 0) {
        return; /* records of gaps, frames that had been delivered before */
    }
    writer->hops_delivered = delivered;
    hist_record_n(&writer->hops->arrival_to_publish, clock_elapsed_ns(arrival_tai_ns, published_tai_ns), frames);
    if (writer->is_dated && writer->sent_by_batch) {
        account_sent(writer, arrival_tai_ns, frames);
    }
}

void ring_writer_publish_timed(struct ring_writer *writer, uint64_t arrival_tai_ns)
{
    if (writer->hops == NULL || writer->published == writer->next) {
        ring_writer_publish(writer);
        return;
    }
    uint64_t now_ns = clock_monotonic_ns();
    if (writer->visible != writer->next) { /* what was posted was visible before */
        ring_writer_tell_time(writer, now_ns);
    }
    ring_writer_publish(writer);
    ring_writer_account(writer, arrival_tai_ns, now_ns);
}

static void look_at_gates(struct ring_writer *writer, uint64_t wanted)
{
    if (ring_gates_ordered(writer->gates)) {
        ring_gates_obey(writer->gates, &writer->view, writer->published, writer->claimed);
    }
    /* Up to `visible`, not `published`: what was posted can have been read, and released, already. */
    writer->limit = writer->gates->gating == 0 ? UINT64_MAX
                                               : ring_gates_limit(writer->gates, &writer->view, writer->visible,
                                                                  wanted, writer->monotonic_ns);
}

void ring_writer_look(struct ring_writer *writer, uint64_t monotonic_ns)
{
    writer->monotonic_ns = monotonic_ns;
    if (writer->gates != NULL && (ring_gates_ordered(writer->gates) || writer->next >= writer->limit)) {
        look_at_gates(writer, writer->next);
    }
}

uint64_t ring_writer_claim(struct ring_writer *writer, uint64_t end)
{
    if (end > writer->limit) {
        look_at_gates(writer, writer->next);
        end = end < writer->limit ? end : writer->limit;
    }
    if (end > writer->claimed) {
        writer->claimed = end;
        /* An exchange, not a store: no later write to the slots may become visible before it (x86: a full
         * barrier; elsewhere the fence behind it). Pairs with the reader's look at `claimed` after it has read.
         * Once per chunk. */
        (void)__atomic_exchange_n(&writer->view.header->progress.claimed, end, __ATOMIC_SEQ_CST);
        ring_writes_behind();
    }
    return writer->claimed;
}

uint64_t ring_writer_claim_more(struct ring_writer *writer, uint64_t count)
{
    uint64_t wanted = count > writer->claim_chunk ? count : writer->claim_chunk;
    return ring_writer_claim(writer, writer->next + wanted) - writer->next;
}

uint32_t ring_writer_hand_out(struct ring_writer *writer, uint32_t ahead, uint64_t *first)
{
    uint64_t wanted = writer->next + ahead;
    uint64_t end = ring_writer_claim(writer, wanted);
    end = end < wanted ? end : wanted;
    if (writer->handed < writer->next) {
        writer->handed = writer->next; /* what was committed without a device (a gap record) is not for it */
    }
    *first = writer->handed;
    if (end <= writer->handed) {
        return 0;
    }
    uint32_t count = (uint32_t)(end - writer->handed);
    writer->handed = end;
    return count;
}

void ring_writer_take_back(struct ring_writer *writer)
{
    writer->handed = writer->next;
}

void ring_writer_memory(const struct ring_writer *writer, struct ring_memory *memory)
{
    const struct ring_view *view = &writer->view;
    const struct ring_identity *id = &view->header->identity;
    *memory = (struct ring_memory){.base = (uint8_t *)view->header,
                                   .bytes = id->segment_bytes,
                                   .page_bytes = id->page_bytes,
                                   .first_slot = view->slots,
                                   .slots = view->slot_count,
                                   .slot_bytes = view->slot_bytes,
                                   .payload_offset = view->payload_offset,
                                   .headroom_bytes = view->payload_offset - RING_DESCRIPTOR_BYTES,
                                   .payload_bytes = view->payload_bytes};
}

bool ring_writer_commit_gap(struct ring_writer *writer, enum ring_loss cause, uint64_t count, uint64_t from_tai_ns,
                            uint64_t tai_ns)
{
    struct ring_gap gap = {.cause = (uint32_t)cause, .count = count, .from_tai_ns = from_tai_ns};
    uint8_t *payload = ring_writer_reserve(writer);
    if (payload == NULL) {
        return false;
    }
    memcpy(payload, &gap, sizeof(gap));
    ring_count_add(&writer->view.header->ledger.gap_records, 1);
    ring_writer_commit(writer, sizeof(gap), tai_ns, writer->next,
                       RING_FLAG_GAP | ((uint32_t)cause << RING_FLAG_CAUSE_SHIFT), count);
    return true;
}

void ring_writer_owe_gap(struct ring_writer *writer, enum ring_loss cause, uint64_t count, uint64_t from_tai_ns)
{
    if (!writer->owes || writer->owed_cause != RING_LOSS_RESTART) {
        writer->owed_cause = cause;
    }
    if (!writer->owes) {
        writer->owed_count = 0;
        writer->owed_from_tai_ns = from_tai_ns;
        writer->owes = true;
    }
    writer->owed_count += count;
}

bool ring_writer_pay_gap(struct ring_writer *writer, uint64_t tai_ns)
{
    if (writer->owes && writer->handed <= writer->next &&
        ring_writer_commit_gap(writer, (enum ring_loss)writer->owed_cause, writer->owed_count,
                               writer->owed_from_tai_ns, tai_ns)) {
        ring_writer_publish(writer); /* it may have had the last slot, and must not wait for a frame behind it */
        writer->owes = false;
    }
    return !writer->owes;
}
