/* One stream of samples: its schedule, its sequence numbers, and the frames of one tick on their way out, with what
 * a scenario does to them (gap, duplicate, reorder, cut, corrupt, frozen, gone). What is sent where is told back
 * frame by frame through `sent`, with the time just before it left. */
#ifndef SLUICE_PLANT_STREAM_H
#define SLUICE_PLANT_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/plant/address.h"
#include "tools/plant/sensors.h"
#include "tools/plant/tty.h"
#include "tools/plant/wire.h"

#define PLANT_STREAM_BATCH_FRAMES 64

struct plant_frame {
    uint8_t bytes[PLANT_FRAME_BYTES];
    uint32_t length_bytes; /* less than PLANT_FRAME_BYTES: a half frame */
    uint32_t sequence;
    float chamber_kpa;
    bool repeated; /* the second of a duplicate */
    bool damaged;  /* nobody can take it for a sample */
};

struct plant_stream {
    enum plant_stream_id id;
    uint32_t rate_hz;   /* 0 = off */
    uint64_t start_ns;  /* CLOCK_MONOTONIC */
    uint64_t due_index; /* of the next sample */
    uint32_t sequence;  /* of the next sample */
    bool gone;
    bool reorder_next;
    bool holding; /* held[] goes out behind the next frame */
    uint32_t duplicate_frames_left;
    uint32_t half_frame_bytes; /* of the next frame; 0 = whole */
    uint32_t cut_bytes;        /* of each of the next cut_frames_left */
    uint32_t cut_frames_left;
    uint32_t corrupt_frames_left;
    bool frozen;                       /* shows frozen_sample again and again, with numbers and times that go on */
    bool sampled;                      /* frozen_sample is there */
    int64_t clock_ahead_ns;            /* of the sensor's own clock */
    struct plant_sample frozen_sample; /* the newest */
    bool repeating;                    /* sends `newest` again and again: nothing of it goes on */
    bool sent_any;
    struct plant_frame newest;
    struct plant_frame held;
    struct plant_frame batch[PLANT_STREAM_BATCH_FRAMES];
    unsigned batch_count;
    uint64_t frames_sent, frames_dropped, frames_unread, frames_gone;
    /* Where to: one of the two. */
    struct plant_tty *tty;
    int udp_fd;
    struct plant_address udp_to;
    void (*sent)(void *context, struct plant_stream *stream, const struct plant_frame *frame, uint64_t sent_ns);
    void *context;
};

static inline uint64_t plant_stream_due_ns(const struct plant_stream *stream, uint64_t index)
{
    return stream->start_ns + index / stream->rate_hz * 1000000000u +
           index % stream->rate_hz * 1000000000u / stream->rate_hz;
}

/* Takes the sample, gives it its sequence number, queues it; sends the batch when it is full. */
void plant_stream_sample(struct plant_stream *stream, struct plant_sensors *sensors,
                         const struct plant_physics *physics, uint64_t tai_ns);
/* One sample more than the schedule has. */
void plant_stream_extra(struct plant_stream *stream, struct plant_sensors *sensors,
                        const struct plant_physics *physics, uint64_t tai_ns);
void plant_stream_flush(struct plant_stream *stream);

#endif
