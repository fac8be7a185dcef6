/* sluice-export: a recording in the formats of others. One ring after the other is read by a cursor, frame by
 * frame, and handed to a sink, which writes. Nothing here grows with the recording. One thread. Cold.
 */
#ifndef EXPORT_EXPORT_H
#define EXPORT_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "daq/record_read.h"
#include "tools/export/options.h"
#include "tools/export/output.h"

#define EXPORT_TEXT_BYTES (2 * RING_NAME_BYTES)

struct export_channel {
    uint32_t index;               /* in the ring's table */
    char name[EXPORT_TEXT_BYTES]; /* valid UTF-8 without control characters, whatever the file has */
    char unit[EXPORT_TEXT_BYTES];
};

/* A ring that was asked for. */
struct export_ring {
    uint32_t index; /* of record_ring() */
    const struct record_ring *is;
    char name[EXPORT_TEXT_BYTES];
    int stream;            /* only frames of this one; -1: all */
    int64_t utc_offset_ns; /* TAI - UTC */
    uint32_t channels;     /* that were asked for */
    struct export_channel channel[RING_CHANNELS_MAX];
};

struct export_plan {
    const struct export_options *options;
    struct record_set *set;
    uint64_t begin_tai_ns; /* of the recording */
    uint64_t from_tai_ns;
    uint64_t to_tai_ns; /* first that is not wanted; UINT64_MAX: to the end */
    uint32_t rings;
    struct export_ring *ring;
};

/* Something is missing: as the ring's own record says, a frame, or the recorder. Records and frames of a ring may
 * tell of the same loss; its ledger has the sum. */
struct export_gap {
    uint64_t from_position; /* of a record or a frame: where it lies */
    uint64_t to_position;
    uint64_t count; /* frames, or positions of the ring; 0: not known */
    uint64_t tai_ns;
    const char *cause;   /* ring_loss_name(), or record_cause_name() */
    const char *told_by; /* "ring", "frame", "recorder" */
};

struct export_counts {
    uint64_t frames;
    uint64_t bytes; /* of payload */
    uint64_t gaps;
    uint64_t first_tai_ns; /* lowest and highest stamp; 0: none */
    uint64_t last_tai_ns;
    uint64_t unaccounted; /* positions that are damaged, or of which nobody knows */
    uint64_t not_kept;    /* frames that do not fit what their stream promises, written cut */
};

struct export_sink;

struct export_ops {
    const char *name;
    const char *suffix;  /* "csv": one more may stand in suffix2 .. */
    const char *suffix2; /* NULL: there is none */
    const char *suffix3;
    bool one_ring;        /* holds no more than one .. */
    bool one_stream;      /* .. and of that no more than one stream */
    bool channels;        /* --channel means something */
    bool channels_needed; /* a ring without is nothing for it */
    int (*open)(struct export_sink **sink, const struct export_plan *plan, struct output *output,
                struct error *err);
    int (*ring_begin)(struct export_sink *sink, const struct export_ring *ring, struct error *err);
    int (*frame)(struct export_sink *sink, const struct sluice_frame *frame, struct error *err);
    int (*gap)(struct export_sink *sink, const struct export_gap *gap, struct error *err);
    /* These two may be NULL. */
    int (*ring_end)(struct export_sink *sink, struct export_counts *counts, struct error *err);
    int (*finish)(struct export_sink *sink, const struct export_counts *all, struct error *err);
    void (*close)(struct export_sink *sink); /* frees, also what is half done */
};

struct export_sink {
    const struct export_ops *ops;
};

extern const struct export_ops export_hdf5;
extern const struct export_ops export_pcapng;
extern const struct export_ops export_mcap;
extern const struct export_ops export_csv;
extern const struct export_ops export_raw;
extern const struct export_ops export_vdif;

/* By format's name, or by a file's suffix; NULL: there is none. "hdf5, pcapng .." */
const struct export_ops *export_find(const char *name);
const struct export_ops *export_of_file(const char *path);
const char *export_names(void);

/* What of the recording is meant. 0, or -EINVAL with what there is. */
int export_plan_make(struct export_plan *plan, struct record_set *set, const struct export_ops *ops,
                     const struct export_options *options, struct error *err);
void export_plan_free(struct export_plan *plan);

/* Valid UTF-8 without control characters, cut if need be. */
void export_text(char to[EXPORT_TEXT_BYTES], const char *from, size_t bytes);

/* A text of the run's metadata, by any of its keys; "" if it has none. */
void export_metadata(const struct record_set *set, const char *const *keys, char *to, size_t bytes);

/* Set by a signal: all ends soon and leaves nothing. */
extern volatile int export_stopped;

/* All of the plan into the sink. counts: one for each ring of the plan. 0, -EINTR, or -errno. */
int export_run(const struct export_plan *plan, struct export_sink *sink, struct export_counts *counts,
               struct error *err);

#endif
