/* pcapng: an interface for each stream, a packet for each frame, what is missing as a comment on the next one. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "tools/export/export.h"
#include "tools/export/origin.h"
#include "tools/export/pcapng_write.h"

#define SHB              0x0a0d0d0au
#define IDB              1u
#define ISB              5u
#define GAP_BYTES        1024u
#define PLACEHOLDER_A    1u /* 192.0.2.1 and .2: addresses for documentation (RFC 5737) */
#define PLACEHOLDER_B    2u
#define PLACEHOLDER_PORT 9u

struct stream_state {
    uint32_t interface;
    bool used;
    enum origin_form form;
    struct pcapng_udp udp;
    uint64_t frames;
    uint64_t first_utc_ns;
    uint64_t last_utc_ns;
};

struct pcapng {
    struct export_sink sink;
    struct output *output;
    const struct export_ring *ring;
    struct origin_config *config;
    uint32_t interfaces;
    struct stream_state stream[RING_STREAMS_MAX];
    char gaps[GAP_BYTES]; /* since the last packet */
    uint64_t gaps_more;   /* for which there was no room */
    struct pcapng_block block;
};

static int write_block(struct pcapng *p, struct error *err)
{
    pcapng_end(&p->block);
    return output_write(p->output, p->block.bytes, p->block.used, err);
}

static int write_section(struct pcapng *p, struct error *err)
{
    struct utsname host;
    char text[256];
    uint8_t fixed[16];
    const uint32_t magic = 0x1a2b3c4d;
    const uint16_t version[2] = {1, 0};
    memcpy(fixed, &magic, 4);
    memcpy(fixed + 4, version, 4);
    memset(fixed + 8, 0xff, 8); /* the section's length is not told */
    pcapng_begin(&p->block, SHB, fixed, sizeof(fixed));
    if (uname(&host) == 0) {
        pcapng_text(&p->block, PCAPNG_SHB_HARDWARE, host.machine);
        snprintf(text, sizeof(text), "%.100s %.100s", host.sysname, host.release);
        pcapng_text(&p->block, PCAPNG_SHB_OS, text);
    }
    pcapng_text(&p->block, PCAPNG_SHB_APPLICATION, "sluice " SLUICE_VERSION);
    pcapng_text(&p->block, PCAPNG_COMMENT,
                "exported from a sluice recording; packets stand ring after ring, not sorted over rings");
    return write_block(p, err);
}

static int pcapng_open(struct export_sink **sink, const struct export_plan *plan, struct output *output,
                       struct error *err)
{
    struct pcapng *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return error_set(err, -ENOMEM, "expected a little memory, got none");
    }
    p->sink.ops = &export_pcapng;
    p->output = output;
    p->config = origin_load(plan->set);
    *sink = &p->sink;
    return write_section(p, err);
}

/* What is not known gets an address that can be nobody's. True: all was known. */
static void fill_ends(struct stream_state *s, const struct origin *origin, char told[200])
{
    s->udp = (struct pcapng_udp){.from = origin->from != 0 ? origin->from : htonl(0xc0000200u + PLACEHOLDER_A),
                                 .to = origin->to != 0 ? origin->to : htonl(0xc0000200u + PLACEHOLDER_B),
                                 .to_port = origin->to_port != 0 ? origin->to_port : PLACEHOLDER_PORT};
    s->udp.from_port = origin->from_port != 0 ? origin->from_port : s->udp.to_port;
    snprintf(told, 200, "destination %s, port %s, source %s, port %s",
             origin->to != 0 ? "from the configuration" : "not known (192.0.2.2)",
             origin->to_port != 0 ? "from the configuration" : "not known (9)",
             origin->from != 0 ? "from the configuration" : "not known (192.0.2.1)",
             origin->from_port != 0 ? "from the configuration" : "not known (the destination's)");
}

static int write_interface(struct pcapng *p, uint32_t index, struct error *err)
{
    struct stream_state *s = &p->stream[index];
    const struct ring_stream *stream = &p->ring->is->stream[index];
    struct origin origin;
    char name[EXPORT_TEXT_BYTES];
    char source[EXPORT_TEXT_BYTES];
    char told[200] = "";
    char text[1024];
    const uint8_t nanoseconds = 9;
    origin_find(p->config, stream, &origin);
    *s = (struct stream_state){.interface = p->interfaces++, .used = true, .form = origin.form};
    const uint16_t link = origin.form == ORIGIN_OTHER ? PCAPNG_LINK_USER0 : PCAPNG_LINK_ETHERNET;
    const uint32_t fixed[2] = {link, 0};
    export_text(name, stream->name, sizeof(stream->name));
    export_text(source, stream->source, sizeof(stream->source));
    pcapng_begin(&p->block, IDB, fixed, sizeof(fixed));
    snprintf(text, sizeof(text), "%s/%s", p->ring->name, name);
    pcapng_text(&p->block, PCAPNG_IF_NAME, text);
    if (origin.form == ORIGIN_UDP) {
        fill_ends(s, &origin, told);
        snprintf(text, sizeof(text),
                 "sluice source of kind %s: payloads; Ethernet, IPv4 and UDP headers are made up", source);
    } else {
        snprintf(text, sizeof(text), "sluice source of kind %s: %s", source,
                 origin.form == ORIGIN_ETHERNET ? "frames as they came" : "no packets, frames as they came");
    }
    pcapng_text(&p->block, PCAPNG_IF_DESCRIPTION, text);
    pcapng_option(&p->block, PCAPNG_IF_RESOLUTION, &nanoseconds, 1);
    snprintf(text, sizeof(text), "times are UTC = TAI - %" PRId64 " ns%s%s", p->ring->utc_offset_ns,
             told[0] != 0 ? "; only payloads were recorded, so the headers before them were made up by the export, "
                            "with right checksums: "
                          : "",
             told);
    pcapng_text(&p->block, PCAPNG_COMMENT, text);
    return write_block(p, err);
}

static int pcapng_ring_begin(struct export_sink *sink, const struct export_ring *ring, struct error *err)
{
    struct pcapng *p = (struct pcapng *)(void *)sink;
    int code = 0;
    p->ring = ring;
    memset(p->stream, 0, sizeof(p->stream));
    p->gaps[0] = 0;
    p->gaps_more = 0;
    for (uint32_t i = 0; code == 0 && i < ring->is->header.streams && i < RING_STREAMS_MAX; i++) {
        if (ring->stream < 0 || ring->stream == (int)i) {
            code = write_interface(p, i, err);
        }
    }
    return code;
}

/* The gaps since the last packet, as one comment of this block. */
static void put_gaps(struct pcapng *p)
{
    if (p->gaps_more > 0) {
        size_t used = strlen(p->gaps);
        snprintf(p->gaps + used, sizeof(p->gaps) - used, " and %" PRIu64 " more", p->gaps_more);
    }
    if (p->gaps[0] != 0) {
        pcapng_text(&p->block, PCAPNG_COMMENT, p->gaps);
    }
    p->gaps[0] = 0;
    p->gaps_more = 0;
}

static int pcapng_frame(struct export_sink *sink, const struct sluice_frame *frame, struct error *err)
{
    struct pcapng *p = (struct pcapng *)(void *)sink;
    struct stream_state *s = frame->stream < RING_STREAMS_MAX ? &p->stream[frame->stream] : NULL;
    uint8_t head[PCAPNG_HEADERS_BYTES];
    char text[160];
    if (s == NULL || !s->used) {
        return error_set(err, -EPROTO, "ring %s, position %" PRIu64 ": stream %u is not in the recording's table",
                         p->ring->name, frame->position, frame->stream);
    }
    if (s->form == ORIGIN_UDP && frame->length_bytes > PCAPNG_UDP_MAX) {
        return error_set(err, -EMSGSIZE,
                         "ring %s, position %" PRIu64 ": expected a datagram of at most %u bytes, found %u",
                         p->ring->name, frame->position, PCAPNG_UDP_MAX, frame->length_bytes);
    }
    if (s->form == ORIGIN_UDP) {
        pcapng_headers(&s->udp, frame->payload, frame->length_bytes, head);
    }
    uint64_t utc_ns = frame->tai_ns - (uint64_t)p->ring->utc_offset_ns;
    s->first_utc_ns = s->frames == 0 ? utc_ns : s->first_utc_ns;
    s->last_utc_ns = utc_ns;
    s->frames++;
    pcapng_begin(&p->block, 0, NULL, 0);
    int n = snprintf(text, sizeof(text), "sluice: sequence %" PRIu64 " position %" PRIu64, frame->source_sequence,
                     frame->position);
    if ((frame->flags & SLUICE_FRAME_LOST_BEFORE) != 0) {
        snprintf(text + n, sizeof(text) - (size_t)n, " lost_before %u %s", frame->lost_before,
                 ring_loss_name(frame->cause));
    }
    pcapng_text(&p->block, PCAPNG_COMMENT, text);
    put_gaps(p);
    return pcapng_packet(p->output, s->interface, utc_ns, head, s->form == ORIGIN_UDP ? sizeof(head) : 0,
                         frame->payload, frame->length_bytes, &p->block, err);
}

static int pcapng_gap(struct export_sink *sink, const struct export_gap *gap, struct error *err)
{
    struct pcapng *p = (struct pcapng *)(void *)sink;
    char text[200];
    size_t used = strlen(p->gaps);
    (void)err;
    if (strcmp(gap->told_by, "frame") == 0) {
        return 0; /* stands in the packet's own comment */
    }
    snprintf(text, sizeof(text), "%s%" PRIu64 " missing, cause %s, told by %s, positions %" PRIu64 " to %" PRIu64,
             used == 0 ? "sluice gap: " : "; ", gap->count, gap->cause, gap->told_by, gap->from_position,
             gap->to_position);
    if (used + strlen(text) + 40 < sizeof(p->gaps)) {
        strcpy(p->gaps + used, text); /* its length was looked at */
    } else {
        p->gaps_more++;
    }
    return 0;
}

/* Statistics at the end of each interface; the first one has the gaps behind the last packet. */
static int pcapng_ring_end(struct export_sink *sink, struct export_counts *counts, struct error *err)
{
    struct pcapng *p = (struct pcapng *)(void *)sink;
    int code = 0;
    (void)counts;
    for (uint32_t i = 0; code == 0 && i < RING_STREAMS_MAX; i++) {
        const struct stream_state *s = &p->stream[i];
        if (!s->used) {
            continue;
        }
        uint32_t first[2] = {(uint32_t)(s->first_utc_ns >> 32), (uint32_t)s->first_utc_ns};
        uint32_t last[2] = {(uint32_t)(s->last_utc_ns >> 32), (uint32_t)s->last_utc_ns};
        uint32_t fixed[3] = {s->interface, last[0], last[1]};
        pcapng_begin(&p->block, ISB, fixed, sizeof(fixed));
        if (s->frames > 0) {
            pcapng_option(&p->block, PCAPNG_ISB_START, first, sizeof(first));
            pcapng_option(&p->block, PCAPNG_ISB_END, last, sizeof(last));
        }
        pcapng_option(&p->block, PCAPNG_ISB_RECEIVED, &s->frames, sizeof(s->frames));
        put_gaps(p);
        code = write_block(p, err);
    }
    return code;
}

static void pcapng_close(struct export_sink *sink)
{
    origin_free(((struct pcapng *)(void *)sink)->config);
    free(sink);
}

const struct export_ops export_pcapng = {.name = "pcapng",
                                         .suffix = "pcapng",
                                         .open = pcapng_open,
                                         .ring_begin = pcapng_ring_begin,
                                         .frame = pcapng_frame,
                                         .gap = pcapng_gap,
                                         .ring_end = pcapng_ring_end,
                                         .close = pcapng_close};
