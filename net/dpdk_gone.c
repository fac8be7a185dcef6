#include "net/dpdk_gone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>

#include "net/dpdk_arguments.h"

uint32_t dpdk_gone_devices;

static const struct worker_plan *watched;

static const struct source_plan *source_of(const char *name)
{
    for (uint32_t i = 0; i < watched->sources; i++) {
        char own[DPDK_PORT_NAME_BYTES];
        if (strcmp(dpdk_port_name(watched->source[i].dpdk.port, own), name) == 0) {
            return &watched->source[i];
        }
    }
    return NULL;
}

/* In DPDK's thread for events, which is not sealed. vfio asks again and again until we are gone. */
static void on_event(const char *name, enum rte_dev_event_type event, void *opaque)
{
    static bool said;
    (void)opaque;
    const struct source_plan *source = event == RTE_DEV_EVENT_REMOVE && name != NULL ? source_of(name) : NULL;
    if (source == NULL) {
        return;
    }
    if (!said) { /* before it is known: the thread that sees that ends the process at once */
        said = true;
        fprintf(
            stderr,
            "sluice-dpdk: the card at PCI %s (source %s) is gone; ending, with all ports of this worker, to go on "
            "when it is back\n",
            name, source->name);
    }
    __atomic_fetch_add(&dpdk_gone_devices, 1, __ATOMIC_RELEASE);
}

static bool any_card(const struct worker_plan *plan)
{
    bool any = false;
    for (uint32_t i = 0; i < plan->sources; i++) {
        any = any || dpdk_port_is_pci(plan->source[i].dpdk.port);
    }
    return any;
}

int dpdk_gone_watch(const struct worker_plan *plan, struct error *err)
{
    watched = plan;
    if (!any_card(plan)) {
        return 0;
    }
    int code = rte_dev_event_callback_register(NULL, on_event, NULL);
    code = code == 0 ? rte_dev_event_monitor_start() : code;
    return code == 0 ? 0
                     : error_set(err, code,
                                 "worker %s: cannot watch for cards that are pulled out: %s; does this container "
                                 "let it open a netlink socket?",
                                 plan->name, strerror(abs(code)));
}
