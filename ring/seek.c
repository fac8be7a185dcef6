/* Finding a place in a ring by time or number: bisection over the frames that are there. Cold. */
#include "ring/reader.h"

/* What a position is compared by. */
typedef uint64_t key_of(const struct ring_descriptor *d);

static uint64_t time_of(const struct ring_descriptor *d)
{
    return __atomic_load_n(&d->tai_ns, __ATOMIC_RELAXED);
}

static uint64_t number_of(const struct ring_descriptor *d)
{
    return __atomic_load_n(&d->source_sequence, __ATOMIC_RELAXED);
}

static uint64_t oldest_position(const struct ring_view *view)
{
    return ring_oldest(ring_claimed_now(view->header), view->slot_count);
}

static bool is_gap(const struct ring_reader *reader, uint64_t position)
{
    const struct ring_descriptor *d = ring_descriptor_at(&reader->view, position);
    return (__atomic_load_n(&d->rest, __ATOMIC_RELAXED) >> 16 & RING_FLAG_GAP) != 0;
}

/* True if the frame at `position` comes before `wanted`, or has been overwritten: then it is older than all others.
 * A gap record has no number of its own: the next frame speaks for it. */
static bool is_before(const struct ring_reader *reader, uint64_t position, uint64_t end, key_of *key,
                      uint64_t wanted)
{
    uint64_t at = position;
    while (key == number_of && at + 1 < end && is_gap(reader, at)) {
        at++;
    }
    bool before = key(ring_descriptor_at(&reader->view, at)) < wanted;
    return before || !ring_reader_valid(reader, position);
}

static uint64_t move_to(struct ring_reader *reader, uint64_t position)
{
    if (reader->generation == 0 || position > reader->position) {
        reader->position = position;
        ring_reader_release(reader);
    }
    return reader->position;
}

static uint64_t bisect(struct ring_reader *reader, key_of *key, uint64_t wanted)
{
    uint64_t end = ring_published_now(reader->view.header);
    uint64_t low = oldest_position(&reader->view);
    uint64_t high = end;
    if (low < end && end - low > reader->view.slot_count) {
        low = end - reader->view.slot_count; /* a scribbled header: what follows is bounded all the same */
    }
    while (key == number_of && high > low && is_gap(reader, high - 1)) {
        high--; /* no frame comes after these to speak for them */
    }
    uint64_t none = high;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (is_before(reader, middle, none, key, wanted)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return move_to(reader, low < none ? low : end);
}

uint64_t ring_reader_seek_time(struct ring_reader *reader, uint64_t tai_ns)
{
    return bisect(reader, time_of, tai_ns);
}

uint64_t ring_reader_seek_sequence(struct ring_reader *reader, uint64_t source_sequence)
{
    return bisect(reader, number_of, source_sequence);
}

uint64_t ring_reader_seek_position(struct ring_reader *reader, uint64_t position)
{
    uint64_t end = ring_published_now(reader->view.header);
    uint64_t oldest = oldest_position(&reader->view);
    return move_to(reader, position > end ? end : position < oldest ? oldest : position);
}
