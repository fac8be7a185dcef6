/* The observer, with boards and events made up by hand: who is watched, what is kept, what late decisions are put
 * down to. The kernel's side is in tests/e2e/test_why.py. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "daq/observer.h"
#include "ring/clock.h"

#define MS CLOCK_NS_PER_MS

static struct control_table table;
static struct control_board *control;
static struct worker_board worker;
static struct observer_board *board;
static struct thief_settings settings;
static struct observer observer;

static void begin(void)
{
    control = calloc(1, sizeof(*control));
    board = calloc(1, sizeof(*board));
    table.thread.idle = IDLE_DUTY;
    table.thread.sleep_us = 20;
    control->common.pid = 100;
    control->common.started_tai_ns = 1;
    snprintf(worker.common.name, sizeof(worker.common.name), "sensors");
    worker.common.pid = 200;
    worker.common.started_tai_ns = 1;
    observer =
        (struct observer){.table = &table, .control = control, .board = board, .settings = &settings, .workers = 1};
    observer.worker[0] = &worker;
    observer.first_event_ns = 1;
    observer_scan(&observer, 1);
}

static void end(void)
{
    free(control);
    free(board);
}

TestSuite(observer, .init = begin, .fini = end);

static void tell(uint32_t thread, enum thief_kind kind, uint64_t from_ns, uint64_t ns, int32_t what)
{
    struct thief_event event = {.from_ns = from_ns,
                                .ns = ns,
                                .thread = thread,
                                .kind = kind,
                                .pid = 71,
                                .what = what,
                                .epoch = settings.watched[thread].epoch,
                                .name = "stress"};
    observer_take(&observer, &event);
}

static void be_late(enum late_kind kind, uint64_t from_ns, uint64_t to_ns)
{
    struct late_log *log = &control->late;
    log->entry[log->count % LATE_ENTRIES] =
        (struct late_entry){.from_ns = from_ns, .to_ns = to_ns, .kind = (uint16_t)kind, .over = 1};
    log->count++;
}

Test(observer, it_watches_control_and_every_thread_of_the_workers)
{
    cr_assert_eq(board->threads, 2);
    cr_assert_str_eq(board->thread[0].name, "control");
    cr_assert_eq(board->thread[0].tid, 100);
    cr_assert_str_eq(board->thread[1].name, "sensors");
    cr_assert_eq(board->thread[1].tid, 200);
    cr_assert_eq(settings.watched[0].sleep_ns, 20 * CLOCK_NS_PER_US);
    cr_assert_eq(settings.watched[0].limit_ns, 50 * CLOCK_NS_PER_US);
    cr_assert_eq(settings.watched[1].limit_ns, 0, "a worker may wait for as long as it likes");
    worker.threads = 2;
    worker.thread[0].tid = 200;
    worker.thread[1].tid = 201;
    observer_scan(&observer, 1);
    cr_assert_eq(board->threads, 4);
    cr_assert_str_eq(board->thread[3].name, "sensors/poll-1");
    cr_assert_eq(board->thread[3].tid, 201);
}

Test(observer, a_thread_keeps_its_place_and_its_sums)
{
    tell(1, THIEF_TASK, 10 * MS, MS, 0);
    worker.threads = 2;
    worker.thread[0].tid = 300;
    worker.thread[1].tid = 301;
    observer_scan(&observer, 1);
    worker.threads = 0;
    worker.common.pid = 400;
    worker.common.started_tai_ns = 2;
    observer_scan(&observer, 1);
    cr_assert_str_eq(board->thread[1].name, "sensors");
    cr_assert_eq(board->thread[1].tid, 400);
    cr_assert_eq(board->thread[1].count[THIEF_TASK], 1);
    cr_assert_eq(board->thread[2].count[THIEF_TASK], 0);
}

Test(observer, names_are_made_plain)
{
    struct thief_event event = {
        .from_ns = MS, .ns = MS, .kind = THIEF_TASK, .epoch = settings.watched[0].epoch, .name = "\x1b]0;x\xfc\a"};
    memset(event.name + 8, 'y', sizeof(event.name) - 8);
    observer_take(&observer, &event);
    cr_assert_str_eq(board->log[0].event[0].name, "?]0;x??\0");
    event.name[7] = 'z';
    observer_take(&observer, &event);
    cr_assert_str_eq(board->log[0].event[1].name, "?]0;x??zyyyyyyy");
}

Test(observer, what_another_has_left_on_the_board_does_no_harm)
{
    memset((char *)board + sizeof(board->common), 0xfe, sizeof(*board) - sizeof(board->common));
    observer_begin(&observer, 1);
    observer_scan(&observer, 1);
    tell(0, THIEF_TASK, 10 * MS, MS, 0);
    be_late(LATE_LOOP, 9 * MS, 12 * MS);
    observer_judge(&observer, 1000 * MS);
    cr_assert_eq(board->version % 2, 0);
    cr_assert_eq(board->worst_count[LATE_LOOP], 1);
    cr_assert_eq(board->threads, 2);
}

Test(observer, what_frames_take_is_the_loops_own_work)
{
    for (uint32_t i = 0; i < 100; i++) {
        hist_record(&control->hop[HOP_BUSY], 5000);
    }
    be_late(LATE_LOOP, 100 * MS, 103 * MS);
    control->late.entry[0].frames = 500;
    observer_judge(&observer, 1000 * MS);
    cr_assert_eq(board->latest[0].verdict.host_ns, 3 * MS - 40 * CLOCK_NS_PER_US - UINT64_C(500) * 5000);
}

Test(observer, of_a_control_process_without_a_core_nobody_is_blamed)
{
    control->common.core = -1;
    be_late(LATE_LOOP, 100 * MS, 103 * MS);
    observer_judge(&observer, 1000 * MS);
    cr_assert_eq(board->latest[0].complete, 0);
    cr_assert_eq(board->latest[0].verdict.host_ns, 0);
}

Test(observer, another_process_is_another_thread_and_old_events_are_not_its)
{
    uint32_t epoch = settings.watched[0].epoch;
    observer_scan(&observer, 1);
    cr_assert_eq(settings.watched[0].epoch, epoch, "nothing has changed");
    control->common.started_tai_ns = 2; /* the same number, by chance */
    observer_scan(&observer, 5 * MS);
    cr_assert_eq(settings.watched[0].epoch, epoch + 1);
    struct thief_event old = {.from_ns = 1, .ns = MS, .kind = THIEF_TASK, .epoch = epoch};
    observer_take(&observer, &old);
    cr_assert_eq(board->told, 0);
    be_late(LATE_LOOP, 4 * MS, 6 * MS);
    be_late(LATE_LOOP, 6 * MS, 8 * MS);
    observer_judge(&observer, 1000 * MS);
    cr_assert_eq(board->latest[0].complete, 0, "it was not watched yet");
    cr_assert_eq(board->latest[0].verdict.host_ns, 0, "so that nobody is blamed");
    cr_assert_eq(board->latest[1].complete, 1);
}

Test(observer, sums_and_the_log)
{
    tell(0, THIEF_TASK, 10 * MS, MS, 0);
    tell(0, THIEF_TASK, 20 * MS, 3 * MS, 0);
    tell(1, THIEF_TIMER, 30 * MS, 20000, 0);
    cr_assert_eq(board->told, 3);
    cr_assert_eq(board->log[0].events + board->log[1].events, 3);
    cr_assert_eq(board->thread[0].count[THIEF_TASK], 2);
    cr_assert_eq(board->thread[0].ns[THIEF_TASK], 4 * MS);
    cr_assert_eq(board->thread[0].longest_ns[THIEF_TASK], 3 * MS);
    cr_assert_eq(board->thread[1].count[THIEF_TIMER], 1);
    cr_assert_eq(board->lasted[THIEF_TASK].count, 2);
    cr_assert_eq(board->log[0].event[1].ns, 3 * MS);
}

Test(observer, a_sleep_that_was_planned_is_no_loss)
{
    tell(0, THIEF_SLEEP, MS, 60 * CLOCK_NS_PER_US, SYS_clock_nanosleep);
    cr_assert_eq(board->told, 0);
    tell(0, THIEF_SLEEP, MS, 520 * CLOCK_NS_PER_US, SYS_clock_nanosleep);
    cr_assert_eq(board->told, 1);
    cr_assert_eq(board->log[0].event[0].from_ns, MS + 20 * CLOCK_NS_PER_US);
    cr_assert_eq(board->log[0].event[0].ns, 500 * CLOCK_NS_PER_US);
    tell(0, THIEF_SLEEP, MS, 60 * CLOCK_NS_PER_US, SYS_write);
    cr_assert_eq(board->told, 2, "a wait in any other call is one, however short");
}

Test(observer, workers_that_wake_do_not_push_out_all_else)
{
    for (uint32_t i = 0; i < OBSERVER_LOG; i++) {
        tell(1, THIEF_WAKE, i * MS, 20000, 0);
    }
    cr_assert_eq(board->told, OBSERVER_LOG);
    cr_assert_eq(board->log[1].events, 0);
    tell(0, THIEF_WAKE, MS, 20000, 0);
    tell(1, THIEF_WAKE, MS, MS, 0);
    cr_assert_eq(board->log[0].events, 1);
    cr_assert_eq(board->log[1].events, 1);
}

Test(observer, nonsense_of_the_kernel_is_left_out)
{
    struct thief_event event = {.thread = THIEF_THREADS_MAX, .kind = THIEF_TASK};
    observer_take(&observer, &event);
    event = (struct thief_event){.kind = THIEF_KINDS, .epoch = settings.watched[0].epoch};
    observer_take(&observer, &event);
    cr_assert_eq(board->told, 0);
}

Test(observer, a_late_decision_is_put_down_to_what_overlapped_it)
{
    struct observer_findings found;
    tell(1, THIEF_TASK, 100 * MS, 50 * MS, 0); /* another thread's loss */
    tell(0, THIEF_TASK, 100 * MS, 5 * MS, 0);
    be_late(LATE_DECISION, 99 * MS, 106 * MS);
    observer_judge(&observer, 106 * MS);
    cr_assert_eq(board->findings, 0, "what overlaps it may still come");
    observer_judge(&observer, 106 * MS + OBSERVER_SETTLED_NS);
    cr_assert_eq(board->findings, 1);
    cr_assert_eq(observer_read_worst(board, LATE_DECISION, &found), 0);
    cr_assert_eq(found.count, 1);
    const struct verdict *v = &found.finding[0].verdict;
    cr_assert_eq(v->named_ns, 5 * MS);
    cr_assert_eq(v->own_ns, 2 * MS);
    cr_assert_eq(v->culprit[0].pid, 71);
    cr_assert_eq(found.finding[0].complete, 1);
    observer_judge(&observer, 1000 * MS);
    cr_assert_eq(board->findings, 1, "once");
}

Test(observer, events_that_end_in_another_order_than_they_began)
{
    tell(0, THIEF_TIMER, 103 * MS, MS, 0); /* told first, lies within the next */
    tell(0, THIEF_TASK, 100 * MS, 5 * MS, 0);
    be_late(LATE_DECISION, 99 * MS, 106 * MS);
    observer_judge(&observer, 1000 * MS);
    cr_assert_eq(board->latest[0].verdict.named_ns, 5 * MS);
    cr_assert_eq(board->latest[0].verdict.culprits, 2);
    cr_assert_eq(board->latest[0].verdict.culprit[0].ns, 4 * MS);
}

Test(observer, a_gap_of_the_loop_without_events_is_the_hosts)
{
    be_late(LATE_LOOP, 100 * MS, 103 * MS);
    be_late(LATE_DECISION, 101 * MS, 104 * MS);
    be_late(LATE_LOOP, 100 * MS, 103 * MS); /* logged again: the worst of its second */
    observer_judge(&observer, 1000 * MS);
    uint64_t excused_ns = 40 * CLOCK_NS_PER_US; /* the planned sleep, and the loop's own work */
    cr_assert_eq(board->latest[0].verdict.host_ns, 3 * MS - excused_ns);
    cr_assert_eq(board->latest[1].verdict.host_ns, 2 * MS - excused_ns);
    cr_assert_eq(board->latest[1].verdict.own_ns, MS + excused_ns);
}

Test(observer, blind_it_lists_and_blames_nobody)
{
    observer.settings = NULL;
    observer_scan(&observer, 1);
    be_late(LATE_LOOP, 100 * MS, 103 * MS);
    observer_judge(&observer, 1000 * MS);
    cr_assert_eq(board->findings, 1);
    cr_assert_eq(board->latest[0].verdict.culprits, 0);
    cr_assert_eq(board->latest[0].complete, 0);
}

Test(observer, what_is_not_known_wholly_is_said)
{
    struct thief_counts counts = {.lost = 3, .brief = 4};
    observer_count(&observer, &counts, 150 * MS);
    cr_assert_eq(board->lost, 3);
    cr_assert_eq(board->brief, 4);
    be_late(LATE_LOOP, 100 * MS, 103 * MS);
    be_late(LATE_LOOP, 160 * MS, 163 * MS);
    observer_judge(&observer, 1000 * MS);
    cr_assert_eq(board->latest[0].complete, 0, "before what was lost");
    cr_assert_eq(board->latest[1].complete, 1);
    for (uint64_t i = 0; i < UINT64_C(2) * OBSERVER_LOG; i++) {
        tell(0, THIEF_TIMER, 2000 * MS + i * 1000, 10, 0);
    }
    be_late(LATE_LOOP, 1999 * MS, 2001 * MS);
    observer_judge(&observer, 9000 * MS);
    cr_assert_eq(board->latest[2].complete, 0, "its events are overwritten");
}

Test(observer, the_worst_are_kept_in_order)
{
    struct observer_findings found;
    for (uint64_t i = 0; i < UINT64_C(3) * OBSERVER_WORST; i++) {
        uint64_t at = (i + 1) * 100 * MS;
        be_late(LATE_DECISION, at, at + 1 + (i * 61) % 97);
    }
    observer_judge(&observer, 1000000 * MS);
    cr_assert_eq(observer_read_worst(board, LATE_DECISION, &found), 0);
    cr_assert_eq(found.count, OBSERVER_WORST);
    for (uint32_t i = 0; i < OBSERVER_WORST; i++) {
        cr_assert_eq(found.finding[i].late.to_ns - found.finding[i].late.from_ns, 97 - i);
    }
    cr_assert_eq(observer_read_latest(board, &found), 0);
    cr_assert_eq(found.count, UINT64_C(3) * OBSERVER_WORST);
    cr_assert_eq(found.finding[0].number, 0);
    cr_assert_eq(board->over[LATE_DECISION], UINT64_C(3) * OBSERVER_WORST);
}

Test(observer, a_log_that_ran_over_is_counted)
{
    for (uint64_t i = 0; i < UINT64_C(2) * LATE_ENTRIES; i++) {
        be_late(LATE_LOOP, 100 * MS + i, 100 * MS + i + 1);
    }
    observer_judge(&observer, 1000 * MS);
    cr_assert_eq(board->missed, LATE_ENTRIES + 1);
    cr_assert_eq(board->findings, LATE_ENTRIES - 1);
}

/* Killed while it wrote the fourth: of the latest one slot is nobody's, of the worst one stands twice. */
Test(observer, one_that_died_while_it_wrote_leaves_no_half_findings)
{
    struct observer_findings found;
    for (uint64_t i = 0; i < 3; i++) {
        be_late(LATE_LOOP, (i + 1) * 100 * MS, (i + 1) * 100 * MS + i + 1);
    }
    observer_judge(&observer, 1000 * MS);
    board->version++;
    board->latest[3].late = (struct late_entry){.from_ns = 5, .to_ns = 900, .kind = LATE_LOOP};
    board->worst[LATE_LOOP][3] = board->worst[LATE_LOOP][2];
    board->worst[LATE_LOOP][2] = board->worst[LATE_LOOP][1];
    board->worst_count[LATE_LOOP] = 4;
    be_late(LATE_LOOP, 500 * MS, 500 * MS + 9);
    be_late(LATE_LOOP, 600 * MS, 600 * MS + 9);
    observer_begin(&observer, 2000 * MS);
    cr_assert_eq(board->version % 2, 0);
    cr_assert_eq(board->missed, 2, "what was logged while none was there");
    cr_assert_eq(observer_read_worst(board, LATE_LOOP, &found), 0);
    cr_assert_eq(found.count, 3);
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert_eq(found.finding[i].number, 2 - i);
    }
    cr_assert_eq(observer_read_latest(board, &found), 0);
    cr_assert_eq(found.count, 3);
}

/* The slot it died in held the oldest of the latest. */
Test(observer, one_that_died_when_all_places_were_taken)
{
    struct observer_findings found;
    for (uint64_t i = 0; i < OBSERVER_LATEST + UINT64_C(5); i++) {
        be_late(LATE_LOOP, (i + 1) * 100 * MS, (i + 1) * 100 * MS + 7);
        observer_judge(&observer, 1000000 * MS);
    }
    board->version++;
    memset(&board->latest[5], 0xfe, sizeof(board->latest[5]) / 2);
    observer_begin(&observer, 1000000 * MS);
    cr_assert_eq(observer_read_latest(board, &found), 0);
    cr_assert_eq(found.count, OBSERVER_LATEST - 1);
    cr_assert_eq(found.finding[0].number, 6);
    cr_assert_eq(found.finding[OBSERVER_LATEST - 2].number, OBSERVER_LATEST + 4);
    cr_assert_eq(board->missed, 0);
}

Test(observer, a_reader_does_not_wait_for_a_writer_that_died)
{
    struct observer_findings found;
    board->version = 7;
    cr_assert_eq(observer_read_latest(board, &found), -EAGAIN);
}
