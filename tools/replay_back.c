/* sluice replay without rings: what the interlock decided, or would have decided, on what was recorded. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daq/compile.h"
#include "tools/replay_command.h"
#include "tools/replay_summary.h"
#include "tools/session.h"

#define CSV_BYTES_MAX ((size_t)1 << 30)

static struct control_table rules_table; /* of the rules that are tried */

static int load_rules(const char *path, bool elsewhere, struct error *err)
{
    static struct config_errors errors;
    static struct server_plan plan;
    struct config_file file;
    memset(&errors, 0, sizeof(errors));
    int code = config_load(&file, path, &errors);
    if (code == 0) {
        code = elsewhere ? compile_elsewhere(&file, NULL, &plan, &errors) : compile_config(&file, &plan, &errors);
    }
    config_unload(&file);
    if (code != 0) {
        fputs(errors.text, stderr);
        return error_set(err, -EINVAL, "%s: %u error%s, nothing replayed", path, errors.count,
                         errors.count == 1 ? "" : "s");
    }
    rules_table = plan.table;
    return 0;
}

int replay_own_config(const struct record_set *set, int *fd, char path[64], struct error *err)
{
    size_t bytes;
    const char *text = record_config(set, &bytes);
    if (bytes == 0) {
        return error_set(err, -ENOENT, "there is no configuration in this recording; give one");
    }
    *fd = memfd_create("config.yaml", 0);
    if (*fd < 0 || write(*fd, text, bytes) != (ssize_t)bytes) {
        return error_set(err, -errno, "no memory for the recording's configuration: %s", strerror(errno));
    }
    snprintf(path, 64, "/proc/self/fd/%d", *fd);
    return 0;
}

static int load_own_rules(const struct record_set *set, struct error *err)
{
    char path[64];
    int fd = -1;
    int code = replay_own_config(set, &fd, path, err);
    if (code == 0) {
        code = load_rules(path, true, err);
    }
    if (fd >= 0) {
        close(fd);
    }
    return code;
}

static int back_trip(const struct replay_request *request, struct replay_result *result, struct error *err)
{
    static struct replay_directory directory;
    static struct control_table recorded; /* outlives the directory: the result is printed later */
    if ((request->seen & REPLAY_OPTION_CSV) != 0 || request->no_arm || request->own_rules) {
        return error_set(err, -EINVAL,
                         "%s is a trip directory: --column, --delimiter, --time, --period-ms and --no-arm are for "
                         "CSV files, --no-arm and --own-rules for recordings",
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
        code = replay_rules(&directory.recording, &rules_table, result, err);
    } else {
        recorded = *directory.recording.table;
        code = replay_exact(&directory.recording, result, err);
        result->run.table = &recorded;
    }
    result->live_trips = directory.live_trips;
    replay_unload(&directory);
    return code;
}

static int back_recording(const struct replay_request *request, const struct replay_group *group,
                          struct replay_result *result, struct error *err)
{
    struct record_set *set;
    if ((request->seen & REPLAY_OPTION_CSV) != 0) {
        return error_set(err, -EINVAL,
                         "%s is a recording: --column, --delimiter, --time and --period-ms are for CSV files",
                         result->path);
    }
    int code = record_open(&set, (const char *const *)group->path, group->paths, err);
    if (code != 0) {
        return code;
    }
    code = request->own_rules ? load_own_rules(set, err) : 0;
    if (code == 0) {
        result->kind = REPLAY_RECORDING;
        result->run.arms = !request->no_arm;
        code = replay_recording(set, &rules_table, result, err);
    }
    record_close(set);
    return code;
}

static int back_table(const struct replay_request *request, struct replay_result *result, struct error *err)
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
    code = replay_csv(text, bytes, &request->csv, &rules_table, result, err);
    free(text);
    return code;
}

static int back_one(const struct replay_request *request, const struct replay_group *group,
                    struct replay_result *result)
{
    struct error err = {{0}};
    memset(result, 0, sizeof(*result));
    result->path = group->path[0];
    int code = group->kind == REPLAY_PATH_TRIP        ? back_trip(request, result, &err)
               : group->kind == REPLAY_PATH_RECORDING ? back_recording(request, group, result, &err)
                                                      : back_table(request, result, &err);
    if (code != 0) {
        char text[ERROR_TEXT_BYTES + 256];
        snprintf(text, sizeof(text), "%.200s%s%s", group->kind == REPLAY_PATH_RECORDING ? result->path : "",
                 group->kind == REPLAY_PATH_RECORDING ? ": " : "", err.text);
        return replay_fail(text, EXIT_USAGE);
    }
    return result->exact && (!result->identical || result->compared == 0) ? EXIT_NOT_SO : EXIT_DONE;
}

static void print_json(const struct replay_request *request, json_t *list)
{
    json_t *all =
        json_pack("{s:o, s:o, s:o}", "rules", request->rules != NULL ? json_string(request->rules) : json_null(),
                  "recordings", list, "nearest", (json_t *)replay_summary_json());
    json_dumpf(all, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(all);
}

/* One in full, several in a table: in the order given, and the worst of their exit codes. */
static int back_all(const struct replay_request *request, const struct replay_groups *groups)
{
    static struct replay_result result;
    json_t *list = json_array();
    int worst = EXIT_DONE;
    bool header = true;
    for (uint32_t i = 0; i < groups->count; i++) {
        int code = back_one(request, &groups->group[i], &result);
        worst = code > worst ? code : worst;
        if (code == EXIT_USAGE) {
            continue;
        }
        replay_summary_add(&result);
        if (request->json) {
            json_array_append_new(list, replay_json(&result));
        } else if (groups->count == 1) {
            replay_print(&result);
        } else {
            replay_print_row(&result, header);
            header = false;
        }
    }
    if (request->json) {
        print_json(request, list);
    } else {
        json_decref(list);
        if (groups->count > 1 && request->rules != NULL) {
            replay_summary_print();
        }
    }
    return worst;
}

int replay_back(const struct replay_request *request, struct replay_groups *groups)
{
    struct error err = {{0}};
    if (request->rules != NULL && load_rules(request->rules, false, &err) != 0) {
        return replay_fail(err.text, EXIT_USAGE);
    }
    return back_all(request, groups);
}
