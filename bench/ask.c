/* Questions from their arguments to their results. All variants of one once, then all again, so that the ratios are
 * between figures that were taken under the same conditions. */
#include "bench/ask.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/gnuplot.h"
#include "bench/results.h"

static int list(const struct bench_part *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < parts[i].plan.row_count; k++) {
            const struct row *r = &parts[i].plan.rows[k];
            printf("%-12s %-24s %6u %s\n", r->name, r->variant, r->size_bytes, r->unit);
        }
    }
    return BENCH_DONE;
}

/* Measurements run in process groups of their own: the one that runs is given a moment, and nothing is left behind.
 */
static void on_signal(int number)
{
    (void)number;
    plan_stop();
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)plan_stop_fd();
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* How many measurements failed. */
static uint32_t run_part(struct bench_part *part, struct environment *environment, struct progress *progress)
{
    struct error err = {{0}};
    const char *name = part->question->name;
    struct plan *plan = &part->plan;
    uint32_t failed = 0;
    plan->question = name;
    plan->rounds = part->options.runs;
    plan->progress = progress;
    if (plan->needs_iceoryx && iceoryx_daemon_start(&err) != 0) {
        fprintf(stderr, "sluice-bench %s: %s\n", name, err.text);
        failed++;
    }
    if (part->question->warms_up && !plan_stopped()) {
        progress_round(progress, name, -1, plan->rounds);
        failed += plan_warm_up(plan);
        part->warmed = true;
    }
    for (uint32_t round = 0; round < plan->rounds && !plan_stopped(); round++) {
        progress_round(progress, name, (int)round, plan->rounds);
        environment_watch(environment);
        failed += plan_round(plan, round);
        part->rounds = round + 1;
    }
    iceoryx_daemon_stop();
    return failed;
}

static double expected_s(const struct bench_part *parts, uint32_t count)
{
    double s = 0;
    for (uint32_t i = 0; i < count; i++) {
        s += parts[i].options.runs * plan_expected_s(&parts[i].plan, false);
        s += parts[i].question->warms_up ? plan_expected_s(&parts[i].plan, true) : 0;
    }
    return s;
}

static uint32_t run(struct bench_part *parts, uint32_t count, struct environment *environment, bool is_all)
{
    struct progress progress;
    uint32_t failed = 0;
    progress_begin(&progress, is_all, expected_s(parts, count));
    for (uint32_t i = 0; i < count && !plan_stopped(); i++) {
        failed += run_part(&parts[i], environment, &progress);
    }
    progress_end(&progress);
    environment_finish(environment);
    return failed;
}

/* What only all rounds together say. */
static void finish(struct bench_part *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].question->finish != NULL && parts[i].rounds > 0) {
            parts[i].question->finish(&parts[i].plan);
        }
        rows_finish(parts[i].plan.rows, parts[i].plan.row_count);
    }
}

/* Is the question's own name in the list? Then all of it is asked. */
static bool is_named(const char *only, const char *name)
{
    size_t n = strlen(name);
    for (const char *word = only; word != NULL; word = strchr(word, ',')) {
        word += *word == ',';
        if (strncmp(word, name, n) == 0 && (word[n] == ',' || word[n] == 0)) {
            return true;
        }
    }
    return false;
}

/* Those questions of which there is something to ask; how many. */
static uint32_t fill(struct bench_part *parts, const struct bench_question *const *questions, uint32_t count,
                     const struct environment *environment, const struct bench_options *options)
{
    uint32_t filled = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct bench_part *part = &parts[filled];
        part->question = questions[i];
        part->options = *options;
        part->options.only = count > 1 && is_named(options->only, questions[i]->name) ? NULL : options->only;
        part->options.runs = options->runs > 0 ? options->runs : bench_runs_default(questions[i]);
        part->options.decisions = questions[i]->has_decisions ? options->decisions : 0;
        questions[i]->fill(&part->plan, environment, &part->options);
        filled += part->plan.case_count > 0;
    }
    return filled;
}

/* Whether there can be a picture is to be known before minutes are spent on what it is to show. */
static int check_plot(const char *name, const struct bench_options *o)
{
    struct error err = {{0}};
    int code = o->plot != NULL ? gnuplot_ready(o->plot, &err) : 0;
    if (code != 0) {
        fprintf(stderr, "sluice-bench %s: %s\n", name, err.text);
    }
    return code == 0 ? BENCH_DONE : code == -EINVAL ? BENCH_USAGE : BENCH_FAILED;
}

/* The same of where the recorder is to write. */
static int check_directory(const char *name, const struct bench_part *parts, uint32_t count)
{
    struct stat at;
    bool asked = false;
    for (uint32_t i = 0; i < count; i++) {
        asked = asked || parts[i].question->has_directory;
    }
    const char *directory = parts[0].options.directory;
    if (!asked || (stat(directory, &at) == 0 && S_ISDIR(at.st_mode) && access(directory, W_OK | X_OK) == 0)) {
        return BENCH_DONE;
    }
    fprintf(stderr, "sluice-bench %s: --directory: expected a directory to write to, found '%s': %s\n", name,
            directory, stat(directory, &at) == 0 && !S_ISDIR(at.st_mode) ? "no directory" : strerror(errno));
    return BENCH_USAGE;
}

/* Something is measured, if the signal did not come before. */
static bool has_rows(const struct bench_part *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < parts[i].plan.row_count; k++) {
            if (parts[i].plan.rows[k].runs > 0) {
                return true;
            }
        }
    }
    return false;
}

static int ask(struct bench_part *parts, uint32_t count, struct environment *environment, struct results *to)
{
    catch_signals();
    uint32_t failed = run(parts, count, environment, to->is_all);
    finish(parts, count);
    to->interrupted = plan_stopped();
    if (to->interrupted && !has_rows(parts, count)) {
        fprintf(stderr, "sluice-bench %s: interrupted, there is no result\n", to->name);
        return BENCH_FAILED;
    }
    int code = results_report(to, parts, count, environment);
    if (to->interrupted) {
        fprintf(stderr, "sluice-bench %s: interrupted, this is what was measured until then\n", to->name);
    }
    return failed == 0 && !to->interrupted ? code : BENCH_FAILED;
}

/* With all that has to be there before the first measurement. */
static int prepare(const struct bench_question *const *questions, uint32_t count, struct results *to)
{
    struct environment environment;
    struct error err = {{0}};
    struct bench_part *parts = calloc(count, sizeof(*parts));
    int code = BENCH_FAILED;
    if (parts == NULL || environment_init(&environment, &err) != 0) {
        fprintf(stderr, "sluice-bench %s: %s\n", to->name, parts == NULL ? "no memory" : err.text);
        goto done;
    }
    uint32_t filled = fill(parts, questions, count, &environment, &to->options);
    if (filled == 0) {
        fprintf(stderr, "sluice-bench %s: --only %s names nothing; see sluice-bench %s --list\n", to->name,
                to->options.only, to->name);
        code = BENCH_USAGE;
        goto done;
    }
    code = check_plot(to->name, &to->options);
    code = code == BENCH_DONE ? check_directory(to->name, parts, filled) : code;
    if (to->options.list || code != BENCH_DONE) {
        code = to->options.list ? list(parts, filled) : code;
        goto done;
    }
    code = ask(parts, filled, &environment, to);
done:
    free(parts);
    return code;
}

int bench_ask_all(const char *name, const struct bench_question *const *questions, uint32_t count, int argc,
                  char **argv)
{
    struct bench_abilities abilities = {.name = name};
    for (uint32_t i = 0; i < count; i++) {
        abilities.decisions = abilities.decisions || questions[i]->has_decisions;
        abilities.directory = abilities.directory || questions[i]->has_directory;
        abilities.plot = abilities.plot || (count == 1 && questions[i]->plot != NULL);
        abilities.runs = count == 1 ? bench_runs_default(questions[i]) : 0;
    }
    struct results to = {.name = name, .is_all = count > 1};
    int code = BENCH_DONE;
    if (!bench_options_parse(&abilities, argc, argv, &to.options, &code)) {
        return code;
    }
    code = results_prepare(&to, questions, count, argc, argv);
    if (code == BENCH_DONE) {
        code = to.options.from != NULL ? results_from(&to) : prepare(questions, count, &to);
    }
    results_end(&to);
    return code;
}

int bench_ask(const struct bench_question *question, int argc, char **argv)
{
    return bench_ask_all(question->name, &question, 1, argc, argv);
}
