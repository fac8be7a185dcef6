#include "tools/export/mcap_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

const uint8_t mcap_magic[8] = {0x89, 'M', 'C', 'A', 'P', '0', '\r', '\n'};

static bool make_room(struct mcap_bytes *to, size_t bytes)
{
    size_t room = to->room != 0 ? to->room : 4096;
    if (to->failed) {
        return false;
    }
    while (room - to->used < bytes) {
        room *= 2;
    }
    if (room != to->room) {
        uint8_t *larger = realloc(to->data, room);
        if (larger == NULL) {
            to->failed = true;
            return false;
        }
        to->data = larger;
        to->room = room;
    }
    return true;
}

void mcap_put(struct mcap_bytes *to, const void *data, size_t bytes)
{
    if (bytes > 0 && make_room(to, bytes)) {
        memcpy(to->data + to->used, data, bytes);
        to->used += bytes;
    }
}

void mcap_put8(struct mcap_bytes *to, uint8_t value)
{
    mcap_put(to, &value, sizeof(value));
}

void mcap_put16(struct mcap_bytes *to, uint16_t value)
{
    mcap_put(to, &value, sizeof(value));
}

void mcap_put32(struct mcap_bytes *to, uint32_t value)
{
    mcap_put(to, &value, sizeof(value));
}

void mcap_put64(struct mcap_bytes *to, uint64_t value)
{
    mcap_put(to, &value, sizeof(value));
}

void mcap_put_text(struct mcap_bytes *to, const char *text)
{
    size_t bytes = strlen(text);
    mcap_put32(to, (uint32_t)bytes);
    mcap_put(to, text, bytes);
}

size_t mcap_open(struct mcap_bytes *to, enum mcap_opcode opcode)
{
    mcap_put8(to, (uint8_t)opcode);
    mcap_put64(to, 0);
    return to->used;
}

void mcap_close(struct mcap_bytes *to, size_t at)
{
    uint64_t bytes = to->used - at;
    if (!to->failed) {
        memcpy(to->data + at - sizeof(bytes), &bytes, sizeof(bytes));
    }
}

int mcap_drain(struct mcap_writer *writer, struct mcap_bytes *from, struct error *err)
{
    size_t bytes = from->used;
    from->used = 0;
    if (from->failed) {
        return error_set(err, -ENOMEM, "expected memory for a record of MCAP, got none");
    }
    return bytes == 0 ? 0 : output_write(writer->output, from->data, bytes, err);
}

int mcap_init(struct mcap_writer *writer, struct output *output, const char *library, struct error *err)
{
    *writer = (struct mcap_writer){.output = output, .aside = -1};
    writer->entry = calloc(MCAP_CHUNK_MESSAGES, sizeof(writer->entry[0]));
    writer->count = calloc(UINT16_MAX + 1u, sizeof(writer->count[0])); /* untouched pages are none */
    if (writer->entry == NULL || writer->count == NULL) {
        return error_set(err, -ENOMEM, "expected memory for a chunk's index, got none");
    }
    writer->aside = output_aside(output, err);
    if (writer->aside < 0) {
        return writer->aside;
    }
    output->keeps_crc = true;
    mcap_put(&writer->work, mcap_magic, sizeof(mcap_magic));
    size_t at = mcap_open(&writer->work, MCAP_HEADER);
    mcap_put_text(&writer->work, "");
    mcap_put_text(&writer->work, library);
    mcap_close(&writer->work, at);
    return mcap_drain(writer, &writer->work, err);
}

void mcap_fini(struct mcap_writer *writer)
{
    struct mcap_bytes *all[] = {&writer->schemas,  &writer->channels, &writer->attachments,
                                &writer->metadata, &writer->chunk,    &writer->work};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        free(all[i]->data);
    }
    free(writer->entry);
    free(writer->count);
    if (writer->aside >= 0) {
        close(writer->aside);
    }
    *writer = (struct mcap_writer){.aside = -1};
}

static void put_map(struct mcap_bytes *to, const struct mcap_pair *pairs, uint32_t count)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += (uint32_t)(8 + strlen(pairs[i].key) + strlen(pairs[i].value));
    }
    mcap_put32(to, bytes);
    for (uint32_t i = 0; i < count; i++) {
        mcap_put_text(to, pairs[i].key);
        mcap_put_text(to, pairs[i].value);
    }
}

/* The record just added to a list for the summary, into the chunk as well. */
static int into_chunk(struct mcap_writer *writer, const struct mcap_bytes *list, size_t from, struct error *err)
{
    if (list->failed) {
        return error_set(err, -ENOMEM, "expected memory for a record of MCAP, got none");
    }
    mcap_put(&writer->chunk, list->data + from, list->used - from);
    return 0;
}

int mcap_schema(struct mcap_writer *writer, const char *name, const char *encoding, const char *text,
                struct error *err)
{
    struct mcap_bytes *to = &writer->schemas;
    size_t from = to->used;
    if (writer->schema_count == UINT16_MAX) {
        return error_set(err, -EINVAL, "MCAP holds at most %u schemas; choose rings by --ring", UINT16_MAX);
    }
    size_t at = mcap_open(to, MCAP_SCHEMA);
    mcap_put16(to, ++writer->schema_count);
    mcap_put_text(to, name);
    mcap_put_text(to, encoding);
    mcap_put_text(to, text); /* its data has a length of 32 bits, too */
    mcap_close(to, at);
    int code = into_chunk(writer, to, from, err);
    return code != 0 ? code : writer->schema_count;
}

int mcap_channel(struct mcap_writer *writer, uint16_t schema, const char *topic, const char *encoding,
                 const struct mcap_pair *pairs, uint32_t count, struct error *err)
{
    struct mcap_bytes *to = &writer->channels;
    size_t from = to->used;
    if (writer->channel_count == UINT16_MAX) {
        return error_set(err, -EINVAL, "MCAP holds at most %u channels; choose rings by --ring", UINT16_MAX);
    }
    size_t at = mcap_open(to, MCAP_CHANNEL);
    mcap_put16(to, writer->channel_count);
    mcap_put16(to, schema);
    mcap_put_text(to, topic);
    mcap_put_text(to, encoding);
    put_map(to, pairs, count);
    mcap_close(to, at);
    int code = into_chunk(writer, to, from, err);
    return code != 0 ? code : writer->channel_count++;
}

int mcap_message(struct mcap_writer *writer, uint16_t channel, uint32_t sequence, uint64_t time_ns,
                 const void *data, uint32_t bytes, struct error *err)
{
    struct mcap_bytes *to = &writer->chunk;
    if (writer->entries == MCAP_CHUNK_MESSAGES || to->used + bytes > MCAP_CHUNK_BYTES) {
        int code = mcap_flush(writer, err);
        if (code != 0) {
            return code;
        }
    }
    if (writer->entries == 0 || time_ns < writer->chunk_first_ns) {
        writer->chunk_first_ns = time_ns;
    }
    if (writer->entries == 0 || time_ns > writer->chunk_last_ns) {
        writer->chunk_last_ns = time_ns;
    }
    writer->entry[writer->entries++] =
        (struct mcap_entry){.time_ns = time_ns, .offset = to->used, .channel = channel};
    size_t at = mcap_open(to, MCAP_MESSAGE);
    mcap_put16(to, channel);
    mcap_put32(to, sequence);
    mcap_put64(to, time_ns);
    mcap_put64(to, time_ns);
    mcap_put(to, data, bytes);
    mcap_close(to, at);
    writer->count[channel]++;
    return 0;
}

/* One index for each channel that is in the chunk, and where each begins for the chunk's own (a map in `offsets`).
 * Channels of a ring are few and adjoin. */
static void put_indexes(struct mcap_writer *writer, struct mcap_bytes *to, uint64_t begins,
                        struct mcap_bytes *offsets)
{
    uint16_t low = UINT16_MAX;
    uint16_t high = 0;
    for (uint32_t i = 0; i < writer->entries; i++) {
        low = writer->entry[i].channel < low ? writer->entry[i].channel : low;
        high = writer->entry[i].channel > high ? writer->entry[i].channel : high;
    }
    for (uint32_t channel = low; channel <= high && writer->entries > 0; channel++) {
        uint64_t offset = begins + to->used;
        uint32_t bytes = 0;
        for (uint32_t i = 0; i < writer->entries; i++) {
            bytes += writer->entry[i].channel == channel ? 16 : 0;
        }
        if (bytes == 0) {
            continue;
        }
        size_t at = mcap_open(to, MCAP_MESSAGE_INDEX);
        mcap_put16(to, (uint16_t)channel);
        mcap_put32(to, bytes);
        for (uint32_t i = 0; i < writer->entries; i++) {
            if (writer->entry[i].channel == channel) {
                mcap_put64(to, writer->entry[i].time_ns);
                mcap_put64(to, writer->entry[i].offset);
            }
        }
        mcap_close(to, at);
        mcap_put16(offsets, (uint16_t)channel);
        mcap_put64(offsets, offset);
    }
}

static int write_aside(struct mcap_writer *writer, const struct mcap_bytes *record, struct error *err)
{
    for (size_t done = 0; done < record->used;) {
        ssize_t n = write(writer->aside, record->data + done, record->used - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return output_failed(writer->output, n < 0 ? errno : ENOSPC, err);
        }
        done += (size_t)n;
    }
    writer->aside_bytes += record->used;
    return 0;
}

/* What the summary will say of the chunk. */
static int note_chunk(struct mcap_writer *writer, uint64_t start, uint64_t length, uint64_t index_bytes,
                      const struct mcap_bytes *offsets, uint64_t records, struct error *err)
{
    struct mcap_bytes record = {.data = NULL};
    size_t at = mcap_open(&record, MCAP_CHUNK_INDEX);
    mcap_put64(&record, writer->chunk_first_ns);
    mcap_put64(&record, writer->chunk_last_ns);
    mcap_put64(&record, start);
    mcap_put64(&record, length);
    mcap_put32(&record, (uint32_t)offsets->used);
    mcap_put(&record, offsets->data, offsets->used);
    mcap_put64(&record, index_bytes);
    mcap_put_text(&record, "");
    mcap_put64(&record, records);
    mcap_put64(&record, records);
    mcap_close(&record, at);
    int code = record.failed || offsets->failed
                   ? error_set(err, -ENOMEM, "expected memory for a chunk's index, got none")
                   : write_aside(writer, &record, err);
    free(record.data);
    return code;
}

static void take_times(struct mcap_writer *writer)
{
    if (writer->entries == 0) {
        writer->chunk_first_ns = writer->chunk_last_ns = 0; /* as the specification says of an empty one */
        return;
    }
    if (writer->message_count == 0 || writer->chunk_first_ns < writer->first_ns) {
        writer->first_ns = writer->chunk_first_ns;
    }
    if (writer->message_count == 0 || writer->chunk_last_ns > writer->last_ns) {
        writer->last_ns = writer->chunk_last_ns;
    }
    writer->message_count += writer->entries;
}

int mcap_flush(struct mcap_writer *writer, struct error *err)
{
    struct mcap_bytes *work = &writer->work;
    struct mcap_bytes *chunk = &writer->chunk;
    struct mcap_bytes offsets = {.data = NULL};
    uint64_t start = writer->output->bytes;
    uint64_t records = chunk->used;
    if (records == 0) {
        return 0;
    }
    take_times(writer);
    uint32_t crc = chunk->failed ? 0 : (uint32_t)crc32_z(0, chunk->data, chunk->used);
    mcap_put8(work, MCAP_CHUNK);
    mcap_put64(work, 8 + 8 + 8 + 4 + 4 + 8 + records);
    mcap_put64(work, writer->chunk_first_ns);
    mcap_put64(work, writer->chunk_last_ns);
    mcap_put64(work, records);
    mcap_put32(work, crc);
    mcap_put_text(work, "");
    mcap_put64(work, records);
    int code = mcap_drain(writer, work, err);
    code = code != 0 ? code : mcap_drain(writer, chunk, err);
    uint64_t length = writer->output->bytes - start;
    put_indexes(writer, work, start + length, &offsets);
    uint64_t index_bytes = work->used;
    code = code != 0 ? code : mcap_drain(writer, work, err);
    code = code != 0 ? code : note_chunk(writer, start, length, index_bytes, &offsets, records, err);
    free(offsets.data);
    writer->chunk_count++;
    writer->entries = 0;
    return code;
}
