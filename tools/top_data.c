/* The server's state, asked for from a thread of its own. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "ring/channel.h"
#include "ring/clock.h"
#include "tools/report.h"
#include "tools/screens.h"
#include "tools/top.h"

#define RETRY_S    0.5
#define FAREWELL_S 1
#define PROCESSES  SUPERVISOR_PROCESSES_MAX

#define PLACES (1 + PLAN_THREADS_MAX) /* the process itself, then its threads */

/* What each process had used of a processor, and its threads had worked, at the last look. */
struct usage {
    int64_t pid[PROCESSES];
    uint64_t cpu_ns[PROCESSES];
    uint64_t busy_ns[PROCESSES][PLACES];
    uint64_t at_ns;
};

struct top_data {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    char given[RING_NAME_BYTES]; /* empty: the only one that runs */
    double interval_s;
    int fd;
    bool stop; /* from here on under the mutex */
    bool fresh;
    struct top_snapshot newest;
    struct top_link link;
    struct session session; /* the thread's own, as is the rest */
    struct usage usage;
    struct top_snapshot work;
};

static const struct board *board_at(const struct session *s, int64_t pid)
{
    const struct board *found = NULL;
    for (uint32_t i = 0; i < s->workers; i++) {
        found = (int64_t)s->worker[i]->common.pid == pid ? &s->worker[i]->common : found;
    }
    for (uint32_t i = 0; i < s->actuators; i++) {
        found = (int64_t)s->outbox[i]->common.pid == pid ? &s->outbox[i]->common : found;
    }
    if (s->black_box != NULL && (int64_t)s->black_box->common.pid == pid) {
        found = &s->black_box->common;
    }
    if (s->observer != NULL && (int64_t)s->observer->common.pid == pid) {
        found = &s->observer->common;
    }
    for (uint32_t i = 0; i < s->recorders; i++) {
        found = (int64_t)s->recorder[i]->common.pid == pid ? &s->recorder[i]->common : found;
    }
    found = (int64_t)s->supervisor->common.pid == pid ? &s->supervisor->common : found;
    return (int64_t)s->control->common.pid == pid ? &s->control->common : found;
}

static json_t *silence_of(const struct board *board)
{
    uint64_t beat_ns = board != NULL ? __atomic_load_n(&board->heartbeat_ns, __ATOMIC_RELAXED) : 0;
    uint64_t now_ns = clock_monotonic_ns();
    return beat_ns == 0 ? json_null() : json_real(now_ns > beat_ns ? (double)(now_ns - beat_ns) / 1e9 : 0);
}

/* 0: not to be had. */
static uint64_t cpu_ns_of(int64_t pid)
{
    clockid_t clock;
    struct timespec used;
    if (pid <= 0 || clock_getcpuclockid((pid_t)pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return 0;
    }
    return (uint64_t)used.tv_sec * CLOCK_NS_PER_S + (uint64_t)used.tv_nsec;
}

/* Of the time since the look before, as it says itself; below 0: it does not say, or there was no look before. */
static double duty_percent(json_t *of, uint64_t *before_ns, double passed_ns)
{
    const json_t *busy = json_object_get(of, "busy_ns");
    uint64_t busy_ns = (uint64_t)json_integer_value(busy);
    bool known = json_is_integer(busy) && passed_ns > 0 && busy_ns >= *before_ns;
    double percent = known ? 100 * (double)(busy_ns - *before_ns) / passed_ns : -1;
    *before_ns = busy_ns;
    json_object_set_new(of, "busy_percent", known ? json_real(percent) : json_null());
    return percent;
}

/* A process is as busy as the busiest of its real-time threads, and one without any as the processor says. */
static void add_busy(json_t *process, size_t place, struct usage *usage, uint64_t now_ns)
{
    size_t t;
    json_t *thread;
    int64_t pid = json_integer_value(json_object_get(process, "pid"));
    uint64_t cpu_ns = cpu_ns_of(pid);
    bool same = usage->at_ns != 0 && usage->pid[place] == pid;
    double passed_ns = same ? (double)(now_ns - usage->at_ns) : 0;
    double most = duty_percent(process, &usage->busy_ns[place][0], passed_ns);
    bool says = json_is_integer(json_object_get(process, "busy_ns"));
    json_array_foreach(json_object_get(process, "threads"), t, thread)
    {
        double percent = t + 1 < PLACES ? duty_percent(thread, &usage->busy_ns[place][t + 1], passed_ns) : -1;
        says = says || json_is_integer(json_object_get(thread, "busy_ns"));
        most = percent > most ? percent : most;
    }
    if (!says && passed_ns > 0 && usage->cpu_ns[place] != 0 && cpu_ns >= usage->cpu_ns[place]) {
        most = 100 * (double)(cpu_ns - usage->cpu_ns[place]) / passed_ns;
    }
    json_object_set_new(process, "busy_percent", most >= 0 ? json_real(most) : json_null());
    usage->pid[place] = pid;
    usage->cpu_ns[place] = cpu_ns;
}

static void add_to_processes(const struct session *s, json_t *status, struct usage *usage)
{
    size_t i;
    json_t *process;
    uint64_t now_ns = clock_monotonic_ns();
    json_array_foreach(json_object_get(status, "processes"), i, process)
    {
        int64_t pid = json_integer_value(json_object_get(process, "pid"));
        if (i < PROCESSES) {
            add_busy(process, i, usage, now_ns);
        }
        json_object_set_new(process, "silent_s", silence_of(board_at(s, pid)));
    }
    usage->at_ns = now_ns;
    json_object_set_new(status, "control_silent_s", silence_of(&s->control->common));
}

/* The stamp of the oldest frame that is whole; 0: none, or the writer was faster than we each time. */
static uint64_t oldest_tai_ns(const struct ring_view *view)
{
    for (int attempt = 0; attempt < 5; attempt++) {
        uint64_t claimed = ring_claimed_now(view->header);
        uint64_t position = ring_oldest(claimed, view->slot_count);
        if (ring_published_now(view->header) <= position) {
            return 0;
        }
        uint64_t tai_ns = __atomic_load_n(&ring_descriptor_at(view, position)->tai_ns, __ATOMIC_ACQUIRE);
        if (ring_claimed_now(view->header) - position <= view->slot_count) {
            return tai_ns;
        }
    }
    return 0;
}

static void add_to_rings(const struct session *s, json_t *status)
{
    size_t i;
    json_t *ring;
    uint64_t now_ns = clock_tai_ns(s->table->tai_minus_monotonic_ns);
    json_array_foreach(json_object_get(status, "rings"), i, ring)
    {
        const struct ring_view *view = &s->ring[i];
        uint64_t tai_ns = oldest_tai_ns(view);
        double published = (double)ring_published_now(view->header);
        double slots = (double)view->slot_count;
        json_object_set_new(ring, "fill_percent", json_real(published < slots ? 100 * published / slots : 100));
        json_object_set_new(ring, "oldest_s",
                            tai_ns != 0 ? json_real(now_ns > tai_ns ? (double)(now_ns - tai_ns) / 1e9 : 0)
                                        : json_null());
    }
}

/* The narrowest limits of all rules that look at the channel, for themselves or for a vote; those on trial apart.
 */
static void add_to_channels(const struct session *s, json_t *status)
{
    size_t i;
    json_t *channel;
    json_array_foreach(json_object_get(status, "channels"), i, channel)
    {
        double low = -INFINITY;
        double high = INFINITY;
        for (uint32_t r = 0; r < s->table->rules && r < CONTROL_RULES_MAX; r++) {
            const struct control_rule *rule = &s->table->rule[r];
            if (rule->form == FORM_LIMIT && rule->channel == i && rule->shadow == 0) {
                low = rule->has_low != 0 && rule->low > low ? rule->low : low;
                high = rule->has_high != 0 && rule->high < high ? rule->high : high;
            }
        }
        json_object_set_new(channel, "low", report_real(low));
        json_object_set_new(channel, "high", report_real(high));
    }
}

static int look_at(struct session *session, struct usage *usage, struct top_snapshot *snapshot, struct error *err)
{
    json_t *status = report_status(session, err);
    if (status == NULL) {
        return -EIO;
    }
    add_to_processes(session, status, usage);
    add_to_rings(session, status);
    add_to_channels(session, status);
    top_history_add(&snapshot->history, status);
    json_decref(snapshot->status);
    snapshot->status = status;
    snapshot->at_ns = clock_monotonic_ns();
    return 0;
}

int top_data_once(const char *instance, struct top_snapshot *snapshot, struct error *err)
{
    static struct session session;
    struct usage usage = {{0}};
    char name[RING_NAME_BYTES];
    int code = session_instance(instance, name, err);
    if (code != 0) {
        return code;
    }
    code = session_open(&session, name, err);
    code = code == 0 ? look_at(&session, &usage, snapshot, err) : code;
    session_close(&session);
    return code;
}

void top_snapshot_fini(struct top_snapshot *snapshot)
{
    json_decref(snapshot->status);
    snapshot->status = NULL;
}

/* Thread: hands over what there is, or says why there is nothing. */
static void hand_over(struct top_data *data, bool connected, const struct error *err)
{
    pthread_mutex_lock(&data->mutex);
    if (data->link.connected != connected) {
        data->link.since_ns = clock_monotonic_ns();
        data->link.connects += connected;
    }
    data->link.connected = connected;
    data->link.err = *err;
    if (connected) {
        json_decref(data->newest.status);
        data->newest = data->work;
        data->work.status = NULL; /* the history stays and grows */
        data->fresh = true;
    }
    pthread_mutex_unlock(&data->mutex);
    eventfd_write(data->fd, 1);
}

/* Thread: false: it is to end. */
static bool pause_for(struct top_data *data, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)(seconds * 1e9) + (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / CLOCK_NS_PER_S);
    until.tv_nsec = (long)(ns % CLOCK_NS_PER_S);
    pthread_mutex_lock(&data->mutex);
    while (!data->stop && pthread_cond_timedwait(&data->ended, &data->mutex, &until) != ETIMEDOUT) {
    }
    bool stop = data->stop;
    pthread_mutex_unlock(&data->mutex);
    return !stop;
}

/* The values go on behind a mark: nobody knows what was between. */
static void mark_gap(struct top_history *history)
{
    for (uint32_t i = 0; i < history->channels; i++) {
        history->value[i][history->looks % TOP_HISTORY] = NAN;
    }
    history->looks += history->looks > 0;
}

static int connect_to(struct top_data *data, struct error *err)
{
    char name[RING_NAME_BYTES];
    int code = session_instance(data->given[0] != 0 ? data->given : NULL, name, err);
    code = code == 0 ? session_open(&data->session, name, err) : code;
    if (code == 0) {
        memcpy(data->given, name, sizeof(name)); /* never another one's values under the eyes of who looks */
        data->usage = (struct usage){{0}};
        mark_gap(&data->work.history);
    } else {
        session_close(&data->session);
    }
    return code;
}

static void *run(void *argument)
{
    struct top_data *data = argument;
    bool open = false;
    double wait_s = 0;
    while (pause_for(data, wait_s)) {
        struct error err = {{0}};
        bool was_open = open;
        open = open || connect_to(data, &err) == 0;
        bool good = open && look_at(&data->session, &data->usage, &data->work, &err) == 0;
        hand_over(data, good, &err);
        if (open && !good) {
            session_close(&data->session);
            open = false;
        }
        wait_s = good ? data->interval_s : was_open ? 0.05 : RETRY_S;
    }
    session_close(&data->session);
    return NULL;
}

struct top_data *top_data_start(const char *instance, double interval_s, struct error *err)
{
    struct top_data *data = calloc(1, sizeof(*data));
    if (data == NULL || (instance != NULL && strlen(instance) >= RING_NAME_BYTES)) {
        free(data);
        error_set(err, -EINVAL, "expected an instance's name of 1 to %u characters", RING_NAME_BYTES - 1);
        return NULL;
    }
    snprintf(data->given, sizeof(data->given), "%s", instance != NULL ? instance : "");
    data->interval_s = interval_s;
    data->session.socket_fd = -1;
    data->link.since_ns = clock_monotonic_ns();
    data->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&data->mutex, NULL);
    pthread_cond_init(&data->ended, NULL);
    int code = data->fd < 0 ? errno : pthread_create(&data->thread, NULL, run, data);
    if (code != 0) {
        error_set(err, -code, "cannot start: %s", strerror(code));
        free(data);
        return NULL;
    }
    return data;
}

/* A thread that waits for a server that hangs is left behind: the process ends. */
void top_data_stop(struct top_data *data)
{
    struct timespec until;
    pthread_mutex_lock(&data->mutex);
    data->stop = true;
    pthread_cond_signal(&data->ended);
    pthread_mutex_unlock(&data->mutex);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FAREWELL_S;
    if (pthread_timedjoin_np(data->thread, NULL, &until) == 0) {
        top_snapshot_fini(&data->newest);
        top_snapshot_fini(&data->work);
        close(data->fd);
        free(data);
    }
}

int top_data_fd(const struct top_data *data)
{
    return data->fd;
}

bool top_data_take(struct top_data *data, struct top_snapshot *snapshot, struct top_link *link)
{
    eventfd_t count;
    eventfd_read(data->fd, &count);
    pthread_mutex_lock(&data->mutex);
    *link = data->link;
    bool fresh = data->fresh;
    if (fresh) {
        json_decref(snapshot->status);
        *snapshot = data->newest;
        data->newest.status = NULL;
        data->fresh = false;
    }
    pthread_mutex_unlock(&data->mutex);
    return fresh;
}
