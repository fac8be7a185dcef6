#include "daq/launch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SCRATCH_FD 300 /* above every number a child is given */

void launch_add(struct launch *launch, int fd, int number, const char *name)
{
    assert(launch->count < LAUNCH_FDS_MAX && number < SCRATCH_FD);
    launch->fds[launch->count++] = (struct launch_fd){.fd = fd, .number = number, .name = name};
}

/* In the child: first out of the way, then to their places, so that no move overwrites a descriptor still needed.
 */
static int place_fds(const struct launch *launch)
{
    int scratch[LAUNCH_FDS_MAX];
    for (unsigned i = 0; i < launch->count; i++) {
        scratch[i] = fcntl(launch->fds[i].fd, F_DUPFD_CLOEXEC, SCRATCH_FD);
        if (scratch[i] < 0) {
            return -errno;
        }
    }
    for (unsigned i = 0; i < launch->count; i++) {
        if (dup2(scratch[i], launch->fds[i].number) < 0) {
            return -errno;
        }
    }
    return 0;
}

static int program_path(const char *program, char *path, size_t bytes)
{
    ssize_t n = readlink("/proc/self/exe", path, bytes - 1);
    if (n < 0) {
        return -errno;
    }
    path[n] = 0;
    char *slash = strrchr(path, '/');
    size_t used = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    int more = snprintf(path + used, bytes - used, "%s", program);
    return more < 0 || (size_t)more >= bytes - used ? -ENAMETOOLONG : 0;
}

pid_t launch_start(const struct launch *launch, struct error *err)
{
    char path[512];
    char arguments[LAUNCH_FDS_MAX][48];
    char *argv[LAUNCH_FDS_MAX + 3];
    unsigned n = 0;
    int code = program_path(launch->program, path, sizeof(path));
    if (code == 0 && access(path, X_OK) != 0) {
        code = -errno;
    }
    if (code != 0) {
        return error_set(err, code, "expected the program %s next to sluiced, cannot run it: %s", launch->program,
                         strerror(-code));
    }
    argv[n++] = path;
    for (unsigned i = 0; i < launch->count; i++) {
        if (launch->fds[i].name != NULL) {
            snprintf(arguments[i], sizeof(arguments[i]), "%s=%d", launch->fds[i].name, launch->fds[i].number);
            argv[n++] = arguments[i];
        }
    }
    if (launch->last_argument != NULL) {
        argv[n++] = launch->last_argument;
    }
    argv[n] = NULL;
    pid_t pid = fork();
    if (pid < 0) {
        return error_set(err, -errno, "cannot start %s: %s", launch->program, strerror(errno));
    }
    if (pid == 0) {
        sigset_t none;
        setpgid(0, 0); /* a terminal's Ctrl-C, Ctrl-\ and Ctrl-Z are for sluiced alone */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (place_fds(launch) == 0) {
            execv(path, argv);
        }
        _exit(127);
    }
    return pid;
}
