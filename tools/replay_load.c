/* A trip directory from the disk: trip.json says which files there are, how large and what their checksums are. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/replay.h"

#define JSON_BYTES_MAX ((size_t)4 << 20)
#define FILE_BYTES_MAX ((size_t)1 << 40)

static int read_all(int fd, char *data, size_t bytes)
{
    size_t n = 0;
    while (n < bytes) {
        ssize_t got = read(fd, data + n, bytes - n);
        if (got <= 0) {
            return got < 0 ? -errno : -EIO;
        }
        n += (size_t)got;
    }
    return 0;
}

int replay_read_file(const char *path, size_t bytes_max, char **data, size_t *bytes, struct error *err)
{
    struct stat st;
    char *at = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int code = fd < 0 || fstat(fd, &st) != 0 ? -errno : 0;
    if (code == 0 && (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > bytes_max)) {
        code = -EFBIG;
        error_set(err, code, "expected a file of at most %zu bytes, found %s: %s", bytes_max,
                  S_ISREG(st.st_mode) ? "a larger one" : "something else", path);
    } else if (code == 0) {
        at = malloc((size_t)st.st_size + 1);
        code = at != NULL ? read_all(fd, at, (size_t)st.st_size) : -ENOMEM;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (code != 0) {
        free(at);
        return code == -EFBIG ? code : error_set(err, code, "cannot read %s: %s", path, strerror(-code));
    }
    at[st.st_size] = 0;
    *data = at;
    *bytes = (size_t)st.st_size;
    return 0;
}

static const json_t *find_file(const json_t *trip, const char *name)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(json_object_get(trip, "files"), i, entry)
    {
        const char *found = json_string_value(json_object_get(entry, "name"));
        if (found != NULL && strcmp(found, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* One file, its size and checksum as trip.json has them. */
static int take_file(struct replay_directory *directory, const char *path, const json_t *trip, const char *name,
                     struct error *err)
{
    char full[1024];
    char sum[20];
    char *data = NULL;
    size_t bytes = 0;
    const json_t *entry = find_file(trip, name);
    if (entry == NULL) {
        return error_set(err, -EPROTO, "%s: trip.json does not list %s", path, name);
    }
    snprintf(full, sizeof(full), "%s/%s", path, name);
    int code = replay_read_file(full, FILE_BYTES_MAX, &data, &bytes, err);
    if (code != 0) {
        return code;
    }
    directory->data[directory->files] = data;
    directory->file[directory->files++] = (struct blackbox_bytes){.data = data, .bytes = bytes};
    snprintf(sum, sizeof(sum), "%016" PRIx64, blackbox_checksum(BLACKBOX_CHECKSUM_START, data, bytes));
    const char *wanted = json_string_value(json_object_get(entry, "checksum"));
    json_int_t size = json_integer_value(json_object_get(entry, "bytes"));
    if (size < 0 || (uint64_t)size != bytes || wanted == NULL || strcmp(wanted, sum) != 0) {
        return error_set(err, -EPROTO,
                         "%s: expected %" PRIu64
                         " bytes with checksum %s as trip.json says, found %zu with %s: the file "
                         "was changed or damaged",
                         full, (uint64_t)size, wanted != NULL ? wanted : "?", bytes, sum);
    }
    return 0;
}

static int take_rings(struct replay_directory *directory, const char *path, const json_t *trip, struct error *err)
{
    size_t i;
    const json_t *ring;
    const json_t *rings = json_object_get(trip, "rings");
    if (json_array_size(rings) > CONTROL_RINGS_MAX) {
        return error_set(err, -EPROTO, "%s: expected at most %u rings in trip.json, found %zu", path,
                         CONTROL_RINGS_MAX, json_array_size(rings));
    }
    json_array_foreach(rings, i, ring)
    {
        const char *name = json_string_value(json_object_get(ring, "file"));
        if (name == NULL || strchr(name, '/') != NULL) {
            return error_set(err, -EPROTO, "%s: trip.json names no file for ring %zu", path, i);
        }
        int code = take_file(directory, path, trip, name, err);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static int take_files(struct replay_directory *directory, const char *path, const json_t *trip, struct error *err)
{
    json_int_t first = json_integer_value(json_object_get(json_object_get(trip, "journal"), "first"));
    json_int_t format = json_integer_value(json_object_get(trip, "format"));
    if (format != (json_int_t)BLACKBOX_VERSION) {
        return error_set(err, -EPROTO,
                         "%s: expected format %u in trip.json, found %" PRId64
                         "; replay it with the release that wrote it",
                         path, BLACKBOX_VERSION, (int64_t)format);
    }
    int code = take_file(directory, path, trip, BLACKBOX_TABLE_FILE, err);
    if (code == 0) {
        code = take_file(directory, path, trip, BLACKBOX_CHECKPOINT_FILE, err);
    }
    if (code == 0) {
        code = take_file(directory, path, trip, BLACKBOX_JOURNAL_FILE, err);
    }
    if (code == 0) {
        code = take_rings(directory, path, trip, err);
    }
    if (code == 0) {
        struct error inner = {{0}};
        code = blackbox_open(&directory->recording, &directory->file[0], &directory->file[1], &directory->file[2],
                             first > 0 ? (uint64_t)first : 0, &directory->file[3], directory->files - 3, &inner);
        if (code != 0) {
            error_set(err, code, "%s: %s", path, inner.text);
        }
    }
    return code;
}

int replay_load(struct replay_directory *directory, const char *path, struct error *err)
{
    char full[1024];
    char *text = NULL;
    size_t bytes = 0;
    size_t i;
    const json_t *missing;
    json_error_t wrong;
    *directory = (struct replay_directory){.files = 0};
    snprintf(full, sizeof(full), "%s/" BLACKBOX_TRIP_FILE, path);
    int code = replay_read_file(full, JSON_BYTES_MAX, &text, &bytes, err);
    if (code != 0) {
        return code;
    }
    json_t *trip = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &wrong);
    free(text);
    if (!json_is_object(trip)) {
        json_decref(trip);
        return error_set(err, -EPROTO, "%s:%d: expected an object in JSON: %.200s", full, wrong.line, wrong.text);
    }
    code = take_files(directory, path, trip, err);
    directory->live_trips = json_array_size(json_object_get(trip, "trips"));
    json_array_foreach(json_object_get(trip, "missing"), i, missing)
    {
        const char *said = json_string_value(missing);
        if (said != NULL && directory->missing < REPLAY_NOTES_MAX) {
            snprintf(directory->note[directory->missing++], REPLAY_TEXT_BYTES, "%s", said);
        }
    }
    json_decref(trip);
    if (code != 0) {
        replay_unload(directory);
    }
    return code;
}

void replay_unload(struct replay_directory *directory)
{
    blackbox_close(&directory->recording);
    for (uint32_t i = 0; i < directory->files; i++) {
        free(directory->data[i]);
    }
    directory->files = 0;
}
