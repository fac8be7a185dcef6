#include "daq/server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daq/log.h"
#include "ring/clock.h"
#include "ring/protocol.h"

#define TICK_MS                10
#define LOCK_PATIENCE_MS       1500
#define DESCRIPTORS_OWN        512
#define DESCRIPTORS_PER_READER 3

static int make_directories(char *path, struct error *err)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL) {
            *slash = 0;
        }
        int code = mkdir(path, 0755) != 0 && errno != EEXIST ? -errno : 0;
        if (slash != NULL) {
            *slash = '/';
        }
        if (code != 0) {
            return error_set(err, code,
                             "cannot make the run directory %s: %s; set SLUICE_RUN_DIR to a directory that "
                             "may be written",
                             path, strerror(-code));
        }
        if (slash == NULL) {
            return 0;
        }
    }
}

/* Under /tmp somebody else may have made a directory first; whoever owns it could put himself in our place.
 * `directory` must be ours alone; the one above it ours, or root's and, if others can write to it, sticky. */
static int check_owner(const char *directory, bool above, struct error *err)
{
    struct stat st;
    if (stat(directory, &st) != 0) {
        return error_set(err, -errno, "cannot look at the run directory %s: %s", directory, strerror(errno));
    }
    bool others_write = (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    bool owner_ok = st.st_uid == geteuid() || (above && st.st_uid == 0);
    if (!S_ISDIR(st.st_mode) || !owner_ok || (others_write && !(above && (st.st_mode & S_ISVTX) != 0))) {
        return error_set(
            err, -EPERM,
            "expected the run directory %s to be a directory of user %u that nobody else can write, found "
            "owner %u, mode %o; remove it or set SLUICE_RUN_DIR to another place",
            directory, geteuid(), st.st_uid, st.st_mode & 07777);
    }
    return 0;
}

static int check_owners(const char *directory, struct error *err)
{
    char above[256];
    snprintf(above, sizeof(above), "%s", directory);
    char *slash = strrchr(above, '/');
    if (slash != NULL && slash != above) {
        *slash = 0;
        int code = check_owner(above, true, err);
        if (code != 0) {
            return code;
        }
    }
    return check_owner(directory, false, err);
}

/* 1: locked, and the file is still the one that others find under this path. 0: somebody else has it. */
static int try_lock(struct server *server, const char *path)
{
    struct stat ours;
    struct stat theirs;
    server->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (server->lock_fd < 0) {
        return errno == ENOENT ? 0 : -errno; /* the old server is just taking the directory away */
    }
    if (flock(server->lock_fd, LOCK_EX | LOCK_NB) == 0 && fstat(server->lock_fd, &ours) == 0 &&
        stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino) {
        return 1;
    }
    close(server->lock_fd);
    server->lock_fd = -1;
    return 0;
}

/* One server per instance. The lock is inherited by the control process: after a kill -9 of sluiced a new one waits
 * here until the old control has driven its outputs safe and is gone. */
static int lock_instance(struct server *server, struct error *err)
{
    char path[300];
    char pid[16] = {0};
    snprintf(path, sizeof(path), "%s/%s", server->run_dir, PROTOCOL_LOCKFILE);
    for (int waited_ms = 0; waited_ms <= LOCK_PATIENCE_MS; waited_ms += 20) {
        int code = make_directories(server->run_dir, err);
        if (code == 0) {
            code = check_owners(server->run_dir, err);
        }
        if (code == 0) {
            code = try_lock(server, path);
        }
        if (code < 0) {
            return err->text[0] != 0 ? code : error_set(err, code, "cannot lock %s: %s", path, strerror(-code));
        }
        if (code == 1) {
            int n = snprintf(pid, sizeof(pid), "%d\n", getpid());
            return ftruncate(server->lock_fd, 0) == 0 && pwrite(server->lock_fd, pid, (size_t)n, 0) == n
                       ? 0
                       : error_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        if (fgets(pid, sizeof(pid), f) == NULL) {
            pid[0] = 0;
        }
        fclose(f);
    }
    return error_set(err, -EBUSY,
                     "instance '%s' is already running (pid %.*s); stop that one or give this one another "
                     "name under 'instance'",
                     server->plan->instance, (int)strcspn(pid, "\n"), pid);
}

static void remove_run_dir(struct server *server)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", server->run_dir, PROTOCOL_SOCKET);
    unlink(path);
    snprintf(path, sizeof(path), "%s/%s", server->run_dir, PROTOCOL_LOCKFILE);
    unlink(path);
    rmdir(server->run_dir);
    close(server->lock_fd);
}

/* systemd's readiness protocol (sd_notify(3)): one datagram. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof(address.sun_path)) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = 0;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, bytes);
        close(fd);
    }
}

static void init(struct server *server, struct server_plan *plan, const char *config_text, size_t config_bytes)
{
    memset(server, 0, sizeof(*server));
    server->plan = plan;
    server->config_text = config_text;
    server->config_bytes = config_bytes;
    server->lock_fd = -1;
    server->listen_fd = -1;
    server->watchdog_fd = -1;
    server->black_box_ok = plan->has_black_box ? server_black_box_ok : NULL;
    server->shown_state = ENGINE_INIT;
    server->tai_minus_monotonic_ns = clock_measure_tai_offset_ns();
    struct shared none = {.segment = {.fd = -1}, .read_only_fd = -1};
    server->board = server->table = server->control_board = server->mailbox = server->journal = none;
    server->black_box_board = server->black_box_plan = server->config = none;
    server->observer_board = server->measures = none;
    for (uint32_t i = 0; i < SERVER_RECORDERS_MAX; i++) {
        server->recorder[i].board = server->recorder[i].mailbox = server->recorder[i].plan = none;
    }
    for (uint32_t i = 0; i < SERVER_WORKERS_MAX; i++) {
        server->worker_plan[i] = server->worker_board[i] = none;
    }
    for (uint32_t i = 0; i < CONTROL_RINGS_MAX; i++) {
        server->ring[i] = server->orders[i] = none;
    }
    for (uint32_t i = 0; i < CONTROL_DEVICES_MAX; i++) {
        server->device_fd[i] = -1;
        server->outbox[i] = none;
    }
    for (uint32_t i = 0; i < SERVER_CLIENTS_MAX; i++) {
        server->client[i].fd = -1;
    }
    server->process[server->processes++] = (struct server_process){.role = ROLE_CONTROL};
    for (uint32_t i = 0; i < plan->workers; i++) {
        server->process[server->processes++] = (struct server_process){.role = ROLE_WORKER, .index = i};
    }
    for (uint32_t i = 0; i < plan->table.devices; i++) {
        if (plan->table.device[i].kind == DEVICE_MODBUS) {
            server->process[server->processes++] = (struct server_process){.role = ROLE_ACTUATOR, .index = i};
        }
    }
    if (plan->has_black_box) {
        server->process[server->processes++] = (struct server_process){.role = ROLE_BLACK_BOX};
    }
    if (plan->has_observer) {
        server->process[server->processes++] = (struct server_process){.role = ROLE_OBSERVER};
    }
    for (uint32_t i = 0; i < plan->recorders; i++) {
        server->process[server->processes++] = (struct server_process){.role = ROLE_RECORDER, .index = i};
    }
}

static bool stop_asked(int signal_fd)
{
    struct signalfd_siginfo info;
    bool stop = false;
    while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        stop = stop || info.ssi_signo != SIGCHLD;
    }
    return stop;
}

static bool all_running(const struct server *server)
{
    for (uint32_t i = 0; i < server->processes; i++) {
        enum server_role role = server->process[i].role;
        if (!server->process[i].has_run && role != ROLE_OBSERVER && role != ROLE_RECORDER) { /* nobody waits */
            return false;
        }
    }
    return true;
}

static void event_loop(struct server *server, int signal_fd)
{
    struct pollfd fds[SERVER_CLIENTS_MAX + 2];
    struct server_client *whose[SERVER_CLIENTS_MAX + 2];
    bool ready = false;
    bool under_way = false;
    while (!server->failed) {
        nfds_t n = 0;
        fds[n++] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
        fds[n++] = (struct pollfd){.fd = server->no_descriptor ? -1 : server->listen_fd, .events = POLLIN};
        server->no_descriptor = false;
        for (uint32_t i = 0; i < SERVER_CLIENTS_MAX; i++) {
            if (server->client[i].fd >= 0) {
                whose[n] = &server->client[i];
                fds[n++] = (struct pollfd){.fd = server->client[i].fd, .events = POLLIN};
            }
        }
        int events = poll(fds, n, under_way ? 1 : TICK_MS);
        if (fds[0].revents != 0 && stop_asked(signal_fd)) {
            return;
        }
        server_reap(server); /* first: a dead control process is the one thing that is urgent here */
        for (nfds_t i = 2; events > 0 && i < n; i++) {
            if (fds[i].revents != 0) {
                server_serve(server, whose[i]);
                server_reap(server); /* a hundred clients must not come before it */
            }
        }
        if (events > 0 && fds[1].revents != 0) {
            server_accept(server);
        }
        server_start_due(server);
        server_look(server);
        under_way = server_commands(server);
        if (!ready && all_running(server)) {
            ready = true;
            log_line("instance %s is running", server->plan->instance);
            notify("READY=1");
        }
    }
}

/* Signals are taken from a descriptor; children start with an empty mask (daq/launch.c). */
static int open_signals(struct error *err)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGQUIT);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : error_set(err, -errno, "signalfd: %s", strerror(errno));
}

/* Readers take three descriptors each, more than the usual limit of 1024 allows. Where the limit may not be raised
 * so far, fewer readers are taken: with the last descriptor gone no client could connect to give a trip, and no
 * process that died be started again. */
static void allow_descriptors(struct server_plan *plan)
{
    struct rlimit limit;
    rlim_t want = DESCRIPTORS_PER_READER * (rlim_t)plan->readers_max + DESCRIPTORS_OWN;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want) {
        return;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
    rlim_t got = setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
    if (got < want) {
        rlim_t left = got > DESCRIPTORS_OWN ? (got - DESCRIPTORS_OWN) / DESCRIPTORS_PER_READER : 0;
        log_line(
            "expected to be allowed %ju descriptors for %u readers, found %ju: takes %ju readers; raise the hard "
            "limit (ulimit -Hn, LimitNOFILE=)",
            (uintmax_t)want, plan->readers_max, (uintmax_t)got, (uintmax_t)left);
        plan->readers_max = (uint32_t)left;
    }
}

static void tell_start(struct server *server)
{
    char text[160];
    snprintf(text, sizeof(text), "sluice %s, pid %d, user %u, instance %s, configuration %016" PRIx64,
             SLUICE_VERSION, getpid(), (unsigned)geteuid(), server->plan->instance, server->plan->table.checksum);
    server_audit(server, "start", clock_tai_ns(server->tai_minus_monotonic_ns), text);
}

int server_run(struct server_plan *plan, const char *config_text, size_t config_bytes)
{
    static struct server server;
    struct error err = {{0}};
    init(&server, plan, config_text, config_bytes);
    allow_descriptors(server.plan);
    int signal_fd = open_signals(&err);
    int code =
        signal_fd < 0 ? signal_fd : protocol_run_dir(server.run_dir, sizeof(server.run_dir), plan->instance, &err);
    if (code == 0) {
        code = lock_instance(&server, &err);
    }
    if (code == 0) {
        code = server_create_shared(&server, &err);
    }
    if (code == 0) {
        code = server_listen(&server, &err);
    }
    if (code == 0) {
        code = usher_start(&server.usher, &err);
    }
    if (code == 0) {
        code = audit_start(&server.audit, server.plan->audit_path, &server_board(&server)->audit, &err);
    }
    if (code == 0) {
        tell_start(&server);
        malloc_trim(0); /* the configuration's heap */
        server.tick_ns = clock_monotonic_ns();
        server.rated_ns = server.tick_ns;
        server_start_due(&server);
        event_loop(&server, signal_fd);
        notify("STOPPING=1");
        server_stop_all(&server);
        server_events(&server);
        server_audit(&server, "stop", clock_tai_ns(server.tai_minus_monotonic_ns),
                     server.failed ? "a process could not start" : "told to stop; outputs driven safe");
    } else {
        log_line("%s", err.text);
    }
    for (uint32_t i = 0; i < SERVER_CLIENTS_MAX; i++) {
        if (server.client[i].fd >= 0) {
            server_drop(&server.client[i]);
        }
    }
    usher_stop(&server.usher);
    audit_stop(&server.audit);
    server_release_shared(&server);
    if (server.listen_fd >= 0) {
        close(server.listen_fd);
    }
    if (server.lock_fd >= 0) {
        remove_run_dir(&server);
    }
    return code != 0 || server.failed ? 2 : 0;
}
