/* What the kernel has bound a worker's PCI ports to, and by which addresses their devices find memory therefore.
 * Asked of sysfs before DPDK starts, which would only say that it has no such port. No rte_*. Cold.
 *
 *   vfio-pci            an IOMMU translates: a device goes by the addresses that the process has (VA)
 *   vfio-pci, no IOMMU  nothing translates: physical addresses (PA), and nothing stops a device that errs
 *   uio_pci_generic,
 *   igb_uio             the same
 *
 * EAL has one mode for all: with ports of both sorts it is PA, and the IOMMU is told of the same addresses.
 */
#ifndef NET_DPDK_BIND_H
#define NET_DPDK_BIND_H

#include <stdbool.h>

#include "net/plan.h"
#include "ring/error.h"

#define DPDK_BIND_SYSFS        "/sys"
#define DPDK_BIND_DRIVER_BYTES 32u

struct dpdk_bind {
    bool any_pci;
    bool physical; /* PA; false: VA, which virtual ports do not care about */
    bool iommu;    /* a port is behind one: it must be told of the memory */
    /* The port that wants physical addresses, and its driver, for messages. */
    const char *physical_port;
    char physical_driver[DPDK_BIND_DRIVER_BYTES];
};

/* Looks at one more port, `sysfs` as in DPDK_BIND_SYSFS; a virtual one changes nothing. 0; -ENODEV: no such device;
 * -ENXIO: no driver has it; -EBUSY: the kernel's own has; -ENOTSUP: vfio-pci has it, but no IOMMU. */
int dpdk_bind_port(struct dpdk_bind *bind, const char *sysfs, const char *port, struct error *err);

/* All ports of a worker's plan. 0 or -errno as above, with the source's name. */
int dpdk_bind_all(struct dpdk_bind *bind, const char *sysfs, const struct worker_plan *plan, struct error *err);

#endif
