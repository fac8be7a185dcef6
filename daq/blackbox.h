/* The black box: a process that only looks. It drains the control journal and the engine's checkpoints into memory
 * of its own, and writes a directory for each trip: what every watched ring held, what the interlock made of it,
 * and what is missing of that. Everything it is given but its own board is mapped read-only, so that it can slow or
 * harm nobody. Not real-time. Cold.
 *
 *   blackbox.c          looks for trips, decides when what is written
 *   blackbox_memory.c   journal entries and checkpoints of the last seconds
 *   blackbox_frames.c   frames of one ring into its file
 *   blackbox_report.c   the other files of a directory
 *   blackbox_json.c     two of them: what happened, and the state
 *   blackbox_store.c    the directory: temporary name, fsync, rename, room, the oldest removed
 *   blackbox_read.c     the way back, for sluice replay
 *
 * A trip within post_ms of another one is part of that one's report. Each directory is complete or absent.
 */
#ifndef DAQ_BLACKBOX_H
#define DAQ_BLACKBOX_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "control/board.h"
#include "daq/blackbox_format.h"
#include "ring/error.h"
#include "ring/reader.h"

#define BLACKBOX_PLAN_MAGIC      UINT64_C(0x314e4c5058424c53) /* "SLBXPLN1" */
#define BLACKBOX_PLAN_VERSION    1u
#define BLACKBOX_DIRECTORY_BYTES 256u
#define BLACKBOX_NAME_BYTES      64u /* "20261125T153412.345Z-trip7" */

/* Written by sluiced before it starts the black box, then constant. */
struct blackbox_plan {
    uint64_t magic;
    uint32_t version;
    int32_t supervisor_pid;
    uint64_t pre_ns;
    uint64_t post_ns;
    uint64_t room_bytes; /* free space that there must be, and the most that one report takes */
    uint32_t keep;       /* directories; the oldest are removed */
    uint32_t reserved;
    uint64_t config_bytes; /* of the configuration's text */
    char directory[BLACKBOX_DIRECTORY_BYTES];
};

/* Its own board. Written by the black box only. */
struct blackbox_board {
    struct board common;
    uint8_t pad[BOARD_BYTES - sizeof(struct board)];
    uint32_t room; /* 1: the directory is there, can be written and has room_bytes */
    uint32_t reserved;
    uint64_t reports;               /* written */
    uint64_t lost;                  /* trips without a report */
    uint64_t journal_lost;          /* entries overwritten before they were read */
    uint64_t last_trip;             /* number of the last one that was reported or lost */
    char last[BLACKBOX_NAME_BYTES]; /* newest directory of this run; empty: none */
};

/* Entries and checkpoints of the last seconds. Rings of fixed size, filled in order. */
#define BLACKBOX_CHECKPOINTS 16u

struct blackbox_memory {
    struct journal_entry *entry; /* `room` of them; entry n at n % room */
    uint64_t room;
    uint64_t from;                         /* oldest number kept */
    uint64_t to;                           /* next number to be read from the journal */
    uint64_t lost;                         /* entries overwritten before they were read */
    uint64_t whole_from;                   /* no entry is missing from here to `to` */
    bool begun;                            /* the journal has been read: what is missed now is lost */
    struct control_checkpoint *checkpoint; /* BLACKBOX_CHECKPOINTS of them, oldest first */
    uint32_t checkpoints;
    uint64_t seen[2];  /* number of the last one taken of each of the board's two */
    uint64_t apart_ns; /* checkpoints nearer than this to the one before are not kept .. */
    uint64_t span_ns;  /* .. and the oldest only as long as the next is younger than this */
};

/* Memory for entries of the last span_ns, within bounds and bytes_max. 0 or -ENOMEM. */
int blackbox_memory_init(struct blackbox_memory *memory, uint64_t span_ns, uint64_t bytes_max, struct error *err);
void blackbox_memory_fini(struct blackbox_memory *memory);

/* Takes over what is new. Any number of calls; must come around before the journal does. */
void blackbox_memory_drain(struct blackbox_memory *memory, const struct control_journal *journal,
                           const struct control_board *board);

/* Entry `number`, NULL: not kept. */
const struct journal_entry *blackbox_memory_entry(const struct blackbox_memory *memory, uint64_t number);

/* The newest checkpoint at or before this time from which no entry is missing, else the oldest one from which none
 * is missing; -1: there is none. An index into checkpoint[]. */
int blackbox_memory_start(const struct blackbox_memory *memory, uint64_t tai_ns);

/* Frames of one watched ring on their way into a file. */
struct blackbox_frames {
    struct ring_reader reader;
    FILE *file;
    uint64_t checksum; /* of the whole file so far */
    uint64_t bytes;
    uint64_t bytes_max;
    uint64_t first; /* position of the first frame wanted */
    uint64_t frames;
    uint64_t missing;      /* positions between the first wanted and the last written that are not there */
    uint64_t next;         /* position expected next */
    uint64_t first_tai_ns; /* of the first frame written */
    uint64_t last_tai_ns;
    bool cut;  /* bytes_max was reached: frames are left out */
    int error; /* -errno of the first write that failed */
};

/* Begins the file with the ring's identity; frames from the first one that is not older than from_tai_ns, or from
 * position `from` if that is lower. The file belongs to the caller. */
void blackbox_frames_begin(struct blackbox_frames *frames, FILE *file, uint64_t from_tai_ns, uint64_t from,
                           uint64_t bytes_max);
/* Copies some of what is there. True: there may be more. */
bool blackbox_frames_copy(struct blackbox_frames *frames);
void blackbox_frames_end(struct blackbox_frames *frames);

/* One trip as the report tells it. */
#define BLACKBOX_TRIPS_MAX 16u
struct blackbox_trip {
    uint64_t number;
    uint64_t tai_ns;
    uint32_t causes;
    uint32_t reserved;
    struct engine_cause cause[ENGINE_CAUSES_MAX];
};

#define BLACKBOX_FILES_MAX (CONTROL_RINGS_MAX + 8u)
struct blackbox_file {
    char name[BLACKBOX_NAME_BYTES];
    uint64_t bytes;
    uint64_t checksum;
};

/* A directory under way. */
struct blackbox_store {
    const char *directory;
    char name[BLACKBOX_NAME_BYTES]; /* final */
    int parent_fd;                  /* -1: none */
    int fd;                         /* of the temporary directory; -1: none */
    int error;                      /* -errno of the first write into the file that is open that failed */
    uint32_t files;
    struct blackbox_file file[BLACKBOX_FILES_MAX];
};

#define BLACKBOX_TEMPORARY_PREFIX ".writing-"

/* Is there a directory (made if need be) that can be written and has so much room? 0 or -errno with a sentence. */
int blackbox_store_probe(const char *directory, uint64_t room_bytes, struct error *err);
/* Removes what black boxes that were killed have left half-written. */
void blackbox_store_clean(const char *directory);
int blackbox_store_begin(struct blackbox_store *store, const char *directory, const char *name, struct error *err);
/* A file in it; NULL with err. */
FILE *blackbox_store_open(struct blackbox_store *store, const char *name, struct error *err);
void blackbox_store_write(struct blackbox_store *store, FILE *file, const void *data, size_t bytes);
/* Flushes, syncs and closes; notes size and checksum. Takes the file over in any case. 0 or -errno. */
int blackbox_store_close(struct blackbox_store *store, FILE *file, const char *name, uint64_t bytes,
                         uint64_t checksum, struct error *err);
/* The whole of a file that is in memory. */
int blackbox_store_put(struct blackbox_store *store, const char *name, const void *content, size_t bytes,
                       struct error *err);
/* Everything is there: renames. On failure nothing is left. */
int blackbox_store_commit(struct blackbox_store *store, struct error *err);
/* Removes what has been written so far; fine after a failure or a commit. */
void blackbox_store_abandon(struct blackbox_store *store);
/* Removes the oldest directories until `keep` are left; never `newest`. */
void blackbox_store_prune(const char *directory, uint32_t keep, const char *newest);

/* "20261125T153412.345Z-trip7". */
void blackbox_trip_name(char name[BLACKBOX_NAME_BYTES], uint64_t utc_ns, uint64_t number);
bool blackbox_is_trip_name(const char *name);

struct blackbox;

/* What the other files are made of. */
struct blackbox_report {
    uint32_t trips;
    struct blackbox_trip trip[BLACKBOX_TRIPS_MAX];
    uint64_t trips_more;        /* that found no place in trip[] */
    uint64_t from_tai_ns;       /* wanted from here .. */
    uint64_t to_tai_ns;         /* .. to here */
    uint64_t post_until_ns;     /* monotonic */
    uint64_t journal_from;      /* number of the first entry to be written */
    uint64_t journal_to;        /* .. and behind the last: of the frames it speaks of all have been copied */
    uint64_t checkpoint_tai_ns; /* of the first checkpoint; 0: there was none */
    bool whole;                 /* a checkpoint at or before from_tai_ns, and every entry since */
    bool early;                 /* told to end before post_ns were over */
    struct control_board board; /* as it was when the trip was seen */
    struct blackbox_frames frames[CONTROL_RINGS_MAX];
};

struct blackbox {
    const struct blackbox_plan *plan;
    const struct control_table *table;
    const struct control_board *control;
    const struct control_journal *journal;
    const char *config;
    struct blackbox_board *board;
    struct blackbox_memory memory;
    struct ring_reader reader[CONTROL_RINGS_MAX]; /* attached, never moved: copied for each report */
    struct control_board seen;                    /* a copy; only what stands in front of hop[] */
    uint64_t trips;                               /* told so far */
    uint64_t probed_ns;                           /* monotonic */
    bool writing;                                 /* a report is under way */
    struct blackbox_store store;
    struct blackbox_report report;
};

/* Takes over what is new of journal and checkpoints: between any two waits for the disk. */
void blackbox_drain(struct blackbox *box);

/* How many stand in the files. */
struct blackbox_counts {
    uint64_t checkpoints;
    uint64_t entries;
    uint64_t lost;
    uint64_t first_ns; /* of the journal's first entry; 0: there is none, or it is lost */
};

/* trip.json, when all other files are done, and state.json. */
void blackbox_put_trip(const struct blackbox *box, FILE *to, const struct blackbox_counts *counts);
void blackbox_put_state(const struct blackbox *box, FILE *to);

/* Writes everything but the frames' files, trip.json last. 0 or -errno. */
int blackbox_report_write(struct blackbox *box, struct error *err);

/* Everything in *box up to `board` is set, readers are attached. 0 or -errno. */
int blackbox_init(struct blackbox *box, struct error *err);
void blackbox_fini(struct blackbox *box);

/* One look. Never waits, but for the disk. */
void blackbox_look(struct blackbox *box);

/* Finishes a report under way with what is there. */
void blackbox_finish(struct blackbox *box);

void blackbox_run(struct blackbox *box, const volatile sig_atomic_t *stop);

#endif
