#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daq/ways.h"
#include "ring/clock.h"

#define WORDS_MAX 64u
#define GO_NS     CLOCK_NS_PER_S /* that a child has to go by itself */
#define LOOK_NS   (10 * CLOCK_NS_PER_MS)
#define NOT_FOUND 127
#define AGAIN_NS  CLOCK_NS_PER_S /* a program that ends at once is not started again and again */

/* It and what it started are one process group. How it ended is said: it may be all that tells why. */
static bool has_gone(struct opening *opening)
{
    int status = 0;
    pid_t gone = waitpid(opening->child, &status, WNOHANG);
    if (gone == opening->child && WIFEXITED(status) && WEXITSTATUS(status) != 0 && opening->asked_to_go_ns == 0) {
        fprintf(stderr, "source %s: %s ended with status %d\n", opening->plan->name, opening->plan->exec.command,
                WEXITSTATUS(status));
    } else if (gone == opening->child && WIFSIGNALED(status) && opening->asked_to_go_ns == 0) {
        fprintf(stderr, "source %s: %s was ended by signal %d\n", opening->plan->name, opening->plan->exec.command,
                WTERMSIG(status));
    }
    return gone != 0;
}

/* Asks the child to go, later makes it. False: it is still there, try again. */
static bool end_child(struct opening *opening, uint64_t monotonic_ns)
{
    if (opening->child == 0) {
        return true;
    }
    bool gone = has_gone(opening);
    if (!gone && opening->asked_to_go_ns == 0) {
        opening->asked_to_go_ns = monotonic_ns;
        (void)kill(-opening->child, SIGTERM);
    }
    if (!gone && monotonic_ns - opening->asked_to_go_ns < GO_NS) {
        return false;
    }
    (void)kill(-opening->child, SIGKILL); /* what is left of its group too */
    if (!gone) {
        (void)waitpid(opening->child, NULL, 0);
    }
    opening->child = 0;
    opening->asked_to_go_ns = 0;
    return true;
}

static void clear_exec(struct opening *opening)
{
    while (!end_child(opening, clock_monotonic_ns())) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
}

/* In the child. It dies with the worker (in fact with the opener's thread); its standard error is the server's. */
static void become(const struct exec_plan *plan, int out_fd, int told_fd)
{
    char *words[WORDS_MAX + 1];
    char text[PLAN_COMMAND_BYTES];
    char *at = text;
    sigset_t none;
    memcpy(text, plan->command, sizeof(text));
    uint32_t count = plan->words < WORDS_MAX ? plan->words : WORDS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        words[i] = at;
        at += strlen(at) + 1;
    }
    words[count] = NULL;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
    for (int number = 1; number < 32; number++) {
        signal(number, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int in_fd = open("/dev/null", O_RDONLY);
    if (in_fd >= 0 && dup2(in_fd, STDIN_FILENO) >= 0 && dup2(out_fd, STDOUT_FILENO) >= 0) {
        execvp(words[0], words);
    }
    int code = errno;
    (void)!write(told_fd, &code, sizeof(code));
    _exit(NOT_FOUND);
}

/* Starts it, and learns whether the program could be started at all: `told` closes by itself if so. */
static int start(struct opening *opening, int out_fd, struct error *err)
{
    const struct exec_plan *plan = &opening->plan->exec;
    int told[2];
    int code = 0;
    if (pipe2(told, O_CLOEXEC) != 0) {
        return error_set(err, -errno, "no pipe: %s", strerror(errno));
    }
    pid_t child = fork();
    if (child == 0) {
        become(plan, out_fd, told[1]);
    }
    close(told[1]);
    if (child < 0) {
        code = error_set(err, -errno, "cannot start %s: %s", plan->command, strerror(errno));
    } else {
        opening->child = child;
        if (read(told[0], &code, sizeof(code)) == (ssize_t)sizeof(code)) {
            (void)waitpid(child, NULL, 0);
            opening->child = 0;
            code = error_set(err, -code, "cannot run %s: %s", plan->command, strerror(code));
        }
    }
    close(told[0]);
    return code;
}

static int open_exec(struct opening *opening, struct error *err)
{
    uint64_t now_ns = clock_monotonic_ns();
    int out[2];
    if (!end_child(opening, now_ns) || (opening->began_ns != 0 && now_ns - opening->began_ns < AGAIN_NS)) {
        return -EAGAIN;
    }
    opening->began_ns = now_ns;
    if (pipe2(out, O_CLOEXEC) != 0) {
        return error_set(err, -errno, "no pipe: %s", strerror(errno));
    }
    int code = start(opening, out[1], err);
    close(out[1]);
    if (code != 0) {
        close(out[0]);
        return code;
    }
    return out[0];
}

const struct opener_way way_exec = {.open = open_exec, .clear = clear_exec};
