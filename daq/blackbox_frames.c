#include <errno.h>
#include <string.h>

#include "daq/blackbox.h"

#define FRAMES_AT_ONCE 4096u /* then the journal has its turn */

static void put(struct blackbox_frames *frames, const void *data, size_t bytes)
{
    errno = 0;
    if (frames->error == 0 && fwrite(data, 1, bytes, frames->file) != bytes) {
        frames->error = errno != 0 ? -errno : -EIO;
    }
    frames->checksum = blackbox_checksum(frames->checksum, data, bytes);
    frames->bytes += bytes;
}

static void put_header(struct blackbox_frames *frames)
{
    const struct ring_view *view = &frames->reader.view;
    const struct ring_identity *id = &view->header->identity;
    uint32_t streams = id->streams < RING_STREAMS_MAX ? id->streams : RING_STREAMS_MAX;
    struct blackbox_ring_header header = {.magic = BLACKBOX_RING_MAGIC,
                                          .version = BLACKBOX_VERSION,
                                          .header_bytes = sizeof(header),
                                          .channels = view->channel_count,
                                          .streams = streams,
                                          .stamp = id->stamp,
                                          .utc_offset_s = id->utc_offset_s,
                                          .tai_minus_monotonic_ns = id->tai_minus_monotonic_ns,
                                          .created_tai_ns = id->created_tai_ns,
                                          .slots = view->slot_count,
                                          .payload_bytes = view->payload_bytes};
    size_t channel_bytes = view->channel_count * sizeof(struct ring_channel);
    size_t stream_bytes = streams * sizeof(struct ring_stream);
    memcpy(header.instance, id->instance, sizeof(header.instance));
    memcpy(header.name, id->name, sizeof(header.name));
    uint64_t sum =
        blackbox_checksum(BLACKBOX_CHECKSUM_START, &header, offsetof(struct blackbox_ring_header, checksum));
    sum = blackbox_checksum(sum, ring_channels(view), channel_bytes);
    header.checksum = blackbox_checksum(sum, view->header->stream, stream_bytes);
    put(frames, &header, sizeof(header));
    put(frames, ring_channels(view), channel_bytes);
    put(frames, view->header->stream, stream_bytes);
}

/* What a frame takes in the file, guessed by the newest one. */
static uint64_t bytes_per_frame(const struct ring_view *view, uint64_t end)
{
    uint64_t rest = end > 0 ? __atomic_load_n(&ring_descriptor_at(view, end - 1)->rest, __ATOMIC_RELAXED) : 0;
    return sizeof(struct blackbox_record) + blackbox_padded(rest & 0xffff);
}

void blackbox_frames_begin(struct blackbox_frames *frames, FILE *file, uint64_t from_tai_ns, uint64_t from,
                           uint64_t bytes_max)
{
    struct ring_reader reader = frames->reader;
    *frames = (struct blackbox_frames){
        .reader = reader, .file = file, .checksum = BLACKBOX_CHECKSUM_START, .bytes_max = bytes_max};
    put_header(frames);
    const struct ring_view *view = &frames->reader.view;
    uint64_t end = ring_published_now(view->header);
    uint64_t at = ring_reader_seek_time(&frames->reader, from_tai_ns);
    frames->first = from < at ? from : at;
    at = ring_reader_seek_position(&frames->reader, frames->first);
    /* The newest are worth most: the oldest are left out if all together would not fit. */
    uint64_t fit = bytes_max / 4 * 3 / bytes_per_frame(view, end);
    if (end > at && end - at > fit) {
        frames->cut = true;
        ring_reader_seek_position(&frames->reader, end - fit);
    }
    frames->next = frames->first;
}

static void put_frame(struct blackbox_frames *frames, const struct sluice_frame *frame, const uint8_t *payload)
{
    static const uint8_t zeros[BLACKBOX_ALIGN];
    struct blackbox_record record = {
        .kind = BLACKBOX_FRAME,
        .length_bytes = frame->length_bytes,
        .position = frame->position,
        .tai_ns = frame->tai_ns,
        .source_sequence = frame->source_sequence,
        .flags = (uint16_t)(frame->flags | frame->cause << RING_FLAG_CAUSE_SHIFT),
        .stream = frame->stream,
        .lost_before = (uint16_t)(frame->lost_before < UINT16_MAX ? frame->lost_before : UINT16_MAX)};
    uint64_t sum = blackbox_checksum(BLACKBOX_CHECKSUM_START, &record, offsetof(struct blackbox_record, checksum));
    record.checksum = blackbox_checksum(sum, payload, frame->length_bytes);
    put(frames, &record, sizeof(record));
    put(frames, payload, frame->length_bytes);
    put(frames, zeros, blackbox_padded(frame->length_bytes) - frame->length_bytes);
    frames->missing += frame->position - frames->next;
    frames->next = frame->position + 1;
    frames->first_tai_ns = frames->frames == 0 ? frame->tai_ns : frames->first_tai_ns;
    frames->last_tai_ns = frame->tai_ns;
    frames->frames++;
}

bool blackbox_frames_copy(struct blackbox_frames *frames)
{
    static uint8_t payload[RING_SLOT_BYTES_MAX];
    struct sluice_frame frame;
    for (uint32_t i = 0; i < FRAMES_AT_ONCE; i++) {
        if (frames->error != 0 || ring_reader_next(&frames->reader, &frame) == 0) {
            return false;
        }
        if (frames->bytes + sizeof(struct blackbox_record) + blackbox_padded(frame.length_bytes) >
            frames->bytes_max) {
            frames->cut = true;
            continue;
        }
        memcpy(payload, frame.payload, frame.length_bytes);
        if (ring_reader_valid(&frames->reader, frame.position) && frame.position >= frames->next) {
            put_frame(frames, &frame, payload);
        }
    }
    return true;
}

void blackbox_frames_end(struct blackbox_frames *frames)
{
    struct blackbox_record record = {
        .kind = BLACKBOX_END, .position = frames->frames, .source_sequence = frames->missing};
    record.checksum =
        blackbox_checksum(BLACKBOX_CHECKSUM_START, &record, offsetof(struct blackbox_record, checksum));
    put(frames, &record, sizeof(record));
}
