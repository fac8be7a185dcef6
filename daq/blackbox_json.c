/* trip.json and state.json, as sluice-trip(5) says. Cold. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "control/explain.h"
#include "daq/blackbox.h"
#include "ring/clock.h"

static void put_text(FILE *to, const char *text)
{
    fputc('"', to);
    for (const unsigned char *at = (const unsigned char *)text; *at != 0; at++) {
        if (*at == '"' || *at == '\\') {
            fprintf(to, "\\%c", *at);
        } else if (*at < 0x20 || *at >= 0x7f) {
            fprintf(to, "\\u%04x", *at);
        } else {
            fputc(*at, to);
        }
    }
    fputc('"', to);
}

/* JSON knows no NaN. 17 digits bring every double back. */
static void put_number(FILE *to, const char *key, double value)
{
    if (isfinite(value)) {
        fprintf(to, "\"%s\": %.17g", key, value);
    } else {
        fprintf(to, "\"%s\": null", key);
    }
}

static uint64_t utc_of(const struct blackbox *box, uint64_t tai_ns)
{
    int32_t offset_s = box->table->rings > 0 ? box->reader[0].view.header->identity.utc_offset_s : 0;
    return tai_ns - (uint64_t)((int64_t)offset_s * (int64_t)CLOCK_NS_PER_S);
}

static void put_utc(const struct blackbox *box, FILE *to, uint64_t tai_ns)
{
    struct tm tm;
    char date[32] = "?";
    uint64_t utc_ns = utc_of(box, tai_ns);
    time_t seconds = (time_t)(utc_ns / CLOCK_NS_PER_S);
    if (gmtime_r(&seconds, &tm) != NULL) {
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    }
    fprintf(to, "\"tai_ns\": %" PRIu64 ", \"utc\": \"%s.%09uZ\"", tai_ns, date,
            (unsigned)(utc_ns % CLOCK_NS_PER_S));
}

static const char *name_or_null(FILE *to, const char *key, const char *name)
{
    fprintf(to, "\"%s\": ", key);
    if (name != NULL) {
        put_text(to, name);
    } else {
        fputs("null", to);
    }
    fputs(", ", to);
    return name;
}

static void put_cause(const struct blackbox *box, FILE *to, const struct engine_cause *cause)
{
    const struct control_table *table = box->table;
    char text[256];
    control_explain(table, cause, text, sizeof(text));
    fputs("{\"text\": ", to);
    put_text(to, text);
    fprintf(to, ", \"kind\": \"%s\", ", engine_cause_name(cause->kind));
    name_or_null(to, "rule", cause->rule < table->rules ? table->rule[cause->rule].name : NULL);
    name_or_null(to, "channel",
                 cause->channel < table->channels ? table->channel[cause->channel].decode.name : NULL);
    name_or_null(to, "output", cause->output < table->outputs ? table->output[cause->output].name : NULL);
    put_number(to, "value", cause->value);
    fputs(", ", to);
    put_number(to, "limit", cause->limit);
    fprintf(to, ", \"source_sequence\": %" PRIu64 ", \"position\": %" PRIu64 ", ", cause->source_sequence,
            cause->position);
    put_utc(box, to, cause->tai_ns);
    fputc('}', to);
}

static void put_causes(const struct blackbox *box, FILE *to, const struct engine_cause *cause, uint32_t count)
{
    fputc('[', to);
    for (uint32_t i = 0; i < count && i < ENGINE_CAUSES_MAX; i++) {
        fputs(i > 0 ? ",\n    " : "\n    ", to);
        put_cause(box, to, &cause[i]);
    }
    fputc(']', to);
}

static void put_trips(const struct blackbox *box, FILE *to)
{
    const struct blackbox_report *report = &box->report;
    fputs("  \"trips\": [", to);
    for (uint32_t i = 0; i < report->trips; i++) {
        const struct blackbox_trip *trip = &report->trip[i];
        fprintf(to, "%s\n   {\"trip\": %" PRIu64 ", ", i > 0 ? "," : "", trip->number);
        put_utc(box, to, trip->tai_ns);
        fputs(", \"causes\": ", to);
        put_causes(box, to, trip->cause, trip->causes);
        fputc('}', to);
    }
    fprintf(to, "],\n  \"trips_more\": %" PRIu64 ",\n", report->trips_more);
}

static void put_rings(const struct blackbox *box, FILE *to)
{
    fputs("  \"rings\": [", to);
    for (uint32_t i = 0; i < box->table->rings; i++) {
        const struct blackbox_frames *f = &box->report.frames[i];
        fprintf(to,
                "%s\n   {\"name\": \"%s\", \"file\": \"" BLACKBOX_RING_PREFIX "%s" BLACKBOX_RING_SUFFIX
                "\", \"frames\": %" PRIu64 ", \"first_wanted\": %" PRIu64 ", \"missing\": %" PRIu64
                ", \"cut\": %s, \"first_tai_ns\": %" PRIu64 ", \"last_tai_ns\": %" PRIu64 "}",
                i > 0 ? "," : "", box->table->ring[i].name, box->table->ring[i].name, f->frames, f->first,
                f->missing, f->cut ? "true" : "false", f->first_tai_ns, f->last_tai_ns);
    }
    fputs("],\n", to);
}

struct missing {
    FILE *to;
    unsigned count;
};

__attribute__((format(printf, 2, 3))) static void miss(struct missing *missing, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fputs(missing->count++ > 0 ? ",\n   " : "\n   ", missing->to);
    put_text(missing->to, text);
}

static void miss_frames(struct missing *missing, const struct blackbox *box, uint32_t i)
{
    const struct blackbox_frames *f = &box->report.frames[i];
    const char *name = box->table->ring[i].name;
    if (f->missing > 0) {
        miss(missing, "ring %s: %" PRIu64 " frames were %s", name, f->missing,
             f->cut ? "left out to stay below room_mb, or overwritten before they could be copied"
                    : "overwritten before they could be copied");
    } else if (f->cut) {
        miss(missing, "ring %s: the last frames were left out to stay below room_mb", name);
    }
    if (f->frames > 0 && f->first > 0 && f->first_tai_ns > box->report.from_tai_ns &&
        f->first + f->reader.view.slot_count <= f->next + f->missing) {
        miss(missing, "ring %s: it reaches back only %" PRIu64 " ms before the end; give it more slots", name,
             (box->report.to_tai_ns - f->first_tai_ns) / CLOCK_NS_PER_MS);
    }
    if (f->frames == 0) {
        miss(missing, "ring %s: nothing came in that time", name);
    }
}

static void put_missing(const struct blackbox *box, FILE *to, const struct blackbox_counts *counts)
{
    const struct blackbox_report *report = &box->report;
    struct missing missing = {.to = to};
    bool late = report->checkpoint_tai_ns != 0 ? !report->whole : counts->first_ns > report->from_tai_ns;
    fputs("  \"missing\": [", to);
    if (report->checkpoint_tai_ns == 0) {
        miss(&missing,
             "no checkpoint of the engine from which the journal is whole: it cannot be replayed exactly");
    }
    if (late) {
        miss(&missing,
             "the journal reaches back less than pre_ms: the server or the black box had just started, or "
             "entries were lost");
    }
    if (counts->lost > 0) {
        miss(&missing, "%" PRIu64 " entries of the journal were overwritten before they could be copied",
             counts->lost);
    }
    if (report->early) {
        miss(&missing, "the end: the server was stopped before post_ms were over");
    }
    for (uint32_t i = 0; i < box->table->rings; i++) {
        miss_frames(&missing, box, i);
    }
    fputs("],\n", to);
}

static void put_files(const struct blackbox_store *store, FILE *to)
{
    fputs("  \"files\": [", to);
    for (uint32_t i = 0; i < store->files; i++) {
        fprintf(to, "%s\n   {\"name\": \"%s\", \"bytes\": %" PRIu64 ", \"checksum\": \"%016" PRIx64 "\"}",
                i > 0 ? "," : "", store->file[i].name, store->file[i].bytes, store->file[i].checksum);
    }
    fputs("]\n}\n", to);
}

void blackbox_put_trip(const struct blackbox *box, FILE *to, const struct blackbox_counts *counts)
{
    const struct blackbox_report *report = &box->report;
    const struct control_table *table = box->table;
    fprintf(to, "{\n  \"format\": %u,\n  \"version\": \"%s\",\n  \"instance\": \"%s\",\n  \"trip\": %" PRIu64 ", ",
            BLACKBOX_VERSION, SLUICE_VERSION, table->instance, report->trip[0].number);
    put_utc(box, to, report->trip[0].tai_ns);
    fputs(",\n  \"first_out\": ", to);
    put_causes(box, to, report->trip[0].cause, report->trip[0].causes);
    fputs(",\n", to);
    put_trips(box, to);
    fprintf(to,
            "  \"window\": {\"pre_ms\": %" PRIu64 ", \"post_ms\": %" PRIu64 ", \"from_tai_ns\": %" PRIu64
            ", \"to_tai_ns\": %" PRIu64 ", \"ended_early\": %s},\n",
            box->plan->pre_ns / CLOCK_NS_PER_MS, box->plan->post_ns / CLOCK_NS_PER_MS, report->from_tai_ns,
            report->to_tai_ns, report->early ? "true" : "false");
    fprintf(to,
            "  \"table\": {\"version\": %u, \"bytes\": %zu, \"hash\": \"%016" PRIx64
            "\", \"checksum\": \"%016" PRIx64 "\"},\n",
            table->version, sizeof(*table), table->hash, table->checksum);
    fprintf(to, "  \"checkpoints\": {\"bytes_each\": %zu, \"count\": %" PRIu64 "},\n",
            sizeof(struct control_checkpoint), counts->checkpoints);
    fprintf(to,
            "  \"journal\": {\"bytes_each\": %zu, \"first\": %" PRIu64 ", \"count\": %" PRIu64
            ", \"lost\": %" PRIu64 "},\n",
            sizeof(struct journal_entry), report->journal_from, counts->entries, counts->lost);
    put_rings(box, to);
    put_missing(box, to, counts);
    put_files(&box->store, to);
}

static void put_state_rules(const struct blackbox *box, FILE *to)
{
    const struct control_table *table = box->table;
    fputs("  \"rules\": [", to);
    for (uint32_t i = 0; i < table->rules; i++) {
        const struct control_board_rule *rule = &box->report.board.rule[i];
        fprintf(
            to,
            "%s\n   {\"name\": \"%s\", \"truth\": \"%s\", \"why\": \"%s\", \"alarm\": \"%s\", \"demands\": %" PRIu64
            ", \"bypassed_until_tai_ns\": %" PRIu64 ", \"shelved_until_tai_ns\": %" PRIu64 ", ",
            i > 0 ? "," : "", table->rule[i].name, engine_truth_name(rule->truth), engine_cause_name(rule->why),
            engine_alarm_name(rule->alarm), rule->demands, rule->bypass_until_ns, rule->shelved_until_ns);
        put_number(to, "measure", rule->measure);
        fputc('}', to);
    }
    fputs("],\n", to);
}

static const char *position_name(uint32_t position)
{
    return position == POSITION_SAFE ? "safe" : position == POSITION_ENERGISED ? "energised" : "unknown";
}

void blackbox_put_state(const struct blackbox *box, FILE *to)
{
    const struct control_board *board = &box->report.board;
    const struct control_table *table = box->table;
    fprintf(to,
            "{\n  \"state\": \"%s\",\n  \"trips\": %" PRIu64 ",\n  \"steps\": %" PRIu64 ",\n  \"misses\": %" PRIu64
            ",\n  \"overruns\": %" PRIu64 ",\n  \"bypasses\": %u,\n  \"gate_missing\": %u,\n  \"causes\": ",
            engine_state_name(board->state), board->trips, board->steps, board->misses, board->overruns,
            board->bypasses, board->gate_missing);
    put_causes(box, to, board->cause, board->cause_count);
    fputs(",\n  \"first_out\": ", to);
    put_causes(box, to, board->first_out, board->first_out_count);
    fputs(",\n  \"channels\": [", to);
    for (uint32_t i = 0; i < table->channels; i++) {
        const struct control_board_channel *channel = &board->channel[i];
        fprintf(to,
                "%s\n   {\"name\": \"%s\", \"quality\": \"%s\", \"samples\": %" PRIu64 ", \"tai_ns\": %" PRIu64
                ", \"unit\": ",
                i > 0 ? "," : "", table->channel[i].decode.name, engine_quality_name(channel->quality),
                channel->samples, channel->tai_ns);
        put_text(to, table->channel[i].decode.unit);
        fputs(", ", to);
        put_number(to, "value", channel->value);
        fputc('}', to);
    }
    fputs("],\n", to);
    put_state_rules(box, to);
    fputs("  \"outputs\": [", to);
    for (uint32_t i = 0; i < table->outputs; i++) {
        fprintf(to, "%s\n   {\"name\": \"%s\", \"energised\": %s, \"position\": \"%s\"}", i > 0 ? "," : "",
                table->output[i].name, (board->energised >> i & 1) != 0 ? "true" : "false",
                position_name(board->position[i]));
    }
    fputs("]\n}\n", to);
}
