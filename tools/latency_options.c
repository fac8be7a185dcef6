/* The options of sluice latency, and which of them go together. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/latency.h"

#define SECONDS_MIN 0.1
#define SECONDS_MAX 3600.0
#define WATCH_S     2.0

static int usage(FILE *to, int code)
{
    fprintf(to, "usage: sluice latency [--watch [SECONDS]] [--hop NAME,..] [--raw] [--json [--buckets] | --curve] "
                "[INSTANCE]\n"
                "       sluice latency [--interval SECONDS] [--hop NAME,..] [--raw]\n"
                "                      [--json [--buckets] | --curve | [--hgrm FOLDER] [--plot FILE.png|FILE.svg]] "
                "[INSTANCE]\n"
                "  where the time goes, sample to valve: a table of every hop, since the server's start\n"
                "  --hop NAME,..       only these: the beginning of a name, or its last part\n"
                "  --interval SECONDS  measures from now on for so long, and reports only that; 0.1 to 3600\n"
                "  --watch [SECONDS]   every so many seconds, the last interval beside the total; 2\n"
                "  --curve             percentile curves instead of the table\n"
                "  --json [--buckets]  for programs; with the histograms themselves\n"
                "  --hgrm FOLDER       writes each histogram in HdrHistogram's text format\n"
                "  --plot FILE         draws the percentile curves, by gnuplot\n"
                "  --raw               leaves out what is corrected for coordinated omission\n");
    return code;
}

static int refuse(const char *text)
{
    fprintf(stderr, "sluice latency: %s\n", text);
    return EXIT_USAGE;
}

static int take_seconds(const char *option, const char *text, double *seconds)
{
    char *end;
    *seconds = strtod(text, &end);
    if (end != text && *end == 0 && *seconds >= SECONDS_MIN && *seconds <= SECONDS_MAX) { /* not so of a NaN */
        return EXIT_DONE;
    }
    fprintf(stderr, "sluice latency: expected 0.1 to 3600 seconds for %s, found '%s'\n", option, text);
    return EXIT_USAGE;
}

/* Its number may be missing, and may be a word of its own. */
static int take_watch(int argc, char **argv, struct latency_options *options)
{
    options->watch_s = WATCH_S;
    const char *text = optarg;
    if (text == NULL && optind < argc && argv[optind][0] != 0 &&
        strspn(argv[optind], "0123456789.") == strlen(argv[optind])) {
        text = argv[optind++];
    }
    return text != NULL ? take_seconds("--watch", text, &options->watch_s) : EXIT_DONE;
}

static int check_together(const struct latency_options *o)
{
    bool files = o->folder != NULL || o->plot != NULL;
    if (o->watch_s > 0 && files) {
        return refuse("--hgrm and --plot write files once: leave out --watch, or use --interval SECONDS");
    }
    if (o->watch_s > 0 && o->interval_s > 0) {
        return refuse("--interval is one interval, --watch one after the other: leave one of them out");
    }
    if (files && (o->json || o->curve)) {
        return refuse("--hgrm and --plot write files and print no report: leave out --json and --curve");
    }
    if (o->json && o->curve) {
        return refuse("--json is for programs, --curve for people: leave one of them out");
    }
    if (o->buckets && !o->json) {
        return refuse("--buckets belongs to --json");
    }
    if (o->hops != NULL && (o->hops[0] == 0 || strstr(o->hops, ",,") != NULL || o->hops[0] == ',' ||
                            o->hops[strlen(o->hops) - 1] == ',')) {
        return refuse("--hop expects names with a comma between two, as in --hop control,round");
    }
    return EXIT_DONE;
}

static int take_option(int option, int argc, char **argv, struct latency_options *o)
{
    switch (option) {
    case 'i':
        return take_seconds("--interval", optarg, &o->interval_s);
    case 'w':
        return take_watch(argc, argv, o);
    case 'n':
        o->hops = optarg;
        return EXIT_DONE;
    case 'H':
        o->folder = optarg;
        return EXIT_DONE;
    case 'p':
        o->plot = optarg;
        return EXIT_DONE;
    case 'j':
        o->json = true;
        return EXIT_DONE;
    case 'b':
        o->buckets = true;
        return EXIT_DONE;
    case 'c':
        o->curve = true;
        return EXIT_DONE;
    case 'r':
        o->raw = true;
        return EXIT_DONE;
    default:
        return usage(stderr, EXIT_USAGE);
    }
}

int latency_options_take(int argc, char **argv, struct latency_options *options)
{
    static const struct option known[] = {{"interval", required_argument, NULL, 'i'},
                                          {"watch", optional_argument, NULL, 'w'},
                                          {"hop", required_argument, NULL, 'n'},
                                          {"hgrm", required_argument, NULL, 'H'},
                                          {"plot", required_argument, NULL, 'p'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"buckets", no_argument, NULL, 'b'},
                                          {"curve", no_argument, NULL, 'c'},
                                          {"raw", no_argument, NULL, 'r'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *options = (struct latency_options){0};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout, EXIT_DONE);
            return -1;
        }
        int code = take_option(option, argc, argv, options);
        if (code != EXIT_DONE) {
            return code;
        }
    }
    if (argc - optind > 1) {
        return usage(stderr, EXIT_USAGE);
    }
    options->instance = argc > optind ? argv[optind] : NULL;
    return check_together(options);
}
