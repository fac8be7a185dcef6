/* A ring's memory as a device on the PCI bus addresses it (net/dpdk_bind.h says which way). Virtual ports go by the
 * process's own addresses, and this says nothing else for them.
 *
 *   VA  the IOMMU is told of the ring's slots, once: address + delta for all of them. Not by rte_extmem_register:
 *       with any external memory registered memif's zero-copy peers do not connect, and vfio does not ask for it.
 *   PA  each page has its own delta. Only huge pages: ordinary ones the kernel may move while a card writes them,
 *       locked or not. A slot lies in one page, or in two that are neighbours physically as well.
 */
#ifndef NET_DPDK_DMA_H
#define NET_DPDK_DMA_H

#include "net/dpdk_bind.h"
#include "ring/writer.h"

struct rte_memzone;

struct dpdk_dma {
    uint64_t delta;      /* from an address of the process to the device's, modulo 2^64 */
    uint64_t *page;      /* the same of each page of the ring; NULL: all have `delta` */
    uint64_t base;       /* address of the first page */
    uint32_t page_shift; /* log2 of a page's bytes */
};

/* Where the device finds what lies at this address. Hot. */
static inline uint64_t dpdk_dma_address(const struct dpdk_dma *dma, uint64_t address)
{
    return address + (dma->page == NULL ? dma->delta : dma->page[(address - dma->base) >> dma->page_shift]);
}

/* Whether EAL may learn physical addresses: the kernel tells them to root only. */
bool dpdk_dma_sees_physical(void);

/* Makes the writer's slots known to the source's port; EAL is up. dpdk_dma_close is fine on a zeroed struct. 0 or
 * -errno. Cold. */
int dpdk_dma_open(struct dpdk_dma *dma, const struct dpdk_bind *bind, const struct source_plan *source,
                  const struct ring_writer *writer, struct error *err);
void dpdk_dma_close(struct dpdk_dma *dma);

/* The first slot that lies in two pages which are no neighbours to the device; UINT64_MAX: none does. `first`: the
 * first slot's offset from the first page; page: the deltas. Pure. */
uint64_t dpdk_dma_torn_slot(const uint64_t *page, uint64_t page_bytes, uint64_t first, uint64_t slot_bytes,
                            uint64_t slots);

/* Memory of EAL's that any of its devices may write, in one piece. NULL: there is not so much. Cold. */
const struct rte_memzone *dpdk_dma_memory(const char *name, size_t bytes);

#endif
