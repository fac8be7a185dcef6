/* MCAP's records (https://mcap.dev/spec, version 0), written one after the other: chunks without compression, with
 * their indexes, and at the end the summary that readers begin with. What must wait for the end lies in a nameless
 * file, so that memory does not grow. One thread. Cold.
 */
#ifndef EXPORT_MCAP_WRITE_H
#define EXPORT_MCAP_WRITE_H

#include <stdint.h>

#include "tools/export/output.h"

#define MCAP_CHUNK_BYTES    (1u << 20)
#define MCAP_CHUNK_MESSAGES 16384u
#define MCAP_MESSAGE_MAX    (128u << 10)

/* Bytes that grow. After a failure to grow it takes nothing more, and says so. */
struct mcap_bytes {
    uint8_t *data;
    size_t used;
    size_t room;
    bool failed;
};

struct mcap_entry {
    uint64_t time_ns;
    uint64_t offset; /* in the chunk's records */
    uint16_t channel;
};

struct mcap_writer {
    struct output *output;
    struct mcap_bytes schemas; /* records, for the summary */
    struct mcap_bytes channels;
    struct mcap_bytes attachments; /* of the index */
    struct mcap_bytes metadata;
    struct mcap_bytes chunk; /* records of the chunk under way */
    struct mcap_bytes work;
    struct mcap_entry *entry;
    uint32_t entries;
    uint64_t chunk_first_ns;
    uint64_t chunk_last_ns;
    uint64_t *count; /* messages of each channel; [0] is channel 0 */
    uint16_t schema_count;
    uint16_t channel_count;
    uint32_t attachment_count;
    uint32_t metadata_count;
    uint32_t chunk_count;
    uint64_t message_count;
    uint64_t first_ns; /* of all messages */
    uint64_t last_ns;
    int aside; /* the chunks' index, as records */
    uint64_t aside_bytes;
};

/* A text of a map, as MCAP has them. */
struct mcap_pair {
    const char *key;
    const char *value;
};

/* Magic and header. 0 or -errno; mcap_fini in any case. */
int mcap_init(struct mcap_writer *writer, struct output *output, const char *library, struct error *err);
void mcap_fini(struct mcap_writer *writer);

/* Both return the id, a schema's from 1 on, or -errno. schema 0: none. */
int mcap_schema(struct mcap_writer *writer, const char *name, const char *encoding, const char *text,
                struct error *err);
int mcap_channel(struct mcap_writer *writer, uint16_t schema, const char *topic, const char *encoding,
                 const struct mcap_pair *pairs, uint32_t count, struct error *err);

/* time_ns is both log_time and publish_time. bytes: at most MCAP_MESSAGE_MAX. */
int mcap_message(struct mcap_writer *writer, uint16_t channel, uint32_t sequence, uint64_t time_ns,
                 const void *data, uint32_t bytes, struct error *err);
/* Ends the chunk: channels of different rings are not mixed in one. */
int mcap_flush(struct mcap_writer *writer, struct error *err);

int mcap_attachment(struct mcap_writer *writer, uint64_t time_ns, const char *name, const char *media_type,
                    const void *data, uint64_t bytes, struct error *err);
int mcap_metadata(struct mcap_writer *writer, const char *name, const struct mcap_pair *pairs, uint32_t count,
                  struct error *err);

/* The end of the data, the summary, the footer. */
int mcap_finish(struct mcap_writer *writer, struct error *err);

/* Shared with mcap_summary.c. */
enum mcap_opcode {
    MCAP_HEADER = 1,
    MCAP_FOOTER = 2,
    MCAP_SCHEMA = 3,
    MCAP_CHANNEL = 4,
    MCAP_MESSAGE = 5,
    MCAP_CHUNK = 6,
    MCAP_MESSAGE_INDEX = 7,
    MCAP_CHUNK_INDEX = 8,
    MCAP_ATTACHMENT = 9,
    MCAP_ATTACHMENT_INDEX = 10,
    MCAP_STATISTICS = 11,
    MCAP_METADATA = 12,
    MCAP_METADATA_INDEX = 13,
    MCAP_SUMMARY_OFFSET = 14,
    MCAP_DATA_END = 15
};

extern const uint8_t mcap_magic[8];

void mcap_put(struct mcap_bytes *to, const void *data, size_t bytes);
void mcap_put8(struct mcap_bytes *to, uint8_t value);
void mcap_put16(struct mcap_bytes *to, uint16_t value);
void mcap_put32(struct mcap_bytes *to, uint32_t value);
void mcap_put64(struct mcap_bytes *to, uint64_t value);
void mcap_put_text(struct mcap_bytes *to, const char *text);
/* A record's opcode and room for its length; returns where that stands, for mcap_close. */
size_t mcap_open(struct mcap_bytes *to, enum mcap_opcode opcode);
void mcap_close(struct mcap_bytes *to, size_t at);
/* To the file; *from is empty then. */
int mcap_drain(struct mcap_writer *writer, struct mcap_bytes *from, struct error *err);

#endif
