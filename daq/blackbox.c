#include "daq/blackbox.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "ring/clock.h"

#define LOOK_NS         (2 * CLOCK_NS_PER_MS)
#define PROBE_PERIOD_NS CLOCK_NS_PER_S
#define MARGIN_NS       CLOCK_NS_PER_S /* a checkpoint before the first thing wanted is to be had */
#define JOURNAL_SHARE   4u             /* of room_bytes; */
#define FRAMES_SHARE    2u             /* of room_bytes, over all rings; the rest is for the other files */
#define ROUNDS_MAX      1000000u       /* of copying at the end: a fast ring must not keep us for ever */

static uint64_t tai_now_ns(const struct blackbox *box)
{
    return clock_tai_ns(box->table->tai_minus_monotonic_ns);
}

void blackbox_drain(struct blackbox *box)
{
    blackbox_memory_drain(&box->memory, box->journal, box->control);
    __atomic_store_n(&box->board->journal_lost, box->memory.lost, __ATOMIC_RELAXED);
    board_beat(&box->board->common, clock_monotonic_ns());
}

int blackbox_init(struct blackbox *box, struct error *err)
{
    box->store.fd = box->store.parent_fd = -1;
    box->trips = __atomic_load_n(&box->control->trips, __ATOMIC_ACQUIRE);
    if (box->board->common.heartbeat != 0 && box->board->last_trip < box->trips) {
        box->trips = box->board->last_trip; /* we were away when these happened: late is better than never */
    }
    blackbox_store_clean(box->plan->directory);
    return blackbox_memory_init(&box->memory, box->plan->pre_ns + box->plan->post_ns + MARGIN_NS,
                                box->plan->room_bytes / JOURNAL_SHARE, err);
}

void blackbox_fini(struct blackbox *box)
{
    blackbox_memory_fini(&box->memory);
}

static void lose(struct blackbox *box, const struct error *err)
{
    uint64_t trips = box->report.trips + box->report.trips_more;
    for (uint32_t i = 0; i < box->table->rings; i++) {
        if (box->report.frames[i].file != NULL) {
            fclose(box->report.frames[i].file);
            box->report.frames[i].file = NULL;
        }
    }
    blackbox_store_abandon(&box->store);
    box->writing = false;
    box->probed_ns = 0; /* look at once whether the next one would go better */
    __atomic_store_n(&box->board->lost, box->board->lost + trips, __ATOMIC_RELEASE);
    __atomic_store_n(&box->board->last_trip, box->trips, __ATOMIC_RELEASE);
    board_refuse(&box->board->common, "the report of trip %" PRIu64 " is lost: %s", box->report.trip[0].number,
                 err->text);
}

/* When the interlock decided it: by the journal if that still has it, else by the cause's stamp. */
static uint64_t trip_time(const struct blackbox *box, uint64_t number, const struct engine_cause *cause)
{
    uint64_t tai_ns = 0;
    for (uint64_t n = box->memory.to; n-- > box->memory.from;) {
        const struct journal_entry *entry = blackbox_memory_entry(&box->memory, n);
        if (entry->trips != (uint32_t)number) {
            if (tai_ns != 0) {
                break;
            }
            continue;
        }
        tai_ns = entry->now_ns;
    }
    uint64_t now_ns = tai_now_ns(box);
    tai_ns = cause->kind == CAUSE_CONTROL_DIED ? 0 : tai_ns; /* its successor begins the journal later */
    bool plausible = cause->tai_ns != 0 && cause->tai_ns <= now_ns && now_ns - cause->tai_ns < 60 * CLOCK_NS_PER_S;
    return tai_ns != 0 ? tai_ns : plausible ? cause->tai_ns : now_ns;
}

static bool same_cause(const struct engine_cause *a, const struct engine_cause *b)
{
    return a->kind == b->kind && a->rule == b->rule && a->channel == b->channel && a->tai_ns == b->tai_ns;
}

/* All of the first-out if this trip is the one that it is of, else the cause that the history keeps. */
static void tell_trip(struct blackbox *box, uint64_t number)
{
    struct blackbox_report *report = &box->report;
    const struct control_board *seen = &box->seen;
    const struct engine_cause *first = &seen->trip_history[number % CONTROL_TRIP_HISTORY];
    if (report->trips == BLACKBOX_TRIPS_MAX) {
        report->trips_more++;
        return;
    }
    struct blackbox_trip *trip = &report->trip[report->trips++];
    *trip = (struct blackbox_trip){.number = number, .tai_ns = trip_time(box, number, first), .causes = 1};
    trip->cause[0] = *first;
    if (seen->first_out_count > 0 && seen->first_out_count <= ENGINE_CAUSES_MAX &&
        same_cause(&seen->first_out[0], first)) {
        trip->causes = seen->first_out_count;
        memcpy(trip->cause, seen->first_out, sizeof(trip->cause));
    }
}

/* The lowest position of each ring that the journal speaks of from an entry on; UINT64_MAX: of none. */
static void first_positions(const struct blackbox *box, uint64_t from, uint64_t first[CONTROL_RINGS_MAX])
{
    for (uint32_t i = 0; i < CONTROL_RINGS_MAX; i++) {
        first[i] = UINT64_MAX;
    }
    for (uint64_t n = from > box->memory.from ? from : box->memory.from; n < box->memory.to; n++) {
        const struct journal_entry *entry = blackbox_memory_entry(&box->memory, n);
        if (entry->kind == JOURNAL_FRAME && entry->now_ns != 0 && entry->ring < CONTROL_RINGS_MAX &&
            entry->position < first[entry->ring]) {
            first[entry->ring] = entry->position;
        }
    }
}

static void choose_start(struct blackbox *box)
{
    struct blackbox_report *report = &box->report;
    int start = blackbox_memory_start(&box->memory, report->from_tai_ns);
    report->journal_from = box->memory.from;
    report->checkpoint_tai_ns = 0;
    if (start >= 0) {
        const struct control_checkpoint *c = &box->memory.checkpoint[start];
        report->journal_from = c->journal;
        report->checkpoint_tai_ns = c->tai_ns;
        report->whole = c->tai_ns <= report->from_tai_ns;
    }
}

/* What is there now, ring by ring, and the journal in between. */
static void copy_frames(struct blackbox *box)
{
    for (uint32_t i = 0; i < box->table->rings; i++) {
        uint32_t rounds = 0;
        while (blackbox_frames_copy(&box->report.frames[i]) && rounds++ < ROUNDS_MAX) {
            blackbox_drain(box);
        }
    }
}

static int begin_frames(struct blackbox *box, struct error *err)
{
    uint64_t first[CONTROL_RINGS_MAX];
    uint64_t from_tai_ns = box->report.from_tai_ns;
    if (box->report.checkpoint_tai_ns != 0 && box->report.checkpoint_tai_ns < from_tai_ns) {
        from_tai_ns = box->report.checkpoint_tai_ns;
    }
    first_positions(box, box->report.journal_from, first);
    for (uint32_t i = 0; i < box->table->rings; i++) {
        char name[BLACKBOX_NAME_BYTES];
        snprintf(name, sizeof(name), BLACKBOX_RING_PREFIX "%s" BLACKBOX_RING_SUFFIX, box->table->ring[i].name);
        FILE *file = blackbox_store_open(&box->store, name, err);
        if (file == NULL) {
            return -EIO;
        }
        box->report.frames[i].reader = box->reader[i];
        blackbox_frames_begin(&box->report.frames[i], file, from_tai_ns, first[i],
                              box->plan->room_bytes / FRAMES_SHARE / box->table->rings);
    }
    return 0;
}

static void begin(struct blackbox *box)
{
    struct blackbox_report *report = &box->report;
    struct error err = {{0}};
    char name[BLACKBOX_NAME_BYTES];
    int32_t utc_offset_s = box->table->rings > 0 ? box->reader[0].view.header->identity.utc_offset_s : 0;
    uint64_t tai_ns = report->trip[0].tai_ns;
    report->from_tai_ns = tai_ns - box->plan->pre_ns;
    report->to_tai_ns = tai_ns + box->plan->post_ns;
    report->post_until_ns = tai_ns + box->plan->post_ns - (uint64_t)box->table->tai_minus_monotonic_ns;
    report->board = box->seen;
    box->writing = true;
    choose_start(box);
    blackbox_trip_name(name, tai_ns - (uint64_t)((int64_t)utc_offset_s * (int64_t)CLOCK_NS_PER_S),
                       report->trip[0].number);
    if (blackbox_store_begin(&box->store, box->plan->directory, name, &err) != 0 || begin_frames(box, &err) != 0) {
        lose(box, &err);
        return;
    }
    copy_frames(box);
}

static int close_frames(struct blackbox *box, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < box->table->rings; i++) {
        struct blackbox_frames *frames = &box->report.frames[i];
        FILE *file = frames->file;
        char name[BLACKBOX_NAME_BYTES];
        snprintf(name, sizeof(name), BLACKBOX_RING_PREFIX "%s" BLACKBOX_RING_SUFFIX, box->table->ring[i].name);
        blackbox_frames_end(frames);
        frames->file = NULL;
        box->store.error = frames->error;
        code = blackbox_store_close(&box->store, file, name, frames->bytes, frames->checksum, err);
        blackbox_drain(box);
    }
    return code;
}

static void end(struct blackbox *box)
{
    struct error err = {{0}};
    blackbox_drain(box);
    box->report.journal_to = box->memory.to;
    copy_frames(box); /* after the journal: it speaks of no frame that has not been there by now */
    if (close_frames(box, &err) != 0 || blackbox_report_write(box, &err) != 0 ||
        blackbox_store_commit(&box->store, &err) != 0) {
        lose(box, &err);
        return;
    }
    box->writing = false;
    blackbox_store_prune(box->plan->directory, box->plan->keep, box->store.name);
    __atomic_store_n(&box->board->last_trip, box->trips, __ATOMIC_RELEASE);
    snprintf(box->board->last, sizeof(box->board->last), "%s", box->store.name);
    __atomic_store_n(&box->board->reports, box->board->reports + 1, __ATOMIC_RELEASE);
    fprintf(stderr, "%s: the report of trip %" PRIu64 " is in %s/%s\n", box->board->common.name,
            box->report.trip[0].number, box->plan->directory, box->store.name);
}

/* New ones join the report under way. Those that were forgotten by the board's history are only counted. */
static void look_for_trips(struct blackbox *box)
{
    if (__atomic_load_n(&box->control->trips, __ATOMIC_ACQUIRE) == box->trips ||
        control_board_read(box->control, &box->seen) != 0) {
        return;
    }
    if (box->seen.trips < box->trips) {
        box->trips = box->seen.trips;
        return;
    }
    if (box->seen.trips - box->trips > CONTROL_TRIP_HISTORY) {
        box->trips = box->seen.trips - CONTROL_TRIP_HISTORY;
    }
    blackbox_drain(box);
    bool first = !box->writing;
    if (first) {
        box->report.trips = 0;
        box->report.trips_more = 0;
        box->report.early = box->report.whole = false;
    }
    while (box->trips < box->seen.trips) {
        tell_trip(box, ++box->trips);
    }
    if (first) {
        begin(box);
    }
}

/* Said once each time it stops being so. */
static void look_for_room(struct blackbox *box, uint64_t now_ns)
{
    struct error err = {{0}};
    if (box->writing || (box->probed_ns != 0 && now_ns - box->probed_ns < PROBE_PERIOD_NS)) {
        return;
    }
    bool had = box->board->room != 0;
    bool has = blackbox_store_probe(box->plan->directory, box->plan->room_bytes, &err) == 0;
    if (!has && (had || box->probed_ns == 0)) {
        board_refuse(&box->board->common, "no room for a report: %s", err.text);
    }
    box->probed_ns = now_ns;
    __atomic_store_n(&box->board->room, has ? 1 : 0, __ATOMIC_RELEASE);
}

void blackbox_look(struct blackbox *box)
{
    uint64_t now_ns = clock_monotonic_ns();
    blackbox_drain(box);
    look_for_trips(box);
    if (box->writing) {
        copy_frames(box);
    }
    if (box->writing && now_ns >= box->report.post_until_ns) {
        end(box);
    }
    look_for_room(box, now_ns);
    board_beat(&box->board->common, clock_monotonic_ns());
}

void blackbox_finish(struct blackbox *box)
{
    blackbox_look(box);
    if (box->writing) {
        box->report.early = clock_monotonic_ns() < box->report.post_until_ns;
        if (box->report.early) {
            box->report.to_tai_ns = tai_now_ns(box);
        }
        end(box);
    }
}

void blackbox_run(struct blackbox *box, const volatile sig_atomic_t *stop)
{
    struct timespec pause = {.tv_nsec = (long)LOOK_NS};
    while (*stop == 0) {
        blackbox_look(box);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    blackbox_finish(box);
}
