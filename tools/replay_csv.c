/* Rows of numbers as samples: a header line, then one row per moment; each mapped channel gets one sample a row. A
 * field that is empty or no number is NaN, which is BAD. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/clock.h"
#include "tools/csv_line.h"
#include "tools/replay.h"

#define EPOCH_NS     (UINT64_C(1000000000) * CLOCK_NS_PER_S) /* row 0 without a time of its own */
#define IDLE_PER_ROW 16u                                     /* looks at the clock between two rows */

struct csv {
    const struct replay_csv_options *options;
    const struct control_table *table;
    struct replay_result *result;
    int of_column[REPLAY_COLUMNS_MAX]; /* channel, -1: none, TIME_COLUMN */
    uint32_t columns;
    uint64_t rows;
    uint64_t before_ns;
};

#define NO_COLUMN   (-1)
#define TIME_COLUMN (-2)

static const char *line_end(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline != NULL ? newline : end;
}

static int find_channel(const struct control_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->channels; i++) {
        if (strcmp(table->channel[i].decode.name, name) == 0) {
            return (int)i;
        }
    }
    return NO_COLUMN;
}

static int channel_of(const struct csv *csv, const char *column)
{
    const struct replay_csv_options *options = csv->options;
    if (options->time != NULL && strcmp(options->time, column) == 0) {
        return TIME_COLUMN;
    }
    for (uint32_t i = 0; i < options->mappings; i++) {
        if (strcmp(options->mapping[i].column, column) == 0) {
            return find_channel(csv->table, options->mapping[i].channel);
        }
    }
    return find_channel(csv->table, column);
}

static bool has(const struct csv *csv, int what)
{
    for (uint32_t i = 0; i < csv->columns; i++) {
        if (csv->of_column[i] == what) {
            return true;
        }
    }
    return false;
}

static int check_mappings(const struct csv *csv, const char *header, struct error *err)
{
    const struct replay_csv_options *options = csv->options;
    if (options->time != NULL && !has(csv, TIME_COLUMN)) {
        return error_set(err, -EINVAL, "expected the column '%s' for the time, found: %.200s", options->time,
                         header);
    }
    for (uint32_t i = 0; i < options->mappings; i++) {
        int channel = find_channel(csv->table, options->mapping[i].channel);
        if (channel == NO_COLUMN) {
            return error_set(err, -EINVAL, "--column %s=%s: the rules know no channel of that name",
                             options->mapping[i].column, options->mapping[i].channel);
        }
        if (!has(csv, channel)) {
            return error_set(err, -EINVAL, "--column %s=%s: there is no such column; found: %.200s",
                             options->mapping[i].column, options->mapping[i].channel, header);
        }
    }
    for (uint32_t i = 0; i < csv->table->rules; i++) {
        const struct control_rule *rule = &csv->table->rule[i];
        bool leaf = rule->form != FORM_VOTE && rule->form != FORM_NOT;
        bool missing = leaf && (!has(csv, (int)rule->channel) ||
                                (rule->form == FORM_DEVIATION && !has(csv, (int)rule->other)));
        if (missing) {
            uint32_t channel = has(csv, (int)rule->channel) ? rule->other : rule->channel;
            return error_set(err, -EINVAL,
                             "rule %s looks at channel %s, for which there is no column; say which one it is with "
                             "--column COLUMN=%s (found: %.160s)",
                             rule->name, csv->table->channel[channel].decode.name,
                             csv->table->channel[channel].decode.name, header);
        }
    }
    return 0;
}

static int read_header(struct csv *csv, const char *at, const char *end, struct error *err)
{
    char field[CSV_FIELD_BYTES];
    char header[256];
    snprintf(header, sizeof(header), "%.*s", (int)(end - at < 250 ? end - at : 250), at);
    header[strcspn(header, "\r")] = 0;
    while (csv_next_field(&at, end, csv->options->delimiter, field)) {
        if (csv->columns == REPLAY_COLUMNS_MAX) {
            return error_set(err, -EINVAL, "expected at most %u columns in the header line", REPLAY_COLUMNS_MAX);
        }
        int channel = field[0] != 0 ? channel_of(csv, field) : NO_COLUMN;
        if (channel >= 0 && has(csv, channel)) {
            return error_set(err, -EINVAL, "two columns are channel %s, the second one is '%s'",
                             csv->table->channel[channel].decode.name, field);
        }
        csv->of_column[csv->columns++] = channel;
    }
    return check_mappings(csv, header, err);
}

static double parse_value(struct csv *csv, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != 0) {
        csv->result->bad_values++;
        return (double)NAN;
    }
    return value;
}

static void take_value(struct csv *csv, int channel, double value, uint64_t tai_ns, bool old)
{
    struct engine_sample *sample = &csv->result->run.inputs.channel[channel];
    uint64_t before_ns = sample->tai_ns;
    *sample = (struct engine_sample){.value = value,
                                     .tai_ns = old ? before_ns : tai_ns,
                                     .samples = sample->samples + 1,
                                     .source_sequence = csv->rows,
                                     .position = csv->rows,
                                     .old = old};
}

static int row_time(const struct csv *csv, const char *at, const char *end, uint64_t *tai_ns, struct error *err)
{
    char field[CSV_FIELD_BYTES];
    *tai_ns = EPOCH_NS + csv->rows * csv->options->period_ns;
    for (uint32_t i = 0; csv->options->time != NULL && i < csv->columns; i++) {
        if (!csv_next_field(&at, end, csv->options->delimiter, field)) {
            field[0] = 0;
        }
        if (csv->of_column[i] == TIME_COLUMN && !csv_parse_time(field, tai_ns)) {
            return error_set(err, -EINVAL,
                             "line %" PRIu64 ": expected a time in column '%s' (seconds since 1970, or "
                             "2020-03-09 10:14:33), found '%.60s'",
                             csv->rows + 2, csv->options->time, field);
        }
    }
    return 0;
}

static int read_row(struct csv *csv, const char *at, const char *end, struct error *err)
{
    struct replay_run *run = &csv->result->run;
    char field[CSV_FIELD_BYTES];
    uint64_t tai_ns;
    int code = row_time(csv, at, end, &tai_ns, err);
    if (code != 0) {
        return code;
    }
    bool old = tai_ns < csv->before_ns;
    if (!old) {
        uint64_t every_ns = (tai_ns - csv->before_ns) / IDLE_PER_ROW;
        replay_run_idle(run, tai_ns, every_ns < CLOCK_NS_PER_MS ? CLOCK_NS_PER_MS : every_ns);
        csv->before_ns = tai_ns;
        run->inputs.now_ns = tai_ns;
    }
    for (uint32_t i = 0; i < csv->columns; i++) {
        if (!csv_next_field(&at, end, csv->options->delimiter, field)) {
            field[0] = 0; /* a short line: what is not there is no number */
        }
        if (csv->of_column[i] >= 0) {
            take_value(csv, csv->of_column[i], parse_value(csv, field), tai_ns, old);
        }
    }
    run->inputs.command = COMMAND_NONE;
    replay_run_step(run);
    csv->rows++;
    return 0;
}

int replay_csv(const char *text, size_t bytes, const struct replay_csv_options *options,
               const struct control_table *rules, struct replay_result *result, struct error *err)
{
    static struct control_table table; /* without feedback: the recorded valves followed other decisions */
    struct csv csv = {.options = options, .table = &table, .result = result};
    const char *end = text + bytes;
    const char *at = text;
    bool arms = result->run.arms;
    table = *rules;
    for (uint32_t i = 0; i < table.outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        table.output[i].feedback = (struct control_feedback){.form = FEEDBACK_NONE};
    }
    replay_run_start(&result->run, &table);
    result->run.arms = arms;
    const char *stop = line_end(at, end);
    int code = read_header(&csv, at, stop, err);
    for (at = stop + 1; code == 0 && at < end; at = stop + 1) {
        stop = line_end(at, end);
        if (stop > at && !(stop == at + 1 && *at == '\r')) {
            code = read_row(&csv, at, stop, err);
        }
    }
    result->frames = csv.rows;
    result->run.table = rules;
    if (code == 0 && csv.rows == 0) {
        code = error_set(err, -EINVAL, "expected rows of numbers behind the header line, found none");
    }
    if (code == 0 && result->bad_values > 0) {
        replay_note(result, "%" PRIu64 " fields were empty or no numbers: BAD samples", result->bad_values);
    }
    return code;
}
