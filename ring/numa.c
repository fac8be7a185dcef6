#include "ring/numa.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NODES_ONLINE  "/sys/devices/system/node/online"
#define NODES_MEMORY  "/sys/devices/system/node/has_memory"
#define MASK_BITS     (8 * sizeof(unsigned long))
#define MASK_MAX_NODE (NUMA_NODES_MAX + 1ul) /* the kernel counts one more than there are bits */
#define LOOK_PAGES    1024u
#define LOOK_BYTES    ((size_t)64 << 20) /* mapped at a time, if the pages are smaller */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static int read_list(const char *path, char list[NUMA_LIST_BYTES])
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return -errno;
    }
    bool read = fgets(list, (int)NUMA_LIST_BYTES, f) != NULL;
    fclose(f);
    if (!read) {
        return -EIO;
    }
    list[strcspn(list, "\n")] = 0;
    return 0;
}

int numa_online(char list[NUMA_LIST_BYTES])
{
    return read_list(NODES_ONLINE, list);
}

bool numa_list_has(const char *list, int node)
{
    const char *at = list;
    while (*at >= '0' && *at <= '9') {
        char *end;
        long first = strtol(at, &end, 10);
        long last = first;
        if (*end == '-') {
            last = strtol(end + 1, &end, 10);
        }
        if (node >= first && node <= last) {
            return true;
        }
        at = *end == ',' ? end + 1 : end;
    }
    return false;
}

/* The line "Node 0 MemFree:  123 kB" of a node's meminfo. */
static size_t node_kb(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

size_t numa_available_bytes(int node)
{
    char path[80];
    char line[128];
    char list[NUMA_LIST_BYTES];
    size_t kb = 0;
    if (read_list(NODES_MEMORY, list) == 0 && strcspn(list, ",-") == strlen(list)) {
        return SIZE_MAX;
    }
    snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return SIZE_MAX;
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        kb += node_kb(line, " MemFree:") + node_kb(line, " Active(file):") + node_kb(line, " Inactive(file):");
    }
    fclose(f);
    return kb * 1024;
}

int numa_bind(void *base, size_t bytes, int node, struct numa_policy *before)
{
    unsigned long mask[NUMA_NODES_MAX / MASK_BITS] = {0};
    if (node < 0 || node >= (int)NUMA_NODES_MAX) {
        return -EINVAL;
    }
    mask[(unsigned)node / MASK_BITS] = 1ul << ((unsigned)node % MASK_BITS);
    if (syscall(SYS_get_mempolicy, &before->mode, before->nodes, MASK_MAX_NODE, NULL, 0ul) != 0 ||
        syscall(SYS_mbind, base, bytes, MPOL_BIND, mask, MASK_MAX_NODE, 0u) != 0) {
        return -errno;
    }
    if (syscall(SYS_set_mempolicy, MPOL_BIND, mask, MASK_MAX_NODE) != 0) {
        int code = -errno;
        syscall(SYS_mbind, base, bytes, MPOL_DEFAULT, NULL, 0ul, 0u);
        return code;
    }
    return 0;
}

void numa_restore(const struct numa_policy *before)
{
    syscall(SYS_set_mempolicy, before->mode, before->nodes, MASK_MAX_NODE);
}

/* Pages of one mapped piece. They are all there, so reading them in changes nothing but our own page table. */
static int look(uint8_t *base, size_t bytes, size_t page_bytes, int node, uint64_t *elsewhere, int *example)
{
    void *page[LOOK_PAGES];
    int where[LOOK_PAGES];
    if (madvise(base, bytes, MADV_POPULATE_READ) != 0) {
        return -errno;
    }
    for (size_t done = 0; done < bytes;) {
        unsigned long n = 0;
        for (; n < LOOK_PAGES && done < bytes; done += page_bytes) {
            page[n++] = base + done;
        }
        if (syscall(SYS_move_pages, 0, n, page, NULL, where, 0) != 0) {
            return -errno;
        }
        for (unsigned long i = 0; i < n; i++) {
            if (where[i] < 0) {
                return where[i];
            }
            if (where[i] != node) {
                *example = *elsewhere == 0 ? where[i] : *example;
                ++*elsewhere;
            }
        }
    }
    return 0;
}

int numa_verify(int fd, size_t bytes, size_t page_bytes, int node, uint64_t *elsewhere, int *example)
{
    size_t step = page_bytes > LOOK_BYTES ? page_bytes : LOOK_BYTES;
    uint64_t count = 0;
    int where = node;
    for (size_t at = 0; at < bytes; at += step) {
        size_t piece = bytes - at < step ? bytes - at : step;
        void *base = mmap(NULL, piece, PROT_READ, MAP_SHARED, fd, (off_t)at);
        if (base == MAP_FAILED) {
            return -errno;
        }
        int code = look(base, piece, page_bytes, node, &count, &where);
        munmap(base, piece);
        if (code != 0) {
            return code;
        }
    }
    *elsewhere = count;
    *example = where;
    return 0;
}
