#include "tools/gen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/session.h"

#define PROGRAM "sluice-gen"

int command_gen(int argc, char **argv)
{
    char path[512];
    (void)argc;
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(PROGRAM));
    if (n < 0) {
        fprintf(stderr, "sluice gen: cannot find " PROGRAM ": /proc is not mounted\n");
        return EXIT_USAGE;
    }
    path[n] = 0;
    char *slash = strrchr(path, '/');
    memcpy(slash != NULL ? slash + 1 : path, PROGRAM, sizeof(PROGRAM));
    execv(path, argv);
    fprintf(stderr,
            "sluice gen: expected " PROGRAM " at %s: %s; build it (cmake --build --preset release --target " PROGRAM
            "), or install it beside sluice\n",
            path, strerror(errno));
    return EXIT_USAGE;
}
