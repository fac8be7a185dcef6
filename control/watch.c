#include "control/watch.h"

#include "ring/channel.h"

int watch_attach(struct watch *watch, uint32_t ring, void *base, size_t bytes, struct error *err)
{
    watch->ring[ring] = (struct watch_ring){0};
    return ring_reader_attach(&watch->ring[ring].reader, base, bytes, SLUICE_NEWEST, err);
}

/* Something was missed, and a peak may be in it: the channels are BAD (CAUSE_OVERRUN) or STALE (CAUSE_STALE) until
 * the next frame, and the engine sees that at least once. */
void watch_spoil(const struct control_ring *ring, struct engine_inputs *inputs, uint32_t cause)
{
    for (uint32_t i = 0; i < ring->channels; i++) {
        struct engine_sample *sample = &inputs->channel[ring->first_channel + i];
        sample->fault = cause;
        sample->samples++;
    }
}

static void spoil(struct watch *watch, const struct control_ring *ring, struct engine_inputs *inputs,
                  uint32_t cause)
{
    watch->spoiled = cause;
    watch_spoil(ring, inputs, cause);
}

bool watch_value(const struct control_table *table, uint32_t channel, const struct sluice_frame *frame,
                 double *value)
{
    const struct control_ring *ring = &table->ring[table->channel[channel].ring];
    const struct ring_channel *decode = &table->channel[channel].decode;
    const struct ring_channel *junction =
        decode->reference != 0 ? &table->channel[ring->first_channel + decode->reference - 1].decode : NULL;
    return ring_channel_decode(decode, junction, &table->number[ring->first_number], frame->payload,
                               frame->length_bytes, value);
}

void watch_decode(const struct control_table *table, uint32_t ring, const struct sluice_frame *frame, bool old,
                  const struct engine_inputs *inputs, struct engine_sample decoded[CONTROL_CHANNELS_MAX])
{
    const struct control_ring *plan = &table->ring[ring];
    for (uint32_t i = 0; i < plan->channels; i++) {
        const struct engine_sample *before = &inputs->channel[plan->first_channel + i];
        decoded[i] = (struct engine_sample){.tai_ns = frame->tai_ns,
                                            .samples = before->samples + 1,
                                            .source_sequence = frame->source_sequence,
                                            .position = frame->position};
        if (!watch_value(table, plan->first_channel + i, frame, &decoded[i].value)) {
            decoded[i].fault = CAUSE_FRAME;
        }
        if (old) { /* a peak in it counts, but it makes nothing fresher */
            decoded[i].old = 1;
            decoded[i].tai_ns = before->tai_ns;
        }
    }
}

void watch_take(const struct control_ring *ring, struct engine_inputs *inputs,
                const struct engine_sample decoded[CONTROL_CHANNELS_MAX])
{
    for (uint32_t i = 0; i < ring->channels; i++) {
        inputs->channel[ring->first_channel + i] = decoded[i];
    }
}

static bool missed_something(struct watch *watch, struct watch_ring *r)
{
    bool missed = r->reader.lost != r->seen_lost || r->reader.corrupt != r->seen_corrupt;
    r->seen_lost = r->reader.lost;
    r->seen_corrupt = r->reader.corrupt;
    watch->overruns += missed;
    return missed;
}

/* Frames that this host itself dropped before this one, or here (a gap record): nobody else will ever tell the
 * interlock of a peak in them. (What the sender or the wire lost, or noise destroyed, turns STALE if it lasts.) */
static bool dropped_here(struct watch_ring *r, const struct sluice_frame *frame)
{
    bool here =
        (frame->flags & (SLUICE_FRAME_LOST_BEFORE | SLUICE_FRAME_GAP)) != 0 &&
        (frame->cause == RING_LOSS_KERNEL || frame->cause == RING_LOSS_NIC || frame->cause == RING_LOSS_RING_FULL);
    if (!here || r->spoiled_by == frame->position + 1) {
        return false;
    }
    r->spoiled_by = frame->position + 1;
    return true;
}

enum watch_result watch_next(struct watch *watch, uint32_t ring, struct engine_inputs *inputs)
{
    struct watch_ring *r = &watch->ring[ring];
    const struct control_ring *plan = &watch->table->ring[ring];
    struct engine_sample decoded[CONTROL_CHANNELS_MAX];
    struct sluice_frame frame;
    watch->spoiled = CAUSE_NONE;
    watch->old = 0;
    int n = ring_reader_next(&r->reader, &frame);
    if (missed_something(watch, r)) {
        /* The frame that was found, if any, is taken next time. */
        r->reader.position -= (uint64_t)n;
        spoil(watch, plan, inputs, CAUSE_OVERRUN);
        return WATCH_OVERRUN;
    }
    if (n == 0) {
        return WATCH_NOTHING;
    }
    if (dropped_here(r, &frame)) {
        watch->overruns++;
        r->reader.position--;
        spoil(watch, plan, inputs, CAUSE_OVERRUN);
        return WATCH_OVERRUN;
    }
    watch->position = frame.position;
    r->evaluated++;
    r->arrival_tai_ns = frame.tai_ns;
    if ((frame.flags & SLUICE_FRAME_DUPLICATE) != 0) {
        return WATCH_GAP; /* seen before: a sender that repeats itself must turn STALE */
    }
    bool old = (frame.flags & SLUICE_FRAME_REORDERED) != 0;
    watch->old = old;
    if ((frame.flags & SLUICE_FRAME_GAP) != 0) {
        if (frame.cause == RING_LOSS_RESTART) {
            /* The worker or the device was away, however short the time: that is silence. */
            spoil(watch, plan, inputs, CAUSE_STALE);
        }
        return WATCH_GAP;
    }
    watch_decode(watch->table, ring, &frame, old, inputs, decoded);
    if (!ring_reader_valid(&r->reader, frame.position)) {
        watch->overruns++;
        spoil(watch, plan, inputs, CAUSE_OVERRUN);
        return WATCH_OVERRUN;
    }
    watch_take(plan, inputs, decoded);
    r->source_sequence = frame.source_sequence;
    return WATCH_FRAME;
}
