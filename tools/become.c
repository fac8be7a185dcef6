#include "tools/become.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/session.h"

#define NAME_BYTES 32u

int become_command(const char *command, char **argv)
{
    char path[512];
    char program[NAME_BYTES];
    snprintf(program, sizeof(program), "sluice-%s", command);
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - NAME_BYTES);
    if (n < 0) {
        fprintf(stderr, "sluice %s: cannot find %s: /proc is not mounted\n", command, program);
        return EXIT_USAGE;
    }
    path[n] = 0;
    char *slash = strrchr(path, '/');
    char *name = slash != NULL ? slash + 1 : path;
    snprintf(name, sizeof(path) - (size_t)(name - path), "%s", program);
    execv(path, argv);
    fprintf(
        stderr,
        "sluice %s: expected %s at %s: %s; build it (cmake --build --preset release --target %s), or install it "
        "beside sluice\n",
        command, program, path, strerror(errno), program);
    return EXIT_USAGE;
}
