#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"

uint32_t frames_per_call(const struct link_spec *spec)
{
    uint32_t n = 16384 / spec->size_bytes;
    n = n > 64 ? 64 : n < 1 ? 1 : n;
    return n < spec->batch ? spec->batch : n / spec->batch * spec->batch;
}

_Noreturn static void be_child(const struct question *question, struct outcome *outcome)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    outcome->stall_us = -1;
    question->body(question, outcome);
    _exit(0);
}

/* Sleeps until the child has ended: a parent that polled would disturb what is measured. */
static int wait_for(pid_t pid, double limit_s)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready;
        do {
            ready = poll(&p, 1, (int)(limit_s * 1000));
        } while (ready < 0 && errno == EINTR);
        close(fd);
        if (ready == 0) {
            kill(-pid, SIGKILL);
        }
    }
    siginfo_t end;
    while (waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    kill(-pid, SIGKILL); /* what it may have left behind, while nobody else can have the number */
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

void measure_in_child(const struct question *question, double limit_s, struct outcome *outcome)
{
    *outcome = (struct outcome){.code = -ECHILD};
    struct outcome *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        outcome->code = error_set(&outcome->err, -errno, "mmap of a page: %s", strerror(errno));
        return;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        be_child(question, shared);
    }
    int status = pid > 0 ? wait_for(pid, limit_s) : 0;
    if (pid < 0) {
        outcome->code = error_set(&outcome->err, -errno, "fork: %s", strerror(errno));
    } else if (WIFSIGNALED(status)) {
        outcome->code =
            error_set(&outcome->err, -ECHILD,
                      "expected an end within %.0f s, found signal %d; SIGKILL (9) means it took longer", limit_s,
                      WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        outcome->code = error_set(&outcome->err, -ECHILD, "expected exit status 0, found %d", WEXITSTATUS(status));
    } else {
        *outcome = *shared;
    }
    munmap(shared, sizeof(*shared));
}
