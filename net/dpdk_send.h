/* One DPDK port to send frames on: for the generator. Frames are written in place, in the port's own buffers. rte_*
 * stays inside net/dpdk*.c. One thread, once in a process (EAL starts once).
 */
#ifndef NET_DPDK_SEND_H
#define NET_DPDK_SEND_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring/error.h"

#define DPDK_SEND_BATCH_MAX 256u

struct dpdk_send_spec {
    const char *port;         /* "net_memif0,role=client,socket=/run/x.sock": a virtual device; or a PCI address */
    uint32_t frame_bytes_max; /* a buffer's data room, its headroom apart */
    uint32_t descriptors;     /* of the queue */
    uint32_t wait_s;          /* for the other end */
    int32_t core;             /* that this thread runs on; -1: anywhere */
    const volatile sig_atomic_t *stop;
};

struct dpdk_send_counts {
    uint64_t sent;
    uint64_t full;       /* times the port took nothing */
    uint64_t reconnects; /* times it was started anew because its link had gone */
};

struct dpdk_send;

/* Starts EAL and the port, and waits for its link. NULL with err. Cold. */
struct dpdk_send *dpdk_send_open(const struct dpdk_send_spec *spec, struct error *err);
void dpdk_send_close(struct dpdk_send *port);

/* One line: driver, memory, how long it took. */
const char *dpdk_send_about(const struct dpdk_send *port);

/* What happens to every buffer once, before the first frame. Cold. */
void dpdk_send_rooms(struct dpdk_send *port, void (*visit)(void *context, uint8_t *room, uint32_t bytes),
                     void *context);

/* `count` (DPDK_SEND_BATCH_MAX) rooms. False: the port holds all of them at the moment. */
bool dpdk_send_reserve(struct dpdk_send *port, uint8_t **room, uint32_t count);

/* Sends reserved frames from `from` on, as many as the port takes now: how many. Those that are not wanted any more
 * are given back by dpdk_send_release. */
uint32_t dpdk_send_burst(struct dpdk_send *port, const uint32_t *bytes, uint32_t from, uint32_t count);
void dpdk_send_release(struct dpdk_send *port, uint32_t from, uint32_t count);

/* To be called now and then while nothing is taken: starts the port anew if its link has gone (a memif client does
 * not do so by itself). */
void dpdk_send_revive(struct dpdk_send *port, uint64_t now_ns);

const struct dpdk_send_counts *dpdk_send_counts(const struct dpdk_send *port);

#endif
