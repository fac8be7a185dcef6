/* A question of the bench from its arguments to its result. All variants once, then all again, so that the ratios
 * are between figures that were taken under the same conditions. */
#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/gnuplot.h"
#include "bench/tsc.h"

#define SECONDS_DEFAULT 0.3
#define SECONDS_MIN     0.01
#define SECONDS_MAX     60.0
#define RUNS_DEFAULT    5u
#define DECISIONS_MAX   1000000000u

static uint32_t runs_default(const struct bench_question *question)
{
    return question->runs != 0 ? question->runs : RUNS_DEFAULT;
}

static int usage(const struct bench_question *question, FILE *to, int code)
{
    fprintf(to,
            "usage: sluice-bench %s [--seconds N] [--runs N]%s [--json FILE|-]%s [--only NAME,..] [--list]\n"
            "  --seconds N    of each measurement, %g to %g; default %g\n"
            "  --runs N       rounds, 1 to %u; default %u. The value is the median\n",
            question->name, question->has_decisions ? " [--decisions N]" : "",
            question->plot != NULL ? " [--plot FILE.png]" : "", SECONDS_MIN, SECONDS_MAX, SECONDS_DEFAULT,
            ROW_RUNS_MAX, runs_default(question));
    if (question->has_decisions) {
        fprintf(to, "  --decisions N  of each variant, all rounds together, 1 to %u, however long they take\n",
                DECISIONS_MAX);
    }
    if (question->plot != NULL) {
        fprintf(to, "  --plot FILE    draws the result there, as PNG, by gnuplot\n");
    }
    fprintf(to, "  --json FILE    writes the result there too; -: to standard output, and no table\n"
                "  --only NAME,.. only rows of this name, variant or implementation; see --list\n"
                "  --list         names and variants; measures nothing\n");
    return code;
}

/* False: said what is wrong. */
static bool parse_seconds(const char *question, const char *text, double *seconds)
{
    char *end;
    *seconds = strtod(text, &end);
    if (end == text || *end != 0 || !(*seconds >= SECONDS_MIN && *seconds <= SECONDS_MAX)) {
        fprintf(stderr, "sluice-bench %s: --seconds expects %g to %g, found '%s'\n", question, SECONDS_MIN,
                SECONDS_MAX, text);
        return false;
    }
    return true;
}

static bool parse_whole(const char *question, const char *option, const char *text, unsigned long most,
                        unsigned long *number)
{
    char *end;
    errno = 0;
    *number = strtoul(text, &end, 10);
    if (end == text || *end != 0 || text[0] == '-' || errno != 0 || *number < 1 || *number > most) {
        fprintf(stderr, "sluice-bench %s: --%s expects 1 to %lu, found '%s'\n", question, option, most, text);
        return false;
    }
    return true;
}

static bool parse_option(const struct bench_question *question, int option, struct bench_options *o)
{
    unsigned long number = 0;
    switch (option) {
    case 's':
        return parse_seconds(question->name, optarg, &o->seconds);
    case 'r':
        if (!parse_whole(question->name, "runs", optarg, ROW_RUNS_MAX, &number)) {
            return false;
        }
        o->runs = (uint32_t)number;
        return true;
    case 'd':
        if (!question->has_decisions) {
            fprintf(stderr, "sluice-bench %s: there are no --decisions in this question\n", question->name);
            return false;
        }
        if (!parse_whole(question->name, "decisions", optarg, DECISIONS_MAX, &number)) {
            return false;
        }
        o->decisions = number;
        return true;
    case 'j':
        o->json = optarg;
        return true;
    case 'p':
        if (question->plot == NULL) {
            fprintf(stderr, "sluice-bench %s: there is no --plot of this question\n", question->name);
            return false;
        }
        o->plot = optarg;
        return true;
    case 'o':
        o->only = optarg;
        return true;
    case 'l':
        o->list = true;
        return true;
    default:
        return false;
    }
}

/* True: go on; else the exit status is in *code. */
static bool parse(const struct bench_question *question, int argc, char **argv, struct bench_options *o, int *code)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"decisions", required_argument, NULL, 'd'},
                                            {"plot", required_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    *o = (struct bench_options){.seconds = SECONDS_DEFAULT, .runs = runs_default(question)};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            *code = usage(question, stdout, BENCH_DONE);
            return false;
        }
        if (!parse_option(question, option, o)) {
            *code = usage(question, stderr, BENCH_USAGE);
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sluice-bench %s: expected options only, found '%s'\n", question->name, argv[optind]);
        *code = usage(question, stderr, BENCH_USAGE);
        return false;
    }
    return true;
}

static int list(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->row_count; i++) {
        const struct row *r = &plan->rows[i];
        printf("%-12s %-24s %6u %s\n", r->name, r->variant, r->size_bytes, r->unit);
    }
    return BENCH_DONE;
}

/* Measurements run in process groups of their own: the one that runs ends by itself, and nothing is left behind. */
static void on_signal(int number)
{
    (void)number;
    plan_stop();
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* How many measurements failed. */
static uint32_t run(const char *question, struct plan *plan, struct environment *environment,
                    const struct bench_options *o)
{
    struct error err = {{0}};
    uint32_t failed = 0;
    if (plan->needs_iceoryx && iceoryx_daemon_start(&err) != 0) {
        fprintf(stderr, "sluice-bench %s: %s\n", question, err.text);
        failed++;
    }
    bool terminal = isatty(STDERR_FILENO) != 0;
    for (uint32_t round = 0; round < o->runs && !plan_stopped(); round++) {
        if (terminal) {
            fprintf(stderr, "\rround %u of %u: %u measurements ", round + 1, o->runs, plan->case_count);
        }
        environment_watch(environment);
        failed += plan_round(plan, round);
    }
    if (terminal) {
        fprintf(stderr, "\r%*s\r", 60, "");
    }
    iceoryx_daemon_stop();
    return failed;
}

static int report_all(const struct bench_question *question, const struct plan *plan,
                      const struct environment *environment, const struct bench_options *o)
{
    struct error err = {{0}};
    int code = BENCH_DONE;
    struct report report = {.environment = environment,
                            .rows = plan->rows,
                            .row_count = plan->row_count,
                            .question = question->name,
                            .ends = question->ends,
                            .plot = o->plot,
                            .seconds = o->seconds,
                            .real_time = plan->real_time};
    bool json_only = o->json != NULL && o->json[0] == '-' && o->json[1] == 0;
    if (!json_only) {
        question->table(plan, &report, stdout);
    }
    if (o->json != NULL && report_json(&report, o->json, &err) != 0) {
        fprintf(stderr, "sluice-bench %s: %s\n", question->name, err.text);
        code = BENCH_FAILED;
    }
    if (o->plot != NULL && question->plot(plan, &report, &err) != 0) {
        fprintf(stderr, "sluice-bench %s: %s\n", question->name, err.text);
        code = BENCH_FAILED;
    }
    return code;
}

/* Whether there can be a picture is to be known before minutes are spent on what it is to show. */
static int check_plot(const struct bench_question *question, const struct bench_options *o)
{
    struct error err = {{0}};
    int code = o->plot != NULL ? gnuplot_ready(o->plot, &err) : 0;
    if (code != 0) {
        fprintf(stderr, "sluice-bench %s: %s\n", question->name, err.text);
    }
    return code == 0 ? BENCH_DONE : code == -EINVAL ? BENCH_USAGE : BENCH_FAILED;
}

int bench_ask(const struct bench_question *question, int argc, char **argv)
{
    static struct plan plan;
    struct bench_options o;
    struct environment environment;
    struct error err = {{0}};
    int code = BENCH_DONE;
    if (!parse(question, argc, argv, &o, &code)) {
        return code;
    }
    if (environment_init(&environment, &err) != 0) {
        fprintf(stderr, "sluice-bench %s: %s\n", question->name, err.text);
        return BENCH_FAILED;
    }
    question->fill(&plan, &environment, &o);
    if (plan.case_count == 0) {
        fprintf(stderr, "sluice-bench %s: --only %s names nothing; see sluice-bench %s --list\n", question->name,
                o.only, question->name);
        return BENCH_USAGE;
    }
    if (o.list) {
        return list(&plan);
    }
    code = check_plot(question, &o);
    if (code != BENCH_DONE) {
        return code;
    }
    catch_signals();
    uint32_t failed = run(question->name, &plan, &environment, &o);
    if (plan_stopped()) {
        fprintf(stderr, "sluice-bench %s: interrupted, there is no result\n", question->name);
        return BENCH_FAILED;
    }
    environment_finish(&environment);
    if (question->finish != NULL) {
        question->finish(&plan);
    }
    rows_finish(plan.rows, plan.row_count);
    code = report_all(question, &plan, &environment, &o);
    return failed == 0 ? code : BENCH_FAILED;
}
