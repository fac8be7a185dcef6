/* What a ring says of itself, to its readers and to who looks at the server. Cold. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ring/channel.h"
#include "ring/channel_check.h"
#include "ring/handle.h"

static_assert(sizeof(((struct sluice_ledger *)0)->lost) / 8 == RING_LOSSES &&
                  sizeof(((struct sluice_ledger *)0)->refused) / 8 == RING_REFUSALS,
              "what is installed is what is here");

/* What is decoded with is what has been checked. */
static int copy_channels(struct sluice_tables *tables, const struct ring_view *view, struct error *err)
{
    int code = 0;
    memcpy(tables->channel, ring_channels(view), view->channel_count * sizeof(tables->channel[0]));
    memcpy(tables->number, ring_numbers(view), view->number_count * sizeof(tables->number[0]));
    for (uint32_t i = 0; code == 0 && i < view->channel_count; i++) {
        code = ring_channel_check(tables->channel, view->channel_count, sizeof(tables->channel[0]), i,
                                  tables->number, view->number_count, err);
    }
    return code;
}

int sluice_tables_copy(struct sluice_tables *tables, const struct ring_view *view, struct error *err)
{
    int code = copy_channels(tables, view, err);
    if (code != 0) {
        return code;
    }
    struct ring_identity *id = &tables->identity;
    *id = view->header->identity;
    /* The header may have changed since it was checked: what tells how much there is is what was checked. */
    id->slots = view->slot_count;
    id->slot_bytes = view->slot_bytes;
    id->payload_offset = view->payload_offset;
    id->channels = view->channel_count;
    id->numbers = view->number_count;
    id->instance[RING_NAME_BYTES - 1] = 0;
    id->name[RING_NAME_BYTES - 1] = 0;
    id->streams = id->streams < 1 ? 1 : id->streams > RING_STREAMS_MAX ? RING_STREAMS_MAX : id->streams;
    memcpy(tables->stream, view->header->stream, sizeof(tables->stream));
    for (uint32_t i = 0; i < RING_STREAMS_MAX; i++) {
        tables->stream[i].name[RING_NAME_BYTES - 1] = 0;
        tables->stream[i].source[sizeof(tables->stream[i].source) - 1] = 0;
    }
    return 0;
}

int sluice_say(int code, const struct error *err, char *error, size_t bytes)
{
    if (code != 0 && error != NULL && bytes > 0) {
        snprintf(error, bytes, "%s", err->text[0] != 0 ? err->text : strerror(-code));
    }
    return code;
}

void sluice_tell_ring(const struct sluice_tables *tables, const struct ring_view *view, struct sluice_ring *ring)
{
    const struct ring_identity *id = &tables->identity;
    *ring = (struct sluice_ring){.slots = view->slot_count,
                                 .slot_bytes = view->slot_bytes,
                                 .payload_offset = view->payload_offset,
                                 .payload_bytes = view->payload_bytes,
                                 .channels = view->channel_count,
                                 .streams = id->streams,
                                 .stamp = id->stamp,
                                 .page_bytes = id->page_bytes,
                                 .created_tai_ns = id->created_tai_ns,
                                 .tai_minus_monotonic_ns = id->tai_minus_monotonic_ns,
                                 .utc_offset_s = id->utc_offset_s,
                                 .numa_node = id->numa_node};
    memcpy(ring->instance, id->instance, sizeof(ring->instance));
    memcpy(ring->name, id->name, sizeof(ring->name));
}

int sluice_tell_stream(const struct sluice_tables *tables, uint32_t index, struct sluice_stream *stream)
{
    if (index >= tables->identity.streams) {
        return -ERANGE;
    }
    const struct ring_stream *s = &tables->stream[index];
    *stream = (struct sluice_stream){.frame_bytes = s->frame_bytes,
                                     .sequence_width_bytes = s->sequence_width_bytes,
                                     .sequence_step = s->sequence_step};
    memcpy(stream->name, s->name, sizeof(stream->name));
    memcpy(stream->source, s->source, sizeof(stream->source));
    return 0;
}

int sluice_tell_channel(const struct sluice_tables *tables, uint32_t index, struct sluice_channel *channel)
{
    if (index >= tables->identity.channels) {
        return -ERANGE;
    }
    const struct ring_channel *c = &tables->channel[index];
    *channel = (struct sluice_channel){.at_byte = c->at_byte,
                                       .type = c->type,
                                       .big_endian = c->byte_order == RING_BIG_ENDIAN,
                                       .calibration = (uint8_t)c->calibration,
                                       .bits = c->bits,
                                       .shift = c->shift,
                                       .scale = c->scale,
                                       .offset = c->offset,
                                       .range_low = c->range_low,
                                       .range_high = c->range_high};
    memcpy(channel->name, c->name, sizeof(channel->name));
    memcpy(channel->unit, c->unit, sizeof(channel->unit));
    return 0;
}

/* The stamp of a position, 0 if it is overwritten meanwhile. */
static uint64_t stamp_at(const struct ring_view *view, uint64_t position)
{
    uint64_t tai_ns = __atomic_load_n(&ring_descriptor_at(view, position)->tai_ns, __ATOMIC_RELAXED);
    ring_reads_before();
    return ring_claimed_now(view->header) - position <= view->slot_count ? tai_ns : 0;
}

#define PROGRESS_TRIES 8 /* the oldest frame of a fast ring goes while it is looked at */

void sluice_tell_progress(const struct ring_view *view, struct sluice_progress *progress)
{
    *progress = (struct sluice_progress){.epoch = __atomic_load_n(&view->header->progress.epoch, __ATOMIC_ACQUIRE),
                                         .writer_pid =
                                             __atomic_load_n(&view->header->progress.writer_pid, __ATOMIC_RELAXED)};
    for (int i = 0; i < PROGRESS_TRIES; i++) {
        progress->published = ring_published_now(view->header);
        progress->oldest = ring_oldest(ring_claimed_now(view->header), view->slot_count);
        if (progress->oldest >= progress->published) {
            progress->oldest = progress->published;
            progress->oldest_tai_ns = progress->newest_tai_ns = 0;
            return;
        }
        if (progress->published - progress->oldest > view->slot_count) { /* scribbled: never more than a ring */
            progress->oldest = progress->published - view->slot_count;
        }
        progress->newest_tai_ns = stamp_at(view, progress->published - 1);
        progress->oldest_tai_ns = stamp_at(view, progress->oldest);
        if (progress->oldest_tai_ns != 0 && progress->newest_tai_ns != 0) {
            return;
        }
    }
}

void sluice_tell_ledger(const struct ring_view *view, struct sluice_ledger *ledger)
{
    const struct ring_ledger *l = &view->header->ledger;
    *ledger = (struct sluice_ledger){.sent = ring_count_read(&l->sent),
                                     .delivered = ring_count_read(&l->delivered),
                                     .duplicated = ring_count_read(&l->duplicated),
                                     .reordered = ring_count_read(&l->reordered),
                                     .noise_bytes = ring_count_read(&l->noise_bytes),
                                     .gap_records = ring_count_read(&l->gap_records),
                                     .connects = ring_count_read(&l->connects),
                                     .disconnects = ring_count_read(&l->disconnects),
                                     .is_open = ring_count_read(&l->is_open),
                                     .bytes = ring_count_read(&l->bytes)};
    uint64_t accounted = ledger->delivered;
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        ledger->lost[i] = ring_count_read(&l->lost[i]);
        accounted += ledger->lost[i];
        ledger->refused[i] = ring_count_read(&l->refused[i]);
    }
    ledger->residual = (int64_t)(ledger->sent - accounted);
}

void sluice_tell_rate(const struct sluice_tables *tables, const struct ring_view *view, struct sluice_rate *rate)
{
    struct ring_rate copy;
    ring_rate_read(&view->header->rate, &copy);
    *rate = (struct sluice_rate){.nominal_hz = tables->stream[0].nominal_hz,
                                 .measured_hz = ring_rate_measured_hz(&copy),
                                 .window_ns = copy.window_ns,
                                 .frames = copy.frames,
                                 .interval_ns_min = copy.interval_ns_min,
                                 .interval_ns_max = copy.interval_ns_max,
                                 .missed = copy.missed};
}

void sluice_ring(const struct sluice_reader *reader, struct sluice_ring *ring)
{
    sluice_tell_ring(&reader->tables, &reader->ring.view, ring);
}

int sluice_stream(const struct sluice_reader *reader, uint32_t index, struct sluice_stream *stream)
{
    return sluice_tell_stream(&reader->tables, index, stream);
}

uint32_t sluice_channels(const struct sluice_reader *reader)
{
    return reader->tables.identity.channels;
}

int sluice_channel(const struct sluice_reader *reader, uint32_t index, struct sluice_channel *channel)
{
    return sluice_tell_channel(&reader->tables, index, channel);
}

void sluice_progress(const struct sluice_reader *reader, struct sluice_progress *progress)
{
    sluice_tell_progress(&reader->ring.view, progress);
}

void sluice_ledger(const struct sluice_reader *reader, struct sluice_ledger *ledger)
{
    sluice_tell_ledger(&reader->ring.view, ledger);
}

void sluice_rate(const struct sluice_reader *reader, struct sluice_rate *rate)
{
    sluice_tell_rate(&reader->tables, &reader->ring.view, rate);
}

const char *sluice_loss_name(uint32_t cause)
{
    return ring_loss_name(cause);
}

const char *sluice_refusal_name(uint32_t reason)
{
    return ring_refusal_name(reason);
}

const char *sluice_type_name(uint32_t type)
{
    return ring_type_name(type);
}
