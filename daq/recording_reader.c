#include "daq/recording_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daq/record_read.h"
#include "daq/recording_agree.h"
#include "daq/recording_track.h"
#include "ring/clock.h"

#define STACK_BYTES ((size_t)256 << 10)

/* What the thread works with. */
struct play {
    struct recording_reader *reader;
    const struct recording_plan *plan;
    struct record_set *set;
    struct record_cursor *cursor;
    struct recording_track track;
    uint64_t begin_ns;             /* TAI: when the recording's first frame was stamped, and from_ns behind that */
    uint64_t end_ns;               /* what is stamped so or later is not played; UINT64_MAX: all is */
    uint64_t span_ns;              /* of one round of a loop, the same for all rings */
    uint64_t round_ns;             /* of the rounds before this one */
    uint64_t due_ns;               /* of the last frame: times that go back fall due at once */
    uint64_t frames;               /* handed to the worker */
    uint64_t gaps;                 /* of the recorder's own */
    struct recording_batch *batch; /* being filled; NULL: none */
    uint32_t next;                 /* batch */
};

static bool is_ending(const struct recording_reader *reader)
{
    return __atomic_load_n(&reader->ending, __ATOMIC_ACQUIRE) != 0;
}

static void bell(int fd)
{
    const uint64_t one = 1;
    (void)!write(fd, &one, sizeof(one));
}

static bool is_empty(const struct recording_batch *batch)
{
    return __atomic_load_n(&batch->state, __ATOMIC_ACQUIRE) == RECORDING_EMPTY;
}

/* Until the worker has emptied it; false: it never will. */
static bool wait_empty(const struct recording_reader *reader, const struct recording_batch *batch)
{
    uint64_t times;
    while (!is_empty(batch) && !is_ending(reader)) {
        (void)!read(reader->room_fd, &times, sizeof(times));
    }
    return !is_ending(reader);
}

static void hand_over(struct play *p, bool last, int error)
{
    p->batch->last = last;
    p->batch->error = (uint32_t)error;
    __atomic_store_n(&p->batch->state, RECORDING_FULL, __ATOMIC_RELEASE);
    bell(p->reader->wake_fd);
    p->batch = NULL;
    p->next = (p->next + 1) % RECORDING_BATCHES;
}

/* Room for a frame in the batch that is being filled. NULL: the play is over. */
static uint8_t *room_for(struct play *p, size_t bytes)
{
    if (p->batch != NULL && p->batch->bytes + bytes > RECORDING_BATCH_BYTES) {
        hand_over(p, false, 0);
    }
    if (p->batch == NULL) {
        struct recording_batch *batch = &p->reader->batch[p->next];
        if (!wait_empty(p->reader, batch)) {
            return NULL;
        }
        p->batch = batch;
        batch->bytes = 0;
    }
    uint8_t *to = p->batch->data + p->batch->bytes;
    p->batch->bytes += (uint32_t)bytes;
    return to;
}

static bool add(struct play *p, struct recording_frame *frame, const void *payload)
{
    size_t bytes = record_round_up(frame->length_bytes, 8);
    uint64_t since_ns = frame->tai_ns > p->begin_ns ? frame->tai_ns - p->begin_ns : 0;
    p->due_ns = p->round_ns + since_ns > p->due_ns ? p->round_ns + since_ns : p->due_ns;
    frame->due_ns = p->round_ns + since_ns;
    uint8_t *to = room_for(p, sizeof(*frame) + bytes);
    if (to == NULL) {
        return false;
    }
    memcpy(to, frame, sizeof(*frame));
    memcpy(to + sizeof(*frame), payload, frame->length_bytes);
    return true;
}

/* One frame or gap. 1, 0: the round is over, -ECANCELED, -EIO. */
static int play_next(struct play *p, struct error *err)
{
    struct recording_frame frame = {.lost = 0};
    struct record_item item;
    struct ring_gap gap;
    int got = record_next(p->cursor, &item, err);
    if (got != 1) {
        return got;
    }
    if (item.kind == RECORD_ITEM_GAP) {
        recording_track_gap(&p->track, &item.gap, &frame, &gap);
        frame.tai_ns =
            p->begin_ns + (p->due_ns - p->round_ns); /* when it was noticed says nothing of where it is */
        p->gaps++;
        return add(p, &frame, &gap) ? 1 : -ECANCELED;
    }
    if (item.frame.tai_ns >= p->end_ns) {
        return 0;
    }
    recording_track_frame(&p->track, &item.frame, &frame);
    p->frames++;
    return add(p, &frame, item.frame.payload) ? 1 : -ECANCELED;
}

/* First and last stamp of all rings, and how far apart the frames of the busiest are: so long is it from the last
 * frame of a round to the first of the next. */
static int find_span(struct play *p, struct error *err)
{
    uint64_t first_ns = UINT64_MAX;
    uint64_t last_ns = 0;
    uint64_t step_ns = CLOCK_NS_PER_S;
    for (unsigned i = 0; i < record_rings(p->set); i++) {
        const struct record_ring *ring = record_ring(p->set, i);
        if (ring->frames > 0 && ring->first_tai_ns != 0) {
            first_ns = ring->first_tai_ns < first_ns ? ring->first_tai_ns : first_ns;
            last_ns = ring->last_tai_ns > last_ns ? ring->last_tai_ns : last_ns;
            uint64_t apart_ns = (ring->last_tai_ns - ring->first_tai_ns) / ring->frames;
            step_ns = ring->frames > 1 && apart_ns < step_ns ? apart_ns : step_ns;
        }
    }
    if (first_ns == UINT64_MAX) {
        return error_set(err, -ENODATA, "there is no frame in it");
    }
    p->begin_ns = first_ns + p->plan->from_ns;
    p->end_ns = p->plan->to_ns != 0 ? first_ns + p->plan->to_ns : UINT64_MAX;
    uint64_t until_ns = p->plan->to_ns != 0 ? p->end_ns : last_ns + (step_ns > 0 ? step_ns : 1);
    if (p->begin_ns > last_ns) {
        return error_set(err, -ENODATA, "expected a begin within its %.3f s, found %.3f s",
                         (double)(last_ns - first_ns) / 1e9, (double)p->plan->from_ns / 1e9);
    }
    p->span_ns = until_ns - p->begin_ns;
    return 0;
}

static int open_set(struct play *p, struct error *err)
{
    const char *paths[PLAN_RECORDINGS_MAX];
    const char *at = p->plan->path;
    for (uint32_t i = 0; i < p->plan->paths && i < PLAN_RECORDINGS_MAX; i++) {
        paths[i] = at;
        at += strlen(at) + 1;
    }
    int code = record_open(&p->set, paths, p->plan->paths, err);
    if (code != 0) {
        return code;
    }
    int ring = record_find_ring(p->set, p->plan->ring);
    if (ring < 0) {
        return error_set(err, -ENOENT, "ring %s is not in the recording; sluice info lists what is", p->plan->ring);
    }
    const struct record_ring *recorded = record_ring(p->set, (unsigned)ring);
    const struct ring_view *view = p->reader->view;
    code = recording_agrees(recorded, ring_channels(view), view->channel_count, ring_numbers(view),
                            view->number_count, err);
    if (code == 0) {
        code = find_span(p, err);
    }
    if (code == 0) {
        recording_track_init(&p->track,
                             recorded->header.streams > 0 && recorded->stream[0].sequence_width_bytes != 0);
        code = record_cursor_open(&p->cursor, p->set, (unsigned)ring, err);
    }
    return code;
}

/* From the begin of what is played. */
static int rewind_cursor(struct play *p, struct error *err)
{
    return p->plan->from_ns != 0 ? record_cursor_seek_time(p->cursor, p->begin_ns, err)
                                 : record_cursor_seek_position(p->cursor, 0, err);
}

static int play_round(struct play *p, struct error *err)
{
    int code = rewind_cursor(p, err);
    if (code != 0) {
        return code;
    }
    do {
        code = play_next(p, err);
    } while (code == 1);
    return code;
}

static int play_all(struct play *p, struct error *err)
{
    int code = open_set(p, err);
    while (code == 0) {
        uint64_t before = p->frames;
        code = play_round(p, err);
        if (code != 0 || p->plan->loop == 0 || p->frames == before) {
            break;
        }
        p->round_ns += p->span_ns;
        recording_track_again(&p->track);
    }
    return code;
}

static void tell_end(const struct play *p)
{
    fprintf(stderr, "source %s: the recording of ring %s has been played to its end: %" PRIu64 " frames",
            p->reader->plan->name, p->plan->ring, p->frames);
    if (p->gaps > 0) {
        fprintf(stderr, ", %" PRIu64 " gap%s of the recorder's own, told by gap records of cause restart", p->gaps,
                p->gaps == 1 ? "" : "s");
    }
    fputc('\n', stderr);
}

static void *run(void *argument)
{
    struct recording_reader *reader = argument;
    struct play p = {.reader = reader, .plan = &reader->plan->recording};
    struct error err = {{0}};
    int code = play_all(&p, &err);
    if (code != 0 && code != -ECANCELED) {
        fprintf(stderr, "source %s: cannot play %s: %s\n", reader->plan->name, p.plan->path, err.text);
    }
    if (code != -ECANCELED && (p.batch != NULL || room_for(&p, 0) != NULL)) {
        uint32_t last = p.next;
        hand_over(&p, true, -code);
        if (code == 0 && wait_empty(reader, &reader->batch[last])) {
            tell_end(&p);
        }
    }
    record_cursor_close(p.cursor);
    record_close(p.set);
    return NULL;
}

/* Signals are for the threads that were there before. */
static int create(struct recording_reader *reader)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = -pthread_create(&reader->thread, &attributes, run, reader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return code;
}

int recording_reader_start(struct recording_reader *reader, const struct source_plan *plan,
                           const struct ring_view *view, struct error *err)
{
    char name[16];
    *reader = (struct recording_reader){.plan = plan, .view = view};
    reader->wake_fd = eventfd(0, EFD_CLOEXEC);
    reader->room_fd = eventfd(0, EFD_CLOEXEC);
    bool have = reader->wake_fd >= 0 && reader->room_fd >= 0;
    for (uint32_t i = 0; i < RECORDING_BATCHES; i++) {
        reader->batch[i].data = malloc(RECORDING_BATCH_BYTES);
        have = have && reader->batch[i].data != NULL;
    }
    int code = have ? create(reader) : -ENOMEM;
    if (code != 0) {
        recording_reader_stop(reader);
        return error_set(err, code, "source %s: no thread, memory or descriptor to read a recording with: %s",
                         plan->name, strerror(-code));
    }
    reader->running = true;
    snprintf(name, sizeof(name), "play %.10s", plan->name);
    (void)pthread_setname_np(reader->thread, name);
    return 0;
}

void recording_reader_stop(struct recording_reader *reader)
{
    if (reader->running) {
        __atomic_store_n(&reader->ending, 1, __ATOMIC_RELEASE);
        bell(reader->room_fd);
        pthread_join(reader->thread, NULL);
        reader->running = false;
    }
    for (uint32_t i = 0; i < RECORDING_BATCHES; i++) {
        free(reader->batch[i].data);
        reader->batch[i].data = NULL;
    }
    if (reader->wake_fd > 0) {
        close(reader->wake_fd);
    }
    if (reader->room_fd > 0) {
        close(reader->room_fd);
    }
    reader->wake_fd = reader->room_fd = -1;
}
