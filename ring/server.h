/* libsluice: a running server as a whole, looked at from outside: its rings without reading them, its processes,
 * and what they count and measure of themselves.
 *
 *   struct sluice_server *s;
 *   if (sluice_open(&s, "tvac1", err, sizeof err) != 0) ..
 *   for (uint32_t i = 0; sluice_server_measure(s, i, &m) == 0; i++)
 *       if (m.kind == SLUICE_STATE_WORD) printf("%s %s\n", m.name, m.word);     control.state armed
 *   sluice_close(s);
 *
 * Everything is mapped read-only once, by sluice_open(); the functions below read it where it lies, without a
 * system call, and can neither slow nor change the server. A server that has ended leaves the last it wrote: ask
 * sluice_server_alive(). What is read is of single words: numbers that are written together may be of two moments.
 *
 * Threads: a server may be used by one thread at a time.
 */
#ifndef SLUICE_SERVER_H
#define SLUICE_SERVER_H

#include "sluice.h" /* beside this one, here and where they are installed */

#ifdef __cplusplus
extern "C" {
#endif

struct sluice_server;

/* The servers that run here, as far as this user may know of them: names into names[0 .. max), sorted; returns how
 * many there are. Thread-safe. */
SLUICE_API uint32_t sluice_instances(char names[][32], uint32_t max);

/* Connects to `instance`; NULL: the only one that runs. 0, or -errno with a sentence in error[0 .. error_bytes)
 * (may be NULL): -ECONNREFUSED or -ENOENT no such server, -E2BIG several run and none was named, -EACCES not
 * permitted, -ETIMEDOUT or -EPIPE no answer, -EPROTO another version, or corrupt, -EMFILE too few descriptors,
 * -EINVAL no name, -ENOMEM. Thread-safe. */
SLUICE_API int sluice_open(struct sluice_server **server, const char *instance, char *error, size_t error_bytes);

/* NULL is fine. */
SLUICE_API void sluice_close(struct sluice_server *server);

/* The instance's name; the server's for as long as it is open. */
SLUICE_API const char *sluice_server_instance(const struct sluice_server *server);

/* 1 while the server that was opened runs; 0: it has ended, or another one has taken its place. */
SLUICE_API int sluice_server_alive(const struct sluice_server *server);

/* Its rings, counted from 0 in the order of the configuration, as libsluice's functions without `server` tell of a
 * reader's. 0, or -ERANGE: no such ring, stream or channel; the structures are untouched then. */
SLUICE_API uint32_t sluice_server_rings(const struct sluice_server *server);
SLUICE_API int sluice_server_ring(const struct sluice_server *server, uint32_t ring, struct sluice_ring *about);
SLUICE_API int sluice_server_stream(const struct sluice_server *server, uint32_t ring, uint32_t index,
                                    struct sluice_stream *stream);
SLUICE_API int sluice_server_channel(const struct sluice_server *server, uint32_t ring, uint32_t index,
                                     struct sluice_channel *channel);
SLUICE_API int sluice_server_progress(const struct sluice_server *server, uint32_t ring,
                                      struct sluice_progress *progress);
SLUICE_API int sluice_server_ledger(const struct sluice_server *server, uint32_t ring,
                                    struct sluice_ledger *ledger);
SLUICE_API int sluice_server_rate(const struct sluice_server *server, uint32_t ring, struct sluice_rate *rate);

/* One of its processes. */
struct sluice_process {
    char name[32]; /* "sluiced", "control", "worker-0" .. */
    uint64_t pid;  /* 0: it does not run */
    uint64_t started_tai_ns;
    uint64_t heartbeats;   /* rounds completed; of a process that sleeps few */
    uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the last one */
    int32_t core;          /* pinned to; -1: to none */
    int32_t policy;        /* as obtained: 0 SCHED_OTHER, 1 SCHED_FIFO */
    int32_t priority;
    uint32_t is_locked; /* 1: its memory is */
    uint32_t is_sealed; /* 1: only listed system calls from here on */
    uint32_t refusals;  /* things that the system refused it: sluice status has the words */
    uint64_t stalls;    /* times its loop did not come round for 250 us; of processes that never wait */
    uint64_t stall_ns;  /* together */
    uint64_t stall_ns_max;
};

/* 0 or -ERANGE. */
SLUICE_API int sluice_server_process(const struct sluice_server *server, uint32_t index,
                                     struct sluice_process *process);

enum sluice_measure_kind {
    SLUICE_HISTOGRAM = 1, /* of durations: sluice_server_histogram(); value is how many were counted */
    SLUICE_COUNTER = 2,   /* only grows, while its process lives */
    SLUICE_GAUGE = 3,     /* a number as it is now */
    SLUICE_STATE_WORD = 4 /* one of some words: `word` */
};

/* One thing that the server counts or measures, as it is now. Names are stable keys: "control.state",
 * "control.trips", "tvac.arrival_to_publish" (sluice(1), latency, has the durations). */
struct sluice_measure {
    char name[64];
    uint32_t kind; /* enum sluice_measure_kind */
    uint32_t reserved;
    uint64_t value;
    uint64_t period_ns; /* of a histogram: the schedule that it should keep; 0: none, or not known */
    char word[16];      /* of a state; "unknown" if it has no word; of others empty */
};

/* Counted from 0. 0 or -ERANGE. */
SLUICE_API int sluice_server_measure(const struct sluice_server *server, uint32_t index,
                                     struct sluice_measure *measure);

/* A copy of a log-linear histogram, in ns: up to 32 steps in every power of two, so that a value is told at most
 * 1/32 too high (Gil Tene's HdrHistogram). Bucket i counts values up to sluice_histogram_high_ns(i). */
#define SLUICE_HISTOGRAM_BUCKETS 1152
struct sluice_histogram {
    uint64_t count;  /* the sum of the buckets */
    uint64_t max_ns; /* exact */
    uint64_t sum_ns;
    uint64_t late;     /* values above limit_ns */
    uint64_t limit_ns; /* 0: none */
    uint64_t buckets[SLUICE_HISTOGRAM_BUCKETS];
};

/* Copies measure `index` while it is written to. 0, -ERANGE: no such measure, -EINVAL: it is no histogram. */
SLUICE_API int sluice_server_histogram(const struct sluice_server *server, uint32_t index,
                                       struct sluice_histogram *histogram);

/* The lowest value that at least the fraction q (0 .. 1) of all are not above, to the top of its bucket and never
 * above max_ns; 0 if empty. Pure. */
SLUICE_API uint64_t sluice_histogram_quantile_ns(const struct sluice_histogram *histogram, double q);

/* The highest value of a bucket, in ns. Pure. */
SLUICE_API uint64_t sluice_histogram_high_ns(uint32_t bucket);

#ifdef __cplusplus
}
#endif

#endif
