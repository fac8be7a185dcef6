/* The options of every question, from words to a struct. */
#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define SECONDS_DEFAULT 0.3
#define SECONDS_MIN     0.01
#define SECONDS_MAX     60.0
#define RUNS_DEFAULT    5u
#define DECISIONS_MAX   1000000000u

uint32_t bench_runs_default(const struct bench_question *question)
{
    return question->runs != 0 ? question->runs : RUNS_DEFAULT;
}

static int usage(const struct bench_abilities *a, FILE *to, int code)
{
    fprintf(
        to,
        "usage: sluice-bench %s [--seconds N] [--runs N]%s [--json FILE|-] [--html FILE]%s%s%s [--only NAME,..] "
        "[--compare OLD.json] [--from NEW.json] [--list]\n"
        "  --seconds N    of each measurement, %g to %g; default %g\n",
        a->name, a->decisions ? " [--decisions N]" : "", a->decisions ? " [--hgrm FOLDER]" : "",
        a->plot ? " [--plot FILE.png]" : "", a->directory ? " [--directory DIR]" : "", SECONDS_MIN, SECONDS_MAX,
        SECONDS_DEFAULT);
    fprintf(to, "  --runs N       rounds, 1 to %u; default %s%u. The value is the median\n", ROW_RUNS_MAX,
            a->runs == 0 ? "1 of net, 3 of record and readers, of the others " : "",
            a->runs == 0 ? RUNS_DEFAULT : a->runs);
    if (a->decisions) {
        fprintf(to,
                "  --decisions N  of each variant%s, all rounds together, 1 to %u, however long they take\n"
                "  --hgrm FOLDER  writes the histograms of decisions there, as HdrHistogram's text\n",
                a->runs == 0 ? " of control" : "", DECISIONS_MAX);
    }
    if (a->plot) {
        fprintf(to, "  --plot FILE    draws the result there, as PNG, by gnuplot\n");
    }
    if (a->directory) {
        fprintf(to, "  --directory DIR  where it writes%s; default .; all of it is removed again\n",
                a->runs == 0 ? " (record)" : "");
    }
    fprintf(to,
            "  --json FILE    writes the result there too; -: to standard output, and no table\n"
            "  --html FILE    writes a report with pictures there, which needs nothing else\n"
            "  --only NAME,.. only rows of this name, variant or implementation; see --list\n"
            "  --compare FILE says what is worse or better than in that result of --json; 1 if anything is worse\n"
            "  --from FILE    measures nothing, takes that result of --json\n"
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

static bool parse_option(const struct bench_abilities *a, int option, struct bench_options *o)
{
    unsigned long number = 0;
    switch (option) {
    case 's':
        return parse_seconds(a->name, optarg, &o->seconds);
    case 'r':
        if (!parse_whole(a->name, "runs", optarg, ROW_RUNS_MAX, &number)) {
            return false;
        }
        o->runs = (uint32_t)number;
        return true;
    case 'd':
        if (!a->decisions) {
            fprintf(stderr, "sluice-bench %s: there are no --decisions in this question\n", a->name);
            return false;
        }
        if (!parse_whole(a->name, "decisions", optarg, DECISIONS_MAX, &number)) {
            return false;
        }
        o->decisions = number;
        return true;
    case 'j':
        o->json = optarg;
        return true;
    case 'p':
        if (!a->plot) {
            fprintf(stderr, "sluice-bench %s: there is no --plot of this question\n", a->name);
            return false;
        }
        o->plot = optarg;
        return true;
    case 'D':
        if (!a->directory) {
            fprintf(stderr, "sluice-bench %s: nothing is written to a --directory in this question\n", a->name);
            return false;
        }
        o->directory = optarg;
        return true;
    case 'o':
        o->only = optarg;
        return true;
    case 'H':
        o->html = optarg;
        return true;
    case 'g':
        if (!a->decisions) {
            fprintf(stderr, "sluice-bench %s: there are no histograms in this question\n", a->name);
            return false;
        }
        o->hgrm = optarg;
        return true;
    case 'c':
        o->compare = optarg;
        return true;
    case 'f':
        o->from = optarg;
        return true;
    case 'l':
        o->list = true;
        return true;
    default:
        return false;
    }
}

bool bench_options_parse(const struct bench_abilities *a, int argc, char **argv, struct bench_options *o, int *code)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"decisions", required_argument, NULL, 'd'},
                                            {"plot", required_argument, NULL, 'p'},
                                            {"html", required_argument, NULL, 'H'},
                                            {"hgrm", required_argument, NULL, 'g'},
                                            {"compare", required_argument, NULL, 'c'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"directory", required_argument, NULL, 'D'},
                                            {NULL, 0, NULL, 0}};
    *o = (struct bench_options){.seconds = SECONDS_DEFAULT, .runs = a->runs, .directory = "."};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            *code = usage(a, stdout, BENCH_DONE);
            return false;
        }
        if (!parse_option(a, option, o)) {
            *code = usage(a, stderr, BENCH_USAGE);
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sluice-bench %s: expected options only, found '%s'\n", a->name, argv[optind]);
        *code = usage(a, stderr, BENCH_USAGE);
        return false;
    }
    if (o->from != NULL && (o->plot != NULL || o->hgrm != NULL || o->list || o->only != NULL)) {
        fprintf(stderr,
                "sluice-bench %s: --from measures nothing: expected beside it --compare, --html or --json, found "
                "--plot, "
                "--hgrm, --only or --list\n",
                a->name);
        *code = usage(a, stderr, BENCH_USAGE);
        return false;
    }
    if (o->from != NULL && o->compare == NULL && o->html == NULL && o->json == NULL) {
        fprintf(stderr, "sluice-bench %s: --from expects --compare, --html or --json, found none of them\n",
                a->name);
        *code = usage(a, stderr, BENCH_USAGE);
        return false;
    }
    return true;
}
