/* Several sources of kind dpdk on one port: who gets what, and which multicast groups it joins. Cold. */
#include <string.h>

#include "daq/compile.h"
#include "net/igmp.h"

#define SOURCE_SPECIFIC 232 /* first byte of the addresses that have one sender (RFC 4607) */

static bool joins(const struct source_plan *source)
{
    return (source->packet.match & PACKET_MATCH_TO) != 0 && igmp_is_multicast(source->packet.to_address);
}

static void compile_igmp(struct compile *c, uint32_t i, const struct config_igmp *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    if (!joins(to)) {
        if (from != NULL) {
            config_complain(c->file, c->errors, compile_path(path, "sources[%u].igmp", i),
                            "belongs to a source whose packet.to is a multicast address, 224.0.0.0 to "
                            "239.255.255.255");
        }
        return;
    }
    to->dpdk.igmp = (uint32_t)(from != NULL && from->version != NULL ? *from->version : IGMP_V3);
    if (from != NULL && from->address != NULL &&
        (!compile_address(from->address, &to->dpdk.igmp_address, NULL, false) ||
         igmp_is_multicast(to->dpdk.igmp_address))) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].igmp.address", i),
                        "expected the address that reports come from, one of a host, found '%s'", from->address);
    }
    bool any_sender = (to->packet.match & PACKET_MATCH_FROM) == 0 || to->dpdk.igmp == IGMP_V2;
    if (((const uint8_t *)&to->packet.to_address)[0] == SOURCE_SPECIFIC && any_sender &&
        to->dpdk.igmp != IGMP_NONE) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].packet.to", i),
                        "groups of 232.0.0.0/8 have one sender: name it in packet.from, and join by igmp version "
                        "v3");
    }
}

/* Two sources of one port, the second of them sources[i]. */
static void check_pair(struct compile *c, uint32_t i, const struct source_plan *a, const struct source_plan *b)
{
    char path[COMPILE_PATH_BYTES];
    /* A peer that offers fewer queues leaves the others of a memif port looking at the first one's ring (DPDK
     * 22.11), and nothing tells how many it has offered. */
    if (strncmp(b->dpdk.port, "net_memif", strlen("net_memif")) == 0) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].port", i),
                        "source '%s' reads it already; a memif port has one queue here; give each source a port",
                        a->name);
    }
    if (a->dpdk.steer != b->dpdk.steer) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].steer", i),
                        "source '%s' on the same port says otherwise; a port steers in one way", a->name);
    } else if (a->dpdk.steer == DPDK_STEER_FLOW && memcmp(&a->packet, &b->packet, sizeof(a->packet)) == 0) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].packet", i),
                        "source '%s' on the same port has the same one, and with `steer: flow` a frame has one "
                        "source; let them differ, or use steer: rss_udp",
                        a->name);
    }
    if (joins(a) && joins(b) &&
        (a->dpdk.igmp != b->dpdk.igmp || (a->dpdk.igmp_address != b->dpdk.igmp_address &&
                                          a->dpdk.igmp_address != 0 && b->dpdk.igmp_address != 0))) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].igmp", i),
                        "source '%s' on the same port says otherwise; a port is one host with one address",
                        a->name);
    }
}

void compile_dpdk_port(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    to->dpdk.steer = (uint32_t)(from->steer != NULL ? *from->steer : DPDK_STEER_AUTO);
    compile_igmp(c, i, from->igmp, to);
    for (uint32_t w = 0; w < c->plan->workers; w++) {
        const struct worker_plan *worker = &c->plan->worker[w];
        for (uint32_t k = 0; k < worker->sources; k++) {
            const struct source_plan *other = &worker->source[k];
            if (other != to && other->kind == SOURCE_DPDK && strcmp(other->dpdk.port, to->dpdk.port) == 0) {
                check_pair(c, i, other, to);
            }
        }
    }
}
