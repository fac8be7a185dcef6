#include "daq/replay_options.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/clock.h"

#define SPEED_MIN   0.001
#define SPEED_MAX   100000.0
#define SECONDS_MAX 1e9

static bool take_seconds(const char *text, uint64_t *ns)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != 0 || !(seconds >= 0) || seconds > SECONDS_MAX) {
        return false;
    }
    *ns = (uint64_t)llround(seconds * (double)CLOCK_NS_PER_S);
    return true;
}

bool replay_options_speed(const char *text, double *speed)
{
    char *end;
    if (strcmp(text, "fastest") == 0) {
        *speed = 0;
        return true;
    }
    *speed = strtod(text, &end);
    return end != text && *end == 0 && *speed >= SPEED_MIN && *speed <= SPEED_MAX;
}

static bool take_name(const char **list, uint32_t *count, uint32_t most)
{
    if (*count == most) {
        return false;
    }
    list[(*count)++] = optarg;
    return true;
}

static bool take(struct replay_options *options, int option)
{
    switch (option) {
    case 'p':
        return take_name(options->path, &options->paths, PLAN_RECORDINGS_MAX);
    case 'n':
        return take_name(options->ring, &options->rings, CONTROL_RINGS_MAX);
    case 'w':
        return take_name(options->wait, &options->waits, CONTROL_RINGS_MAX);
    case 'a':
        options->as = optarg;
        return true;
    case 's':
        return replay_options_speed(optarg, &options->speed);
    case 'l':
        options->loop = true;
        return true;
    case 'o':
        options->original_stamps = true;
        return true;
    case 'f':
        return take_seconds(optarg, &options->from_ns);
    case 't':
        return take_seconds(optarg, &options->to_ns) && options->to_ns > options->from_ns;
    default:
        return false;
    }
}

bool replay_options_parse(int argc, char **argv, struct replay_options *options, const char **path)
{
    static const struct option known[] = {
        {"replay", required_argument, NULL, 'p'},      {"as", required_argument, NULL, 'a'},
        {"speed", required_argument, NULL, 's'},       {"loop", no_argument, NULL, 'l'},
        {"from", required_argument, NULL, 'f'},        {"to", required_argument, NULL, 't'},
        {"ring", required_argument, NULL, 'n'},        {"original-stamps", no_argument, NULL, 'o'},
        {"wait-reader", required_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};
    int option;
    *options = (struct replay_options){.speed = 1.0};
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == '?') {
            return false;
        }
        if (!take(options, option)) {
            fprintf(stderr,
                    "sluiced: expected a speed of %g to %g or fastest, seconds from 0 to %g with --from before "
                    "--to, at "
                    "most %u recordings and %u rings; found '%s'\n",
                    SPEED_MIN, SPEED_MAX, SECONDS_MAX, PLAN_RECORDINGS_MAX, CONTROL_RINGS_MAX,
                    optarg != NULL ? optarg : "");
            return false;
        }
    }
    if (optind + 1 != argc) {
        fprintf(stderr, "sluiced: expected one configuration behind --replay, found %d\n", argc - optind);
        return false;
    }
    *path = argv[optind];
    return true;
}
