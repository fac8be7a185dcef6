#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ring/calibration.h"
#include "ring/channel.h"
#include "tools/info.h"

void info_run_id(const struct record_file_header *header, char id[2 * RECORD_RUN_BYTES + 1])
{
    for (uint32_t i = 0; i < RECORD_RUN_BYTES; i++) {
        snprintf(id + (size_t)2 * i, 3, "%02x", header->run[i]);
    }
}

double info_seconds(const struct record_ring *ring)
{
    return (double)(ring->last_tai_ns - ring->first_tai_ns) * 1e-9;
}

/* JSON has no NaN and no infinity. */
static json_t *number(double value)
{
    return ring_is_not_finite(value) ? json_null() : json_real(value);
}

static json_t *make_channels(const struct record_ring *ring)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < ring->header.channels; i++) {
        const struct ring_channel *c = &ring->channel[i];
        json_t *numbers = json_array();
        for (uint32_t k = 0; k < c->numbers; k++) {
            json_array_append_new(numbers, number(ring->number[c->first_number + k]));
        }
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:s, s:I, s:b, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                      recording_json_text(c->name), "unit", recording_json_text(c->unit), "type",
                      ring_type_name(c->type), "at_byte", (json_int_t)c->at_byte, "big_endian",
                      (int)(c->byte_order == RING_BIG_ENDIAN), "bits", (json_int_t)c->bits, "shift",
                      (json_int_t)c->shift, "calibration", calibration_name(c->calibration), "numbers", numbers,
                      "scale", number(c->scale), "offset", number(c->offset), "range_low", number(c->range_low),
                      "range_high", number(c->range_high), "cold_junction",
                      c->reference != 0 ? recording_json_text(ring->channel[c->reference - 1].name) : json_null()));
    }
    return list;
}

static json_t *make_streams(const struct record_ring *ring)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < ring->header.streams; i++) {
        const struct ring_stream *s = &ring->stream[i];
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:I, s:I, s:o}", "name", recording_json_text(s->name), "source",
                                        recording_json_text(s->source), "frame_bytes", (json_int_t)s->frame_bytes,
                                        "sequence_width_bytes", (json_int_t)s->sequence_width_bytes, "nominal_hz",
                                        number(s->nominal_hz)));
    }
    return list;
}

static json_t *make_gaps(const struct record_ring *ring, const struct info_ring *found)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < found->kept; i++) {
        const struct info_gap *gap = &found->gap[i];
        bool known = gap->of_ring && gap->stream < ring->header.streams;
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:I, s:s, s:I, s:o}", "by", gap->of_ring ? "ring" : "recorder",
                            "from_position", (json_int_t)gap->gap.from_position, "to_position",
                            (json_int_t)gap->gap.to_position, "count", (json_int_t)gap->gap.count, "cause",
                            gap->of_ring ? ring_loss_name(gap->gap.cause) : record_cause_name(gap->gap.cause),
                            "tai_ns", (json_int_t)gap->gap.tai_ns, "stream",
                            known ? recording_json_text(ring->stream[gap->stream].name) : json_null()));
    }
    return list;
}

static json_t *make_ledger(const struct ring_ledger *ledger)
{
    json_t *lost = json_object();
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        json_object_set_new(lost, ring_loss_name(i), json_integer((json_int_t)ledger->lost[i]));
    }
    return json_pack("{s:I, s:I, s:o, s:I, s:I, s:I}", "sent", (json_int_t)ledger->sent, "delivered",
                     (json_int_t)ledger->delivered, "lost", lost, "duplicated", (json_int_t)ledger->duplicated,
                     "reordered", (json_int_t)ledger->reordered, "residual",
                     (json_int_t)ring_ledger_residual(ledger));
}

static json_t *make_files(const struct info *info, unsigned ring)
{
    json_t *list = json_array();
    const struct record_file *file;
    for (unsigned i = 0; (file = record_file(info->set, ring, i)) != NULL; i++) {
        json_array_append_new(list, json_pack("{s:o, s:I, s:I, s:I, s:I, s:b}", "path",
                                              recording_json_text(file->path), "segment", (json_int_t)file->segment,
                                              "stripe", (json_int_t)file->stripe, "bytes", (json_int_t)file->bytes,
                                              "blocks", (json_int_t)file->indices, "closed", (int)file->closed));
    }
    return list;
}

static void add_span(const struct record_ring *ring, json_t *o)
{
    char text[RECORDING_TIME_BYTES];
    double seconds = info_seconds(ring);
    json_object_set_new(o, "first_tai_ns", json_integer((json_int_t)ring->first_tai_ns));
    json_object_set_new(o, "last_tai_ns", json_integer((json_int_t)ring->last_tai_ns));
    recording_time(&ring->header, ring->first_tai_ns, text);
    json_object_set_new(o, "first_utc", ring->first_tai_ns != 0 ? json_string(text) : json_null());
    recording_time(&ring->header, ring->last_tai_ns, text);
    json_object_set_new(o, "last_utc", ring->last_tai_ns != 0 ? json_string(text) : json_null());
    json_object_set_new(o, "utc_offset_s", json_integer(ring->header.utc_offset_s));
    json_object_set_new(o, "span_s", json_real(seconds));
    json_object_set_new(o, "rate_hz",
                        seconds > 0 && ring->frames > 1 ? json_real((double)(ring->frames - 1) / seconds)
                                                        : json_null());
}

static json_t *make_ring(const struct info *info, unsigned index)
{
    const struct record_ring *ring = record_ring(info->set, index);
    const struct info_ring *found = &info->ring[index];
    json_t *o = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "name",
                          recording_json_text(ring->header.ring), "frames", (json_int_t)ring->frames, "blocks",
                          (json_int_t)ring->blocks, "files", (json_int_t)ring->files, "file_bytes",
                          (json_int_t)ring->file_bytes, "payload_bytes", (json_int_t)ring->payload_bytes,
                          "first_position", (json_int_t)ring->first_position, "end_position",
                          (json_int_t)ring->end_position, "closed", (int)ring->closed, "ended_because",
                          ring->totals.why != 0 ? json_string(record_close_name(ring->totals.why)) : json_null());
    add_span(ring, o);
    json_object_set_new(o, "channels", make_channels(ring));
    json_object_set_new(o, "streams", make_streams(ring));
    json_object_set_new(o, "missing", recording_causes(ring->missing));
    json_object_set_new(o, "ledger", make_ledger(&ring->ledger));
    json_object_set_new(o, "gaps_recorder", json_integer((json_int_t)found->recorder_gaps));
    json_object_set_new(o, "gaps_ring", info->frames ? json_integer((json_int_t)found->ring_gaps) : json_null());
    json_object_set_new(o, "gaps", make_gaps(ring, found));
    json_object_set_new(o, "file", make_files(info, index));
    return o;
}

void info_json(const struct info *info)
{
    char id[2 * RECORD_RUN_BYTES + 1];
    const struct record_file_header *h = &record_ring(info->set, 0)->header;
    json_t *rings = json_array();
    for (unsigned i = 0; i < record_rings(info->set); i++) {
        json_array_append_new(rings, make_ring(info, i));
    }
    info_run_id(h, id);
    json_t *run = json_loads(record_json(info->set), 0, NULL);
    json_t *all = json_pack("{s:s, s:o, s:o, s:b, s:b, s:o, s:o, s:I, s:o}", "run", id, "instance",
                            recording_json_text(h->instance), "recorder", recording_json_text(h->recorder), "whole",
                            (int)(record_problems(info->set) == 0), "checked", (int)info->check, "metadata",
                            run != NULL ? run : json_null(), "rings", rings, "problems_total",
                            (json_int_t)record_problems(info->set), "problems", recording_problems(info->set));
    json_dumpf(all, stdout, JSON_PRESERVE_ORDER);
    printf("\n");
    json_decref(all);
}
