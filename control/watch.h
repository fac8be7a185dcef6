/* The control core's eyes: takes frames from the watched rings, decodes their channels in place, checks that they
 * were not overwritten meanwhile, and hands them to the engine as inputs. Hot (HOT_SOURCES).
 */
#ifndef CONTROL_WATCH_H
#define CONTROL_WATCH_H

#include "control/engine.h"
#include "ring/reader.h"

struct watch_ring {
    struct ring_reader reader;
    uint64_t seen_lost;
    uint64_t seen_corrupt;
    uint64_t spoiled_by;      /* position + 1 of the frame before which a loss on this host has been told */
    uint64_t evaluated;       /* frames taken into account so far */
    uint64_t source_sequence; /* of the newest of them */
    uint64_t arrival_tai_ns;
};

struct watch {
    const struct control_table *table;
    struct watch_ring ring[CONTROL_RINGS_MAX];
    uint64_t overruns;
    /* Of the last watch_next, for the journal. */
    uint64_t position; /* of its frame */
    uint32_t spoiled;  /* enum engine_cause_kind that its ring's channels were spoiled with; 0: they were not */
    uint32_t old;      /* 1: the frame came after a newer one */
};

enum watch_result {
    WATCH_NOTHING = 0,
    WATCH_FRAME = 1,  /* inputs have new samples */
    WATCH_GAP = 2,    /* a gap record: no sample; after a restart the ring's channels are STALE */
    WATCH_OVERRUN = 3 /* frames were missed: the ring's channels are BAD until its next frame */
};

/* Attaches to a mapped ring as its newest-only observer. 0 or -EPROTO. Cold. */
int watch_attach(struct watch *watch, uint32_t ring, void *base, size_t bytes, struct error *err);

/* A channel's value in its unit, calibrated (ring_channel_decode()); false: the frame is too short for it. Pure. */
bool watch_value(const struct control_table *table, uint32_t channel, const struct sluice_frame *frame,
                 double *value);

/* What a frame means, apart from where it comes from: these are also what a replay does with a recorded one. The
 * table's indices must be within bounds. First the samples of the ring's channels, in their order, against what is
 * known of them; then, if the frame was whole, into inputs. Pure. */
void watch_decode(const struct control_table *table, uint32_t ring, const struct sluice_frame *frame, bool old,
                  const struct engine_inputs *inputs, struct engine_sample decoded[CONTROL_CHANNELS_MAX]);
void watch_take(const struct control_ring *ring, struct engine_inputs *inputs,
                const struct engine_sample decoded[CONTROL_CHANNELS_MAX]);

/* Something was missed, or was silent: the ring's channels are what `cause` says until the next frame. Pure. */
void watch_spoil(const struct control_ring *ring, struct engine_inputs *inputs, uint32_t cause);

/* Takes at most one frame from the ring into inputs. */
enum watch_result watch_next(struct watch *watch, uint32_t ring, struct engine_inputs *inputs);

#endif
