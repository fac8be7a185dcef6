/* VDIF frames one after the other, each as long as its header says. Their times are in them: seconds since a
 * half-year, and the number of the frame within the second. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "ring/clock.h"
#include "tools/import.h"

/* Of a legacy frame; the others have as many more, which say nothing of time or length. */
#define HEADER_BYTES 16u

static uint32_t word_at(const uint8_t *header, uint32_t i)
{
    uint32_t value;
    memcpy(&value, header + (size_t)i * sizeof(value), sizeof(value));
    return value;
}

static uint64_t stamp_of(const uint8_t *header, const struct format_spec *format, int32_t utc_offset_s)
{
    uint32_t epoch = word_at(header, 1) >> 24 & 0x3f;
    struct tm tm = {.tm_year = 100 + (int)(epoch / 2), .tm_mon = epoch % 2 != 0 ? 6 : 0, .tm_mday = 1};
    uint64_t seconds = (uint64_t)timegm(&tm) + (word_at(header, 0) & 0x3fffffff) + (uint64_t)utc_offset_s;
    uint64_t in_second = word_at(header, 1) & 0xffffff;
    uint64_t per_second = format->frames_per_second != 0 ? format->frames_per_second : 1;
    return seconds * CLOCK_NS_PER_S + in_second * CLOCK_NS_PER_S / per_second;
}

/* One frame into a slot. 1; 0: the file is over; -errno. */
static int read_frame(FILE *file, uint64_t offset, uint8_t *to, uint32_t room, uint32_t *bytes, struct error *err)
{
    size_t got = fread(to, 1, HEADER_BYTES, file);
    if (got == 0 && feof(file)) {
        return 0;
    }
    *bytes = got == HEADER_BYTES ? (word_at(to, 2) & 0xffffff) * 8 : 0;
    if (got < HEADER_BYTES || *bytes < HEADER_BYTES) {
        return error_set(err, -EINVAL,
                         "offset %" PRIu64
                         ": expected a VDIF frame of at least %u bytes, found %zu bytes that say %u",
                         offset, HEADER_BYTES, got, *bytes);
    }
    if (*bytes > room) {
        return error_set(err, -EINVAL,
                         "offset %" PRIu64
                         ": expected frames of at most %u bytes, as the ring's slots have room for, "
                         "found one of %u; give the ring larger slots, if this is VDIF at all",
                         offset, room, *bytes);
    }
    got = fread(to + HEADER_BYTES, 1, *bytes - HEADER_BYTES, file);
    if (got < *bytes - HEADER_BYTES) {
        return error_set(err, -EINVAL,
                         "offset %" PRIu64 ": expected a frame of %u bytes, found %zu to the file's end", offset,
                         *bytes, got + HEADER_BYTES);
    }
    return 1;
}

int import_vdif(FILE *file, int32_t utc_offset_s, struct import_sink *sink, struct error *err)
{
    const struct format_spec *format = &sink->plan->format;
    uint64_t offset = 0;
    if (format->kind != FORMAT_VDIF || format->at_byte != 0) {
        return error_set(
            err, -EINVAL,
            "expected a ring whose source has stream: {format: vdif, ..} at byte 0, which says how many "
            "frames a second has; ring %s does not",
            sink->ring->name);
    }
    for (;;) {
        struct format_frame said;
        uint32_t room;
        uint32_t bytes;
        uint8_t *to = import_sink_slot(sink, &room);
        int got = read_frame(file, offset, to, room, &bytes, err);
        if (got <= 0) {
            return got;
        }
        enum ring_refusal refusal = intake_judge(sink->plan, to, bytes, room, &said);
        if (refusal != RING_REFUSALS) {
            return error_set(err, -EINVAL,
                             "offset %" PRIu64 ": expected a frame of this stream (frame_bytes, frames_per_second, "
                             "threads), found one that is refused: %s",
                             offset, ring_refusal_name(refusal));
        }
        int code = import_sink_commit(sink, refusal, &said, bytes, stamp_of(to, format, utc_offset_s), err);
        if (code != 0) {
            return code;
        }
        offset += bytes;
    }
}
