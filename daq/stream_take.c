#include "daq/stream_take.h"

#include <linux/can.h>
#include <stddef.h>
#include <string.h>

#include "daq/poller.h"
#include "daq/text.h"
#include "net/intake.h"
#include "net/sequence.h"
#include "ring/clock.h"

#define TRIED_BYTES_MAX 4096u /* under a checksum that does not fit, at a time */

uint32_t stream_header_bytes(const struct framing_plan *framing)
{
    uint32_t end = framing->length_at + framing->length_width;
    return end > framing->sync_bytes ? end : framing->sync_bytes;
}

uint32_t stream_said_length(const struct source_plan *plan, const uint8_t *frame)
{
    const struct framing_plan *framing = &plan->framing;
    uint64_t number = 0;
    for (uint32_t i = 0; i < framing->length_width; i++) {
        uint32_t at = framing->length_order == RING_BIG_ENDIAN ? i : framing->length_width - 1 - i;
        number = number << 8 | frame[framing->length_at + at];
    }
    int64_t total = (int64_t)number + framing->length_adds;
    return total < stream_header_bytes(framing) || total > framing->bytes_max ? 0 : (uint32_t)total;
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

/* Replay by the recording's own times: false: the frame is not due yet, and is to be held. */
static bool is_due(struct stream_source *s, const uint8_t *frame, uint32_t bytes)
{
    const struct clock_field *timing = &s->plan->file.timing;
    if (s->pace.plan == NULL || bytes < timing->at_byte + timing->width_bytes ||
        replay_pace_is_due(&s->pace, frame, s->now_ns)) {
        return true;
    }
    s->again_ns = s->pace.due_ns;
    s->held = true;
    return false;
}

/* One look at the clock for all that a read brought: of many frames the later ones became visible a little later.
 */
static void publish(struct stream_source *s)
{
    if (s->writer->hops != NULL) {
        s->published_ns = s->published_ns != 0 ? s->published_ns : clock_monotonic_ns();
        ring_writer_tell_time(s->writer, s->published_ns);
    }
    ring_writer_publish(s->writer);
}

/* What is known of when it was sent, or asked for. */
static void account_sent(struct stream_source *s, const struct stamp *stamp)
{
    if (s->plan->rate.stamp == RING_STAMP_ASKED) {
        ring_writer_sent(s->writer, true, (int64_t)s->took_ns);
    } else {
        ring_writer_sent(s->writer, stamp->is_dated, stamp->lag_ns);
    }
}

static uint32_t publish_frame(struct stream_source *s, const uint8_t *payload, uint32_t bytes, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    const struct sequence_spec *numbers = &s->plan->sequence;
    struct sequence_result seq;
    if ((numbers->width_bytes != 0 && bytes < numbers->at_byte + numbers->width_bytes) ||
        bytes < stamper_needs(&s->plan->rate)) {
        refuse(s, RING_REFUSED_SHORT); /* of a frame of any length: its number or its time is missing */
        return 0;
    }
    net_sequence_take(numbers, ledger, payload, s->writer->next, &seq);
    if (seq.verdict == SEQUENCE_LATE) {
        return 0;
    }
    struct stamp stamp =
        stamper_take(&s->stamper, payload, numbers->width_bytes != 0 ? seq.number : s->frames_taken++, tai_ns);
    uint32_t flags = net_sequence_flags(&seq) | (stamp.old ? (uint32_t)RING_FLAG_REORDERED : 0);
    rate_meter_take(&s->meter, stamp.sampled_ns, tai_ns, tai_ns - stamp.tai_ns);
    ring_count_add(&ledger->bytes, bytes);
    if ((flags & RING_FLAG_DUPLICATE) == 0) {
        account_sent(s, &stamp);
    }
    ring_writer_commit(s->writer, bytes, stamp.tai_ns, seq.number, flags, seq.lost_before);
    publish(s);
    return 1;
}

/* The next possible start of a frame in what there is, from `from` on. */
static uint32_t sync_at(const struct stream_source *s, const uint8_t *bytes, uint32_t from)
{
    const struct framing_plan *plan = &s->plan->framing;
    uint32_t at = from;
    for (; at < s->have; at++) {
        uint32_t n = s->have - at < plan->sync_bytes ? s->have - at : plan->sync_bytes;
        if (memcmp(bytes + at, plan->sync, n) == 0) {
            break;
        }
    }
    return at;
}

/* Moves the next possible start of a frame to the front of the slot. `from`: where to begin the search. */
static void find_sync(struct stream_source *s, uint8_t *slot, uint32_t from)
{
    uint32_t at = sync_at(s, slot, from);
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
        if (!is_due(s, slot, s->plan->frame_bytes)) {
            return 0;
        }
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

/* Noise without a mark is tried at every byte, and a read full of it would hold up the other sources for as long as
 * that takes. What is left of it is looked at when they have had their turn. */
static bool has_had_enough(struct stream_source *s, uint32_t *tried_bytes)
{
    *tried_bytes += s->plan->frame_bytes;
    if (*tried_bytes < TRIED_BYTES_MAX) {
        return false;
    }
    s->held = true;
    s->again_ns = s->now_ns + 1;
    return true;
}

/* Small frames, many at a time: every one that is whole by now. */
static uint32_t take_packed(struct stream_source *s, uint32_t bytes, uint64_t tai_ns)
{
    uint32_t frame_bytes = s->plan->frame_bytes;
    uint32_t tried_bytes = 0;
    uint32_t noise = 0;
    uint32_t frames = 0;
    uint32_t at = 0;
    s->have += bytes;
    for (uint32_t from = 0;;) {
        uint32_t next = sync_at(s, s->line, from);
        noise += next - at;
        at = next;
        if (s->have - at < frame_bytes) {
            break;
        }
        const uint8_t *frame = s->line + at;
        if (!net_checksum_ok(&s->plan->checksum, frame)) {
            refuse(s, RING_REFUSED_CHECKSUM); /* the next frame may begin inside this one */
            from = at + 1;
            if (has_had_enough(s, &tried_bytes)) {
                noise++;
                at++;
                break;
            }
            continue;
        }
        if (!is_due(s, frame, frame_bytes)) {
            break;
        }
        frames += place_frame(s, frame, frame_bytes, tai_ns) ? publish_frame(s, frame, frame_bytes, tai_ns) : 0;
        at += frame_bytes;
        from = at;
    }
    if (noise > 0) {
        ring_count_add(&s->writer->view.header->ledger.noise_bytes, noise);
    }
    s->have -= at;
    memmove(s->line, s->line + at, s->have);
    return frames;
}

/* A frame that says how long it is. Who is told nonsense by a stream without a sync cannot find the next one: the
 * connection is made anew. */
static uint32_t take_length(struct stream_source *s, uint32_t bytes, uint64_t tai_ns)
{
    uint8_t *slot = s->into_scratch ? s->scratch : ring_writer_reserve(s->writer);
    s->have += bytes;
    find_sync(s, slot, 0);
    while (s->have >= stream_header_bytes(&s->plan->framing)) {
        uint32_t total = stream_said_length(s->plan, slot);
        if (total != 0) {
            if (s->have < total || !is_due(s, slot, total)) {
                return 0;
            }
            s->have = 0;
            return s->into_scratch && !place_frame(s, slot, total, tai_ns) ? 0
                                                                           : publish_frame(s, slot, total, tai_ns);
        }
        refuse(s, RING_REFUSED_SYNTAX);
        if (s->plan->framing.sync_bytes == 0) {
            stream_hang_up(s, tai_ns);
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
    rate_meter_asked(&s->meter, trailer.late_ns, trailer.took_ns);
    if (frame == 0) {
        ring_count_add(&ledger->polls_failed, 1);
        if (ring_count_read(&ledger->is_open) != 0) {
            ring_count_set(&ledger->is_open, 0);
            ring_count_add(&ledger->disconnects, 1);
            s->closed_tai_ns = tai_ns;
            rate_meter_stop(&s->meter);
        }
        return 0;
    }
    uint64_t taken_tai_ns = tai_ns - (monotonic_ns - trailer.monotonic_ns);
    s->arrived_tai_ns = taken_tai_ns;
    s->took_ns = trailer.took_ns;
    if (s->plan->rate.stamp == RING_STAMP_ASKED) {
        taken_tai_ns -= trailer.took_ns;
    }
    if (ring_count_read(&ledger->is_open) == 0) {
        stream_is_there(s, taken_tai_ns);
    }
    return place_frame(s, s->line, frame, taken_tai_ns) ? publish_frame(s, s->line, frame, taken_tai_ns) : 0;
}

static uint32_t take_line(struct stream_source *s, char *line, uint64_t tai_ns)
{
    double values[PLAN_FIELDS_MAX];
    uint32_t bytes = s->plan->framing.fields * (uint32_t)sizeof(double);
    size_t whole = strlen(line);
    size_t n = whole;
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
    if (!is_due(s, (const uint8_t *)values, bytes)) {
        memset(line + n, ' ', whole - n); /* as it was, to be read again */
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
    if (!is_due(s, record, bytes)) {
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
    /* A mark may have begun before; behind what was held nothing has been looked at yet. */
    uint32_t at = s->have >= mark_bytes - 1 && !s->resumed ? s->have - (mark_bytes - 1) : 0;
    while (at + mark_bytes <= end) {
        if (memcmp(s->line + at, mark, mark_bytes) != 0) {
            at++;
            continue;
        }
        if (!s->overlong) {
            frames += take_record(s, s->line + start, at - start, tai_ns);
        }
        if (s->held) {
            memcpy(s->line + at, mark, mark_bytes);
            break;
        }
        s->overlong = false;
        at += mark_bytes;
        start = at;
    }
    s->have = end - start;
    memmove(s->line, s->line + start, s->have);
    if (s->have == s->line_bytes && !s->held) {
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
    case FRAMING_MESSAGE: /* scans and edges: a read brings several, whole each */
        return s->line != NULL ? take_packed(s, bytes, tai_ns) : take_message(s, bytes, tai_ns);
    default:
        return s->line != NULL ? take_packed(s, bytes, tai_ns) : take_binary(s, bytes, tai_ns);
    }
}

uint32_t stream_take(struct stream_source *s, uint32_t bytes, uint64_t monotonic_ns, uint64_t tai_ns)
{
    s->now_ns = monotonic_ns;
    s->arrived_tai_ns = tai_ns;
    s->published_ns = 0;
    s->resumed = s->held;
    s->held = false;
    uint32_t frames = take(s, bytes, monotonic_ns, tai_ns);
    if (s->published_ns != 0) {
        ring_writer_account(s->writer, s->arrived_tai_ns, s->published_ns);
    }
    return frames;
}
