/* Which NUMA node a segment's pages lie on: asking for one before they are allocated, and looking afterwards. By
 * system call (<linux/mempolicy.h>): libnuma is not libc. Cold code. */
#ifndef RING_NUMA_H
#define RING_NUMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NUMA_ANY        (-1)  /* no node asked for */
#define NUMA_NODES_MAX  1024u /* the largest CONFIG_NODES_SHIFT of the kernel */
#define NUMA_LIST_BYTES 128u

/* The nodes of this machine as the kernel lists them, such as "0-1,3". 0, or -errno: a kernel without NUMA. */
int numa_online(char list[NUMA_LIST_BYTES]);
bool numa_list_has(const char *list, int node);

/* Bytes that node could hand out without pain; SIZE_MAX if it does not say, or is the only one with memory: then
 * what the machine has is the better figure, for a balloon or memory plugged in is counted there alone. */
size_t numa_available_bytes(int node);

/* What a thread's own pages were to follow before numa_bind. */
struct numa_policy {
    int mode;
    unsigned long nodes[NUMA_NODES_MAX / (8 * sizeof(unsigned long))];
};

/* From here until numa_restore every page that is allocated for base[0 .. bytes), or by this thread, comes from
 * node or not at all. Both are needed: the map's policy stays with ordinary shared memory for its life, but
 * fallocate(2) of huge pages follows the thread's only. 0 or -errno; then nothing has changed. */
int numa_bind(void *base, size_t bytes, int node, struct numa_policy *before);
void numa_restore(const struct numa_policy *before);

/* Looks where every page of a memfd lies. *elsewhere: how many are not on node; *example: where the first of them
 * is. 0 or -errno: the kernel does not tell. Maps the memory for the time of looking only. */
int numa_verify(int fd, size_t bytes, size_t page_bytes, int node, uint64_t *elsewhere, int *example);

#endif
