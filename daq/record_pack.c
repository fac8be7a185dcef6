#include <string.h>

#include "daq/record_build.h"

static void begin(struct record_block *lead, const uint8_t run[RECORD_RUN_BYTES], uint32_t kind, uint64_t number,
                  uint64_t position)
{
    *lead = (struct record_block){.magic = RECORD_BLOCK_MAGIC,
                                  .kind = kind,
                                  .lead_bytes = RECORD_LEAD_BYTES,
                                  .number = number,
                                  .first_position = position,
                                  .end_position = position};
    memcpy(lead->run, run, RECORD_RUN_BYTES);
}

static void note_frame(struct record_block *lead, const struct ring_descriptor *descriptor)
{
    if (lead->frames == 0) {
        lead->first_position = descriptor->sequence - 1;
        lead->first_tai_ns = descriptor->tai_ns;
        lead->first_sequence = descriptor->source_sequence;
    }
    lead->frames++;
    lead->last_tai_ns = descriptor->tai_ns;
    lead->last_sequence = descriptor->source_sequence;
    lead->end_position = descriptor->sequence > lead->end_position ? descriptor->sequence : lead->end_position;
}

void record_packing_begin(struct record_packing *packing, const uint8_t run[RECORD_RUN_BYTES], uint64_t number,
                          uint64_t position)
{
    begin(&packing->lead, run, RECORD_PACKED, number, position);
}

bool record_packing_add(struct record_packing *packing, const struct ring_descriptor *descriptor,
                        const uint8_t *payload)
{
    struct record_block *lead = &packing->lead;
    uint64_t bytes = record_packed_bytes(descriptor->length_bytes);
    uint64_t unpadded = sizeof(*descriptor) + descriptor->length_bytes;
    if (bytes > packing->room - lead->payload_bytes) {
        return false;
    }
    uint8_t *at = packing->payload + lead->payload_bytes;
    memcpy(at, descriptor, sizeof(*descriptor));
    memcpy(at + sizeof(*descriptor), payload, descriptor->length_bytes);
    memset(at + unpadded, 0, bytes - unpadded);
    lead->payload_bytes += bytes;
    note_frame(lead, descriptor);
    return true;
}

/* One that goes on where the last one ended, for the same reason. What is left out on purpose may have frames
 * between. */
static bool adjoins(const struct record_gap *last, const struct record_gap *gap)
{
    return last->cause == gap->cause &&
           (last->to_position == gap->from_position ||
            (gap->cause == RECORD_CAUSE_DECIMATED && last->to_position < gap->from_position));
}

bool record_lead_gap(struct record_block *lead, const struct record_gap *gap)
{
    struct record_gap *last = lead->gaps > 0 ? &lead->gap[lead->gaps - 1] : NULL;
    if (last != NULL && adjoins(last, gap)) {
        last->to_position = gap->to_position;
        last->count += gap->count;
    } else if (lead->gaps < RECORD_GAPS_MAX) {
        lead->gap[lead->gaps++] = *gap;
    } else {
        return false;
    }
    if (gap->to_position > lead->end_position) {
        lead->end_position = gap->to_position;
    }
    if (lead->frames == 0) {
        lead->first_position = lead->end_position;
    }
    return true;
}

void record_slots_lead(struct record_block *lead, const struct record_file_header *header, const uint8_t *slots,
                       uint64_t position, uint32_t count)
{
    uint64_t number = lead->number;
    begin(lead, header->run, RECORD_SLOTS, number, position);
    lead->payload_bytes = (uint64_t)count * header->slot_bytes;
    for (uint32_t i = 0; i<count; i += count> 1 ? count - 1 : 1) { /* the first and the last */
        struct ring_descriptor descriptor;
        memcpy(&descriptor, slots + (uint64_t)i * header->slot_bytes, sizeof(descriptor));
        note_frame(lead, &descriptor);
    }
    lead->frames = count;
    lead->first_position = position;
    lead->end_position = position + count;
}

void record_block_finish(struct record_block *lead, const uint8_t *payload, const struct ring_ledger *ledger,
                         uint64_t tai_ns)
{
    lead->bytes = RECORD_LEAD_BYTES + record_round_up(lead->payload_bytes, RECORD_ALIGN);
    lead->written_tai_ns = tai_ns;
    if (ledger != NULL) {
        lead->ledger = *ledger;
    }
    lead->payload_crc = record_crc(0, payload, lead->payload_bytes);
    lead->crc = record_crc(0, lead, offsetof(struct record_block, crc));
}
