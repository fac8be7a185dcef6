/* The interlock's table: compiled from the configuration by sluiced, plain data, fixed sizes, no pointers, sealed
 * against writing before the control process ever sees it. Everything the engine and the loop know stands here.
 *
 * A rule is a form (what it looks at) and a role (what follows). Rules that others build on (role CONDITION) stand
 * in front of those that name them, so that one pass from first to last evaluates all.
 */
#ifndef CONTROL_TABLE_H
#define CONTROL_TABLE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/layout.h"
#include "ring/thread.h"

#define CONTROL_TABLE_MAGIC   UINT64_C(0x314c425443534c53) /* "SLSCTBL1" */
#define CONTROL_TABLE_VERSION 5u
#define CONTROL_RINGS_MAX     64u
#define CONTROL_CHANNELS_MAX  64u
#define CONTROL_NUMBERS_MAX   RING_NUMBERS_MAX /* of all calibrations of all rings */
#define CONTROL_RULES_MAX     256u
#define CONTROL_MEMBERS_MAX   16u /* of one vote */
#define CONTROL_OUTPUTS_MAX   32u
#define CONTROL_DEVICES_MAX   8u
#define CONTROL_TARGET_BYTES  108u

enum device_kind {
    DEVICE_UDP = 1,
    DEVICE_UNIX = 2,
    DEVICE_FILE = 3,
    DEVICE_GPIO = 4,   /* lines of a GPIO character device, uAPI v2 */
    DEVICE_MEMORY = 5, /* bits of a register: UIO or a file, mapped */
    DEVICE_MODBUS = 6, /* coils over Modbus TCP, by sluice-actuator */
    DEVICE_SHADOW = 7  /* goes nowhere: of a replay; no descriptor, and no word for it in a configuration */
};

struct control_ring {
    char name[RING_NAME_BYTES];
    uint32_t fd;            /* its number in the control process */
    uint32_t first_channel; /* channels of one ring stand together */
    uint32_t channels;
    uint32_t first_number; /* so do the numbers of their calibrations */
    uint32_t numbers;
    uint32_t reserved;
};

struct control_channel {
    struct ring_channel decode; /* byte for byte the ring's: first_number and reference count within the ring */
    uint32_t ring;              /* index */
    uint32_t reserved;
    uint64_t stale_ns;
};

/* What a rule looks at. */
enum rule_form {
    FORM_LIMIT = 1,     /* the channel's value outside low .. high (either may be missing) */
    FORM_RATE = 2,      /* its change outside low .. high, in unit/s, over window_ns */
    FORM_DEVIATION = 3, /* channel minus other, outside low .. high */
    FORM_BIT = 4,       /* any bit of mask set (demand_when 1), or none (0), in the value taken as a whole number */
    FORM_STUCK = 5,     /* no change by more than band for window_ns, by the samples' stamps */
    FORM_HEARTBEAT = 6, /* no change at all for window_ns, by the clock */
    FORM_VOTE = 7,      /* at least `needed` of its members demand: 1 is OR, all of them AND */
    FORM_NOT = 8        /* its one member does not demand */
};

/* What follows from a demand. */
enum rule_role {
    ROLE_CONDITION = 1, /* nothing by itself: other rules name it */
    ROLE_ALARM = 2,     /* annunciation (ISA-18.2), no action */
    ROLE_PERMIT = 3,    /* must be clear to reset and to arm */
    ROLE_HOLD = 4,      /* an interlock in the narrow sense: its outputs are safe while it lasts */
    ROLE_PROTECT = 5    /* trips and latches */
};

struct control_rule {
    char name[RING_NAME_BYTES];
    uint32_t form;    /* enum rule_form */
    uint32_t role;    /* enum rule_role */
    uint32_t shadow;  /* 1: evaluated and logged, never acted on */
    uint32_t channel; /* index; not for VOTE and NOT */
    uint32_t other;   /* DEVIATION: index of the second channel */
    uint32_t has_high;
    uint32_t has_low;
    uint32_t demand_when; /* BIT */
    double high;          /* beyond it is a demand; unit of the channel (RATE: per second) */
    double low;
    double high_clear; /* a demand ends at or inside these: high - hysteresis, low + hysteresis */
    double low_clear;
    double band;   /* STUCK: unit of the channel */
    uint64_t mask; /* BIT */
    uint64_t window_ns;
    uint64_t on_ns;                       /* beyond for so long, by the samples' stamps, before it is a demand */
    uint64_t off_ns;                      /* inside for so long before the demand ends */
    uint32_t on_samples;                  /* .. and so many samples in a row; 1: at the first */
    uint32_t off_samples;                 /* 1: with the first */
    uint32_t needed;                      /* VOTE */
    uint32_t members;                     /* VOTE: how many; NOT: 1 */
    uint16_t member[CONTROL_MEMBERS_MAX]; /* indices, each lower than this rule's own */
    uint32_t unknown_trips; /* VOTE: 1: one unknown (bad or bypassed) member is a demand; 0: it counts as a vote */
    uint32_t outputs;       /* PROTECT, HOLD: bit per output index that it makes safe */
    uint32_t severity;      /* ALARM: 1 (highest) .. 4 */
    uint32_t reserved;
    uint64_t bypass_max_ns;  /* longest bypass; 0: none is allowed */
    uint64_t safety_time_ns; /* process safety time that the compiler has checked the response against; 0: none */
};

/* Where an output says what it really does. */
enum feedback_form { FEEDBACK_NONE = 0, FEEDBACK_BITS = 1, FEEDBACK_VALUE = 2 };

struct control_feedback {
    uint32_t form;           /* enum feedback_form */
    uint32_t channel;        /* index */
    uint64_t energised_mask; /* BITS: energised position if any of these is set and none of safe_mask is .. */
    uint64_t safe_mask;      /* .. safe position the other way round; a mask of 0 is the other's complement */
    double energised_at;     /* VALUE: energised position on the far side of this, seen from safe_at */
    double safe_at;          /* .. safe position on the far side of this */
    uint64_t time_ns;        /* how long it may take to follow a command */
};

/* One line of an output device. Energised = permit. */
struct control_output {
    char name[RING_NAME_BYTES];
    uint32_t device;    /* index */
    uint32_t line;      /* bit number in the device's datagram or register, GPIO offset, coil number */
    uint32_t heartbeat; /* 1: toggles while permitted, once per heartbeat_ns at most, from the loop itself */
    uint32_t reserved;
    struct control_feedback feedback;
};

struct control_device {
    uint32_t kind;  /* enum device_kind */
    uint32_t fd;    /* its number in the control process */
    uint32_t lines; /* mask of lines that we set; GPIO, MODBUS: bit i is the i-th output of this device */
    uint32_t acknowledge_ring; /* index + 1 of the ring whose evaluated frames the datagram tells; 0: none */
    char target[CONTROL_TARGET_BYTES];
    uint32_t register_bytes; /* MEMORY: width of the register, 1, 2, 4 or 8 */
    uint64_t register_at;    /* MEMORY: byte offset in the mapped device */
    uint32_t big_endian;     /* MEMORY */
    uint32_t unit;           /* MODBUS: unit (slave) number */
};

/* What must be so before the interlock may be armed; bits. */
enum gate_check {
    GATE_PINNED = 1,      /* the control thread runs on its own core */
    GATE_LOCKED = 2,      /* its memory is locked */
    GATE_PAGES = 4,       /* every watched ring has the pages that were asked for */
    GATE_UNTHROTTLED = 8, /* real-time throttling cannot stop it */
    GATE_LATENCY = 16,    /* no cycle over the budget in the last gate_latency_ns */
    GATE_CLOCK = 32,      /* the clock source is the TSC and no step of the wall clock stands out */
    GATE_CONFIG = 64,     /* an operator has acknowledged this table's checksum */
    GATE_BLACK_BOX = 128, /* the black box runs and has room */
    GATE_DOCTOR = 256,    /* sluice doctor has certified this host, since its boot, for this configuration */
    GATE_ALL = 511
};

struct control_table {
    uint64_t magic;
    uint32_t version;
    uint32_t bytes;
    uint64_t hash; /* control_table_hash() of everything behind it */
    uint64_t
        checksum; /* of the configuration's meaning: equal files, equal number; what an operator acknowledges */
    char instance[RING_NAME_BYTES];
    int64_t tai_minus_monotonic_ns;
    int32_t supervisor_pid; /* of the sluiced that made this table */
    uint32_t reserved;
    struct thread_plan thread;
    uint64_t cycle_budget_ns;       /* a longer gap between two cycles is a miss */
    uint64_t stall_trip_ns;         /* a gap longer than this trips whatever miss_trips says */
    uint64_t refresh_ns;            /* outputs are sent again at least this often */
    uint64_t heartbeat_ns;          /* heartbeat outputs toggle at most this often */
    uint64_t acknowledge_ns;        /* evaluated frames are told at most this often */
    uint64_t output_fault_ns;       /* a device that has taken nothing for this long is a cause */
    uint64_t late_ns;               /* decisions later than this are counted */
    uint64_t future_ns;             /* a stamp further ahead of now than this is BAD */
    uint64_t supervisor_silence_ns; /* a supervisor that has said nothing for this long is a cause */
    uint64_t gate_latency_ns;       /* GATE_LATENCY looks back so far */
    uint64_t watchdog_ns;           /* /dev/watchdog is petted so often by the loop; 0: there is none */
    uint64_t shelve_max_ns;         /* longest shelving of an alarm */
    uint32_t watchdog_fd;
    uint32_t miss_trips;    /* 1: a miss trips; 0: it is counted (declared development mode) */
    uint32_t gate_required; /* mask of enum gate_check */
    uint32_t gate_trips;    /* 1: falling out of the gate while armed is a trip; 0: it is shown */
    uint32_t bypasses_max;  /* at once */
    uint32_t rings;
    uint32_t channels;
    uint32_t rules;
    uint32_t outputs;
    uint32_t devices;
    uint32_t numbers;
    uint32_t reserved2;
    struct control_ring ring[CONTROL_RINGS_MAX];
    struct control_channel channel[CONTROL_CHANNELS_MAX];
    struct control_rule rule[CONTROL_RULES_MAX];
    struct control_output output[CONTROL_OUTPUTS_MAX];
    struct control_device device[CONTROL_DEVICES_MAX];
    double number[CONTROL_NUMBERS_MAX];
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
    return control_table_hash_part(table, CONTROL_TABLE_HASH_START, offsetof(struct control_table, checksum),
                                   sizeof(*table));
}

/* Bit per output of the table. */
/*@ requires \valid_read(table);
    assigns \nothing; */
static inline uint32_t control_all_outputs(const struct control_table *table)
{
    return table->outputs >= CONTROL_OUTPUTS_MAX ? UINT32_MAX : (UINT32_C(1) << table->outputs) - 1;
}

#endif
