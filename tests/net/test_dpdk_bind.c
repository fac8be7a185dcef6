/* By which addresses a worker's PCI ports find memory, from what the kernel has bound them to: a folder that looks
 * like its sysfs. */
#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/dpdk_bind.h"

static char sysfs[] = "/tmp/sluice-bind-XXXXXX";
static struct dpdk_bind bind;
static struct error err;

static const char *in(const char *path)
{
    static char text[256];
    snprintf(text, sizeof(text), "%s/%s", sysfs, path);
    return text;
}

static void make_folder(const char *path)
{
    char part[256];
    snprintf(part, sizeof(part), "%s", in(path));
    for (char *at = part + strlen(sysfs) + 1; *at != 0; at++) {
        if (*at == '/') {
            *at = 0;
            mkdir(part, 0700);
            *at = '/';
        }
    }
    mkdir(part, 0700);
}

static void add(const char *name, const char *driver, bool grouped)
{
    char path[128];
    char target[128];
    snprintf(path, sizeof(path), "bus/pci/devices/%s", name);
    make_folder(path);
    if (driver != NULL) {
        snprintf(path, sizeof(path), "bus/pci/devices/%s/driver", name);
        snprintf(target, sizeof(target), "../../../../bus/pci/drivers/%s", driver);
        cr_assert_eq(symlink(target, in(path)), 0);
    }
    if (grouped) {
        snprintf(path, sizeof(path), "bus/pci/devices/%s/iommu_group", name);
        make_folder(path);
    }
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(sysfs));
    bind = (struct dpdk_bind){.any_pci = false};
    err = (struct error){{0}};
}

static int unlink_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

static void tear_down(void)
{
    nftw(sysfs, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(dpdk_bind, .init = set_up, .fini = tear_down);

Test(dpdk_bind, behind_an_iommu)
{
    add("0000:03:00.0", "vfio-pci", true);
    cr_assert_eq(dpdk_bind_port(&bind, sysfs, "03:00.0,a=b", &err), 0, "%s", err.text);
    cr_assert(bind.any_pci);
    cr_assert(bind.iommu);
    cr_assert_not(bind.physical);
}

Test(dpdk_bind, without_one)
{
    static const char *const drivers[] = {"uio_pci_generic", "igb_uio"};
    for (uint32_t i = 0; i < 2; i++) {
        char name[16];
        struct dpdk_bind b = {.any_pci = false};
        snprintf(name, sizeof(name), "0000:0%u:00.0", i + 1);
        add(name, drivers[i], false);
        cr_assert_eq(dpdk_bind_port(&b, sysfs, name, &err), 0, "%s", err.text);
        cr_assert(b.physical);
        cr_assert_not(b.iommu);
        cr_assert_str_eq(b.physical_driver, drivers[i]);
        cr_assert_str_eq(b.physical_port, name);
    }
}

Test(dpdk_bind, vfio_that_does_without)
{
    add("0000:03:00.0", "vfio-pci", true);
    make_folder("module/vfio/parameters");
    FILE *f = fopen(in("module/vfio/parameters/enable_unsafe_noiommu_mode"), "w");
    cr_assert_not_null(f);
    fputs("Y\n", f);
    fclose(f);
    cr_assert_eq(dpdk_bind_port(&bind, sysfs, "0000:03:00.0", &err), 0, "%s", err.text);
    cr_assert(bind.physical);
    cr_assert_not(bind.iommu);
}

Test(dpdk_bind, both_sorts_go_by_physical_addresses)
{
    static struct worker_plan plan = {.sources = 3};
    snprintf(plan.source[0].dpdk.port, PLAN_PORT_BYTES, "0000:03:00.0");
    snprintf(plan.source[1].dpdk.port, PLAN_PORT_BYTES, "net_null0");
    snprintf(plan.source[2].dpdk.port, PLAN_PORT_BYTES, "0000:04:00.0");
    add("0000:03:00.0", "vfio-pci", true);
    add("0000:04:00.0", "uio_pci_generic", true);
    cr_assert_eq(dpdk_bind_all(&bind, sysfs, &plan, &err), 0, "%s", err.text);
    cr_assert(bind.physical);
    cr_assert(bind.iommu, "which must be told of those");
    cr_assert_str_eq(bind.physical_port, "0000:04:00.0");
}

Test(dpdk_bind, virtual_ports_do_not_care)
{
    cr_assert_eq(dpdk_bind_port(&bind, sysfs, "net_memif0,role=server", &err), 0);
    cr_assert_not(bind.any_pci);
    cr_assert_not(bind.physical);
}

static void refuses(const char *port, int code, const char *words)
{
    cr_assert_eq(dpdk_bind_port(&bind, sysfs, port, &err), code, "%s", err.text);
    cr_assert_not_null(strstr(err.text, words), "%s", err.text);
    cr_assert_not(bind.any_pci, "nothing is touched");
}

Test(dpdk_bind, refusals)
{
    add("0000:03:00.0", NULL, false);
    add("0000:04:00.0", "ixgbe", true);
    add("0000:05:00.0", "vfio-pci", false);
    add("0000:06:00.0", NULL, true);
    refuses("0000:02:00.0", -ENODEV, "no DPDK port at PCI 0000:02:00.0");
    refuses("03:00.0", -ENXIO, "PCI 0000:03:00.0 is bound to no driver, expected vfio-pci");
    cr_assert_not_null(strstr(err.text, "as long as the IOMMU is off"), "%s", err.text);
    refuses("0000:06:00.0", -ENXIO, "dpdk-devbind.py -b vfio-pci 0000:06:00.0");
    cr_assert_null(strstr(err.text, "IOMMU"), "%s", err.text);
    refuses("0000:04:00.0", -EBUSY, "the kernel's driver ixgbe");
    refuses("0000:05:00.0", -ENOTSUP, "in no IOMMU group");
}

Test(dpdk_bind, a_refusal_names_the_source)
{
    static struct worker_plan plan = {.sources = 1};
    snprintf(plan.source[0].name, RING_NAME_BYTES, "adc");
    snprintf(plan.source[0].dpdk.port, PLAN_PORT_BYTES, "0000:03:00.0");
    cr_assert_eq(dpdk_bind_all(&bind, sysfs, &plan, &err), -ENODEV);
    cr_assert_eq(strncmp(err.text, "source adc: no DPDK port", 24), 0, "%s", err.text);
}
