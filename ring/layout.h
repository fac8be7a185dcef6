/* The shared layout of a ring segment. Everything that two processes agree on about a ring stands here.
 *
 *   offset 0                 struct ring_header: identity and streams (creator), the rest (writer)
 *
 *   channels_offset          struct ring_channel [channels]          (creator)
 *
 *   numbers_offset           double [numbers]: the calibrations'     (creator)
 *
 *   slots_offset             slots x slot_bytes, each:               (writer)
 *
 *        +0 sequence word | +8 tai_ns | +16 source_sequence | +24 length, flags, stream, lost_before
 *        +32 .. payload_offset   headroom: the producer's own (recvmsg header, mbuf headroom); never read
 *        +payload_offset ..      payload, written once by the device or the kernel, read in place
 *
 * Position p (0, 1, 2 ..) lives in slot p & (slots - 1). Its sequence word is p + 1 once it is published.
 * A ring has two small companions: a page of orders (struct ring_orders, written by the server, read by the writer)
 * and a lease for each reader (struct ring_lease, written by that reader). They are segments of their own, so that
 * whoever may write one can write nothing else.
 * Change anything here -> bump RING_LAYOUT_VERSION, tests/ring/layout.golden and CHANGELOG.md.
 */
#ifndef RING_LAYOUT_H
#define RING_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/ledger.h"
#include "ring/rate.h"

#define RING_MAGIC             UINT64_C(0x31474e4952434c53) /* "SLCRING1" read as little-endian bytes */
#define RING_LAYOUT_VERSION    UINT32_C(5)
#define RING_HEADER_BYTES      4096u
#define RING_NAME_BYTES        32u
#define RING_UNIT_BYTES        16u
#define RING_DESCRIPTOR_BYTES  32u
#define RING_SLOT_BYTES_MIN    64u
#define RING_SLOT_BYTES_MAX    65536u
#define RING_SLOTS_MIN         16u
#define RING_SLOTS_MAX         (UINT64_C(1) << 30)
#define RING_CHANNELS_MAX      64u
#define RING_NUMBERS_MAX       1024u /* of all calibrations of a ring */
#define RING_POLYNOMIAL_MAX    16u   /* coefficients */
#define RING_STREAMS_MAX       8u
#define RING_GATES_MAX         16u
#define RING_CACHE_LINE_BYTES  64u
#define RING_WRITER_LINE_BYTES 128u /* a pair of lines: the adjacent-line prefetcher couples them */

/* Descriptor flags. */
enum ring_flag {
    RING_FLAG_GAP = 1,         /* no frame: the payload is a struct ring_gap */
    RING_FLAG_LOST_BEFORE = 2, /* lost_before frames of this stream are missing just before this one */
    RING_FLAG_DUPLICATE = 4,   /* this number was delivered before; not counted as delivered again */
    RING_FLAG_REORDERED = 8    /* older than a frame before it: it had been given up as lost */
};
#define RING_FLAG_CAUSE_SHIFT 8 /* bits 8..15 of flags: enum ring_loss that the gap or loss is put down to */

/* The descriptor at the start of every slot. All by the ring's writer; sequence is stored last (release). */
struct ring_descriptor {
    uint64_t sequence;        /* position + 1; a reader decides by this word alone */
    uint64_t tai_ns;          /* TAI ns since 1970; enum ring_stamp says of what; never later than the arrival */
    uint64_t source_sequence; /* the sender's own number, unwrapped; the position where it has none */
    union {
        struct {
            uint16_t length_bytes; /* payload bytes */
            uint16_t flags;        /* enum ring_flag | cause << RING_FLAG_CAUSE_SHIFT */
            uint16_t stream;       /* entry of the stream table */
            uint16_t lost_before;  /* frames; 65535 means that many or more: the ledger has the exact sum */
        };
        uint64_t rest; /* the four above in one word: stored and loaded as one */
    };
};
static_assert(sizeof(struct ring_descriptor) == RING_DESCRIPTOR_BYTES, "descriptor is 32 bytes");

/* Little-endian hosts only, as is everything in the segment. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout is little-endian");
static inline uint64_t ring_pack_rest(uint32_t length_bytes, uint32_t flags, uint32_t stream, uint64_t lost_before)
{
    return (uint64_t)(length_bytes & 0xffff) | (uint64_t)(flags & 0xffff) << 16 |
           (uint64_t)(stream & 0xffff) << 32 | (lost_before < UINT16_MAX ? lost_before : UINT16_MAX) << 48;
}

/* Payload of a slot with RING_FLAG_GAP. */
struct ring_gap {
    uint32_t cause; /* enum ring_loss */
    uint32_t reserved;
    uint64_t count;       /* frames known to be missing; 0: none, or not known */
    uint64_t from_tai_ns; /* last thing known before the gap; 0: not known */
    uint64_t reserved2;
};
static_assert(sizeof(struct ring_gap) == 32, "a gap record fits the smallest slot");

enum ring_type {
    RING_TYPE_NONE = 0,
    RING_TYPE_I8 = 1,
    RING_TYPE_U8 = 2,
    RING_TYPE_I16 = 3,
    RING_TYPE_U16 = 4,
    RING_TYPE_I32 = 5,
    RING_TYPE_U32 = 6,
    RING_TYPE_I64 = 7,
    RING_TYPE_U64 = 8,
    RING_TYPE_F32 = 9,
    RING_TYPE_F64 = 10,
    RING_TYPES = 11
};

enum ring_byte_order { RING_LITTLE_ENDIAN = 1, RING_BIG_ENDIAN = 2 };

/* What becomes of x = raw * scale + offset. Its numbers stand in the ring's own array of them, behind the channels.
 */
enum ring_calibration {
    RING_CALIBRATION_LINEAR = 0,       /* x itself */
    RING_CALIBRATION_POLYNOMIAL = 1,   /* c0 + c1 x + c2 x^2 ..; numbers: c0, c1 .. */
    RING_CALIBRATION_POINTS = 2,       /* straight between points; numbers: x, y, x, y .. with rising x */
    RING_CALIBRATION_THERMOCOUPLE = 3, /* degC from x in mV; numbers: the cold junction, none if measured */
    RING_CALIBRATION_LOGARITHMIC = 4,  /* 10^(slope x + intercept); numbers: slope, intercept */
    RING_CALIBRATIONS = 5
};

enum ring_thermocouple {
    RING_THERMOCOUPLE_NONE = 0,
    RING_THERMOCOUPLE_J = 1,
    RING_THERMOCOUPLE_K = 2,
    RING_THERMOCOUPLE_N = 3,
    RING_THERMOCOUPLE_T = 4,
    RING_THERMOCOUPLES = 5
};

/* One channel inside a frame: value = f(raw * scale + offset), in unit. Written by the creator only. */
struct ring_channel {
    char name[RING_NAME_BYTES];
    char unit[RING_UNIT_BYTES];
    uint32_t at_byte;      /* from the start of the payload */
    uint32_t type;         /* enum ring_type */
    uint32_t byte_order;   /* enum ring_byte_order */
    uint16_t calibration;  /* enum ring_calibration: f */
    uint16_t thermocouple; /* enum ring_thermocouple; none but for f of that name */
    double scale;
    double offset;
    double range_low;      /* valid range in unit, inclusive; outside is BAD */
    double range_high;     /* in unit */
    uint32_t first_number; /* of f's numbers in the ring's array */
    uint32_t numbers;      /* how many they are */
    uint32_t reference;    /* index + 1 of the ring's channel that is the cold junction, in degC; 0: none */
    uint8_t bits;          /* the raw value is so many bits of the type's; 0: all */
    uint8_t shift;         /* .. from this one on, the lowest is 0 */
    uint16_t reserved;
    uint64_t reserved2[2];
};
static_assert(sizeof(struct ring_channel) == 128, "channel entries are 128 bytes");

/* What is known of one stream of the ring, and of its sender. Written by the creator only. */
struct ring_stream {
    char name[RING_NAME_BYTES];
    char source[16];               /* kind of source: "udp", "serial" .. */
    uint32_t frame_bytes;          /* exact payload bytes of a frame; 0: they vary */
    uint32_t sequence_at_byte;     /* where a frame carries its sender's number */
    uint32_t sequence_width_bytes; /* 0: it carries none */
    uint32_t sequence_byte_order;  /* enum ring_byte_order */
    uint32_t sequence_step;        /* the number grows by this per frame */
    uint32_t stamp;                /* enum ring_stamp */
    double nominal_hz;             /* the rate that was declared; 0: none */
    double tolerance; /* by how much of it the measured one may differ before that is told; 0: it is not judged */
    uint64_t reserved[5];
};
static_assert(sizeof(struct ring_stream) == 128, "stream entries are 128 bytes");

/* What a frame's tai_ns is. That of a gap record is always the time when it was written. */
enum ring_stamp {
    RING_STAMP_TAKEN = 1,         /* when the writer took it over, CLOCK_MONOTONIC + tai_minus_monotonic_ns */
    RING_STAMP_DEVICE = 2,        /* as its device says, within bounds (daq/stamper.h) */
    RING_STAMP_RECONSTRUCTED = 3, /* from its number and the nominal rate, within the same bounds */
    RING_STAMP_ASKED = 4          /* when its instrument was asked: nothing in its answer is older */
};

/* Written once by the creator before anyone else maps the segment; magic last. */
struct ring_identity {
    uint64_t magic; /* RING_MAGIC, stored last (release), read first (acquire) */
    uint32_t version;
    uint32_t header_bytes;
    uint64_t segment_bytes;
    uint64_t slots; /* a power of two */
    uint32_t slot_bytes;
    uint32_t payload_offset; /* bytes from the slot's start */
    uint64_t slots_offset;
    uint32_t channels_offset;
    uint32_t channels;
    uint64_t page_bytes; /* size of the pages that back the segment */
    uint64_t created_tai_ns;
    int64_t tai_minus_monotonic_ns; /* CLOCK_MONOTONIC + this = TAI, fixed for the segment's life */
    int32_t utc_offset_s;           /* TAI - UTC as the kernel knew it at creation; 0: the kernel was not told */
    uint32_t stamp;                 /* enum ring_stamp of stream[0] */
    uint32_t streams;               /* entries of header.stream, at least 1 */
    int32_t numa_node;              /* that the memory was asked to lie on; -1: any */
    char instance[RING_NAME_BYTES];
    char name[RING_NAME_BYTES];
    uint32_t numbers_offset; /* the calibrations' numbers (doubles) adjoin the channels */
    uint32_t numbers;
};

/* Written by the writer only. claimed and published stand on line pairs of their own. */
struct ring_progress {
    uint64_t claimed; /* positions below this may be written to; a slot is void from claimed - slots down */
    uint8_t pad0[RING_WRITER_LINE_BYTES - 8];
    uint64_t published; /* positions below this are published; a hint for seeks, never for validity */
    /* When, if that is known: see ring_newest_word(). Stored before `published`, in its line: no other is touched
     * for it. Of nobody's concern but a reader's that measures. */
    uint64_t newest;
    uint8_t pad1[RING_WRITER_LINE_BYTES - 16];
    uint64_t epoch; /* +1 each time a writer attaches: a restart is visible */
    uint64_t writer_pid;
    uint64_t restart_position; /* first position of this epoch */
    uint8_t pad2[RING_WRITER_LINE_BYTES - 24];
};

enum ring_gate_state {
    RING_GATE_FREE = 0,    /* nobody's */
    RING_GATE_GATING = 1,  /* the writer overwrites nothing that this reader has not released */
    RING_GATE_DEMOTED = 2, /* the writer no longer waits for it: it goes on as an observer */
};

enum ring_gate_reason {
    RING_GATE_NO_REASON = 0,
    RING_GATE_DEADLINE = 1, /* it held the writer up for longer than it may */
    RING_GATE_NONSENSE = 2, /* it released what was not published yet */
};

/* What the writer makes of one gating reader. Written by the writer only; generation last (release). */
struct ring_gate_status {
    uint64_t generation; /* of the order it goes by */
    uint32_t state;      /* enum ring_gate_state */
    uint32_t reason;     /* enum ring_gate_reason */
    uint64_t base;       /* nothing from this position on is overwritten before it is released */
    uint64_t waits;      /* times the writer found no room because of it */
    uint64_t waited_ns;  /* time spent so */
    uint64_t waited_ns_max;
    uint64_t demoted_position; /* first position that the writer did not wait for */
    uint64_t demoted_tai_ns;
};
static_assert(sizeof(struct ring_gate_status) == 64, "a gate's status is one line");

struct ring_header {
    struct ring_identity identity;
    uint8_t pad0[512 - sizeof(struct ring_identity)];
    struct ring_progress progress;
    struct ring_ledger ledger;
    struct ring_rate rate;
    uint8_t pad1[2048 - 512 - sizeof(struct ring_progress) - sizeof(struct ring_ledger) - sizeof(struct ring_rate)];
    struct ring_gate_status gate[RING_GATES_MAX];
    struct ring_stream stream[RING_STREAMS_MAX];
};
static_assert(sizeof(struct ring_header) == RING_HEADER_BYTES, "the header is one page");
static_assert(offsetof(struct ring_header, progress) == 512, "progress at 512");
static_assert(offsetof(struct ring_header, progress) % RING_WRITER_LINE_BYTES == 0, "own line pair");
static_assert(offsetof(struct ring_progress, published) == 128, "published at +128");
static_assert(offsetof(struct ring_progress, newest) == 136, "newest beside published");
static_assert(offsetof(struct ring_progress, epoch) == 256, "epoch at +256");
static_assert(offsetof(struct ring_header, rate) == 1280, "rate at 1280, on line pairs of its own");
static_assert(offsetof(struct ring_header, gate) == 2048, "gates at 2048");
static_assert(offsetof(struct ring_header, stream) == 3072, "streams at 3072");

/* A reader's own page. The server writes what stands on its first line pair before the reader is given it; the rest
 * is the reader's, and whoever reads it trusts nothing: at worst the writer waits for this reader, or ignores it.
 */
#define RING_LEASE_MAGIC UINT64_C(0x324553414c434c53) /* "SLCLASE2" */
#define RING_LEASE_BYTES 4096u
struct ring_lease {
    uint64_t magic;      /* server */
    uint64_t generation; /* server; of its gate; 0: an observer's */
    uint8_t pad0[RING_WRITER_LINE_BYTES - 16];
    uint64_t position; /* reader: positions below are released; next one it will look at */
    uint64_t lost;     /* reader: frames overwritten before it read them */
    uint8_t pad1[RING_WRITER_LINE_BYTES - 16];
};
static_assert(offsetof(struct ring_lease, position) == RING_WRITER_LINE_BYTES, "the reader's own line pair");

/* What the server asks of a ring's writer. Written by the server only. */
#define RING_ORDERS_MAGIC UINT64_C(0x315244524f434c53) /* "SLCORDR1" */
#define RING_ORDERS_BYTES 4096u

struct ring_order {
    uint64_t generation;  /* never the same twice; 0: no gating reader here; stored last (release) */
    uint64_t from;        /* position to start at: 0 the oldest, UINT64_MAX the newest */
    uint64_t deadline_ns; /* how long it may hold the writer up before it is demoted */
    uint64_t reserved[5];
};
static_assert(sizeof(struct ring_order) == 64, "an order is one line");

struct ring_orders {
    uint64_t magic;
    uint32_t version; /* RING_LAYOUT_VERSION */
    uint32_t gates;   /* usable entries of gate[] */
    uint8_t pad0[RING_WRITER_LINE_BYTES - 16];
    uint64_t changes; /* +1 after each change of gate[] (release) */
    uint64_t bell;    /* changed when somebody sleeps: the writer's process rings once, after its next publish */
    uint8_t pad1[RING_WRITER_LINE_BYTES - 16];
    struct ring_order gate[RING_GATES_MAX];
};
static_assert(offsetof(struct ring_orders, changes) == 128 && offsetof(struct ring_orders, gate) == 256, "orders");
static_assert(sizeof(struct ring_orders) <= RING_ORDERS_BYTES, "one page");

#endif
