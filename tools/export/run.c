/* The loop: cursor to sink, ring after ring. */
#include <errno.h>

#include "ring/clock.h"
#include "tools/export/export.h"
#include "tools/export/progress.h"

#define LOOK_EVERY 1024u /* items between two looks at the clock */
/* Stamps of frames that adjoin may be out of order: a device's are, within bounds. So far behind the end of a slice
 * nothing of it is to come. */
#define BEHIND_NS (2 * CLOCK_NS_PER_S)

volatile int export_stopped;

struct run {
    const struct export_plan *plan;
    const struct export_ring *ring;
    struct export_sink *sink;
    struct export_counts *counts;
    struct progress_bar bar;
    uint64_t bytes; /* of all rings so far */
    double done;    /* of all rings before this one, 0 to 1 */
    bool behind;    /* a frame behind the slice has come */
    bool over;      /* nothing of the slice is to come */
    uint64_t items;
};

static int give_gap(struct run *run, const struct export_gap *gap, struct error *err)
{
    run->counts->gaps++;
    return run->sink->ops->gap(run->sink, gap, err);
}

/* The ring's own word: payload is a struct ring_gap, but lost_before has the count already, up to 65535. */
static int take_gap_record(struct run *run, const struct sluice_frame *frame, struct error *err)
{
    struct ring_gap told = {.count = frame->lost_before};
    if (frame->length_bytes >= sizeof(told)) {
        __builtin_memcpy(&told, frame->payload, sizeof(told));
    }
    struct export_gap gap = {.from_position = frame->position,
                             .to_position = frame->position + 1,
                             .count = told.count,
                             .tai_ns = frame->tai_ns,
                             .cause = ring_loss_name(frame->cause),
                             .told_by = "ring"};
    return give_gap(run, &gap, err);
}

static int take_frame(struct run *run, const struct sluice_frame *frame, struct error *err)
{
    struct export_counts *counts = run->counts;
    if ((frame->flags & SLUICE_FRAME_LOST_BEFORE) != 0) {
        struct export_gap gap = {.from_position = frame->position,
                                 .to_position = frame->position,
                                 .count = frame->lost_before,
                                 .tai_ns = frame->tai_ns,
                                 .cause = ring_loss_name(frame->cause),
                                 .told_by = "frame"};
        int code = give_gap(run, &gap, err);
        if (code != 0) {
            return code;
        }
    }
    counts->frames++;
    counts->bytes += frame->length_bytes;
    run->bytes += frame->length_bytes;
    if (counts->first_tai_ns == 0 || frame->tai_ns < counts->first_tai_ns) {
        counts->first_tai_ns = frame->tai_ns;
    }
    counts->last_tai_ns = frame->tai_ns > counts->last_tai_ns ? frame->tai_ns : counts->last_tai_ns;
    return run->sink->ops->frame(run->sink, frame, err);
}

/* Positions that are not in the recording; those behind a slice are of no concern, when they were noticed is no
 * matter. */
static int take_missing(struct run *run, const struct record_gap *missing, struct error *err)
{
    if (run->behind) {
        return 0;
    }
    if (missing->cause == RECORD_CAUSE_DAMAGED || missing->cause == RECORD_CAUSE_UNKNOWN) {
        run->counts->unaccounted += missing->count;
    }
    struct export_gap gap = {.from_position = missing->from_position,
                             .to_position = missing->to_position,
                             .count = missing->count,
                             .tai_ns = missing->tai_ns,
                             .cause = record_cause_name(missing->cause),
                             .told_by = "recorder"};
    return give_gap(run, &gap, err);
}

static int take_item(struct run *run, const struct record_item *item, struct error *err)
{
    const struct sluice_frame *frame = &item->frame;
    if (item->kind == RECORD_ITEM_GAP) {
        return take_missing(run, &item->gap, err);
    }
    if (frame->tai_ns < run->plan->from_tai_ns) {
        return 0;
    }
    if (frame->tai_ns >= run->plan->to_tai_ns) {
        run->behind = true;
        run->over = frame->tai_ns - run->plan->to_tai_ns > BEHIND_NS;
        return 0;
    }
    if (run->ring->stream >= 0 && frame->stream != (uint32_t)run->ring->stream) {
        return 0;
    }
    return (frame->flags & SLUICE_FRAME_GAP) != 0 ? take_gap_record(run, frame, err) : take_frame(run, frame, err);
}

/* How much of the ring lies behind this item, by positions or, where a time was asked for, by stamps. */
static double part_done(const struct run *run, const struct record_item *item)
{
    const struct record_ring *is = run->ring->is;
    uint64_t position = item->kind == RECORD_ITEM_GAP ? item->gap.to_position : item->frame.position;
    if (item->kind == RECORD_ITEM_FRAME && (run->plan->from_tai_ns != 0 || run->plan->to_tai_ns != UINT64_MAX)) {
        uint64_t from = run->plan->from_tai_ns > is->first_tai_ns ? run->plan->from_tai_ns : is->first_tai_ns;
        uint64_t to = run->plan->to_tai_ns < is->last_tai_ns ? run->plan->to_tai_ns : is->last_tai_ns;
        return to > from && item->frame.tai_ns > from ? (double)(item->frame.tai_ns - from) / (double)(to - from)
                                                      : 0;
    }
    return is->end_position > is->first_position
               ? (double)(position - is->first_position) / (double)(is->end_position - is->first_position)
               : 0;
}

static int run_items(struct run *run, struct record_cursor *cursor, struct error *err)
{
    struct record_item item;
    int code = 1;
    while (!run->over && (code = record_next(cursor, &item, err)) == 1) {
        code = take_item(run, &item, err);
        if (code == 0 && export_stopped != 0) {
            code = error_set(err, -EINTR, "interrupted; nothing was left of it");
        }
        if (code != 0) {
            return code;
        }
        if (++run->items % LOOK_EVERY == 0) {
            double part = part_done(run, &item);
            progress_bar_show(&run->bar, run->done + (part < 1 ? part : 1) / run->plan->rings, run->bytes);
        }
    }
    return code < 0 ? code : 0;
}

static int run_ring(struct run *run, struct error *err)
{
    struct record_cursor *cursor = NULL;
    int code = record_cursor_open(&cursor, run->plan->set, run->ring->index, err);
    if (code == 0 && run->plan->from_tai_ns != 0) {
        code = record_cursor_seek_time(cursor, run->plan->from_tai_ns, err);
    }
    if (code == 0) {
        code = run->sink->ops->ring_begin(run->sink, run->ring, err);
    }
    if (code == 0) {
        code = run_items(run, cursor, err);
    }
    if (code == 0 && run->sink->ops->ring_end != NULL) {
        code = run->sink->ops->ring_end(run->sink, run->counts, err);
    }
    record_cursor_close(cursor);
    return code;
}

static void add_counts(struct export_counts *all, const struct export_counts *one)
{
    all->frames += one->frames;
    all->bytes += one->bytes;
    all->gaps += one->gaps;
    all->unaccounted += one->unaccounted;
    all->not_kept += one->not_kept;
    if (one->first_tai_ns != 0 && (all->first_tai_ns == 0 || one->first_tai_ns < all->first_tai_ns)) {
        all->first_tai_ns = one->first_tai_ns;
    }
    all->last_tai_ns = one->last_tai_ns > all->last_tai_ns ? one->last_tai_ns : all->last_tai_ns;
}

int export_run(const struct export_plan *plan, struct export_sink *sink, struct export_counts *counts,
               struct error *err)
{
    struct run run = {.plan = plan, .sink = sink};
    struct export_counts all = {.frames = 0};
    int code = 0;
    progress_bar_begin(&run.bar, !plan->options->no_progress);
    for (uint32_t i = 0; code == 0 && i < plan->rings; i++) {
        run.ring = &plan->ring[i];
        run.counts = &counts[i];
        run.behind = run.over = false;
        run.done = (double)i / plan->rings;
        code = run_ring(&run, err);
        add_counts(&all, &counts[i]);
    }
    progress_bar_end(&run.bar);
    return code != 0 || sink->ops->finish == NULL ? code : sink->ops->finish(sink, &all, err);
}
