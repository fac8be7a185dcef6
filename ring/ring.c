#include "ring/ring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ring/channel_check.h"

#define POSITION_MAX (UINT64_C(1) << 62) /* at 1e9 frames/s after 146 years */

static bool power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* Behind the descriptor, or on a cache line of its own: as far behind as a device's headroom wants it. */
static bool payload_offset_ok(uint32_t payload_offset)
{
    return payload_offset == RING_DESCRIPTOR_BYTES ||
           (payload_offset != 0 && payload_offset % RING_CACHE_LINE_BYTES == 0 &&
            payload_offset <= RING_PAYLOAD_OFFSET_MAX);
}

static bool geometry_ok(uint64_t slots, uint32_t slot_bytes, uint32_t payload_offset, uint32_t channels)
{
    return power_of_two(slots) && slots >= RING_SLOTS_MIN && slots <= RING_SLOTS_MAX &&
           slot_bytes >= RING_SLOT_BYTES_MIN && slot_bytes <= RING_SLOT_BYTES_MAX &&
           slot_bytes % RING_CACHE_LINE_BYTES == 0 && payload_offset_ok(payload_offset) &&
           payload_offset + sizeof(struct ring_gap) <= slot_bytes && channels <= RING_CHANNELS_MAX;
}

static uint32_t numbers_offset_for(uint32_t channels)
{
    return RING_HEADER_BYTES + channels * (uint32_t)sizeof(struct ring_channel);
}

static uint64_t slots_offset_for(uint32_t channels, uint32_t numbers)
{
    uint64_t used = numbers_offset_for(channels) + (uint64_t)numbers * sizeof(double);
    return (used + 4095) / 4096 * 4096;
}

uint64_t ring_segment_bytes(const struct ring_spec *spec)
{
    if (!geometry_ok(spec->slots, spec->slot_bytes, spec->payload_offset, spec->channel_count) ||
        spec->stream_count < 1 || spec->stream_count > RING_STREAMS_MAX || spec->number_count > RING_NUMBERS_MAX) {
        return 0;
    }
    return slots_offset_for(spec->channel_count, spec->number_count) + spec->slots * spec->slot_bytes;
}

static void copy_name(char *to, const char *from)
{
    snprintf(to, RING_NAME_BYTES, "%s", from != NULL ? from : "");
}

int ring_create(void *base, size_t bytes, const struct ring_spec *spec, struct error *err)
{
    uint64_t need = ring_segment_bytes(spec);
    if (need == 0 || need > bytes) {
        return error_set(err, -EINVAL,
                         "ring %s: %" PRIu64
                         " slots of %u bytes (payload at %u, %u channels, %u numbers) do not fit "
                         "a segment of %zu bytes; slots must be a power of two, slot_bytes a multiple of 64",
                         spec->name, spec->slots, spec->slot_bytes, spec->payload_offset, spec->channel_count,
                         spec->number_count, bytes);
    }
    struct ring_header *h = base;
    struct ring_identity *id = &h->identity;
    id->version = RING_LAYOUT_VERSION;
    id->header_bytes = RING_HEADER_BYTES;
    id->segment_bytes = bytes;
    id->slots = spec->slots;
    id->slot_bytes = spec->slot_bytes;
    id->payload_offset = spec->payload_offset;
    id->slots_offset = slots_offset_for(spec->channel_count, spec->number_count);
    id->channels_offset = RING_HEADER_BYTES;
    id->numbers_offset = numbers_offset_for(spec->channel_count);
    id->numbers = spec->number_count;
    id->channels = spec->channel_count;
    id->page_bytes = spec->page_bytes;
    id->tai_minus_monotonic_ns = spec->tai_minus_monotonic_ns;
    id->stamp = spec->streams[0].stamp != 0 ? spec->streams[0].stamp : RING_STAMP_TAKEN;
    id->streams = spec->stream_count;
    id->numa_node = spec->numa_node;
    copy_name(id->instance, spec->instance);
    copy_name(id->name, spec->name);
    memcpy(h->stream, spec->streams, spec->stream_count * sizeof(h->stream[0]));
    if (spec->channel_count > 0) {
        memcpy((uint8_t *)base + RING_HEADER_BYTES, spec->channels,
               spec->channel_count * sizeof(struct ring_channel));
    }
    if (spec->number_count > 0) {
        memcpy((uint8_t *)base + id->numbers_offset, spec->numbers, spec->number_count * sizeof(double));
    }
    __atomic_store_n(&id->magic, RING_MAGIC, __ATOMIC_RELEASE);
    return 0;
}

/* A channel table from outside must be safe to print and to decode with. */
static int check_channels(const struct ring_identity *id, const uint8_t *base, struct error *err)
{
    const struct ring_channel *channels = (const struct ring_channel *)(base + RING_HEADER_BYTES);
    const double *numbers = (const double *)(const void *)(base + id->numbers_offset);
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < id->channels; i++) {
        code = ring_channel_check(channels, id->channels, sizeof(*channels), i, numbers, id->numbers, err);
    }
    return code;
}

static bool names_ok(const struct ring_header *h, const struct ring_identity *id)
{
    bool ok = memchr(id->name, 0, RING_NAME_BYTES) != NULL && memchr(id->instance, 0, RING_NAME_BYTES) != NULL;
    for (uint32_t i = 0; ok && i < id->streams; i++) {
        const struct ring_stream *stream = &h->stream[i];
        ok = memchr(stream->name, 0, sizeof(stream->name)) != NULL &&
             memchr(stream->source, 0, sizeof(stream->source)) != NULL;
    }
    return ok;
}

int ring_attach(struct ring_view *view, void *base, size_t bytes, struct error *err)
{
    if (bytes < RING_HEADER_BYTES) {
        return error_set(err, -EPROTO, "expected a ring segment of at least %u bytes, found %zu", RING_HEADER_BYTES,
                         bytes);
    }
    struct ring_header *h = base;
    if (__atomic_load_n(&h->identity.magic, __ATOMIC_ACQUIRE) != RING_MAGIC) {
        return error_set(err, -EPROTO, "expected a ring segment, found other bytes (magic %#" PRIx64 ")",
                         h->identity.magic);
    }
    struct ring_identity id = h->identity;
    if (id.version != RING_LAYOUT_VERSION) {
        return error_set(err, -EPROTO,
                         "expected ring layout version %u, found %u; use the same release on both sides",
                         RING_LAYOUT_VERSION, id.version);
    }
    if (!geometry_ok(id.slots, id.slot_bytes, id.payload_offset, id.channels) ||
        id.header_bytes != RING_HEADER_BYTES || id.channels_offset != RING_HEADER_BYTES || id.streams < 1 ||
        id.streams > RING_STREAMS_MAX || id.numbers > RING_NUMBERS_MAX ||
        id.numbers_offset != numbers_offset_for(id.channels) ||
        id.slots_offset != slots_offset_for(id.channels, id.numbers) ||
        id.slots_offset + id.slots * id.slot_bytes > bytes) {
        return error_set(err, -EPROTO,
                         "ring header is inconsistent: %" PRIu64 " slots of %u bytes at %" PRIu64
                         " in a segment of %zu; it is corrupt or not ours",
                         id.slots, id.slot_bytes, id.slots_offset, bytes);
    }
    if (!names_ok(h, &id)) {
        return error_set(err, -EPROTO, "ring header has an unterminated name: it is corrupt or not ours");
    }
    int code = check_channels(&id, base, err);
    if (code != 0) {
        return code;
    }
    *view = (struct ring_view){.header = h,
                               .slots = (uint8_t *)base + id.slots_offset,
                               .slot_count = id.slots,
                               .mask = id.slots - 1,
                               .slot_bytes = id.slot_bytes,
                               .payload_offset = id.payload_offset,
                               .payload_bytes = id.slot_bytes - id.payload_offset,
                               .channel_count = id.channels,
                               .number_count = id.numbers,
                               .tai_minus_monotonic_ns = id.tai_minus_monotonic_ns};
    return 0;
}

void ring_orders_create(void *base, uint32_t gates)
{
    struct ring_orders *orders = base;
    orders->version = RING_LAYOUT_VERSION;
    orders->gates = gates;
    __atomic_store_n(&orders->magic, RING_ORDERS_MAGIC, __ATOMIC_RELEASE);
}

int ring_check_progress(const struct ring_view *view, uint64_t published, uint64_t position, uint64_t claimed,
                        struct error *err)
{
    if (published <= POSITION_MAX && (claimed <= position || claimed - position <= view->slot_count)) {
        return 0;
    }
    return error_set(err, -EPROTO,
                     "ring was left at position %" PRIu64 " with claims up to %" PRIu64
                     ", where no writer can have come to (%" PRIu64
                     " slots); it was overwritten: restart the server",
                     position, claimed, view->slot_count);
}

int ring_orders_check(const void *base, size_t bytes, struct error *err)
{
    const struct ring_orders *orders = base;
    if (bytes < sizeof(*orders) || __atomic_load_n(&orders->magic, __ATOMIC_ACQUIRE) != RING_ORDERS_MAGIC ||
        orders->version != RING_LAYOUT_VERSION || orders->gates > RING_GATES_MAX) {
        return error_set(err, -EPROTO, "expected a page of orders of layout version %u, found something else",
                         RING_LAYOUT_VERSION);
    }
    return 0;
}

int ring_lease_check(const void *base, size_t bytes, struct error *err)
{
    const struct ring_lease *lease = base;
    if (bytes < sizeof(*lease) || __atomic_load_n(&lease->magic, __ATOMIC_ACQUIRE) != RING_LEASE_MAGIC) {
        return error_set(
            err, -EPROTO,
            "expected a reader's lease of layout version %u, found other bytes; use the same release on "
            "both sides",
            RING_LAYOUT_VERSION);
    }
    return 0;
}
