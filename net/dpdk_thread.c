/* A polling thread of ours beside EAL's main thread. What was looked at, in DPDK 22.11: the receive functions of
 * the ports that we link (memif, vhost, virtio, af_packet, tap, pcap, ring, null, e1000, igc, ixgbe, i40e, iavf,
 * ice, vmxnet3) ask who they run on for one thing only, a mempool's cache by rte_lcore_id(). Our pools have none,
 * and an unknown thread (LCORE_ID_ANY) is taken to have none. So a thread need not be EAL's to receive. It is
 * registered all the same: an own number in `eal` arguments such as --trace and in what a driver of a later release
 * may keep by it costs nothing. rte_eth_rx_burst is for one thread a queue, the other calls of ethdev for one a
 * port (net/dpdk.c); a queue's counters, which the port's thread adds up, are words that its own thread writes.
 */
#include <errno.h>

#include <rte_errno.h>
#include <rte_lcore.h>

#include "net/dpdk.h"

int dpdk_thread_begin(uint32_t index, struct error *err)
{
    if (rte_thread_register() != 0) {
        return error_set(err, rte_errno != 0 ? -rte_errno : -EIO,
                         "DPDK does not register polling thread %u: %s; use fewer `cores`", index + 1,
                         rte_strerror(rte_errno));
    }
    return 0;
}
