#include "bench/daq_late.h"

#include <string.h>

#include "ring/clock.h"

#define BIN_NS UINT64_C(1000)
#define BINS   ((uint32_t)(DAQ_PERIOD_NS / BIN_NS))

uint32_t daq_late_punctual(const uint32_t *phase, uint32_t bins)
{
    uint32_t best = 0;
    uint32_t longest = 0;
    uint32_t empty = 0;
    for (uint32_t i = 0; i < 2 * bins; i++) { /* twice round: a stretch may go over the end */
        if (phase[i % bins] == 0) {
            empty++;
            continue;
        }
        if (empty > longest) {
            longest = empty;
            best = i % bins;
        }
        empty = 0;
    }
    return best;
}

static uint64_t first_of(const struct daq_rig *rig, uint32_t i, uint64_t from, uint64_t end)
{
    uint64_t slots = rig->view[i].slot_count;
    return end - from > slots ? end - slots : from;
}

static uint64_t stamp_ns(const struct daq_rig *rig, uint32_t i, uint64_t position)
{
    return ring_descriptor_at(&rig->view[i], position)->tai_ns - (uint64_t)rig->tai_offset_ns;
}

static void polls_of(const struct daq_rig *rig, uint32_t i, uint64_t from, struct daq_late *late)
{
    uint32_t phase[BINS] = {0};
    uint64_t end = ring_published_now(rig->view[i].header);
    uint64_t first = first_of(rig, i, from, end);
    for (uint64_t p = first; p < end; p++) {
        phase[stamp_ns(rig, i, p) % DAQ_PERIOD_NS / BIN_NS]++;
    }
    uint64_t due_ns = daq_late_punctual(phase, BINS) * BIN_NS;
    for (uint64_t p = first; p < end; p++) {
        double value;
        memcpy(&value, ring_payload_at(&rig->view[i], p), sizeof(value));
        bool is_right = rig->path->receiver == DAQ_TIMER || value == 20000.0 + i;
        late->right += is_right;
        late->wrong += !is_right;
        spread_add(&late->spread, (stamp_ns(rig, i, p) + DAQ_PERIOD_NS - due_ns) % DAQ_PERIOD_NS);
    }
}

static void samples_of(const struct daq_rig *rig, uint32_t i, uint64_t from, struct daq_late *late)
{
    uint64_t end = ring_published_now(rig->view[i].header);
    for (uint64_t p = first_of(rig, i, from, end); p < end; p++) {
        const struct ring_descriptor *d = ring_descriptor_at(&rig->view[i], p);
        struct daq_frame frame;
        memcpy(&frame, ring_payload_at(&rig->view[i], p), sizeof(frame));
        bool is_right = (d->flags & RING_FLAG_GAP) == 0 && d->length_bytes == sizeof(frame) &&
                        frame.sync[0] == 0xa5 && frame.sync[1] == 0x5a &&
                        frame.number == (uint32_t)d->source_sequence;
        late->right += is_right;
        late->wrong += !is_right;
        if (is_right) {
            spread_add(&late->spread, stamp_ns(rig, i, p) - frame.sent_ns);
        }
    }
}

void daq_late_of(const struct daq_rig *rig, const uint64_t *from, struct daq_late *late)
{
    const struct daq_tally *tally = rig->tally.base;
    memset(late, 0, sizeof(*late));
    if (rig->path->receiver == DAQ_BARE) {
        late->spread = tally->late;
        late->right = tally->late.count;
        return;
    }
    for (uint32_t i = 0; i < rig->path->sources; i++) {
        if (rig->path->wire == DAQ_FILES) {
            polls_of(rig, i, from[i], late);
        } else {
            samples_of(rig, i, from[i], late);
        }
    }
}
