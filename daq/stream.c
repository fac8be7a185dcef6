#include "daq/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/poller.h"
#include "daq/stream_take.h"
#include "daq/ways.h"
#include "net/sequence.h"
#include "ring/clock.h"

#define RETRY_NS   (100 * CLOCK_NS_PER_MS)
#define TAIL_NS    (10 * CLOCK_NS_PER_MS) /* between looks at the end of a file */
#define READ_SLOTS 64u
#define READ_PART  8u /* of the ring: what is reserved is lost to observers */

/* What is not read straight into its slot: small frames, lines, what is searched for a mark, what a record may have
 * to precede. */
static uint32_t line_bytes_of(const struct source_plan *plan)
{
    switch (plan->framing.kind) {
    case FRAMING_TEXT:
        return PLAN_LINE_BYTES;
    case FRAMING_DELIMITED:
        return plan->framing.bytes_max + plan->framing.delimiter_bytes;
    case FRAMING_POLLED:
        return plan->frame_bytes + (uint32_t)sizeof(struct poller_trailer);
    default:
        return plan->framing.read_frames * plan->frame_bytes;
    }
}

/* A device that must be there is tried in front of everything else, to be opened again by the opener like any
 * other. */
static int insist(struct opening *opening, struct error *err)
{
    int fd = opening->way->open(opening, err);
    if (fd == -EAGAIN) {
        return 0; /* it listens, or connects: that is as much as there can be now */
    }
    if (fd >= 0) {
        close(fd);
        if (opening->way->clear != NULL) {
            opening->way->clear(opening);
        }
    }
    return fd < 0 ? fd : 0;
}

static int make_room(struct stream_source *s, struct error *err)
{
    const struct source_plan *plan = s->plan;
    bool drops = plan->gates > 0 && plan->when_full == WHEN_FULL_DROP;
    s->line_bytes = line_bytes_of(plan);
    s->scratch = drops ? calloc(1, (size_t)plan->framing.bytes_max + 1) : NULL;
    s->line = s->line_bytes > 0 ? calloc(1, (size_t)s->line_bytes + 1) : NULL;
    if ((drops && s->scratch == NULL) || (s->line_bytes > 0 && s->line == NULL)) {
        return error_set(err, -ENOMEM, "source %s: no memory for a frame of %u bytes", plan->name,
                         plan->framing.bytes_max);
    }
    return 0;
}

static bool is_timed_replay(const struct source_plan *plan)
{
    return plan->kind == SOURCE_FILE && plan->file.follow == FILE_REPLAY && plan->file.timing.width_bytes != 0;
}

static void watch_rate(struct stream_source *s)
{
    const struct source_plan *plan = s->plan;
    struct ring_header *header = s->writer->view.header;
    bool unnumbered = plan->sequence.width_bytes == 0 && plan->framing.kind != FRAMING_POLLED;
    stamper_init(&s->stamper, &plan->rate, &header->rate, s->writer->view.tai_minus_monotonic_ns,
                 header->identity.utc_offset_s);
    rate_meter_init(&s->meter, &header->rate, plan->rate.nominal_hz, unnumbered);
    if (is_timed_replay(plan)) {
        replay_pace_init(&s->pace, &plan->file, &header->rate);
    }
}

int stream_init(struct stream_source *source, const struct source_plan *plan, struct ring_writer *writer,
                struct uring *uring, struct opener *opener, uint64_t user, struct error *err)
{
    *source = (struct stream_source){.plan = plan, .writer = writer, .uring = uring, .user = user, .fd = -1};
    int code = make_room(source, err);
    watch_rate(source);
    if (code == 0 && opener != NULL) {
        source->opening = opener_add(opener, plan, way_of(plan->kind));
        code = plan->when_missing == WHEN_MISSING_REFUSE ? insist(source->opening, err) : 0;
    }
    return code;
}

void stream_fini(struct stream_source *source)
{
    stream_close(source);
    free(source->scratch);
    free(source->line);
    source->scratch = NULL;
    source->line = NULL;
}

void stream_is_there(struct stream_source *s, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    if (s->was_open) {
        net_sequence_interrupted(&s->plan->sequence, ledger);
        ring_writer_owe_gap(s->writer, s->overran ? RING_LOSS_KERNEL : RING_LOSS_RESTART, 0, s->closed_tai_ns);
        s->overran = false;
        (void)ring_writer_pay_gap(s->writer, tai_ns);
    }
    if (s->plan->kind == SOURCE_GPIO_EDGES) {
        net_sequence_begin(ledger, 1); /* the kernel counts the edges of each request for lines */
    }
    s->was_open = true;
    stamper_reopened(&s->stamper);
    rate_meter_start(&s->meter, tai_ns);
    ring_count_add(&ledger->connects, 1);
    ring_count_set(&ledger->is_open, 1);
}

/* Asks for the device, and takes it when it is there. */
static void reopen(struct stream_source *s, uint64_t monotonic_ns, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    if (!s->asking) {
        if (monotonic_ns < s->retry_ns) {
            return;
        }
        opening_ask(s->opening);
        s->asking = true;
    }
    int fd = opening_take(s->opening);
    if (fd == -EAGAIN) {
        return;
    }
    s->asking = false;
    s->retry_ns = monotonic_ns + RETRY_NS;
    ring_count_set(&ledger->open_errno, fd < 0 ? (uint64_t)-fd : 0);
    if (fd < 0) {
        return;
    }
    s->fd = fd;
    s->have = 0;
    s->overlong = false;
    s->frames_paced = 0;
    s->paced_ns = monotonic_ns;
    if (s->plan->framing.kind != FRAMING_POLLED) { /* of an instrument the first answer tells */
        stream_is_there(s, tai_ns);
    }
}

void stream_close(struct stream_source *source)
{
    if (source->fd >= 0) {
        close(source->fd);
        source->fd = -1;
        ring_count_set(&source->writer->view.header->ledger.is_open, 0);
    }
}

/* Where the frame under way is collected: the next slot, or scratch if there was none when it began. NULL: nowhere.
 */
static uint8_t *collect_into(struct stream_source *s)
{
    if (s->have == 0) {
        s->into_scratch = s->scratch != NULL && (s->writer->owes || ring_writer_reserve(s->writer) == NULL);
    }
    return s->into_scratch ? s->scratch : ring_writer_reserve(s->writer);
}

/* Bytes that cannot hold more frames than there are slots: a line has two bytes at least, but for the one under
 * way.
 */
static uint32_t line_room(struct stream_source *s)
{
    uint32_t most = s->line_bytes - s->have;
    if (s->plan->framing.kind == FRAMING_POLLED) { /* a message, which must not be cut */
        return s->plan->gates == 0 || s->scratch != NULL || ring_writer_reserve(s->writer) != NULL ? most : 0;
    }
    uint64_t part = s->writer->view.slot_count / READ_PART;
    if (s->scratch != NULL || s->plan->gates == 0) {
        return most; /* what finds no slot is dropped; without gating readers there always is one */
    }
    uint32_t slots = ring_writer_reserve_many(s->writer, part < READ_SLOTS ? (uint32_t)part : READ_SLOTS);
    uint32_t bytes = slots > 0 ? 2 * slots - 1 : 0;
    if (s->plan->framing.read_frames != 0) {
        bytes = slots * s->plan->frame_bytes > s->have ? slots * s->plan->frame_bytes - s->have : 0;
    }
    return bytes < most ? bytes : most;
}

/* Bytes that the frame under way still wants. */
static uint32_t frame_wants(const struct stream_source *s, const uint8_t *frame)
{
    const struct framing_plan *framing = &s->plan->framing;
    if (framing->kind == FRAMING_MESSAGE) {
        /* One more than there may be, to notice it. */
        uint32_t room = s->writer->view.slot_bytes - s->writer->view.payload_offset;
        return framing->bytes_max < room ? framing->bytes_max + 1 : room;
    }
    if (framing->kind == FRAMING_LENGTH) {
        uint32_t header = stream_header_bytes(framing);
        return (s->have < header ? header : stream_said_length(s->plan, frame)) - s->have;
    }
    return s->plan->frame_bytes - s->have;
}

uint32_t stream_wants(struct stream_source *source, uint8_t **to)
{
    if (source->line != NULL) {
        *to = source->line + source->have;
        return line_room(source);
    }
    /* Straight into the slot, never more than the frame still wants. */
    uint8_t *frame = collect_into(source);
    *to = frame != NULL ? frame + source->have : NULL;
    return frame != NULL ? frame_wants(source, frame) : 0;
}

/* Replay: the next frame is not due yet. */
static bool is_early(struct stream_source *s, uint64_t monotonic_ns)
{
    if (s->plan->kind == SOURCE_FILE && s->plan->file.follow == FILE_REPLAY && s->plan->file.frames_hz > 0) {
        double due_ns = (double)s->frames_paced * (double)CLOCK_NS_PER_S / s->plan->file.frames_hz;
        s->again_ns = s->paced_ns + (uint64_t)due_ns;
    }
    return monotonic_ns < s->again_ns;
}

void stream_hang_up(struct stream_source *s, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    ring_count_add(&ledger->disconnects, 1);
    ring_count_add(&ledger->noise_bytes, s->have);
    s->have = 0;
    s->held = false;
    s->closed_tai_ns = tai_ns;
    rate_meter_stop(&s->meter);
    stream_close(s);
}

/* Publishes what is due of what has been read. True: something is still to wait. */
static bool is_held(struct stream_source *s, uint64_t monotonic_ns, uint64_t tai_ns)
{
    uint64_t arrival_ns = is_timed_replay(s->plan) ? tai_ns : s->came_tai_ns;
    while (s->held && monotonic_ns >= s->again_ns) {
        (void)stream_take(s, 0, monotonic_ns, arrival_ns);
    }
    return s->held;
}

void stream_arm(struct stream_source *source, uint64_t monotonic_ns, uint64_t tai_ns)
{
    struct stream_source *s = source;
    uint8_t *to;
    if (s->reading && !s->leaving && opening_is_spoiled(s->opening)) {
        s->leaving = uring_cancel(s->uring, s->user); /* some drivers never end a read of what has gone */
    }
    rate_meter_look(&s->meter, tai_ns);
    if (s->reading || s->finished || is_held(s, monotonic_ns, tai_ns)) {
        return;
    }
    if (s->fd >= 0 && opening_is_spoiled(s->opening)) {
        stream_hang_up(s, tai_ns);
    }
    if (s->fd < 0) {
        reopen(s, monotonic_ns, tai_ns);
    }
    bool slot_is_free = s->have == 0 || s->into_scratch || s->line != NULL;
    bool paid = slot_is_free && ring_writer_pay_gap(s->writer, tai_ns);
    /* A slot that a reader releases from here on is for the record that is owed, not for what came after it. */
    bool must_pay_first = slot_is_free && !paid && s->scratch == NULL;
    if (s->fd < 0 || must_pay_first || is_early(s, monotonic_ns)) {
        return;
    }
    uint32_t bytes = stream_wants(s, &to);
    s->asked_bytes = bytes;
    s->reading = bytes > 0 && uring_read(s->uring, s->fd, to, bytes, s->user);
}

uint64_t stream_wakes_at(const struct stream_source *source)
{
    if (source->finished || source->reading || source->asking) {
        return UINT64_MAX;
    }
    return source->fd >= 0 ? source->again_ns : source->retry_ns;
}

/* Nothing more comes: the end of a file, or of a connection. */
static uint32_t ended(struct stream_source *s, int32_t result, uint64_t monotonic_ns, uint64_t tai_ns)
{
    if (result == 0 && s->plan->kind == SOURCE_UNIX && s->plan->un.type == SOCK_DGRAM) {
        return stream_take(s, 0, monotonic_ns, tai_ns); /* an empty datagram */
    }
    if (result == 0 && s->plan->kind == SOURCE_FILE && s->plan->file.follow == FILE_TAIL) {
        s->again_ns = monotonic_ns + TAIL_NS;
        return 0;
    }
    s->finished = result == 0 && s->plan->kind == SOURCE_FILE;
    s->overran = result == -EPIPE && s->plan->kind == SOURCE_COMEDI;
    stream_hang_up(s, tai_ns);
    return 0;
}

uint32_t stream_complete(struct stream_source *source, const struct uring_event *event, uint64_t monotonic_ns,
                         uint64_t tai_ns)
{
    struct stream_source *s = source;
    s->reading = false;
    s->leaving = false;
    if (event->result == -EINTR || event->result == -EAGAIN) {
        return 0;
    }
    if (event->result <= 0) { /* hung up: 0 or -EIO, depending on the moment */
        return ended(s, event->result, monotonic_ns, tai_ns);
    }
    /* Whatever ends where it may be cut was read empty: a message never is. */
    bool is_empty = (uint32_t)event->result < s->asked_bytes;
    if (is_empty && s->line != NULL && s->plan->framing.kind != FRAMING_POLLED) {
        s->again_ns = monotonic_ns + s->coalesce_ns;
    }
    s->came_tai_ns = tai_ns;
    uint32_t frames = stream_take(s, (uint32_t)event->result, monotonic_ns, tai_ns);
    s->frames_paced += frames;
    return frames;
}
