#include "daq/compile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ring/numa.h"

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

static void check_node(struct compile *c, const char *where, int node)
{
    char list[NUMA_LIST_BYTES];
    if (node == NUMA_ANY) {
        return;
    }
    if (numa_online(list) != 0) {
        config_complain(c->file, c->errors, where,
                        "expected -1: this machine's kernel knows no NUMA nodes, found %d", node);
    } else if (node < 0 || node >= (int)NUMA_NODES_MAX || !numa_list_has(list, node)) {
        config_complain(c->file, c->errors, where,
                        "expected a NUMA node of this machine (%s), or -1 for any, found %d", list, node);
    }
}

/* What a ring says of its memory goes before what `memory` says of all. */
static void compile_memory(struct compile *c)
{
    const struct config_memory *memory = c->config->memory;
    int pages = memory != NULL && memory->pages != NULL ? *memory->pages : SEGMENT_HUGE_OR_NORMAL;
    int node = memory != NULL && memory->numa_node != NULL ? *memory->numa_node : NUMA_ANY;
    check_node(c, "memory.numa_node", node);
    for (uint32_t i = 0; i < c->plan->rings; i++) {
        const struct config_ring *from = &c->config->rings[i];
        struct ring_plan *ring = &c->plan->ring[i];
        char path[64];
        ring->pages = (enum segment_pages)(from->pages != NULL ? *from->pages : pages);
        ring->numa_node = from->numa_node != NULL ? *from->numa_node : node;
        if (from->numa_node != NULL) {
            snprintf(path, sizeof(path), "rings[%u].numa_node", i);
            check_node(c, path, ring->numa_node);
        }
    }
}

/* What a ring takes at least: its end is rounded up to a whole page if it must have large ones. Slots and
 * slot_bytes are within their bounds here, so that nothing of this can wrap. */
static uint64_t ring_plan_bytes(const struct ring_plan *ring)
{
    bool exactly = ring->pages == SEGMENT_HUGE || ring->pages == SEGMENT_HUGE_1G;
    uint64_t page_bytes = exactly ? segment_pages_bytes(ring->pages) : SEGMENT_PAGE_BYTES;
    uint64_t bytes = RING_HEADER_BYTES + ring->channel_count * sizeof(struct ring_channel) +
                     ring->number_count * sizeof(double) + ring->slots * ring->slot_bytes;
    return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

/* A ring that does not fit is found here and not when the machine starts to die. */
static void check_memory(struct compile *c)
{
    uint64_t total = 0;
    uint64_t largest = 0;
    uint32_t which = 0;
    for (uint32_t i = 0; i < c->plan->rings; i++) {
        uint64_t bytes = ring_plan_bytes(&c->plan->ring[i]);
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
                        "machine's memory are %" PRIu64 " MiB; use fewer or smaller slots, or smaller pages",
                        total >> 20, largest >> 20, memory / 4 * 3 >> 20);
    }
}

static uint64_t hash_bytes(uint64_t hash, const void *from, size_t bytes)
{
    const uint8_t *at = from;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a, as the table's */
    }
    return hash;
}

/* What an operator acknowledges: rules and outputs, where each sample comes from, and who may command. Nothing in
 * the plan is of this start yet, and none of these structs has padding: equal meaning, equal number. */
void compile_set_checksum(struct server_plan *plan)
{
    uint64_t hash = control_table_hash_part(&plan->table, CONTROL_TABLE_HASH_START,
                                            offsetof(struct control_table, instance), sizeof(plan->table));
    hash = hash_bytes(hash, &plan->workers, sizeof(plan->workers));
    for (uint32_t i = 0; i < plan->workers; i++) {
        hash = hash_bytes(hash, &plan->worker[i], worker_plan_bytes(&plan->worker[i]));
    }
    hash = hash_bytes(hash, &plan->silence_ns, sizeof(plan->silence_ns));
    plan->table.checksum = hash_bytes(hash, &plan->authority, sizeof(plan->authority));
}

/* A plan has room for far more than most of them say: rings, workers and sources are cleared when they come into
 * use, so that the others take no memory. */
static void clear(struct server_plan *plan)
{
    memset(plan, 0, offsetof(struct server_plan, ring));
    memset(&plan->has_black_box, 0, sizeof(*plan) - offsetof(struct server_plan, has_black_box));
}

int compile_config(const struct config_file *file, struct server_plan *plan, struct config_errors *errors)
{
    unsigned before = errors->count;
    clear(plan);
    struct compile c = {.file = file, .config = file->config, .plan = plan, .errors = errors};
    compile_name(&c, "instance", c.config->instance, plan->instance);
    compile_sources(&c);
    compile_memory(&c);
    compile_control(&c);
    compile_arming(&c);
    compile_authority(&c);
    compile_black_box(&c);
    compile_observer(&c);
    compile_gating(&c);
    compile_recorders(&c);
    check_memory(&c);
    compile_set_checksum(plan);
    return errors->count == before ? 0 : -EINVAL;
}
