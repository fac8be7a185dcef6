/* Rows of numbers as frames: each channel's value goes to its place in the frame, in its raw type, by the inverse
 * of its scale and offset. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "net/sequence.h"
#include "ring/channel.h"
#include "ring/clock.h"
#include "tools/csv_line.h"
#include "tools/import.h"

#define LINE_BYTES_MAX 65536u
#define NO_COLUMN      UINT32_MAX

struct csv_import {
    const struct replay_csv_options *options;
    struct import_sink *sink;
    uint32_t of_column[REPLAY_COLUMNS_MAX]; /* channel, or NO_COLUMN */
    uint32_t columns;
    uint32_t time_column; /* or NO_COLUMN */
    int32_t utc_offset_s;
    uint64_t begin_tai_ns;
    uint64_t before_ns;
    uint64_t line; /* being read, from 1 */
    uint64_t rows;
};

/* A line without its end, in a buffer of bounded size. 1, 0: the file is over, -errno. */
static int read_line(FILE *file, char *text, size_t *bytes, uint64_t line, struct error *err)
{
    if (fgets(text, LINE_BYTES_MAX, file) == NULL) {
        return ferror(file) != 0
                   ? error_set(err, -EIO, "line %" PRIu64 ": cannot be read: %s", line, strerror(errno))
                   : 0;
    }
    *bytes = strlen(text);
    if (*bytes > 0 && text[*bytes - 1] == '\n') {
        text[--*bytes] = 0;
    } else if (*bytes == LINE_BYTES_MAX - 1) {
        return error_set(err, -EINVAL, "line %" PRIu64 ": expected at most %u bytes, found more", line,
                         LINE_BYTES_MAX - 2);
    }
    if (*bytes > 0 && text[*bytes - 1] == '\r') {
        text[--*bytes] = 0;
    }
    return 1;
}

static uint32_t find_channel(const struct ring_plan *ring, const char *name)
{
    for (uint32_t i = 0; i < ring->channel_count; i++) {
        if (strcmp(ring->channel[i].name, name) == 0) {
            return i;
        }
    }
    return NO_COLUMN;
}

static uint32_t channel_of(const struct csv_import *csv, const char *column)
{
    for (uint32_t i = 0; i < csv->options->mappings; i++) {
        if (strcmp(csv->options->mapping[i].column, column) == 0) {
            return find_channel(csv->sink->ring, csv->options->mapping[i].channel);
        }
    }
    return find_channel(csv->sink->ring, column);
}

/* Each channel has exactly one column, and each mapping is of use. */
static int check_header(const struct csv_import *csv, struct error *err)
{
    const struct ring_plan *ring = csv->sink->ring;
    for (uint32_t c = 0; c < ring->channel_count; c++) {
        uint32_t found = 0;
        for (uint32_t i = 0; i < csv->columns; i++) {
            found += csv->of_column[i] == c;
        }
        if (found != 1) {
            return error_set(err, -EINVAL,
                             "line 1: expected one column for channel %s, found %u; name it so, or say --column "
                             "COLUMN=%s",
                             ring->channel[c].name, found, ring->channel[c].name);
        }
    }
    for (uint32_t i = 0; i < csv->options->mappings; i++) {
        if (find_channel(ring, csv->options->mapping[i].channel) == NO_COLUMN) {
            return error_set(err, -EINVAL, "--column %s=%s: ring %s has no channel of that name",
                             csv->options->mapping[i].column, csv->options->mapping[i].channel, ring->name);
        }
    }
    if (csv->options->time != NULL && csv->time_column == NO_COLUMN) {
        return error_set(err, -EINVAL, "line 1: expected a column '%s' for --time, found none", csv->options->time);
    }
    return 0;
}

static int read_header(struct csv_import *csv, const char *text, size_t bytes, struct error *err)
{
    char field[CSV_FIELD_BYTES];
    const char *at = text;
    csv->time_column = NO_COLUMN;
    while (csv_next_field(&at, text + bytes, csv->options->delimiter, field)) {
        if (csv->columns == REPLAY_COLUMNS_MAX) {
            return error_set(err, -EINVAL, "line 1: expected at most %u columns, found more", REPLAY_COLUMNS_MAX);
        }
        bool is_time = csv->options->time != NULL && strcmp(field, csv->options->time) == 0;
        csv->time_column = is_time ? csv->columns : csv->time_column;
        csv->of_column[csv->columns++] = is_time ? NO_COLUMN : channel_of(csv, field);
    }
    return check_header(csv, err);
}

/* What can be turned round, in frames whose places are known. */
static int check_ring(const struct csv_import *csv, struct error *err)
{
    const struct import_sink *sink = csv->sink;
    if (sink->plan->frame_bytes == 0 || sink->ring->channel_count == 0) {
        return error_set(err, -EINVAL,
                         "expected a ring of frames of one length with channels in them, which rows can be written "
                         "into; ring %s has %u channels in frames of %u bytes (0: any)",
                         sink->ring->name, sink->ring->channel_count, sink->plan->frame_bytes);
    }
    for (uint32_t i = 0; i < sink->ring->channel_count; i++) {
        if (sink->ring->channel[i].calibration != RING_CALIBRATION_LINEAR) {
            return error_set(err, -EINVAL,
                             "channel %s has a calibration, which cannot be turned round; leave it out of the "
                             "configuration that this is imported with",
                             sink->ring->channel[i].name);
        }
    }
    return 0;
}

static void store(uint8_t *to, uint64_t raw, uint32_t bytes, uint32_t byte_order)
{
    for (uint32_t i = 0; i < bytes; i++) {
        uint32_t place = byte_order == RING_BIG_ENDIAN ? bytes - 1 - i : i;
        to[place] = (uint8_t)(raw >> (8 * i));
    }
}

static bool is_signed(uint32_t type)
{
    return type == RING_TYPE_I8 || type == RING_TYPE_I16 || type == RING_TYPE_I32 || type == RING_TYPE_I64;
}

/* A whole number of the channel's bits. False: it does not fit. */
static bool encode_integer(const struct ring_channel *channel, double x, uint64_t *raw)
{
    uint32_t bits = channel->bits != 0 ? channel->bits : 8 * ring_type_bytes(channel->type);
    double whole = rint(x);
    double low = is_signed(channel->type) ? -ldexp(1.0, (int)bits - 1) : 0.0;
    double high = is_signed(channel->type) ? ldexp(1.0, (int)bits - 1) : ldexp(1.0, (int)bits);
    if (!(whole >= low) || !(whole < high)) {
        return false;
    }
    uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    uint64_t value = whole < 0 ? (uint64_t)(int64_t)whole : (uint64_t)whole;
    *raw = (value & mask) << channel->shift;
    return true;
}

static bool encode(const struct ring_channel *channel, double value, uint64_t *raw)
{
    double x = (value - channel->offset) / channel->scale;
    *raw = 0;
    if (channel->type == RING_TYPE_F64) {
        memcpy(raw, &x, sizeof(x));
        return true;
    }
    if (channel->type == RING_TYPE_F32) {
        float narrow = (float)x;
        memcpy(raw, &narrow, sizeof(narrow));
        return isfinite(x) == isfinite((double)narrow);
    }
    return encode_integer(channel, x, raw);
}

/* An empty field is NaN where the raw type has one. */
static bool parse_value(const char *text, double *value)
{
    char *end;
    if (text[0] == 0) {
        *value = (double)NAN;
        return true;
    }
    *value = strtod(text, &end);
    return *end == 0;
}

static int put_value(const struct csv_import *csv, uint32_t column, const char *text, uint8_t *frame,
                     struct error *err)
{
    const struct ring_channel *channel = &csv->sink->ring->channel[csv->of_column[column]];
    uint64_t raw;
    double value;
    if (!parse_value(text, &value)) {
        return error_set(err, -EINVAL,
                         "line %" PRIu64 ", column %u: expected a number for channel %s, found '%.60s'", csv->line,
                         column + 1, channel->name, text);
    }
    if (!encode(channel, value, &raw)) {
        return error_set(err, -EINVAL,
                         "line %" PRIu64
                         ", column %u: expected what channel %s can say (%s * %g + %g %s), found '%.60s'",
                         csv->line, column + 1, channel->name, ring_type_name(channel->type), channel->scale,
                         channel->offset, channel->unit, text);
    }
    store(frame + channel->at_byte, raw, ring_type_bytes(channel->type), channel->byte_order);
    return 0;
}

/* What the source expects in its frames beside the channels. */
static void put_rest(const struct csv_import *csv, uint64_t number, uint8_t *frame)
{
    const struct source_plan *plan = csv->sink->plan;
    const struct checksum_spec *checksum = &plan->checksum;
    memcpy(frame, plan->framing.sync, plan->framing.sync_bytes <= plan->frame_bytes ? plan->framing.sync_bytes : 0);
    if (plan->sequence.width_bytes != 0 && plan->format.kind <= FORMAT_FIELD) {
        store(frame + plan->sequence.at_byte, number, plan->sequence.width_bytes, plan->sequence.byte_order);
    }
    if (checksum->kind == CHECKSUM_CRC16_CCITT) {
        uint16_t crc = net_crc16_ccitt(frame + checksum->from, checksum->at_byte - checksum->from);
        store(frame + checksum->at_byte, crc, sizeof(crc), RING_BIG_ENDIAN);
    }
}

static int row_time(struct csv_import *csv, const char *field, uint64_t *tai_ns, struct error *err)
{
    uint64_t utc_ns;
    if (csv->time_column == NO_COLUMN) {
        *tai_ns = csv->begin_tai_ns + csv->rows * csv->options->period_ns;
        return 0;
    }
    if (!csv_parse_time(field, &utc_ns)) {
        return error_set(err, -EINVAL,
                         "line %" PRIu64 ": expected a time in column '%s' (seconds since 1970, or 2020-03-09 "
                         "10:14:33), found '%.60s'",
                         csv->line, csv->options->time, field);
    }
    *tai_ns = utc_ns + (uint64_t)csv->utc_offset_s * CLOCK_NS_PER_S;
    if (*tai_ns < csv->before_ns) {
        return error_set(err, -EINVAL,
                         "line %" PRIu64 ": expected a time that is not before the last row's, found '%.60s'",
                         csv->line, field);
    }
    csv->before_ns = *tai_ns;
    return 0;
}

static int read_row(struct csv_import *csv, const char *text, size_t bytes, struct error *err)
{
    char field[CSV_FIELD_BYTES];
    const char *at = text;
    const struct source_plan *plan = csv->sink->plan;
    uint32_t room;
    uint64_t tai_ns = 0;
    uint8_t *frame = import_sink_slot(csv->sink, &room);
    uint64_t step = plan->sequence.step != 0 ? plan->sequence.step : 1;
    struct format_frame said = {.number = csv->rows * step};
    int code = csv->time_column == NO_COLUMN ? row_time(csv, "", &tai_ns, err) : 0;
    memset(frame, 0, plan->frame_bytes);
    for (uint32_t i = 0; code == 0 && i < csv->columns; i++) {
        if (!csv_next_field(&at, text + bytes, csv->options->delimiter, field)) {
            field[0] = 0; /* a short line: what is not there is empty */
        }
        if (i == csv->time_column) {
            code = row_time(csv, field, &tai_ns, err);
        } else if (csv->of_column[i] != NO_COLUMN) {
            code = put_value(csv, i, field, frame, err);
        }
    }
    if (code != 0) {
        return code;
    }
    put_rest(csv, said.number, frame);
    csv->rows++;
    return import_sink_commit(csv->sink, RING_REFUSALS, &said, plan->frame_bytes, tai_ns, err);
}

static int read_all(struct csv_import *csv, FILE *file, char *text, struct error *err)
{
    size_t bytes = 0;
    int code = check_ring(csv, err);
    int got = code == 0 ? read_line(file, text, &bytes, ++csv->line, err) : code;
    if (got == 0) {
        return error_set(err, -EINVAL, "expected a header line, found an empty file");
    }
    code = got < 0 ? got : read_header(csv, text, bytes, err);
    while (code == 0 && (got = read_line(file, text, &bytes, ++csv->line, err)) == 1) {
        code = bytes > 0 ? read_row(csv, text, bytes, err) : 0;
    }
    if (code == 0 && got < 0) {
        code = got;
    }
    return code == 0 && csv->rows == 0
               ? error_set(err, -EINVAL, "expected rows of numbers behind the header line, found none")
               : code;
}

int import_csv(FILE *file, const struct replay_csv_options *options, int32_t utc_offset_s, uint64_t begin_tai_ns,
               struct import_sink *sink, struct error *err)
{
    struct csv_import csv = {
        .options = options, .sink = sink, .utc_offset_s = utc_offset_s, .begin_tai_ns = begin_tai_ns};
    if ((options->time == NULL) == (options->period_ns == 0)) {
        return error_set(err, -EINVAL, "a CSV file needs either --time COLUMN or --period-ms N");
    }
    char *text = malloc(LINE_BYTES_MAX);
    if (text == NULL) {
        return error_set(err, -ENOMEM, "no memory for a line");
    }
    int code = read_all(&csv, file, text, err);
    free(text);
    return code;
}
