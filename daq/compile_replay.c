#include "daq/compile_replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/clock.h"
#include "ring/numa.h"

#define NAME_SUFFIX "-replay"
#define WORKER_NAME "replay"
#define PATIENCE_NS (60 * CLOCK_NS_PER_S) /* this machine's stalls say nothing of the recorded ones */
#define SILENCE_NS  (5 * CLOCK_NS_PER_S)
#define SPIN_US     50u
#define SLEEP_US    200u

/* What is of the machine and not of the measurement is left out before it is compiled: its cores, nodes and
 * accounts need not be there. Copies; their strings are the file's. */
struct derived {
    struct config config;
    struct config_control control;
    struct config_worker *worker;
    struct config_ring *ring;
    struct config_source *source;
};

static int copy_array(void **to, const void *from, uint32_t count, size_t bytes)
{
    *to = calloc(count + 1, bytes);
    if (*to == NULL) {
        return -ENOMEM;
    }
    if (count > 0) {
        memcpy(*to, from, count * bytes);
    }
    return 0;
}

static void free_derived(struct derived *d)
{
    free(d->worker);
    free(d->ring);
    free(d->source);
}

static void leave_out_machine(struct derived *d)
{
    for (uint32_t i = 0; i < d->config.workers_count; i++) {
        struct config_worker *worker = &d->worker[i];
        worker->core = worker->policy = worker->priority = worker->cores = NULL;
        worker->cores_count = 0;
    }
    for (uint32_t i = 0; i < d->config.rings_count; i++) {
        d->ring[i].pages = d->ring[i].numa_node = NULL;
    }
    for (uint32_t i = 0; i < d->config.sources_count; i++) {
        d->source[i].core = NULL;
    }
    d->control.core = d->control.policy = d->control.priority = NULL;
    d->control.watchdog = NULL;
}

static int derive(struct derived *d, const struct config *from)
{
    static char no_file[] = "none";
    static struct config_audit no_audit = {.file = no_file};
    static bool no = false;
    static int any_pages = SEGMENT_HUGE_OR_NORMAL;
    static struct config_observer no_observer = {.watch = &no};
    static struct config_memory any_memory = {.pages = &any_pages, .lock = &no};
    static const struct config_control none = {0};
    *d = (struct derived){.config = *from};
    d->control = from->control != NULL ? *from->control : none;
    if (copy_array((void **)&d->worker, from->workers, from->workers_count, sizeof(*d->worker)) != 0 ||
        copy_array((void **)&d->ring, from->rings, from->rings_count, sizeof(*d->ring)) != 0 ||
        copy_array((void **)&d->source, from->sources, from->sources_count, sizeof(*d->source)) != 0) {
        return -ENOMEM;
    }
    leave_out_machine(d);
    struct config *to = &d->config;
    to->workers = d->worker;
    to->rings = d->ring;
    to->sources = d->source;
    to->control = &d->control;
    to->memory = &any_memory;
    to->arming = NULL;
    to->authority = NULL;
    to->audit = &no_audit;
    to->black_box = NULL;
    to->observer = &no_observer;
    to->recorders = NULL;
    to->recorders_count = 0;
    return 0;
}

static bool is_listed(const char *const *list, uint32_t count, const char *ring)
{
    bool listed = false;
    for (uint32_t i = 0; i < count; i++) {
        listed = listed || strcmp(list[i], ring) == 0;
    }
    return listed;
}

static bool is_played(const struct replay_options *options, const char *ring)
{
    return options->rings == 0 || is_listed(options->ring, options->rings, ring);
}

static const struct source_plan *source_of(const struct server_plan *plan, const char *ring)
{
    for (uint32_t w = 0; w < plan->workers; w++) {
        for (uint32_t s = 0; s < plan->worker[w].sources; s++) {
            if (strcmp(plan->worker[w].source[s].ring, ring) == 0) {
                return &plan->worker[w].source[s];
            }
        }
    }
    return NULL;
}

/* What is told of the stream stays as it was; how it was received is forgotten. */
static bool play_source(const struct source_plan *from, const struct replay_options *options,
                        struct source_plan *to)
{
    *to = (struct source_plan){.kind = SOURCE_RECORDING,
                               .frame_bytes = from->frame_bytes,
                               .gates = from->gates,
                               .when_full = from->when_full,
                               .sequence = from->sequence,
                               .rate = {.stamp = RING_STAMP_TAKEN, .clock = STAMP_CLOCK_FREE}};
    memcpy(to->name, from->name, sizeof(to->name));
    memcpy(to->ring, from->ring, sizeof(to->ring));
    struct recording_plan *recording = &to->recording;
    recording->speed = options->speed;
    recording->from_ns = options->from_ns;
    recording->to_ns = options->to_ns;
    recording->loop = options->loop;
    recording->stamps = options->original_stamps ? RECORDING_STAMPS_ORIGINAL : RECORDING_STAMPS_MOVED;
    if (is_played(options, from->ring)) {
        memcpy(recording->ring, from->ring, sizeof(recording->ring));
    }
    return recording_plan_paths(recording, options->path, options->paths);
}

static void wait_at(struct ring_plan *ring, struct source_plan *source)
{
    if (ring->gates == 0) {
        ring->gates = 1;
        ring->gate_deadline_ns = PATIENCE_NS;
    }
    source->gates = ring->gates;
    source->recording.wait_readers = 1;
}

/* One worker for all, so that they have one time. */
static int play_sources(struct server_plan *plan, const struct replay_options *options)
{
    struct worker_plan *worker = calloc(1, sizeof(*worker));
    int code = worker != NULL ? 0 : -ENOMEM;
    for (uint32_t r = 0; code == 0 && r < plan->rings; r++) {
        const struct source_plan *from = source_of(plan, plan->ring[r].name);
        if (from != NULL && !play_source(from, options, &worker->source[worker->sources++])) {
            code = -E2BIG;
        }
        if (from != NULL && is_listed(options->wait, options->waits, plan->ring[r].name)) {
            wait_at(&plan->ring[r], &worker->source[worker->sources - 1]);
        }
        plan->ring[r].stream.tolerance = 0; /* at another speed it is another rate */
    }
    if (code == 0) {
        worker->magic = plan->worker[0].magic;
        worker->version = plan->worker[0].version;
        memcpy(worker->instance, plan->instance, sizeof(worker->instance));
        snprintf(worker->name, sizeof(worker->name), "%s", WORKER_NAME);
        worker->thread = (struct thread_plan){.core = -1,
                                              .idle = IDLE_WAIT,
                                              .spin_us = SPIN_US,
                                              .sleep_us = SLEEP_US,
                                              .seal = plan->worker[0].thread.seal};
        plan->worker[0] = *worker;
        plan->workers = 1;
    }
    free(worker);
    return code;
}

static void shadow_outputs(struct control_table *table)
{
    for (uint32_t i = 0; i < table->devices; i++) {
        struct control_device *device = &table->device[i];
        device->kind = DEVICE_SHADOW;
        device->acknowledge_ring = 0;
        memset(device->target, 0, sizeof(device->target));
    }
    for (uint32_t i = 0; i < table->outputs; i++) {
        table->output[i].feedback = (struct control_feedback){.form = FEEDBACK_NONE};
    }
}

/* The interlock decides on what was recorded, not on how this machine feels. */
static void calm_control(struct server_plan *plan)
{
    struct control_table *table = &plan->table;
    table->thread = (struct thread_plan){
        .core = -1, .idle = IDLE_DUTY, .spin_us = SPIN_US, .sleep_us = SLEEP_US, .seal = table->thread.seal};
    table->miss_trips = 0;
    table->stall_trip_ns = PATIENCE_NS;
    table->supervisor_silence_ns = PATIENCE_NS;
    table->gate_required = 0;
    table->gate_trips = 0;
    table->watchdog_ns = 0;
    plan->silence_ns = SILENCE_NS;
}

static void check_names(const struct config_file *file, const char *const *list, uint32_t count,
                        const struct server_plan *plan, struct config_errors *errors)
{
    for (uint32_t i = 0; i < count; i++) {
        bool found = false;
        for (uint32_t r = 0; r < plan->rings; r++) {
            found = found || strcmp(plan->ring[r].name, list[i]) == 0;
        }
        if (!found) {
            config_complain(file, errors, "rings", "no ring is named '%s', which is to be played", list[i]);
        }
    }
}

int compile_elsewhere(const struct config_file *file, const char *as, struct server_plan *plan,
                      struct config_errors *errors)
{
    char name[RING_NAME_BYTES + 1]; /* longer ones are complained of */
    struct derived derived;
    struct config_file copy = *file;
    int code = derive(&derived, file->config);
    if (code == 0) {
        snprintf(name, sizeof(name), "%s", as != NULL ? as : derived.config.instance);
        derived.config.instance = name;
        copy.config = &derived.config;
        code = compile_config(&copy, plan, errors);
    } else {
        config_complain(file, errors, "instance", "no memory to derive another configuration from this");
    }
    free_derived(&derived);
    return code;
}

int compile_replay(const struct config_file *file, const struct replay_options *options, struct server_plan *plan,
                   struct config_errors *errors)
{
    char name[RING_NAME_BYTES];
    unsigned before = errors->count;
    int room = (int)(sizeof(name) - sizeof(NAME_SUFFIX));
    snprintf(name, sizeof(name), "%.*s" NAME_SUFFIX, room, file->config->instance);
    int code = compile_elsewhere(file, options->as != NULL ? options->as : name, plan, errors);
    if (code == 0) {
        check_names(file, options->ring, options->rings, plan, errors);
        check_names(file, options->wait, options->waits, plan, errors);
        code = errors->count == before ? play_sources(plan, options) : -EINVAL;
    }
    if (code == -ENOMEM || code == -E2BIG) {
        config_complain(file, errors, "instance",
                        code == -ENOMEM ? "no memory to derive a replay from this"
                                        : "expected at most %u paths of recordings, of %u bytes in all",
                        PLAN_RECORDINGS_MAX, PLAN_RECORDING_BYTES);
    }
    if (code != 0) {
        return -EINVAL;
    }
    shadow_outputs(&plan->table);
    calm_control(plan);
    compile_set_checksum(plan);
    return 0;
}

const char *compile_replay_touches(const struct server_plan *plan)
{
    for (uint32_t i = 0; i < plan->table.devices; i++) {
        if (plan->table.device[i].kind != DEVICE_SHADOW || plan->table.device[i].target[0] != 0) {
            return "an output";
        }
    }
    for (uint32_t w = 0; w < plan->workers; w++) {
        for (uint32_t s = 0; s < plan->worker[w].sources; s++) {
            if (plan->worker[w].source[s].kind != SOURCE_RECORDING) {
                return "a device of a source";
            }
        }
    }
    return plan->watchdog_path[0] != 0 || plan->table.watchdog_ns != 0 ? "the watchdog"
           : plan->audit_path[0] != 0                                  ? "the audit log"
           : plan->has_black_box                                       ? "the black box's directory"
           : plan->recorders != 0                                      ? "a recorder's directories"
                                                                       : NULL;
}
