/* What the recorder is measured with: a ring and its usher in this process, a writer on one core, sluice-recorder
 * as a process on the other, a folder on the disk that is asked about; and the programs that it is compared with.
 *
 *   disk_paths.c    what is compared with what
 *   disk_folder.c   folders that go whatever becomes of the bench; room
 *   disk_process.c  processor time and memory of a process
 *   disk_ring.c     the ring, its usher, its socket
 *   disk_feed.c     the writer
 *   disk_rig.c      the recorder
 *   disk_check.c    the recording, read back
 *   disk_fio.c      fio
 *   disk_export.c   sluice-export, and a bare writer of the same layout
 */
#ifndef BENCH_DISK_RIG_H
#define BENCH_DISK_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "bench/measure.h"
#include "daq/recorder_plan.h"
#include "daq/usher.h"
#include "ring/writer.h"

#define DISK_PATH_BYTES 200u                  /* of a folder on the disk */
#define DISK_ROOM_LEAST ((uint64_t)8 << 30)   /* free; with less nothing is measured .. */
#define DISK_ROOM_KEPT  ((uint64_t)4 << 30)   /* .. and so much of it stays free */
#define DISK_RING_BYTES ((uint64_t)288 << 20) /* 32768 slots for frames of a 9000 byte MTU */
#define DISK_10G        1250000000.0          /* bytes per second */
#define DISK_SEED       UINT64_C(0x5eedd15c)
#define DISK_CHANNELS   8u

enum disk_way {
    DISK_FIO = 1,
    DISK_RECORDER = 2,
    DISK_HDF5_BARE = 3, /* libhdf5 alone */
    DISK_EXPORT = 4     /* sluice-export */
};

/* values[] of measure_record; a way has the first so many. */
enum disk_value {
    DISK_THROUGHPUT =
        0, /* bytes per second into files, all that a recording or an HDF5 file has beside its frames */
    DISK_CPU_PERCENT = 1, /* of a core, all threads of the process */
    DISK_CPU_PER_GB = 2,  /* s of it, for 10^9 of those bytes */
    DISK_PAYLOAD = 3,     /* bytes per second: of the frames alone */
    DISK_PSS_KB = 4,      /* KiB: memory, without the ring */
    DISK_DURABLE_MS = 5,  /* the longest that anything waited until it was synced */
    DISK_LOST = 6,        /* frames: there was no room in the ring, or they are missing in the recording */
    DISK_VALUES = 7
};

struct disk_path {
    const char *variant;
    enum disk_way way;
    uint32_t frame_bytes; /* of the payload; 0: it has no frames */
    uint32_t slot_bytes;
    uint32_t layout; /* enum recorder_layout */
    double pace;     /* bytes of payload per second, and what finds no room is lost; 0: as fast as it goes */
    uint32_t group;  /* what is compared with each other */
    uint32_t values; /* of enum disk_value */
    bool is_floor;   /* the others' peer, too */
};

const struct disk_path *disk_path_at(uint32_t index); /* NULL: there are no more */

/* A folder. It goes with all that is in it when the process that made it ends, however. disk_folder.c */
struct disk_folder {
    char path[DISK_PATH_BYTES];
    pid_t keeper; /* 0: there is none */
    int keeper_fd;
};

int disk_folder_make(struct disk_folder *folder, const char *directory, struct error *err);
void disk_folder_remove(struct disk_folder *folder);
/* Bytes that may be written there; before that, all that is still under way to the disk is waited for. -ENOTSUP:
 * there is too little room. */
int disk_room(const char *directory, uint64_t *bytes, struct error *err);

/* disk_process.c */
uint64_t disk_cpu_ns(pid_t pid);  /* of all its threads; 0: it has gone */
uint64_t disk_written(pid_t pid); /* bytes that it has had written to disks; 0: none, or not known */
/* Waits for its end, at most limit_s, and looks in now and then. 0; -ETIMEDOUT, -EINTR (plan_stopped), -ECHILD. */
int disk_wait(pid_t pid, double limit_s, void (*look)(void *context), void *context, struct rusage *usage,
              const char *name, struct error *err);

/* disk_feed.c */
enum disk_order { DISK_REST = 0, DISK_SEND = 1, DISK_END = 2 };

struct disk_feed {
    const struct disk_path *path;
    struct ring_writer *writer;
    struct ring_gates *gates;
    int leases_fd;
    int core;
    int64_t tai_offset_ns;
    uint64_t order;      /* enum disk_order; by the one who measures */
    uint64_t obeyed;     /* the same, by the writer, like all below */
    uint64_t offered;    /* frames, those that were dropped too */
    uint64_t dropped;    /* no room */
    uint64_t longest_ns; /* between two looks at the clock, less what it slept on purpose */
};

void *disk_feed_run(void *argument); /* a struct disk_feed; a thread */

/* disk_ring.c. Zeroed but for path; close in any case. */
struct disk_ring {
    const struct disk_path *path;
    struct disk_folder folder; /* of the socket; SLUICE_RUN_DIR */
    struct supervisor_board *board;
    struct ring_plan plan;
    struct shared memory;
    struct shared orders;
    struct ring_writer writer;
    struct ring_gates gates;
    struct usher usher;
    int64_t tai_offset_ns;
    int leases_fd;
    int listen_fd;
    bool serves;
    pthread_t server;
};

int disk_ring_open(struct disk_ring *ring, const struct disk_path *path, struct error *err);
void disk_ring_close(struct disk_ring *ring);

/* disk_rig.c */
struct disk_rig {
    const struct disk_path *path;
    const char *directory;
    int writer_core, recorder_core;
    uint64_t room;
    struct disk_folder folder; /* of the recording */
    struct disk_ring ring;
    struct disk_feed feed;
    bool feeds;
    pthread_t feeder;
    struct segment plan, board, mailbox;
    int mailbox_fd;
    pid_t recorder;
};

/* Zeroed but for path, directory, cores and room. Everything runs, nothing is written yet. 0 or -errno; close it in
 * either case. */
int disk_rig_open(struct disk_rig *rig, struct error *err);
void disk_rig_close(struct disk_rig *rig);
const struct recorder_board *disk_rig_board(const struct disk_rig *rig);
bool disk_rig_recorder_ended(const struct disk_rig *rig);
/* No more frames; those that are in the ring are recorded; the recorder ends. 0 or -errno. */
int disk_rig_finish(struct disk_rig *rig, struct error *err);

/* Reads back what was recorded, all blocks' leads and the first frames whole: outcome's frames and wrong. 0; -EIO
 * if it is not all there. disk_check.c */
int disk_check(const struct disk_rig *rig, uint64_t missing, struct outcome *outcome);

/* disk_fio.c, disk_export.c: fill in the outcome. */
void disk_fio(const struct question *question, uint64_t room, struct outcome *outcome);
void disk_export(const struct question *question, uint64_t room, struct outcome *outcome);

#endif
