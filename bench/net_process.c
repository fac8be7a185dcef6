#include "bench/net_process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/measure.h"

#define END_NS CLOCK_NS_PER_S /* until SIGTERM is followed by SIGKILL */

void net_rest_us(long us)
{
    clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* Beside our own executable. */
static int path_of(const char *name, char *path, size_t bytes)
{
    ssize_t n = readlink("/proc/self/exe", path, bytes - 1);
    if (n < 0) {
        return -errno;
    }
    path[n] = 0;
    size_t folder = (size_t)(strrchr(path, '/') - path) + 1;
    int more = snprintf(path + folder, bytes - folder, "%s", name);
    return (size_t)more < bytes - folder ? 0 : -ENAMETOOLONG;
}

_Noreturn static void become(const struct net_process *p, const char *path, pid_t parent)
{
    char *const *argv;
    memcpy(&argv, &p->argv, sizeof(argv)); /* exec changes none of it, and has no const */
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    int in = fcntl(p->in >= 0 ? p->in : nothing, F_DUPFD_CLOEXEC, 10);
    int out = fcntl(p->out >= 0 ? p->out : STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    int shared = p->shared >= 0 ? fcntl(p->shared, F_DUPFD_CLOEXEC, 10) : -1;
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
    if (getppid() != parent || (p->namespace > 0 && setns(p->namespace, CLONE_NEWNET) != 0) ||
        (p->core >= 0 && pin_to(p->core) != 0) || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        (shared >= 0 && dup2(shared, 3) < 0)) {
        _exit(126);
    }
    if (p->search) {
        execvp(path, argv);
    } else {
        execv(path, argv);
    }
    _exit(127);
}

pid_t net_process_start(const struct net_process *process, struct error *err)
{
    char path[512];
    int code = 0;
    if (process->search) {
        snprintf(path, sizeof(path), "%s", process->argv[0]);
    } else {
        code = path_of(process->argv[0], path, sizeof(path));
        code = code == 0 && access(path, X_OK) != 0 ? -errno : code;
    }
    if (code != 0) {
        return error_set(err, code, "expected the program %s next to sluice-bench, cannot run it: %s",
                         process->argv[0], strerror(-code));
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become(process, path, parent);
    }
    return pid > 0 ? pid : error_set(err, -errno, "fork: %s", strerror(errno));
}

bool net_process_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

void net_process_end(pid_t pid)
{
    if (pid <= 0) {
        return;
    }
    uint64_t from_ns = clock_monotonic_ns();
    kill(pid, SIGTERM);
    while (!net_process_ended(pid) && clock_monotonic_ns() - from_ns < END_NS) {
        net_rest_us(1000);
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}
