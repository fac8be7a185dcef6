#include "tools/plant/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "tools/plant/clock.h"

static void queue(struct plant_stream *stream, const struct plant_frame *frame)
{
    if (stream->batch_count == PLANT_STREAM_BATCH_FRAMES)
        plant_stream_flush(stream);
    stream->batch[stream->batch_count++] = *frame;
}

static void queue_with_duplicate(struct plant_stream *stream, struct plant_frame *frame)
{
    queue(stream, frame);
    if (stream->duplicate_frames_left == 0)
        return;
    stream->duplicate_frames_left--;
    frame->repeated = true;
    queue(stream, frame);
}

/* What is taken away from a frame once it is whole. */
static void damage(struct plant_stream *stream, struct plant_frame *frame)
{
    if (stream->half_frame_bytes != 0) {
        frame->length_bytes = stream->half_frame_bytes;
        stream->half_frame_bytes = 0;
    } else if (stream->cut_frames_left > 0) {
        frame->length_bytes = stream->cut_bytes;
        stream->cut_frames_left--;
    }
    if (stream->corrupt_frames_left > 0) {
        frame->bytes[16 + frame->sequence % 12] ^= (uint8_t)(1u << frame->sequence % 8); /* a bit of a value */
        stream->corrupt_frames_left--;
        frame->damaged = true;
    }
    frame->damaged |= frame->length_bytes < PLANT_FRAME_BYTES;
}

static void queue_in_order(struct plant_stream *stream, struct plant_frame *frame)
{
    if (stream->reorder_next) {
        stream->reorder_next = false;
        stream->holding = true;
        stream->held = *frame;
        return;
    }
    queue_with_duplicate(stream, frame);
    if (stream->holding) {
        stream->holding = false;
        queue_with_duplicate(stream, &stream->held);
    }
}

void plant_stream_extra(struct plant_stream *stream, struct plant_sensors *sensors,
                        const struct plant_physics *physics, uint64_t tai_ns)
{
    struct plant_frame frame = {.length_bytes = PLANT_FRAME_BYTES, .sequence = stream->sequence++};
    struct plant_sample sample;

    /* Taken even when it is not sent: the noise of later samples must not depend on it. */
    plant_sensors_sample(sensors, physics, stream->id, &sample);
    if (stream->gone) {
        stream->frames_gone++;
        return;
    }
    if (stream->repeating && stream->sent_any) {
        stream->sequence--;
        queue(stream, &stream->newest);
        return;
    }
    if (stream->frozen && stream->sampled)
        sample = stream->frozen_sample;
    stream->frozen_sample = sample;
    stream->sampled = true;
    sample.sequence = frame.sequence;
    sample.tai_ns = tai_ns + (uint64_t)stream->clock_ahead_ns;
    frame.chamber_kpa = sample.chamber_kpa;
    plant_frame_encode(&sample, frame.bytes);
    damage(stream, &frame);
    stream->newest = frame;
    stream->newest.repeated = true;
    stream->sent_any = true;
    queue_in_order(stream, &frame);
}

void plant_stream_sample(struct plant_stream *stream, struct plant_sensors *sensors,
                         const struct plant_physics *physics, uint64_t tai_ns)
{
    stream->due_index++;
    plant_stream_extra(stream, sensors, physics, tai_ns);
}

static void flush_serial(struct plant_stream *stream)
{
    for (unsigned i = 0; i < stream->batch_count; i++) {
        const struct plant_frame *frame = &stream->batch[i];
        uint64_t before_ns = plant_clock_now_ns();

        switch (plant_tty_write(stream->tty, frame->bytes, frame->length_bytes)) {
        case PLANT_TTY_SENT:
            stream->frames_sent++;
            stream->sent(stream->context, stream, frame, before_ns);
            break;
        case PLANT_TTY_FULL:
            stream->frames_dropped++;
            break;
        case PLANT_TTY_NO_READER:
            stream->frames_unread++;
            break;
        }
    }
}

static void flush_udp(struct plant_stream *stream)
{
    struct mmsghdr messages[PLANT_STREAM_BATCH_FRAMES];
    struct iovec parts[PLANT_STREAM_BATCH_FRAMES];
    unsigned done = 0;

    memset(messages, 0, sizeof(messages[0]) * stream->batch_count);
    for (unsigned i = 0; i < stream->batch_count; i++) {
        parts[i] = (struct iovec){.iov_base = stream->batch[i].bytes, .iov_len = stream->batch[i].length_bytes};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &stream->udp_to.storage,
                                              .msg_namelen = stream->udp_to.length_bytes,
                                              .msg_iov = &parts[i],
                                              .msg_iovlen = 1};
    }
    while (done < stream->batch_count) {
        uint64_t before_ns = plant_clock_now_ns();
        int sent = sendmmsg(stream->udp_fd, messages + done, stream->batch_count - done, MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0) { /* nobody waits for a full socket or a missing route: this one is lost, try the next */
            stream->frames_dropped++;
            done++;
            continue;
        }
        for (int i = 0; i < sent; i++)
            stream->sent(stream->context, stream, &stream->batch[done + (unsigned)i], before_ns);
        stream->frames_sent += (unsigned)sent;
        done += (unsigned)sent;
    }
}

void plant_stream_flush(struct plant_stream *stream)
{
    if (stream->batch_count == 0)
        return;
    if (stream->id == PLANT_STREAM_SERIAL)
        flush_serial(stream);
    else
        flush_udp(stream);
    stream->batch_count = 0;
}
