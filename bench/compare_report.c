#include "bench/compare_report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/document_get.h"

const char *compare_question_of(const struct json_t *document, const struct json_t *row)
{
    return get_text(row, "question", get_text(document, "bench", ""));
}

uint32_t compare_rows_of(const struct json_t *document, const char *question)
{
    const json_t *row;
    size_t i;
    uint32_t found = 0;
    json_array_foreach(json_object_get(document, "rows"), i, row)
    {
        found += question == NULL || strcmp(compare_question_of(document, row), question) == 0;
    }
    return found;
}

static struct compare_side side_of(const json_t *row)
{
    const json_t *stalled = json_object_get(row, "stalled");
    return (struct compare_side){.min = get_number(row, "min"),
                                 .median = get_number(row, "median"),
                                 .max = get_number(row, "max"),
                                 /* the floor's own is 1 for ever */
                                 .floor_ratio = get_true(row, "is_floor") ? NAN : get_number(row, "floor_ratio"),
                                 .runs = (uint32_t)json_integer_value(json_object_get(row, "runs")),
                                 .stalled = json_is_true(json_object_get(stalled, "decide")),
                                 .capped = json_is_true(json_object_get(row, "capped")),
                                 .unit = get_text(row, "unit", "")};
}

/* The row of the same question, name, variant and size. */
static const json_t *find(const json_t *document, const json_t *row, const char *question)
{
    const json_t *other;
    size_t i;
    json_array_foreach(json_object_get(document, "rows"), i, other)
    {
        if (strcmp(get_text(other, "variant", ""), get_text(row, "variant", "")) == 0 &&
            strcmp(get_text(other, "name", ""), get_text(row, "name", "")) == 0 &&
            json_integer_value(json_object_get(other, "size_bytes")) ==
                json_integer_value(json_object_get(row, "size_bytes")) &&
            strcmp(compare_question_of(document, other), question) == 0) {
            return other;
        }
    }
    return NULL;
}

static void add_difference(struct comparison *c, const char *what, const json_t *old, const json_t *now)
{
    char *before = old != NULL ? json_dumps(old, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    char *after = now != NULL ? json_dumps(now, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (c->differences < COMPARE_DIFFERENCES_MAX) {
        snprintf(c->differs[c->differences++], sizeof(c->differs[0]), "%.60s: %.80s before, %.80s now", what,
                 before != NULL ? before : "not said", after != NULL ? after : "not said");
    }
    free(before);
    free(after);
}

static void compare_keys(struct comparison *c, const char *what, const json_t *old, const json_t *now,
                         const char *const *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const json_t *before = json_object_get(old, keys[i]);
        const json_t *after = json_object_get(now, keys[i]);
        bool same =
            (before == NULL && after == NULL) ||
            (json_is_number(before) && json_is_number(after) ? json_number_value(before) == json_number_value(after)
                                                             : json_equal(before, after) != 0);
        if (!same) {
            char name[64];
            snprintf(name, sizeof(name), "%.20s%s%s", what, what[0] != 0 ? " " : "", keys[i]);
            add_difference(c, name, before, after);
        }
    }
}

static void compare_machines(struct comparison *c, const json_t *old, const json_t *now)
{
    static const char *const keys[] = {"machine",
                                       "cpus",
                                       "cores",
                                       "siblings",
                                       "kernel",
                                       "kernel_build",
                                       "preemption",
                                       "kernel_options",
                                       "governor",
                                       "clocksource",
                                       "page_bytes",
                                       "transparent_huge_pages",
                                       "sched_rt_runtime_us",
                                       "vulnerabilities"};
    compare_keys(c, "", json_object_get(old, "environment"), json_object_get(now, "environment"), keys,
                 sizeof(keys) / sizeof(keys[0]));
}

static const json_t *find_part(const json_t *document, const char *name)
{
    const json_t *part;
    size_t i;
    json_array_foreach(json_object_get(document, "questions"), i, part)
    {
        if (strcmp(get_text(part, "name", ""), name) == 0) {
            return part;
        }
    }
    return NULL;
}

/* Whether it was asked whole or in part decides nothing about a row. */
static void compare_parameters(struct comparison *c, const json_t *old, const json_t *now)
{
    static const char *const keys[] = {"seconds", "runs", "decisions", "warm_up_rounds", "real_time"};
    const json_t *part;
    size_t i;
    json_array_foreach(json_object_get(now, "questions"), i, part)
    {
        const char *name = get_text(part, "name", "");
        if (compare_rows_of(old, name) > 0) {
            compare_keys(c, name, find_part(old, name), part, keys, sizeof(keys) / sizeof(keys[0]));
        }
    }
}

static void judge(struct comparison *c, const json_t *row, const json_t *before)
{
    struct compare_entry *entry = &c->entry[c->entries++];
    entry->row = row;
    entry->sides = (struct compare_row){.name = get_text(row, "name", ""),
                                        .kind = get_text(row, "kind", get_text(before, "kind", "ours")),
                                        .old = side_of(before),
                                        .now = side_of(row)};
    entry->judgement = compare_judge(&entry->sides);
    c->counts[entry->judgement.verdict]++;
}

static void compare_rows(struct comparison *c, const json_t *old, const json_t *now)
{
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(now, "rows"), i, row)
    {
        const char *question = compare_question_of(now, row);
        const json_t *before = find(old, row, question);
        if (before != NULL && c->entries < DOCUMENT_ROWS_MAX) {
            judge(c, row, before);
        } else {
            c->added += compare_rows_of(old, question) > 0;
        }
    }
    json_array_foreach(json_object_get(old, "rows"), i, row)
    {
        const char *question = compare_question_of(old, row);
        c->gone += compare_rows_of(now, question) > 0 && find(now, row, question) == NULL;
    }
}

struct comparison *compare_documents(const struct json_t *old, const struct json_t *now, const char *path,
                                     struct error *err)
{
    struct comparison *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        error_set(err, -ENOMEM, "no memory for a comparison");
        return NULL;
    }
    c->path = path;
    c->started = get_text(old, "started", "a time it does not say");
    compare_rows(c, old, now);
    if (c->entries == 0) {
        error_set(err, -ENODATA,
                  "--compare %.200s: expected rows of '%s', found none of the same name, variant and size; name a "
                  "result of the same question",
                  path, get_text(now, "bench", ""));
        free(c);
        return NULL;
    }
    compare_machines(c, old, now);
    compare_parameters(c, old, now);
    return c;
}

static void print_entry(const struct compare_entry *e, const char *word, FILE *to)
{
    const struct compare_side *old = &e->sides.old;
    const struct compare_side *now = &e->sides.now;
    double whole = old->median != 0 ? 100 / fabs(old->median) : NAN;
    fprintf(to, "%-10s %s %s %lld: %.4g -> %.4g %s", word, e->sides.name, get_text(e->row, "variant", ""),
            (long long)json_integer_value(json_object_get(e->row, "size_bytes")), old->median, now->median,
            now->unit);
    if (isfinite(whole)) {
        fprintf(to, " (%+.1f %%, noise %.1f %%)", e->judgement.change * whole, e->judgement.noise * whole);
    }
    if (isfinite(old->floor_ratio) && isfinite(now->floor_ratio)) {
        fprintf(to, ", /floor %.3g -> %.3g", old->floor_ratio, now->floor_ratio);
    }
    fprintf(to, e->judgement.reason != NULL ? ": %s\n" : "\n", e->judgement.reason);
}

static void print_verdict(const struct comparison *c, enum compare_verdict verdict, const char *word, FILE *to)
{
    for (uint32_t i = 0; i < c->entries; i++) {
        const struct compare_judgement *j = &c->entry[i].judgement;
        if (j->verdict == verdict && (j->beyond || verdict != COMPARE_NOT_JUDGED)) {
            print_entry(&c->entry[i], word, to);
        }
    }
}

void compare_print(const struct comparison *c, FILE *to)
{
    fprintf(
        to,
        "\ncompared with %s, of %s\nworse or better: the medians differ by more than half of min .. max, of the "
        "two the larger, and by more than %.0f %%; where there is a floor, the ratio to it too\n",
        c->path, c->started, 100 * COMPARE_SHARE);
    for (uint32_t i = 0; i < c->differences; i++) {
        fprintf(to, "NOT THE SAME: %s\n", c->differs[i]);
    }
    print_verdict(c, COMPARE_WORSE, "WORSE", to);
    print_verdict(c, COMPARE_BETTER, "better", to);
    print_verdict(c, COMPARE_NOT_JUDGED, "not judged", to);
    fprintf(to, "%u rows: %u worse, %u better, %u the same, %u not judged; %u are new, %u are gone\n", c->entries,
            c->counts[COMPARE_WORSE], c->counts[COMPARE_BETTER], c->counts[COMPARE_SAME],
            c->counts[COMPARE_NOT_JUDGED], c->added, c->gone);
}
