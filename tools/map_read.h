/* What the running instance owns, as its server and the kernel say: segments and the processes that map them, with
 * every mapping. Two sources that know nothing of each other; tools/map.c puts them together. Cold. */
#ifndef TOOLS_MAP_READ_H
#define TOOLS_MAP_READ_H

#include "daq/board.h"
#include "tools/smaps.h"
#include "tools/tasks.h"

#define MAP_PROCESSES_MAX 256u
#define MAP_RINGS_MAX     SUPERVISOR_RINGS_MAX

enum map_role {
    MAP_SERVER = 0, /* sluiced, control, a worker: its private memory is the instance's */
    MAP_READER = 1, /* attached to a ring */
    MAP_OTHER = 2   /* maps something of ours all the same: a tool, a former reader */
};

struct map_process {
    char name[RING_NAME_BYTES];
    pid_t pid; /* 0: does not run */
    enum map_role role;
    struct error err; /* empty: it could be read */
    struct smaps smaps;
    struct tasks tasks; /* of the server's processes; of others none */
};

struct map_ring {
    char name[RING_NAME_BYTES];
    char stream[RING_NAME_BYTES];
    uint64_t slots;
    uint32_t slot_bytes;
};

struct map {
    char instance[RING_NAME_BYTES];
    uint32_t segments;
    uint32_t rings;
    uint32_t processes;
    uint32_t not_seen; /* processes of others that may map something of ours: not permitted to look */
    struct segment_entry segment[SEGMENT_TABLE_MAX];
    struct map_ring ring[MAP_RINGS_MAX];
    struct map_process process[MAP_PROCESSES_MAX];
};

/* Reads everything; again, if a reader came or went meanwhile. 0, or -errno: the server cannot be reached. map_fini
 * is fine after a failure. */
int map_read(struct map *map, const char *instance, struct error *err);
void map_fini(struct map *map);

/* The index of the segment that is mapped, or -1: not one of this instance's. */
int map_segment_of(const struct map *map, const struct smaps_entry *entry);

/* Memory that by its name is a sluice server's, this one's or another's. */
bool map_is_sluice(const struct smaps_entry *entry);

#endif
