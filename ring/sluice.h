/* libsluice: read the rings of a running sluice server in place, from any process.
 *
 *   struct sluice_reader *r;
 *   struct sluice_frame f;
 *   if (sluice_attach(&r, "tvac1", "tvac", SLUICE_NEWEST, err, sizeof err) != 0) ..
 *   for (;;) {
 *       while (sluice_reader_next(r, &f) == 1) {
 *           use(f.payload, f.length_bytes);
 *           if (!sluice_reader_valid(r, &f)) discard_what_was_computed();
 *       }
 *       sluice_reader_wait(r, 100);
 *   }
 *
 * A reader never slows the writer. It learns exactly how many frames it lost. One reader belongs to one thread at a
 * time; any number of readers may be open in a process.
 */
#ifndef SLUICE_H
#define SLUICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SLUICE_API __attribute__((visibility("default")))
#else
#define SLUICE_API
#endif

struct sluice_reader;

enum sluice_start {
    SLUICE_OLDEST = 1, /* the oldest frame that is still whole */
    SLUICE_NEWEST = 2  /* only what is published from now on */
};

enum sluice_frame_flag {
    SLUICE_FRAME_GAP = 1,
    /* no frame: something is missing here; see cause and lost_before */ SLUICE_FRAME_LOST_BEFORE =
        2,                      /* lost_before frames of the stream are missing before this one */
    SLUICE_FRAME_DUPLICATE = 4, /* the sender's number was delivered before */
    SLUICE_FRAME_REORDERED = 8  /* older than a frame before it */
};

/* One frame, seen in place. payload points into the ring and is valid while sluice_reader_valid() says so. */
struct sluice_frame {
    const uint8_t *payload;
    uint64_t position;        /* 0, 1, 2 .. over the ring's whole life */
    uint64_t tai_ns;          /* arrival, TAI ns since 1970 */
    uint64_t source_sequence; /* the sender's own number, unwrapped */
    uint32_t length_bytes;
    uint16_t flags;       /* enum sluice_frame_flag */
    uint16_t cause;       /* why frames are missing: index for sluice_loss_name() */
    uint64_t lost_before; /* frames missing in the stream before this one (65535: or more) */
};

/* One channel of a ring: value = raw * scale + offset, in unit. */
struct sluice_channel {
    char name[32];
    char unit[16];
    uint32_t at_byte; /* in the payload */
    uint32_t type;    /* 1 i8, 2 u8, 3 i16, 4 u16, 5 i32, 6 u32, 7 i64, 8 u64, 9 f32, 10 f64 */
    uint32_t big_endian;
    double scale;
    double offset;
    double range_low; /* valid range, inclusive, in unit */
    double range_high;
};

/* Attaches an observer to `ring` of server `instance`. `start` is enum sluice_start. 0, or -errno with a sentence
 * in error[0 .. error_bytes) (may be NULL): -ECONNREFUSED no such server, -ENXIO no such ring, -EACCES
 * not permitted, -EUSERS too many readers, -EPROTO other version or corrupt, -ETIMEDOUT
 * or -EPIPE no answer, -ENAMETOOLONG, -ENOMEM. Thread-safe. */
SLUICE_API int sluice_attach(struct sluice_reader **reader, const char *instance, const char *ring, int start,
                             char *error, size_t error_bytes);

/* Detaches and frees; NULL is fine. The server frees the reader's place at once, also if the process just dies. */
SLUICE_API void sluice_detach(struct sluice_reader *reader);

/* 1: *frame is the next frame; 0: nothing new. Never blocks, no system call. If the writer has lapped this reader
 * it continues at a safe place and sluice_reader_lost() grows by what was missed. */
SLUICE_API int sluice_reader_next(struct sluice_reader *reader, struct sluice_frame *frame);

/* 1 while the frame's bytes are still the frame's: call it after having used them. */
SLUICE_API int sluice_reader_valid(const struct sluice_reader *reader, const struct sluice_frame *frame);

/* Sleeps until something new is there: 1, or 0 at the time-out (ms; 0: just look), or -EPIPE once the server is
 * gone (frames that are left can still be read). Polls every 500 us; costs the writer nothing. */
SLUICE_API int sluice_reader_wait(struct sluice_reader *reader, int timeout_ms);

/* Frames overwritten before this reader came to them, in total. */
SLUICE_API uint64_t sluice_reader_lost(const struct sluice_reader *reader);

/* Grows by one each time the writer (re)starts. */
SLUICE_API uint64_t sluice_reader_epoch(const struct sluice_reader *reader);

/* Number of channels, and one of them: 0, or -ERANGE. */
SLUICE_API uint32_t sluice_channels(const struct sluice_reader *reader);
SLUICE_API int sluice_channel(const struct sluice_reader *reader, uint32_t index, struct sluice_channel *channel);

/* The channel's value in its unit, NaN if the frame is a gap or too short for it. */
SLUICE_API double sluice_value(const struct sluice_reader *reader, uint32_t index,
                               const struct sluice_frame *frame);

/* "sender", "kernel", "nic", "ring_full", "late", "malformed", "truncated", "restart"; else "unknown". */
SLUICE_API const char *sluice_loss_name(uint32_t cause);

#ifdef __cplusplus
}
#endif

#endif
