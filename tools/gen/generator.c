#include "tools/gen/generator.h"

#include <errno.h>
#include <string.h>

#include "ring/clock.h"

static uint32_t frame_bytes_max(const struct generator *g)
{
    uint32_t payload = g->options.file != NULL ? g->recording.longest : options_bytes_max(&g->options);
    return payload + FRAME_HEAD_MAX;
}

static int open_recording(struct generator *g, struct error *err)
{
    const struct options *o = &g->options;
    if (o->file == NULL) {
        return 0;
    }
    if (!o->is_capture) {
        return recording_open_vdif(&g->recording, o->file, FRAME_PAYLOAD_MAX, err);
    }
    return recording_open_pcap(&g->recording, o->file,
                               options_whole_frames(o) ? RECORDING_WHOLE : RECORDING_UDP_PAYLOAD, FRAME_PAYLOAD_MAX,
                               err);
}

static int open_transport(struct generator *g, struct error *err)
{
    const struct options *o = &g->options;
    struct transport_spec spec = {.target = o->target,
                                  .frame_bytes_max = frame_bytes_max(g),
                                  .from_ip = o->from_ip_given ? o->head.from_ip : 0,
                                  .from_port = (uint16_t)o->from_port,
                                  .no_gso = o->no_gso,
                                  .drop_when_full = o->drop_when_full,
                                  .descriptors = (uint32_t)o->descriptors,
                                  .wait_s = (uint32_t)o->wait_s,
                                  .core = (int32_t)o->core,
                                  .stop = g->stop};
    uint32_t address;
    uint16_t port;
    if (o->transport == TRANSPORT_UDP && udp_target_parse(o->target, &address, &port, err) != 0) {
        return -EINVAL; /* wrong usage; what fails below is the machine's word */
    }
    uint64_t from_ns = clock_monotonic_ns();
    g->transport = o->transport == TRANSPORT_UDP      ? gen_udp_open(&spec, err)
                   : o->transport == TRANSPORT_PACKET ? gen_packet_open(&spec, err)
                                                      : gen_dpdk_open(&spec, err);
    g->opened_ns = clock_elapsed_ns(from_ns, clock_monotonic_ns());
    return g->transport != NULL ? 0 : -EIO;
}

static void prepare_room(void *context, uint8_t *room, uint32_t bytes)
{
    writer_prepare(context, room, bytes);
}

static void init_writer(struct generator *g)
{
    struct options *o = &g->options;
    const struct transport *t = g->transport;
    bool has_head = o->transport != TRANSPORT_UDP && !options_whole_frames(o);
    static const uint8_t none[6];
    if (o->transport == TRANSPORT_PACKET && !o->from_mac_given && memcmp(t->own_mac, none, sizeof(none)) != 0) {
        memcpy(o->head.from_mac, t->own_mac, sizeof(o->head.from_mac));
    }
    frame_head_init(&g->head, &o->head);
    /* With a wrong bit in it a room does not hold what it did. */
    bool keeps =
        t->keeps_content && o->content == WRITER_SAME && o->format != WRITER_FILE && o->corrupt == 0 && !o->control;
    struct writer_spec spec = {.format = (enum writer_format)o->format,
                               .content = (enum writer_content)o->content,
                               .keeps_content = keeps,
                               .seed = o->seed,
                               .stream = (uint32_t)o->stream,
                               .frames_per_second = (uint32_t)o->frames_per_second,
                               .threads = (uint32_t)o->threads,
                               .head = has_head ? &g->head : NULL,
                               .recording = &g->recording,
                               .whole_frames = options_whole_frames(o)};
    writer_init(&g->writer, &spec);
    if (keeps) {
        t->ops->rooms(g->transport, prepare_room, &g->writer);
    }
}

int generator_open(struct generator *generator, const struct options *options, const volatile sig_atomic_t *stop,
                   struct error *err)
{
    *generator = (struct generator){.options = *options, .stop = stop};
    generator->tai_offset_ns = clock_measure_tai_offset_ns();
    int failed = open_recording(generator, err);
    if (failed == 0) {
        failed = open_transport(generator, err);
    }
    if (failed == 0) {
        init_writer(generator);
    }
    return failed;
}

void generator_close(struct generator *generator)
{
    if (generator->transport != NULL) {
        if (generator->transport->ops->drain != NULL) {
            generator->transport->ops->drain(generator->transport, (uint32_t)generator->options.linger_ms);
        }
        generator->transport->ops->close(generator->transport);
        generator->transport = NULL;
    }
    recording_close(&generator->recording);
}
