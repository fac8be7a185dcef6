/* Whatever is read from a descriptor over io_uring: serial lines, sockets, pipes, files, packets of a bus. Frames
 * are read straight into ring slots where their length is known before, and judged there; small ones, of which many
 * are read at a time, and what has to be searched for its end (lines, marks) are collected and copied. One
 * outstanding read; what goes away is opened again by the opener.
 */
#ifndef DAQ_STREAM_H
#define DAQ_STREAM_H

#include "daq/opener.h"
#include "daq/rate_meter.h"
#include "daq/replay_pace.h"
#include "daq/stamper.h"
#include "net/plan.h"
#include "net/uring.h"
#include "ring/writer.h"

struct stream_source {
    const struct source_plan *plan;
    struct ring_writer *writer;
    struct uring *uring;
    struct opening *opening;
    uint64_t user;
    int fd;                /* -1: closed */
    bool asking;           /* the opener was asked and has not answered */
    bool reading;          /* a read is outstanding */
    bool leaving;          /* and was cancelled, because what it reads has gone */
    bool was_open;         /* opened at least once */
    bool overran;          /* and closed because the kernel had no room for what came */
    bool finished;         /* a file that was replayed to its end */
    bool overlong;         /* this line is being thrown away */
    bool into_scratch;     /* the frame under way is collected there */
    bool held;             /* what has been read is to be looked at again, at again_ns: a replay's next frame is due
                              then, or others had to have their turn */
    uint32_t asked_bytes;  /* of the read that is outstanding */
    uint32_t have;         /* bytes of the frame or line collected so far */
    uint64_t retry_ns;     /* monotonic: when to try to open again */
    uint64_t again_ns;     /* monotonic: not to be read before */
    uint64_t coalesce_ns;  /* what was read empty is not read again for so long: then there is more */
    uint64_t frames_paced; /* replay: frames since paced_ns */
    uint64_t paced_ns;
    uint64_t closed_tai_ns;
    uint64_t came_tai_ns; /* when the last read ended: what it brought is no fresher when it is looked at later */
    bool resumed;         /* what was held is looked at again */
    uint64_t now_ns;      /* monotonic: of the bytes that are taken now */
    uint64_t arrived_tai_ns; /* of the frames that are taken now */
    uint64_t took_ns;        /* .. and how long their instrument took to answer */
    uint64_t published_ns;   /* monotonic: when the first of them became visible; 0: none yet, or not measured */
    uint64_t frames_taken;   /* the number of a frame that carries none */
    struct stamper stamper;
    struct rate_meter meter;
    struct replay_pace pace;
    uint8_t *scratch; /* bytes_max: where a frame is collected that finds no slot; NULL: wait for one instead */
    uint8_t *line;    /* what is searched for its end; NULL: frames go straight into slots */
    uint32_t line_bytes;
};

/* Prepares; opens nothing yet, unless the plan refuses a missing device: then it is tried here. 0 or -errno. Cold.
 */
int stream_init(struct stream_source *source, const struct source_plan *plan, struct ring_writer *writer,
                struct uring *uring, struct opener *opener, uint64_t user, struct error *err);
void stream_close(struct stream_source *source);
void stream_fini(struct stream_source *source);

/* Has the device opened if it is due, and keeps a read outstanding. Call once a loop. */
void stream_arm(struct stream_source *source, uint64_t monotonic_ns, uint64_t tai_ns);

/* Before a stop: what rests because it was read empty is read once more by the next stream_arm. What falls due by a
 * recording's time does not. */
void stream_hurry(struct stream_source *source);

/* One completion. Returns frames published. */
uint32_t stream_complete(struct stream_source *source, const struct uring_event *event, uint64_t monotonic_ns,
                         uint64_t tai_ns);

/* When stream_arm has something to do again although nothing completes; UINT64_MAX: never. */
uint64_t stream_wakes_at(const struct stream_source *source);

/* Bytes that the next read may bring, and where to: what stream_arm asks the kernel for. For tests. */
uint32_t stream_wants(struct stream_source *source, uint8_t **to);

#endif
