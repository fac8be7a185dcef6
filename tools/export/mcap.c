/* MCAP: for each ring with channels a topic /RING of JSON messages; for each stream the payloads, /RING/raw; what
 * is missing, /RING/gaps. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/export/export.h"
#include "tools/export/mcap_write.h"
#include "tools/export/number.h"

#define JSON_BYTES  (512u + RING_CHANNELS_MAX * (6 * EXPORT_TEXT_BYTES + NUMBER_BYTES + 4))
#define TOPIC_BYTES (2 * EXPORT_TEXT_BYTES + 16)

struct mcap {
    struct export_sink sink;
    const struct export_plan *plan;
    const struct export_ring *ring;
    struct mcap_writer writer;
    int values; /* channel ids; -1: there is none */
    int gaps;
    int raw[RING_STREAMS_MAX];
    char key[RING_CHANNELS_MAX][6 * EXPORT_TEXT_BYTES]; /* the channels' names as JSON, a comma in front */
    char text[JSON_BYTES];
};

static struct mcap *mcap_of(struct export_sink *sink)
{
    return (struct mcap *)(void *)sink;
}

/* Everything at the top of a JSON object as text, which is what a map of MCAP holds. */
static int write_json(struct mcap *m, const char *name, const char *json, struct error *err)
{
    struct mcap_pair pair[64];
    uint32_t count = 0;
    const char *key;
    json_t *value;
    json_t *all = json_loads(json, 0, NULL);
    json_object_foreach(all, key, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
        if (json_is_string(value)) {
            free(text);
            text = strdup(json_string_value(value));
        }
        if (count < sizeof(pair) / sizeof(pair[0]) && text != NULL) {
            pair[count++] = (struct mcap_pair){key, text};
        } else {
            free(text);
        }
    }
    int code = count > 0 ? mcap_metadata(&m->writer, name, pair, count, err) : 0;
    for (uint32_t i = 0; i < count; i++) {
        free((char *)pair[i].value);
    }
    json_decref(all);
    return code;
}

static int mcap_begin(struct export_sink **sink, const struct export_plan *plan, struct output *output,
                      struct error *err)
{
    struct mcap *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return error_set(err, -ENOMEM, "expected 100 kB of memory, got none");
    }
    m->sink.ops = &export_mcap;
    m->plan = plan;
    *sink = &m->sink;
    int code = mcap_init(&m->writer, output, "sluice " SLUICE_VERSION, err);
    code = code != 0 ? code : write_json(m, "sluice.run", record_json(plan->set), err);
    size_t bytes = 0;
    const char *config = record_config(plan->set, &bytes);
    if (code == 0 && bytes > 0) {
        const struct export_ring *ring = &plan->ring[0];
        code = mcap_attachment(&m->writer, ring->is->header.opened_tai_ns - (uint64_t)ring->utc_offset_ns,
                               "config.yaml", "application/yaml", config, bytes, err);
    }
    return code;
}

/* A schema of what messages of /RING hold. NULL: no memory. */
static char *values_schema(const struct export_ring *ring)
{
    json_t *values = json_object();
    for (uint32_t i = 0; i < ring->channels; i++) {
        json_object_set_new(
            values, ring->channel[i].name,
            json_pack("{s:[s, s], s:s}", "type", "number", "null", "description", ring->channel[i].unit));
    }
    json_t *all =
        json_pack("{s:s, s:s, s:{s:{s:s, s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s, s:o}}}", "type", "object",
                  "title", ring->name, "properties", "tai_ns", "type", "integer", "description",
                  "ns since 1970, TAI; log_time is UTC", "position", "type", "integer", "sequence", "type",
                  "integer", "stream", "type", "string", "values", "type", "object", "properties", values);
    char *text = all != NULL ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    return text;
}

static const char gap_schema[] =
    "{\"type\":\"object\",\"title\":\"gap\",\"properties\":{\"from_position\":{\"type\":\"integer\"},"
    "\"to_position\":{\"type\":\"integer\"},\"count\":{\"type\":\"integer\"},\"tai_ns\":{\"type\":\"integer\"},"
    "\"cause\":{\"type\":\"string\"},\"told_by\":{\"type\":\"string\"}}}";

static int add_topic(struct mcap *m, const char *schema_name, const char *schema, const char *topic,
                     struct error *err)
{
    char offset[32];
    snprintf(offset, sizeof(offset), "%" PRId64, m->ring->utc_offset_ns);
    struct mcap_pair pairs[] = {{"ring", m->ring->name}, {"tai_minus_utc_ns", offset}};
    int id = mcap_schema(&m->writer, schema_name, "jsonschema", schema, err);
    return id < 0 ? id : mcap_channel(&m->writer, (uint16_t)id, topic, "json", pairs, 2, err);
}

static int add_values(struct mcap *m, struct error *err)
{
    char topic[TOPIC_BYTES];
    char name[TOPIC_BYTES];
    char *schema = values_schema(m->ring);
    if (schema == NULL) {
        return error_set(err, -ENOMEM, "expected memory for a schema, got none");
    }
    snprintf(topic, sizeof(topic), "/%s", m->ring->name);
    snprintf(name, sizeof(name), "sluice.%s", m->ring->name);
    int id = add_topic(m, name, schema, topic, err);
    free(schema);
    for (uint32_t i = 0; i < m->ring->channels; i++) {
        json_t *text = json_string(m->ring->channel[i].name);
        char *quoted = json_dumps(text, JSON_ENCODE_ANY);
        snprintf(m->key[i], sizeof(m->key[i]), "%s%s:", i > 0 ? "," : "", quoted != NULL ? quoted : "\"?\"");
        free(quoted);
        json_decref(text);
    }
    return id;
}

static int add_raw(struct mcap *m, uint32_t stream, struct error *err)
{
    const struct record_ring *is = m->ring->is;
    char topic[TOPIC_BYTES];
    char name[EXPORT_TEXT_BYTES];
    char source[EXPORT_TEXT_BYTES];
    export_text(name, is->stream[stream].name, sizeof(is->stream[stream].name));
    export_text(source, is->stream[stream].source, sizeof(is->stream[stream].source));
    snprintf(topic, sizeof(topic),
             is->header.streams > 1 ? "/%s/%s/raw"
                                    : "/%s/%.0s"
                                      "raw",
             m->ring->name, name);
    struct mcap_pair pairs[] = {{"ring", m->ring->name}, {"stream", name}, {"source", source}};
    return mcap_channel(&m->writer, 0, topic, "application/octet-stream", pairs, 3, err);
}

static int mcap_ring_begin(struct export_sink *sink, const struct export_ring *ring, struct error *err)
{
    struct mcap *m = mcap_of(sink);
    char topic[TOPIC_BYTES];
    m->ring = ring;
    m->values = -1;
    memset(m->raw, -1, sizeof(m->raw));
    if (ring->channels > 0) {
        m->values = add_values(m, err);
        if (m->values < 0) {
            return m->values;
        }
    }
    for (uint32_t i = 0; i < ring->is->header.streams && i < RING_STREAMS_MAX; i++) {
        if (ring->stream >= 0 && ring->stream != (int)i) {
            continue;
        }
        m->raw[i] = add_raw(m, i, err);
        if (m->raw[i] < 0) {
            return m->raw[i];
        }
    }
    snprintf(topic, sizeof(topic), "/%s/gaps", ring->name);
    m->gaps = add_topic(m, "sluice.gap", gap_schema, topic, err);
    return m->gaps < 0 ? m->gaps : 0;
}

/* {"tai_ns":..,"position":..,"sequence":..,"values":{"pressure":101.3,"flow":null}} */
static uint32_t values_text(struct mcap *m, const struct sluice_frame *frame)
{
    char *text = m->text;
    int used = snprintf(text, sizeof(m->text),
                        "{\"tai_ns\":%" PRIu64 ",\"position\":%" PRIu64 ",\"sequence\":%" PRIu64 ",\"values\":{",
                        frame->tai_ns, frame->position, frame->source_sequence);
    char *at = text + used; /* JSON_BYTES has room for the longest of everything */
    for (uint32_t i = 0; i < m->ring->channels; i++) {
        at = stpcpy(at, m->key[i]);
        size_t n = number_text(record_value(m->ring->is, m->ring->channel[i].index, frame), at);
        at = n > 0 ? at + n : stpcpy(at, "null");
    }
    at = stpcpy(at, "}}");
    return (uint32_t)(at - text);
}

static int mcap_frame(struct export_sink *sink, const struct sluice_frame *frame, struct error *err)
{
    struct mcap *m = mcap_of(sink);
    uint64_t utc_ns = frame->tai_ns - (uint64_t)m->ring->utc_offset_ns;
    uint32_t sequence = (uint32_t)frame->source_sequence;
    int raw = frame->stream < RING_STREAMS_MAX ? m->raw[frame->stream] : -1;
    int code = 0;
    if (raw < 0) {
        return error_set(err, -EPROTO, "ring %s, position %" PRIu64 ": stream %u is not in the recording's table",
                         m->ring->name, frame->position, frame->stream);
    }
    if (m->values >= 0) {
        uint32_t bytes = values_text(m, frame);
        code = mcap_message(&m->writer, (uint16_t)m->values, sequence, utc_ns, m->text, bytes, err);
    }
    return code != 0 ? code
                     : mcap_message(&m->writer, (uint16_t)raw, sequence, utc_ns, frame->payload,
                                    frame->length_bytes, err);
}

static int mcap_gap(struct export_sink *sink, const struct export_gap *gap, struct error *err)
{
    struct mcap *m = mcap_of(sink);
    int n = snprintf(m->text, sizeof(m->text),
                     "{\"from_position\":%" PRIu64 ",\"to_position\":%" PRIu64 ",\"count\":%" PRIu64
                     ",\"tai_ns\":%" PRIu64 ",\"cause\":\"%s\",\"told_by\":\"%s\"}",
                     gap->from_position, gap->to_position, gap->count, gap->tai_ns, gap->cause, gap->told_by);
    return mcap_message(&m->writer, (uint16_t)m->gaps, 0, gap->tai_ns - (uint64_t)m->ring->utc_offset_ns, m->text,
                        (uint32_t)n, err);
}

/* The ledger's totals, as metadata. */
static int mcap_ring_end(struct export_sink *sink, struct export_counts *counts, struct error *err)
{
    struct mcap *m = mcap_of(sink);
    const struct ring_ledger *ledger = &m->ring->is->ledger;
    struct mcap_pair pairs[4 + RING_LOSSES];
    char text[4 + RING_LOSSES][32];
    char name[TOPIC_BYTES];
    uint32_t n = 0;
    (void)counts;
    const struct {
        const char *key;
        uint64_t value;
    } head[] = {{"sent", ledger->sent}, {"delivered", ledger->delivered}, {"duplicated", ledger->duplicated}};
    for (uint32_t i = 0; i < sizeof(head) / sizeof(head[0]); i++, n++) {
        snprintf(text[n], sizeof(text[n]), "%" PRIu64, head[i].value);
        pairs[n] = (struct mcap_pair){head[i].key, text[n]};
    }
    for (uint32_t i = 0; i < RING_LOSSES; i++, n++) {
        snprintf(text[n], sizeof(text[n]), "%" PRIu64, ledger->lost[i]);
        pairs[n] = (struct mcap_pair){ring_loss_name(i), text[n]};
    }
    snprintf(text[n], sizeof(text[n]), "%" PRId64, ring_ledger_residual(ledger));
    pairs[n++] = (struct mcap_pair){"residual", text[3 + RING_LOSSES]};
    int code = mcap_flush(&m->writer, err);
    snprintf(name, sizeof(name), "sluice.ledger.%s", m->ring->name);
    return code != 0 ? code : mcap_metadata(&m->writer, name, pairs, n, err);
}

static int mcap_end(struct export_sink *sink, const struct export_counts *all, struct error *err)
{
    (void)all;
    return mcap_finish(&mcap_of(sink)->writer, err);
}

static void mcap_close_sink(struct export_sink *sink)
{
    mcap_fini(&mcap_of(sink)->writer);
    free(sink);
}

const struct export_ops export_mcap = {.name = "mcap",
                                       .suffix = "mcap",
                                       .channels = true,
                                       .open = mcap_begin,
                                       .ring_begin = mcap_ring_begin,
                                       .frame = mcap_frame,
                                       .gap = mcap_gap,
                                       .ring_end = mcap_ring_end,
                                       .finish = mcap_end,
                                       .close = mcap_close_sink};
