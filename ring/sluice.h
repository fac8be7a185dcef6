/* libsluice: read the rings of a running sluice server in place, from any process. Frame by frame:
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
 * or in batches, which is several times faster:
 *
 *   struct sluice_batch b;
 *   while (sluice_reader_batch(r, 256, &b) > 0) {
 *       for (uint32_t i = 0; i < b.count; i++) use(sluice_batch_payload(&b, i), sluice_batch_length(&b, i));
 *       n = sluice_reader_overwritten(r, &b);     the first n of them had been overwritten: discard
 *   }
 *
 * An observer never slows the writer, and learns exactly how many frames it lost. A gating reader loses nothing as
 * long as it keeps up with the deadline that its ring grants: the writer waits for it (or drops new frames, and
 * records that, if the ring's policy says so); then it is demoted to an observer, and if it does not move even
 * then, evicted. Reading does no system call.
 *
 * Threads: a reader belongs to one thread at a time; hand it over with a lock or join between. Any number of
 * readers may be open in a process, on one ring or on several, each in a thread of its own. A frame or batch may be
 * used by other threads until the reader's thread asks for the next one. After fork() only one of the two processes
 * may go on using a reader.
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
    SLUICE_OLDEST = 1,      /* the oldest frame that is still whole */
    SLUICE_NEWEST = 2,      /* only what is published from now on */
    SLUICE_AT_TIME = 3,     /* the first frame that is not older than `at`, TAI ns */
    SLUICE_AT_SEQUENCE = 4, /* the first frame whose source sequence is at least `at` */
    SLUICE_AT_POSITION = 5  /* position `at` */
};

enum sluice_mode { SLUICE_OBSERVER = 1, SLUICE_GATING = 2 };

/* What a gating reader has become; an observer is always SLUICE_STATE_OBSERVER. */
enum sluice_state {
    SLUICE_STATE_OBSERVER = 1,
    SLUICE_STATE_GATING = 2,  /* nothing is overwritten before it is released */
    SLUICE_STATE_DEMOTED = 3, /* it held the writer up for too long: an observer from there on */
    SLUICE_STATE_EVICTED = 4  /* the server has given its place away: detach */
};

enum sluice_frame_flag {
    SLUICE_FRAME_GAP = 1,         /* no frame: something is missing here; see cause and lost_before */
    SLUICE_FRAME_LOST_BEFORE = 2, /* lost_before frames of the stream are missing before this one */
    SLUICE_FRAME_DUPLICATE = 4,   /* the sender's number was delivered before */
    SLUICE_FRAME_REORDERED = 8    /* older than a frame before it */
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
    uint32_t lost_before; /* frames missing in the stream before this one (65535: or more) */
    uint16_t stream;      /* which stream of the ring: index for sluice_stream() */
    uint16_t reserved;
};

/* What stands at the start of every slot. */
struct sluice_descriptor {
    uint64_t sequence;        /* position + 1 */
    uint64_t tai_ns;          /* as in struct sluice_frame */
    uint64_t source_sequence; /* as in struct sluice_frame */
    uint16_t length_bytes;    /* read it through sluice_batch_length() */
    uint16_t flags;           /* enum sluice_frame_flag; bits 8 .. 15: the cause */
    uint16_t stream;
    uint16_t lost_before;
};

/* Frames that adjoin in memory, seen in place: frame i begins at first + i * slot_bytes with its descriptor, its
 * payload lies payload_offset bytes behind that. Gap records are among them (SLUICE_FRAME_GAP). */
struct sluice_batch {
    const uint8_t *first;
    uint64_t position; /* of the first */
    uint32_t count;
    uint32_t slot_bytes;     /* the stride */
    uint32_t payload_offset; /* from a slot's start */
    uint32_t payload_bytes;  /* room in a slot: no frame is longer */
};

static inline const struct sluice_descriptor *sluice_batch_descriptor(const struct sluice_batch *batch, uint32_t i)
{
    return (const struct sluice_descriptor *)(const void *)(batch->first + (size_t)i * batch->slot_bytes);
}

static inline const uint8_t *sluice_batch_payload(const struct sluice_batch *batch, uint32_t i)
{
    return batch->first + (size_t)i * batch->slot_bytes + batch->payload_offset;
}

/* Payload bytes of frame i, never more than there is room for: while the writer is about to overwrite a frame its
 * length may be any number. */
static inline uint32_t sluice_batch_length(const struct sluice_batch *batch, uint32_t i)
{
    uint32_t length_bytes = *(const volatile uint16_t *)&sluice_batch_descriptor(batch, i)->length_bytes;
    return length_bytes < batch->payload_bytes ? length_bytes : batch->payload_bytes;
}

/* What a ring says of itself. */
struct sluice_ring {
    char instance[32];
    char name[32];
    uint64_t slots;
    uint32_t slot_bytes;
    uint32_t payload_offset;
    uint32_t payload_bytes;
    uint32_t channels;
    uint32_t streams;
    uint32_t stamp;          /* what tai_ns is: 1 the time when the worker took the frame over, 2 the device's
                                own, 3 reconstructed from the rate, 4 when its
                                instrument was asked; none is later than 1 */
    uint64_t page_bytes;     /* of the memory it lies in */
    uint64_t created_tai_ns; /* when the server made it */
    int64_t tai_minus_monotonic_ns; /* CLOCK_MONOTONIC + this = TAI, for this ring's whole life */
    int32_t utc_offset_s;           /* TAI - UTC as the kernel knew it then; 0: it did not know */
    int32_t numa_node;              /* that the memory was asked to lie on; -1: any */
};

/* One stream of a ring and what is known of its sender. */
struct sluice_stream {
    char name[32];
    char source[16];               /* "udp", "serial" .. */
    uint32_t frame_bytes;          /* exact payload bytes; 0: they vary */
    uint32_t sequence_width_bytes; /* of the sender's number; 0: it sends none */
    uint32_t sequence_step;
};

/* One channel of a ring. sluice_value() gives its value, calibration included; value = raw * scale + offset only
 * where calibration, bits and shift are 0. */
struct sluice_channel {
    char name[32];
    char unit[16];
    uint32_t at_byte; /* in the payload */
    uint32_t type;    /* 1 i8, 2 u8, 3 i16, 4 u16, 5 i32, 6 u32, 7 i64, 8 u64, 9 f32, 10 f64 */
    uint32_t big_endian;
    uint8_t calibration; /* of that: 0 none, 1 polynomial, 2 points, 3 thermocouple, 4 logarithmic */
    uint8_t bits;        /* the raw value is so many bits of the type's; 0: all of them */
    uint8_t shift;       /* .. from this one on */
    uint8_t reserved;
    double scale;
    double offset;
    double range_low; /* valid range, inclusive, in unit */
    double range_high;
};

/* How to attach; all zero but `bytes` is an observer of what comes from now on. */
struct sluice_options {
    uint32_t bytes;       /* sizeof(struct sluice_options): later versions may have more */
    uint32_t mode;        /* enum sluice_mode; 0: SLUICE_OBSERVER */
    uint32_t start;       /* enum sluice_start; 0: SLUICE_NEWEST */
    uint32_t deadline_ms; /* gating: may hold the writer up for this long, at most what the ring grants; 0: that */
    uint64_t at;          /* for SLUICE_AT_TIME, _SEQUENCE, _POSITION */
};

/* Attaches to `ring` of server `instance`: an observer, `start` is SLUICE_OLDEST or SLUICE_NEWEST. 0, or -errno
 * with a sentence in error[0 .. error_bytes) (may be NULL): -ECONNREFUSED no such server, -EACCES not permitted,
 * -ETIMEDOUT or -EPIPE no answer, -ENXIO no such ring, -EUSERS too many readers, -EPERM the ring takes no gating
 * readers, -EAGAIN gating: the ring's worker is not running or does not answer, -EPROTO another version, or
 * corrupt, -EMFILE too few descriptors, -EINVAL impossible options or no instance, -ENAMETOOLONG, -ENOMEM. Signals
 * change nothing. Thread-safe. */
SLUICE_API int sluice_attach(struct sluice_reader **reader, const char *instance, const char *ring, int start,
                             char *error, size_t error_bytes);

/* The same with everything that can be chosen. options may be NULL. */
SLUICE_API int sluice_attach_with(struct sluice_reader **reader, const char *instance, const char *ring,
                                  const struct sluice_options *options, char *error, size_t error_bytes);

/* Detaches and frees; NULL is fine. The server frees the reader's place at once, also if the process just dies. */
SLUICE_API void sluice_detach(struct sluice_reader *reader);

/* 1: *frame is the next frame; 0: nothing new. Never blocks, no system call. If the writer has lapped this reader
 * it continues at a safe place and sluice_reader_lost() grows by what was missed. Releases all frames before. */
SLUICE_API int sluice_reader_next(struct sluice_reader *reader, struct sluice_frame *frame);

/* 1 while the frame's bytes are still the frame's: call it after having used them (gating readers too: they may
 * have been demoted meanwhile). */
SLUICE_API int sluice_reader_valid(const struct sluice_reader *reader, const struct sluice_frame *frame);

/* Up to `max` frames that adjoin in memory; returns batch->count, 0: nothing new. Never blocks, no system call,
 * copies nothing. Ends at the end of the ring's memory: ask again. Releases all frames before. */
SLUICE_API uint32_t sluice_reader_batch(struct sluice_reader *reader, uint32_t max, struct sluice_batch *batch);

/* How many frames at the start of the batch have been overwritten since (0: none): call it after having used them,
 * and discard what came of those. They count in sluice_reader_lost(). */
SLUICE_API uint32_t sluice_reader_overwritten(struct sluice_reader *reader, const struct sluice_batch *batch);

/* Gives back everything that was handed out, before the next call would: for a gating reader that pauses. */
SLUICE_API void sluice_reader_release(struct sluice_reader *reader);

/* Moves to another place: start as for attaching, by bisection over what is still in the ring; to the end if
 * nothing there is as new as that. A gating reader only moves forward. What was skipped, or was overwritten before
 * the place that was asked for, is not counted as lost: sluice_reader_position() says where it stands. 0 or
 * -EINVAL. */
SLUICE_API int sluice_reader_seek(struct sluice_reader *reader, int start, uint64_t at);

/* Next position that will be looked at. */
SLUICE_API uint64_t sluice_reader_position(const struct sluice_reader *reader);

/* enum sluice_state. No system call. */
SLUICE_API int sluice_reader_state(const struct sluice_reader *reader);

/* Waits until something new is there: 1, or 0 at the time-out (ms; 0: just look; negative: none), or -EPIPE once
 * the server is gone or has evicted this reader (frames that are left can still be read), or -EPROTO once what was
 * read of the ring cannot be true: its memory was overwritten, and nothing more will come. Spins for as long as
 * sluice_reader_spin() says, then sleeps; costs a writer that publishes in batches nothing. A signal does not end
 * it.
 */
SLUICE_API int sluice_reader_wait(struct sluice_reader *reader, int timeout_ms);

/* How long sluice_reader_wait() looks by itself before it sleeps, 0 .. 1000000 us; 0, the default: not at all. A
 * spinning reader sees a frame within a microsecond, a sleeping one after some tens. */
SLUICE_API void sluice_reader_spin(struct sluice_reader *reader, uint32_t spin_us);

/* For event loops. sluice_reader_fd() is a descriptor for poll(2), select(2) or epoll(7), nothing else may be done
 * with it. sluice_reader_arm(): 1 if something new is there (read it first), 0 if not: then the descriptor becomes
 * readable once there is; -EPIPE and -EPROTO as above. Arm again after each time that it was readable and all was
 * read. */
SLUICE_API int sluice_reader_fd(const struct sluice_reader *reader);
SLUICE_API int sluice_reader_arm(struct sluice_reader *reader);

/* Frames overwritten before this reader came to them, in total. */
SLUICE_API uint64_t sluice_reader_lost(const struct sluice_reader *reader);

/* Grows by one each time the writer (re)starts. */
SLUICE_API uint64_t sluice_reader_epoch(const struct sluice_reader *reader);

/* What the ring says of itself, and its streams: 0, or -ERANGE. */
SLUICE_API void sluice_ring(const struct sluice_reader *reader, struct sluice_ring *ring);
SLUICE_API int sluice_stream(const struct sluice_reader *reader, uint32_t index, struct sluice_stream *stream);

/* Number of channels, and one of them: 0, or -ERANGE. */
SLUICE_API uint32_t sluice_channels(const struct sluice_reader *reader);
SLUICE_API int sluice_channel(const struct sluice_reader *reader, uint32_t index, struct sluice_channel *channel);

/* The channel's value in its unit, calibrated. NaN if the frame is a gap or too short for it, and where its
 * calibration says nothing: outside its points or its thermocouple's range, with a cold junction that is no good.
 */
SLUICE_API double sluice_value(const struct sluice_reader *reader, uint32_t index,
                               const struct sluice_frame *frame);

/* The same of `count` frames of a batch at once, from frame `first` on, into values[0 .. count): several times
 * faster than one by one. count is cut to what the batch has; returns how many were written. Ask
 * sluice_reader_overwritten() afterwards: of frames that had been overwritten the values mean nothing. */
SLUICE_API uint32_t sluice_batch_values(const struct sluice_reader *reader, uint32_t index,
                                        const struct sluice_batch *batch, uint32_t first, uint32_t count,
                                        double *values);

/* What is in the ring now. Positions oldest .. published - 1 can be read, the oldest of them for a moment only. */
struct sluice_progress {
    uint64_t oldest;
    uint64_t published;
    uint64_t oldest_tai_ns; /* stamps of the first and the last of them; 0: there is none */
    uint64_t newest_tai_ns;
    uint64_t epoch; /* as sluice_reader_epoch() */
    uint64_t writer_pid;
};

/* What became of every frame that was sent, counted by the ring's writer. It adds up: sent = delivered + lost[0] +
 * lost[1] .., and residual is by how much it does not (0, but for the moment in which the writer counts). */
struct sluice_ledger {
    uint64_t sent;
    uint64_t delivered;
    uint64_t lost[8]; /* by cause: sluice_loss_name() */
    int64_t residual;
    uint64_t duplicated;
    uint64_t reordered;
    uint64_t refused[8]; /* arrivals that were refused, by reason: sluice_refusal_name() */
    uint64_t noise_bytes;
    uint64_t gap_records;
    uint64_t connects;
    uint64_t disconnects;
    uint64_t is_open; /* 1: the device or socket is open */
    uint64_t bytes;   /* payload bytes delivered */
};

/* How regularly frames come. Of the last whole window (about a second; window_ns 0: there is none), then totals. */
struct sluice_rate {
    double nominal_hz;  /* as configured; 0: not */
    double measured_hz; /* 0: none came, or not measured */
    uint64_t window_ns;
    uint64_t frames;
    uint64_t interval_ns_min;
    uint64_t interval_ns_max;
    uint64_t missed; /* since the start, by the nominal rate, where frames carry no number */
};

SLUICE_API void sluice_progress(const struct sluice_reader *reader, struct sluice_progress *progress);
SLUICE_API void sluice_ledger(const struct sluice_reader *reader, struct sluice_ledger *ledger);
SLUICE_API void sluice_rate(const struct sluice_reader *reader, struct sluice_rate *rate);

/* The ring's memory, to be kept beyond the reader: what was handed out stays readable (if not what it was: frames
 * go on being overwritten) until the last sluice_memory_drop(), also after sluice_detach() and when the server has
 * ended. Keep: from the reader's thread; drop: any thread, each kept one once. */
struct sluice_memory;
SLUICE_API struct sluice_memory *sluice_memory_keep(struct sluice_reader *reader);
SLUICE_API void sluice_memory_drop(struct sluice_memory *memory);

/* The slots: slots * slot_bytes bytes, read-only; position p lies at (p % slots) * slot_bytes. */
SLUICE_API const uint8_t *sluice_memory_slots(const struct sluice_memory *memory, size_t *bytes);

/* How many of the frames at positions [position, position + count) have been overwritten, from the first on; as
 * sluice_reader_overwritten(), but nothing is counted, and without the reader. For positions that were handed out:
 * of those that nobody has written yet it knows nothing. Any thread. */
SLUICE_API uint64_t sluice_memory_overwritten(const struct sluice_memory *memory, uint64_t position,
                                              uint64_t count);

/* "sender", "kernel", "nic", "ring_full", "late", "malformed", "truncated", "restart"; else "unknown". */
SLUICE_API const char *sluice_loss_name(uint32_t cause);

/* "short", "long", "stranger", "checksum", "syntax", "fragment"; else "unknown". */
SLUICE_API const char *sluice_refusal_name(uint32_t reason);

/* "i8" .. "f64" for struct sluice_channel's type; else "none". */
SLUICE_API const char *sluice_type_name(uint32_t type);

#ifdef __cplusplus
}
#endif

#endif
