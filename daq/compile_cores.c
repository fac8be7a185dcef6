/* On which cores a worker polls, and on which of them each of its sources is polled. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daq/compile.h"

static bool polls(const struct worker_plan *worker)
{
    return worker->sources > 0 && worker->source[0].kind == SOURCE_DPDK;
}

/* -1: it has no thread there. */
static int thread_on(const struct worker_plan *worker, uint32_t threads, int core)
{
    for (uint32_t t = 0; t < threads; t++) {
        if (worker->thread_core[t] == core) {
            return (int)t;
        }
    }
    return -1;
}

static void check_core(struct compile *c, uint32_t w, uint32_t k, int core)
{
    const struct config_control *control = c->config->control;
    char path[COMPILE_PATH_BYTES];
    long cores = sysconf(_SC_NPROCESSORS_CONF);
    compile_path(path, "workers[%u].cores[%u]", w, k);
    if (core < 0 || core >= cores) {
        config_complain(c->file, c->errors, path, "expected a core from 0 to %ld of this machine, found %d",
                        cores - 1, core);
    } else if (thread_on(&c->plan->worker[w], k, core) >= 0) {
        config_complain(c->file, c->errors, path,
                        "core %d stands there twice; each polling thread has a core of its own", core);
    } else if (control != NULL && control->core != NULL && *control->core == core) {
        config_complain(c->file, c->errors, path,
                        "core %d is the interlock's (control.core), which a polling thread would take it from; use "
                        "another",
                        core);
    }
}

static void take_cores(struct compile *c, uint32_t w, const struct config_worker *from)
{
    struct worker_plan *worker = &c->plan->worker[w];
    char path[COMPILE_PATH_BYTES];
    compile_path(path, "workers[%u].cores", w);
    uint32_t count = from->cores_count;
    if (!polls(worker)) {
        config_complain(c->file, c->errors, path,
                        "belongs to a worker of sources of kind dpdk; worker '%s' is one thread: core",
                        worker->name);
        return;
    }
    if (from->core != NULL) {
        config_complain(c->file, c->errors, path, "expected core, for one thread, or cores, found both");
    }
    if (count > worker->sources) {
        config_complain(c->file, c->errors, path,
                        "%u cores for %u source%s; each polling thread needs one: use fewer cores", count,
                        worker->sources, worker->sources == 1 ? "" : "s");
        count = worker->sources;
    }
    for (uint32_t k = 0; k < count; k++) {
        check_core(c, w, k, from->cores[k]);
        worker->thread_core[k] = from->cores[k];
    }
    worker->threads = count;
    worker->thread.core = worker->thread_core[0];
}

/* The configuration's source with this name. */
static uint32_t place_of(const struct compile *c, const struct source_plan *source)
{
    uint32_t i = 0;
    while (i + 1 < c->config->sources_count && strcmp(c->config->sources[i].name, source->name) != 0) {
        i++;
    }
    return i;
}

static void describe_cores(const struct worker_plan *worker, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = 0;
    for (uint32_t t = 0; t < worker->threads && n < bytes && worker->thread_core[t] >= 0; t++) {
        n += (size_t)snprintf(text + n, bytes - n, "%s%d", t > 0 ? ", " : "", worker->thread_core[t]);
    }
}

/* Those that say where; true if all is well. */
static bool place_named(struct compile *c, struct worker_plan *worker, bool placed[PLAN_SOURCES_MAX],
                        uint32_t load[PLAN_THREADS_MAX])
{
    char path[COMPILE_PATH_BYTES];
    char cores[96];
    bool well = true;
    describe_cores(worker, cores, sizeof(cores));
    for (uint32_t s = 0; s < worker->sources; s++) {
        uint32_t i = place_of(c, &worker->source[s]);
        const int *core = c->config->sources[i].core;
        compile_path(path, "sources[%u].core", i);
        int thread = core != NULL ? thread_on(worker, worker->threads, *core) : -1;
        if (core != NULL && worker->source[s].kind != SOURCE_DPDK) {
            config_complain(c->file, c->errors, path, "belongs to kind: dpdk; other workers are one thread");
            well = false;
        } else if (core != NULL && (thread < 0 || *core < 0)) {
            config_complain(
                c->file, c->errors, path,
                "expected a core that worker '%s' polls on (%s), found %d; add it to the worker's cores",
                worker->name, cores[0] != 0 ? cores : "it names none", *core);
            well = false;
        } else if (core != NULL) {
            placed[s] = true;
            worker->source[s].thread = (uint32_t)thread;
            load[thread]++;
        }
    }
    return well;
}

/* The others go where the fewest are, the first such core first: in turn, if none says where. */
static void place_others(struct worker_plan *worker, const bool placed[PLAN_SOURCES_MAX],
                         uint32_t load[PLAN_THREADS_MAX])
{
    for (uint32_t s = 0; s < worker->sources; s++) {
        uint32_t least = 0;
        for (uint32_t t = 1; t < worker->threads; t++) {
            least = load[t] < load[least] ? t : least;
        }
        if (!placed[s]) {
            worker->source[s].thread = least;
            load[least]++;
        }
    }
}

void compile_cores(struct compile *c, uint32_t w, const struct config_worker *from)
{
    struct worker_plan *worker = &c->plan->worker[w];
    bool placed[PLAN_SOURCES_MAX] = {false};
    uint32_t load[PLAN_THREADS_MAX] = {0};
    char path[COMPILE_PATH_BYTES];
    worker->threads = 1;
    worker->thread_core[0] = worker->thread.core;
    if (from != NULL && from->cores_count > 0) {
        take_cores(c, w, from);
    }
    if (!place_named(c, worker, placed, load)) {
        return;
    }
    place_others(worker, placed, load);
    for (uint32_t t = 0; t < worker->threads && worker->threads > 1; t++) {
        if (load[t] == 0) {
            config_complain(c->file, c->errors, compile_path(path, "workers[%u].cores[%u]", w, t),
                            "no source is left for core %d: all say another one; let one say core: %d, or leave it "
                            "out",
                            worker->thread_core[t], worker->thread_core[t]);
        }
    }
}
