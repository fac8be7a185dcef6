/* Attachments, metadata, and the end of an MCAP file. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "tools/export/mcap_write.h"

int mcap_attachment(struct mcap_writer *writer, uint64_t time_ns, const char *name, const char *media_type,
                    const void *data, uint64_t bytes, struct error *err)
{
    struct mcap_bytes *work = &writer->work;
    struct mcap_bytes *index = &writer->attachments;
    uint64_t start = writer->output->bytes;
    size_t at = mcap_open(work, MCAP_ATTACHMENT);
    mcap_put64(work, time_ns);
    mcap_put64(work, time_ns);
    mcap_put_text(work, name);
    mcap_put_text(work, media_type);
    mcap_put64(work, bytes);
    mcap_put(work, data, bytes);
    mcap_put32(work, work->failed ? 0 : (uint32_t)crc32_z(0, work->data + at, work->used - at));
    mcap_close(work, at);
    int code = mcap_drain(writer, work, err);
    at = mcap_open(index, MCAP_ATTACHMENT_INDEX);
    mcap_put64(index, start);
    mcap_put64(index, writer->output->bytes - start);
    mcap_put64(index, time_ns);
    mcap_put64(index, time_ns);
    mcap_put64(index, bytes);
    mcap_put_text(index, name);
    mcap_put_text(index, media_type);
    mcap_close(index, at);
    writer->attachment_count++;
    return code;
}

int mcap_metadata(struct mcap_writer *writer, const char *name, const struct mcap_pair *pairs, uint32_t count,
                  struct error *err)
{
    struct mcap_bytes *work = &writer->work;
    struct mcap_bytes *index = &writer->metadata;
    uint64_t start = writer->output->bytes;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += (uint32_t)(8 + strlen(pairs[i].key) + strlen(pairs[i].value));
    }
    size_t at = mcap_open(work, MCAP_METADATA);
    mcap_put_text(work, name);
    mcap_put32(work, bytes);
    for (uint32_t i = 0; i < count; i++) {
        mcap_put_text(work, pairs[i].key);
        mcap_put_text(work, pairs[i].value);
    }
    mcap_close(work, at);
    int code = mcap_drain(writer, work, err);
    at = mcap_open(index, MCAP_METADATA_INDEX);
    mcap_put64(index, start);
    mcap_put64(index, writer->output->bytes - start);
    mcap_put_text(index, name);
    mcap_close(index, at);
    writer->metadata_count++;
    return code;
}

static void put_statistics(const struct mcap_writer *writer, struct mcap_bytes *to)
{
    size_t at = mcap_open(to, MCAP_STATISTICS);
    mcap_put64(to, writer->message_count);
    mcap_put16(to, writer->schema_count);
    mcap_put32(to, writer->channel_count);
    mcap_put32(to, writer->attachment_count);
    mcap_put32(to, writer->metadata_count);
    mcap_put32(to, writer->chunk_count);
    mcap_put64(to, writer->first_ns);
    mcap_put64(to, writer->last_ns);
    mcap_put32(to, 10u * writer->channel_count);
    for (uint32_t i = 0; i < writer->channel_count; i++) {
        mcap_put16(to, (uint16_t)i);
        mcap_put64(to, writer->count[i]);
    }
    mcap_close(to, at);
}

/* The chunks' index, from where it has waited. */
static int copy_aside(struct mcap_writer *writer, struct error *err)
{
    uint8_t piece[65536];
    off_t at = 0;
    while ((uint64_t)at < writer->aside_bytes) {
        ssize_t n = pread(writer->aside, piece, sizeof(piece), at);
        if (n <= 0) {
            return output_failed(writer->output, n < 0 ? errno : EIO, err);
        }
        int code = output_write(writer->output, piece, (size_t)n, err);
        if (code != 0) {
            return code;
        }
        at += n;
    }
    return 0;
}

/* One group of the summary is written; `from` says where it began. */
static void note_group(struct mcap_writer *writer, struct mcap_bytes *offsets, enum mcap_opcode opcode,
                       uint64_t from)
{
    if (writer->output->bytes == from) {
        return;
    }
    size_t at = mcap_open(offsets, MCAP_SUMMARY_OFFSET);
    mcap_put8(offsets, (uint8_t)opcode);
    mcap_put64(offsets, from);
    mcap_put64(offsets, writer->output->bytes - from);
    mcap_close(offsets, at);
}

static int write_groups(struct mcap_writer *writer, struct mcap_bytes *offsets, struct error *err)
{
    struct mcap_bytes *statistics = &writer->chunk; /* of no other use any more */
    put_statistics(writer, statistics);
    struct {
        enum mcap_opcode opcode;
        struct mcap_bytes *records;
    } group[] = {{MCAP_SCHEMA, &writer->schemas},
                 {MCAP_CHANNEL, &writer->channels},
                 {MCAP_STATISTICS, statistics},
                 {MCAP_ATTACHMENT_INDEX, &writer->attachments},
                 {MCAP_METADATA_INDEX, &writer->metadata}};
    for (size_t i = 0; i < sizeof(group) / sizeof(group[0]); i++) {
        uint64_t from = writer->output->bytes;
        int code = mcap_drain(writer, group[i].records, err);
        if (code != 0) {
            return code;
        }
        note_group(writer, offsets, group[i].opcode, from);
    }
    uint64_t from = writer->output->bytes;
    int code = copy_aside(writer, err);
    note_group(writer, offsets, MCAP_CHUNK_INDEX, from);
    return code;
}

int mcap_finish(struct mcap_writer *writer, struct error *err)
{
    struct mcap_bytes *work = &writer->work;
    int code = mcap_flush(writer, err);
    size_t at = mcap_open(work, MCAP_DATA_END);
    mcap_put32(work, writer->output->crc); /* of all before this record */
    mcap_close(work, at);
    code = code != 0 ? code : mcap_drain(writer, work, err);
    uint64_t summary = writer->output->bytes;
    writer->output->crc = 0;
    code = code != 0 ? code : write_groups(writer, work, err);
    uint64_t offsets = writer->output->bytes;
    code = code != 0 ? code : mcap_drain(writer, work, err);
    at = mcap_open(work, MCAP_FOOTER);
    mcap_put64(work, summary);
    mcap_put64(work, offsets);
    if (work->used >= 25) { /* the footer's opcode, length and these two are in the sum, too */
        uint64_t length = 8 + 8 + 4;
        memcpy(work->data + 1, &length, sizeof(length));
        mcap_put32(work, (uint32_t)crc32_z(writer->output->crc, work->data, work->used));
    }
    mcap_put(work, mcap_magic, sizeof(mcap_magic));
    return code != 0 ? code : mcap_drain(writer, work, err);
}
