/* What readers are measured with: a ring that the bench itself fills, a server's stand-in that hands it out
 * (bench/stand.h), and readers on another core: processes in Python, or a thread in C, which maps the ring by
 * itself as a process would.
 *
 *   readers_paths.c   what is compared with what
 *   readers_rig.c     the ring, the pages that readers tell their figures in, waiting for them
 *   readers_feed.c    what is written into the ring, all at once or at a rate
 *   readers_python.c  readers in Python: the script that is carried inside, where the package is
 *   readers_c.c       readers in C; and plain memory, the floor
 *   readers_flow.c    what a reader carries: at the rate of a line, and the most
 *   readers_impact.c  what stopped, collecting and killed readers cost the writer
 */
#ifndef BENCH_READERS_RIG_H
#define BENCH_READERS_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/disk_rig.h"
#include "bench/measure.h"
#include "bench/stand.h"

#define READERS_MAX        16u
#define READERS_VALUES     8u
#define READERS_INSTANCE   "bench"
#define READERS_RING       "frames"
#define READERS_COLUMN     2u              /* the index of channel "x" in a frame */
#define READERS_10G        1250000000.0    /* payload bytes per second */
#define READERS_MODULUS    UINT64_C(65536) /* value i of frame p is p % READERS_MODULUS + i */
#define READERS_BATCH      32u             /* frames that the writer publishes at a time */
#define READERS_LONG_BYTES 1024u /* shorter frames are read by one channel of theirs, these by all of it */
#define READERS_PATIENCE_S 60.0

/* What is measured. */
enum readers_way {
    READERS_MEMORY = 1, /* plain memory is summed up: nobody reads a ring */
    READERS_SUM = 2,    /* all that is in the ring, again and again */
    READERS_FLOW = 3,   /* frames that come at the rate of a line */
    READERS_MOST = 4,   /* the highest rate at which none is lost */
    READERS_ATTACH = 5, /* once for each process */
    READERS_IMPACT = 6, /* what they cost the writer */
    READERS_HOLD = 7    /* ten million readings, until their mean and standard deviation are there */
};

enum readers_by { READERS_BY_C = 1, READERS_BY_PYTHON = 2, READERS_BY_BARE = 3 /* Python without the package */ };

struct readers_value {
    const char *name;
    const char *unit;
    bool high; /* higher is better */
};

struct readers_path {
    const char *variant;
    enum readers_way way;
    enum readers_by by;
    const char *mode; /* of the script, or of readers_c.c */
    uint32_t frame_bytes;
    uint32_t slot_bytes;
    uint64_t slots;
    uint64_t frames;  /* that are in the ring before anybody reads; 0: whole laps */
    uint32_t batch;   /* frames that are asked for at a time */
    uint32_t readers; /* how many of them; 0: none */
    bool is_killed;   /* they are killed, else stopped; READERS_IMPACT */
    bool runs_on;     /* they are neither */
    double pace;      /* payload bytes per second; 0: as fast as it goes */
    uint32_t group;   /* what is compared with each other */
    enum peer_kind kind;
    bool is_floor;
    const struct readers_value *values; /* what is found, value_count of them */
    uint32_t value_count;
};

const struct readers_path *readers_path_at(uint32_t index); /* NULL: there are no more */

enum readers_state {
    READERS_BEGINS = 0,
    READERS_READY = 1,
    READERS_DONE = 2,
    READERS_REFUSED = 3, /* it cannot be had here: text says why */
    READERS_FAILED = 4   /* text says why */
};

enum readers_order { READERS_WAIT = 0, READERS_GO = 1, READERS_END = 2 };

/* One reader's own, in memory shared with it; the script knows the offsets. */
struct readers_page {
    uint64_t state;    /* enum readers_state; stored last, by the reader, as is all but the order */
    uint64_t order;    /* enum readers_order, by the rig */
    uint64_t position; /* up to here it has come */
    uint64_t frames;   /* read, and not overwritten meanwhile */
    uint64_t lost;
    uint64_t wrong; /* frames, or passes, whose values are not what they should be */
    uint64_t reserved[2];
    double values[READERS_VALUES];
    uint8_t pad[512 - 64 - 8 * READERS_VALUES];
    char text[512];
    uint8_t pad1[4096 - 1024];
};
static_assert(sizeof(struct readers_page) == 4096 && offsetof(struct readers_page, text) == 512,
              "as the script has it");

struct readers_rig {
    const struct question *question;
    const struct readers_path *path;
    int writer_core, reader_core, serve_core;
    struct disk_folder folder; /* SLUICE_RUN_DIR */
    struct stand *stand;
    struct ring_writer *writer;
    int64_t tai_offset_ns;
    struct segment pages; /* READERS_MAX of struct readers_page */
    uint32_t started;
    pid_t pid[READERS_MAX]; /* of readers in Python; 0: none, or waited for */
    pthread_t thread;       /* of a reader in C, while threads says so */
    bool threads;
    double peak_kb;      /* most private memory that the first reader was seen to have; while it is waited for */
    uint64_t longest_ns; /* between two looks of the writer at the clock, of all that it wrote at a rate */
};

/* Zeroed but for question. The ring is there and filled as the path says. 0 or -errno; close it in either case. */
int readers_open(struct readers_rig *rig, const struct question *question, struct error *err);
void readers_close(struct readers_rig *rig);

static inline struct readers_page *readers_page_of(const struct readers_rig *rig, uint32_t reader)
{
    return (struct readers_page *)rig->pages.base + reader;
}

/* One reader more, which runs the path's mode; it is waited for by readers_wait. 0 or -errno. */
int readers_start(struct readers_rig *rig, struct error *err);
void readers_tell(struct readers_rig *rig, enum readers_order order);
/* Until that reader is in this state. 0; -ENOTSUP: it refuses; -ECHILD, -ETIMEDOUT, -EINTR (plan_stopped). */
int readers_wait(struct readers_rig *rig, uint32_t reader, enum readers_state wanted, struct error *err);
/* Ends all readers. Others may be started then. */
void readers_stop(struct readers_rig *rig);
/* Private memory of a process, KiB, as the kernel counts it anyway: this look costs the process nothing. */
double readers_anonymous_kb(pid_t pid);
/* Processor time of the first reader. */
uint64_t readers_cpu_ns(const struct readers_rig *rig);

/* readers_python.c: where it is, or -ENOTSUP with what was expected where; starts one. */
int readers_python_ready(enum readers_by by, struct error *err);
pid_t readers_python_start(const struct readers_rig *rig, uint32_t reader, struct error *err);

/* readers_c.c: a reader in C, a thread. */
void *readers_c_run(void *argument); /* a struct readers_rig */
/* The same sum over plain memory, as many values as the path's ring would have; ns for each. */
int readers_memory(const struct question *question, struct outcome *outcome);

/* readers_feed.c */
void readers_fill(struct readers_rig *rig, uint64_t frames);
/* Publishes frames for so long, at `pace` (bytes of payload per second; 0: as fast as it can). Bytes per second. */
double readers_feed(struct readers_rig *rig, double seconds, double pace);
/* Of all values of frames first .. end - 1; or of those with this index, where words is 1. */
double readers_expected(uint64_t first, uint64_t end, uint64_t words, uint64_t index);

void readers_flow(struct readers_rig *rig, struct outcome *outcome);
void readers_most(struct readers_rig *rig, struct outcome *outcome);
void readers_impact(struct readers_rig *rig, struct outcome *outcome);

#endif
