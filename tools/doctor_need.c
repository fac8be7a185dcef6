/* What the host is to be fit for: nothing in particular, a configuration, or a server that runs. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "ring/numa.h"
#include "ring/ring.h"
#include "tools/doctor.h"
#include "tools/session.h"
#include "tools/tasks.h"

int doctor_need_host(struct doctor_need *need)
{
    memset(need, 0, sizeof(*need));
    return sched_getaffinity(0, sizeof(need->cores), &need->cores) == 0 ? 0 : -errno;
}

static void clear(struct doctor_need *need, const char *name)
{
    memset(need, 0, sizeof(*need));
    snprintf(need->name, sizeof(need->name), "%s", name);
}

static void take_core(cpu_set_t *cores, int core)
{
    if (core >= 0 && core < CPU_SETSIZE) {
        CPU_SET((size_t)core, cores);
    }
}

static bool is_busy(const struct thread_plan *thread)
{
    return thread->fifo != 0 && thread->idle == IDLE_BUSY;
}

static void take_thread(struct doctor_need *need, const struct thread_plan *thread)
{
    take_core(&need->cores, thread->core);
    need->lock = need->lock || thread->lock_memory != 0;
    if (is_busy(thread)) {
        need->busy_fifo = true;
        need->busy_anywhere = need->busy_anywhere || thread->core < 0;
        take_core(&need->busy, thread->core);
    }
}

static void take_table(struct doctor_need *need, const struct control_table *table)
{
    take_thread(need, &table->thread);
    need->control_pinned = table->thread.core >= 0;
    need->budget_ns = table->cycle_budget_ns;
}

/* 0000:01:00.0, alone or before arguments; not a virtual device. */
static bool is_pci(const char *port)
{
    size_t n = strspn(port, "0123456789abcdefABCDEF:.");
    return n >= strlen("01:00.0") && (port[n] == 0 || port[n] == ',') && memchr(port, ':', n) != NULL;
}

static void take_port(struct doctor_need *need, const char *name, bool pci, int core)
{
    if (need->ports < DOCTOR_PORTS_MAX) {
        struct doctor_port *port = &need->port[need->ports++];
        int n = (int)strcspn(name, ",");
        port->pci = pci;
        port->core = core;
        /* The kernel has the domain always. */
        snprintf(port->name, sizeof(port->name), "%s%.*s", pci && n <= 7 ? "0000:" : "", n < 24 ? n : 24, name);
    }
}

static void take_worker(struct doctor_need *need, const struct worker_plan *worker)
{
    take_thread(need, &worker->thread);
    for (uint32_t t = 0; t < worker->threads; t++) {
        take_core(&need->cores, worker->thread_core[t]);
        if (is_busy(&worker->thread)) {
            take_core(&need->busy, worker->thread_core[t]);
        }
    }
    for (uint32_t s = 0; s < worker->sources; s++) {
        const struct source_plan *source = &worker->source[s];
        int core = worker->threads > 1 ? worker->thread_core[source->thread] : worker->thread.core;
        if (source->kind == SOURCE_AFXDP) {
            take_port(need, source->afxdp.interface, false, core);
        } else if (source->kind == SOURCE_DPDK && is_pci(source->dpdk.port)) {
            take_port(need, source->dpdk.port, true, core);
        }
    }
}

static void take_ring(struct doctor_need *need, const struct ring_plan *ring)
{
    struct ring_spec spec = {.stream_count = 1,
                             .slots = ring->slots,
                             .slot_bytes = ring->slot_bytes,
                             .payload_offset = ring->payload_offset,
                             .channels = ring->channel,
                             .channel_count = ring->channel_count,
                             .number_count = ring->number_count};
    size_t page_bytes = segment_pages_bytes(ring->pages);
    bool required = ring->pages == SEGMENT_HUGE || ring->pages == SEGMENT_HUGE_1G;
    uint64_t count = page_bytes > 0 ? (ring_segment_bytes(&spec) + page_bytes - 1) / page_bytes : 0;
    if (page_bytes <= SEGMENT_PAGE_BYTES) {
        return;
    }
    for (uint32_t i = 0; i < need->pages; i++) {
        struct doctor_pages *pages = &need->page[i];
        if (pages->page_bytes == page_bytes && pages->node == ring->numa_node) {
            pages->count += count;
            pages->required = pages->required || required;
            return;
        }
    }
    need->page[need->pages++] = (struct doctor_pages){page_bytes, ring->numa_node, required, count};
}

void doctor_need_plan(struct doctor_need *need, const struct server_plan *plan)
{
    clear(need, plan->instance);
    take_table(need, &plan->table);
    need->checksum = plan->table.checksum;
    snprintf(need->watchdog, sizeof(need->watchdog), "%s", plan->watchdog_path);
    for (uint32_t i = 0; i < plan->workers; i++) {
        take_worker(need, &plan->worker[i]);
    }
    for (uint32_t i = 0; i < plan->rings; i++) {
        take_ring(need, &plan->ring[i]);
    }
    need->pinned = CPU_COUNT(&need->cores) > 0;
    if (!need->pinned) {
        sched_getaffinity(0, sizeof(need->cores), &need->cores);
    }
}

/* One core alone is where a thread was pinned to. */
static void take_tasks(struct doctor_need *need, pid_t pid)
{
    struct tasks tasks;
    tasks_read(&tasks, pid);
    for (uint32_t i = 0; i < tasks.count; i++) {
        cpu_set_t set;
        if (doctor_parse_cores(tasks.task[i].cores, &set) && CPU_COUNT(&set) == 1) {
            CPU_OR(&need->cores, &need->cores, &set);
        }
    }
    tasks_fini(&tasks);
}

int doctor_need_instance(struct doctor_need *need, const char *instance, struct error *err)
{
    static struct session session;
    int code = session_open(&session, instance, err);
    if (code != 0) {
        return code;
    }
    clear(need, session.instance);
    need->running = true;
    take_table(need, session.table);
    for (uint32_t i = 0; i < session.workers; i++) {
        take_core(&need->cores, session.worker[i]->common.core);
        need->busy_unknown = need->busy_unknown || session.worker[i]->common.policy == SCHED_FIFO;
        take_tasks(need, (pid_t)session.worker[i]->common.pid);
    }
    session_close(&session);
    need->pinned = CPU_COUNT(&need->cores) > 0;
    if (!need->pinned) {
        sched_getaffinity(0, sizeof(need->cores), &need->cores);
    }
    return 0;
}

static bool is_server(const char *pid)
{
    static struct doctor real = {.root = ""};
    char path[DOCTOR_PATH_BYTES];
    char name[64];
    return strspn(pid, "0123456789") == strlen(pid) &&
           doctor_read(&real, doctor_path(path, "/proc/%s/comm", pid), name, sizeof(name)) > 0 &&
           (strcmp(name, "sluiced") == 0 || strcmp(name, "sluice-control") == 0 ||
            strcmp(name, "sluice-worker") == 0 || strcmp(name, "sluice-dpdk") == 0);
}

bool doctor_server_runs(void)
{
    char name[RING_NAME_BYTES];
    struct error err = {{0}};
    struct dirent *entry;
    bool found = session_instance(NULL, name, &err) != -ENOENT;
    DIR *dir = opendir("/proc");
    if (dir == NULL) {
        return true;
    }
    while (!found && (entry = readdir(dir)) != NULL) {
        found = is_server(entry->d_name);
    }
    closedir(dir);
    return found;
}
