/* What a file says of itself, before any of it is used. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daq/blackbox_format.h"
#include "daq/record_set.h"
#include "ring/channel_check.h"

/* A lead is read again after its file was opened: its length is bounded by this, too. An end's is not, its index
 * grows with the file. */
#define BLOCK_BYTES_MAX (RECORD_BLOCK_BYTES_MAX + RECORD_LEAD_BYTES + RECORD_ALIGN)

static int check_magic(const struct record_file_header *header, const char *path, struct error *err)
{
    if (header->magic == BLACKBOX_RING_MAGIC) {
        return error_set(err, -EPROTO,
                         "%s: expected a recording, found a ring's file of a trip directory: `sluice replay "
                         "DIRECTORY` reads that",
                         path);
    }
    if (header->magic != RECORD_MAGIC) {
        return error_set(err, -EPROTO,
                         "%s: expected a recording (its first bytes are SLLREC01), found %016" PRIx64
                         ": it is something else, or its header is damaged",
                         path, header->magic);
    }
    if (header->version > RECORD_VERSION) {
        return error_set(err, -EPROTO,
                         "%s: written by a newer release, version %u of the format; this one reads %u: use that "
                         "release",
                         path, header->version, RECORD_VERSION);
    }
    if (header->version != RECORD_VERSION) {
        return error_set(err, -EPROTO, "%s: expected version %u of the format, found %u: the header is damaged",
                         path, RECORD_VERSION, header->version);
    }
    return 0;
}

static bool ends(const char *text, size_t bytes)
{
    return memchr(text, 0, bytes) != NULL;
}

static bool sizes_ok(const struct record_file_header *h)
{
    uint64_t bytes = (uint64_t)h->channels * sizeof(struct ring_channel) + (uint64_t)h->numbers * sizeof(double) +
                     (uint64_t)h->streams * sizeof(struct ring_stream) + h->json_bytes + h->config_bytes;
    return h->header_bytes == RECORD_ALIGN && h->align == RECORD_ALIGN && h->channels <= RING_CHANNELS_MAX &&
           h->numbers <= RING_NUMBERS_MAX && h->streams <= RING_STREAMS_MAX &&
           h->description_bytes <= RECORD_DESCRIPTION_BYTES_MAX && h->description_bytes == bytes;
}

static bool place_ok(const struct record_file_header *h)
{
    return h->stripes >= 1 && h->stripes <= RECORD_STRIPES_MAX && h->stripe < h->stripes &&
           h->payload_bytes <= RING_SLOT_BYTES_MAX;
}

int record_header_check(const struct record_file_header *header, const char *path, struct error *err)
{
    int code = check_magic(header, path, err);
    if (code != 0) {
        return code;
    }
    if (record_crc(0, header, offsetof(struct record_file_header, crc)) != header->crc) {
        return error_set(err, -EPROTO, "%s: the header's checksum is wrong: the file is damaged", path);
    }
    if (!ends(header->instance, RING_NAME_BYTES) || !ends(header->ring, RING_NAME_BYTES) ||
        !ends(header->recorder, RING_NAME_BYTES) || header->ring[0] == 0) {
        return error_set(err, -EPROTO, "%s: the header has a name without an end, or none", path);
    }
    if (!sizes_ok(header) || !place_ok(header)) {
        return error_set(
            err, -EPROTO,
            "%s: the header does not agree with itself: %u channels, %u numbers, %u streams in %" PRIu64
            " bytes, stripe %u of %u, frames of %u bytes",
            path, header->channels, header->numbers, header->streams, header->description_bytes, header->stripe,
            header->stripes, header->payload_bytes);
    }
    return 0;
}

int record_description_check(const struct record_file_header *header, const uint8_t *description, const char *path,
                             struct error *err)
{
    const struct ring_channel *channel = (const struct ring_channel *)(const void *)description;
    const double *number = (const double *)(const void *)(channel + header->channels);
    const struct ring_stream *stream = (const struct ring_stream *)(const void *)(number + header->numbers);
    struct error why = {{0}};
    if (record_crc(0, description, header->description_bytes) != header->description_crc) {
        return error_set(err, -EPROTO, "%s: the description's checksum is wrong: the file is damaged", path);
    }
    for (uint32_t i = 0; i < header->channels; i++) {
        if (ring_channel_check(channel, header->channels, sizeof(*channel), i, number, header->numbers, &why) !=
            0) {
            return error_set(err, -EPROTO, "%s: %.400s", path, why.text);
        }
    }
    for (uint32_t i = 0; i < header->streams; i++) {
        if (!ends(stream[i].name, sizeof(stream[i].name)) || !ends(stream[i].source, sizeof(stream[i].source))) {
            return error_set(err, -EPROTO, "%s: stream %u has a name without an end", path, i);
        }
    }
    return 0;
}

static bool slots_ok(const struct record_file_header *h, const struct record_block *lead)
{
    return h->slot_bytes >= RING_SLOT_BYTES_MIN && h->slot_bytes <= RING_SLOT_BYTES_MAX &&
           h->slot_bytes % RING_CACHE_LINE_BYTES == 0 && h->payload_offset >= RING_DESCRIPTOR_BYTES &&
           h->payload_offset <= h->slot_bytes && h->payload_bytes <= h->slot_bytes - h->payload_offset &&
           lead->frames <= RECORD_BLOCK_BYTES_MAX && lead->frames * h->slot_bytes == lead->payload_bytes;
}

static bool bytes_ok(const struct record_block *lead)
{
    bool ok = lead->lead_bytes == RECORD_LEAD_BYTES && lead->bytes >= RECORD_LEAD_BYTES &&
              lead->bytes % RECORD_ALIGN == 0 && lead->bytes <= INT64_MAX &&
              lead->payload_bytes <= lead->bytes - RECORD_LEAD_BYTES;
    uint64_t padded = RECORD_LEAD_BYTES + record_round_up(lead->payload_bytes, RECORD_ALIGN);
    return ok && (lead->kind == RECORD_END || (lead->bytes <= BLOCK_BYTES_MAX && lead->bytes == padded));
}

static bool positions_ok(const struct record_block *lead)
{
    return lead->first_position <= lead->end_position && lead->end_position < INT64_MAX &&
           lead->frames <= lead->end_position - lead->first_position && lead->number < INT64_MAX &&
           lead->gaps <= RECORD_GAPS_MAX;
}

bool record_lead_check(const struct record_file_header *header, const struct record_block *lead)
{
    if (lead->magic != RECORD_BLOCK_MAGIC || memcmp(lead->run, header->run, RECORD_RUN_BYTES) != 0 ||
        record_crc(0, lead, offsetof(struct record_block, crc)) != lead->crc || !bytes_ok(lead)) {
        return false;
    }
    switch (lead->kind) {
    case RECORD_SLOTS:
        return positions_ok(lead) && slots_ok(header, lead);
    case RECORD_PACKED:
        return positions_ok(lead) && lead->frames <= lead->payload_bytes / RING_DESCRIPTOR_BYTES;
    case RECORD_END:
        return lead->gaps <= RECORD_GAPS_MAX;
    default:
        return false;
    }
}
