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

#include "bench/plan.h"

#define GRACE_MS 3000

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

/* Sleeps until the child has ended: a parent that polled would disturb what is measured. Who breaks the bench off
 * waits for GRACE_MS only, in which most measurements end and take along what they made. */
static void sleep_until_end(int fd, pid_t pid, double limit_s)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = plan_stop_fd(), .events = POLLIN}};
    int limit_ms = (int)(limit_s * 1000);
    int ready = 0;
    bool broken_off = false;
    do {
        ready = poll(p, broken_off ? 1 : 2, broken_off ? GRACE_MS : limit_ms);
        if (!broken_off && ready > 0 && p[1].revents != 0) {
            broken_off = true;
            kill(pid, SIGTERM); /* plan_stopped() there; who does not look does not care */
        }
    } while ((ready < 0 && errno == EINTR) || (ready > 0 && p[0].revents == 0));
    if (ready == 0) {
        kill(-pid, SIGKILL);
    }
}

static int wait_for(pid_t pid, double limit_s)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0) {
        sleep_until_end(fd, pid, limit_s);
        close(fd);
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
