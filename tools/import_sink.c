#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/compile.h"
#include "tools/import.h"

#define SLOTS       64u
#define ALIGN       4096u
#define BLOCK_BYTES (UINT64_C(1) << 20)

static volatile sig_atomic_t interrupted;

static void on_signal(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void import_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool import_interrupted(void)
{
    return interrupted != 0;
}

static const struct source_plan *source_of(const struct server_plan *plan, const char *ring)
{
    for (uint32_t w = 0; w < plan->workers; w++) {
        for (uint32_t s = 0; s < plan->worker[w].sources; s++) {
            if (strcmp(plan->worker[w].source[s].ring, ring) == 0) {
                return &plan->worker[w].source[s];
            }
        }
    }
    return NULL;
}

int import_sink_init(struct import_sink *sink, const struct server_plan *plan, uint32_t ring, struct error *err)
{
    const struct ring_plan *from = &plan->ring[ring];
    struct ring_spec spec = {.instance = plan->instance,
                             .name = from->name,
                             .streams = &from->stream,
                             .stream_count = 1,
                             .slots = SLOTS,
                             .slot_bytes = from->slot_bytes,
                             .payload_offset = from->payload_offset,
                             .channels = from->channel,
                             .channel_count = from->channel_count,
                             .numbers = &plan->table.number[from->first_number],
                             .number_count = from->number_count,
                             .page_bytes = ALIGN,
                             .numa_node = -1};
    *sink = (struct import_sink){.plan = source_of(plan, from->name), .ring = from};
    size_t bytes = record_round_up(ring_segment_bytes(&spec), ALIGN);
    if (sink->plan == NULL || bytes == 0) {
        return error_set(err, -EINVAL, "ring %s has no source that could be imported for", from->name);
    }
    sink->base = aligned_alloc(ALIGN, bytes);
    if (sink->base == NULL) {
        return error_set(err, -ENOMEM, "no memory for a ring of %u slots", SLOTS);
    }
    memset(sink->base, 0, bytes);
    int code = ring_create(sink->base, bytes, &spec, err);
    return code == 0 ? ring_writer_attach(&sink->writer, sink->base, bytes, (uint64_t)getpid(), NULL, err) : code;
}

int import_sink_record(struct import_sink *sink, const struct server_plan *plan, const char *directory,
                       const char *json, const char *config, size_t config_bytes, int32_t utc_offset_s,
                       struct error *err)
{
    const struct ring_plan *ring = sink->ring;
    int64_t tai_minus_monotonic_ns = clock_measure_tai_offset_ns();
    struct record_source what = {.header = {.stripes = 1,
                                            .channels = ring->channel_count,
                                            .numbers = ring->number_count,
                                            .streams = 1,
                                            .json_bytes = (uint32_t)strlen(json),
                                            .config_bytes = (uint32_t)config_bytes,
                                            .stamp = ring->stream.stamp,
                                            .utc_offset_s = utc_offset_s,
                                            .slot_bytes = ring->slot_bytes,
                                            .payload_offset = ring->payload_offset,
                                            .payload_bytes = sink->writer.view.payload_bytes,
                                            .slots = ring->slots,
                                            .tai_minus_monotonic_ns = tai_minus_monotonic_ns,
                                            .created_tai_ns = clock_tai_ns(tai_minus_monotonic_ns)},
                                 .channel = ring->channel,
                                 .number = &plan->table.number[ring->first_number],
                                 .stream = &ring->stream,
                                 .json = json,
                                 .config = config};
    memcpy(what.header.instance, plan->instance, sizeof(what.header.instance));
    memcpy(what.header.ring, ring->name, sizeof(what.header.ring));
    snprintf(what.header.recorder, sizeof(what.header.recorder), "import");
    int code = record_run_make(what.header.run, err);
    return code == 0 ? record_writer_open(&sink->record, directory, &what, BLOCK_BYTES, err) : code;
}

int import_sink_close(struct import_sink *sink, struct error *err)
{
    if (sink->record == NULL) {
        return 0;
    }
    int code = record_writer_close(sink->record, RECORD_CLOSE_STOPPED, &sink->writer.view.header->ledger, err);
    sink->record = NULL;
    return code;
}

void import_sink_fini(struct import_sink *sink)
{
    record_writer_abandon(sink->record);
    free(sink->base);
    *sink = (struct import_sink){.base = NULL};
}

uint8_t *import_sink_slot(struct import_sink *sink, uint32_t *room)
{
    *room = sink->writer.view.payload_bytes;
    return ring_writer_reserve(&sink->writer);
}

int import_sink_commit(struct import_sink *sink, enum ring_refusal refusal, const struct format_frame *said,
                       uint32_t bytes, uint64_t tai_ns, struct error *err)
{
    struct ring_writer *writer = &sink->writer;
    uint64_t from = writer->next;
    int code = import_interrupted() ? error_set(err, -EINTR, "stopped before its end") : 0;
    intake_commit(sink->plan, writer, refusal, said, bytes, tai_ns, false);
    ring_writer_publish(writer);
    for (uint64_t p = from; code == 0 && p < writer->next; p++) {
        if (sink->record != NULL) {
            code = record_writer_frame(sink->record, ring_descriptor_at(&writer->view, p),
                                       ring_payload_at(&writer->view, p), err);
        }
        sink->first_tai_ns = sink->frames == 0 ? tai_ns : sink->first_tai_ns;
        sink->last_tai_ns = tai_ns;
        sink->frames++;
    }
    return code;
}
