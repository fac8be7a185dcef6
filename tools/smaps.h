/* What the kernel says of a process's address space: /proc/PID/smaps, and /proc/PID/numa_maps beside it. Cold. */
#ifndef TOOLS_SMAPS_H
#define TOOLS_SMAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ring/error.h"

#define SMAPS_NODES_MAX  16u /* of one mapping; a mapping on more of them shows the first */
#define SMAPS_PATH_BYTES 128u

struct smaps_node {
    uint32_t node;
    uint64_t kb;
};

/* One mapping. Sizes that end in _kb are KiB, as the kernel counts. */
struct smaps_entry {
    uint64_t start;
    uint64_t end;
    uint64_t device; /* as st_dev */
    uint64_t inode;
    char permissions[8];
    char path[SMAPS_PATH_BYTES];
    uint64_t page_bytes;
    uint64_t resident_kb; /* huge pages included, which the kernel's Rss leaves out */
    uint64_t huge_kb;     /* of that, on huge pages */
    uint64_t pss_kb;      /* shared pages in proportion; huge ones included if they are private */
    uint64_t private_kb;  /* mapped by nobody else */
    uint64_t locked_kb;   /* in proportion */
    bool locked;          /* mlock(2) holds all of it */
    uint32_t nodes;
    bool nodes_known; /* false: a kernel without NUMA */
    struct smaps_node node[SMAPS_NODES_MAX];
};

struct smaps {
    struct smaps_entry *entry; /* NULL: none */
    uint32_t count;
};

/* Reads all of it. 0, or -errno with err: -EACCES not permitted, -ESRCH it is gone. smaps_fini is fine after a
 * failure. */
int smaps_read(struct smaps *smaps, pid_t pid, struct error *err);
void smaps_fini(struct smaps *smaps);

/* Does the process map anything whose path begins like this? 1, 0, or -errno. Much cheaper than smaps_read: the
 * kernel counts no pages for it. */
int smaps_mentions(pid_t pid, const char *path);

#endif
