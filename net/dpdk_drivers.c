#include "net/dpdk_drivers.h"

#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

#include "net/dpdk_arguments.h"

#define VMXNET3_STEP 32u /* a ring's places are a multiple of it */

static bool is_one_of(uint16_t port, const char *const *drivers, size_t count)
{
    struct rte_eth_dev_info info;
    bool known = rte_eth_dev_info_get(port, &info) == 0 && info.driver_name != NULL;
    for (size_t i = 0; known && i < count; i++) {
        if (strcmp(info.driver_name, drivers[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Behind these ports is a kernel or a guest that leaves the sum over the payload to a device, and there is none. */
uint32_t dpdk_drivers_checks(uint16_t port)
{
    static const char *const drivers[] = {"net_af_packet", "net_tap", "net_vhost", "net_virtio", "net_virtio_user"};
    return is_one_of(port, drivers, sizeof(drivers) / sizeof(drivers[0])) ? PACKET_UDP_LEFT_OUT : 0;
}

/* vmxnet3 has a second ring, for the rest of frames that do not fit one buffer: it fills it behind the first, with
 * as many (DPDK 22.11, vmxnet3_dev_rxq_init; a ring has one place less than it is asked for). */
uint32_t dpdk_drivers_decoys(uint16_t port, uint32_t descriptors)
{
    static const char *const drivers[] = {"net_vmxnet3"};
    return is_one_of(port, drivers, 1) ? descriptors / VMXNET3_STEP * VMXNET3_STEP - 1 : 0;
}

static uint32_t room_of(const struct dpdk_source *s)
{
    return s->writer->view.slot_bytes - s->writer->view.payload_offset + s->headers;
}

/* A card takes 1500 bytes behind a frame's header unless it is told otherwise. Slots for twice as much mean longer
 * frames; what the card would have to split is refused all the same. */
uint32_t dpdk_drivers_mtu(const struct dpdk_source *source, const struct rte_eth_dev_info *info)
{
    const uint32_t around = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 2 * RTE_VLAN_HLEN;
    uint32_t room = room_of(source);
    if (!dpdk_port_is_pci(source->plan->dpdk.port) || room < 2 * (RTE_ETHER_MTU + around)) {
        return 0;
    }
    return room - around < info->max_mtu ? room - around : info->max_mtu;
}

/* Cards whose buffers come in a few sizes only use the next smaller one. */
const char *dpdk_drivers_note(const struct dpdk_source *source, char text[DPDK_DRIVERS_NOTE_BYTES])
{
    const struct dpdk_source *s = source;
    struct rte_eth_rxq_info queue = {.scattered_rx = 0};
    uint16_t mtu = RTE_ETHER_MTU;
    if (!dpdk_port_is_pci(s->plan->dpdk.port) || rte_eth_dev_get_mtu(s->port, &mtu) != 0 || mtu > RTE_ETHER_MTU ||
        rte_eth_rx_queue_info_get(s->port, s->queue, &queue) != 0 || queue.scattered_rx == 0) {
        return NULL;
    }
    snprintf(text, DPDK_DRIVERS_NOTE_BYTES,
             "source %s: port %s splits frames that are longer than its buffers, which are the largest it has that "
             "fit %u bytes, and those are refused; if there are such, raise slot_bytes of the ring",
             s->plan->name, s->plan->dpdk.port, room_of(s));
    return text;
}
