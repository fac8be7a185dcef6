/* Readers in Python. The script is carried inside, so that what is installed needs no source tree. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/net_process.h"
#include "bench/readers_rig.h"

__asm__(".section .rodata\n"
        ".balign 16\n"
        ".local readers_script\n"
        "readers_script:\n"
        ".incbin \"" READERS_SCRIPT "\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char readers_script[];

#define PYTHON       "/usr/bin/python3"
#define PATH_BYTES   ((size_t)512)
#define NUMBER_BYTES 24

/* From the folder of our own program: beside it in a build, below the same prefix where it is installed. */
static const char *const packages[] = {"../python", "../lib/python3/dist-packages"};
static const char *const libraries[] = {"../lib/libsluice.so.0", "../" READERS_LIBDIR "/libsluice.so.0"};

static int folder_of_program(char folder[PATH_BYTES])
{
    ssize_t n = readlink("/proc/self/exe", folder, PATH_BYTES - 1);
    folder[n > 0 ? n : 0] = 0;
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        return -ENOENT;
    }
    *slash = 0;
    return 0;
}

static int find_package(char path[2 * PATH_BYTES], struct error *err)
{
    char folder[PATH_BYTES];
    char file[3 * PATH_BYTES];
    if (folder_of_program(folder) != 0) {
        return error_set(err, -ENOTSUP, "/proc/self/exe does not say where this program lies");
    }
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
        snprintf(path, 2 * PATH_BYTES, "%s/%s", folder, packages[i]);
        snprintf(file, sizeof(file), "%s/sluice/__init__.py", path);
        if (access(file, R_OK) == 0) {
            return 0;
        }
    }
    return error_set(err, -ENOTSUP,
                     "expected the Python package sluice in %.150s/%s or %s, found none; build or install it",
                     folder, packages[0], packages[1]);
}

int readers_python_ready(enum readers_by by, struct error *err)
{
    char package[2 * PATH_BYTES];
    if (access(PYTHON, X_OK) != 0) {
        return error_set(err, -ENOTSUP, "expected " PYTHON ", cannot run it: %s", strerror(errno));
    }
    return by == READERS_BY_PYTHON ? find_package(package, err) : 0;
}

pid_t readers_python_start(const struct readers_rig *rig, uint32_t reader, struct error *err)
{
    const struct readers_path *path = rig->path;
    char folder[PATH_BYTES];
    char package[2 * PATH_BYTES] = "";
    char candidates[4 * PATH_BYTES];
    char numbers[5][NUMBER_BYTES];
    int code = folder_of_program(folder);
    if (code == 0 && path->by == READERS_BY_PYTHON) {
        code = find_package(package, err);
    }
    if (code != 0) {
        return code;
    }
    snprintf(candidates, sizeof(candidates), "%s/%s:%s/%s:libsluice.so.0", folder, libraries[0], folder,
             libraries[1]);
    snprintf(numbers[0], NUMBER_BYTES, "%g", rig->question->seconds);
    snprintf(numbers[1], NUMBER_BYTES, "%u", path->batch);
    snprintf(numbers[2], NUMBER_BYTES, "%llu", (unsigned long long)(path->frames > 0 ? path->frames : path->slots));
    snprintf(numbers[3], NUMBER_BYTES, "%u", reader);
    snprintf(numbers[4], NUMBER_BYTES, "%d", rig->writer_core);
    /* Isolated: no folder that happens to be the current one has modules for it. */
    const char *argv[] = {
        PYTHON,           "-I",         "-B",       "-c",       readers_script, path->mode, package,    candidates,
        READERS_INSTANCE, READERS_RING, numbers[0], numbers[1], numbers[2],     numbers[3], numbers[4], NULL};
    struct net_process process = {
        .argv = argv, .core = rig->reader_core, .in = -1, .out = -1, .shared = rig->pages.fd, .search = true};
    return net_process_start(&process, err);
}
