#include "tools/replay_paths.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/blackbox_format.h"
#include "daq/record_format.h"

#define PATH_BYTES     4096
#define GROUPS_MAX     100000u
#define SEGMENT_DIGITS 6u

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static bool has(const char *directory, const char *name)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s/%s", directory, name);
    return n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0;
}

/* NAME.000000.slr, NAME.000000.0.slr: a trip directory has files of the same suffix. */
static int is_segment(const struct dirent *entry)
{
    const char *digits = strchr(entry->d_name, '.');
    bool found = false;
    for (; digits != NULL && ends_with(entry->d_name, RECORD_SUFFIX); digits = strchr(digits + 1, '.')) {
        found = found || (strspn(digits + 1, "0123456789") == SEGMENT_DIGITS && digits[1 + SEGMENT_DIGITS] == '.');
    }
    return found;
}

static int is_no_dot(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool is_run(const char *directory)
{
    struct dirent **names = NULL;
    if (has(directory, RECORD_RUN_FILE)) {
        return true;
    }
    int count = scandir(directory, &names, is_segment, alphasort);
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
    return count > 0;
}

/* One directory, without looking into those below. */
static enum replay_path_kind kind_of_directory(const char *path)
{
    bool is_trip = has(path, "trip.json") || has(path, BLACKBOX_TABLE_FILE); /* one of them may be gone */
    return is_trip ? REPLAY_PATH_TRIP : is_run(path) ? REPLAY_PATH_RECORDING : REPLAY_PATH_NOTHING;
}

/* Names in a directory, in order. -errno, or how many; each and the array are to be freed. */
static int list(const char *path, struct dirent ***names)
{
    int count = scandir(path, names, is_no_dot, alphasort);
    return count < 0 ? -errno : count;
}

static void free_names(struct dirent **names, int count)
{
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum replay_path_kind replay_path_kind(const char *path)
{
    char below[PATH_BYTES];
    struct dirent **names = NULL;
    if (!is_directory(path)) {
        return ends_with(path, RECORD_SUFFIX) ? REPLAY_PATH_RECORDING : REPLAY_PATH_FILE;
    }
    enum replay_path_kind kind = kind_of_directory(path);
    int count = kind == REPLAY_PATH_NOTHING ? list(path, &names) : 0;
    for (int i = 0; i < count && kind == REPLAY_PATH_NOTHING; i++) {
        snprintf(below, sizeof(below), "%s/%s", path, names[i]->d_name);
        if (is_directory(below) && kind_of_directory(below) != REPLAY_PATH_NOTHING) {
            kind = REPLAY_PATH_RUNS;
        }
    }
    free_names(names, count);
    return kind;
}

const char *replay_path_kind_name(enum replay_path_kind kind)
{
    switch (kind) {
    case REPLAY_PATH_TRIP:
        return "a trip directory";
    case REPLAY_PATH_RECORDING:
        return "a recording";
    case REPLAY_PATH_RUNS:
        return "a directory of many runs";
    case REPLAY_PATH_NOTHING:
        return "a directory without a run.json, a trip.json or a " RECORD_SUFFIX " file";
    default:
        return "a file";
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A path without slashes at its end. */
static char *copy_path(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    return strndup(path, n);
}

static bool is_part_of(const struct replay_group *group, const char *path, bool file)
{
    if (group->kind != REPLAY_PATH_RECORDING || group->paths == REPLAY_GROUP_MAX) {
        return false;
    }
    bool group_file = !is_directory(group->path[0]);
    if (file || group_file) {
        return file && group_file; /* single files are of one run: record_open says if they are not */
    }
    return strcmp(base_name(group->path[0]), base_name(path)) == 0;
}

static int add(struct replay_groups *groups, const char *path, enum replay_path_kind kind)
{
    char *copy = copy_path(path);
    bool file = !is_directory(path);
    if (copy == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; kind == REPLAY_PATH_RECORDING && i < groups->count; i++) {
        if (is_part_of(&groups->group[i], copy, file)) {
            groups->group[i].path[groups->group[i].paths++] = copy;
            return 0;
        }
    }
    struct replay_group *more =
        groups->count < GROUPS_MAX ? realloc(groups->group, (groups->count + 1) * sizeof(*more)) : NULL;
    if (more == NULL) {
        free(copy);
        return -ENOMEM;
    }
    groups->group = more;
    groups->group[groups->count++] = (struct replay_group){.kind = kind, .path = {copy}, .paths = 1};
    return 0;
}

static int add_runs(struct replay_groups *groups, const char *path)
{
    char below[PATH_BYTES];
    struct dirent **names = NULL;
    int count = list(path, &names);
    int code = count < 0 ? count : 0;
    for (int i = 0; i < count && code == 0; i++) {
        snprintf(below, sizeof(below), "%s/%s", path, names[i]->d_name);
        enum replay_path_kind kind = is_directory(below) ? kind_of_directory(below) : REPLAY_PATH_NOTHING;
        code = kind != REPLAY_PATH_NOTHING ? add(groups, below, kind) : 0;
    }
    free_names(names, count);
    return code;
}

int replay_groups_find(struct replay_groups *groups, char *const *paths, int count, struct error *err)
{
    *groups = (struct replay_groups){.group = NULL};
    for (int i = 0; i < count; i++) {
        enum replay_path_kind kind = replay_path_kind(paths[i]);
        if (kind == REPLAY_PATH_NOTHING) {
            return error_set(err, -ENOENT, "expected a recording or a directory of recordings, found %s: %s",
                             replay_path_kind_name(kind), paths[i]);
        }
        int code = kind == REPLAY_PATH_RUNS ? add_runs(groups, paths[i]) : add(groups, paths[i], kind);
        if (code != 0) {
            return error_set(err, code, "cannot look into %s: %s", paths[i], strerror(-code));
        }
    }
    return 0;
}

void replay_groups_free(struct replay_groups *groups)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        for (uint32_t p = 0; p < groups->group[i].paths; p++) {
            free(groups->group[i].path[p]);
        }
    }
    free(groups->group);
    *groups = (struct replay_groups){.group = NULL};
}
