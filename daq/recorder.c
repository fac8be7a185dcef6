#include "daq/recorder.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring/clock.h"
#include "ring/protocol.h"

#define RETRY_NS   CLOCK_NS_PER_S          /* after a failure */
#define LOOK_NS    (200 * CLOCK_NS_PER_MS) /* between looks at the disk's room and at the server */
#define RATE_NS    CLOCK_NS_PER_S
#define SHORT_NS   CLOCK_NS_PER_MS       /* pauses: while much comes, .. */
#define LONG_NS    (5 * CLOCK_NS_PER_MS) /* .. while little does */
#define DRAIN_NS   (5 * CLOCK_NS_PER_S)  /* for what is still in the rings at the end */
#define BUSY_PARTS 16u                   /* a ring that is so far behind is read on without a pause */

static void take_the_rest(struct recorder *r);

static void show_state(struct recorder *r, enum recorder_state state)
{
    __atomic_store_n(&r->board->state, (uint32_t)state, __ATOMIC_RELEASE);
}

static bool on_trip(const struct recorder *r)
{
    return r->plan->begins == RECORDER_ON_TRIP;
}

static bool on_trigger(const struct recorder *r)
{
    return on_trip(r) || r->plan->begins == RECORDER_ON_CONDITION;
}

static enum recorder_state state_at_rest(const struct recorder *r)
{
    return on_trigger(r) ? RECORDER_READY : RECORDER_IDLE;
}

/* As run.json says it. */
static const char *reason_of(uint32_t wanted)
{
    static const char *const names[] = {[RECORDER_AT_ONCE] = "at once",
                                        [RECORDER_ON_COMMAND] = "command",
                                        [RECORDER_ON_TRIP] = "trip",
                                        [RECORDER_ON_CONDITION] = "condition"};
    return wanted < sizeof(names) / sizeof(names[0]) && names[wanted] != NULL ? names[wanted] : "at once";
}

/* For whoever is started after us, should we be killed. `wanted` last: what it goes with is there then. */
static void leave_word(struct recorder *r)
{
    if (r->wanted != 0) {
        __atomic_store_n(&r->board->post_until_ns, r->post_until_ns, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&r->board->wanted, r->wanted, __ATOMIC_RELEASE);
}

/* What one that was killed has left, or what the plan says at the beginning. */
static void take_over(struct recorder *r)
{
    const struct recorder_board *board = r->board;
    if (board->common.heartbeat != 0) {
        r->wanted = board->wanted;
        r->post_until_ns = r->wanted != 0 ? board->post_until_ns : 0;
        r->begin_from_ns = r->wanted != 0 ? board->resume_ns : 0;
        r->trips_seen = board->trips_seen;
        r->away_ns = on_trip(r) ? board->resume_ns : 0;
    } else {
        r->wanted = r->plan->begins == RECORDER_AT_ONCE ? RECORDER_AT_ONCE : 0;
        r->trips_seen = RECORDER_TRIPS_UNKNOWN;
        r->board->trips_seen = r->trips_seen;
    }
    leave_word(r);
}

int recorder_init(struct recorder *r, struct error *err)
{
    struct recorder_board *board = r->board;
    r->rings = r->plan->rings;
    board->rings = r->rings;
    board->run[0] = 0; /* of one that was killed before us */
    board->error[0] = 0;
    board->run_frames = board->run_bytes = board->bytes_per_s = board->frames_per_s = 0;
    board->unsynced_bytes = board->decimating = 0;
    for (uint32_t i = 0; i < r->rings; i++) {
        r->ring[i].shown = &r->board->ring[i];
        memcpy(r->ring[i].shown->name, r->plan->ring[i], RING_NAME_BYTES);
        r->ring[i].shown->run_frames = r->ring[i].shown->run_bytes = 0;
        __atomic_store_n(&r->ring[i].shown->synced_position, 0, __ATOMIC_RELEASE);
    }
    memcpy(r->operator_name, r->plan->operator_name, sizeof(r->operator_name));
    memcpy(r->test_id, r->plan->test_id, sizeof(r->test_id));
    for (uint32_t s = 0; s < RECORDER_DIRECTORIES_MAX; s++) {
        r->run.directory_fd[s] = -1;
    }
    r->server_fd = -1;
    r->began_ns = clock_monotonic_ns();
    r->looked_ns = r->began_ns;
    take_over(r);
    r->ticket = __atomic_load_n(&r->mailbox->ticket, __ATOMIC_ACQUIRE);
    show_state(r, state_at_rest(r));
    return recorder_disk_init(r, err);
}

void recorder_fini(struct recorder *r)
{
    (void)recorder_run_end(r, RECORD_CLOSE_STOPPED);
    recorder_trigger_detach(r);
    if (r->server_fd >= 0) {
        close(r->server_fd);
    }
    for (uint32_t i = 0; i < r->rings; i++) {
        recorder_ring_detach(&r->ring[i]);
    }
    recorder_disk_fini(r);
    free(r->scratch);
    r->scratch = NULL;
}

/* Numbers apart: the name of a run that is tried again and again has a new time each time. */
static bool says_the_same(const char *one, const char *two)
{
    for (;; one++, two++) {
        one += strspn(one, "0123456789");
        two += strspn(two, "0123456789");
        if (*one != *two || *one == 0) {
            return *one == *two;
        }
    }
}

void recorder_say(struct recorder *r, const char *text)
{
    bool again = says_the_same(r->board->error, text);
    snprintf(r->board->error, sizeof(r->board->error), "%s", text);
    if (text[0] != 0 && !again) {
        fprintf(stderr, "%.31s: %s\n", r->plan->name, text);
    }
}

void recorder_fail(struct recorder *r, uint32_t cause, const char *text)
{
    enum record_close why = cause == RECORD_CAUSE_DISK_FULL ? RECORD_CLOSE_DISK_FULL : RECORD_CLOSE_DISK_ERROR;
    r->cause = cause;
    r->board->failures++;
    (void)recorder_run_end(r, why);
    r->failure = 0;
    r->failed[0] = 0;
    r->goes_on = true;
    r->retry_ns = clock_monotonic_ns() + RETRY_NS;
    recorder_say(r, text);
    show_state(r, RECORDER_FAILED);
}

static void cannot_begin(struct recorder *r, uint32_t cause, const char *text, uint64_t now_ns)
{
    if (r->goes_on) {
        r->cause = cause;
    }
    r->board->failures++;
    recorder_say(r, text);
    r->retry_ns = now_ns + RETRY_NS;
    show_state(r, RECORDER_FAILED);
}

/* What r->wanted and begin_from_ns say, which stay until it has succeeded. */
static void begin(struct recorder *r, uint64_t now_ns)
{
    struct error err = {{0}};
    if (now_ns < r->retry_ns) {
        return;
    }
    if (!recorder_keep_room(r) && r->plan->full != RECORDER_DECIMATES) {
        char text[RECORDER_TEXT_BYTES];
        snprintf(text, sizeof(text),
                 "the disk of %.120s has %llu MiB free, room_mb asks for %llu: not recording; remove something",
                 r->plan->directory[0], (unsigned long long)(r->board->free_bytes >> 20),
                 (unsigned long long)(r->plan->room_bytes >> 20));
        cannot_begin(r, RECORD_CAUSE_DISK_FULL, text, now_ns);
        return;
    }
    int code = recorder_run_begin(r, reason_of(r->wanted), r->goes_on ? 0 : r->begin_from_ns, &err);
    if (code != 0) {
        bool full = code == -ENOSPC || code == -EDQUOT;
        cannot_begin(r, full ? RECORD_CAUSE_DISK_FULL : RECORD_CAUSE_DISK_ERROR, err.text, now_ns);
        return;
    }
    r->cause = RECORD_CAUSE_NONE;
    r->failure = 0;
    r->failed[0] = 0;
    r->begin_from_ns = 0;
    r->sync_due_ns = now_ns;
    recorder_say(r, "");
    show_state(r, r->post_until_ns != 0 ? RECORDER_POST : RECORDER_RECORDING);
    recorder_keep_limits(r); /* now that there is a new one */
}

/* A run is wanted, from so long before now. */
static void want(struct recorder *r, enum recorder_begins why, uint64_t pre_ns, uint64_t now_ns)
{
    uint64_t from_ns = pre_ns != 0 ? now_ns - pre_ns : 0;
    if (r->wanted == 0) {
        r->begin_from_ns = from_ns;
        r->wanted = (uint32_t)why;
    } else if (from_ns != 0 && from_ns < r->begin_from_ns) {
        r->begin_from_ns = from_ns;
    }
    leave_word(r);
    if (!r->run.open) {
        begin(r, now_ns);
    }
}

static void answer(struct recorder *r, uint64_t ticket, int code, const char *text)
{
    r->board->code = code;
    snprintf(r->board->text, sizeof(r->board->text), "%s", text);
    __atomic_store_n(&r->board->ticket, ticket, __ATOMIC_RELEASE);
}

/* 0, or -errno: something is not on the disk. */
static int stop_run(struct recorder *r, enum record_close why)
{
    take_the_rest(r);
    r->wanted = 0;
    r->begin_from_ns = 0;
    r->retry_ns = 0;
    r->post_until_ns = 0;
    leave_word(r);
    int code = recorder_run_end(r, why);
    char text[RECORDER_TEXT_BYTES];
    snprintf(text, sizeof(text), "the run could not be ended: %s; see sluice recover", strerror(-code));
    r->board->failures += code != 0;
    r->failure = 0;
    r->goes_on = false;
    r->cause = RECORD_CAUSE_NONE;
    recorder_say(r, code != 0 ? text : "");
    show_state(r, state_at_rest(r));
    return code;
}

static void trigger(struct recorder *r, enum recorder_begins why, uint64_t pre_ns, uint64_t now_ns)
{
    bool goes_on = r->run.open;
    r->board->triggers += r->wanted == 0 || goes_on; /* one that cannot begin is one, however often it is tried */
    r->post_until_ns = r->plan->post_ns != 0 ? now_ns + r->plan->post_ns : 0;
    want(r, why, pre_ns, now_ns);
    if (goes_on) {
        show_state(r, r->post_until_ns != 0 ? RECORDER_POST : RECORDER_RECORDING);
    }
}

/* The verbs that say something of a run. */
static const char *describe(struct recorder *r, const struct recorder_mailbox *mail, int *code)
{
    struct error err = {{0}};
    bool too_long = (mail->verb == RECORDER_OPERATOR && strlen(mail->text) >= sizeof(r->operator_name)) ||
                    (mail->verb == RECORDER_TEST && strlen(mail->text) >= sizeof(r->test_id));
    if (too_long) {
        return "too long: an operator's name has at most 31 bytes, a test's id 63";
    }
    *code = 0;
    if (mail->verb == RECORDER_OPERATOR) {
        snprintf(r->operator_name, sizeof(r->operator_name), "%.31s", mail->text);
    } else if (mail->verb == RECORDER_TEST) {
        snprintf(r->test_id, sizeof(r->test_id), "%.63s", mail->text);
    } else if (!r->run.open) {
        *code = -ENODATA;
        return "there is no run to note it in";
    } else {
        recorder_run_note(r, mail->person, mail->text);
    }
    if (r->run.open && recorder_run_describe(r, false, &err) != 0) {
        recorder_say(r, err.text);
    }
    return "noted";
}

static void carry_out(struct recorder *r, uint64_t ticket, const struct recorder_mailbox *mail, uint64_t now_ns)
{
    char text[RECORDER_TEXT_BYTES];
    const char *said;
    int code = -EINVAL;
    switch (mail->verb) {
    case RECORDER_START:
        r->retry_ns = r->run.open ? r->retry_ns : 0;
        want(r, RECORDER_ON_COMMAND, r->plan->pre_ns, now_ns);
        break;
    case RECORDER_STOP:
        code = stop_run(r, RECORD_CLOSE_STOPPED);
        answer(r, ticket, code, code == 0 ? "it does not record" : r->board->error);
        return;
    case RECORDER_NEXT:
        if (r->run.open) {
            code = recorder_run_end(r, RECORD_CLOSE_STOPPED);
            r->board->failures += code != 0;
            r->goes_on = true;
        }
        r->wanted = 0; /* by this order from now on */
        r->retry_ns = 0;
        want(r, RECORDER_ON_COMMAND, 0, clock_monotonic_ns());
        break;
    case RECORDER_TRIGGER:
        r->retry_ns = r->run.open ? r->retry_ns : 0;
        trigger(r, RECORDER_ON_COMMAND, r->plan->pre_ns, now_ns);
        break;
    default:
        said = describe(r, mail, &code);
        answer(r, ticket, code, said);
        return;
    }
    snprintf(text, sizeof(text), "%s%s%.140s",
             r->run.open ? "it records into " : "it cannot record: ", r->run.open ? r->run.name : "",
             r->run.open ? "" : r->board->error);
    answer(r, ticket, r->run.open ? 0 : -EIO, text);
}

static void take_command(struct recorder *r, uint64_t now_ns)
{
    uint64_t ticket = __atomic_load_n(&r->mailbox->ticket, __ATOMIC_ACQUIRE);
    if (ticket == r->ticket) {
        return;
    }
    struct recorder_mailbox mail = *r->mailbox;
    mail.person[sizeof(mail.person) - 1] = 0;
    mail.text[sizeof(mail.text) - 1] = 0;
    r->ticket = ticket;
    carry_out(r, ticket, &mail, now_ns);
}

/* By a reader's connection, or by one of our own while it cannot record, and so reads nothing. */
static bool server_is_gone(struct recorder *r)
{
    struct pollfd end = {.events = POLLRDHUP};
    struct error err = {{0}};
    bool reads = r->rings > 0 && r->ring[0].reader != NULL;
    if (!reads && r->server_fd < 0) {
        r->server_fd = protocol_connect(r->plan->instance, &err);
    }
    end.fd = reads ? sluice_reader_fd(r->ring[0].reader) : r->server_fd;
    return end.fd >= 0 && poll(&end, 1, 0) == 1 && (end.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* By somebody else: we remove only segments that are ended. */
static bool run_is_removed(const struct recorder *r)
{
    struct stat at;
    for (uint32_t i = 0; i < r->files; i++) {
        if (r->file[i].fd >= 0 && !r->file[i].ended && fstat(r->file[i].fd, &at) == 0 && at.st_nlink == 0) {
            return true;
        }
    }
    return false;
}

/* What is due whether anything comes or not. */
static void look(struct recorder *r, uint64_t now_ns)
{
    if (now_ns - r->looked_ns < LOOK_NS) {
        return;
    }
    r->looked_ns = now_ns;
    r->server_gone = r->server_gone || server_is_gone(r);
    if (r->run.open && run_is_removed(r)) {
        recorder_fail(r, RECORD_CAUSE_DISK_ERROR,
                      "somebody has removed the run that is being written: it begins another");
    }
    if (r->run.open) {
        bool room = recorder_keep_room(r);
        r->decimates = !room && r->plan->full == RECORDER_DECIMATES;
        r->board->decimating = r->decimates;
        if (!room && !r->decimates) {
            recorder_fail(r, RECORD_CAUSE_DISK_FULL, "the disk has less free than room_mb asks for: not recording");
        }
    }
    if (now_ns - r->rated_ns >= RATE_NS) {
        double s = (double)(now_ns - r->rated_ns) / (double)CLOCK_NS_PER_S;
        r->board->bytes_per_s = (uint64_t)((double)(r->bytes - r->rated_bytes) / s);
        r->board->frames_per_s = (uint64_t)((double)(r->frames - r->rated_frames) / s);
        r->rated_ns = now_ns;
        r->rated_bytes = r->bytes;
        r->rated_frames = r->frames;
    }
}

static void rotate_if_due(struct recorder *r, uint32_t index, uint64_t now_ns)
{
    struct error err = {{0}};
    const struct recorder_plan *plan = r->plan;
    struct recorder_ring *ring = &r->ring[index];
    bool large = plan->rotate_bytes != 0 && ring->segment_bytes >= plan->rotate_bytes;
    bool old =
        plan->rotate_ns != 0 && now_ns - ring->segment_began_ns >= plan->rotate_ns && ring->segment_bytes > 0;
    if (!(large || old || recorder_files_are_full(r, index))) {
        return;
    }
    /* What it has under way must be in its index, and its files need places: meanwhile it waits in its ring. */
    ring->rotating = true;
    if (!recorder_ring_flush(r, index) || recorder_disk_is_writing(r, index)) {
        return;
    }
    if (!recorder_files_have_places(r)) {
        recorder_disk_sync(r, now_ns, true);
        return;
    }
    ring->rotating = false;
    if (recorder_files_rotate(r, index, &err) != 0) {
        recorder_fail(r, r->cause != 0 ? r->cause : (uint32_t)RECORD_CAUSE_DISK_ERROR, err.text);
        return;
    }
    recorder_keep_limits(r);
}

/* How many frames; *behind: a ring holds so much that there is no time for a pause. */
static uint64_t take_all(struct recorder *r, uint64_t now_ns, bool *behind)
{
    uint64_t taken = 0;
    for (uint32_t i = 0; i < r->rings && r->failure == 0; i++) {
        struct recorder_ring *ring = &r->ring[i];
        taken += ring->rotating ? 0 : recorder_ring_take(r, i, now_ns);
        *behind = *behind || ring->shown->lag_frames > ring->inside->view.slot_count / BUSY_PARTS;
        if (ring->filling != NULL && now_ns - ring->filling->since_ns >= r->plan->sync_ns / 3) {
            (void)recorder_ring_flush(r, i);
        }
    }
    return taken;
}

static void tell_totals(struct recorder *r)
{
    uint64_t frames = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < r->rings; i++) {
        frames += r->ring[i].shown->run_frames;
        bytes += r->ring[i].shown->run_bytes;
    }
    r->board->run_frames = frames;
    r->board->run_bytes = bytes;
}

/* One turn while a run is open. */
static void record(struct recorder *r, uint64_t now_ns)
{
    bool behind = false;
    uint64_t taken = take_all(r, now_ns, &behind);
    for (uint32_t i = 0; i < r->rings && r->failure == 0 && r->run.open; i++) {
        rotate_if_due(r, i, now_ns);
    }
    if (r->run.open && r->failure == 0) {
        recorder_disk_sync(r, now_ns, false);
    }
    recorder_disk_turn(r, behind && taken > 0 ? 0 : taken > 0 ? SHORT_NS : LONG_NS);
    if (r->failure != 0 && r->run.open) {
        char text[RECORDER_TEXT_BYTES];
        if (r->failed[0] != 0) {
            snprintf(text, sizeof(text), "%s", r->failed);
        } else {
            snprintf(text, sizeof(text), "cannot write to %.100s/%.60s: %s", r->plan->directory[0], r->run.name,
                     strerror(-r->failure));
        }
        recorder_fail(r, r->cause != 0 ? r->cause : (uint32_t)RECORD_CAUSE_DISK_ERROR, text);
    }
    tell_totals(r);
}

/* All that the rings hold at the end, unless it comes faster than it is taken: what is left then is told. */
static void take_the_rest(struct recorder *r)
{
    uint64_t until_ns = clock_monotonic_ns() + DRAIN_NS;
    uint64_t end[RECORDER_RINGS_MAX] = {0};
    bool done = !r->run.open;
    for (uint32_t i = 0; i < r->rings && r->run.open; i++) {
        end[i] = ring_published_now(r->ring[i].inside->view.header);
    }
    r->ending = true;
    while (r->run.open && !done && clock_monotonic_ns() < until_ns) {
        done = true;
        record(r, clock_monotonic_ns());
        for (uint32_t i = 0; i < r->rings && r->run.open; i++) {
            done = done && r->ring[i].inside->position >= end[i];
        }
    }
    r->ending = false;
    for (uint32_t i = 0; i < r->rings && r->run.open && !done; i++) {
        if (r->ring[i].expected < end[i]) {
            recorder_ring_lose(r, i, r->ring[i].expected, end[i], RECORD_CAUSE_DISK_SLOW);
            r->ring[i].expected = end[i];
        }
    }
}

static void rest(struct recorder *r, uint64_t now_ns)
{
    if (r->wanted != 0 && now_ns >= r->retry_ns && !r->server_gone) {
        begin(r, now_ns);
    }
    recorder_disk_turn(r, r->run.open ? 0 : LONG_NS);
}

/* A run of a trip that came while nobody looked begins before that time: when in it, nobody knows. */
static void look_for_trigger(struct recorder *r, uint64_t now_ns)
{
    uint64_t away_ns = r->away_ns != 0 ? now_ns - r->away_ns : 0;
    recorder_trigger_attach(r);
    if (recorder_trigger_look(r)) {
        trigger(r, r->plan->begins, r->plan->pre_ns + away_ns, now_ns);
    }
    if (r->control != NULL) {
        r->away_ns = 0;
    }
    __atomic_store_n(&r->board->trips_seen, r->trips_seen, __ATOMIC_RELEASE); /* now that it stands in `wanted` */
}

/* A run that could not begin yet begins where it was to; what was read before this turn is in the run that is open.
 */
static uint64_t resume_from(const struct recorder *r, uint64_t now_ns)
{
    uint64_t from_ns = r->away_ns != 0 ? r->away_ns : now_ns;
    bool to_begin = r->wanted != 0 && !r->run.open && r->begin_from_ns != 0;
    return to_begin && r->begin_from_ns < from_ns ? r->begin_from_ns : from_ns;
}

static void turn(struct recorder *r)
{
    uint64_t now_ns = clock_monotonic_ns();
    __atomic_store_n(&r->board->resume_ns, resume_from(r, now_ns), __ATOMIC_RELAXED);
    board_beat(&r->board->common, now_ns);
    take_command(r, now_ns);
    if (on_trigger(r)) {
        look_for_trigger(r, now_ns);
    }
    if (r->post_until_ns != 0 && now_ns >= r->post_until_ns) {
        (void)stop_run(r, RECORD_CLOSE_POST);
    }
    look(r, now_ns);
    if (r->run.open) {
        record(r, now_ns);
    } else {
        rest(r, now_ns);
    }
}

int recorder_loop(struct recorder *r, volatile sig_atomic_t *stop)
{
    uint64_t end_ns = r->plan->for_ns != 0 ? r->began_ns + r->plan->for_ns : UINT64_MAX;
    while (*stop == 0 && !r->server_gone && clock_monotonic_ns() < end_ns) {
        turn(r);
    }
    take_the_rest(r);
    bool failed = r->wanted != 0 && !r->run.open && r->board->error[0] != 0;
    int code = recorder_run_end(r, r->server_gone ? RECORD_CLOSE_SERVER : RECORD_CLOSE_STOPPED);
    if (code != 0) {
        char text[RECORDER_TEXT_BYTES];
        snprintf(text, sizeof(text), "the run could not be ended: %s; see sluice recover", strerror(-code));
        recorder_say(r, text);
        r->board->failures++;
    }
    tell_totals(r);
    show_state(r, RECORDER_ENDED);
    return failed || code != 0 ? 1 : 0;
}
