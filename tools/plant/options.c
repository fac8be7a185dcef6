#include "tools/plant/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_kind {
    OPTION_TEXT,
    OPTION_COUNT, /* a whole number */
    OPTION_NUMBER,
    OPTION_FLAG,
};

struct option_row {
    const char *name;
    enum option_kind kind;
    size_t offset; /* in struct plant_options */
    const char *unit;
    const char *what;
    const char *text; /* default */
    double value;     /* default */
    double lowest, highest;
};

#define TEXT(name, member, form, text, what)                                                                       \
    {                                                                                                              \
        name, OPTION_TEXT, offsetof(struct plant_options, member), form, what, text                                \
    }
#define NUMBER(name, kind, member, unit, value, lowest, highest, what)                                             \
    {                                                                                                              \
        name, kind, offsetof(struct plant_options, member), unit, what, NULL, value, lowest, highest               \
    }
#define FLAG(name, member, what)                                                                                   \
    {                                                                                                              \
        name, OPTION_FLAG, offsetof(struct plant_options, member), "", what, NULL, 0, 0, 0                         \
    }

static const struct option_row rows[] = {
    TEXT("scenario", scenario_path, "FILE", NULL, "what happens to the plant, YAML; without it, nothing"),
    TEXT("tty", tty_path, "PATH", NULL, "serial samples: a pseudo-terminal, linked from PATH"),
    NUMBER("serial-hz", OPTION_COUNT, serial_hz, "Hz", 1000, 0, 10000, "serial samples per second; 0 = none"),
    TEXT("udp", udp_to, "HOST:PORT", NULL, "UDP samples are sent there"),
    NUMBER("udp-hz", OPTION_COUNT, udp_hz, "Hz", 1000, 0, 100000,
           "UDP samples per second; above 2000 in bursts every 500 us; 0 = none"),
    TEXT("actuator", actuator_at, "udp:HOST:PORT|unix:PATH", NULL, "commands are received there"),
    NUMBER("relay-watchdog-ms", OPTION_NUMBER, relay_watchdog_ms, "ms", 100, 0, 60000,
           "without a valid command for so long, all lines drop; 0 = off"),
    TEXT("truth", truth_path, "FILE", "-", "log of what happened, and the summary; - = standard output"),
    TEXT("series", series_path, "FILE.csv", NULL, "state of the plant, 1000 rows per second"),
    TEXT("decisions", decisions_path, "FILE.csv", NULL, "each sample with its sending and its acknowledgement"),
    TEXT("inject", inject_at, "PATH", NULL, "a Unix datagram socket that takes events, to happen at once"),
    TEXT("ack-stream", ack_stream, "serial|udp|none", "udp", "the stream whose samples commands acknowledge"),
    NUMBER("watch-limit", OPTION_NUMBER, watch_limit_kpa, "kPa", 150, 0, 10000,
           "the first sample sent above this starts the clock of limit_to_command_us"),
    NUMBER("seed", OPTION_COUNT, seed, "", 1, 0, 9007199254740992.0, "of all noise"),
    NUMBER("duration", OPTION_NUMBER, duration_s, "s", 0, 0, 1e6,
           "on the scenario clock; 0 = as the scenario says, else until SIGINT or SIGTERM"),
    NUMBER(
        "wait-armed", OPTION_NUMBER, wait_armed_s, "s", 0, 0, 3600,
        "the scenario clock starts once both lines are energised for 0.5 s, at the latest after this; 0 = at once"),
    NUMBER("linger", OPTION_NUMBER, linger_s, "s", 1, 0, 3600,
           "goes on after the burst or the end of the scenario"),
    FLAG("no-wake", no_wake, "commands do not wake the plant between ticks; their stamps stay exact"),
    FLAG("check", check, "checks the command line and the scenario, then exits"),
    FLAG("version", version, "prints the version, then exits"),
    FLAG("help", help, "prints this, then exits"),
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static void *member(struct plant_options *options, const struct option_row *row)
{
    return (char *)options + row->offset;
}

static void set_defaults(struct plant_options *options)
{
    memset(options, 0, sizeof(*options));
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].kind == OPTION_TEXT)
            *(const char **)member(options, &rows[i]) = rows[i].text;
        else if (rows[i].kind != OPTION_FLAG)
            *(double *)member(options, &rows[i]) = rows[i].value;
}

static int set_number(struct plant_options *options, const struct option_row *row, const char *text, char *error,
                      size_t error_bytes)
{
    char *end = NULL;
    double value = strtod(text, &end);
    bool whole = row->kind != OPTION_COUNT || value == floor(value);

    if (end == text || *end != '\0' || !(value >= row->lowest && value <= row->highest) || !whole) {
        snprintf(error, error_bytes, "--%s: expected %s from %.17g to %.17g%s%s, found '%s'; see --help", row->name,
                 row->kind == OPTION_COUNT ? "a whole number" : "a number", row->lowest, row->highest,
                 row->unit[0] != '\0' ? " " : "", row->unit, text);
        return -EINVAL;
    }
    *(double *)member(options, row) = value;
    return 0;
}

/* What only shows when several options are seen together. */
static int check_together(const struct plant_options *options, char *error, size_t error_bytes)
{
    const char *ack = options->ack_stream;

    if (strcmp(ack, "serial") != 0 && strcmp(ack, "udp") != 0 && strcmp(ack, "none") != 0)
        snprintf(error, error_bytes, "--ack-stream: expected serial, udp or none, found '%s'", ack);
    else if (options->wait_armed_s > 0 && options->actuator_at == NULL)
        snprintf(error, error_bytes,
                 "--wait-armed: expected --actuator beside it, found none: nobody could arm; "
                 "add --actuator or leave --wait-armed out");
    else
        return 0;
    return -EINVAL;
}

int plant_options_parse(struct plant_options *options, int count, char **arguments, char *error, size_t error_bytes)
{
    struct option longs[ROW_COUNT + 1] = {0};
    int at, failed;

    for (size_t i = 0; i < ROW_COUNT; i++)
        longs[i] = (struct option){rows[i].name, rows[i].kind == OPTION_FLAG ? no_argument : required_argument,
                                   NULL, (int)i + 1000};
    set_defaults(options);
    opterr = 0;
    while ((at = getopt_long(count, arguments, ":h", longs, NULL)) != -1) {
        const struct option_row *row;

        if (at == 'h') {
            options->help = true;
            continue;
        }
        if (at < 1000) {
            snprintf(error, error_bytes, "%s: expected %s; see --help", arguments[optind - 1],
                     at == ':' ? "a value behind it, found none" : "an option of sluice-plant, found another");
            return -EINVAL;
        }
        row = &rows[at - 1000];
        failed = 0;
        if (row->kind == OPTION_FLAG)
            *(bool *)member(options, row) = true;
        else if (row->kind == OPTION_TEXT)
            *(const char **)member(options, row) = optarg;
        else
            failed = set_number(options, row, optarg, error, error_bytes);
        if (failed != 0)
            return failed;
    }
    if (optind < count) {
        snprintf(error, error_bytes, "expected only options, found '%s'; see --help", arguments[optind]);
        return -EINVAL;
    }
    return check_together(options, error, error_bytes);
}

void plant_options_help(void)
{
    puts("usage: sluice-plant [options]\n"
         "A simulated thermal-vacuum chamber that sends samples and obeys relay commands.\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct option_row *row = &rows[i];

        printf("  --%s %s\n      %s\n", row->name, row->kind == OPTION_COUNT ? "N" : row->unit, row->what);
        if (row->kind == OPTION_TEXT)
            printf("      default: %s\n", row->text != NULL ? row->text : "none");
        else if (row->kind != OPTION_FLAG)
            printf("      default: %.17g%s%s, from %.17g to %.17g\n", row->value, row->unit[0] != '\0' ? " " : "",
                   row->unit, row->lowest, row->highest);
    }
    puts("\nExit status: 0 finished (whether the chamber burst or not: see the summary), 1 could not run or was "
         "not\n"
         "armed in time, 2 wrong usage or scenario. The manual page is sluice-plant(1).");
}
