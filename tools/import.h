/* Foreign files as recordings: sluice import, and sluice replay FILE.csv. A file's frames go through the same
 * judgment as a packet's or a line's would (net/intake.h), into a ring of a few slots in private memory, and from
 * there into the recording: numbers, losses, gap records and ledger are as if they had come in. Bounded memory.
 * Cold.
 *
 *   import.c       the command; which kind of file it is
 *   import_sink.c  the ring, and the recording behind it
 *   import_csv.c   rows of numbers -> frames, by the inverse of the channels' scales
 *   import_pcap.c  a capture -> payloads of the stream's packets (libpcap)
 *   import_vdif.c  frames one after the other
 */
#ifndef TOOLS_IMPORT_H
#define TOOLS_IMPORT_H

#include <stdio.h>

#include "daq/compile.h"
#include "daq/record_writer.h"
#include "net/intake.h"
#include "tools/replay.h"

#define IMPORT_TAI_MINUS_UTC_S 37 /* since 2017 */

struct import_sink {
    const struct source_plan *plan; /* of the ring's source, as configured */
    const struct ring_plan *ring;
    struct ring_writer writer;
    void *base;                   /* the ring's memory */
    struct record_writer *record; /* NULL: nothing is kept (tests) */
    uint64_t frames;              /* that are the stream's, refused ones among them */
    uint64_t skipped;             /* others' */
    uint64_t first_tai_ns;
    uint64_t last_tai_ns;
};

/* A ring as the plan has it, without a recording. 0 or -errno; import_sink_fini is fine after a failure. */
int import_sink_init(struct import_sink *sink, const struct server_plan *plan, uint32_t ring, struct error *err);
/* Begins DIRECTORY/RING.000000.slr. */
int import_sink_record(struct import_sink *sink, const struct server_plan *plan, const char *directory,
                       const char *json, const char *config, size_t config_bytes, int32_t utc_offset_s,
                       struct error *err);
/* Ends the recording. */
int import_sink_close(struct import_sink *sink, struct error *err);
void import_sink_fini(struct import_sink *sink);

/* Where the next payload goes, and how much has room there. */
uint8_t *import_sink_slot(struct import_sink *sink, uint32_t *room);
/* It is there, and this is what was made of it. 0, -EINTR: somebody wants us to stop, or -errno. */
int import_sink_commit(struct import_sink *sink, enum ring_refusal refusal, const struct format_frame *said,
                       uint32_t bytes, uint64_t tai_ns, struct error *err);

/* Each reads to the end of the file. 0, or -errno with the line or offset of what is wrong. */
int import_csv(FILE *file, const struct replay_csv_options *options, int32_t utc_offset_s, uint64_t begin_tai_ns,
               struct import_sink *sink, struct error *err);
int import_pcap(FILE *file, int32_t utc_offset_s, struct import_sink *sink, struct error *err);
int import_vdif(FILE *file, int32_t utc_offset_s, struct import_sink *sink, struct error *err);

struct import_request {
    const char *config;
    const char *ring; /* NULL: the only one */
    const char *path;
    const char *directory; /* is there */
    const struct replay_csv_options *csv;
    int32_t utc_offset_s;
};

struct import_result {
    char ring[RING_NAME_BYTES];
    uint64_t frames;
    uint64_t skipped;
    uint64_t refused;
    uint64_t lost;
    uint64_t first_tai_ns;
    uint64_t last_tai_ns;
};

/* A whole file. 0 or -errno; then what was written is still there. */
int import_file(const struct import_request *request, struct import_result *result, struct error *err);

/* Ctrl-C and SIGTERM end an import in order from here on; whether one has come. */
void import_catch_signals(void);
bool import_interrupted(void);

/* A directory that an import has made, and the files in it that are an import's. */
void import_remove(const char *directory);

/* Options that sluice replay has as well. False: they make no sense. The mapping's text is cut. */
bool import_take_mapping(struct replay_csv_options *csv, char *text);
bool import_take_delimiter(struct replay_csv_options *csv, const char *text);
bool import_take_period(struct replay_csv_options *csv, const char *text);
bool import_take_utc_offset(const char *text, int32_t *seconds);

int command_import(int argc, char **argv);

#endif
