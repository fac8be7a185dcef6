#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daq/compile.h"
#include "net/dpdk.h"
#include "net/sequence.h"
#include "ring/clock.h"

#define COALESCE_US 50u
#define STALE_PART  4u  /* of stale_ms: what is read together may wait twice, for its read and for the others */
#define MEMORY_MB   64u /* of DPDK's own */

/* ":PORT" alone is any address. */
static bool parse_end(const char *text, uint32_t *address, uint16_t *port)
{
    char any[64];
    if (text[0] == ':') {
        snprintf(any, sizeof(any), "0.0.0.0%s", text);
        text = any;
    }
    return compile_address(text, address, port, false);
}

static void compile_end(struct compile *c, uint32_t i, const char *key, const char *text, uint32_t address_bit,
                        uint32_t port_bit, uint32_t *address, uint16_t *port, uint32_t *match)
{
    char path[COMPILE_PATH_BYTES];
    if (text == NULL) {
        return;
    }
    if (!parse_end(text, address, port)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].packet.%s", i, key),
                        "expected ADDRESS, ADDRESS:PORT or :PORT, found '%s'", text);
        return;
    }
    *match |= (*address != 0 ? address_bit : 0) | (*port != 0 ? port_bit : 0);
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
    if (strlen(text) != 17) {
        return false;
    }
    for (size_t k = 0; k < 6; k++, text += 3) {
        char two[3] = {text[0], text[1], 0};
        if (strspn(two, "0123456789abcdefABCDEF") != 2 || (k < 5 && text[2] != ':')) {
            return false;
        }
        mac[k] = (uint8_t)strtoul(two, NULL, 16);
    }
    return true;
}

void compile_packet(struct compile *c, uint32_t i, const struct config_packet *from, struct packet_filter *to)
{
    static const struct config_packet every = {.payload = NULL};
    char path[COMPILE_PATH_BYTES];
    from = from != NULL ? from : &every;
    to->form = (uint32_t)(from->payload != NULL ? *from->payload : PACKET_UDP);
    compile_end(c, i, "to", from->to, PACKET_MATCH_TO, PACKET_MATCH_TO_PORT, &to->to_address, &to->to_port,
                &to->match);
    compile_end(c, i, "from", from->from, PACKET_MATCH_FROM, PACKET_MATCH_FROM_PORT, &to->from_address,
                &to->from_port, &to->match);
    if (from->mac != NULL) {
        to->match |= PACKET_MATCH_MAC;
        if (!parse_mac(from->mac, to->mac)) {
            config_complain(c->file, c->errors, compile_path(path, "sources[%u].packet.mac", i),
                            "expected six bytes such as 02:00:00:00:00:01, found '%s'", from->mac);
        }
    }
    if (from->vlan != NULL) {
        to->match |= PACKET_MATCH_VLAN;
        to->vlan = (uint16_t)compile_bounded(c, compile_path(path, "sources[%u].packet.vlan", i), from->vlan, 0, 0,
                                             4094, "as a VLAN's id");
    }
    if (from->ethertype != NULL) {
        to->match |= PACKET_MATCH_ETHERTYPE;
        to->ethertype = (uint16_t)compile_bounded(c, compile_path(path, "sources[%u].packet.ethertype", i),
                                                  from->ethertype, 0x600, 0x600, 0xffff, "as an EtherType");
    }
    if (to->form == PACKET_ETHERNET && (from->to != NULL || from->from != NULL)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].packet", i),
                        "to and from belong to payload: udp");
    }
    if (to->form == PACKET_UDP && from->ethertype != NULL) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].packet.ethertype", i),
                        "belongs to payload: ethernet; UDP is looked for in IPv4 only");
    }
}

/* Ports whose driver takes its buffers from DPDK's own heap and no other memory: it would receive nothing. */
static void refuse_port(struct compile *c, uint32_t i, const char *port)
{
    char path[COMPILE_PATH_BYTES];
    compile_path(path, "sources[%u].port", i);
    if (strncmp(port, "net_virtio_user", strlen("net_virtio_user")) == 0) {
        config_complain(
            c->file, c->errors, path,
            "expected a port that writes into the ring, found net_virtio_user, which writes into memory "
            "of DPDK's own only; take net_vhost0,iface=SOCKET, and net_virtio_user for the other end");
    } else if (strncmp(port, "net_memif", strlen("net_memif")) == 0 && strstr(port, "zero-copy=yes") != NULL) {
        config_complain(
            c->file, c->errors, path,
            "expected a port that writes into the ring, found memif with zero-copy=yes, which writes into "
            "memory of DPDK's own only; leave it out here (the sender may have it)");
    }
}

void compile_dpdk(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    if (from->port == NULL || strlen(from->port) >= sizeof(to->dpdk.port)) {
        config_complain(
            c->file, c->errors, compile_path(path, "sources[%u].port", i),
            "expected a PCI address such as 0000:03:00.0, or a virtual device with its arguments such as "
            "net_memif0,role=server,socket=/run/x.sock, of at most %zu letters, found %s",
            sizeof(to->dpdk.port) - 1, from->port != NULL ? "a longer one" : "nothing");
    } else {
        snprintf(to->dpdk.port, sizeof(to->dpdk.port), "%s", from->port);
        refuse_port(c, i, from->port);
    }
    to->dpdk.descriptors = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].descriptors", i),
                                                     from->descriptors, 1024, 64, 32768, "descriptors");
    if (from->queue != NULL) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].queue", i),
                        "belongs to kind: afxdp; the sources of a port of DPDK get a queue each");
    }
    compile_packet(c, i, from->packet, &to->packet);
}

void compile_dpdk_ring(struct compile *c, uint32_t i, const struct source_plan *source,
                       const struct ring_plan *ring)
{
    char path[COMPILE_PATH_BYTES];
    uint64_t needed = dpdk_slots_needed(source->dpdk.descriptors);
    if (ring->slots < needed) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].descriptors", i),
                        "a port of %u descriptors needs a ring of %" PRIu64 " slots, '%s' has %" PRIu64,
                        source->dpdk.descriptors, needed, ring->name, ring->slots);
    }
}

static void compile_vdif(struct compile *c, uint32_t i, const struct config_stream *from, struct format_spec *to)
{
    char path[COMPILE_PATH_BYTES];
    if (from->frames_per_second == NULL) {
        config_complain(
            c->file, c->errors, compile_path(path, "sources[%u].stream", i),
            "VDIF numbers its frames within a second: frames_per_second (of one thread) is needed to count "
            "on");
    }
    to->frames_per_second =
        (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].stream.frames_per_second", i),
                                  from->frames_per_second, 1, 1, 1 << 24, "frames");
    to->threads = from->threads_count > 0 ? from->threads_count : 1;
    for (uint32_t k = 0; k < from->threads_count; k++) {
        compile_path(path, "sources[%u].stream.threads[%u]", i, k);
        to->thread_order[k] = (uint32_t)compile_bounded(c, path, &from->threads[k], 0, 0, 1023, "as a thread's id");
        for (uint32_t j = 0; j < k; j++) {
            if (from->threads[j] == from->threads[k]) {
                config_complain(c->file, c->errors, path, "thread %u stands there twice", from->threads[k]);
            }
        }
    }
}

void compile_stream(struct compile *c, uint32_t i, const struct config_stream *from, struct source_plan *to)
{
    struct format_spec *format = &to->format;
    char path[COMPILE_PATH_BYTES];
    compile_path(path, "sources[%u].stream", i);
    format->kind = (uint32_t)from->format;
    if (c->config->sources[i].sequence != NULL) {
        config_complain(c->file, c->errors, path, "the format says where the numbers are: remove `sequence`");
    }
    if (format->kind == FORMAT_VDIF) {
        compile_vdif(c, i, from, format);
    } else if (from->frames_per_second != NULL || from->threads_count > 0) {
        config_complain(c->file, c->errors, path, "frames_per_second and threads belong to format: vdif");
    }
    if (format->kind == FORMAT_SPEAD && from->heap_bytes == NULL) {
        config_complain(c->file, c->errors, path, "SPEAD counts heaps: heap_bytes is needed to count packets");
    } else if (format->kind != FORMAT_SPEAD && (from->heap_bytes != NULL || from->packet_bytes != NULL)) {
        config_complain(c->file, c->errors, path, "heap_bytes and packet_bytes belong to format: spead");
    }
    if (from->id != NULL && format->kind != FORMAT_VRT && format->kind != FORMAT_SLUICE) {
        config_complain(c->file, c->errors, path, "id belongs to format: vrt or sluice");
    }
    format->match_stream = from->id != NULL;
    format->stream_id = from->id != NULL ? *from->id : 0;
    format->heap_bytes = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].stream.heap_bytes", i),
                                                   from->heap_bytes, 1, 1, UINT32_MAX, "bytes");
    format->packet_bytes = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].stream.packet_bytes", i),
                                                     from->packet_bytes, 0, 1, RING_SLOT_BYTES_MAX, "bytes");
    format->at_byte = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].stream.at_byte", i),
                                                from->at_byte, 0, 0, RING_SLOT_BYTES_MAX - 64, "as an offset");
    format_sequence(format, &to->sequence);
}

/* What waits is stamped when it is taken: it must not look fresh for much longer than it is. */
static void check_coalescing(struct compile *c, uint32_t i, const struct worker_plan *worker)
{
    const struct control_table *table = &c->plan->table;
    char path[COMPILE_PATH_BYTES];
    for (uint32_t s = 0; s < worker->sources; s++) {
        for (uint32_t k = 0; k < table->channels; k++) {
            const struct control_channel *channel = &table->channel[k];
            if (strcmp(table->ring[channel->ring].name, worker->source[s].ring) == 0 &&
                channel->stale_ns < STALE_PART * CLOCK_NS_PER_US * worker->coalesce_us) {
                config_complain(c->file, c->errors, compile_path(path, "workers[%u].coalesce_us", i),
                                "expected at most a quarter of the shortest stale_ms of its channels, found %u us, "
                                "and channel '%s' with %llu ms",
                                worker->coalesce_us, channel->decode.name,
                                (unsigned long long)(channel->stale_ns / CLOCK_NS_PER_MS));
                return;
            }
        }
    }
}

void compile_worker_kind(struct compile *c, uint32_t i, const struct config_worker *from)
{
    struct worker_plan *worker = &c->plan->worker[i];
    char path[COMPILE_PATH_BYTES];
    compile_path(path, "workers[%u]", i);
    bool dpdk = worker->sources > 0 && worker->source[0].kind == SOURCE_DPDK;
    for (uint32_t s = 1; s < worker->sources; s++) {
        if ((worker->source[s].kind == SOURCE_DPDK) != dpdk) {
            config_complain(
                c->file, c->errors, path,
                "worker '%s' has sources of kind dpdk and others; a program of its own polls DPDK: give them "
                "a worker each",
                worker->name);
            break;
        }
    }
    worker->coalesce_us = worker->thread.idle == IDLE_WAIT && !dpdk ? COALESCE_US : 0;
    if (from == NULL) {
        worker->dpdk_memory_mb = MEMORY_MB;
        return;
    }
    if (from->coalesce_us != NULL && worker->coalesce_us == 0) {
        config_complain(c->file, c->errors, compile_path(path, "workers[%u].coalesce_us", i),
                        "belongs to a worker with idle: wait, without sources of kind dpdk");
    } else if (from->coalesce_us != NULL) {
        worker->coalesce_us = (uint32_t)compile_bounded(c, compile_path(path, "workers[%u].coalesce_us", i),
                                                        from->coalesce_us, COALESCE_US, 0, 10000, "us");
        check_coalescing(c, i, worker);
    }
    compile_path(path, "workers[%u]", i);
    if (!dpdk && (from->dpdk_memory_mb != NULL || from->eal_count > 0)) {
        config_complain(c->file, c->errors, path,
                        "dpdk_memory_mb and eal belong to a worker of sources of kind dpdk");
    }
    worker->dpdk_memory_mb = (uint32_t)compile_bounded(c, compile_path(path, "workers[%u].dpdk_memory_mb", i),
                                                       from->dpdk_memory_mb, MEMORY_MB, 16, 1 << 20, "MiB");
    for (uint32_t k = 0; k < from->eal_count && k < PLAN_EAL_MAX; k++) {
        if (strlen(from->eal[k]) >= PLAN_EAL_BYTES) {
            config_complain(c->file, c->errors, compile_path(path, "workers[%u].eal[%u]", i, k),
                            "expected an argument of at most %u letters", PLAN_EAL_BYTES - 1);
        }
        snprintf(worker->eal[k], PLAN_EAL_BYTES, "%s", from->eal[k]);
    }
}
