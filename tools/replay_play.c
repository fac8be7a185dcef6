/* sluice replay RECORDING: finds out whether the recording and the configuration belong together, and starts
 * sluiced, which plays it (daq/compile_replay.h). */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daq/recording_agree.h"
#include "ring/clock.h"
#include "tools/import.h"
#include "tools/replay_command.h"
#include "tools/session.h"

#define PROGRAM        "sluiced"
#define ARGUMENTS_MAX  (2 * (PLAN_RECORDINGS_MAX + 2 * CONTROL_RINGS_MAX) + 16)
#define TEXT_BYTES     64
#define DIRECTORY_FORM "/sluice-replay-XXXXXX"

struct play {
    const struct replay_request *request;
    struct record_set *set;
    struct replay_options options;
    char real[REPLAY_GROUP_MAX][PATH_MAX]; /* the paths, whole: sluiced's children have them in their plans */
    char config[PATH_MAX];
    char own_config[64];
    int config_fd;     /* the recording's own, if it lies in the recording only; -1: none */
    uint64_t first_ns; /* of all rings: TAI */
    uint64_t last_ns;
    uint32_t rings_left; /* of the recording, that the configuration does not have */
};

static struct server_plan plan;
static struct config_errors errors;

static int find_times(struct play *p, struct error *err)
{
    const struct record_file_header *header = NULL;
    int64_t tai_minus_utc_ns;
    p->first_ns = UINT64_MAX;
    for (unsigned i = 0; i < record_rings(p->set); i++) {
        const struct record_ring *ring = record_ring(p->set, i);
        header = &ring->header;
        if (ring->frames > 0 && ring->first_tai_ns != 0) {
            p->first_ns = ring->first_tai_ns < p->first_ns ? ring->first_tai_ns : p->first_ns;
            p->last_ns = ring->last_tai_ns > p->last_ns ? ring->last_tai_ns : p->last_ns;
        }
    }
    if (header == NULL || p->first_ns == UINT64_MAX) {
        return error_set(err, -ENODATA, "there is no frame in this recording");
    }
    tai_minus_utc_ns = header->utc_offset_s != 0 ? header->utc_offset_s * (int64_t)CLOCK_NS_PER_S
                                                 : (int64_t)(header->opened_tai_ns - header->opened_utc_ns);
    const char *texts[] = {p->request->from, p->request->to};
    uint64_t *to[] = {&p->options.from_ns, &p->options.to_ns};
    for (int i = 0; i < 2; i++) {
        if (texts[i] != NULL && replay_time(texts[i], p->first_ns, tai_minus_utc_ns, to[i]) != 0) {
            return error_set(err, -EINVAL,
                             "expected seconds since the begin (12.5), UTC (2026-11-26T14:30:00.5Z) or TAI ns "
                             "(@1700000000000000000), found '%s'",
                             texts[i]);
        }
    }
    if (p->options.from_ns > p->last_ns - p->first_ns ||
        (texts[1] != NULL && p->options.to_ns <= p->options.from_ns)) {
        return error_set(err, -EINVAL, "expected a part of the recording's %.3f s, found one from %.3f s to %.3f s",
                         (double)(p->last_ns - p->first_ns) / 1e9, (double)p->options.from_ns / 1e9,
                         texts[1] != NULL ? (double)p->options.to_ns / 1e9
                                          : (double)(p->last_ns - p->first_ns) / 1e9);
    }
    return 0;
}

/* The rings that are played: all of the recording, those that are named, or the one of a stream. */
static int find_rings(struct play *p, struct error *err)
{
    const struct replay_options *asked = &p->request->play;
    for (uint32_t i = 0; i < asked->rings; i++) {
        if (record_find_ring(p->set, asked->ring[i]) < 0) {
            return error_set(err, -ENOENT, "ring %s is not in this recording; sluice info lists what is",
                             asked->ring[i]);
        }
        p->options.ring[p->options.rings++] = asked->ring[i];
    }
    for (unsigned r = 0; asked->rings == 0 && r < record_rings(p->set); r++) {
        const struct record_ring *ring = record_ring(p->set, r);
        bool wanted = p->request->stream == NULL ||
                      (ring->header.streams > 0 && strcmp(ring->stream[0].name, p->request->stream) == 0);
        if (wanted && p->options.rings < CONTROL_RINGS_MAX) {
            p->options.ring[p->options.rings++] = ring->header.ring;
        }
    }
    return p->options.rings > 0
               ? 0
               : error_set(err, -ENOENT, "stream %s is not in this recording; sluice info lists what is",
                           p->request->stream);
}

/* --config, else the file in the recording's directory, else the text in its head. */
static int find_config(struct play *p, const struct replay_group *group, struct error *err)
{
    if (p->request->config != NULL) {
        return realpath(p->request->config, p->config) != NULL
                   ? 0
                   : error_set(err, -errno, "cannot read %s: %s", p->request->config, strerror(errno));
    }
    for (uint32_t i = 0; i < group->paths; i++) {
        int n = snprintf(p->config, sizeof(p->config), "%s/" RECORD_CONFIG_FILE, p->real[i]);
        if (n > 0 && (size_t)n < sizeof(p->config) && access(p->config, R_OK) == 0) {
            return 0;
        }
    }
    int code = replay_own_config(p->set, &p->config_fd, p->own_config, err);
    snprintf(p->config, sizeof(p->config), "%s", p->own_config);
    return code;
}

static const struct ring_plan *plan_of(const char *ring)
{
    for (uint32_t i = 0; i < plan.rings; i++) {
        if (strcmp(plan.ring[i].name, ring) == 0) {
            return &plan.ring[i];
        }
    }
    return NULL;
}

/* Rings of the recording that another configuration does not have are left out, unless they were named. */
static void drop_unknown_rings(struct play *p)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->options.rings; i++) {
        if (plan_of(p->options.ring[i]) != NULL) {
            p->options.ring[kept++] = p->options.ring[i];
        } else {
            fprintf(stderr, "sluice replay: ring %s is left out: the configuration does not have it\n",
                    p->options.ring[i]);
            p->rings_left++;
        }
    }
    p->options.rings = kept;
}

static int compile(struct play *p, struct error *err)
{
    struct config_file file;
    struct replay_options all = p->options;
    memset(&errors, 0, sizeof(errors));
    all.rings = 0; /* which it has is what is to be found out */
    int code = config_load(&file, p->config, &errors);
    if (code == 0) {
        code = compile_replay(&file, &all, &plan, &errors);
    }
    config_unload(&file);
    if (code != 0) {
        fputs(errors.text, stderr);
        return error_set(err, -EINVAL, "%s: %u error%s, nothing started", p->config, errors.count,
                         errors.count == 1 ? "" : "s");
    }
    return 0;
}

static int check_ring(struct play *p, const char *name, struct error *err)
{
    const struct record_ring *ring = record_ring(p->set, (unsigned)record_find_ring(p->set, name));
    const struct ring_plan *to = plan_of(name);
    uint32_t room = to->slot_bytes - to->payload_offset;
    if (ring->header.payload_bytes > room && to->stream.frame_bytes == 0) {
        fprintf(stderr,
                "sluice replay: ring %s: frames of more than %u bytes become gap records: its slots were larger\n",
                name, room);
    }
    return recording_agrees(ring, to->channel, to->channel_count, &plan.table.number[to->first_number],
                            to->number_count, err);
}

static bool is_played(const struct play *p, const char *ring)
{
    for (uint32_t i = 0; i < p->options.rings; i++) {
        if (strcmp(p->options.ring[i], ring) == 0) {
            return true;
        }
    }
    return false;
}

static int check_rings(struct play *p, struct error *err)
{
    drop_unknown_rings(p);
    for (uint32_t i = 0; i < p->options.waits; i++) {
        if (!is_played(p, p->options.wait[i])) {
            return error_set(err, -EINVAL, "--wait-reader %s: that ring is not played", p->options.wait[i]);
        }
    }
    if (p->options.rings == 0) {
        return error_set(err, -EINVAL, "none of the recording's rings is in %s", p->config);
    }
    for (uint32_t i = 0; i < p->options.rings; i++) {
        int code = check_ring(p, p->options.ring[i], err);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static double played_s(const struct play *p)
{
    uint64_t to_ns = p->options.to_ns != 0 ? p->options.to_ns : p->last_ns - p->first_ns;
    return (double)(to_ns - p->options.from_ns) / 1e9;
}

static void tell_json(const struct play *p)
{
    json_t *rings = json_array();
    json_t *silent = json_array();
    for (uint32_t i = 0; i < plan.rings; i++) {
        const char *name = plan.ring[i].name;
        int found = is_played(p, name) ? record_find_ring(p->set, name) : -1;
        if (found < 0) {
            json_array_append_new(silent, json_string(name));
        } else {
            json_array_append_new(rings, json_pack("{s:s, s:I}", "name", name, "frames",
                                                   (json_int_t)record_ring(p->set, (unsigned)found)->frames));
        }
    }
    json_t *all = json_pack("{s:s, s:s, s:o, s:o, s:f, s:f, s:b}", "instance", plan.instance, "config", p->config,
                            "rings", rings, "silent_rings", silent, "seconds", played_s(p), "speed",
                            p->options.speed, "loop", (int)p->options.loop);
    json_dumpf(all, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(all);
}

static void tell(const struct play *p)
{
    fprintf(stderr, "sluice replay: instance %s plays %u ring%s, %.3f s, ", plan.instance, p->options.rings,
            p->options.rings == 1 ? "" : "s", played_s(p));
    if (p->options.speed > 0) {
        fprintf(stderr, "%g times as fast as recorded%s\n", p->options.speed,
                p->options.loop ? ", over and over" : "");
    } else {
        fprintf(stderr, "as fast as gating readers allow%s\n", p->options.loop ? ", over and over" : "");
    }
    for (uint32_t i = 0; i < plan.rings; i++) {
        if (!is_played(p, plan.ring[i].name)) {
            fprintf(stderr, "sluice replay: ring %s is silent: it is not played%s\n", plan.ring[i].name,
                    plan.ring[i].watched_as != 0 ? ", and its channels are stale" : "");
        }
    }
    if (record_problems(p->set) > 0) {
        fprintf(stderr,
                "sluice replay: %" PRIu64 " problems in the recording, the first: %.300s; see sluice info\n",
                record_problems(p->set), record_problem(p->set, 0)->text);
    }
    if (p->request->json) {
        tell_json(p);
    }
}

static int prepare(struct play *p, const struct replay_group *group, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < group->paths; i++) {
        if (realpath(group->path[i], p->real[i]) == NULL) {
            code = error_set(err, -errno, "cannot read %s: %s", group->path[i], strerror(errno));
        }
        p->options.path[p->options.paths++] = p->real[i];
    }
    if (code == 0) {
        code = record_open(&p->set, p->options.path, p->options.paths, err);
    }
    if (code == 0) {
        code = find_times(p, err);
    }
    if (code == 0) {
        code = find_rings(p, err);
    }
    if (code == 0) {
        code = find_config(p, group, err);
    }
    if (code == 0) {
        code = compile(p, err);
    }
    return code == 0 ? check_rings(p, err) : code;
}

/* execv changes none of them. */
static void add(char **argv, unsigned *n, const char *word, const char *value)
{
    memcpy(&argv[(*n)++], &word, sizeof(word));
    if (value != NULL) {
        memcpy(&argv[(*n)++], &value, sizeof(value));
    }
}

/* Becomes sluiced. Comes back if it cannot. */
static int become(const struct play *p)
{
    char path[512];
    char speed[TEXT_BYTES];
    char from[TEXT_BYTES];
    char to[TEXT_BYTES];
    char *argv[ARGUMENTS_MAX];
    unsigned n = 0;
    ssize_t bytes = readlink("/proc/self/exe", path, sizeof(path) - sizeof(PROGRAM));
    path[bytes > 0 ? bytes : 0] = 0;
    char *slash = strrchr(path, '/');
    memcpy(slash != NULL ? slash + 1 : path, PROGRAM, sizeof(PROGRAM));
    snprintf(speed, sizeof(speed), "%.17g", p->options.speed);
    snprintf(from, sizeof(from), "%.9f", (double)p->options.from_ns / 1e9);
    snprintf(to, sizeof(to), "%.9f", (double)p->options.to_ns / 1e9);
    argv[n++] = path;
    for (uint32_t i = 0; i < p->options.paths; i++) {
        add(argv, &n, "--replay", p->options.path[i]);
    }
    for (uint32_t i = 0; i < p->options.rings; i++) {
        add(argv, &n, "--ring", p->options.ring[i]);
    }
    for (uint32_t i = 0; i < p->options.waits; i++) {
        add(argv, &n, "--wait-reader", p->options.wait[i]);
    }
    add(argv, &n, "--as", plan.instance);
    add(argv, &n, "--speed", p->options.speed > 0 ? speed : "fastest");
    add(argv, &n, "--from", from);
    if (p->options.to_ns != 0) {
        add(argv, &n, "--to", to);
    }
    if (p->options.loop) {
        add(argv, &n, "--loop", NULL);
    }
    if (p->options.original_stamps) {
        add(argv, &n, "--original-stamps", NULL);
    }
    add(argv, &n, p->config, NULL);
    argv[n] = NULL;
    execv(path, argv);
    fprintf(stderr, "sluice replay: expected " PROGRAM " at %s: %s; install it beside sluice\n", path,
            strerror(errno));
    return EXIT_USAGE;
}

/* 0: it can be played; else an exit code, and what there was is closed. */
static int begin(struct play *p, const struct replay_request *request, const struct replay_group *group)
{
    struct error err = {{0}};
    *p = (struct play){.request = request, .options = request->play, .config_fd = -1};
    p->options.rings = 0;
    if (prepare(p, group, &err) != 0) {
        record_close(p->set);
        return replay_fail(err.text, EXIT_USAGE);
    }
    tell(p);
    return 0;
}

int replay_play(const struct replay_request *request, const struct replay_group *group)
{
    static struct play play;
    int code = begin(&play, request, group);
    return code != 0 ? code : become(&play);
}

static volatile sig_atomic_t child;

/* A terminal's Ctrl-C reaches sluiced by itself; whoever ends us alone means both. */
static void pass_on(int signal_number)
{
    if (child > 0 && signal_number != SIGINT) {
        kill((pid_t)child, SIGTERM);
    }
}

/* sluiced beside us, because something is to be cleared away behind it. Its exit code. */
static int run_child(const struct play *p)
{
    struct sigaction action = {.sa_handler = pass_on};
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    pid_t parent = getpid();
    sigset_t mask;
    sigset_t before;
    int status = 0;
    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaddset(&mask, signals[i]);
    }
    sigprocmask(SIG_BLOCK, &mask, &before); /* none comes between the fork and the word of whose it is */
    if (import_interrupted()) {
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &action, NULL);
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, (unsigned long)SIGTERM, 0UL, 0UL, 0UL);
        for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
            signal(signals[i], SIG_DFL);
        }
        sigprocmask(SIG_SETMASK, &before, NULL);
        _exit(getppid() == parent ? become(p) : EXIT_USAGE);
    }
    child = pid;
    sigprocmask(SIG_SETMASK, &before, NULL);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    child = 0;
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_USAGE;
}

/* Where a foreign file becomes a recording: --keep, or a directory that is removed at the end. */
static int make_directory(const struct replay_request *request, char path[PATH_MAX], struct error *err)
{
    const char *tmp = getenv("TMPDIR");
    if (request->keep != NULL) {
        snprintf(path, PATH_MAX, "%s", request->keep);
        return mkdir(path, 0750) == 0 || errno == EEXIST
                   ? 0
                   : error_set(err, -errno, "cannot make %s: %s", path, strerror(errno));
    }
    snprintf(path, PATH_MAX, "%.3000s" DIRECTORY_FORM, tmp != NULL && tmp[0] != 0 ? tmp : "/tmp");
    return mkdtemp(path) != NULL ? 0 : error_set(err, -errno, "cannot make %s: %s", path, strerror(errno));
}

int replay_play_foreign(const struct replay_request *request, const char *path)
{
    static struct play play;
    static char directory[PATH_MAX];
    struct error err = {{0}};
    struct import_request import = {.config = request->config,
                                    .ring = request->play.rings == 1 ? request->play.ring[0] : NULL,
                                    .path = path,
                                    .csv = &request->csv,
                                    .utc_offset_s = request->utc_offset_s};
    struct import_result result;
    if (make_directory(request, directory, &err) != 0) {
        return replay_fail(err.text, EXIT_USAGE);
    }
    struct replay_group group = {.kind = REPLAY_PATH_RECORDING, .path = {directory}, .paths = 1};
    import.directory = directory;
    import_catch_signals();
    int code = import_file(&import, &result, &err);
    code = code == 0 ? begin(&play, request, &group) : replay_fail(err.text, EXIT_USAGE);
    if (code == 0) {
        code = run_child(&play);
    }
    if (request->keep == NULL) {
        import_remove(directory);
    }
    return code;
}
