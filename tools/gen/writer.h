/* Makes a frame of the plan: what stands in front of it, the format's header, the content, the checksums. */
#ifndef TOOLS_GEN_WRITER_H
#define TOOLS_GEN_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/gen/frame.h"
#include "tools/gen/plan.h"
#include "tools/gen/recording.h"

enum writer_format {
    WRITER_SLUICE = 1, /* the header of net/format.h, then content */
    WRITER_FIELD = 2,  /* the number as big-endian u64, then content */
    WRITER_RAW = 3,    /* content alone */
    WRITER_VDIF = 4,   /* a VDIF header that says the number, then content */
    WRITER_FILE = 5    /* a recording's frames as they are */
};

/* What the bytes behind the format's header are (net/payload.h). */
enum writer_content {
    WRITER_EACH = 1, /* of each number its own */
    WRITER_SAME = 2  /* of all numbers that of number 0: written once where the room stays */
};

struct writer_spec {
    enum writer_format format;
    enum writer_content content;
    bool keeps_content; /* what a room held it still holds: with WRITER_SAME it is not written again */
    uint64_t seed;
    uint32_t stream;
    uint32_t frames_per_second, threads; /* WRITER_VDIF: of each thread; threads 0 .. threads - 1 take turns */
    struct frame_head *head;             /* NULL: the kernel writes it, or the recording has it */
    const struct recording *recording;   /* WRITER_FILE */
    bool whole_frames;                   /* of the recording: Ethernet and all */
};

struct writer {
    struct writer_spec spec;
    uint32_t front; /* bytes of the format's header */
    uint32_t sizes; /* whose content's sum is known */
    struct {
        uint32_t bytes;
        uint64_t sum;
    } known[PLAN_SIZES_MAX];
};

void writer_init(struct writer *writer, const struct writer_spec *spec);

/* The least payload that this format can have. */
uint32_t writer_bytes_min(enum writer_format format);

/* Bytes in front of the payload. */
static inline uint32_t writer_head_bytes(const struct writer *writer)
{
    return writer->spec.head != NULL ? writer->spec.head->count : 0;
}

/* A room of writer_head_bytes() + item->bytes. */
void writer_frame(struct writer *writer, const struct plan_item *item, uint64_t tai_ns, uint8_t *room);

/* A frame of format sluice that is none: `number` is the next to be sent. Its bytes, head included. */
uint32_t writer_heartbeat(const struct writer *writer, uint64_t number, bool end, uint64_t tai_ns, uint8_t *room);

/* What keeps_content wants to be done to every room once. */
void writer_prepare(const struct writer *writer, uint8_t *room, uint32_t room_bytes);

#endif
