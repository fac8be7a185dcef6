/* replay: what the interlock decided, or would have decided, on what was recorded. */
#include "tools/replay.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daq/compile.h"
#include "ring/clock.h"
#include "tools/session.h"

#define CSV_BYTES_MAX ((size_t)1 << 30)

struct request {
    const char *rules; /* file; NULL: none */
    bool arm;
    bool no_arm;
    bool json;
    bool has_csv_options;
    struct replay_csv_options csv;
    struct control_table table; /* of the rules */
};

static int usage(FILE *to, int code)
{
    fprintf(
        to,
        "usage: sluice replay [--json] TRIP_DIRECTORY ..                       what the live interlock decided\n"
        "       sluice replay --rules FILE [--arm] [--json] TRIP_DIRECTORY ..  what other rules would have\n"
        "       sluice replay --rules FILE [--no-arm] [--json] [--column COLUMN=CHANNEL ..]\n"
        "                     [--delimiter C] (--time COLUMN | --period-ms N) FILE.csv ..\n"
        "Exit: 0 done (and bit-identical), 1 it is not so, 2 bad usage, rules or recording.\n");
    return code;
}

static int fail(const char *text, int code)
{
    fprintf(stderr, "sluice replay: %s\n", text);
    return code;
}

static bool take_mapping(struct replay_csv_options *csv, char *text)
{
    char *equals = strrchr(text, '=');
    if (equals == NULL || equals == text || equals[1] == 0 || csv->mappings == CONTROL_CHANNELS_MAX) {
        return false;
    }
    *equals = 0;
    csv->mapping[csv->mappings].column = text;
    csv->mapping[csv->mappings++].channel = equals + 1;
    return true;
}

static bool take_period(struct replay_csv_options *csv, const char *text)
{
    char *end;
    double ms = strtod(text, &end);
    if (end == text || *end != 0 || !(ms >= 0.001) || ms > 1e9) {
        return false;
    }
    csv->period_ns = (uint64_t)(ms * 1e6);
    return true;
}

static bool take_delimiter(struct replay_csv_options *csv, const char *text)
{
    bool tab = strcmp(text, "\\t") == 0;
    csv->delimiter = text[0];
    if (tab) {
        csv->delimiter = '\t';
    }
    return tab || (text[0] != 0 && text[1] == 0 && text[0] != '\n');
}

/* False: it does not make sense; says so. */
static bool take_option(struct request *request, int option)
{
    static const char *const expected[] = {['c'] = "--column wants COLUMN=CHANNEL, at most 64 times",
                                           ['d'] = "--delimiter wants one character, or \\t",
                                           ['p'] = "--period-ms wants a number from 0.001 to 1e9"};
    bool ok = true;
    request->has_csv_options = request->has_csv_options || strchr("cdtpn", option) != NULL;
    switch (option) {
    case 'r':
        request->rules = optarg;
        break;
    case 'a':
        request->arm = true;
        break;
    case 'n':
        request->no_arm = true;
        break;
    case 'j':
        request->json = true;
        break;
    case 't':
        request->csv.time = optarg;
        break;
    case 'c':
        ok = take_mapping(&request->csv, optarg);
        break;
    case 'd':
        ok = take_delimiter(&request->csv, optarg);
        break;
    default:
        ok = take_period(&request->csv, optarg);
    }
    if (!ok) {
        fprintf(stderr, "sluice replay: %s, found '%s'\n", expected[option], optarg);
    }
    return ok;
}

static int load_rules(struct request *request)
{
    static struct config_errors errors;
    static struct server_plan plan;
    struct config_file file;
    int code = config_load(&file, request->rules, &errors);
    if (code == 0) {
        code = compile_config(&file, &plan, &errors);
    }
    config_unload(&file);
    if (code != 0) {
        fputs(errors.text, stderr);
        fprintf(stderr, "sluice replay: %s: %u error%s, nothing replayed\n", request->rules, errors.count,
                errors.count == 1 ? "" : "s");
        return EXIT_USAGE;
    }
    request->table = plan.table;
    return EXIT_DONE;
}

static int replay_directory(const struct request *request, struct replay_result *result, struct error *err)
{
    static struct replay_directory directory;
    static struct control_table recorded; /* outlives the directory: the result is printed later */
    if (request->has_csv_options) {
        return error_set(
            err, -EINVAL,
            "%s is a trip directory: --column, --delimiter, --time, --period-ms and --no-arm are for CSV "
            "files",
            result->path);
    }
    int code = replay_load(&directory, result->path, err);
    if (code != 0) {
        return code;
    }
    result->kind = REPLAY_TRIP;
    for (uint32_t i = 0; i < directory.missing; i++) {
        replay_note(result, "not recorded: %.200s", directory.note[i]);
    }
    if (request->rules != NULL) {
        result->run.arms = request->arm;
        code = replay_rules(&directory.recording, &request->table, result, err);
    } else {
        recorded = *directory.recording.table;
        code = replay_exact(&directory.recording, result, err);
        result->run.table = &recorded;
    }
    result->live_trips = directory.live_trips;
    replay_unload(&directory);
    return code;
}

static int replay_table(const struct request *request, struct replay_result *result, struct error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    if (request->rules == NULL) {
        return error_set(err, -EINVAL, "%s is no trip directory; a CSV file needs --rules FILE", result->path);
    }
    if ((request->csv.time == NULL) == (request->csv.period_ns == 0)) {
        return error_set(err, -EINVAL, "a CSV file needs either --time COLUMN or --period-ms N");
    }
    int code = replay_read_file(result->path, CSV_BYTES_MAX, &text, &bytes, err);
    if (code != 0) {
        return code;
    }
    result->kind = REPLAY_CSV;
    result->run.arms = !request->no_arm;
    code = replay_csv(text, bytes, &request->csv, &request->table, result, err);
    free(text);
    return code;
}

static int replay_one(const struct request *request, const char *path, struct replay_result *result)
{
    struct error err = {{0}};
    struct stat st;
    memset(result, 0, sizeof(*result));
    result->path = path;
    bool is_directory = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    int code = is_directory ? replay_directory(request, result, &err) : replay_table(request, result, &err);
    if (code != 0) {
        return fail(err.text, EXIT_USAGE);
    }
    return result->exact && (!result->identical || result->compared == 0) ? EXIT_NOT_SO : EXIT_DONE;
}

/* One in full, several in a table: in the order given, and the worst of their exit codes. */
static int replay_all(const struct request *request, int count, char **paths)
{
    static struct replay_result result;
    json_t *list = json_array();
    int worst = EXIT_DONE;
    bool header = true;
    for (int i = 0; i < count; i++) {
        int code = replay_one(request, paths[i], &result);
        worst = code > worst ? code : worst;
        if (code == EXIT_USAGE) {
            continue;
        }
        if (request->json) {
            json_array_append_new(list, replay_json(&result));
        } else if (count == 1) {
            replay_print(&result);
        } else {
            replay_print_row(&result, header);
            header = false;
        }
    }
    if (request->json) {
        json_t *all =
            json_pack("{s:o, s:o}", "rules", request->rules != NULL ? json_string(request->rules) : json_null(),
                      "recordings", list);
        json_dumpf(all, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(all);
    } else {
        json_decref(list);
    }
    return worst;
}

int command_replay(int argc, char **argv)
{
    static const struct option options[] = {
        {"rules", required_argument, NULL, 'r'},  {"arm", no_argument, NULL, 'a'},
        {"no-arm", no_argument, NULL, 'n'},       {"json", no_argument, NULL, 'j'},
        {"column", required_argument, NULL, 'c'}, {"delimiter", required_argument, NULL, 'd'},
        {"time", required_argument, NULL, 't'},   {"period-ms", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    static struct request request = {.csv = {.delimiter = ','}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            return usage(stdout, EXIT_DONE);
        }
        if (option == '?') {
            return usage(stderr, EXIT_USAGE);
        }
        if (!take_option(&request, option)) {
            return EXIT_USAGE;
        }
    }
    if (optind == argc || (request.arm && request.rules == NULL)) {
        return usage(stderr, EXIT_USAGE);
    }
    if (request.rules != NULL && load_rules(&request) != EXIT_DONE) {
        return EXIT_USAGE;
    }
    return replay_all(&request, argc - optind, argv + optind);
}
