#include "ring/writer.h"

#include <string.h>

#define CLAIM_CHUNK_MAX 256u

/* The descriptor's words are relaxed atomics: an observer may read them while they change, and throws them away
 * then. On x86-64 these are plain moves. */
#define PUT(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

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

static void note_settled(struct ring_writer *writer)
{
    struct ring_ledger *ledger = &writer->view.header->ledger;
    uint64_t other = (ledger->settled_index & 1) ^ 1;
    ledger->settled_position[other] = writer->published;
    ledger->settled_delivered[other] = ledger->delivered;
    __atomic_store_n(&ledger->settled_index, other, __ATOMIC_RELEASE);
}

int ring_writer_attach(struct ring_writer *writer, void *base, size_t bytes, uint64_t pid, struct error *err)
{
    struct ring_view view;
    int code = ring_attach(&view, base, bytes, err);
    if (code != 0) {
        return code;
    }
    struct ring_progress *progress = &view.header->progress;
    /* The last writer may have died between the sequence words and `published`: the words decide. At most one ring
     * of them can be ahead. */
    uint64_t position = __atomic_load_n(&progress->published, __ATOMIC_ACQUIRE);
    for (uint64_t i = 0; i < view.slot_count; i++) {
        uint64_t word = __atomic_load_n(&ring_descriptor_at(&view, position)->sequence, __ATOMIC_ACQUIRE);
        if (word != position + 1) {
            break;
        }
        position++;
    }
    uint64_t claimed = __atomic_load_n(&progress->claimed, __ATOMIC_ACQUIRE);
    uint64_t chunk = view.slot_count / 16;
    *writer = (struct ring_writer){.view = view,
                                   .next = position,
                                   .published = position,
                                   .claimed = claimed < position ? position : claimed,
                                   .claim_chunk = chunk < 1                 ? 1
                                                  : chunk > CLAIM_CHUNK_MAX ? CLAIM_CHUNK_MAX
                                                                            : chunk,
                                   .epoch = progress->epoch + 1,
                                   .restarted = position != 0};
    __atomic_store_n(&progress->claimed, writer->claimed, __ATOMIC_RELEASE);
    __atomic_store_n(&progress->published, position, __ATOMIC_RELEASE);
    __atomic_store_n(&progress->writer_pid, pid, __ATOMIC_RELAXED);
    __atomic_store_n(&progress->restart_position, position, __ATOMIC_RELAXED);
    if (writer->epoch > 1) {
        settle_ledger(&view, position);
    }
    note_settled(writer);
    __atomic_store_n(&progress->epoch, writer->epoch, __ATOMIC_RELEASE);
    return 0;
}

void ring_writer_claim(struct ring_writer *writer, uint64_t end)
{
    if (end > writer->claimed) {
        writer->claimed = end;
        /* An exchange, not a store: no later write to the slots may become visible before it (x86: a full
         * barrier). Pairs with the reader's look at `claimed` after it has read. Once per chunk. */
        (void)__atomic_exchange_n(&writer->view.header->progress.claimed, end, __ATOMIC_SEQ_CST);
    }
}

uint8_t *ring_writer_reserve(struct ring_writer *writer)
{
    if (writer->next >= writer->claimed) {
        ring_writer_claim(writer, writer->next + writer->claim_chunk);
    }
    return ring_payload_at(&writer->view, writer->next);
}

void ring_writer_commit(struct ring_writer *writer, uint32_t length_bytes, uint64_t tai_ns,
                        uint64_t source_sequence, uint32_t flags, uint64_t lost_before)
{
    struct ring_descriptor *d = ring_descriptor_at(&writer->view, writer->next);
    uint32_t capacity = writer->view.payload_bytes;
    PUT(d->tai_ns, tai_ns);
    PUT(d->source_sequence, source_sequence);
    PUT(d->length_bytes, (uint16_t)(length_bytes < capacity ? length_bytes : capacity));
    PUT(d->flags, (uint16_t)flags);
    PUT(d->stream, (uint16_t)0);
    PUT(d->lost_before, (uint16_t)(lost_before < UINT16_MAX ? lost_before : UINT16_MAX));
    writer->next++;
}

void ring_writer_publish(struct ring_writer *writer)
{
    for (uint64_t p = writer->published; p < writer->next; p++) {
        __atomic_store_n(&ring_descriptor_at(&writer->view, p)->sequence, p + 1, __ATOMIC_RELEASE);
    }
    if (writer->published != writer->next) {
        writer->published = writer->next;
        __atomic_store_n(&writer->view.header->progress.published, writer->next, __ATOMIC_RELEASE);
        note_settled(writer);
    }
}

void ring_writer_commit_gap(struct ring_writer *writer, enum ring_loss cause, uint64_t count, uint64_t from_tai_ns,
                            uint64_t tai_ns)
{
    struct ring_gap gap = {.cause = (uint32_t)cause, .count = count, .from_tai_ns = from_tai_ns};
    memcpy(ring_writer_reserve(writer), &gap, sizeof(gap));
    ring_count_add(&writer->view.header->ledger.gap_records, 1);
    ring_writer_commit(writer, sizeof(gap), tai_ns, writer->next,
                       RING_FLAG_GAP | ((uint32_t)cause << RING_FLAG_CAUSE_SHIFT), count);
}
