/* What a recorder is told, and what it tells: segments that it shares with whoever started it, sluiced or
 * `sluice record`. Each field has one writer, named beside it. */
#ifndef DAQ_RECORDER_PLAN_H
#define DAQ_RECORDER_PLAN_H

#include "control/table.h"
#include "daq/record_format.h"
#include "ring/board.h"
#include "ring/protocol.h"

#define RECORDER_PLAN_MAGIC      UINT64_C(0x314e4c5043524c53) /* "SLRCPLN1" */
#define RECORDER_PLAN_VERSION    1u
#define RECORDER_RINGS_MAX       CONTROL_RINGS_MAX
#define RECORDER_DIRECTORIES_MAX RECORD_STRIPES_MAX
#define RECORDER_PATH_BYTES      256u
#define RECORDER_RUN_BYTES       80u
#define RECORDER_TEST_BYTES      64u
#define RECORDER_TEXT_BYTES      256u
#define RECORDER_TRIPS_UNKNOWN   UINT64_MAX

enum recorder_layout {
    RECORDER_AUTO = 1,   /* slots where frames nearly fill them and they can be written from the ring itself */
    RECORDER_PACKED = 2, /* always copied, frame behind frame */
    RECORDER_SLOTS = 3   /* always whole slots where they align: no copy; needs a gating reader */
};

enum recorder_begins {
    RECORDER_AT_ONCE = 1,
    RECORDER_ON_COMMAND = 2,
    RECORDER_ON_TRIP = 3,     /* of the interlock */
    RECORDER_ON_CONDITION = 4 /* of a channel */
};

enum recorder_full {
    RECORDER_STOPS = 1,        /* ends the run well, and goes on when there is room again */
    RECORDER_DROPS_OLDEST = 2, /* removes its oldest runs, then the oldest segments of this one */
    RECORDER_DECIMATES = 3     /* keeps one frame of `decimate`; stops when there is no room at all */
};

/* Constant once the recorder runs. */
struct recorder_plan {
    uint64_t magic;
    uint32_t version;
    int32_t starter_pid; /* it ends with this one */
    char instance[RING_NAME_BYTES];
    char name[RING_NAME_BYTES];
    uint32_t rings; /* 0: all that the server has */
    uint32_t directories;
    char ring[RECORDER_RINGS_MAX][RING_NAME_BYTES];
    char directory[RECORDER_DIRECTORIES_MAX][RECORDER_PATH_BYTES]; /* several: striped */
    uint32_t gating; /* 1: the rings' writers wait for it, within their bounds; 0: an observer */
    uint32_t layout; /* enum recorder_layout */
    uint32_t begins; /* enum recorder_begins */
    uint32_t full;   /* enum recorder_full */
    uint64_t block_bytes;
    uint64_t sync_ns;    /* nothing that was read longer ago than this may be lost by a crash .. */
    uint64_t sync_bytes; /* .. nor more than this */
    uint64_t pre_ns;
    uint64_t post_ns;      /* 0: until it is told to stop */
    uint64_t rotate_bytes; /* 0: not by size */
    uint64_t rotate_ns;    /* 0: not by time */
    uint64_t keep_bytes;   /* of all its runs; 0: no limit */
    uint64_t room_bytes;   /* stay free on the disk */
    uint64_t for_ns;       /* then it ends; 0: never */
    uint32_t keep_runs;    /* 0: no limit */
    uint32_t decimate;
    uint32_t has_above;
    uint32_t has_below;
    uint32_t makes_directory; /* 1: directory[0] is made if it is not there, the server's default */
    uint32_t reserved;
    double above; /* of `channel`, in its unit */
    double below;
    char channel[RING_NAME_BYTES];
    char operator_name[PROTOCOL_PERSON_BYTES];
    char test_id[RECORDER_TEST_BYTES];
    char note[PROTOCOL_REASON_BYTES];
    uint64_t config_bytes; /* of the configuration's text; 0: it is not known */
};

enum recorder_verb {
    RECORDER_START = 1,
    RECORDER_STOP = 2,
    RECORDER_NEXT = 3,     /* ends the run and begins another */
    RECORDER_TRIGGER = 4,  /* as if the trip or the condition had come */
    RECORDER_NOTE = 5,     /* text */
    RECORDER_OPERATOR = 6, /* text: of the runs that begin from now on, and of this one */
    RECORDER_TEST = 7,     /* text: likewise */
    RECORDER_VERBS = 8
};

/* "start" .. "test-id"; NULL: none. Any thread. */
const char *recorder_verb_name(uint32_t verb);

/* One command at a time. Written by the starter. */
struct recorder_mailbox {
    uint64_t ticket; /* +1 for each command, last (release) */
    uint32_t verb;   /* enum recorder_verb */
    uint32_t reserved;
    char person[PROTOCOL_PERSON_BYTES];
    char text[PROTOCOL_REASON_BYTES];
};

enum recorder_state {
    RECORDER_IDLE = 1,  /* waits for a command */
    RECORDER_READY = 2, /* waits for its trigger */
    RECORDER_RECORDING = 3,
    RECORDER_POST = 4,   /* records on for a while after its trigger */
    RECORDER_FAILED = 5, /* it should record, and cannot: see error; tries again */
    RECORDER_ENDED = 6
};

/* "idle", "ready" .. Any thread. */
const char *recorder_state_name(uint32_t state);

/* Of one ring, over the recorder's life but for what says `run`. By the recorder. */
struct recorder_ring_board {
    char name[RING_NAME_BYTES];
    uint64_t run_frames;
    uint64_t run_bytes; /* on the disk */
    uint64_t frames;
    uint64_t missing[RECORD_CAUSES]; /* positions */
    uint64_t position;               /* next to be read */
    uint64_t synced_position;        /* of this run: all below it are on the disk, or told there as missing */
    uint64_t lag_frames;             /* published and not yet read */
    uint64_t lag_frames_max;
    uint64_t waits_for_disk; /* times that no memory was free because the disk had not taken it yet */
    uint64_t copied_bytes;   /* into memory of its own */
    uint64_t in_place_bytes; /* written from the ring itself */
    uint32_t segment;        /* of the file that is open */
    uint32_t gating;         /* 1: it is a gating reader, and has not been demoted */
};

struct recorder_board {
    struct board common;
    uint8_t pad[BOARD_BYTES - sizeof(struct board)];
    uint32_t state; /* enum recorder_state */
    uint32_t rings;
    uint64_t runs;     /* begun */
    uint64_t triggers; /* seen */
    uint64_t failures; /* times it could not go on writing */
    uint64_t run_began_tai_ns;
    uint64_t run_frames;
    uint64_t run_bytes;
    uint64_t bytes_per_s; /* onto the disk, over the last second or so */
    uint64_t frames_per_s;
    uint64_t free_bytes;   /* on the fullest of its disks */
    uint64_t removed_runs; /* to keep within its limits */
    uint64_t removed_segments;
    uint64_t syncs;
    uint64_t durable_ns_max; /* the longest that anything read has waited until it was synced */
    uint64_t durable_late;   /* times that was longer than sync_ns */
    uint64_t unsynced_bytes; /* written or under way, not synced */
    uint64_t unsynced_bytes_max;
    uint64_t decimating;                 /* 1: it keeps one frame of `decimate` */
    uint64_t ticket;                     /* of the last command that was carried out (release, last) */
    int32_t code;                        /* of it: 0 or -errno */
    uint32_t wanted;                     /* why it is to record, enum recorder_begins; 0: it is not to */
    char text[RECORDER_TEXT_BYTES];      /* and a sentence */
    char error[RECORDER_TEXT_BYTES];     /* why it cannot record; empty: it can */
    char run[RECORDER_RUN_BYTES];        /* directory of the run, or of the last one; empty: none */
    char directory[RECORDER_PATH_BYTES]; /* where that lies, the first of the stripes */
    struct recorder_ring_board ring[RECORDER_RINGS_MAX];
    /* With `wanted`: what one that was killed leaves to the next. */
    uint64_t post_until_ns; /* monotonic: how long it is to record after a trigger; 0: until it is told to stop */
    uint64_t trips_seen;    /* of the interlock's; RECORDER_TRIPS_UNKNOWN: it has not looked yet */
    uint64_t resume_ns;     /* monotonic: the next begins with what came since then */
};

#endif
