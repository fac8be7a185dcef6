#include "daq/blackbox_read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ring/channel_check.h"

#define RELEASE "it was written by another release, or is damaged; replay it with the release that wrote it"

static int check_header(const struct blackbox_ring_header *header, size_t bytes, struct error *err)
{
    if (bytes < sizeof(*header) || header->magic != BLACKBOX_RING_MAGIC) {
        return error_set(
            err, -EPROTO,
            "expected a ring file (ring-NAME" BLACKBOX_RING_SUFFIX "), found %zu bytes of something else", bytes);
    }
    if (header->version != BLACKBOX_VERSION || header->header_bytes != sizeof(*header)) {
        return error_set(err, -EPROTO, "expected a ring file of version %u, found %u: " RELEASE, BLACKBOX_VERSION,
                         header->version);
    }
    if (header->channels > RING_CHANNELS_MAX || header->streams > RING_STREAMS_MAX ||
        header->payload_bytes > RING_SLOT_BYTES_MAX || memchr(header->name, 0, sizeof(header->name)) == NULL) {
        return error_set(err, -EPROTO,
                         "the ring file's header is damaged: %u channels, %u streams, frames of %u bytes",
                         header->channels, header->streams, header->payload_bytes);
    }
    return 0;
}

static size_t tables_bytes(const struct blackbox_ring_header *header)
{
    return header->channels * sizeof(struct ring_channel) + header->streams * sizeof(struct ring_stream);
}

static int check_tables(const struct blackbox_ring *ring, size_t bytes, struct error *err)
{
    const struct blackbox_ring_header *header = &ring->header;
    if (bytes - sizeof(*header) < tables_bytes(header)) {
        return error_set(err, -EPROTO, "ring %s: the file ends within its header", header->name);
    }
    uint64_t sum =
        blackbox_checksum(BLACKBOX_CHECKSUM_START, header, offsetof(struct blackbox_ring_header, checksum));
    if (blackbox_checksum(sum, ring->data + sizeof(*header), tables_bytes(header)) != header->checksum) {
        return error_set(err, -EPROTO, "ring %s: the header's checksum is wrong: the file is damaged",
                         header->name);
    }
    for (uint32_t i = 0; i < header->channels; i++) {
        const struct ring_channel *channel = &ring->channel[i];
        if (memchr(channel->name, 0, sizeof(channel->name)) == NULL ||
            memchr(channel->unit, 0, sizeof(channel->unit)) == NULL) {
            return error_set(err, -EPROTO, "ring %s: channel %u has a name without an end", header->name, i);
        }
    }
    return 0;
}

static bool record_is_whole(const struct blackbox_record *record, const uint8_t *payload)
{
    uint64_t sum = blackbox_checksum(BLACKBOX_CHECKSUM_START, record, offsetof(struct blackbox_record, checksum));
    return blackbox_checksum(sum, payload, record->length_bytes) == record->checksum;
}

/* The record at `at`: its length with payload and padding, 0: it is none. */
static size_t check_record(const struct blackbox_ring *ring, size_t at, size_t bytes,
                           struct blackbox_record *record)
{
    if (bytes - at < sizeof(*record)) {
        return 0;
    }
    memcpy(record, ring->data + at, sizeof(*record));
    size_t whole = sizeof(*record) + blackbox_padded(record->length_bytes);
    bool kind_ok = record->kind == BLACKBOX_FRAME || record->kind == BLACKBOX_END;
    if (!kind_ok || record->length_bytes > ring->header.payload_bytes || bytes - at < whole ||
        !record_is_whole(record, ring->data + at + sizeof(*record))) {
        return 0;
    }
    return whole;
}

/* Counts the records, and notes where they are if there is an index for them. */
static int walk(struct blackbox_ring *ring, size_t bytes, struct error *err)
{
    const char *name = ring->header.name;
    struct blackbox_record record = {.kind = 0};
    uint64_t next = 0;
    size_t at = sizeof(ring->header) + tables_bytes(&ring->header);
    for (;;) {
        size_t whole = check_record(ring, at, bytes, &record);
        if (whole == 0) {
            return error_set(
                err, -EPROTO,
                "ring %s: expected a record at byte %zu of %zu, found damage, or the file's end, behind "
                "%" PRIu64 " frames",
                name, at, bytes, ring->frames);
        }
        if (record.kind == BLACKBOX_END) {
            break;
        }
        if (record.position < next || record.position == UINT64_MAX) {
            return error_set(err, -EPROTO, "ring %s: position %" PRIu64 " comes after %" PRIu64, name,
                             record.position, next);
        }
        next = record.position + 1;
        if (ring->offset != NULL) {
            ring->offset[ring->frames] = at;
        }
        ring->frames++;
        at += whole;
    }
    if (record.position != ring->frames || at + sizeof(record) != bytes) {
        return error_set(err, -EPROTO, "ring %s: expected %" PRIu64 " frames and then the end, found %" PRIu64,
                         name, record.position, ring->frames);
    }
    return 0;
}

int blackbox_ring_open(struct blackbox_ring *ring, const struct blackbox_bytes *file, struct error *err)
{
    *ring = (struct blackbox_ring){.data = file->data};
    if (file->bytes >= sizeof(ring->header)) {
        memcpy(&ring->header, file->data, sizeof(ring->header));
    }
    int code = check_header(&ring->header, file->bytes, err);
    if (code != 0) {
        return code;
    }
    ring->channel = (const struct ring_channel *)(const void *)(ring->data + sizeof(ring->header));
    ring->stream = (const struct ring_stream *)(const void *)(ring->channel + ring->header.channels);
    code = check_tables(ring, file->bytes, err);
    if (code == 0) {
        code = walk(ring, file->bytes, err);
    }
    if (code == 0) {
        ring->offset = calloc(ring->frames + 1, sizeof(*ring->offset));
        ring->frames = 0;
        code = ring->offset == NULL
                   ? error_set(err, -ENOMEM, "no memory for the frames of ring %s", ring->header.name)
                   : walk(ring, file->bytes, err);
    }
    if (code != 0) {
        blackbox_ring_close(ring);
    }
    return code;
}

void blackbox_ring_close(struct blackbox_ring *ring)
{
    free(ring->offset);
    ring->offset = NULL;
    ring->frames = 0;
}

void blackbox_ring_at(const struct blackbox_ring *ring, uint64_t index, struct sluice_frame *frame)
{
    struct blackbox_record record;
    memcpy(&record, ring->data + ring->offset[index], sizeof(record));
    *frame = (struct sluice_frame){.payload = ring->data + ring->offset[index] + sizeof(record),
                                   .position = record.position,
                                   .tai_ns = record.tai_ns,
                                   .source_sequence = record.source_sequence,
                                   .length_bytes = record.length_bytes,
                                   .flags = record.flags & 0xffu,
                                   .cause = (uint16_t)(record.flags >> RING_FLAG_CAUSE_SHIFT),
                                   .lost_before = record.lost_before,
                                   .stream = record.stream};
}

bool blackbox_ring_find(const struct blackbox_ring *ring, uint64_t position, struct sluice_frame *frame)
{
    uint64_t low = 0;
    uint64_t high = ring->frames;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        blackbox_ring_at(ring, middle, frame);
        if (frame->position == position) {
            return true;
        }
        if (frame->position < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

static bool ends(const char *text, size_t bytes)
{
    return memchr(text, 0, bytes) != NULL;
}

/* What frames are decoded with. The indices are within bounds already. */
static int check_calibrations(const struct control_table *table, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < table->rings; i++) {
        const struct control_ring *ring = &table->ring[i];
        if (ring->first_number > table->numbers || ring->numbers > table->numbers - ring->first_number) {
            return error_set(err, -EPROTO, "the interlock's table is damaged: ring %s has numbers %u to %u of %u",
                             ring->name, ring->first_number, ring->first_number + ring->numbers, table->numbers);
        }
        const struct control_channel *first = &table->channel[ring->first_channel];
        for (uint32_t c = 0; code == 0 && c < ring->channels; c++) {
            code = ring_channel_check(&first->decode, ring->channels, sizeof(*first), c,
                                      &table->number[ring->first_number], ring->numbers, err);
        }
    }
    return code;
}

/* A channel is one of its ring's: so every channel that a frame is decoded with has been checked. */
static bool is_of_its_ring(const struct control_table *table, uint32_t channel)
{
    uint32_t of = table->channel[channel].ring;
    return of < table->rings && channel >= table->ring[of].first_channel &&
           channel - table->ring[of].first_channel < table->ring[of].channels;
}

/* The engine takes any content; who prints names and looks rings up does not. */
static int check_names(const struct control_table *table, struct error *err)
{
    bool ok = ends(table->instance, sizeof(table->instance));
    for (uint32_t i = 0; i < table->rings; i++) {
        const struct control_ring *ring = &table->ring[i];
        ok = ok && ends(ring->name, sizeof(ring->name)) && ring->channels <= table->channels &&
             ring->first_channel <= table->channels - ring->channels;
    }
    for (uint32_t i = 0; i < table->channels; i++) {
        const struct ring_channel *channel = &table->channel[i].decode;
        ok = ok && ends(channel->name, sizeof(channel->name)) && ends(channel->unit, sizeof(channel->unit)) &&
             is_of_its_ring(table, i);
    }
    for (uint32_t i = 0; i < table->rules; i++) {
        ok = ok && ends(table->rule[i].name, sizeof(table->rule[i].name));
    }
    for (uint32_t i = 0; i < table->outputs; i++) {
        ok = ok && ends(table->output[i].name, sizeof(table->output[i].name));
    }
    return ok ? 0
              : error_set(err, -EPROTO, "the interlock's table is damaged: an index or a name is out of bounds");
}

int blackbox_check_table(const struct blackbox_bytes *file, struct error *err)
{
    const struct control_table *table = file->data;
    if (file->bytes != sizeof(*table) || table->magic != CONTROL_TABLE_MAGIC ||
        table->version != CONTROL_TABLE_VERSION || table->bytes != sizeof(*table)) {
        return error_set(err, -EPROTO,
                         "expected an interlock table of version %u in %zu bytes, found %zu: " RELEASE,
                         CONTROL_TABLE_VERSION, sizeof(*table), file->bytes);
    }
    if (table->hash != control_table_hash(table)) {
        return error_set(err, -EPROTO, "the interlock's table is damaged: its hash is wrong");
    }
    if (table->rings > CONTROL_RINGS_MAX || table->channels > CONTROL_CHANNELS_MAX ||
        table->rules > CONTROL_RULES_MAX || table->outputs > CONTROL_OUTPUTS_MAX ||
        table->devices > CONTROL_DEVICES_MAX || table->numbers > CONTROL_NUMBERS_MAX) {
        return error_set(err, -EPROTO, "the interlock's table is damaged: its counts are out of bounds");
    }
    int code = check_names(table, err);
    return code == 0 ? check_calibrations(table, err) : code;
}

static int take_array(const struct blackbox_bytes *file, size_t each, const char *what, uint64_t *count,
                      struct error *err)
{
    if (file->bytes % each != 0) {
        return error_set(err, -EPROTO, "expected %s of %zu bytes each, found %zu bytes: " RELEASE, what, each,
                         file->bytes);
    }
    *count = file->bytes / each;
    return 0;
}

static int open_ring(struct blackbox_recording *recording, uint32_t i, const struct blackbox_bytes *file,
                     struct error *err)
{
    const struct control_ring *plan = &recording->table->ring[i];
    struct blackbox_ring *ring = &recording->ring[i];
    int code = blackbox_ring_open(ring, file, err);
    if (code == 0 && (strcmp(ring->header.name, plan->name) != 0 || ring->header.channels != plan->channels)) {
        code = error_set(err, -EPROTO, "expected the frames of ring %s with %u channels, found %s with %u",
                         plan->name, plan->channels, ring->header.name, ring->header.channels);
    }
    return code;
}

int blackbox_open(struct blackbox_recording *recording, const struct blackbox_bytes *table,
                  const struct blackbox_bytes *checkpoints, const struct blackbox_bytes *journal,
                  uint64_t first_entry, const struct blackbox_bytes *ring, uint32_t rings, struct error *err)
{
    *recording = (struct blackbox_recording){.first_entry = first_entry};
    int code = blackbox_check_table(table, err);
    if (code == 0) {
        recording->table = table->data;
        recording->checkpoint = checkpoints->data;
        recording->entry = journal->data;
        code =
            take_array(checkpoints, sizeof(struct control_checkpoint), "checkpoints", &recording->checkpoints, err);
    }
    if (code == 0) {
        code = take_array(journal, sizeof(struct journal_entry), "journal entries", &recording->entries, err);
    }
    if (code == 0 && rings != recording->table->rings) {
        code = error_set(err, -EPROTO, "expected the frames of %u rings, found %u", recording->table->rings, rings);
    }
    for (uint32_t i = 0; code == 0 && i < rings; i++) {
        code = open_ring(recording, i, &ring[i], err);
    }
    if (code != 0) {
        blackbox_close(recording);
    }
    return code;
}

void blackbox_close(struct blackbox_recording *recording)
{
    for (uint32_t i = 0; i < CONTROL_RINGS_MAX; i++) {
        blackbox_ring_close(&recording->ring[i]);
    }
}
