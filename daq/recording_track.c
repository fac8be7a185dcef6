#include "daq/recording_track.h"

void recording_track_init(struct recording_track *track, bool numbered)
{
    *track = (struct recording_track){.numbered = numbered, .pending_cause = RING_LOSSES};
}

static void note_number(struct recording_track *t, uint64_t number)
{
    t->first_number = t->any && t->first_number < number ? t->first_number : number;
    t->last_number = t->any && t->last_number > number ? t->last_number : number;
    t->any = true;
}

static uint32_t cause_of(const struct sluice_frame *frame)
{
    return frame->cause < RING_LOSSES ? frame->cause : RING_LOSS_SENDER;
}

static void lose(struct recording_frame *to, uint64_t count, uint32_t cause)
{
    to->lost = count;
    to->lost_cause = cause;
}

/* A number that is older without the mark of one is a sender that counts from anew: nothing is known of a gap. */
static void track_number(struct recording_track *t, const struct sluice_frame *frame, struct recording_frame *to)
{
    uint64_t number = to->source_sequence;
    bool told = (frame->flags & SLUICE_FRAME_LOST_BEFORE) != 0;
    if ((frame->flags & (SLUICE_FRAME_DUPLICATE | SLUICE_FRAME_REORDERED)) != 0) {
        return;
    }
    if (t->started && number > t->next) {
        uint32_t said = t->pending_cause < RING_LOSSES ? t->pending_cause : (uint32_t)RING_LOSS_SENDER;
        lose(to, number - t->next, told ? cause_of(frame) : said);
    } else if (!t->started && told) {
        lose(to, frame->lost_before, cause_of(frame));
    }
    t->started = true;
    t->next = number + 1;
    t->pending_cause = RING_LOSSES;
}

static void track_gap_record(struct recording_track *t, const struct sluice_frame *frame,
                             struct recording_frame *to)
{
    struct ring_gap gap = {.cause = frame->cause};
    if (frame->length_bytes >= sizeof(gap)) {
        __builtin_memcpy(&gap, frame->payload, sizeof(gap));
    }
    uint32_t cause = cause_of(frame);
    if (!t->numbered) {
        lose(to, gap.count, cause);
        return;
    }
    if (cause == RING_LOSS_SENDER && gap.count > 0) { /* a heartbeat: it knows the numbers that are missing */
        lose(to, gap.count, cause);
        t->next += t->started ? gap.count : 0;
        return;
    }
    if (gap.count > 0 || cause == RING_LOSS_RESTART) {
        t->pending_cause = cause;
    }
}

void recording_track_frame(struct recording_track *track, const struct sluice_frame *frame,
                           struct recording_frame *to)
{
    bool here = frame->cause == RING_LOSS_KERNEL || frame->cause == RING_LOSS_NIC;
    to->tai_ns = frame->tai_ns;
    to->length_bytes = (uint16_t)frame->length_bytes;
    to->stream = frame->stream;
    to->lost_before = (uint16_t)(frame->lost_before < UINT16_MAX ? frame->lost_before : UINT16_MAX);
    to->flags = (uint16_t)((frame->flags & ((1u << RING_FLAG_CAUSE_SHIFT) - 1)) | (frame->cause & 0xffu)
                                                                                      << RING_FLAG_CAUSE_SHIFT);
    note_number(track, frame->source_sequence);
    to->source_sequence = frame->source_sequence + track->shift;
    if ((frame->flags & SLUICE_FRAME_GAP) != 0) {
        track_gap_record(track, frame, to);
    } else if (track->numbered) {
        track_number(track, frame, to);
    } else if ((frame->flags & SLUICE_FRAME_LOST_BEFORE) != 0 && here) {
        lose(to, frame->lost_before, frame->cause);
    }
}

void recording_track_gap(struct recording_track *track, const struct record_gap *gap, struct recording_frame *to,
                         struct ring_gap *payload)
{
    *payload = (struct ring_gap){.cause = RING_LOSS_RESTART, .count = gap->count};
    to->tai_ns = gap->tai_ns;
    to->length_bytes = sizeof(*payload);
    to->flags = RING_FLAG_GAP | RING_LOSS_RESTART << RING_FLAG_CAUSE_SHIFT;
    to->lost_before = (uint16_t)(gap->count < UINT16_MAX ? gap->count : UINT16_MAX);
    to->source_sequence = track->any ? track->last_number + track->shift : 0;
    if (track->numbered) {
        track->pending_cause = RING_LOSS_RESTART; /* the next number tells how many frames it was */
    } else {
        lose(to, gap->count, RING_LOSS_RESTART);
    }
}

void recording_track_again(struct recording_track *track)
{
    if (track->any) {
        track->shift += track->last_number + 1 - track->first_number;
    }
    if (track->started && track->numbered) {
        track->next = track->first_number + track->shift;
    }
    track->any = false;
    track->pending_cause = RING_LOSSES;
}
