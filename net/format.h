/* What the header of a frame says: whose it is, which number it has. One parser for each format that a stream may
 * have, over bytes where they lie. Pure; hot (HOT_SOURCES).
 *
 * The header of our own format, FORMAT_SLUICE, in network byte order, in front of the payload:
 *
 *    0 u32 magic 0x534c5543 ("SLUC")
 *    4 u16 version 1              6 u16 flags: 1 heartbeat, 2 end of the stream
 *    8 u64 sequence: of this frame; in a heartbeat, which is none, of the next one that will be sent
 *   16 u64 when it was sent, TAI ns since 1970; 0: not told
 *   24 u32 stream id             28 u32 payload bytes behind the header
 *
 * A heartbeat carries no payload. It tells how many were sent while nothing comes, so that a lost tail is known.
 */
#ifndef NET_FORMAT_H
#define NET_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

struct sequence_spec;

enum stream_format {
    FORMAT_FIELD = 1,  /* a number at a declared place, or none (struct sequence_spec); 0 is the same */
    FORMAT_VDIF = 2,   /* VLBI Data Interchange Format, Release 1.1.1 */
    FORMAT_VRT = 3,    /* VITA Radio Transport, ANSI/VITA 49.0 and 49.2 */
    FORMAT_SPEAD = 4,  /* Streaming Protocol for Exchanging Astronomical Data, SPEAD-64-48 */
    FORMAT_SLUICE = 5, /* the above */
    FORMATS = 6
};

#define FORMAT_THREADS_MAX 32u

struct format_spec {
    uint32_t kind;    /* enum stream_format */
    uint32_t at_byte; /* where in the payload the header begins: a datagram may carry something before it */
    uint32_t frames_per_second;                /* VDIF: of one thread; 1 .. 2^24 */
    uint32_t threads;                          /* VDIF: entries of thread_order, at least 1 */
    uint32_t thread_order[FORMAT_THREADS_MAX]; /* VDIF: thread ids in the order in which they are sent */
    uint32_t heap_bytes;                       /* SPEAD: payload of a whole heap */
    uint32_t packet_bytes; /* SPEAD: payload of each packet but a heap's last; 0: of every one, as it comes */
    uint32_t match_stream; /* VRT, SLUICE: 1: only stream_id's packets are the stream's */
    uint32_t stream_id;
    uint32_t reserved[5];
};

struct format_frame {
    uint64_t number;        /* for net_sequence_track; a heartbeat's for net_sequence_heartbeat */
    uint64_t sender_tai_ns; /* SLUICE: when it was sent; 0: not told */
    bool heartbeat;         /* no frame: `number` is that of the next one */
    bool end;               /* the sender says that nothing follows */
    bool stranger;          /* read failed, but nothing is broken: another stream's, or no data; nothing is lost */
};

/* What a good frame's header says. `bytes`: of the whole payload; nothing beyond is read. False: it is no frame of
 * this format (SYNTAX), or none of this stream (frame->stranger). */
bool format_read(const struct format_spec *format, const struct sequence_spec *sequence, const uint8_t *payload,
                 uint32_t bytes, struct format_frame *frame);

/* The width, step .. with which net_sequence_track is to follow these numbers. FIELD: as they were declared. Cold.
 */
void format_sequence(const struct format_spec *format, struct sequence_spec *sequence);

#define FORMAT_SLUICE_BYTES 32u
enum format_sluice_flag { FORMAT_SLUICE_HEARTBEAT = 1, FORMAT_SLUICE_END = 2 };

struct format_sluice {
    uint64_t sequence;
    uint64_t sender_tai_ns;
    uint32_t stream_id;
    uint32_t payload_bytes;
    uint32_t flags; /* enum format_sluice_flag, or-ed */
};

/* FORMAT_SLUICE_BYTES at `to`: for a sender. */
void format_write_sluice(uint8_t *to, const struct format_sluice *header);

#endif
