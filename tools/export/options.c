#include "tools/export/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const char export_usage[] =
    "usage: sluice export [OPTION ..] RECORDING .. -o FILE\n"
    "  RECORDING              a run's directory (each stripe's), or its .slr files\n"
    "  -o, --output FILE      is there complete, or not at all\n"
    "  --format FORMAT        hdf5, pcapng, mcap, csv, raw or vdif; default: as the suffix of FILE says\n"
    "  --ring NAME            only this ring; may be given again\n"
    "  --stream NAME          only frames of this stream\n"
    "  --channel NAME         only this channel; may be given again (hdf5, mcap, csv)\n"
    "  --from TIME, --to TIME seconds from the begin (12.5), UTC (2026-11-26T14:30:00.5Z), or TAI ns "
    "(@1795703437..)\n"
    "  --deflate N            hdf5: compress, 1 to 9; default 0: not\n"
    "  --delimiter C          csv: between two fields; default a comma, \\t is a tab\n"
    "  --force                replace FILE if it is there\n"
    "  --no-progress          no progress bar, on a terminal either\n"
    "  --json                 what was exported as JSON on standard output\n"
    "Exit: 0 done, 1 not done, or something that was asked for is missing in the recording; 2 bad usage.\n";

static int add_name(const char **to, unsigned *count, const char *name, const char *option, struct error *err)
{
    if (*count == EXPORT_NAMES_MAX) {
        return error_set(err, -EINVAL, "expected at most %u times %s, found more", EXPORT_NAMES_MAX, option);
    }
    to[(*count)++] = name;
    return 0;
}

static int take_deflate(struct export_options *o, const char *text, struct error *err)
{
    if (text[0] < '0' || text[0] > '9' || text[1] != 0) {
        return error_set(err, -EINVAL, "--deflate: expected 0 (none) to 9, found '%s'", text);
    }
    o->deflate = (unsigned)(text[0] - '0');
    return 0;
}

static int take_delimiter(struct export_options *o, const char *text, struct error *err)
{
    bool tab = strcmp(text, "\\t") == 0;
    bool one = tab || (text[0] != 0 && text[1] == 0);
    o->delimiter = text[0];
    if (tab) {
        o->delimiter = '\t';
    }
    if (!one || strchr("\"\r\n.+-#0123456789eE", o->delimiter) != NULL) {
        return error_set(err, -EINVAL,
                         "--delimiter: expected one character that no number has, such as ; or \\t, found '%s'",
                         text);
    }
    return 0;
}

static int take(struct export_options *o, int option, struct error *err)
{
    switch (option) {
    case 'o':
        o->output = optarg;
        return 0;
    case 'm':
        o->format = optarg;
        return 0;
    case 'r':
        return add_name(o->ring, &o->rings, optarg, "--ring", err);
    case 'c':
        return add_name(o->channel, &o->channels, optarg, "--channel", err);
    case 's':
        o->stream = optarg;
        return 0;
    case 'f':
        o->from = optarg;
        return 0;
    case 't':
        o->to = optarg;
        return 0;
    case 'z':
        return take_deflate(o, optarg, err);
    case 'd':
        return take_delimiter(o, optarg, err);
    case 'F':
        o->force = true;
        return 0;
    case 'p':
        o->no_progress = true;
        return 0;
    case 'j':
        o->json = true;
        return 0;
    default:
        o->help = true;
        return 0;
    }
}

int export_options_parse(struct export_options *options, int argc, char **argv, struct error *err)
{
    static const struct option table[] = {{"output", required_argument, NULL, 'o'},
                                          {"format", required_argument, NULL, 'm'},
                                          {"ring", required_argument, NULL, 'r'},
                                          {"stream", required_argument, NULL, 's'},
                                          {"channel", required_argument, NULL, 'c'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"to", required_argument, NULL, 't'},
                                          {"deflate", required_argument, NULL, 'z'},
                                          {"delimiter", required_argument, NULL, 'd'},
                                          {"force", no_argument, NULL, 'F'},
                                          {"no-progress", no_argument, NULL, 'p'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *options = (struct export_options){.delimiter = ','};
    int option;
    int code = 0;
    opterr = 0;
    while (code == 0 && !options->help && (option = getopt_long(argc, argv, "o:", table, NULL)) != -1) {
        if (option == '?') {
            return error_set(err, -EINVAL, "there is no option '%s', or it wants an argument; see --help",
                             argv[optind - 1]);
        }
        code = take(options, option, err);
    }
    if (code != 0 || options->help) {
        return code;
    }
    options->recording = (const char *const *)&argv[optind];
    options->recordings = (unsigned)(argc - optind);
    if (options->recordings == 0) {
        return error_set(err, -EINVAL, "expected a recording (a run's directory, or .slr files), found none");
    }
    if (options->output == NULL || options->output[0] == 0) {
        return error_set(err, -EINVAL, "expected -o FILE, where to write to; found none");
    }
    return 0;
}
