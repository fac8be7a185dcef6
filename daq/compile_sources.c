#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daq/compile.h"
#include "daq/poller.h"
#include "net/afxdp.h"
#include "net/dpdk.h"
#include "net/udp.h"
#include "ring/channel.h"
#include "ring/clock.h"

const char *compile_path(char path[COMPILE_PATH_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(path, COMPILE_PATH_BYTES, format, args);
    va_end(args);
    return path;
}

void compile_complain_item(struct compile *c, const char *list, uint32_t i, const char *key, const char *format,
                           ...)
{
    char path[COMPILE_PATH_BYTES];
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    config_complain(c->file, c->errors, compile_path(path, "%s[%u].%s", list, i, key), "%s", text);
}

static bool power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static void compile_workers(struct compile *c)
{
    static char standard_name[] = "worker";
    static const struct config_worker standard = {.name = standard_name};
    const struct config *config = c->config;
    uint32_t count = config->workers_count > 0 ? config->workers_count : 1;
    if (count > SERVER_WORKERS_MAX) {
        config_complain(c->file, c->errors, "workers", "expected at most %u workers, found %u", SERVER_WORKERS_MAX,
                        count);
        count = SERVER_WORKERS_MAX;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct config_worker *from = config->workers_count > 0 ? &config->workers[i] : &standard;
        struct worker_plan *worker = &c->plan->worker[i];
        char path[COMPILE_PATH_BYTES];
        memset(worker, 0, offsetof(struct worker_plan, source));
        worker->magic = PLAN_MAGIC;
        worker->version = PLAN_VERSION;
        memcpy(worker->instance, c->plan->instance, sizeof(worker->instance));
        compile_name(c, compile_path(path, "workers[%u].name", i), from->name, worker->name);
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(c->plan->worker[j].name, worker->name) == 0) {
                config_complain(c->file, c->errors, path, "a second worker named '%s'; names must differ",
                                worker->name);
            }
        }
        compile_thread(c, compile_path(path, "workers[%u]", i), from->core, from->policy, from->priority,
                       from->idle, from->spin_us, from->sleep_us, IDLE_WAIT, &worker->thread);
    }
    c->plan->workers = count;
}

static void compile_rings(struct compile *c)
{
    uint32_t count = c->config->rings_count;
    if (count > CONTROL_RINGS_MAX) {
        config_complain(c->file, c->errors, "rings", "expected at most %u rings, found %u", CONTROL_RINGS_MAX,
                        count);
        count = CONTROL_RINGS_MAX;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct config_ring *from = &c->config->rings[i];
        struct ring_plan *ring = &c->plan->ring[i];
        char path[COMPILE_PATH_BYTES];
        memset(ring, 0, sizeof(*ring));
        compile_name(c, compile_path(path, "rings[%u].name", i), from->name, ring->name);
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(c->plan->ring[j].name, ring->name) == 0) {
                config_complain(c->file, c->errors, path, "a second ring named '%s'; names must differ",
                                ring->name);
            }
        }
        ring->slots = from->slots != NULL ? *from->slots : 8192;
        if (!power_of_two(ring->slots) || ring->slots < RING_SLOTS_MIN || ring->slots > RING_SLOTS_MAX) {
            config_complain(c->file, c->errors, compile_path(path, "rings[%u].slots", i),
                            "expected a power of two from %u to %" PRIu64 " slots, found %" PRIu64, RING_SLOTS_MIN,
                            RING_SLOTS_MAX, ring->slots);
            ring->slots = RING_SLOTS_MIN;
        }
        /* 0: as large as its source's frame wants. */
        ring->slot_bytes = from->slot_bytes != NULL ? *from->slot_bytes : 0;
        if (from->slot_bytes != NULL && (ring->slot_bytes < RING_SLOT_BYTES_MIN ||
                                         ring->slot_bytes > RING_SLOT_BYTES_MAX || ring->slot_bytes % 64 != 0)) {
            config_complain(c->file, c->errors, compile_path(path, "rings[%u].slot_bytes", i),
                            "expected a multiple of 64 from %u to %u bytes, found %u", RING_SLOT_BYTES_MIN,
                            RING_SLOT_BYTES_MAX, ring->slot_bytes);
            ring->slot_bytes = 0;
        }
    }
    c->plan->rings = count;
}

bool compile_address(const char *text, uint32_t *address, uint16_t *port, bool port_needed)
{
    char host[64];
    struct in_addr in;
    snprintf(host, sizeof(host), "%s", text);
    char *colon = strchr(host, ':');
    if (colon != NULL) {
        char *end;
        unsigned long n = strtoul(colon + 1, &end, 10);
        if (port == NULL || end == colon + 1 || *end != 0 || n < 1 || n > 65535) {
            return false;
        }
        *port = (uint16_t)n;
        *colon = 0;
    } else if (port_needed) {
        return false;
    }
    if (inet_pton(AF_INET, host, &in) != 1) {
        return false;
    }
    *address = in.s_addr;
    return true;
}

static void compile_udp(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    if (from->listen == NULL || !compile_address(from->listen, &to->udp.listen_address, &to->udp.port, true)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].listen", i),
                        "expected ADDRESS:PORT such as 0.0.0.0:5000, found '%s'",
                        from->listen != NULL ? from->listen : "nothing");
    }
    if (from->group != NULL && (!compile_address(from->group, &to->udp.multicast_address, NULL, false) ||
                                !IN_MULTICAST(ntohl(to->udp.multicast_address)))) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].group", i),
                        "expected a multicast address, 224.0.0.0 to 239.255.255.255, found '%s'", from->group);
    }
    if (from->interface != NULL && !compile_address(from->interface, &to->udp.interface_address, NULL, false)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].interface", i),
                        "expected the IPv4 address of an interface, found '%s'", from->interface);
    }
    if (from->from != NULL && !compile_address(from->from, &to->udp.from_address, &to->udp.from_port, false)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].from", i),
                        "expected ADDRESS or ADDRESS:PORT of the one sender, found '%s'", from->from);
    }
    to->udp.receive_buffer_bytes =
        1024u * (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].receive_buffer_kb", i),
                                          from->receive_buffer_kb, 4096, 4, 1048576, "KiB");
    to->udp.gro = from->gro != NULL && *from->gro;
}

static void compile_sequence(struct compile *c, uint32_t i, const struct config_sequence *from,
                             struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    uint32_t width = from->width_bytes;
    uint32_t limit = to->frame_bytes != 0 ? to->frame_bytes : RING_SLOT_BYTES_MAX;
    to->sequence = (struct sequence_spec){
        .width_bytes = width,
        .at_byte = from->at_byte,
        .byte_order = (uint32_t)(from->byte_order != NULL ? *from->byte_order : RING_BIG_ENDIAN),
        .step = from->step != NULL ? *from->step : 1};
    if (width != 1 && width != 2 && width != 4 && width != 8) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].sequence.width_bytes", i),
                        "expected 1, 2, 4 or 8, found %u", width);
    } else if (from->at_byte > limit || limit - from->at_byte < width) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].sequence.at_byte", i),
                        "bytes %u to %" PRIu64 " lie beyond the frame of %u bytes", from->at_byte,
                        (uint64_t)from->at_byte + width - 1, limit);
    }
    /* The tracker looks 64 frames back: the numbers must not come round sooner. */
    uint64_t step_max = width >= 4 ? UINT32_MAX / 256 : (UINT64_C(1) << (8 * width)) / 256;
    if (to->sequence.step == 0 || to->sequence.step > step_max) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].sequence.step", i),
                        "expected 1 to %" PRIu64 " with a number of %u bytes, found %u", step_max, width,
                        to->sequence.step);
        to->sequence.step = 1;
    }
}

static void compile_checksum(struct compile *c, uint32_t i, const struct config_checksum *from,
                             struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    if (from->kind == CHECKSUM_NONE) {
        to->checksum.kind = CHECKSUM_NONE; /* said on purpose */
        if (from->from_byte != 0 || from->at_byte != 0) {
            config_complain(c->file, c->errors, compile_path(path, "sources[%u].checksum", i),
                            "kind: none has no from_byte and no at_byte");
        }
        return;
    }
    to->checksum =
        (struct checksum_spec){.kind = (uint32_t)from->kind, .from = from->from_byte, .at_byte = from->at_byte};
    if (from->from_byte >= from->at_byte || from->at_byte > to->frame_bytes ||
        to->frame_bytes - from->at_byte < 2) {
        config_complain(
            c->file, c->errors, compile_path(path, "sources[%u].checksum", i),
            "expected from_byte < at_byte and two bytes at at_byte inside the frame of %u bytes (a fixed "
            "frame_bytes is needed), found from_byte %u, at_byte %u",
            to->frame_bytes, from->from_byte, from->at_byte);
    }
}

static void check_range(struct compile *c, const char *where, const struct ring_channel *channel)
{
    if (!isfinite(channel->scale) || channel->scale == 0 || !isfinite(channel->offset)) {
        config_complain(c->file, c->errors, where, "scale must be finite and not 0, offset finite; found %g and %g",
                        channel->scale, channel->offset);
    }
    if (!(channel->range_low < channel->range_high) || !isfinite(channel->range_low) ||
        !isfinite(channel->range_high)) {
        config_complain(c->file, c->errors, where,
                        "expected range: [LOW, HIGH] with LOW < HIGH, both finite, found [%g, %g]",
                        channel->range_low, channel->range_high);
    }
}

static void compile_channel(struct compile *c, uint32_t i, uint32_t j, const struct source_plan *source,
                            const struct config_channel *from, struct ring_channel *to)
{
    char path[COMPILE_PATH_BYTES];
    bool text = source->framing.fields > 0; /* numbers of ours, each an f64 */
    compile_name(c, compile_path(path, "sources[%u].channels[%u].name", i, j), from->name, to->name);
    compile_path(path, "sources[%u].channels[%u]", i, j);
    if (strlen(from->unit) >= RING_UNIT_BYTES) {
        config_complain(c->file, c->errors, path, "expected a unit of at most %u characters, found '%s'",
                        RING_UNIT_BYTES - 1, from->unit);
    }
    snprintf(to->unit, sizeof(to->unit), "%s", from->unit);
    to->scale = from->scale != NULL ? *from->scale : 1.0;
    to->offset = from->offset != NULL ? *from->offset : 0.0;
    to->range_low = from->range[0];
    to->range_high = from->range[1];
    check_range(c, path, to);
    if (text) {
        uint32_t field = from->field != NULL ? *from->field : j;
        to->type = RING_TYPE_F64;
        to->byte_order = RING_LITTLE_ENDIAN;
        to->at_byte = field * 8;
        if (from->at_byte != NULL || from->type != NULL || from->byte_order != NULL) {
            config_complain(c->file, c->errors, path,
                            "a channel of numbers has a field, no at_byte, type or "
                            "byte_order");
        }
        if (field >= source->framing.fields) {
            config_complain(c->file, c->errors, path, "field %u lies beyond the %u fields (counted from 0)", field,
                            source->framing.fields);
        }
        return;
    }
    if (source->kind == SOURCE_COMEDI || source->kind == SOURCE_COMEDI_POLLED) {
        compile_comedi_channel(c, path, source, from, j, to);
        return;
    }
    if (from->scan != NULL) {
        if (from->at_byte != NULL || from->type != NULL || from->byte_order != NULL || from->field != NULL) {
            config_complain(c->file, c->errors, path,
                            "a channel with `scan` has no at_byte, type, byte_order or field");
        } else {
            (void)compile_scan(c, path, source, from->scan, to);
        }
        return;
    }
    if (from->at_byte == NULL || from->type == NULL || from->field != NULL) {
        config_complain(c->file, c->errors, path, "a binary channel needs at_byte and type, and has no field");
        return;
    }
    to->at_byte = *from->at_byte;
    to->type = (uint32_t)*from->type;
    to->byte_order = (uint32_t)(from->byte_order != NULL ? *from->byte_order : RING_BIG_ENDIAN);
    uint32_t bytes = ring_type_bytes(to->type);
    if (source->frame_bytes == 0 || to->at_byte > source->frame_bytes ||
        source->frame_bytes - to->at_byte < bytes) {
        config_complain(c->file, c->errors, path,
                        "bytes %u to %" PRIu64 " lie beyond the frame of %u bytes; correct at_byte, type or "
                        "frame_bytes",
                        to->at_byte, (uint64_t)to->at_byte + bytes - 1, source->frame_bytes);
    }
}

static void check_channel_pair(struct compile *c, uint32_t i, uint32_t j, const struct ring_channel *channels)
{
    char path[COMPILE_PATH_BYTES];
    compile_path(path, "sources[%u].channels[%u]", i, j);
    for (uint32_t k = 0; k < j; k++) {
        const struct ring_channel *a = &channels[k];
        const struct ring_channel *b = &channels[j];
        if (a->at_byte < b->at_byte + ring_type_bytes(b->type) &&
            b->at_byte < a->at_byte + ring_type_bytes(a->type)) {
            config_complain(c->file, c->errors, path, "channel '%s' overlaps channel '%s' in the frame", b->name,
                            a->name);
        }
    }
}

/* A channel's name is unique in the whole server: rules go by it. */
static void check_channel_name(struct compile *c, uint32_t i, uint32_t j, const char *name)
{
    char path[COMPILE_PATH_BYTES];
    for (uint32_t s = 0; s <= i; s++) {
        for (uint32_t k = 0; k < (s < i ? c->config->sources[s].channels_count : j); k++) {
            if (strcmp(c->config->sources[s].channels[k].name, name) == 0) {
                config_complain(c->file, c->errors, compile_path(path, "sources[%u].channels[%u].name", i, j),
                                "a second channel named '%s'; names must differ in the whole file", name);
                return;
            }
        }
    }
}

static void compile_channels(struct compile *c, uint32_t i, const struct source_plan *source,
                             struct ring_plan *ring)
{
    const struct config_source *from = &c->config->sources[i];
    struct control_table *table = &c->plan->table;
    char path[COMPILE_PATH_BYTES];
    uint32_t count = from->channels_count;
    if (count > RING_CHANNELS_MAX || table->channels + count > CONTROL_CHANNELS_MAX) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].channels", i),
                        "expected at most %u channels in all, found more", CONTROL_CHANNELS_MAX);
        return;
    }
    if (count == 0) {
        return;
    }
    struct control_ring *watched = &table->ring[table->rings];
    memcpy(watched->name, ring->name, sizeof(watched->name));
    watched->first_channel = table->channels;
    watched->channels = count;
    watched->first_number = ring->first_number = table->numbers;
    for (uint32_t j = 0; j < count; j++) {
        compile_channel(c, i, j, source, &from->channels[j], &ring->channel[j]);
        if (from->channels[j].calibration != NULL) {
            compile_calibration(c, i, j, from->channels[j].calibration, ring, &ring->channel[j]);
        }
        check_channel_pair(c, i, j, ring->channel);
        check_channel_name(c, i, j, from->channels[j].name);
    }
    compile_junctions(c, i, ring);
    watched->numbers = ring->number_count;
    for (uint32_t j = 0; j < count; j++) {
        compile_overlap(c, i, j, ring);
        table->channel[table->channels++] = (struct control_channel){
            .decode = ring->channel[j],
            .ring = table->rings,
            .stale_ns =
                CLOCK_NS_PER_MS * compile_bounded(c, compile_path(path, "sources[%u].channels[%u].stale_ms", i, j),
                                                  from->channels[j].stale_ms, 100, 1, 3600000, "ms")};
    }
    ring->channel_count = count;
    ring->watched_as = ++table->rings;
}

static struct ring_plan *find_ring(struct compile *c, uint32_t i, const char *name)
{
    char path[COMPILE_PATH_BYTES];
    compile_path(path, "sources[%u].ring", i);
    for (uint32_t r = 0; r < c->plan->rings; r++) {
        struct ring_plan *ring = &c->plan->ring[r];
        if (strcmp(ring->name, name) == 0) {
            if (ring->stream.name[0] != 0) {
                config_complain(c->file, c->errors, path,
                                "ring '%s' already has source '%s'; a ring has one writer", name,
                                ring->stream.name);
                return NULL;
            }
            return ring;
        }
    }
    config_complain(c->file, c->errors, path, "no ring is named '%s'; add it under rings", name);
    return NULL;
}

static struct worker_plan *find_worker(struct compile *c, uint32_t i, const char *name)
{
    char path[COMPILE_PATH_BYTES];
    compile_path(path, "sources[%u].worker", i);
    struct worker_plan *found = name == NULL ? &c->plan->worker[0] : NULL;
    for (uint32_t w = 0; w < c->plan->workers && found == NULL; w++) {
        found = strcmp(c->plan->worker[w].name, name) == 0 ? &c->plan->worker[w] : NULL;
    }
    if (found == NULL) {
        config_complain(c->file, c->errors, path, "no worker is named '%s'; add it under workers", name);
    } else if (found->sources >= PLAN_SOURCES_MAX) {
        config_complain(c->file, c->errors, path, "worker '%s' has %u sources already; add another worker",
                        found->name, PLAN_SOURCES_MAX);
        found = NULL;
    }
    return found;
}

static uint32_t payload_offset_of(const struct source_plan *source)
{
    switch (source->kind) {
    case SOURCE_UDP:
        return UDP_PAYLOAD_OFFSET;
    case SOURCE_DPDK:
        return source->packet.form == PACKET_UDP ? DPDK_PAYLOAD_OFFSET_UDP : DPDK_PAYLOAD_OFFSET_ETHERNET;
    case SOURCE_AFXDP:
        return source->packet.form == PACKET_UDP ? AFXDP_PAYLOAD_OFFSET_UDP : AFXDP_PAYLOAD_OFFSET_ETHERNET;
    default:
        return RING_DESCRIPTOR_BYTES;
    }
}

/* Slots as large as the frame wants, unless the file says larger. */
static void size_slots(struct compile *c, uint32_t i, const struct source_plan *source, struct ring_plan *ring)
{
    char path[COMPILE_PATH_BYTES];
    ring->payload_offset = payload_offset_of(source);
    /* Frames of any length: as the ring's slots have room for, or as Ethernet has. */
    uint32_t payload = source->frame_bytes != 0 ? source->frame_bytes : ring->slot_bytes != 0 ? 0 : 1472;
    payload += source->framing.kind == FRAMING_MESSAGE; /* one byte more, to notice a message that is too long */
    payload = payload < sizeof(struct ring_gap) ? (uint32_t)sizeof(struct ring_gap) : payload;
    uint32_t need = (ring->payload_offset + payload + 63) / 64 * 64;
    if (source->kind == SOURCE_AFXDP) {
        need = compile_afxdp_slot(c, i, ring, need);
    }
    if (ring->slot_bytes == 0 && need <= RING_SLOT_BYTES_MAX) {
        ring->slot_bytes = need;
    } else if (need > RING_SLOT_BYTES_MAX || ring->slot_bytes < need) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].frame_bytes", i),
                        "frames of %u bytes need slots of %u bytes, ring '%s' has %u (at most %u)", payload, need,
                        ring->name, ring->slot_bytes, RING_SLOT_BYTES_MAX);
        ring->slot_bytes = RING_SLOT_BYTES_MIN;
    }
}

/* What readers are told about the ring's stream. */
static void describe_stream(const struct source_plan *source, struct ring_stream *stream)
{
    *stream = (struct ring_stream){.frame_bytes = source->kind == SOURCE_CAN ? 0 : source->frame_bytes,
                                   .sequence_at_byte = source->sequence.at_byte,
                                   .sequence_width_bytes = source->sequence.width_bytes,
                                   .sequence_byte_order = source->sequence.byte_order,
                                   .sequence_step = source->sequence.step,
                                   .stamp = source->rate.stamp,
                                   .nominal_hz = source->rate.nominal_hz,
                                   .tolerance = source->rate.tolerance};
    memcpy(stream->name, source->name, sizeof(stream->name));
    snprintf(stream->source, sizeof(stream->source), "%s", config_source_kind(source->kind));
}

static void compile_source(struct compile *c, uint32_t i)
{
    const struct config_source *from = &c->config->sources[i];
    char path[COMPILE_PATH_BYTES];
    struct ring_plan *ring = find_ring(c, i, from->ring);
    struct worker_plan *worker = find_worker(c, i, from->worker);
    if (ring == NULL || worker == NULL) {
        return;
    }
    struct source_plan *to = &worker->source[worker->sources++];
    memset(to, 0, sizeof(*to));
    to->kind = (uint32_t)from->kind;
    memcpy(to->ring, ring->name, sizeof(to->ring));
    compile_name(c, compile_path(path, "sources[%u].name", i), from->name, to->name);
    for (uint32_t j = 0; j < i; j++) {
        if (strcmp(c->config->sources[j].name, from->name) == 0) {
            config_complain(c->file, c->errors, path, "a second source named '%s'; names must differ", from->name);
        }
    }
    to->frame_bytes =
        (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].frame_bytes", i), from->frame_bytes, 0, 1,
                                  RING_SLOT_BYTES_MAX - UDP_PAYLOAD_OFFSET, "bytes");
    compile_refuse_foreign_keys(c, i, from);
    if (to->kind == SOURCE_UDP) {
        compile_udp(c, i, from, to);
    } else if (to->kind == SOURCE_DPDK) {
        compile_dpdk(c, i, from, to);
        compile_dpdk_port(c, i, from, to);
    } else if (to->kind == SOURCE_AFXDP) {
        compile_afxdp(c, i, from, to);
    } else if (to->kind == SOURCE_RECORDING) {
        compile_recording(c, i, from, to);
    } else if (poller_way_of(to->kind) != NULL) {
        compile_poll(c, i, from, to);
    } else {
        compile_bytes(c, i, from, to);
    }
    if (from->sequence != NULL) {
        compile_sequence(c, i, from->sequence, to);
    }
    if (from->stream != NULL) {
        compile_stream(c, i, from->stream, to);
    }
    if (from->checksum != NULL) {
        compile_checksum(c, i, from->checksum, to);
    }
    compile_rates(c, i, from, to);
    describe_stream(to, &ring->stream);
    compile_check_framing(c, i, to);
    size_slots(c, i, to, ring);
    compile_frame_limit(to, ring);
    if (to->kind == SOURCE_DPDK) {
        compile_dpdk_ring(c, i, to, ring);
    }
    compile_channels(c, i, to, ring);
}

void compile_sources(struct compile *c)
{
    compile_workers(c);
    compile_rings(c);
    for (uint32_t i = 0; i < c->config->sources_count; i++) {
        compile_source(c, i);
    }
    compile_afxdp_queues(c);
    for (uint32_t w = 0; w < c->plan->workers; w++) {
        const struct config_worker *from = c->config->workers_count > w ? &c->config->workers[w] : NULL;
        compile_worker_kind(c, w, from);
        compile_cores(c, w, from);
    }
    for (uint32_t r = 0; r < c->plan->rings; r++) {
        char path[COMPILE_PATH_BYTES];
        if (c->plan->ring[r].stream.name[0] == 0) {
            config_complain(c->file, c->errors, compile_path(path, "rings[%u].name", r),
                            "no source writes ring '%s'; remove it or name it in a source", c->plan->ring[r].name);
        }
    }
}
