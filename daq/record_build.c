#include "daq/record_build.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

const char *record_cause_name(uint32_t cause)
{
    static const char *const names[] = {"none",      "overwritten", "demoted", "disk_full", "disk_error",
                                        "disk_slow", "decimated",   "server",  "damaged",   "unknown"};
    static_assert(sizeof(names) / sizeof(names[0]) == RECORD_CAUSES, "a name for each cause");
    return cause < RECORD_CAUSES ? names[cause] : "unknown";
}

const char *record_close_name(uint32_t why)
{
    static const char *const names[] = {
        [RECORD_CLOSE_STOPPED] = "stopped",     [RECORD_CLOSE_ROTATED] = "rotated",
        [RECORD_CLOSE_DISK_FULL] = "disk_full", [RECORD_CLOSE_DISK_ERROR] = "disk_error",
        [RECORD_CLOSE_POST] = "post",           [RECORD_CLOSE_SERVER] = "server",
        [RECORD_CLOSE_RECOVERED] = "recovered",
    };
    return why >= RECORD_CLOSE_STOPPED && why <= RECORD_CLOSE_RECOVERED ? names[why] : "unknown";
}

int record_run_make(uint8_t run[RECORD_RUN_BYTES], struct error *err)
{
    uint8_t made[RECORD_RUN_BYTES];
    if (getrandom(made, sizeof(made), 0) != (ssize_t)sizeof(made)) {
        return error_set(err, -errno, "cannot get random bytes for the name of a run: %s", strerror(errno));
    }
    memcpy(run, made, sizeof(made));
    return 0;
}

static uint64_t description_bytes(const struct record_file_header *header)
{
    return (uint64_t)header->channels * sizeof(struct ring_channel) + (uint64_t)header->numbers * sizeof(double) +
           (uint64_t)header->streams * sizeof(struct ring_stream) + header->json_bytes + header->config_bytes;
}

uint64_t record_head_bytes(const struct record_source *source)
{
    uint64_t bytes = description_bytes(&source->header);
    bool ok = source->header.channels <= RING_CHANNELS_MAX && source->header.numbers <= RING_NUMBERS_MAX &&
              source->header.streams <= RING_STREAMS_MAX && bytes <= RECORD_DESCRIPTION_BYTES_MAX;
    return ok ? RECORD_ALIGN + record_round_up(bytes, RECORD_ALIGN) : 0;
}

static uint8_t *append(uint8_t *to, const void *data, size_t bytes)
{
    if (bytes > 0) {
        memcpy(to, data, bytes);
    }
    return to + bytes;
}

void record_head_build(const struct record_source *source, uint8_t *to)
{
    struct record_file_header header = source->header;
    uint64_t bytes = description_bytes(&header);
    header.magic = RECORD_MAGIC;
    header.version = RECORD_VERSION;
    header.header_bytes = RECORD_ALIGN;
    header.align = RECORD_ALIGN;
    header.description_bytes = bytes;
    header.reserved = 0;
    memset(header.reserved2, 0, sizeof(header.reserved2));
    uint8_t *at = to + RECORD_ALIGN;
    at = append(at, source->channel, header.channels * sizeof(struct ring_channel));
    at = append(at, source->number, header.numbers * sizeof(double));
    at = append(at, source->stream, header.streams * sizeof(struct ring_stream));
    at = append(at, source->json, header.json_bytes);
    at = append(at, source->config, header.config_bytes);
    memset(at, 0, record_round_up(bytes, RECORD_ALIGN) - bytes);
    header.description_crc = record_crc(0, to + RECORD_ALIGN, bytes);
    header.crc = record_crc(0, &header, offsetof(struct record_file_header, crc));
    memcpy(to, &header, sizeof(header));
}

void record_file_name(char name[RECORD_FILE_NAME_BYTES], const char *ring, uint32_t segment, uint32_t stripe,
                      uint32_t stripes)
{
    if (stripes > 1) {
        snprintf(name, RECORD_FILE_NAME_BYTES, "%.*s.%06u.%u" RECORD_SUFFIX, (int)RING_NAME_BYTES - 1, ring,
                 segment, stripe);
    } else {
        snprintf(name, RECORD_FILE_NAME_BYTES, "%.*s.%06u" RECORD_SUFFIX, (int)RING_NAME_BYTES - 1, ring, segment);
    }
}

void record_index_of(struct record_index *index, const struct record_block *lead, uint64_t offset)
{
    *index = (struct record_index){.offset = offset,
                                   .bytes = lead->bytes,
                                   .number = lead->number,
                                   .first_position = lead->first_position,
                                   .end_position = lead->end_position,
                                   .frames = lead->frames,
                                   .first_tai_ns = lead->first_tai_ns,
                                   .last_tai_ns = lead->last_tai_ns};
}

bool record_account_block(struct record_account *account, uint64_t offset, const struct record_block *lead)
{
    struct record_totals *totals = &account->totals;
    if (totals->indices >= account->room) {
        return false;
    }
    uint32_t at = totals->indices++;
    for (; at > 0 && account->index[at - 1].offset > offset; at--) {
        account->index[at] = account->index[at - 1];
    }
    record_index_of(&account->index[at], lead, offset);
    record_totals_add(totals, lead);
    return true;
}

void record_totals_add_gaps(struct record_totals *totals, const struct record_block *lead)
{
    for (uint32_t i = 0; i < lead->gaps && i < RECORD_GAPS_MAX; i++) {
        if (lead->gap[i].cause < RECORD_CAUSES) {
            totals->missing[lead->gap[i].cause] += lead->gap[i].count;
        }
    }
}

void record_totals_add(struct record_totals *totals, const struct record_block *lead)
{
    totals->blocks++;
    totals->frames += lead->frames;
    record_totals_add_gaps(totals, lead);
    totals->bytes += lead->payload_bytes;
    if (lead->end_position > totals->next_position) {
        totals->next_position = lead->end_position;
    }
}

static uint64_t end_payload_bytes(const struct record_account *account)
{
    return sizeof(struct record_totals) + account->totals.indices * sizeof(struct record_index) +
           sizeof(struct record_trailer);
}

uint64_t record_end_bytes(const struct record_account *account)
{
    return RECORD_LEAD_BYTES + record_round_up(end_payload_bytes(account), RECORD_ALIGN);
}

/* Totals and index adjoin; the trailer is the last of the file, zeros between. */
void record_end_build(const struct record_account *account, const struct record_file_header *header,
                      enum record_close why, const struct ring_ledger *ledger, uint64_t tai_ns, uint8_t *to)
{
    uint64_t bytes = record_end_bytes(account);
    struct record_totals totals = account->totals;
    struct record_block lead = {.magic = RECORD_BLOCK_MAGIC,
                                .kind = RECORD_END,
                                .lead_bytes = RECORD_LEAD_BYTES,
                                .payload_bytes = bytes - RECORD_LEAD_BYTES,
                                .number = totals.blocks,
                                .first_position = totals.next_position,
                                .end_position = totals.next_position};
    for (uint32_t i = 0; i < account->gaps && record_lead_gap(&lead, &account->gap[i]); i++) {
    }
    record_totals_add_gaps(&totals, &lead);
    lead.first_position = lead.end_position;
    totals.next_position = lead.end_position;
    totals.closed_tai_ns = tai_ns;
    totals.why = (uint32_t)why;
    totals.ended = ledger != NULL ? *ledger : totals.ended;
    memcpy(lead.run, header->run, sizeof(lead.run));
    memset(to, 0, bytes);
    uint8_t *at = append(to + RECORD_LEAD_BYTES, &totals, sizeof(totals));
    append(at, account->index, totals.indices * sizeof(struct record_index));
    struct record_trailer trailer = {
        .magic = RECORD_TRAILER_MAGIC, .end_offset = account->offset, .file_bytes = account->offset + bytes};
    memcpy(trailer.run, header->run, sizeof(trailer.run));
    trailer.crc = record_crc(0, &trailer, offsetof(struct record_trailer, crc));
    memcpy(to + bytes - sizeof(trailer), &trailer, sizeof(trailer));
    record_block_finish(&lead, to + RECORD_LEAD_BYTES, ledger, tai_ns);
    memcpy(to, &lead, sizeof(lead));
}
