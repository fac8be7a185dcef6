#include "ring/reader.h"

#define GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* No jump this large can be true: 2^62 frames take centuries. */
#define POSITION_LIMIT (UINT64_C(1) << 62)

static uint64_t claimed_now(const struct ring_view *view)
{
    return __atomic_load_n(&view->header->progress.claimed, __ATOMIC_ACQUIRE);
}

/* Orders the payload reads before the look at `claimed`. x86-64 does not reorder loads, so that it is the compiler
 * that must not; elsewhere a real fence is needed. */
static inline void reads_before(void)
{
#if defined(__x86_64__)
    __asm__ volatile("" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

int ring_reader_attach(struct ring_reader *reader, void *base, size_t bytes, int start, struct error *err)
{
    struct ring_view view;
    int code = ring_attach(&view, base, bytes, err);
    if (code != 0) {
        return code;
    }
    uint64_t published = __atomic_load_n(&view.header->progress.published, __ATOMIC_ACQUIRE);
    uint64_t claimed = claimed_now(&view);
    uint64_t oldest = claimed > view.slot_count ? claimed - view.slot_count : 0;
    *reader = (struct ring_reader){.view = view,
                                   .position = start == SLUICE_OLDEST && oldest < published ? oldest : published};
    return 0;
}

bool ring_reader_valid(const struct ring_reader *reader, uint64_t position)
{
    reads_before();
    return claimed_now(&reader->view) - position <= reader->view.slot_count;
}

/* The writer is more than a ring ahead: skip to an eighth of a ring past the oldest slot, so that the next look
 * does not find itself lapped again. */
static void skip_lapped(struct ring_reader *reader, uint64_t claimed)
{
    uint64_t published = __atomic_load_n(&reader->view.header->progress.published, __ATOMIC_ACQUIRE);
    uint64_t to = claimed - reader->view.slot_count + reader->view.slot_count / 8;
    if (to > published) {
        to = published;
    }
    if (claimed > POSITION_LIMIT || published > POSITION_LIMIT || to <= reader->position) {
        reader->corrupt++;
        return;
    }
    reader->lost += to - reader->position;
    reader->position = to;
}

int ring_reader_next(struct ring_reader *reader, struct sluice_frame *frame)
{
    const struct ring_view *view = &reader->view;
    for (int attempt = 0; attempt < 4; attempt++) {
        uint64_t position = reader->position;
        const struct ring_descriptor *d = ring_descriptor_at(view, position);
        if (__atomic_load_n(&d->sequence, __ATOMIC_ACQUIRE) == position + 1) {
            uint16_t flags = GET(d->flags);
            *frame = (struct sluice_frame){.payload = ring_payload_at(view, position),
                                           .position = position,
                                           .tai_ns = GET(d->tai_ns),
                                           .source_sequence = GET(d->source_sequence),
                                           .length_bytes = GET(d->length_bytes),
                                           .flags = flags & 0xffu,
                                           .cause = (uint16_t)(flags >> RING_FLAG_CAUSE_SHIFT),
                                           .lost_before = GET(d->lost_before)};
            if (ring_reader_valid(reader, position)) {
                if (frame->length_bytes > view->payload_bytes) {
                    reader->corrupt++;
                    return 0;
                }
                reader->position = position + 1;
                return 1;
            }
        }
        /* Nothing new, or lapped: also a reader that sees nothing must look, else a lapped one waits for ever. */
        uint64_t claimed = claimed_now(view);
        if (claimed - position <= view->slot_count) {
            return 0;
        }
        if (claimed < position) {
            reader->corrupt++;
            return 0;
        }
        skip_lapped(reader, claimed);
    }
    return 0;
}

void ring_reader_report(struct ring_reader *reader)
{
    if (reader->lease != NULL) {
        __atomic_store_n(&reader->lease->position, reader->position, __ATOMIC_RELAXED);
        __atomic_store_n(&reader->lease->lost, reader->lost, __ATOMIC_RELAXED);
    }
}
