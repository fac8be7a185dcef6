/* sluice-bench ring: frames from one core to another. All variants once, then all again, so that the ratios are
 * between figures that were taken under the same conditions. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/environment.h"
#include "bench/plan.h"
#include "bench/report.h"
#include "bench/tsc.h"

#define SECONDS_DEFAULT 0.3
#define SECONDS_MIN     0.01
#define SECONDS_MAX     60.0
#define RUNS_DEFAULT    5u

struct ring_options {
    double seconds; /* of one measurement */
    uint32_t runs;
    const char *json; /* NULL: none */
    const char *only; /* NULL: everything */
    bool list;
};

static int usage(FILE *to, int code)
{
    fprintf(to,
            "usage: sluice-bench ring [--seconds N] [--runs N] [--json FILE|-] [--only NAME,..] [--list]\n"
            "  --seconds N    of each measurement, %g to %g; default %g\n"
            "  --runs N       rounds, 1 to %u; default %u. The value is the median\n"
            "  --json FILE    writes the result there too; -: to standard output, and no table\n"
            "  --only NAME,.. only rows of this name, variant or implementation; see --list\n"
            "  --list         names and variants; measures nothing\n",
            SECONDS_MIN, SECONDS_MAX, SECONDS_DEFAULT, ROW_RUNS_MAX, RUNS_DEFAULT);
    return code;
}

/* False: said what is wrong. */
static bool parse_seconds(const char *text, double *seconds)
{
    char *end;
    *seconds = strtod(text, &end);
    if (end == text || *end != 0 || !(*seconds >= SECONDS_MIN && *seconds <= SECONDS_MAX)) {
        fprintf(stderr, "sluice-bench ring: --seconds expects %g to %g, found '%s'\n", SECONDS_MIN, SECONDS_MAX,
                text);
        return false;
    }
    return true;
}

static bool parse_runs(const char *text, uint32_t *runs)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end != 0 || n < 1 || n > (long)ROW_RUNS_MAX) {
        fprintf(stderr, "sluice-bench ring: --runs expects 1 to %u, found '%s'\n", ROW_RUNS_MAX, text);
        return false;
    }
    *runs = (uint32_t)n;
    return true;
}

/* True: go on; else the exit status is in *code. */
static bool parse(int argc, char **argv, struct ring_options *o, int *code)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    *o = (struct ring_options){.seconds = SECONDS_DEFAULT, .runs = RUNS_DEFAULT};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            *code = usage(stdout, BENCH_DONE);
            return false;
        }
        bool right = option == 's'   ? parse_seconds(optarg, &o->seconds)
                     : option == 'r' ? parse_runs(optarg, &o->runs)
                                     : option != '?';
        if (!right) {
            *code = usage(stderr, BENCH_USAGE);
            return false;
        }
        o->json = option == 'j' ? optarg : o->json;
        o->only = option == 'o' ? optarg : o->only;
        o->list = o->list || option == 'l';
    }
    if (optind < argc) {
        fprintf(stderr, "sluice-bench ring: expected options only, found '%s'\n", argv[optind]);
        *code = usage(stderr, BENCH_USAGE);
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
static uint32_t run(struct plan *plan, struct environment *environment, const struct ring_options *o)
{
    struct error err = {{0}};
    uint32_t failed = 0;
    if (plan->needs_iceoryx && iceoryx_daemon_start(&err) != 0) {
        fprintf(stderr, "sluice-bench ring: %s\n", err.text);
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

int bench_ring(int argc, char **argv)
{
    static struct plan plan;
    struct ring_options o;
    struct environment environment;
    struct error err = {{0}};
    int code = BENCH_DONE;
    if (!parse(argc, argv, &o, &code)) {
        return code;
    }
    if (environment_init(&environment, &err) != 0) {
        fprintf(stderr, "sluice-bench ring: %s\n", err.text);
        return BENCH_FAILED;
    }
    payload_init();
    plan_ring(&plan, &environment, o.seconds, o.only);
    if (plan.case_count == 0) {
        fprintf(stderr, "sluice-bench ring: --only %s names nothing; see sluice-bench ring --list\n", o.only);
        return BENCH_USAGE;
    }
    if (o.list) {
        return list(&plan);
    }
    catch_signals();
    uint32_t failed = run(&plan, &environment, &o);
    if (plan_stopped()) {
        fprintf(stderr, "sluice-bench ring: interrupted, there is no result\n");
        return BENCH_FAILED;
    }
    environment_finish(&environment);
    rows_finish(plan.rows, plan.row_count);
    struct report report = {
        .environment = &environment, .rows = plan.rows, .row_count = plan.row_count, .question = "ring"};
    bool json_only = o.json != NULL && o.json[0] == '-' && o.json[1] == 0;
    if (!json_only) {
        report_table(&report, stdout);
    }
    if (o.json != NULL && report_json(&report, o.json, &err) != 0) {
        fprintf(stderr, "sluice-bench ring: %s\n", err.text);
        return BENCH_FAILED;
    }
    return failed == 0 ? BENCH_DONE : BENCH_FAILED;
}
