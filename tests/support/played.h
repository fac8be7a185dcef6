/* A recording in a directory of its own, written frame by frame as a test wants it, to be played or tried. */
#ifndef SUPPORT_PLAYED_H
#define SUPPORT_PLAYED_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/record_read.h"
#include "daq/record_writer.h"

struct played {
    char directory[64];
    struct record_writer *writer;
    uint64_t position;
    char ring[RING_NAME_BYTES];
};

static inline void played_directory(struct played *p)
{
    *p = (struct played){.position = 0};
    snprintf(p->directory, sizeof(p->directory), "/tmp/sluice-played-XXXXXX");
    const char *made = mkdtemp(p->directory);
    assert(made != NULL);
    (void)made;
}

/* A ring of this run more; the one before is ended. */
static inline void played_ring(struct played *p, const char *ring, const struct ring_channel *channel,
                               uint32_t channels, const double *number, uint32_t numbers,
                               const struct ring_stream *stream)
{
    struct error err = {{0}};
    struct record_source what = {
        .channel = channel, .number = number, .stream = stream, .json = "{}", .config = ""};
    what.header = (struct record_file_header){.stripes = 1,
                                              .channels = channels,
                                              .numbers = numbers,
                                              .streams = 1,
                                              .json_bytes = 2,
                                              .stamp = RING_STAMP_TAKEN,
                                              .slot_bytes = 192,
                                              .payload_offset = 32,
                                              .payload_bytes = 160,
                                              .slots = 64,
                                              .created_tai_ns = 1};
    memset(what.header.run, 7, sizeof(what.header.run));
    snprintf(what.header.instance, sizeof(what.header.instance), "test");
    snprintf(what.header.ring, sizeof(what.header.ring), "%s", ring);
    snprintf(p->ring, sizeof(p->ring), "%s", ring);
    p->position = 0;
    int code = record_writer_open(&p->writer, p->directory, &what, 4096, &err);
    if (code != 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

static inline void played_frame(struct played *p, uint64_t tai_ns, uint64_t number, uint32_t flags, uint32_t cause,
                                uint32_t lost, const void *payload, uint32_t bytes)
{
    struct error err = {{0}};
    struct ring_descriptor d = {.sequence = ++p->position,
                                .tai_ns = tai_ns,
                                .source_sequence = number,
                                .length_bytes = (uint16_t)bytes,
                                .flags = (uint16_t)(flags | cause << RING_FLAG_CAUSE_SHIFT),
                                .lost_before = (uint16_t)lost};
    int code = record_writer_frame(p->writer, &d, payload, &err);
    assert(code == 0);
    (void)code;
}

static inline void played_gap_record(struct played *p, uint64_t tai_ns, uint32_t cause, uint64_t count)
{
    struct ring_gap gap = {.cause = cause, .count = count};
    played_frame(p, tai_ns, p->position, RING_FLAG_GAP, cause, (uint32_t)count, &gap, sizeof(gap));
}

/* So many positions are not in the recording. */
static inline void played_missing(struct played *p, uint64_t tai_ns, uint64_t count, enum record_cause cause)
{
    struct error err = {{0}};
    struct record_gap gap = {.from_position = p->position,
                             .to_position = p->position + count,
                             .count = count,
                             .tai_ns = tai_ns,
                             .cause = (uint32_t)cause};
    int code = record_writer_gap(p->writer, &gap, &err);
    assert(code == 0);
    (void)code;
    p->position += count;
}

static inline void played_close(struct played *p)
{
    struct error err = {{0}};
    int code = record_writer_close(p->writer, RECORD_CLOSE_STOPPED, NULL, &err);
    assert(code == 0);
    (void)code;
    p->writer = NULL;
}

static inline void played_remove(struct played *p)
{
    char command[128];
    record_writer_abandon(p->writer);
    snprintf(command, sizeof(command), "rm -rf %s", p->directory);
    int code = system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
    assert(code == 0);
    (void)code;
}

#endif
