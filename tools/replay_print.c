#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/explain.h"
#include "ring/clock.h"
#include "tools/replay.h"

/* The wall clock's time, taken as it stands: what TAI - UTC was then is in trip.json. */
void replay_clock_text(uint64_t tai_ns, char text[REPLAY_CLOCK_BYTES])
{
    struct tm tm;
    char date[24] = "?";
    time_t seconds = (time_t)(tai_ns / CLOCK_NS_PER_S);
    if (gmtime_r(&seconds, &tm) != NULL) {
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
    }
    snprintf(text, REPLAY_CLOCK_BYTES, "%s.%06u", date, (unsigned)(tai_ns % CLOCK_NS_PER_S / 1000));
}

static double percent_of(const struct replay_margin *margin)
{
    return margin->limit != 0.0 ? 100.0 * margin->margin / fabs(margin->limit) : (double)NAN;
}

static uint64_t alarms_of(const struct replay_run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->table->rules && i < CONTROL_RULES_MAX; i++) {
        sum += run->alarms[i];
    }
    return sum;
}

/* The rule that came nearest, in percent of its limit; -1: none is known. */
static int nearest(const struct replay_run *run)
{
    int found = -1;
    for (uint32_t i = 0; i < run->table->rules && i < CONTROL_RULES_MAX; i++) {
        const struct replay_margin *margin = &run->margin[i];
        uint32_t form = run->table->rule[i].form;
        bool counts = margin->known && margin->limit != 0.0 && form != FORM_VOTE &&
                      run->table->rule[i].role != ROLE_CONDITION;
        if (counts && (found < 0 || percent_of(margin) < percent_of(&run->margin[found]))) {
            found = (int)i;
        }
    }
    return found;
}

static void print_verdict(const struct replay_result *result)
{
    if (!result->exact) {
        printf("  %" PRIu64 " %s, %" PRIu64 " steps of the engine\n", result->frames,
               result->kind == REPLAY_CSV ? "rows" : "frames", result->run.steps);
    } else if (result->identical) {
        printf("  bit-identical: %" PRIu64 " steps on %" PRIu64
               " frames decided as the live interlock did, %" PRIu64 " checkpoints met\n",
               result->compared, result->frames, result->checkpoints);
    } else {
        printf("  DIFFERENT from the live interlock, first at entry %" PRIu64 " of the journal: %s\n",
               result->different_at, result->different);
    }
}

static void print_trips(const struct replay_run *run)
{
    char text[REPLAY_TEXT_BYTES];
    char when[REPLAY_CLOCK_BYTES];
    for (uint32_t i = 0; i < run->trips_told; i++) {
        const struct replay_trip *trip = &run->trip[i];
        replay_clock_text(trip->tai_ns, when);
        for (uint32_t c = 0; c < trip->causes; c++) {
            control_explain(run->table, &trip->cause[c], text, sizeof(text));
            printf("  %s %s  %s\n", c == 0 ? "trip" : "    ", c == 0 ? when : "                    and   ", text);
        }
    }
    if (run->trips > run->trips_told) {
        printf("  and %" PRIu64 " trips more\n", run->trips - run->trips_told);
    }
    if (run->trips == 0) {
        printf("  no trip\n");
    }
    for (uint32_t i = 0; i < run->table->rules && i < CONTROL_RULES_MAX; i++) {
        if (run->alarms[i] > 0) {
            printf("  alarm %s: %" PRIu64 " times\n", run->table->rule[i].name, run->alarms[i]);
        }
    }
}

static void print_margins(const struct replay_run *run)
{
    char unit[RING_UNIT_BYTES + 4];
    char when[REPLAY_CLOCK_BYTES];
    for (uint32_t i = 0; i < run->table->rules && i < CONTROL_RULES_MAX; i++) {
        const struct replay_margin *margin = &run->margin[i];
        if (!margin->known) {
            continue;
        }
        replay_rule_unit(run->table, i, unit);
        printf("  margin %-24s %12.6g %-8s", run->table->rule[i].name, margin->margin, unit);
        if (margin->limit != 0.0) {
            printf(" %7.2f %%", percent_of(margin));
        } else {
            printf(" %9s", "");
        }
        replay_clock_text(margin->tai_ns, when);
        printf("  nearest %.6g to %.6g at %s\n", margin->measure, margin->limit, when);
    }
}

void replay_print(const struct replay_result *result)
{
    printf("%s\n", result->path);
    print_verdict(result);
    print_trips(&result->run);
    print_margins(&result->run);
    for (uint32_t i = 0; i < result->notes; i++) {
        printf("  note: %s\n", result->note[i]);
    }
}

/* What the first trip was put down to: the rule, else the kind of cause; "-": there was none. */
static const char *first_out(const struct replay_run *run)
{
    if (run->trips_told == 0 || run->trip[0].causes == 0) {
        return "-";
    }
    const struct engine_cause *cause = &run->trip[0].cause[0];
    return cause->rule < run->table->rules ? run->table->rule[cause->rule].name : engine_cause_name(cause->kind);
}

void replay_print_row(const struct replay_result *result, bool header)
{
    const struct replay_run *run = &result->run;
    char unit[RING_UNIT_BYTES + 4] = "";
    if (header) {
        printf("%-40s %10s %6s %6s  %-24s %-24s %s\n", "recording", "frames", "trips", "alarms", "first out",
               "nearest rule", "margin");
    }
    const char *name = result->path;
    size_t n = strlen(name);
    printf("%-40s %10" PRIu64 " %6" PRIu64 " %6" PRIu64 "  ", n > 40 ? name + n - 40 : name, result->frames,
           run->trips, alarms_of(run));
    printf("%-24s ", first_out(run));
    int rule = nearest(run);
    if (rule < 0) {
        printf("%-24s", "-");
    } else {
        replay_rule_unit(run->table, (uint32_t)rule, unit);
        printf("%-24s %.4g %s (%.2f %%)", run->table->rule[rule].name, run->margin[rule].margin, unit,
               percent_of(&run->margin[rule]));
    }
    printf("%s\n", !result->exact ? "" : result->identical ? "  bit-identical" : "  DIFFERENT");
}

/* JSON knows no NaN. */
static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *name_or_null(const char *name)
{
    return name != NULL ? json_string(name) : json_null();
}

static json_t *make_trips(const struct replay_run *run)
{
    const struct control_table *table = run->table;
    char text[REPLAY_TEXT_BYTES];
    json_t *list = json_array();
    for (uint32_t i = 0; i < run->trips_told; i++) {
        const struct replay_trip *trip = &run->trip[i];
        json_t *causes = json_array();
        for (uint32_t c = 0; c < trip->causes; c++) {
            const struct engine_cause *cause = &trip->cause[c];
            control_explain(table, cause, text, sizeof(text));
            json_array_append_new(
                causes,
                json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:I}", "text", text, "kind",
                          engine_cause_name(cause->kind), "rule",
                          name_or_null(cause->rule < table->rules ? table->rule[cause->rule].name : NULL),
                          "channel",
                          name_or_null(cause->channel < table->channels ? table->channel[cause->channel].decode.name
                                                                        : NULL),
                          "value", real_or_null(cause->value), "limit", real_or_null(cause->limit),
                          "source_sequence", (json_int_t)cause->source_sequence));
        }
        json_array_append_new(list,
                              json_pack("{s:I, s:o}", "tai_ns", (json_int_t)trip->tai_ns, "first_out", causes));
    }
    return list;
}

static json_t *make_alarms(const struct replay_run *run)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < run->table->rules && i < CONTROL_RULES_MAX; i++) {
        if (run->table->rule[i].role == ROLE_ALARM) {
            json_array_append_new(list, json_pack("{s:s, s:I}", "rule", run->table->rule[i].name, "count",
                                                  (json_int_t)run->alarms[i]));
        }
    }
    return list;
}

static json_t *make_margins(const struct replay_run *run)
{
    char unit[RING_UNIT_BYTES + 4];
    json_t *list = json_array();
    for (uint32_t i = 0; i < run->table->rules && i < CONTROL_RULES_MAX; i++) {
        const struct replay_margin *margin = &run->margin[i];
        if (margin->known) {
            replay_rule_unit(run->table, i, unit);
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:I}", "rule", run->table->rule[i].name, "unit",
                                unit, "margin", real_or_null(margin->margin), "margin_percent",
                                real_or_null(percent_of(margin)), "measure", real_or_null(margin->measure), "limit",
                                real_or_null(margin->limit), "tai_ns", (json_int_t)margin->tai_ns));
        }
    }
    return list;
}

static json_t *make_notes(const struct replay_result *result)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < result->notes; i++) {
        json_array_append_new(list, json_string(result->note[i]));
    }
    return list;
}

static const char *kind_name(enum replay_kind kind)
{
    return kind == REPLAY_CSV ? "csv" : kind == REPLAY_RECORDING ? "recording" : "trip";
}

void *replay_json(const struct replay_result *result)
{
    const struct replay_run *run = &result->run;
    json_t *verdict = json_null();
    if (result->exact) {
        verdict = json_pack("{s:b, s:I, s:I, s:I, s:o, s:o}", "identical", (int)result->identical, "compared_steps",
                            (json_int_t)result->compared, "not_compared_steps", (json_int_t)result->not_compared,
                            "checkpoints", (json_int_t)result->checkpoints, "first_difference_entry",
                            result->identical ? json_null() : json_integer((json_int_t)result->different_at),
                            "first_difference", name_or_null(result->identical ? NULL : result->different));
    }
    return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:o, s:I, s:o, s:o, s:o}", "recording", result->path,
                     "kind", kind_name(result->kind), "live", verdict,
                     result->kind == REPLAY_CSV ? "rows" : "frames", (json_int_t)result->frames, "steps",
                     (json_int_t)run->steps, "live_trips", (json_int_t)result->live_trips, "trips",
                     (json_int_t)run->trips, "trip", make_trips(run), "alarms", (json_int_t)alarms_of(run), "alarm",
                     make_alarms(run), "margins", make_margins(run), "notes", make_notes(result));
}
