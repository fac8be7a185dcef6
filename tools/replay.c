/* replay: a recording into rings, or through the interlock's engine. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daq/replay_options.h"
#include "ring/clock.h"
#include "tools/import.h"
#include "tools/replay_command.h"
#include "tools/session.h"

static int usage(FILE *to, int code)
{
    fprintf(
        to,
        "usage: sluice replay [--as INSTANCE] [--speed X|fastest] [--loop] [--from TIME] [--to TIME] [--ring NAME "
        "..]\n"
        "                     [--stream NAME] [--wait-reader RING ..] [--config FILE] [--original-stamps] [--json] "
        "RECORDING ..\n"
        "                                               plays it into rings, as if live; no output is touched\n"
        "       sluice replay --config FILE --ring RING [--column COLUMN=CHANNEL ..] [--delimiter C]\n"
        "                     [--time COLUMN | --period-ms N] [--utc-offset S] [--keep DIRECTORY]\n"
        "                     [the same] FILE.csv|.pcap|.pcapng|.vdif\n"
        "       sluice replay [--json] TRIP_DIRECTORY ..                       what the live interlock decided\n"
        "       sluice replay --rules FILE [--arm] [--json] TRIP_DIRECTORY ..  what other rules would have\n"
        "       sluice replay (--rules FILE | --own-rules) [--no-arm] [--json] RECORDING|DIRECTORY ..\n"
        "       sluice replay --rules FILE [--no-arm] [--json] [--column COLUMN=CHANNEL ..]\n"
        "                     [--delimiter C] (--time COLUMN | --period-ms N) FILE.csv ..\n"
        "Exit: 0 done (and bit-identical), 1 it is not so, 2 bad usage, rules, configuration or recording.\n");
    return code;
}

int replay_fail(const char *text, int code)
{
    fprintf(stderr, "sluice replay: %s\n", text);
    return code;
}

/* What each option is, and to which ways of replaying it belongs. */
static const struct known {
    const char *name;
    int has_argument;
    uint32_t kinds; /* 0: all */
    char letter;
    const char *expected;
} known[] = {
    {"rules", required_argument, REPLAY_OPTION_BACK, 'r', "a file"},
    {"own-rules", no_argument, REPLAY_OPTION_BACK, 'w', ""},
    {"arm", no_argument, REPLAY_OPTION_BACK, 'a', ""},
    {"no-arm", no_argument, REPLAY_OPTION_BACK, 'n', ""},
    {"json", no_argument, 0, 'j', ""},
    {"column", required_argument, REPLAY_OPTION_CSV, 'c', "COLUMN=CHANNEL, at most 64 times"},
    {"delimiter", required_argument, REPLAY_OPTION_CSV, 'd', "one character, or \\t"},
    {"time", required_argument, REPLAY_OPTION_CSV, 't', "the name of a column"},
    {"period-ms", required_argument, REPLAY_OPTION_CSV, 'p', "a number from 0.001 to 1e9"},
    {"as", required_argument, REPLAY_OPTION_PLAY, 'A', "a name"},
    {"speed", required_argument, REPLAY_OPTION_PLAY, 'S', "0.001 to 100000 times as fast as recorded, or fastest"},
    {"loop", no_argument, REPLAY_OPTION_PLAY, 'L', ""},
    {"from", required_argument, REPLAY_OPTION_PLAY, 'F', "a time"},
    {"to", required_argument, REPLAY_OPTION_PLAY, 'T', "a time"},
    {"ring", required_argument, REPLAY_OPTION_PLAY, 'R', "a ring's name, at most 64 times"},
    {"stream", required_argument, REPLAY_OPTION_PLAY, 'M', "a stream's name"},
    {"config", required_argument, REPLAY_OPTION_PLAY, 'C', "a file"},
    {"keep", required_argument, REPLAY_OPTION_PLAY, 'K', "a directory"},
    {"utc-offset", required_argument, REPLAY_OPTION_PLAY, 'U',
     "whole seconds from 0 to 1000 that TAI is ahead of UTC"},
    {"wait-reader", required_argument, REPLAY_OPTION_PLAY, 'W', "a ring's name, at most 64 times"},
    {"original-stamps", no_argument, REPLAY_OPTION_PLAY, 'O', ""},
    {"help", no_argument, 0, 'h', ""},
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

static bool take_ring(const char **list, uint32_t *count)
{
    if (*count == CONTROL_RINGS_MAX) {
        return false;
    }
    list[(*count)++] = optarg;
    return true;
}

/* The ones that are nothing but noted. */
static bool take_text(struct replay_request *request, char letter)
{
    const struct {
        char letter;
        const char **to;
    } texts[] = {{'r', &request->rules},  {'t', &request->csv.time}, {'A', &request->play.as},
                 {'F', &request->from},   {'T', &request->to},       {'M', &request->stream},
                 {'C', &request->config}, {'K', &request->keep}};
    const struct {
        char letter;
        bool *to;
    } flags[] = {{'w', &request->own_rules}, {'a', &request->arm},       {'n', &request->no_arm},
                 {'j', &request->json},      {'L', &request->play.loop}, {'O', &request->play.original_stamps}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].letter == letter) {
            *texts[i].to = optarg;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (flags[i].letter == letter) {
            *flags[i].to = true;
            return true;
        }
    }
    return false;
}

static bool take_value(struct replay_request *request, char letter)
{
    switch (letter) {
    case 'c':
        return import_take_mapping(&request->csv, optarg);
    case 'd':
        return import_take_delimiter(&request->csv, optarg);
    case 'p':
        return import_take_period(&request->csv, optarg);
    case 'S':
        return replay_options_speed(optarg, &request->play.speed);
    case 'R':
        return take_ring(request->play.ring, &request->play.rings);
    case 'W':
        return take_ring(request->play.wait, &request->play.waits);
    case 'U':
        return import_take_utc_offset(optarg, &request->utc_offset_s);
    default:
        return take_text(request, letter);
    }
}

/* False: said why. */
static bool take_option(struct replay_request *request, int letter)
{
    for (size_t i = 0; i < KNOWN; i++) {
        if (known[i].letter != letter) {
            continue;
        }
        request->seen |= known[i].kinds;
        if (!take_value(request, (char)letter)) {
            fprintf(stderr, "sluice replay: --%s wants %s, found '%s'\n", known[i].name, known[i].expected, optarg);
            return false;
        }
        return true;
    }
    return false;
}

static int refuse_mix(const struct replay_groups *groups)
{
    fprintf(stderr,
            "sluice replay: expected one run to be played, found %s and %u more; a back-test of several wants "
            "--rules FILE or --own-rules\n",
            groups->group[0].path[0], groups->count - 1);
    return EXIT_USAGE;
}

static int dispatch(const struct replay_request *request, struct replay_groups *groups)
{
    bool back = request->rules != NULL || request->own_rules;
    bool trips = groups->count > 0;
    for (uint32_t i = 0; i < groups->count; i++) {
        trips = trips && groups->group[i].kind == REPLAY_PATH_TRIP;
    }
    if (groups->count == 0) {
        return replay_fail("there is nothing in it", EXIT_USAGE);
    }
    if (back || trips || (request->seen & REPLAY_OPTION_BACK) != 0) {
        if ((request->seen & REPLAY_OPTION_PLAY) != 0 || (!back && !trips)) {
            return replay_fail("--rules, --own-rules, --arm and --no-arm are for a back-test, which --as, --speed, "
                               "--loop, --from, --to, --ring, --stream, --config, --keep, --utc-offset and "
                               "--original-stamps have no part in",
                               EXIT_USAGE);
        }
        return replay_back(request, groups);
    }
    const struct replay_group *first = &groups->group[0];
    if (groups->count > 1) {
        return refuse_mix(groups);
    }
    if (first->kind == REPLAY_PATH_FILE) {
        return replay_play_foreign(request, first->path[0]);
    }
    if ((request->seen & REPLAY_OPTION_CSV) != 0 || request->keep != NULL) {
        return replay_fail("--column, --delimiter, --time, --period-ms and --keep are for foreign files, not for "
                           "recordings",
                           EXIT_USAGE);
    }
    return replay_play(request, first);
}

static bool read_options(struct replay_request *request, int argc, char **argv, int *code)
{
    struct option options[KNOWN + 1];
    int option;
    memset(options, 0, sizeof(options));
    for (size_t i = 0; i < KNOWN; i++) {
        options[i] = (struct option){known[i].name, known[i].has_argument, NULL, known[i].letter};
    }
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h' || option == '?') {
            *code = usage(option == 'h' ? stdout : stderr, option == 'h' ? EXIT_DONE : EXIT_USAGE);
            return false;
        }
        if (!take_option(request, option)) {
            *code = EXIT_USAGE;
            return false;
        }
    }
    return true;
}

int command_replay(int argc, char **argv)
{
    static struct replay_request request = {
        .csv = {.delimiter = ','}, .play = {.speed = 1.0}, .utc_offset_s = IMPORT_TAI_MINUS_UTC_S};
    struct replay_groups groups;
    struct error err = {{0}};
    int code;
    if (!read_options(&request, argc, argv, &code)) {
        return code;
    }
    bool both = request.rules != NULL && request.own_rules;
    bool arms = request.arm && ((request.rules == NULL && !request.own_rules) || request.no_arm);
    if (optind == argc || both || arms) {
        return usage(stderr, EXIT_USAGE);
    }
    code = replay_groups_find(&groups, argv + optind, argc - optind, &err) == 0 ? dispatch(&request, &groups)
                                                                                : replay_fail(err.text, EXIT_USAGE);
    replay_groups_free(&groups);
    return code;
}
