/* How long a reader needs from sluice_attach() until it holds its first frame: a server of our own in a folder of
 * its own, frames at 25 kHz over UDP on the loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/plan.h"
#include "bench/tsc.h"
#include "ring/sluice.h"

#define FRAME_PERIOD_NS UINT64_C(40000)
#define FRAME_BYTES     64
#define ATTACHES_MAX    101u
#define SERVER_START_S  10
#define FIRST_FRAME_MS  1000
#define SERVER_STOP_S   10

struct server {
    char folder[64];
    char config[96];
    uint16_t port;
    pid_t pid;
    int core;    /* of the thread that sends */
    int running; /* 0 ends that thread */
    pthread_t sender;
};

static int free_port(struct error *err)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int port = -EADDRINUSE;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &length) == 0) {
        port = ntohs(a.sin_port);
    } else {
        error_set(err, port, "no free UDP port on the loopback: %s", strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return port;
}

static int write_config(struct server *s, struct error *err)
{
    snprintf(s->folder, sizeof(s->folder), "/tmp/sluice-bench-XXXXXX");
    if (mkdtemp(s->folder) == NULL) {
        return error_set(err, -errno, "cannot make a folder like %s: %s", s->folder, strerror(errno));
    }
    int port = free_port(err);
    if (port < 0) {
        return port;
    }
    s->port = (uint16_t)port;
    snprintf(s->config, sizeof(s->config), "%s/bench.yaml", s->folder);
    FILE *f = fopen(s->config, "we");
    if (f == NULL) {
        return error_set(err, -errno, "cannot write %s: %s", s->config, strerror(errno));
    }
    fprintf(f,
            "instance: bench\n"
            "control: {idle: wait}\n"
            "audit: {file: none}\n"
            "rings: [{name: frames, slots: 4096}]\n"
            "sources: [{name: frames, kind: udp, ring: frames, listen: \"127.0.0.1:%d\"}]\n",
            port);
    return fclose(f) == 0 ? 0 : error_set(err, -errno, "cannot write %s: %s", s->config, strerror(errno));
}

/* sluiced lies beside this program. */
_Noreturn static void be_server(const struct server *s)
{
    char path[512];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
    path[n > 0 ? n : 0] = 0;
    char *slash = strrchr(path, '/');
    memcpy(slash != NULL ? slash + 1 : path, "sluiced", sizeof("sluiced"));
    int quiet = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(quiet, STDOUT_FILENO);
    dup2(quiet, STDERR_FILENO);
    execl(path, path, s->config, (char *)NULL);
    _exit(127);
}

static void *send_frames(void *argument)
{
    struct server *s = argument;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t frame[FRAME_BYTES] = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    pin_to(s->core);
    /* Sleeps between frames, for the server needs the core too; one that is late is made up for at once. */
    prctl(PR_SET_TIMERSLACK, 1UL);
    uint64_t next = clock_monotonic_ns();
    while (__atomic_load_n(&s->running, __ATOMIC_ACQUIRE) != 0) {
        (void)sendto(fd, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
        next += FRAME_PERIOD_NS;
        struct timespec at = {.tv_sec = (time_t)(next / CLOCK_NS_PER_S), .tv_nsec = (long)(next % CLOCK_NS_PER_S)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
    close(fd);
    return NULL;
}

/* Attach, first frame, detach. us, or negative with err. */
static double attach_once(struct sluice_frame *frame, struct error *err)
{
    struct sluice_reader *reader;
    uint64_t from = tsc_now();
    int code = sluice_attach(&reader, "bench", "frames", SLUICE_NEWEST, err->text, sizeof(err->text));
    if (code != 0) {
        return code;
    }
    uint64_t end = clock_monotonic_ns() + FIRST_FRAME_MS * CLOCK_NS_PER_MS;
    bool found = false;
    while (!found && clock_monotonic_ns() < end) {
        for (int i = 0; i < 1000 && !found; i++) {
            found = sluice_reader_next(reader, frame) == 1 && frame->length_bytes == FRAME_BYTES;
        }
    }
    double us = (double)(tsc_now() - from) / tsc_per_ns() / 1e3;
    sluice_detach(reader);
    return found ? us
                 : error_set(err, -ETIMEDOUT, "expected a frame within %d ms of the attach, found none",
                             FIRST_FRAME_MS);
}

static int start(struct server *s, struct error *err)
{
    int code = write_config(s, err);
    if (code != 0) {
        return code;
    }
    setenv("SLUICE_RUN_DIR", s->folder, 1);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        be_server(s);
    }
    s->running = 1;
    if (s->pid < 0 || pthread_create(&s->sender, NULL, send_frames, s) != 0) {
        s->running = 0;
        return error_set(err, -EAGAIN, "cannot start a process and a thread: %s", strerror(errno));
    }
    uint64_t end = clock_monotonic_ns() + SERVER_START_S * CLOCK_NS_PER_S;
    double us = -1;
    struct sluice_frame frame;
    while (us < 0 && clock_monotonic_ns() < end) {
        if (waitpid(s->pid, NULL, WNOHANG) != 0) {
            s->pid = 0;
            return error_set(
                err, -ECHILD,
                "expected sluiced beside this program to run, it ended; is it built, and sluice-worker too?");
        }
        us = attach_once(&frame, err);
        usleep(10000);
    }
    return us >= 0 ? 0 : -ETIMEDOUT;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void stop(struct server *s)
{
    if (s->running != 0) {
        __atomic_store_n(&s->running, 0, __ATOMIC_RELEASE);
        pthread_join(s->sender, NULL);
    }
    if (s->pid > 0) {
        kill(s->pid, SIGTERM);
        for (int i = 0; i < SERVER_STOP_S * 100 && waitpid(s->pid, NULL, WNOHANG) == 0; i++) {
            usleep(10000);
        }
    }
    if (s->folder[0] != 0) {
        nftw(s->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    }
}

static int compare_us(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

void measure_attach(const struct question *question, struct outcome *outcome)
{
    struct server server = {.core = question->cores[1]};
    struct sluice_frame first = {0};
    struct sluice_frame last = {0};
    double us[ATTACHES_MAX];
    uint32_t n = 0;
    tsc_per_ns();
    outcome->code = start(&server, &outcome->err);
    uint64_t end = clock_monotonic_ns() + (uint64_t)(question->seconds * 1e9);
    while (outcome->code == 0 && n < ATTACHES_MAX && (n < 3 || clock_monotonic_ns() < end) && !plan_stopped()) {
        us[n] = attach_once(&last, &outcome->err);
        outcome->code = us[n] < 0 ? (int)us[n] : 0;
        first = n == 0 ? last : first;
        n++;
    }
    if (outcome->code == 0) {
        qsort(us, n, sizeof(us[0]), compare_us);
        outcome->values[0] = us[n / 2];
        outcome->values[1] = (double)(last.position - first.position) / (double)(last.tai_ns - first.tai_ns) * 1e9;
        outcome->frames = n;
    }
    stop(&server);
}
