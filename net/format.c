#include "net/format.h"

#include <string.h>

#include "net/sequence.h"

#define VDIF_BYTES         32u
#define VDIF_LEGACY_BYTES  16u
#define VRT_DATA_TYPES     4u /* packet types 0 .. 3 carry samples; the others are context and commands */
#define SPEAD_BYTES        8u /* the header, and each item pointer */
#define SPEAD_HEADER       UINT64_C(0x5304020600000000) /* magic, version 4, 16 + 48 bits an item */
#define SPEAD_HEADER_FIXED UINT64_C(0xffffffff00000000)
#define SPEAD_ITEM_BITS    48
#define SPEAD_VALUE        ((UINT64_C(1) << SPEAD_ITEM_BITS) - 1)
#define SPEAD_IMMEDIATE    0x8000u
#define SPEAD_STOP         2u
#define HEADER_MAGIC       0x534c5543u
#define HEADER_VERSION     1u
#define ETHERNET_LEAST     60u /* the shortest frame without its checksum: what is shorter has been padded to it */

enum spead_item {
    SPEAD_HEAP_COUNT = 1,
    SPEAD_HEAP_LENGTH = 2,
    SPEAD_HEAP_OFFSET = 3,
    SPEAD_PAYLOAD_LENGTH = 4,
    SPEAD_STREAM_CONTROL = 6
};

static uint32_t load32_little(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint32_t load32_big(const uint8_t *at)
{
    return __builtin_bswap32(load32_little(at));
}

static uint64_t load64_big(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return __builtin_bswap64(value);
}

static bool read_field(const struct sequence_spec *sequence, const uint8_t *payload, uint32_t bytes,
                       struct format_frame *frame)
{
    uint32_t width = sequence->width_bytes;
    if (width > bytes || sequence->at_byte > bytes - width) {
        return false;
    }
    frame->number = width != 0 ? net_sequence_read(sequence, payload) : 0;
    return true;
}

/* The place of a thread among those that are sent; FORMAT_THREADS_MAX: it is none of them. */
static uint32_t rank_of(const struct format_spec *format, uint32_t thread)
{
    uint32_t threads = format->threads < FORMAT_THREADS_MAX ? format->threads : FORMAT_THREADS_MAX;
    if (thread < threads && format->thread_order[thread] == thread) {
        return thread; /* the usual order */
    }
    for (uint32_t rank = 0; rank < threads; rank++) {
        if (format->thread_order[rank] == thread) {
            return rank;
        }
    }
    return FORMAT_THREADS_MAX;
}

/* Words of 32 bits, little-endian: invalid 1, legacy 1, seconds since the reference epoch 30 | unused 2, epoch 6,
 * frame within the second 24 | version 3, channels 5, frame length in 8 bytes 24 | complex 1, bits 5, thread 10,
 * station 16. A frame whose data are marked invalid was sent and has come: readers see the mark. A sender that
 * changes to a new epoch (each half-year) begins to count anew, and is followed as one that was restarted. */
static bool read_vdif(const struct format_spec *format, const uint8_t *at, uint32_t bytes,
                      struct format_frame *frame)
{
    if (bytes < VDIF_LEGACY_BYTES) {
        return false;
    }
    uint32_t first = load32_little(at);
    uint32_t seconds = first & 0x3fffffff;
    uint32_t in_second = load32_little(at + 4) & 0xffffff;
    uint32_t length = load32_little(at + 8) & 0xffffff;
    uint32_t rank = rank_of(format, load32_little(at + 12) >> 16 & 0x3ff);
    bool legacy = (first & 0x40000000) != 0;
    if ((uint64_t)length * 8 != bytes || (!legacy && bytes < VDIF_BYTES) ||
        in_second >= format->frames_per_second || rank == FORMAT_THREADS_MAX) {
        return false;
    }
    frame->number = ((uint64_t)seconds * format->frames_per_second + in_second) * format->threads + rank;
    return true;
}

/* Big-endian words: type 4, class id 1, indicators 3, TSI 2, TSF 2, packet count 4, size in words 16; types 1 and 3
 * have a stream id next. Packets are counted apart for each stream and type, so that context packets between them
 * are no gap. */
static bool read_vrt(const struct format_spec *format, const uint8_t *at, uint32_t bytes,
                     struct format_frame *frame)
{
    if (bytes < 4) {
        return false;
    }
    uint32_t word = load32_big(at);
    uint32_t type = word >> 28;
    uint32_t size = (word & 0xffff) * 4;
    bool has_class = (word & 0x08000000) != 0;
    bool has_trailer = (word & 0x04000000) != 0;
    bool has_stream = type % 2 != 0;
    uint32_t stamp = ((word & 0x00c00000) != 0 ? 4u : 0u) + ((word & 0x00300000) != 0 ? 8u : 0u);
    uint32_t header = 4 + (has_stream ? 4u : 0u) + (has_class ? 8u : 0u) + stamp + (has_trailer ? 4u : 0u);
    if (type >= VRT_DATA_TYPES) {
        frame->stranger = size >= 4 && size <= bytes;
        return false;
    }
    if (size < header || size > bytes) {
        return false;
    }
    if (format->match_stream != 0 && (!has_stream || load32_big(at + 4) != format->stream_id)) {
        frame->stranger = true;
        return false;
    }
    frame->number = word >> 16 & 0xf;
    return true;
}

struct spead_items {
    uint64_t count, length, offset, payload, control;
    uint32_t seen; /* bit for each id below 32 that has come as an immediate value */
};

/* Pointers that are no immediate values point into the payload; only their place here matters to us. */
static void read_items(const uint8_t *at, uint32_t items, struct spead_items *to)
{
    for (uint32_t i = 0; i < items; i++) {
        uint64_t item = load64_big(at + (size_t)i * SPEAD_BYTES);
        uint32_t id = (uint32_t)(item >> SPEAD_ITEM_BITS);
        uint64_t value = item & SPEAD_VALUE;
        switch (id ^ SPEAD_IMMEDIATE) {
        case SPEAD_HEAP_COUNT:
            to->count = value;
            break;
        case SPEAD_HEAP_LENGTH:
            to->length = value;
            break;
        case SPEAD_HEAP_OFFSET:
            to->offset = value;
            break;
        case SPEAD_PAYLOAD_LENGTH:
            to->payload = value;
            break;
        case SPEAD_STREAM_CONTROL:
            to->control = value;
            break;
        default:
            continue;
        }
        to->seen |= 1u << (id ^ SPEAD_IMMEDIATE);
    }
}

static bool saw(const struct spead_items *items, enum spead_item id)
{
    return (items->seen & 1u << id) != 0;
}

/* A heap is cut into packets of packet_bytes, the last of which may be shorter; each packet has a number of its
 * own.
 */
static uint64_t packets_of(uint32_t heap_bytes, uint32_t packet_bytes)
{
    return heap_bytes / packet_bytes + (heap_bytes % packet_bytes != 0);
}

/* Divides, twice in 32 bits: a packet tells an offset in bytes, and its size may be known from itself alone. */
static bool number_spead(const struct format_spec *format, const struct spead_items *items,
                         struct format_frame *frame)
{
    uint32_t heap = format->heap_bytes;
    if (items->offset >= heap || items->payload == 0 || (items->length != 0 && items->length != heap)) {
        return false;
    }
    uint32_t offset = (uint32_t)items->offset;
    uint32_t payload = (uint32_t)items->payload;
    uint32_t each = format->packet_bytes != 0 ? format->packet_bytes : payload;
    uint32_t rest = heap - offset;
    if (offset % each != 0 || payload != (each < rest ? each : rest) ||
        (format->packet_bytes == 0 && heap % each != 0)) {
        return false;
    }
    frame->number = items->count * packets_of(heap, each) + offset / each;
    return true;
}

/* The heap that ends a stream has a count like any other, the next one, and no data. Without packet_bytes nobody
 * knows which number that is: it is no frame, and that is all. */
static bool stop_spead(const struct format_spec *format, const struct spead_items *items,
                       struct format_frame *frame)
{
    frame->end = true;
    if (!saw(items, SPEAD_HEAP_COUNT) || format->packet_bytes == 0) {
        frame->stranger = true;
        return false;
    }
    frame->heartbeat = true;
    frame->number = items->count * packets_of(format->heap_bytes, format->packet_bytes);
    return true;
}

/* The header, item pointers of 64 bits (immediate 1, id 15, value 48), then the packet's part of the heap. */
static bool read_spead(const struct format_spec *format, const uint8_t *at, uint32_t bytes,
                       struct format_frame *frame)
{
    struct spead_items items = {0};
    if (bytes < SPEAD_BYTES) {
        return false;
    }
    uint64_t header = load64_big(at);
    uint32_t count = header & 0xffff;
    if ((header & SPEAD_HEADER_FIXED) != SPEAD_HEADER || bytes / SPEAD_BYTES - 1 < count) {
        return false;
    }
    read_items(at + SPEAD_BYTES, count, &items);
    uint32_t behind = bytes - SPEAD_BYTES - count * SPEAD_BYTES;
    if (saw(&items, SPEAD_STREAM_CONTROL) && items.control == SPEAD_STOP) {
        return stop_spead(format, &items, frame);
    }
    return saw(&items, SPEAD_HEAP_COUNT) && saw(&items, SPEAD_HEAP_OFFSET) && saw(&items, SPEAD_PAYLOAD_LENGTH) &&
           items.payload == behind && number_spead(format, &items, frame);
}

static bool read_sluice(const struct format_spec *format, const uint8_t *at, uint32_t bytes,
                        struct format_frame *frame)
{
    if (bytes < FORMAT_SLUICE_BYTES) {
        return false;
    }
    uint32_t version_flags = load32_big(at + 4);
    uint32_t flags = version_flags & 0xffff;
    uint32_t payload = load32_big(at + 28);
    uint32_t behind = bytes - FORMAT_SLUICE_BYTES;
    bool padded = payload < behind && bytes <= ETHERNET_LEAST;
    if (load32_big(at) != HEADER_MAGIC || version_flags >> 16 != HEADER_VERSION || (payload != behind && !padded)) {
        return false;
    }
    bool heartbeat = (flags & FORMAT_SLUICE_HEARTBEAT) != 0;
    if (heartbeat && payload != 0) {
        return false;
    }
    if (format->match_stream != 0 && load32_big(at + 24) != format->stream_id) {
        frame->stranger = true;
        return false;
    }
    frame->number = load64_big(at + 8);
    frame->sender_tai_ns = load64_big(at + 16);
    frame->heartbeat = heartbeat;
    frame->end = (flags & FORMAT_SLUICE_END) != 0;
    return true;
}

bool format_read(const struct format_spec *format, const struct sequence_spec *sequence, const uint8_t *payload,
                 uint32_t bytes, struct format_frame *frame)
{
    *frame = (struct format_frame){0};
    if (format->kind <= FORMAT_FIELD) {
        return read_field(sequence, payload, bytes, frame);
    }
    if (bytes < format->at_byte) {
        return false;
    }
    const uint8_t *at = payload + format->at_byte;
    bytes -= format->at_byte;
    switch (format->kind) {
    case FORMAT_VDIF:
        return read_vdif(format, at, bytes, frame);
    case FORMAT_VRT:
        return read_vrt(format, at, bytes, frame);
    case FORMAT_SPEAD:
        return read_spead(format, at, bytes, frame);
    case FORMAT_SLUICE:
        return read_sluice(format, at, bytes, frame);
    default:
        return false;
    }
}

void format_sequence(const struct format_spec *format, struct sequence_spec *sequence)
{
    struct sequence_spec wide = {.width_bytes = 8, .byte_order = RING_BIG_ENDIAN, .step = 1};
    switch (format->kind) {
    case FORMAT_VDIF:
        *sequence = wide;
        sequence->byte_order = RING_LITTLE_ENDIAN;
        break;
    case FORMAT_VRT:
        *sequence = (struct sequence_spec){.width_bytes = 1,
                                           .at_byte = format->at_byte + 1,
                                           .byte_order = RING_BIG_ENDIAN,
                                           .step = 1,
                                           .width_bits = 4};
        break;
    case FORMAT_SPEAD:
        *sequence = wide;
        break;
    case FORMAT_SLUICE:
        *sequence = wide;
        sequence->at_byte = format->at_byte + 8;
        break;
    default:
        break;
    }
}

static void store32_big(uint8_t *to, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(to, &value, sizeof(value));
}

static void store64_big(uint8_t *to, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(to, &value, sizeof(value));
}

void format_write_sluice(uint8_t *to, const struct format_sluice *header)
{
    store32_big(to, HEADER_MAGIC);
    store32_big(to + 4, HEADER_VERSION << 16 | (header->flags & 0xffff));
    store64_big(to + 8, header->sequence);
    store64_big(to + 16, header->sender_tai_ns);
    store32_big(to + 24, header->stream_id);
    store32_big(to + 28, header->payload_bytes);
}
