/* Which servers run here. Cold. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/protocol.h"

struct found {
    char (*names)[RING_NAME_BYTES];
    uint32_t max;
    uint32_t count;
};

/* A socket that nobody listens on is what a server that was killed left. */
static bool runs(const char *name)
{
    struct error err = {{0}};
    int fd = protocol_connect(name, &err);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 || fd == -EACCES || fd == -ETIMEDOUT;
}

static bool is_known(const struct found *found, const char *name)
{
    for (uint32_t i = 0; i < found->count && i < found->max; i++) {
        if (strcmp(found->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void look_in(const char *directory, struct found *found)
{
    DIR *d = opendir(directory);
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        size_t length = strlen(e->d_name);
        if (e->d_name[0] == '.' || length >= RING_NAME_BYTES || is_known(found, e->d_name) || !runs(e->d_name)) {
            continue;
        }
        if (found->count < found->max) {
            memcpy(found->names[found->count], e->d_name, length + 1);
        }
        found->count++;
    }
    if (d != NULL) {
        closedir(d);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

uint32_t protocol_instances(char names[][RING_NAME_BYTES], uint32_t max)
{
    struct found found = {.names = names, .max = max};
    struct error err = {{0}};
    char directory[256];
    if (protocol_run_dir(directory, sizeof(directory), "", &err) == 0) {
        look_in(directory, &found);
    }
    if (getenv("SLUICE_RUN_DIR") == NULL && geteuid() != 0) {
        look_in("/run/sluice", &found);
    }
    qsort(names, found.count < max ? found.count : max, RING_NAME_BYTES, by_name);
    return found.count;
}

static int refuse_number(char names[][RING_NAME_BYTES], uint32_t count, struct error *err)
{
    char text[256] = "";
    char directory[256] = "the run directory";
    struct error ignored = {{0}};
    size_t n = 0;
    for (uint32_t i = 0; i < count && i < PROTOCOL_INSTANCES_MAX && n < sizeof(text); i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    if (count > 0) {
        return error_set(err, -E2BIG, "%u servers run (%s); say which one", count, text);
    }
    (void)protocol_run_dir(directory, sizeof(directory), "", &ignored);
    return error_set(err, -ENOENT,
                     "expected a running server under %s, found none; start one with: sluiced FILE.yaml",
                     directory);
}

int protocol_choose(const char *given, char name[RING_NAME_BYTES], struct error *err)
{
    char found[PROTOCOL_INSTANCES_MAX][RING_NAME_BYTES];
    if (given != NULL) {
        if (given[0] == 0 || strlen(given) >= RING_NAME_BYTES || strchr(given, '/') != NULL) {
            return error_set(err, -EINVAL, "expected an instance's name of 1 to %u characters, found '%s'",
                             RING_NAME_BYTES - 1, given);
        }
        snprintf(name, RING_NAME_BYTES, "%s", given);
        return 0;
    }
    uint32_t count = protocol_instances(found, PROTOCOL_INSTANCES_MAX);
    if (count != 1) {
        return refuse_number(found, count, err);
    }
    memcpy(name, found[0], RING_NAME_BYTES);
    return 0;
}
