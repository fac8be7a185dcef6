/* The files of a recording: what a user names, and what lies in directories. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/record_set.h"

#define TEXT_BYTES_MAX RECORD_DESCRIPTION_BYTES_MAX
#define TRIP_PREFIX    "ring-" /* of ring files in trip directories, whose suffix is the same */

static int add(struct record_set *set, const char *directory, const char *name, struct error *err)
{
    if (set->files >= RECORD_FILES_MAX) {
        return error_set(err, -EPROTO, "expected at most %u files in a recording, found more", RECORD_FILES_MAX);
    }
    if (set->files == set->file_room) {
        uint32_t room = set->file_room != 0 ? 2 * set->file_room : 16;
        struct record_found *file = realloc(set->file, room * sizeof(*file));
        if (file == NULL) {
            return error_set(err, -ENOMEM, "no memory for the list of files");
        }
        set->file = file;
        set->file_room = room;
    }
    struct record_found *found = &set->file[set->files];
    memset(found, 0, sizeof(*found));
    size_t bytes = (directory != NULL ? strlen(directory) + 1 : 0) + strlen(name) + 1;
    found->path = malloc(bytes);
    if (found->path == NULL) {
        return error_set(err, -ENOMEM, "no memory for the list of files");
    }
    snprintf(found->path, bytes, "%s%s%s", directory != NULL ? directory : "", directory != NULL ? "/" : "", name);
    found->file.path = found->path;
    set->files++;
    return 0;
}

static bool is_file_of_recording(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    size_t suffix = strlen(RECORD_SUFFIX);
    return entry->d_name[0] != '.' && length > suffix &&
           strcmp(entry->d_name + length - suffix, RECORD_SUFFIX) == 0;
}

static bool has_recording(const char *directory, const char *name)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path)) {
        return false;
    }
    DIR *d = opendir(path);
    bool found = false;
    for (struct dirent *entry; d != NULL && !found && (entry = readdir(d)) != NULL;) {
        found = is_file_of_recording(entry);
    }
    if (d != NULL) {
        closedir(d);
    }
    return found;
}

/* Nothing in it: perhaps it is the directory above. */
static int refuse_empty(const char *path, DIR *d, struct error *err)
{
    char example[256] = "";
    unsigned runs = 0;
    rewinddir(d);
    for (struct dirent *entry; runs < 1000 && (entry = readdir(d)) != NULL;) {
        if (entry->d_name[0] != '.' && has_recording(path, entry->d_name)) {
            snprintf(example, sizeof(example), "%.255s", entry->d_name);
            runs++;
        }
    }
    if (runs > 0) {
        return error_set(err, -ENOENT,
                         "%s: expected the directory of one run, found %u of them in it: name one, %.100s%s say",
                         path, runs, example, runs > 1 ? " or another," : ",");
    }
    return error_set(err, -ENOENT, "%s: expected a recording (files *%s), found none in this directory", path,
                     RECORD_SUFFIX);
}

static int add_directory(struct record_set *set, const char *path, struct error *err)
{
    DIR *d = opendir(path);
    if (d == NULL) {
        int code = -errno;
        return error_set(err, code, "cannot read the directory %s: %s", path, strerror(-code));
    }
    uint32_t before = set->files;
    int code = 0;
    for (struct dirent *entry; code == 0 && (entry = readdir(d)) != NULL;) {
        if (is_file_of_recording(entry)) {
            code = add(set, path, entry->d_name, err);
            set->file[set->files - 1].listed = true;
        }
    }
    if (code == 0 && set->files == before) {
        code = refuse_empty(path, d, err);
    }
    closedir(d);
    set->whole = true;
    return code;
}

int record_paths_find(struct record_set *set, const char *const *paths, unsigned count, struct error *err)
{
    set->several = count > 1;
    int code =
        count > 0 ? 0 : error_set(err, -ENOENT, "expected a recording: a directory or files *%s", RECORD_SUFFIX);
    for (unsigned i = 0; code == 0 && i < count; i++) {
        struct stat st;
        if (stat(paths[i], &st) != 0) {
            int why = -errno;
            return error_set(err, why, "%s: expected a recording, found none: %s", paths[i], strerror(-why));
        }
        code = S_ISDIR(st.st_mode) ? add_directory(set, paths[i], err) : add(set, NULL, paths[i], err);
    }
    return code;
}

static int read_text(const char *path, char **text, size_t *bytes, struct error *err)
{
    struct stat st;
    int fd = record_file_open(path, NULL);
    if (fd < 0) {
        return 0; /* not there, or not for us: the files have their own copy */
    }
    int code = 0;
    if (fstat(fd, &st) == 0 && st.st_size > 0 && (uint64_t)st.st_size <= TEXT_BYTES_MAX) {
        *text = malloc((size_t)st.st_size + 1);
        code = *text != NULL ? 0 : error_set(err, -ENOMEM, "no memory for %s", path);
        if (code == 0) {
            *bytes = record_file_read(fd, *text, (uint64_t)st.st_size, 0);
            (*text)[*bytes] = 0;
        }
    }
    close(fd);
    return code;
}

int record_paths_text(const char *const *paths, unsigned count, const char *name, char **text, size_t *bytes,
                      struct error *err)
{
    int code = 0;
    for (unsigned i = 0; code == 0 && *text == NULL && i < count; i++) {
        char path[4096];
        struct stat st;
        if (stat(paths[i], &st) == 0 && S_ISDIR(st.st_mode) &&
            snprintf(path, sizeof(path), "%s/%s", paths[i], name) < (int)sizeof(path)) {
            code = read_text(path, text, bytes, err);
        }
    }
    return code;
}
