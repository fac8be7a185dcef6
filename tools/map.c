/* map: every byte of shared memory that a running instance owns, where it is mapped and by whom, and the private
 * memory beside it, so that it adds up. The screen is drawn from the JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "ring/segment.h"
#include "tools/map_read.h"
#include "tools/session.h"
#include "tools/sluice.h"

static const struct {
    const char *word;
    const char *label; /* %s: ring, worker or recorder */
    const char *purpose;
} kinds[] = {
    [0] = {"unknown", "unknown", "not in the server's segment table"},
    [SEGMENT_KIND_BOARD] = {"board", "board of sluiced", "processes, readers and this table, for sluice(1)"},
    [SEGMENT_KIND_TABLE] = {"table", "table", "the interlock's channels, rules and outputs; sealed"},
    [SEGMENT_KIND_CONTROL_BOARD] = {"control_board", "board of control", "state and latency of the interlock"},
    [SEGMENT_KIND_MAILBOX] = {"mailbox", "mailbox", "the operator's commands to control"},
    [SEGMENT_KIND_WORKER_PLAN] = {"worker_plan", "plan of worker %s", "the worker's sources; sealed"},
    [SEGMENT_KIND_WORKER_BOARD] = {"worker_board", "board of worker %s", "the worker's heartbeat and refusals"},
    [SEGMENT_KIND_RING] = {"ring", "ring %s", "frames"},
    [SEGMENT_KIND_LEASE] = {"lease", "lease on ring %s", "one reader's position"},
    [SEGMENT_KIND_ORDERS] = {"orders", "orders for ring %s", "which gating readers the writer waits for"},
    [SEGMENT_KIND_JOURNAL] = {"journal", "journal of control",
                              "the interlock's decisions, one by one, for the replay"},
    [SEGMENT_KIND_OUTBOX] = {"outbox", "outbox of control", "commands to an actuator, and its answers"},
    [SEGMENT_KIND_BLACK_BOX_BOARD] = {"blackbox_board", "board of the black box",
                                      "what has been reported of trips"},
    [SEGMENT_KIND_BLACK_BOX_PLAN] = {"blackbox_plan", "plan of the black box",
                                     "where and how much it writes; sealed"},
    [SEGMENT_KIND_OBSERVER_BOARD] = {"observer_board", "board of the observer",
                                     "who took cores, and what was late because of it"},
    [SEGMENT_KIND_CONFIG] = {"config", "text of the configuration", "for recordings; sealed"},
    [SEGMENT_KIND_RECORDER_BOARD] = {"recorder_board", "board of recorder %s", "what it records, and what it lost"},
    [SEGMENT_KIND_RECORDER_PLAN] = {"recorder_plan", "plan of recorder %s", "what, where and when; sealed"},
    [SEGMENT_KIND_RECORDER_MAILBOX] = {"recorder_mailbox", "mailbox of recorder %s", "the operator's orders to it"},
    [SEGMENT_KIND_MEASURES] = {"measures", "list of measures",
                               "what is counted and measured, and where it lies; sealed"}};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *const roles[] = {[MAP_SERVER] = "server", [MAP_READER] = "reader", [MAP_OTHER] = "other"};

static uint32_t kind_of(const struct segment_entry *segment)
{
    return segment->kind < KINDS && kinds[segment->kind].word != NULL ? segment->kind : 0;
}

static json_t *text_or_null(const char *text)
{
    return text[0] != 0 ? json_string(text) : json_null();
}

static json_t *number_or_null(uint64_t n, bool there)
{
    return there ? json_integer((json_int_t)n) : json_null();
}

static json_t *make_nodes(const struct smaps_entry *entry)
{
    if (!entry->nodes_known) {
        return json_null();
    }
    json_t *list = json_array();
    for (uint32_t i = 0; i < entry->nodes; i++) {
        json_array_append_new(list, json_pack("{s:I, s:I}", "node", (json_int_t)entry->node[i].node, "kb",
                                              (json_int_t)entry->node[i].kb));
    }
    return list;
}

static json_t *make_mapping(const struct map_process *process, const struct smaps_entry *entry)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:s, s:b, s:I, s:I, s:I, s:I, s:b, s:o}", "process", process->name,
                     "pid", (json_int_t)process->pid, "address", (json_int_t)entry->start, "bytes",
                     (json_int_t)(entry->end - entry->start), "permissions", entry->permissions, "writable",
                     entry->permissions[1] == 'w', "page_bytes", (json_int_t)entry->page_bytes, "resident_kb",
                     (json_int_t)entry->resident_kb, "huge_kb", (json_int_t)entry->huge_kb, "locked_kb",
                     (json_int_t)entry->locked_kb, "locked", (int)entry->locked, "numa_nodes", make_nodes(entry));
}

static json_t *make_mappings(const struct map *map, int segment)
{
    json_t *list = json_array();
    for (uint32_t p = 0; p < map->processes; p++) {
        const struct map_process *process = &map->process[p];
        for (uint32_t i = 0; i < process->smaps.count; i++) {
            if (map_segment_of(map, &process->smaps.entry[i]) == segment) {
                json_array_append_new(list, make_mapping(process, &process->smaps.entry[i]));
            }
        }
    }
    return list;
}

static void describe(const struct map *map, const struct segment_entry *segment, char *text, size_t bytes)
{
    snprintf(text, bytes, "%s", kinds[kind_of(segment)].purpose);
    for (uint32_t i = 0; segment->kind == SEGMENT_KIND_RING && i < map->rings; i++) {
        const struct map_ring *ring = &map->ring[i];
        if (strcmp(ring->name, segment->name) == 0) {
            snprintf(text, bytes, "frames of stream %s, %llu slots of %u bytes", ring->stream,
                     (unsigned long long)ring->slots, ring->slot_bytes);
        }
    }
}

static json_t *make_region(const struct map *map, uint32_t i)
{
    const struct segment_entry *segment = &map->segment[i];
    uint32_t kind = kind_of(segment);
    bool of_ring = kind == SEGMENT_KIND_RING || kind == SEGMENT_KIND_LEASE || kind == SEGMENT_KIND_ORDERS;
    bool of_worker = kind == SEGMENT_KIND_WORKER_PLAN || kind == SEGMENT_KIND_WORKER_BOARD;
    bool of_recorder = kind >= SEGMENT_KIND_RECORDER_BOARD && kind <= SEGMENT_KIND_RECORDER_MAILBOX;
    char label[RING_NAME_BYTES + 32];
    char purpose[128];
    snprintf(label, sizeof(label), "%.*s%s", (int)strcspn(kinds[kind].label, "%"), kinds[kind].label,
             of_ring || of_worker || of_recorder ? segment->name : "");
    describe(map, segment, purpose, sizeof(purpose));
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:I, s:I, s:s, s:o, s:o, s:o}", "region", label,
                     "kind", kinds[kind].word, "ring", text_or_null(of_ring ? segment->name : ""), "worker",
                     text_or_null(of_worker ? segment->name : ""), "reader_pid",
                     number_or_null(segment->owner_pid, kind == SEGMENT_KIND_LEASE && segment->owner_pid != 0),
                     "bytes", (json_int_t)segment->bytes, "page_bytes", (json_int_t)segment->page_bytes,
                     "numa_node", number_or_null((uint64_t)segment->numa_node, segment->numa_node >= 0), "device",
                     (json_int_t)segment->device, "inode", (json_int_t)segment->inode, "purpose", purpose, "owner",
                     text_or_null(segment->owner), "owner_pid",
                     number_or_null(segment->owner_pid, segment->owner_pid != 0), "mappings",
                     make_mappings(map, (int)i));
}

/* What a server process maps of a sluice server's memory and the server does not know: shown, never left out. */
static void add_unknown(const struct map *map, json_t *regions)
{
    for (uint32_t p = 0; p < map->processes; p++) {
        const struct map_process *process = &map->process[p];
        for (uint32_t i = 0; process->role == MAP_SERVER && i < process->smaps.count; i++) {
            const struct smaps_entry *entry = &process->smaps.entry[i];
            if (map_is_sluice(entry) && map_segment_of(map, entry) < 0) {
                json_array_append_new(
                    regions,
                    json_pack("{s:s, s:s, s:n, s:n, s:n, s:I, s:I, s:n, s:I, s:I, s:s, s:n, s:n, s:[o]}", "region",
                              entry->path, "kind", kinds[0].word, "ring", "worker", "reader_pid", "bytes",
                              (json_int_t)(entry->end - entry->start), "page_bytes", (json_int_t)entry->page_bytes,
                              "numa_node", "device", (json_int_t)entry->device, "inode", (json_int_t)entry->inode,
                              "purpose", kinds[0].purpose, "owner", "owner_pid", "mappings",
                              make_mapping(process, entry)));
            }
        }
    }
}

struct sums {
    uint64_t shared_kb; /* of the instance's segments, resident in one process */
    uint64_t private_kb;
    uint64_t files_kb; /* one process's part of pages that others map as well: programs, libraries */
};

static struct sums add_up(const struct map *map, const struct map_process *process)
{
    struct sums sums = {0};
    for (uint32_t i = 0; i < process->smaps.count; i++) {
        const struct smaps_entry *entry = &process->smaps.entry[i];
        if (map_segment_of(map, entry) >= 0) {
            sums.shared_kb += entry->resident_kb;
        } else if (!map_is_sluice(entry)) {
            sums.private_kb += entry->private_kb;
            sums.files_kb += entry->pss_kb > entry->private_kb ? entry->pss_kb - entry->private_kb : 0;
        }
    }
    return sums;
}

static json_t *make_threads(const struct tasks *tasks)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < tasks->count; i++) {
        const struct task *task = &tasks->task[i];
        json_array_append_new(list, json_pack("{s:I, s:s, s:o}", "tid", (json_int_t)task->tid, "name", task->name,
                                              "cores", text_or_null(task->cores)));
    }
    return list;
}

static json_t *make_process(const struct map_process *process, const struct sums *sums)
{
    bool readable = process->err.text[0] == 0;
    return json_pack("{s:s, s:I, s:s, s:b, s:o, s:o, s:o, s:o, s:b, s:o}", "name", process->name, "pid",
                     (json_int_t)process->pid, "role", roles[process->role], "readable", (int)readable, "error",
                     text_or_null(process->err.text), "shared_kb", number_or_null(sums->shared_kb, readable),
                     "private_kb", number_or_null(sums->private_kb, readable), "shared_files_kb",
                     number_or_null(sums->files_kb, readable), "counted", process->role == MAP_SERVER, "threads",
                     make_threads(&process->tasks));
}

static json_t *make_map(const struct map *map)
{
    json_t *regions = json_array();
    json_t *processes = json_array();
    struct sums total = {0};
    bool complete = true;
    for (uint32_t i = 0; i < map->segments; i++) {
        json_array_append_new(regions, make_region(map, i));
    }
    add_unknown(map, regions);
    for (size_t i = 0; i < json_array_size(regions); i++) {
        total.shared_kb +=
            (uint64_t)json_integer_value(json_object_get(json_array_get(regions, i), "bytes")) / 1024;
    }
    for (uint32_t i = 0; i < map->processes; i++) {
        const struct map_process *process = &map->process[i];
        struct sums sums = add_up(map, process);
        json_array_append_new(processes, make_process(process, &sums));
        if (process->role == MAP_SERVER) {
            total.private_kb += sums.private_kb;
            total.files_kb += sums.files_kb;
            complete = complete && process->err.text[0] == 0;
        }
    }
    uint64_t sum_kb = total.shared_kb + total.private_kb + total.files_kb;
    return json_pack("{s:s, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:b, s:I}}", "instance", map->instance, "regions",
                     regions, "processes", processes, "totals", "segments", (json_int_t)json_array_size(regions),
                     "shared_kb", (json_int_t)total.shared_kb, "private_kb", (json_int_t)total.private_kb,
                     "shared_files_kb", (json_int_t)total.files_kb, "total_kb", (json_int_t)sum_kb, "complete",
                     (int)complete, "processes_not_seen", (json_int_t)map->not_seen);
}

/* ---- The screen. */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "-";
}

static unsigned long long number_of(const json_t *object, const char *key)
{
    return (unsigned long long)json_integer_value(json_object_get(object, key));
}

static void draw_mapping(const json_t *mapping)
{
    size_t i;
    json_t *node;
    unsigned long long start = number_of(mapping, "address");
    printf("  %-14s %8llu  %012llx-%012llx %s %6s %12llu %10llu %-6s", text_of(mapping, "process"),
           number_of(mapping, "pid"), start, start + number_of(mapping, "bytes"), text_of(mapping, "permissions"),
           segment_page_name((size_t)number_of(mapping, "page_bytes")), number_of(mapping, "resident_kb"),
           number_of(mapping, "locked_kb"),
           number_of(mapping, "huge_kb") > 0                       ? "huge"
           : json_is_true(json_object_get(mapping, "locked")) != 0 ? "locked"
                                                                   : "");
    json_array_foreach(json_object_get(mapping, "numa_nodes"), i, node)
    {
        printf(" node %llu: %llu", number_of(node, "node"), number_of(node, "kb"));
    }
    printf("\n");
}

static void draw_region(const json_t *region)
{
    size_t i;
    json_t *mapping;
    printf("\n%s: %llu bytes, %s pages", text_of(region, "region"), number_of(region, "bytes"),
           segment_page_name((size_t)number_of(region, "page_bytes")));
    if (json_is_integer(json_object_get(region, "numa_node"))) {
        printf(", bound to NUMA node %llu", number_of(region, "numa_node"));
    }
    printf("; %s; ", text_of(region, "purpose"));
    if (json_is_string(json_object_get(region, "owner"))) {
        printf("written by %s (pid %llu)\n", text_of(region, "owner"), number_of(region, "owner_pid"));
    } else {
        printf("written by nobody\n");
    }
    json_array_foreach(json_object_get(region, "mappings"), i, mapping)
    {
        draw_mapping(mapping);
    }
}

static void draw_process(const json_t *process)
{
    printf("  %-14s %8llu  %-8s", text_of(process, "name"), number_of(process, "pid"), text_of(process, "role"));
    if (!json_is_true(json_object_get(process, "readable"))) {
        printf(" ! %s\n", text_of(process, "error"));
    } else if (number_of(process, "pid") == 0) {
        printf(" does not run\n");
    } else {
        printf(" %12llu %12llu %12llu%s\n", number_of(process, "shared_kb"), number_of(process, "private_kb"),
               number_of(process, "shared_files_kb"),
               json_is_true(json_object_get(process, "counted")) != 0 ? ""
                                                                      : "  not the server's: not in the total");
    }
}

/* Of a process that has several; its own line tells of the only one. */
static void draw_threads(const json_t *process)
{
    size_t i;
    json_t *thread;
    const json_t *threads = json_object_get(process, "threads");
    json_array_foreach(threads, i, thread)
    {
        if (json_array_size(threads) > 1) {
            printf("    thread %-16s %8llu  may run on core %s\n", text_of(thread, "name"),
                   number_of(thread, "tid"), text_of(thread, "cores"));
        }
    }
}

static void draw_map(const json_t *report)
{
    size_t i;
    json_t *item;
    const json_t *totals = json_object_get(report, "totals");
    printf("%s: every shared segment, and who maps it where\n", text_of(report, "instance"));
    printf("  %-14s %8s  %-30s %6s %12s %10s\n", "process", "pid", "address, permissions", "page", "resident kB",
           "locked kB");
    json_array_foreach(json_object_get(report, "regions"), i, item)
    {
        draw_region(item);
    }
    printf("\nprocesses\n  %-14s %8s  %-8s %12s %12s %12s\n", "name", "pid", "", "shared kB", "private kB",
           "files kB");
    json_array_foreach(json_object_get(report, "processes"), i, item)
    {
        draw_process(item);
        draw_threads(item);
    }
    const char *more = json_is_true(json_object_get(totals, "complete")) ? "" : ", and what could not be read";
    printf("\n%llu segments, each once %15llu kB\nprivate to the server's processes %6llu kB\n"
           "their part of programs, libraries %6llu kB\nin all %33llu kB%s\n",
           number_of(totals, "segments"), number_of(totals, "shared_kb"), number_of(totals, "private_kb"),
           number_of(totals, "shared_files_kb"), number_of(totals, "total_kb"), more);
    if (number_of(totals, "processes_not_seen") > 0) {
        printf("%llu processes of others may not be looked at; whether they map anything is not known\n",
               number_of(totals, "processes_not_seen"));
    }
}

/* Says who could not be read. 0, or EXIT_NOT_SO: the map is not whole. */
static int complain(const struct map *map)
{
    int code = EXIT_DONE;
    for (uint32_t i = 0; i < map->processes; i++) {
        if (map->process[i].err.text[0] != 0) {
            fprintf(stderr, "sluice map: %s (pid %d): %s\n", map->process[i].name, map->process[i].pid,
                    map->process[i].err.text);
            code = EXIT_NOT_SO;
        }
    }
    return code;
}

int command_map(const struct arguments *arguments)
{
    static struct map map;
    struct error err = {{0}};
    char instance[RING_NAME_BYTES];
    int found = session_instance(arguments->instance, instance, &err);
    if (found != 0) {
        return command_fail("map", err.text, found == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
    }
    int code = map_read(&map, instance, &err);
    json_t *report = code == 0 ? make_map(&map) : NULL;
    if (report == NULL) {
        map_fini(&map);
        return command_fail("map", code != 0 ? err.text : "no memory for the report", EXIT_UNREACHABLE);
    }
    if (arguments->json) {
        json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        printf("\n");
    } else {
        draw_map(report);
    }
    fflush(stdout);
    json_decref(report);
    code = complain(&map);
    map_fini(&map);
    return code;
}
