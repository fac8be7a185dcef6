#include "tools/gen/writer.h"

#include <endian.h>
#include <string.h>

#include "net/format.h"
#include "net/payload.h"

#define CORRUPT_SALT   UINT64_C(0xc0de0badc0de0bad)
#define FIELD_BYTES    8u
#define VDIF_HEAD      32u
#define VDIF_EPOCH     52u /* half years since 2000: seconds count from 2026 */
#define VDIF_VERSION   1u
#define VDIF_BITS      8u /* of a sample */
#define ETHERNET_HEADS 42u

uint32_t writer_bytes_min(enum writer_format format)
{
    switch (format) {
    case WRITER_SLUICE:
        return FORMAT_SLUICE_BYTES;
    case WRITER_FIELD:
        return FIELD_BYTES;
    case WRITER_VDIF:
        return VDIF_HEAD;
    default:
        return 0;
    }
}

void writer_init(struct writer *writer, const struct writer_spec *spec)
{
    *writer = (struct writer){.spec = *spec, .front = writer_bytes_min(spec->format)};
}

static uint64_t base_of(const struct writer *writer, uint64_t number)
{
    return payload_base(writer->spec.seed, writer->spec.content == WRITER_SAME ? 0 : number);
}

/* Release 1.1.1, little-endian words: second and frame in the second, for each thread in turn. */
static void write_vdif(const struct writer *writer, const struct plan_item *item, uint8_t *payload)
{
    uint64_t frame = item->number / writer->spec.threads;
    uint32_t thread = (uint32_t)(item->number % writer->spec.threads);
    const uint32_t words[VDIF_HEAD / 4] = {
        htole32((uint32_t)(frame / writer->spec.frames_per_second) & 0x3fffffff),
        htole32(VDIF_EPOCH << 24 | (uint32_t)(frame % writer->spec.frames_per_second)),
        htole32(VDIF_VERSION << 29 | item->bytes / 8),
        htole32((VDIF_BITS - 1) << 26 | thread << 16),
    };
    memcpy(payload, words, sizeof(words));
}

static void write_front(const struct writer *writer, const struct plan_item *item, uint64_t tai_ns,
                        uint8_t *payload)
{
    if (writer->spec.format == WRITER_SLUICE) {
        struct format_sluice header = {.sequence = item->number,
                                       .sender_tai_ns = tai_ns,
                                       .stream_id = writer->spec.stream,
                                       .payload_bytes = item->bytes - FORMAT_SLUICE_BYTES};
        format_write_sluice(payload, &header);
    } else if (writer->spec.format == WRITER_FIELD) {
        uint64_t number = htobe64(item->number);
        memcpy(payload, &number, sizeof(number));
    } else if (writer->spec.format == WRITER_VDIF) {
        write_vdif(writer, item, payload);
    }
}

static void write_file(const struct writer *writer, const struct plan_item *item, uint8_t *payload)
{
    const struct recording *r = writer->spec.recording;
    memcpy(payload, r->bytes + r->at[item->number % r->frames], item->bytes);
}

/* One bit behind what says which frame this is: a receiver that lets it pass must be seen to. */
static void corrupt(const struct writer *writer, const struct plan_item *item, uint8_t *payload)
{
    bool is_file = writer->spec.format == WRITER_FILE;
    uint32_t front = !is_file ? writer->front : writer->spec.whole_frames ? ETHERNET_HEADS : VDIF_HEAD;
    if (item->bytes == 0) {
        return;
    }
    if (front >= item->bytes) {
        front = item->bytes - 1;
    }
    uint64_t drawn = plan_random(writer->spec.seed ^ CORRUPT_SALT, item->number);
    uint32_t bit = (uint32_t)((drawn >> 32) * (8 * (uint64_t)(item->bytes - front)) >> 32);
    payload[front + bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* Where all frames have the same content its sum is taken once for each size. */
static uint64_t same_sum(struct writer *writer, const uint8_t *content, uint32_t bytes)
{
    for (uint32_t i = 0; i < writer->sizes; i++) {
        if (writer->known[i].bytes == bytes) {
            return writer->known[i].sum;
        }
    }
    uint64_t sum = frame_sum(content, bytes);
    if (writer->sizes < PLAN_SIZES_MAX) {
        writer->known[writer->sizes].bytes = bytes;
        writer->known[writer->sizes++].sum = sum;
    }
    return sum;
}

/* Sums of parts may be added because every front has an even number of bytes. */
static uint64_t payload_sum_of(struct writer *writer, const uint8_t *payload, uint32_t bytes)
{
    uint32_t front = writer->front;
    if (writer->spec.content != WRITER_SAME || writer->spec.format == WRITER_FILE) {
        return frame_sum(payload, bytes);
    }
    return frame_sum(payload, front) + same_sum(writer, payload + front, bytes - front);
}

void writer_frame(struct writer *writer, const struct plan_item *item, uint64_t tai_ns, uint8_t *room)
{
    struct frame_head *head = writer->spec.head;
    uint8_t *payload = room + writer_head_bytes(writer);
    uint32_t front = writer->front;
    if (writer->spec.format == WRITER_FILE) {
        write_file(writer, item, payload);
    } else {
        write_front(writer, item, tai_ns, payload);
        if (!writer->spec.keeps_content) {
            payload_fill(payload + front, item->bytes - front, base_of(writer, item->number));
        }
    }
    if (head != NULL) {
        frame_head_write(head, room, item->bytes,
                         head->checksum ? payload_sum_of(writer, payload, item->bytes) : 0);
    }
    if (item->corrupt) {
        corrupt(writer, item, payload);
    }
}

uint32_t writer_heartbeat(const struct writer *writer, uint64_t number, bool end, uint64_t tai_ns, uint8_t *room)
{
    struct format_sluice header = {.sequence = number,
                                   .sender_tai_ns = tai_ns,
                                   .stream_id = writer->spec.stream,
                                   .flags = FORMAT_SLUICE_HEARTBEAT | (end ? FORMAT_SLUICE_END : 0)};
    uint32_t head_bytes = writer_head_bytes(writer);
    format_write_sluice(room + head_bytes, &header);
    if (writer->spec.head != NULL) {
        frame_head_write(writer->spec.head, room, FORMAT_SLUICE_BYTES,
                         frame_sum(room + head_bytes, FORMAT_SLUICE_BYTES));
    }
    return head_bytes + FORMAT_SLUICE_BYTES;
}

void writer_prepare(const struct writer *writer, uint8_t *room, uint32_t room_bytes)
{
    uint32_t before = writer_head_bytes(writer) + writer->front;
    if (room_bytes > before) {
        payload_fill(room + before, room_bytes - before, base_of(writer, 0));
    }
}
