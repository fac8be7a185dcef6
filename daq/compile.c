#include "daq/compile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint64_t compile_bounded(struct compile *c, const char *where, const uint32_t *given, uint64_t standard,
                         uint64_t min, uint64_t max, const char *unit)
{
    if (given == NULL) {
        return standard;
    }
    if (*given < min || *given > max) {
        config_complain(c->file, c->errors, where, "expected %" PRIu64 " to %" PRIu64 " %s, found %u", min, max,
                        unit, *given);
        return standard;
    }
    return *given;
}

void compile_name(struct compile *c, const char *where, const char *name, char to[RING_NAME_BYTES])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t n = strlen(name);
    if (n == 0 || n >= RING_NAME_BYTES || strspn(name, allowed) != n || name[0] == '.') {
        config_complain(c->file, c->errors, where,
                        "expected a name of 1 to %u letters, digits, '_', '-' or '.', found '%s'",
                        RING_NAME_BYTES - 1, name);
    }
    snprintf(to, RING_NAME_BYTES, "%s", name);
}

void compile_thread(struct compile *c, const char *where, const int *core, const int *policy, const int *priority,
                    const int *idle, const uint32_t *spin_us, const uint32_t *sleep_us, int standard_idle,
                    struct thread_plan *to)
{
    char path[128];
    long cores = sysconf(_SC_NPROCESSORS_CONF);
    *to = (struct thread_plan){.core = core != NULL ? *core : -1,
                               .fifo = policy != NULL ? *policy == POLICY_FIFO : 0,
                               .priority = priority != NULL ? *priority : 0,
                               .idle = (uint32_t)(idle != NULL ? *idle : standard_idle)};
    if (to->core < -1 || to->core >= cores) {
        snprintf(path, sizeof(path), "%s.core", where);
        config_complain(c->file, c->errors, path,
                        "expected a core from 0 to %ld of this machine, or -1 for any, found %d", cores - 1,
                        to->core);
    }
    if (priority == NULL && to->fifo != 0) {
        to->priority = 80;
    }
    if (to->fifo != 0 ? to->priority < 1 || to->priority > 98 : to->priority != 0) {
        snprintf(path, sizeof(path), "%s.priority", where);
        config_complain(c->file, c->errors, path, "expected 1 to 98 with policy: fifo and none without, found %d",
                        to->priority);
    }
    snprintf(path, sizeof(path), "%s.spin_us", where);
    to->spin_us = (uint32_t)compile_bounded(c, path, spin_us, 200, 1, 100000, "us");
    snprintf(path, sizeof(path), "%s.sleep_us", where);
    to->sleep_us = (uint32_t)compile_bounded(c, path, sleep_us, 20, 1, 100000, "us");
    const struct config_memory *memory = c->config->memory;
    to->lock_memory = memory != NULL && memory->lock != NULL ? *memory->lock : 1;
    to->seal = c->config->seal != NULL ? *c->config->seal : 1;
}

/* A ring that does not fit is found here and not when the machine starts to die. */
static void check_memory(struct compile *c)
{
    uint64_t total = 0;
    uint64_t largest = 0;
    uint32_t which = 0;
    for (uint32_t i = 0; i < c->plan->rings; i++) {
        uint64_t bytes = c->plan->ring[i].slots * c->plan->ring[i].slot_bytes;
        total += bytes;
        if (bytes > largest) {
            largest = bytes;
            which = i;
        }
    }
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (total > memory / 4 * 3) {
        char path[64];
        snprintf(path, sizeof(path), "rings[%u].slots", which);
        config_complain(c->file, c->errors, path,
                        "the rings want %" PRIu64 " MiB in all (this one %" PRIu64 "), three quarters of this "
                        "machine's memory are %" PRIu64 " MiB; use fewer or smaller slots",
                        total >> 20, largest >> 20, memory / 4 * 3 >> 20);
    }
}

int compile_config(const struct config_file *file, struct server_plan *plan, struct config_errors *errors)
{
    unsigned before = errors->count;
    memset(plan, 0, sizeof(*plan));
    struct compile c = {.file = file, .config = file->config, .plan = plan, .errors = errors};
    const struct config_memory *memory = c.config->memory;
    compile_name(&c, "instance", c.config->instance, plan->instance);
    plan->pages =
        memory != NULL && memory->pages != NULL ? (enum segment_pages) * memory->pages : SEGMENT_HUGE_OR_NORMAL;
    compile_sources(&c);
    compile_control(&c);
    compile_gating(&c);
    check_memory(&c);
    return errors->count == before ? 0 : -EINVAL;
}
