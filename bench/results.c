#include "bench/results.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "bench/compare_report.h"
#include "bench/document_get.h"
#include "bench/hgrm.h"
#include "bench/html.h"

static int say(const struct results *r, const struct error *err, int code)
{
    fprintf(stderr, "sluice-bench %s: %s\n", r->name, err->text);
    return code;
}

static void add(struct results *r, size_t *used, char c)
{
    if (*used + 1 < sizeof(r->command)) {
        r->command[(*used)++] = isprint((unsigned char)c) || (unsigned char)c >= 0x80 ? c : '?';
        r->command[*used] = 0;
    }
}

/* One word, in quotes where a shell would not leave it as it is. */
static void add_word(struct results *r, size_t *used, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./,@:+";
    bool quote = word[strspn(word, plain)] != 0 || word[0] == 0;
    add(r, used, ' ');
    if (quote) {
        add(r, used, '\'');
    }
    for (; *word != 0; word++) {
        for (const char *at = quote && *word == '\'' ? "'\\''" : (const char[2]){*word, 0}; *at != 0; at++) {
            add(r, used, *at);
        }
    }
    if (quote) {
        add(r, used, '\'');
    }
}

static void note_command(struct results *r, int argc, char **argv)
{
    time_t now = time(NULL);
    struct tm utc;
    size_t used = (size_t)snprintf(r->command, sizeof(r->command), "sluice-bench");
    for (int i = 0; i < argc; i++) {
        add_word(r, &used, argv[i]);
    }
    strftime(r->started, sizeof(r->started), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}

static int read_old(struct results *r, const struct bench_question *const *questions, uint32_t count)
{
    struct error err = {{0}};
    uint32_t rows = 0;
    r->old = document_read(r->options.compare, "--compare", &err);
    if (r->old == NULL) {
        return say(r, &err, BENCH_USAGE);
    }
    for (uint32_t i = 0; i < count; i++) {
        rows += compare_rows_of(r->old, questions[i]->name);
    }
    if (rows == 0) {
        error_set(&err, 0,
                  "--compare %.200s: expected rows of '%s', found a result of '%s' with none; name one of the "
                  "same question",
                  r->options.compare, r->name, get_text(r->old, "bench", ""));
        return say(r, &err, BENCH_USAGE);
    }
    return BENCH_DONE;
}

static int read_from(struct results *r)
{
    struct error err = {{0}};
    r->from = document_read(r->options.from, "--from", &err);
    if (r->from == NULL) {
        return say(r, &err, BENCH_USAGE);
    }
    if (!r->is_all && strcmp(get_text(r->from, "bench", ""), r->name) != 0) {
        error_set(&err, 0,
                  "--from %.200s: expected a result of '%s', found one of '%s'; ask sluice-bench %s, or all",
                  r->options.from, r->name, get_text(r->from, "bench", ""), get_text(r->from, "bench", ""));
        return say(r, &err, BENCH_USAGE);
    }
    return BENCH_DONE;
}

int results_prepare(struct results *r, const struct bench_question *const *questions, uint32_t count, int argc,
                    char **argv)
{
    struct error err = {{0}};
    const struct bench_options *o = &r->options;
    note_command(r, argc, argv);
    if ((o->html != NULL && html_ready(o->html, &err) != 0) ||
        (o->hgrm != NULL && bench_hgrm_ready(o->hgrm, &err) != 0)) {
        return say(r, &err, BENCH_USAGE);
    }
    int code = o->from != NULL ? read_from(r) : BENCH_DONE;
    return code == BENCH_DONE && o->compare != NULL ? read_old(r, questions, count) : code;
}

void results_end(struct results *r)
{
    document_drop(r->old);
    document_drop(r->from);
}

static bool is_json_only(const struct results *r)
{
    return r->options.json != NULL && strcmp(r->options.json, "-") == 0;
}

/* Into files, and beside the older one. */
static int give_out(const struct results *r, const struct json_t *document)
{
    struct error err = {{0}};
    const struct bench_options *o = &r->options;
    int code = BENCH_DONE;
    struct comparison *comparison = NULL;
    if (r->old != NULL) {
        comparison = compare_documents(r->old, document, o->compare, &err);
        code = comparison == NULL ? say(r, &err, BENCH_USAGE) : code;
    }
    if (o->json != NULL && document_write(document, o->json, &err) != 0) {
        code = say(r, &err, BENCH_FAILED);
    }
    if (o->html != NULL && html_write(document, comparison, o->html, &err) != 0) {
        code = say(r, &err, BENCH_FAILED);
    }
    if (comparison != NULL) {
        compare_print(comparison, is_json_only(r) ? stderr : stdout);
        code = code == BENCH_DONE && comparison->counts[COMPARE_WORSE] > 0 ? BENCH_FAILED : code;
    }
    free(comparison);
    return code;
}

static void print_tables(const struct results *r, const struct bench_part *parts, uint32_t count,
                         const struct environment *environment)
{
    if (r->is_all) {
        report_environment(environment, stdout);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct bench_question *q = parts[i].question;
        const struct plan *plan = &parts[i].plan;
        struct report report = {.environment = environment,
                                .rows = plan->rows,
                                .row_count = plan->row_count,
                                .question = q->name,
                                .ends = q->ends,
                                .plot = parts[i].options.plot,
                                .seconds = parts[i].options.seconds,
                                .real_time = plan->real_time,
                                .is_part = r->is_all};
        if (r->is_all) {
            printf("\n==== %s ====\n", q->name);
        }
        q->table(plan, &report, stdout);
        printf(parts[i].warmed ? "before the rounds one to warm up, which does not count\n" : "");
    }
}

/* The picture of gnuplot's, of one question only. */
static int draw_plot(const struct results *r, const struct bench_part *part, const struct environment *environment)
{
    struct error err = {{0}};
    struct report report = {.environment = environment,
                            .rows = part->plan.rows,
                            .row_count = part->plan.row_count,
                            .question = part->question->name,
                            .plot = part->options.plot,
                            .seconds = part->options.seconds};
    return part->question->plot(&part->plan, &report, &err) == 0 ? BENCH_DONE : say(r, &err, BENCH_FAILED);
}

int results_report(const struct results *r, const struct bench_part *parts, uint32_t count,
                   const struct environment *environment)
{
    struct error err = {{0}};
    struct document_about about = {.bench = r->name,
                                   .command = r->command,
                                   .started = r->started,
                                   .environment = environment,
                                   .interrupted = r->interrupted};
    if (!is_json_only(r)) {
        print_tables(r, parts, count, environment);
    }
    struct json_t *document = document_make(&about, parts, count);
    int code = give_out(r, document);
    document_drop(document);
    if (r->options.hgrm != NULL && bench_hgrm_write(parts, count, r->options.hgrm, &err) < 0) {
        code = say(r, &err, BENCH_FAILED);
    }
    if (r->options.plot != NULL && draw_plot(r, parts, environment) != BENCH_DONE) {
        code = BENCH_FAILED;
    }
    return code;
}

int results_from(const struct results *r)
{
    return give_out(r, r->from);
}
