#include "tools/map_read.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/session.h"

#define MEMFD_PREFIX "/memfd:sluice"
#define ATTEMPTS     10
#define PAUSE_NS     20000000

bool map_is_sluice(const struct smaps_entry *entry)
{
    return strncmp(entry->path, MEMFD_PREFIX, strlen(MEMFD_PREFIX)) == 0;
}

int map_segment_of(const struct map *map, const struct smaps_entry *entry)
{
    for (uint32_t i = 0; i < map->segments; i++) {
        if (map->segment[i].device == entry->device && map->segment[i].inode == entry->inode) {
            return (int)i;
        }
    }
    return -1;
}

/* A consistent copy of the segment table. False: sluiced kept writing it. */
static bool copy_segments(struct map *map, const struct segment_table *table)
{
    uint32_t tries = 0;
    while (session_again(&tries)) {
        uint64_t before = __atomic_load_n(&table->version, __ATOMIC_ACQUIRE);
        uint64_t n = table->segments < SEGMENT_TABLE_MAX ? table->segments : SEGMENT_TABLE_MAX;
        memcpy(map->segment, table->entry, n * sizeof(table->entry[0]));
        map->segments = (uint32_t)n;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if ((before & 1) == 0 && __atomic_load_n(&table->version, __ATOMIC_RELAXED) == before) {
            return true;
        }
    }
    return false;
}

static struct map_process *find(struct map *map, pid_t pid)
{
    for (uint32_t i = 0; i < map->processes; i++) {
        if (map->process[i].pid == pid) {
            return &map->process[i];
        }
    }
    return NULL;
}

/* NULL: there is no more room; it is counted. */
static struct map_process *add(struct map *map, pid_t pid, enum map_role role)
{
    if (map->processes >= MAP_PROCESSES_MAX) {
        map->not_seen++;
        return NULL;
    }
    struct map_process *process = &map->process[map->processes++];
    *process = (struct map_process){.pid = pid, .role = role};
    return process;
}

static void name_by_kernel(struct map_process *process)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/comm", process->pid);
    FILE *f = fopen(path, "re");
    if (f == NULL || fgets(process->name, sizeof(process->name), f) == NULL) {
        snprintf(process->name, sizeof(process->name), "reader");
    }
    process->name[strcspn(process->name, "\n")] = 0;
    if (f != NULL) {
        fclose(f);
    }
}

static void copy_rings(struct map *map, const struct session *session)
{
    for (uint32_t i = 0; i < session->rings && i < MAP_RINGS_MAX; i++) {
        const struct ring_identity *id = &session->ring[i].header->identity;
        struct map_ring *ring = &map->ring[map->rings++];
        memcpy(ring->name, id->name, sizeof(ring->name));
        memcpy(ring->stream, session->ring[i].header->stream[0].name, sizeof(ring->stream));
        ring->slots = id->slots;
        ring->slot_bytes = id->slot_bytes;
    }
}

/* What the server knows. The boards are unmapped again before anyone's memory is counted: we would count, too. */
static int ask_server(struct map *map, const char *instance, struct error *err)
{
    struct session session;
    int code = session_open(&session, instance, err);
    if (code == 0 && !copy_segments(map, &session.supervisor->segments)) {
        code = error_set(err, -EAGAIN, "the server did not finish writing its segment table; is it stopped?");
    }
    if (code == 0) {
        const struct supervisor_board *board = session.supervisor;
        snprintf(map->instance, sizeof(map->instance), "%s", instance);
        copy_rings(map, &session);
        for (uint32_t i = 0; i < board->processes && i < SUPERVISOR_PROCESSES_MAX; i++) {
            struct map_process *process = add(map, (pid_t)board->process[i].pid, MAP_SERVER);
            if (process != NULL) {
                memcpy(process->name, board->process[i].name, sizeof(process->name) - 1);
            }
        }
    }
    session_close(&session);
    return code;
}

static void add_readers(struct map *map)
{
    for (uint32_t i = 0; i < map->segments; i++) {
        const struct segment_entry *segment = &map->segment[i];
        pid_t pid = (pid_t)segment->owner_pid;
        if (segment->kind != SEGMENT_KIND_LEASE || (pid != 0 && find(map, pid) != NULL)) {
            continue;
        }
        struct map_process *process = add(map, pid, MAP_READER);
        if (process != NULL && pid == 0) {
            snprintf(process->name, sizeof(process->name), "reader");
            error_set(&process->err, -ESRCH, "the kernel tells no pid of it: it runs in another PID namespace");
        } else if (process != NULL) {
            name_by_kernel(process);
        }
    }
}

/* Everyone else who maps anything of ours. */
static void add_others(struct map *map)
{
    DIR *d = opendir("/proc");
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        pid_t pid = isdigit((unsigned char)e->d_name[0]) != 0 ? (pid_t)strtol(e->d_name, NULL, 10) : 0;
        if (pid == 0 || pid == getpid() || find(map, pid) != NULL) {
            continue;
        }
        int found = smaps_mentions(pid, MEMFD_PREFIX);
        map->not_seen += found == -EACCES || found == -EPERM;
        struct map_process *process = found > 0 ? add(map, pid, MAP_OTHER) : NULL;
        if (process != NULL) {
            name_by_kernel(process);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

static bool maps_ours(const struct map *map, const struct map_process *process)
{
    for (uint32_t i = 0; i < process->smaps.count; i++) {
        if (map_segment_of(map, &process->smaps.entry[i]) >= 0) {
            return true;
        }
    }
    return false;
}

/* Did anything change between the server's answer and the kernel's? */
static bool is_settled(const struct map *map)
{
    bool settled = true;
    for (uint32_t p = 0; p < map->processes; p++) {
        const struct map_process *process = &map->process[p];
        settled = settled && (process->pid == 0 || process->err.text[0] == 0 || process->smaps.entry != NULL);
        for (uint32_t i = 0; process->role == MAP_SERVER && i < process->smaps.count; i++) {
            const struct smaps_entry *entry = &process->smaps.entry[i];
            settled = settled && (!map_is_sluice(entry) || map_segment_of(map, entry) >= 0);
        }
    }
    return settled;
}

/* An empty one is none of ours (another instance's, or it has unmapped meanwhile), unless it should not be empty.
 */
static void drop_strangers(struct map *map)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < map->processes; i++) {
        struct map_process *process = &map->process[i];
        bool readable = process->err.text[0] == 0;
        if (readable && process->pid != 0 && !maps_ours(map, process)) {
            if (process->role == MAP_OTHER) {
                smaps_fini(&process->smaps);
                tasks_fini(&process->tasks);
                continue;
            }
            error_set(
                &process->err, -ESRCH,
                "expected it to map the instance's memory, found none; does it run in another PID namespace?");
        }
        map->process[kept++] = *process;
    }
    map->processes = kept;
}

/* One whole look. *denied: somebody may not be read, which trying again does not change. */
static int look(struct map *map, const char *instance, bool *denied, struct error *err)
{
    *map = (struct map){.segments = 0};
    *denied = false;
    int code = ask_server(map, instance, err);
    if (code != 0) {
        return code;
    }
    add_readers(map);
    add_others(map);
    for (uint32_t i = 0; i < map->processes; i++) {
        struct map_process *process = &map->process[i];
        if (process->pid != 0) {
            int read = smaps_read(&process->smaps, process->pid, &process->err);
            *denied = *denied || (read != 0 && read != -ESRCH);
        }
        if (process->pid != 0 && process->role == MAP_SERVER) {
            tasks_read(&process->tasks, process->pid);
        }
    }
    return 0;
}

int map_read(struct map *map, const char *instance, struct error *err)
{
    bool denied = false;
    int code = look(map, instance, &denied, err);
    for (int attempt = 1; code == 0 && attempt < ATTEMPTS && !denied && !is_settled(map); attempt++) {
        map_fini(map);
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        code = look(map, instance, &denied, err);
    }
    if (code == 0) {
        drop_strangers(map);
    }
    return code;
}

void map_fini(struct map *map)
{
    for (uint32_t i = 0; i < map->processes; i++) {
        smaps_fini(&map->process[i].smaps);
        tasks_fini(&map->process[i].tasks);
    }
    map->processes = 0;
}
