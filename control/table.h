/* The interlock's table: compiled from the configuration by sluiced, plain data, fixed sizes, no pointers, sealed
 * against writing before the control process ever sees it. Everything the engine and the loop know stands here.
 */
#ifndef CONTROL_TABLE_H
#define CONTROL_TABLE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/layout.h"
#include "ring/thread.h"

#define CONTROL_TABLE_MAGIC   UINT64_C(0x314c425443534c53) /* "SLSCTBL1" */
#define CONTROL_TABLE_VERSION 1u
#define CONTROL_RINGS_MAX     16u
#define CONTROL_CHANNELS_MAX  64u
#define CONTROL_RULES_MAX     64u
#define CONTROL_OUTPUTS_MAX   32u
#define CONTROL_DEVICES_MAX   8u
#define CONTROL_TARGET_BYTES  108u

enum device_kind { DEVICE_UDP = 1, DEVICE_UNIX = 2, DEVICE_FILE = 3 };

struct control_ring {
    char name[RING_NAME_BYTES];
    uint32_t fd;            /* its number in the control process */
    uint32_t first_channel; /* channels of one ring stand together */
    uint32_t channels;
    uint32_t reserved;
};

struct control_channel {
    struct ring_channel decode;
    uint32_t ring;    /* index */
    uint32_t guarded; /* 1: some rule watches it; then BAD or STALE is a cause */
    uint64_t stale_ns;
};

struct control_rule {
    char name[RING_NAME_BYTES];
    uint32_t channel; /* index */
    uint32_t has_high;
    uint32_t has_low;
    uint32_t delay_samples; /* trips at this many samples in a row beyond the limit; 1: at the first */
    uint64_t delay_ns;      /* .. and not before this long since the first of them, by the samples' own stamps */
    double high;            /* unit of the channel; a value above is a cause */
    double low;             /* a value below is a cause */
};

/* One line of an output device. Energised = permit. */
struct control_output {
    char name[RING_NAME_BYTES];
    uint32_t device; /* index */
    uint32_t line;   /* bit number in the device's datagram */
};

struct control_device {
    uint32_t kind;             /* enum device_kind */
    uint32_t fd;               /* its number in the control process */
    uint32_t lines;            /* mask of lines that we set */
    uint32_t acknowledge_ring; /* index + 1 of the ring whose evaluated frames the datagram tells; 0: none */
    char target[CONTROL_TARGET_BYTES];
    uint32_t reserved;
};

struct control_table {
    uint64_t magic;
    uint32_t version;
    uint32_t bytes;
    uint64_t hash; /* control_table_hash() of everything behind it */
    char instance[RING_NAME_BYTES];
    int64_t tai_minus_monotonic_ns;
    int32_t supervisor_pid; /* of the sluiced that made this table */
    uint32_t reserved;
    struct thread_plan thread;
    uint64_t cycle_budget_ns; /* a longer gap between two cycles is a miss */
    uint64_t stall_trip_ns;   /* a gap longer than this trips whatever miss_trips says */
    uint64_t refresh_ns;      /* outputs are sent again at least this often */
    uint64_t acknowledge_ns;  /* evaluated frames are told at most this often */
    uint64_t output_fault_ns; /* a device that has taken nothing for this long is a cause */
    uint64_t late_ns;         /* decisions later than this are counted */
    uint64_t future_ns;       /* a stamp further ahead of now than this is BAD */
    uint32_t miss_trips;      /* 1: a miss trips; 0: it is counted (declared development mode) */
    uint32_t rings;
    uint32_t channels;
    uint32_t rules;
    uint32_t outputs;
    uint32_t devices;
    struct control_ring ring[CONTROL_RINGS_MAX];
    struct control_channel channel[CONTROL_CHANNELS_MAX];
    struct control_rule rule[CONTROL_RULES_MAX];
    struct control_output output[CONTROL_OUTPUTS_MAX];
    struct control_device device[CONTROL_DEVICES_MAX];
};

#define CONTROL_TABLE_HASH_START UINT64_C(0xcbf29ce484222325)

/* FNV-1a, 64 bit, over bytes [from, to) of the table, going on from `hash`: in one piece or in many. Pure. */
static inline uint64_t control_table_hash_part(const struct control_table *table, uint64_t hash, size_t from,
                                               size_t to)
{
    const uint8_t *bytes = (const uint8_t *)table;
    for (size_t i = from; i < to; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Of everything behind the hash field. Pure. */
static inline uint64_t control_table_hash(const struct control_table *table)
{
    return control_table_hash_part(table, CONTROL_TABLE_HASH_START, offsetof(struct control_table, instance),
                                   sizeof(*table));
}

#endif
