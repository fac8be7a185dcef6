#include "net/dpdk_bind.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/dpdk_arguments.h"

#define HOW_TO_BIND "bind it: dpdk-devbind.py -b vfio-pci %s"

static bool is_there(const char *sysfs, const char *name, const char *what)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", sysfs, name, what);
    return access(path, F_OK) == 0;
}

/* "": none. */
static void driver_of(const char *sysfs, const char *name, char driver[DPDK_BIND_DRIVER_BYTES])
{
    char path[PATH_MAX];
    char target[PATH_MAX];
    snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/driver", sysfs, name);
    ssize_t bytes = readlink(path, target, sizeof(target) - 1);
    target[bytes > 0 ? bytes : 0] = 0;
    const char *last = strrchr(target, '/');
    snprintf(driver, DPDK_BIND_DRIVER_BYTES, "%.*s", (int)DPDK_BIND_DRIVER_BYTES - 1,
             last != NULL ? last + 1 : target);
}

static bool without_iommu(const char *sysfs)
{
    char path[PATH_MAX];
    char word = 'N';
    snprintf(path, sizeof(path), "%s/module/vfio/parameters/enable_unsafe_noiommu_mode", sysfs);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        word = (char)fgetc(f);
        fclose(f);
    }
    return word == 'Y';
}

static int no_driver(const char *name, bool grouped, struct error *err)
{
    return error_set(err, -ENXIO,
                     "PCI %s is bound to no driver, expected vfio-pci (or uio_pci_generic); " HOW_TO_BIND "%s",
                     name, name,
                     grouped ? ""
                             : "; vfio-pci refuses it as long as the IOMMU is off (firmware; intel_iommu=on), "
                               "uio_pci_generic does not");
}

static int no_group(const char *name, struct error *err)
{
    return error_set(err, -ENOTSUP,
                     "PCI %s is bound to vfio-pci but in no IOMMU group; switch the IOMMU on (firmware; "
                     "intel_iommu=on on the kernel's command line), or set vfio's enable_unsafe_noiommu_mode, or "
                     "bind it to uio_pci_generic",
                     name);
}

static void want_physical(struct dpdk_bind *bind, const char *port, const char *driver)
{
    if (!bind->physical) {
        bind->physical_port = port;
        snprintf(bind->physical_driver, sizeof(bind->physical_driver), "%s", driver);
    }
    bind->physical = true;
}

int dpdk_bind_port(struct dpdk_bind *bind, const char *sysfs, const char *port, struct error *err)
{
    char name[DPDK_PORT_NAME_BYTES];
    char driver[DPDK_BIND_DRIVER_BYTES];
    char text[DPDK_PORT_TEXT_BYTES];
    if (!dpdk_port_is_pci(port)) {
        return 0;
    }
    dpdk_port_name(port, name);
    if (!is_there(sysfs, name, "")) {
        return error_set(err, -ENODEV, "%s", dpdk_port_missing(port, text));
    }
    bool grouped = is_there(sysfs, name, "iommu_group");
    driver_of(sysfs, name, driver);
    if (driver[0] == 0) {
        return no_driver(name, grouped, err);
    }
    bool vfio = strcmp(driver, "vfio-pci") == 0;
    if (!vfio && strcmp(driver, "uio_pci_generic") != 0 && strcmp(driver, "igb_uio") != 0) {
        return error_set(err, -EBUSY,
                         "PCI %s is bound to the kernel's driver %s, expected vfio-pci (or uio_pci_generic); if "
                         "nothing else uses that card, " HOW_TO_BIND,
                         name, driver, name);
    }
    bool raw = !vfio || without_iommu(sysfs);
    if (!raw && !grouped) {
        return no_group(name, err);
    }
    bind->any_pci = true;
    bind->iommu = bind->iommu || !raw;
    if (raw) {
        want_physical(bind, port, driver);
    }
    return 0;
}

int dpdk_bind_all(struct dpdk_bind *bind, const char *sysfs, const struct worker_plan *plan, struct error *err)
{
    *bind = (struct dpdk_bind){.any_pci = false};
    for (uint32_t i = 0; i < plan->sources; i++) {
        struct error why = {{0}};
        int code = dpdk_bind_port(bind, sysfs, plan->source[i].dpdk.port, &why);
        if (code != 0) {
            return error_set(err, code, "source %s: %s", plan->source[i].name, why.text);
        }
    }
    return 0;
}
