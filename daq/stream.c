#include "daq/stream.h"

#include <errno.h>
#include <linux/can.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/poller.h"
#include "daq/text.h"
#include "daq/ways.h"
#include "net/intake.h"
#include "net/sequence.h"
#include "ring/clock.h"

#define RETRY_NS   (100 * CLOCK_NS_PER_MS)
#define TAIL_NS    (10 * CLOCK_NS_PER_MS) /* between looks at the end of a file */
#define TEXT_SLOTS 64u
#define TEXT_PART  8u /* of the ring: what is reserved is lost to observers */

/* What cannot be read straight into its slot: lines, what is searched for a mark, what a record may have to
 * precede. */
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
        return 0;
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

int stream_init(struct stream_source *source, const struct source_plan *plan, struct ring_writer *writer,
                struct uring *uring, struct opener *opener, uint64_t user, struct error *err)
{
    *source = (struct stream_source){.plan = plan, .writer = writer, .uring = uring, .user = user, .fd = -1};
    int code = make_room(source, err);
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

/* The device is open, or answers: again, if it was before. */
static void is_there(struct stream_source *s, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    if (s->was_open) {
        net_sequence_interrupted(&s->plan->sequence, ledger);
        ring_writer_owe_gap(s->writer, RING_LOSS_RESTART, 0, s->closed_tai_ns);
        (void)ring_writer_pay_gap(s->writer, tai_ns);
    }
    if (s->plan->kind == SOURCE_GPIO_EDGES) {
        net_sequence_begin(ledger, 1); /* the kernel counts the edges of each request for lines */
    }
    s->was_open = true;
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
        is_there(s, tai_ns);
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

/* Bytes of text that cannot hold more lines than there are slots: a line has two bytes at least, but for the one
 * under way. */
static uint32_t line_room(struct stream_source *s)
{
    uint32_t most = s->line_bytes - s->have;
    if (s->plan->framing.kind == FRAMING_POLLED) { /* a message, which must not be cut */
        return s->plan->gates == 0 || s->scratch != NULL || ring_writer_reserve(s->writer) != NULL ? most : 0;
    }
    uint64_t part = s->writer->view.slot_count / TEXT_PART;
    if (s->scratch != NULL || s->plan->gates == 0) {
        return most; /* what finds no slot is dropped; without gating readers there always is one */
    }
    uint32_t slots = ring_writer_reserve_many(s->writer, part < TEXT_SLOTS ? (uint32_t)part : TEXT_SLOTS);
    uint32_t bytes = slots > 0 ? 2 * slots - 1 : 0;
    return bytes < most ? bytes : most;
}

static uint32_t header_bytes(const struct framing_plan *framing)
{
    uint32_t end = framing->length_at + framing->length_width;
    return end > framing->sync_bytes ? end : framing->sync_bytes;
}

/* What the number in a frame says of its length, at least its header's. 0: no frame can have that. */
static uint32_t said_length(const struct source_plan *plan, const uint8_t *frame)
{
    const struct framing_plan *framing = &plan->framing;
    uint64_t number = 0;
    for (uint32_t i = 0; i < framing->length_width; i++) {
        uint32_t at = framing->length_order == RING_BIG_ENDIAN ? i : framing->length_width - 1 - i;
        number = number << 8 | frame[framing->length_at + at];
    }
    int64_t total = (int64_t)number + framing->length_adds;
    return total < header_bytes(framing) || total > framing->bytes_max ? 0 : (uint32_t)total;
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
        uint32_t header = header_bytes(framing);
        return (s->have < header ? header : said_length(s->plan, frame)) - s->have;
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

static void hang_up(struct stream_source *s, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    ring_count_add(&ledger->disconnects, 1);
    ring_count_add(&ledger->noise_bytes, s->have);
    s->have = 0;
    s->closed_tai_ns = tai_ns;
    stream_close(s);
}

void stream_arm(struct stream_source *source, uint64_t monotonic_ns, uint64_t tai_ns)
{
    struct stream_source *s = source;
    uint8_t *to;
    if (s->reading && !s->leaving && opening_is_spoiled(s->opening)) {
        s->leaving = uring_cancel(s->uring, s->user); /* some drivers never end a read of what has gone */
    }
    if (s->reading || s->finished) {
        return;
    }
    if (s->fd >= 0 && opening_is_spoiled(s->opening)) {
        hang_up(s, tai_ns);
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
    s->reading = bytes > 0 && uring_read(s->uring, s->fd, to, bytes, s->user);
}

uint64_t stream_wakes_at(const struct stream_source *source)
{
    if (source->finished || source->reading || source->asking) {
        return UINT64_MAX;
    }
    return source->fd >= 0 ? source->again_ns : source->retry_ns;
}

/* No slot was free for this frame. */
static void drop_frame(struct stream_source *s)
{
    net_sequence_explain(&s->plan->sequence, &s->writer->view.header->ledger, RING_LOSS_RING_FULL, 1);
    ring_writer_owe_gap(s->writer, RING_LOSS_RING_FULL, 1, 0);
}

/* Puts a frame that was collected elsewhere into the next slot. False: there is none, it is dropped. */
static bool place_frame(struct stream_source *s, const void *frame, uint32_t bytes, uint64_t tai_ns)
{
    (void)ring_writer_pay_gap(s->writer, tai_ns);
    uint8_t *slot = ring_writer_reserve(s->writer);
    if (slot == NULL) {
        drop_frame(s);
        return false;
    }
    memcpy(slot, frame, bytes);
    return true;
}

static void refuse(struct stream_source *s, enum ring_refusal reason)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    ring_count_add(&ledger->refused[reason], 1);
    net_sequence_explain(&s->plan->sequence, ledger, intake_loss(reason), 1);
}

static uint32_t publish_frame(struct stream_source *s, const uint8_t *payload, uint32_t bytes, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    struct sequence_result seq;
    if (s->plan->sequence.width_bytes != 0 && bytes < s->plan->sequence.at_byte + s->plan->sequence.width_bytes) {
        refuse(s, RING_REFUSED_SHORT); /* of a frame of any length: its number is missing */
        return 0;
    }
    net_sequence_take(&s->plan->sequence, ledger, payload, s->writer->next, &seq);
    if (seq.verdict == SEQUENCE_LATE) {
        return 0;
    }
    ring_count_add(&ledger->bytes, bytes);
    ring_writer_commit(s->writer, bytes, tai_ns, seq.number, net_sequence_flags(&seq), seq.lost_before);
    ring_writer_publish(s->writer);
    return 1;
}

/* Moves the next possible start of a frame to the front of the slot. `from`: where to begin the search. */
static void find_sync(struct stream_source *s, uint8_t *slot, uint32_t from)
{
    const struct framing_plan *plan = &s->plan->framing;
    uint32_t at = from;
    for (; at < s->have; at++) {
        uint32_t n = s->have - at < plan->sync_bytes ? s->have - at : plan->sync_bytes;
        if (memcmp(slot + at, plan->sync, n) == 0) {
            break;
        }
    }
    if (at > 0) {
        ring_count_add(&s->writer->view.header->ledger.noise_bytes, at);
        memmove(slot, slot + at, s->have - at);
        s->have -= at;
    }
}

static uint32_t take_binary(struct stream_source *s, uint32_t bytes, uint64_t tai_ns)
{
    uint8_t *slot = s->into_scratch ? s->scratch : ring_writer_reserve(s->writer);
    s->have += bytes;
    find_sync(s, slot, 0);
    if (s->have < s->plan->frame_bytes) {
        return 0;
    }
    if (net_checksum_ok(&s->plan->checksum, slot)) {
        s->have = 0;
        if (s->into_scratch && !place_frame(s, slot, s->plan->frame_bytes, tai_ns)) {
            return 0;
        }
        return publish_frame(s, slot, s->plan->frame_bytes, tai_ns);
    }
    /* Half a frame and the start of the next, or a flipped bit: the next frame may begin inside this one. */
    refuse(s, RING_REFUSED_CHECKSUM);
    find_sync(s, slot, 1);
    return 0;
}

/* A frame that says how long it is. Who is told nonsense by a stream without a sync cannot find the next one: the
 * connection is made anew. */
static uint32_t take_length(struct stream_source *s, uint32_t bytes, uint64_t tai_ns)
{
    uint8_t *slot = s->into_scratch ? s->scratch : ring_writer_reserve(s->writer);
    s->have += bytes;
    find_sync(s, slot, 0);
    while (s->have >= header_bytes(&s->plan->framing)) {
        uint32_t total = said_length(s->plan, slot);
        if (total != 0) {
            if (s->have < total) {
                return 0;
            }
            s->have = 0;
            return s->into_scratch && !place_frame(s, slot, total, tai_ns) ? 0
                                                                           : publish_frame(s, slot, total, tai_ns);
        }
        refuse(s, RING_REFUSED_SYNTAX);
        if (s->plan->framing.sync_bytes == 0) {
            hang_up(s, tai_ns);
            return 0;
        }
        find_sync(s, slot, 1);
    }
    return 0;
}

/* How long a message must be. CAN: the kernel's struct, of either length. */
static uint32_t message_least(const struct source_plan *plan)
{
    if (plan->kind == SOURCE_CAN) {
        return CAN_MTU;
    }
    return plan->frame_bytes != 0 ? plan->frame_bytes : 1;
}

/* Of a frame of CAN as much as it says itself that it has: the zeros that the kernel's struct has behind that would
 * pass for samples. */
static uint32_t true_bytes(const struct source_plan *plan, const uint8_t *message, uint32_t bytes)
{
    if (plan->kind != SOURCE_CAN) {
        return bytes;
    }
    uint32_t said = (uint32_t)offsetof(struct canfd_frame, data) + message[offsetof(struct canfd_frame, len)];
    return said < bytes ? said : bytes;
}

/* A whole message, which is a frame or none. */
static uint32_t take_message(struct stream_source *s, uint32_t bytes, uint64_t tai_ns)
{
    uint8_t *slot = s->into_scratch ? s->scratch : ring_writer_reserve(s->writer);
    uint32_t least = message_least(s->plan);
    if (bytes < least || bytes > s->plan->framing.bytes_max) {
        refuse(s, bytes < least ? RING_REFUSED_SHORT : RING_REFUSED_LONG);
        return 0;
    }
    if (!net_checksum_ok(&s->plan->checksum, slot)) {
        refuse(s, RING_REFUSED_CHECKSUM);
        return 0;
    }
    bytes = true_bytes(s->plan, slot, bytes);
    return s->into_scratch && !place_frame(s, slot, bytes, tai_ns) ? 0 : publish_frame(s, slot, bytes, tai_ns);
}

/* What a poller got, or why it got nothing. Copied into its slot, because the record of a gap may have to come
 * first. */
static uint32_t take_polled(struct stream_source *s, uint32_t bytes, uint64_t monotonic_ns, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    struct poller_trailer trailer;
    uint32_t frame = bytes - (uint32_t)sizeof(trailer);
    memcpy(&trailer, s->line + frame, sizeof(trailer));
    ring_count_add(&ledger->polls_missed, trailer.missed);
    ring_count_set(&ledger->open_errno, trailer.error);
    if (frame == 0) {
        ring_count_add(&ledger->polls_failed, 1);
        if (ring_count_read(&ledger->is_open) != 0) {
            ring_count_set(&ledger->is_open, 0);
            ring_count_add(&ledger->disconnects, 1);
            s->closed_tai_ns = tai_ns;
        }
        return 0;
    }
    uint64_t taken_tai_ns = tai_ns - (monotonic_ns - trailer.monotonic_ns);
    if (ring_count_read(&ledger->is_open) == 0) {
        is_there(s, taken_tai_ns);
    }
    return place_frame(s, s->line, frame, taken_tai_ns) ? publish_frame(s, s->line, frame, taken_tai_ns) : 0;
}

static uint32_t take_line(struct stream_source *s, char *line, uint64_t tai_ns)
{
    double values[PLAN_FIELDS_MAX];
    uint32_t bytes = s->plan->framing.fields * (uint32_t)sizeof(double);
    size_t n = strlen(line);
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' ')) {
        line[--n] = 0;
    }
    if (n == 0) {
        return 0;
    }
    const struct framing_plan *framing = &s->plan->framing;
    if (framing->pattern[0] != 0 ? !text_match(framing->pattern, line, framing->fields, values)
                                 : !text_parse_line(line, framing->fields, values)) {
        refuse(s, RING_REFUSED_SYNTAX);
        return 0;
    }
    if (!place_frame(s, values, bytes, tai_ns)) {
        return 0;
    }
    return publish_frame(s, (const uint8_t *)values, bytes, tai_ns);
}

/* A line or a record: `bytes` of it, and the place behind them is free for a NUL. */
static uint32_t take_record(struct stream_source *s, uint8_t *record, uint32_t bytes, uint64_t tai_ns)
{
    if (s->plan->framing.kind == FRAMING_TEXT) {
        for (uint32_t i = 0; i < bytes; i++) {
            if (record[i] == 0) { /* it would end the parser's string early and hide the rest */
                record[i] = '?';
            }
        }
        record[bytes] = 0;
        return take_line(s, (char *)record, tai_ns);
    }
    if (bytes == 0) {
        return 0;
    }
    if (bytes > s->plan->framing.bytes_max || (s->plan->frame_bytes != 0 && bytes != s->plan->frame_bytes)) {
        refuse(s, bytes < s->plan->frame_bytes ? RING_REFUSED_SHORT : RING_REFUSED_LONG);
        return 0;
    }
    if (!net_checksum_ok(&s->plan->checksum, record)) {
        refuse(s, RING_REFUSED_CHECKSUM);
        return 0;
    }
    return place_frame(s, record, bytes, tai_ns) ? publish_frame(s, record, bytes, tai_ns) : 0;
}

static const uint8_t newline[] = {'\n'};

/* What ends with a mark: every record that is whole by now. */
static uint32_t take_marked(struct stream_source *s, uint32_t bytes, uint64_t tai_ns)
{
    bool text = s->plan->framing.kind == FRAMING_TEXT;
    const uint8_t *mark = text ? newline : s->plan->framing.delimiter;
    uint32_t mark_bytes = text ? 1 : s->plan->framing.delimiter_bytes;
    uint32_t frames = 0;
    uint32_t start = 0;
    uint32_t end = s->have + bytes;
    uint32_t at = s->have >= mark_bytes - 1 ? s->have - (mark_bytes - 1) : 0; /* a mark may have begun before */
    while (at + mark_bytes <= end) {
        if (memcmp(s->line + at, mark, mark_bytes) != 0) {
            at++;
            continue;
        }
        if (!s->overlong) {
            frames += take_record(s, s->line + start, at - start, tai_ns);
        }
        s->overlong = false;
        at += mark_bytes;
        start = at;
    }
    s->have = end - start;
    memmove(s->line, s->line + start, s->have);
    if (s->have == s->line_bytes) {
        if (!s->overlong) {
            refuse(s, RING_REFUSED_LONG);
        }
        ring_count_add(&s->writer->view.header->ledger.noise_bytes, s->have);
        s->overlong = true;
        s->have = 0;
    }
    return frames;
}

static uint32_t take(struct stream_source *s, uint32_t bytes, uint64_t monotonic_ns, uint64_t tai_ns)
{
    switch (s->plan->framing.kind) {
    case FRAMING_POLLED:
        return take_polled(s, bytes, monotonic_ns, tai_ns);
    case FRAMING_TEXT:
    case FRAMING_DELIMITED:
        return take_marked(s, bytes, tai_ns);
    case FRAMING_LENGTH:
        return take_length(s, bytes, tai_ns);
    case FRAMING_MESSAGE:
        return take_message(s, bytes, tai_ns);
    default:
        return take_binary(s, bytes, tai_ns);
    }
}

/* Nothing more comes: the end of a file, or of a connection. */
static uint32_t ended(struct stream_source *s, int32_t result, uint64_t monotonic_ns, uint64_t tai_ns)
{
    if (result == 0 && s->plan->kind == SOURCE_UNIX && s->plan->un.type == SOCK_DGRAM) {
        return take(s, 0, monotonic_ns, tai_ns); /* an empty datagram */
    }
    if (result == 0 && s->plan->kind == SOURCE_FILE && s->plan->file.follow == FILE_TAIL) {
        s->again_ns = monotonic_ns + TAIL_NS;
        return 0;
    }
    s->finished = result == 0 && s->plan->kind == SOURCE_FILE;
    hang_up(s, tai_ns);
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
    uint32_t frames = take(s, (uint32_t)event->result, monotonic_ns, tai_ns);
    s->frames_paced += frames;
    return frames;
}
