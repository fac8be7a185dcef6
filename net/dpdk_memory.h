/* Whether DPDK can have huge pages for its own memory. Asked of the kernel by reserving them for a moment, because
 * a page that is counted as free may be promised to somebody; EAL does not start if it gets fewer than it was told.
 * Cold. */
#ifndef NET_DPDK_MEMORY_H
#define NET_DPDK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

static inline bool dpdk_huge_pages_for(uint32_t memory_mb)
{
    size_t bytes = ((size_t)memory_mb + 1) / 2 * 2 << 20; /* pages of 2 MiB */
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT), -1, 0);
    return base != MAP_FAILED && munmap(base, bytes) == 0;
}

#endif
