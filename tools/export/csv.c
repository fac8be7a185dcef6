/* CSV: one ring, a column for each channel, numbers that read back to the same bits. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/export/export.h"
#include "tools/export/number.h"

#define LINE_BYTES (128u + RING_CHANNELS_MAX * (NUMBER_BYTES + 1))

struct csv {
    struct export_sink sink;
    const struct export_plan *plan;
    const struct export_ring *ring;
    struct output *output;
    char delimiter;
};

static int csv_open(struct export_sink **sink, const struct export_plan *plan, struct output *output,
                    struct error *err)
{
    struct csv *csv = calloc(1, sizeof(*csv));
    if (csv == NULL) {
        return error_set(err, -ENOMEM, "expected a little memory, got none");
    }
    *csv =
        (struct csv){.sink = {&export_csv}, .plan = plan, .output = output, .delimiter = plan->options->delimiter};
    *sink = &csv->sink;
    return 0;
}

__attribute__((format(printf, 3, 4))) static int say(struct csv *csv, struct error *err, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    size_t bytes = n < 0 ? 0 : (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
    return output_write(csv->output, line, bytes, err);
}

static uint64_t to_utc(const struct csv *csv, uint64_t tai_ns)
{
    return tai_ns - (uint64_t)csv->ring->utc_offset_ns;
}

/* A name with its unit; quoted where it has a quote or what stands between fields. */
static int write_name(struct csv *csv, const struct export_channel *channel, struct error *err)
{
    char text[4 * EXPORT_TEXT_BYTES + 8];
    char quoted[2 * sizeof(text) + 2];
    size_t used = 0;
    snprintf(text, sizeof(text), channel->unit[0] != 0 ? "%s [%s]" : "%s", channel->name, channel->unit);
    char marks[] = {'"', csv->delimiter, 0};
    bool quotes = strpbrk(text, marks) != NULL;
    if (quotes) {
        quoted[used++] = '"';
    }
    for (const char *at = text; *at != 0; at++) {
        if (*at == '"') {
            quoted[used++] = '"';
        }
        quoted[used++] = *at;
    }
    if (quotes) {
        quoted[used++] = '"';
    }
    int code = output_write(csv->output, &csv->delimiter, 1, err);
    return code != 0 ? code : output_write(csv->output, quoted, used, err);
}

static int csv_ring_begin(struct export_sink *sink, const struct export_ring *ring, struct error *err)
{
    struct csv *csv = (struct csv *)(void *)sink;
    const struct record_file_header *header = &ring->is->header;
    char instance[EXPORT_TEXT_BYTES];
    char utc[TIME_TEXT_BYTES];
    csv->ring = ring;
    export_text(instance, header->instance, sizeof(header->instance));
    time_text(to_utc(csv, header->opened_tai_ns), utc);
    int code = say(csv, err,
                   "# sluice %s export of ring %s of %s, recorded from %s on\n"
                   "# time_utc = tai_ns - %" PRId64 " ns; an empty cell: no number there; "
                   "lines with # gap: something is missing there\n",
                   SLUICE_VERSION, ring->name, instance, utc, ring->utc_offset_ns);
    char d = csv->delimiter;
    code = code != 0 ? code : say(csv, err, "time_utc%ctai_ns%cposition%csequence", d, d, d);
    for (uint32_t i = 0; code == 0 && i < ring->channels; i++) {
        code = write_name(csv, &ring->channel[i], err);
    }
    return code != 0 ? code : output_write(csv->output, "\n", 1, err);
}

static int csv_frame(struct export_sink *sink, const struct sluice_frame *frame, struct error *err)
{
    struct csv *csv = (struct csv *)(void *)sink;
    char line[LINE_BYTES];
    char d = csv->delimiter;
    size_t used = time_text(to_utc(csv, frame->tai_ns), line);
    used += (size_t)snprintf(line + used, sizeof(line) - used, "%c%" PRIu64 "%c%" PRIu64 "%c%" PRIu64, d,
                             frame->tai_ns, d, frame->position, d, frame->source_sequence);
    for (uint32_t i = 0; i < csv->ring->channels; i++) {
        line[used++] = d;
        used += number_text(record_value(csv->ring->is, csv->ring->channel[i].index, frame), line + used);
    }
    line[used++] = '\n';
    return output_write(csv->output, line, used, err);
}

static int csv_gap(struct export_sink *sink, const struct export_gap *gap, struct error *err)
{
    struct csv *csv = (struct csv *)(void *)sink;
    char utc[TIME_TEXT_BYTES];
    time_text(to_utc(csv, gap->tai_ns), utc);
    return say(csv, err,
               "# gap: %" PRIu64 " missing, cause %s, told by %s, positions %" PRIu64 " to %" PRIu64
               ", at %s (TAI %" PRIu64 " ns)\n",
               gap->count, gap->cause, gap->told_by, gap->from_position, gap->to_position, utc, gap->tai_ns);
}

static void csv_close(struct export_sink *sink)
{
    free(sink);
}

const struct export_ops export_csv = {.name = "csv",
                                      .suffix = "csv",
                                      .one_ring = true,
                                      .channels = true,
                                      .channels_needed = true,
                                      .open = csv_open,
                                      .ring_begin = csv_ring_begin,
                                      .frame = csv_frame,
                                      .gap = csv_gap,
                                      .close = csv_close};
