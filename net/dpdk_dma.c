#include "net/dpdk_dma.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <rte_eal.h>
#include <rte_memory.h>
#include <rte_memzone.h>
#include <rte_vfio.h>

#include "net/dpdk_arguments.h"
#include "ring/segment.h"

/* What every IOMMU translates: 39 bits, the least that Intel's has. EAL's own memory lies far below the upper half
 * of it. */
#define NARROW_BIT (UINT64_C(1) << 38)

bool dpdk_dma_sees_physical(void)
{
    volatile uint8_t probe = 1; /* written, so that it has a page */
    return rte_mem_virt2phy((const void *)&probe) != RTE_BAD_IOVA;
}

/* Tells the IOMMU. Asked of the kernel by ourselves: DPDK takes an address that is taken already for a success, and
 * has places for 256 such ranges. */
static int map(uint64_t address, uint64_t device_address, uint64_t bytes)
{
    struct vfio_iommu_type1_dma_map request = {.argsz = sizeof(request),
                                               .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                               .vaddr = address,
                                               .iova = device_address,
                                               .size = bytes};
    int container = rte_vfio_get_container_fd();
    if (container < 0) {
        return -ENODEV;
    }
    return ioctl(container, VFIO_IOMMU_MAP_DMA, &request) == 0 ? 0 : -errno;
}

static int refused(const struct source_plan *source, uint64_t bytes, int code, struct error *err)
{
    return error_set(err, code,
                     "source %s: the IOMMU in front of port %s does not take the %" PRIu64
                     " MiB of its ring: %s%s; make the ring smaller, or bind the port to uio_pci_generic",
                     source->name, source->dpdk.port, bytes >> 20, strerror(-code),
                     code == -ENOMEM ? " (raise the limit of locked memory, ulimit -l)" : "");
}

/* The slots alone, so that no device can write the ring's header. */
struct span {
    uint64_t address;
    uint64_t bytes;
};

static struct span slots_of(const struct ring_memory *memory)
{
    uint64_t bytes = memory->slots * memory->slot_bytes;
    bytes = (bytes + SEGMENT_PAGE_BYTES - 1) / SEGMENT_PAGE_BYTES * SEGMENT_PAGE_BYTES;
    return (struct span){.address = (uint64_t)(uintptr_t)memory->first_slot, .bytes = bytes};
}

/* By the process's own addresses, and if those are too high for the IOMMU, by their lower part. */
static int open_virtual(struct dpdk_dma *dma, const struct source_plan *source, const struct ring_memory *memory,
                        struct error *err)
{
    struct span span = slots_of(memory);
    int code = map(span.address, span.address, span.bytes);
    if (code == -EINVAL && span.address >= NARROW_BIT) {
        uint64_t low = NARROW_BIT + span.address % NARROW_BIT;
        dma->delta = low - span.address;
        code = map(span.address, low, span.bytes);
    }
    return code == 0 ? 0 : refused(source, span.bytes, code, err);
}

/* 0: they are ordinary ones. */
static uint64_t huge_page_bytes(const struct source_plan *source)
{
    struct statfs about;
    bool huge = fstatfs((int)source->ring_fd, &about) == 0 && about.f_type == HUGETLBFS_MAGIC;
    return huge ? (uint64_t)about.f_bsize : 0;
}

uint64_t dpdk_dma_torn_slot(const uint64_t *page, uint64_t page_bytes, uint64_t first, uint64_t slot_bytes,
                            uint64_t slots)
{
    uint64_t end = first + slots * slot_bytes;
    for (uint64_t border = (first / page_bytes + 1) * page_bytes; border < end; border += page_bytes) {
        uint64_t i = border / page_bytes;
        if ((border - first) % slot_bytes != 0 && page[i] != page[i - 1]) {
            return (border - first) / slot_bytes;
        }
    }
    return UINT64_MAX;
}

static int find_pages(struct dpdk_dma *dma, const struct source_plan *source, const struct ring_memory *memory,
                      struct error *err)
{
    uint64_t page_bytes = UINT64_C(1) << dma->page_shift;
    for (uint64_t at = 0; at < memory->bytes; at += page_bytes) {
        const uint8_t *page = memory->base + at;
        (void)*(const volatile uint8_t *)page; /* so that it is in our page table */
        rte_iova_t physical = rte_mem_virt2phy(page);
        if (physical == RTE_BAD_IOVA) {
            return error_set(err, -EPERM,
                             "source %s: the kernel does not tell the physical addresses of its ring, which port "
                             "%s needs; run as root, or bind the port to vfio-pci",
                             source->name, source->dpdk.port);
        }
        dma->page[at >> dma->page_shift] = physical - (uint64_t)(uintptr_t)page;
    }
    return 0;
}

/* A port behind an IOMMU beside others that are not: it is told of the same physical addresses. */
static int map_pages(const struct dpdk_dma *dma, const struct source_plan *source, const struct ring_memory *memory,
                     struct error *err)
{
    struct span span = slots_of(memory);
    uint64_t page_bytes = UINT64_C(1) << dma->page_shift;
    uint64_t end = span.address + span.bytes;
    for (uint64_t at = span.address; at < end;) {
        uint64_t next = (at / page_bytes + 1) * page_bytes;
        next = next < end ? next : end;
        int code = map(at, dpdk_dma_address(dma, at), next - at);
        if (code != 0) {
            return refused(source, span.bytes, code, err);
        }
        at = next;
    }
    return 0;
}

static int torn(const struct source_plan *source, const struct ring_memory *memory, uint64_t page_bytes,
                uint64_t slot, struct error *err)
{
    return error_set(
        err, -EINVAL,
        "source %s: slot %" PRIu64
        " of its ring lies in two pages of %s that are apart in memory, and port %s writes by physical "
        "address; use slot_bytes 2048 or 4096 (found %u), or pages: huge_1g, or bind the port to "
        "vfio-pci",
        source->name, slot, segment_page_name(page_bytes), source->dpdk.port, memory->slot_bytes);
}

static int open_physical(struct dpdk_dma *dma, const struct dpdk_bind *bind, const struct source_plan *source,
                         const struct ring_memory *memory, struct error *err)
{
    uint64_t page_bytes = huge_page_bytes(source);
    if (page_bytes == 0) {
        return error_set(err, -ENOTSUP,
                         "source %s: its ring lies on ordinary pages, which the kernel may move while the card "
                         "writes them: port %s is bound to %s and goes by physical addresses; expected huge pages "
                         "(memory: pages: huge; /proc/sys/vm/nr_hugepages), or all ports bound to vfio-pci",
                         source->name, bind->physical_port, bind->physical_driver);
    }
    dma->page_shift = (uint32_t)__builtin_ctzll(page_bytes);
    dma->base = (uint64_t)(uintptr_t)memory->base;
    dma->page = calloc(memory->bytes >> dma->page_shift, sizeof(dma->page[0]));
    if (dma->page == NULL) {
        return error_set(err, -ENOMEM, "source %s: no memory for the addresses of its ring's pages", source->name);
    }
    int code = find_pages(dma, source, memory, err);
    if (code == 0) {
        uint64_t slot = dpdk_dma_torn_slot(dma->page, page_bytes, (uint64_t)(memory->first_slot - memory->base),
                                           memory->slot_bytes, memory->slots);
        code = slot == UINT64_MAX ? 0 : torn(source, memory, page_bytes, slot, err);
    }
    return code == 0 && bind->iommu ? map_pages(dma, source, memory, err) : code;
}

int dpdk_dma_open(struct dpdk_dma *dma, const struct dpdk_bind *bind, const struct source_plan *source,
                  const struct ring_writer *writer, struct error *err)
{
    struct ring_memory memory;
    *dma = (struct dpdk_dma){.delta = 0};
    if (!dpdk_port_is_pci(source->dpdk.port)) {
        return 0;
    }
    ring_writer_memory(writer, &memory);
    int code =
        bind->physical ? open_physical(dma, bind, source, &memory, err) : open_virtual(dma, source, &memory, err);
    if (code != 0) {
        dpdk_dma_close(dma);
    }
    return code;
}

void dpdk_dma_close(struct dpdk_dma *dma)
{
    free(dma->page);
    *dma = (struct dpdk_dma){.delta = 0};
}

const struct rte_memzone *dpdk_dma_memory(const char *name, size_t bytes)
{
    unsigned flags = rte_eal_iova_mode() == RTE_IOVA_PA ? RTE_MEMZONE_IOVA_CONTIG : 0;
    return rte_memzone_reserve_aligned(name, bytes, SOCKET_ID_ANY, flags, RTE_CACHE_LINE_SIZE);
}
