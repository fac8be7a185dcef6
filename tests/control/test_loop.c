/* The loop as a whole: a ring in front, a receiver behind, the mailbox beside. Times are only ever lower bounds. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/loop.h"
#include "control/machine.h"
#include "tests/support/table.h"
#include "tests/support/temporary_ring.h"
#include "tests/support/wait.h"

#define FOREVER_NS (UINT64_C(1) << 60)

struct sent {
    uint32_t number;
    uint32_t lines;
    uint32_t energised;
    uint64_t evaluated;
    uint32_t origin;
};

static struct temporary_ring ring;
static struct control_table table;
static struct control_board board;
static struct control_mailbox mailbox;
static struct control_loop loop;
static int receiver;

/* No limit of time acts unless a test sets it: a stall of this machine is not the loop's fault. */
static void prepare(void)
{
    int fds[2];
    struct ring_spec spec = temporary_spec(256, 128, 32);
    temporary_ring_create(&ring, &spec);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    receiver = fds[1];
    table_make(&table);
    table.device[0].kind = DEVICE_UDP;
    table.device[0].fd = (uint32_t)fds[0];
    table.device[0].acknowledge_ring = 1;
    table.channel[0].stale_ns = FOREVER_NS;
    table.channel[1].stale_ns = FOREVER_NS;
    table.supervisor_silence_ns = FOREVER_NS;
    table.cycle_budget_ns = FOREVER_NS;
    table.stall_trip_ns = FOREVER_NS;
    table.refresh_ns = FOREVER_NS;
    table.output_fault_ns = FOREVER_NS;
    table.acknowledge_ns = FOREVER_NS;
    table.future_ns = FOREVER_NS;
    table.tai_minus_monotonic_ns = clock_measure_tai_offset_ns();
}

TestSuite(loop, .init = prepare);

static void start(void)
{
    struct error err = {{0}};
    table.hash = control_table_hash(&table);
    loop_init(&loop, &table, &board, &mailbox, NULL);
    cr_assert_eq(watch_attach(&loop.watch, 0, ring.segment.base, ring.segment.bytes, &err), 0, "%s", err.text);
}

static void publish(double a, double b)
{
    double values[2] = {a, b};
    memcpy(ring_writer_reserve(&ring.writer), values, sizeof(values));
    ring_writer_commit(&ring.writer, sizeof(values), clock_tai_ns(table.tai_minus_monotonic_ns), ring.writer.next,
                       0, 0);
    ring_writer_publish(&ring.writer);
}

static uint32_t word_at(const uint8_t *bytes, size_t at)
{
    uint32_t big;
    memcpy(&big, bytes + at, sizeof(big));
    return ntohl(big);
}

/* The next datagram that waits at the receiver; false: none. */
static bool received(struct sent *sent)
{
    uint8_t bytes[64];
    if (recv(receiver, bytes, sizeof(bytes), MSG_DONTWAIT) != OUTPUT_DATAGRAM_BYTES) {
        return false;
    }
    cr_assert_eq(word_at(bytes, 0), OUTPUT_MAGIC);
    *sent = (struct sent){.number = word_at(bytes, 4),
                          .lines = word_at(bytes, 16),
                          .energised = word_at(bytes, 20),
                          .evaluated = (uint64_t)word_at(bytes, 24) << 32 | word_at(bytes, 28),
                          .origin = word_at(bytes, 40)};
    return true;
}

static void drain(void)
{
    struct sent sent;
    while (received(&sent)) {
    }
}

static uint32_t command(uint32_t what)
{
    uint64_t ticket = (mailbox.word >> MAILBOX_COMMAND_BITS) + 1;
    __atomic_store_n(&mailbox.word, ticket << MAILBOX_COMMAND_BITS | what, __ATOMIC_RELEASE);
    loop_cycle(&loop);
    cr_assert_eq(board.answered_ticket, ticket);
    return board.answer;
}

static void arm(void)
{
    start();
    publish(50, 50);
    loop_cycle(&loop);
    cr_assert_eq(command(COMMAND_RESET), ANSWER_DONE);
    loop_cycle(&loop);
    cr_assert_eq(command(COMMAND_ARM), ANSWER_DONE);
    loop_cycle(&loop);
    cr_assert_eq(loop.state.code, ENGINE_ARMED);
    drain();
}

static void expect_trip(uint32_t kind)
{
    struct sent sent;
    cr_assert_eq(loop.state.code, ENGINE_TRIPPED);
    cr_assert_eq(loop.state.first_out[0].kind, kind, "%s", engine_cause_name(loop.state.first_out[0].kind));
    cr_assert(received(&sent), "nothing was sent");
    cr_assert_eq(sent.energised, 0);
    cr_assert_eq(sent.lines, 3);
    cr_assert_eq(board.trip_history[loop.state.trips % CONTROL_TRIP_HISTORY].kind, kind);
}

Test(loop, the_safe_state_is_sent_before_anything_is_known)
{
    struct sent sent;
    start();
    cr_assert(received(&sent));
    cr_assert_eq(sent.energised, 0);
    cr_assert_eq(sent.lines, 3);
    cr_assert_eq(sent.origin, OUTPUT_CONTROL);
    cr_assert_eq(sent.number, 0);
    cr_assert_not(received(&sent), "once");
}

Test(loop, permit_and_trip_go_out_in_the_cycle_of_their_cause)
{
    struct sent sent;
    start();
    publish(50, 50);
    loop_cycle(&loop);
    cr_assert_eq(command(COMMAND_RESET), ANSWER_DONE);
    loop_cycle(&loop);
    drain();
    cr_assert_eq(command(COMMAND_ARM), ANSWER_DONE);
    cr_assert(received(&sent));
    cr_assert_eq(sent.energised, 3, "energised in the cycle of the command");
    loop_cycle(&loop);
    cr_assert_not(received(&sent), "no change, no refresh due");
    publish(50, 101);
    cr_assert_eq(loop_cycle(&loop), 1);
    expect_trip(CAUSE_HIGH);
    cr_assert_eq(loop.state.first_out[0].channel, 1);
    cr_assert_eq(loop.state.trips, 1);
}

Test(loop, a_short_peak_between_two_good_frames_trips)
{
    arm();
    publish(50, 50);
    publish(150, 50);
    publish(50, 50);
    cr_assert_eq(loop_cycle(&loop), 3);
    expect_trip(CAUSE_HIGH);
}

Test(loop, an_overrun_trips)
{
    arm();
    for (int i = 0; i < 1000; i++) {
        publish(50, 50);
    }
    loop_cycle(&loop);
    expect_trip(CAUSE_OVERRUN);
}

Test(loop, a_writer_that_started_again_trips)
{
    arm();
    ring_writer_commit_gap(&ring.writer, RING_LOSS_RESTART, 0, 0, clock_tai_ns(table.tai_minus_monotonic_ns));
    ring_writer_publish(&ring.writer);
    publish(50, 50);
    loop_cycle(&loop);
    expect_trip(CAUSE_STALE);
}

Test(loop, silence_trips)
{
    table.channel[0].stale_ns = 5 * CLOCK_NS_PER_MS;
    start();
    uint64_t since_ns = clock_monotonic_ns();
    publish(50, 50);
    loop_cycle(&loop);
    test_sleep_us(10000);
    loop_cycle(&loop);
    cr_assert_eq(loop.state.quality[0], ENGINE_STALE);
    cr_assert_eq(loop.state.quality[1], ENGINE_GOOD);
    cr_assert_geq(clock_monotonic_ns() - since_ns, table.channel[0].stale_ns);
}

Test(loop, a_command_acts_once)
{
    arm();
    cr_assert_eq(command(COMMAND_TRIP), ANSWER_DONE);
    expect_trip(CAUSE_MANUAL);
    for (int i = 0; i < 10; i++) {
        loop_cycle(&loop); /* the command still lies in the mailbox */
    }
    cr_assert_eq(loop.state.code, ENGINE_TRIPPED);
    cr_assert_eq(loop.state.trips, 1);
    cr_assert_eq(command(COMMAND_ARM), ANSWER_RESET_FIRST);
    loop_cycle(&loop);
    cr_assert_eq(command(COMMAND_RESET), ANSWER_DONE);
    for (int i = 0; i < 10; i++) {
        loop_cycle(&loop);
    }
    cr_assert_eq(loop.state.code, ENGINE_READY, "a reset that lies in the mailbox does not arm");
}

/* Two commands in consecutive cycles are two commands, also when they are the same one. */
Test(loop, the_same_command_twice_is_answered_twice)
{
    start();
    loop_cycle(&loop);
    cr_assert_eq(command(COMMAND_RESET), ANSWER_CAUSE_STANDS);
    publish(50, 50);
    cr_assert_eq(command(COMMAND_RESET), ANSWER_DONE, "a frame lies between");
    cr_assert_eq(command(COMMAND_RESET), ANSWER_ALREADY, "and nothing between these");
}

Test(loop, a_command_left_behind_is_not_carried_out)
{
    mailbox.word = UINT64_C(41) << MAILBOX_COMMAND_BITS | COMMAND_RESET;
    start();
    publish(50, 50);
    for (int i = 0; i < 5; i++) {
        loop_cycle(&loop);
    }
    cr_assert_eq(loop.state.code, ENGINE_TRIPPED);
    cr_assert_eq(board.answered_ticket, 0);
    cr_assert_eq(command(COMMAND_RESET), ANSWER_DONE);
    cr_assert_eq(board.answered_ticket, 42);
}

/* IL-075 */
Test(loop, a_silent_supervisor_trips)
{
    arm();
    table.supervisor_silence_ns = 1; /* it has never said anything to this loop */
    publish(50, 50);
    loop_cycle(&loop);
    cr_assert_eq(loop.energised, 0);
    cr_assert_eq(loop.state.first_out[0].kind, CAUSE_SUPERVISOR);
    mailbox.gate = (clock_monotonic_ns() + CLOCK_NS_PER_S) >> MAILBOX_GATE_BITS << MAILBOX_GATE_BITS;
    loop_cycle(&loop);
    cr_assert_eq(loop.inputs.supervisor_silent, 0, "heard again");
}

/* The supervisor's word: its low bits are the checks of the gate, nine of them, and one that is none of them. */
Test(loop, the_gate_word)
{
    arm();
    uint64_t said = (clock_monotonic_ns() + CLOCK_NS_PER_S / 2) >> MAILBOX_GATE_BITS << MAILBOX_GATE_BITS;
    for (uint32_t check = 1; check <= GATE_ALL; check <<= 1) {
        mailbox.gate = said | check;
        loop_cycle(&loop);
        cr_assert_eq(loop.inputs.gate_passed & ~(uint32_t)GATE_LATENCY, check & ~(uint32_t)GATE_LATENCY);
        cr_assert(!loop.others_fresh);
    }
    mailbox.gate = said | MAILBOX_WORKERS_FRESH;
    loop_cycle(&loop);
    cr_assert_eq(loop.inputs.gate_passed & ~(uint32_t)GATE_LATENCY, 0);
    cr_assert(loop.others_fresh);
}

/* IL-064 */
Test(loop, a_stall_trips_whatever_the_mode)
{
    table.cycle_budget_ns = CLOCK_NS_PER_MS;
    table.miss_trips = 0;
    table.stall_trip_ns = 10 * CLOCK_NS_PER_MS;
    start();
    publish(50, 50);
    uint64_t since_ns = clock_monotonic_ns();
    do { /* until no stall of the machine comes between */
        loop_cycle(&loop);
        command(COMMAND_RESET);
        loop_cycle(&loop);
        command(COMMAND_ARM);
        loop_cycle(&loop);
        drain();
    } while (loop.state.code != ENGINE_ARMED && test_still_patient(since_ns));
    cr_assert_eq(loop.state.code, ENGINE_ARMED);
    uint64_t misses = board.misses;
    test_sleep_us(20000);
    loop_cycle(&loop);
    expect_trip(CAUSE_DEADLINE);
    cr_assert_gt(board.misses, misses);
    cr_assert_geq(board.worst_gap_ns, 20 * CLOCK_NS_PER_MS);
}

/* A hold ends, and the loop was stopped between its look and the send: the trip is one that can be reset, not a
 * fault because the rest of the cycle went by an earlier time than the trip. */
Test(loop, a_stall_before_a_hold_ends_is_a_trip_and_no_fault)
{
    table.rule[0].role = ROLE_HOLD;
    arm();
    publish(500, 50);
    loop_cycle(&loop);
    cr_assert_eq(loop.energised, 0, "held");
    cr_assert_eq(loop.state.code, ENGINE_ARMED);
    table.stall_trip_ns = 1; /* from here on every cycle was stopped for too long once it is under way */
    loop.cycle_ns = 0;
    publish(50, 50);
    loop_cycle(&loop);
    cr_assert_eq(loop.energised, 0);
    cr_assert_eq(loop.state.code, ENGINE_TRIPPED, "%s", engine_state_name(loop.state.code));
}

/* IL-064 */
Test(loop, a_miss_trips_only_where_it_is_said_to)
{
    arm();
    table.cycle_budget_ns = CLOCK_NS_PER_MS;
    test_sleep_us(3000);
    loop_cycle(&loop);
    cr_assert_eq(loop.state.code, ENGINE_ARMED, "counted only");
    cr_assert_geq(board.misses, 1);
    table.miss_trips = 1;
    test_sleep_us(3000);
    loop_cycle(&loop);
    expect_trip(CAUSE_DEADLINE);
}

Test(loop, outputs_are_refreshed_and_evaluated_frames_told)
{
    struct sent sent;
    arm();
    table.refresh_ns = 2 * CLOCK_NS_PER_MS;
    test_sleep_us(3000);
    loop_cycle(&loop);
    cr_assert(received(&sent));
    cr_assert_eq(sent.energised, 3);
    cr_assert_eq(sent.evaluated, 1);
    table.refresh_ns = FOREVER_NS;
    table.acknowledge_ns = 0;
    publish(50, 50);
    publish(50, 50);
    loop_cycle(&loop);
    cr_assert(received(&sent));
    cr_assert_eq(sent.evaluated, 3);
    cr_assert_eq(board.hop[HOP_ARRIVAL_TO_OUTPUT].count, 2);
    loop_cycle(&loop);
    cr_assert_not(received(&sent), "nothing new to tell");
}

static uint64_t hop_count(enum control_hop hop)
{
    return board.hop[hop].count;
}

/* Ten frames in two cycles, of which the last one trips. */
static void see_ten(void)
{
    for (int i = 0; i < 10; i++) {
        publish(i == 9 ? 150 : 50, 50);
        if (i == 3) {
            cr_assert_eq(loop_cycle(&loop), 4);
        }
    }
    cr_assert_eq(loop_cycle(&loop), 6);
    cr_assert_eq(loop.state.code, ENGINE_TRIPPED);
}

Test(loop, every_frame_is_counted_in_every_hop)
{
    arm();
    memset(board.hop, 0, sizeof(board.hop));
    see_ten();
    cr_assert_eq(hop_count(HOP_ARRIVAL_TO_SEEN), 10);
    cr_assert_eq(hop_count(HOP_SEEN_TO_DECIDED), 10);
    cr_assert_eq(hop_count(HOP_ARRIVAL_TO_DECIDED), 10);
    cr_assert_eq(board.hop[HOP_ARRIVAL_TO_SEEN].sum_ns + board.hop[HOP_SEEN_TO_DECIDED].sum_ns,
                 board.hop[HOP_ARRIVAL_TO_DECIDED].sum_ns, "to the nanosecond");
    cr_assert_eq(hop_count(HOP_PUBLISH_TO_SEEN), 0, "its writer does not tell when");
    cr_assert_eq(hop_count(HOP_BUSY), 2);
    cr_assert_eq(hop_count(HOP_LOOP), 2);
    for (int i = 0; i < 5; i++) {
        loop_cycle(&loop);
    }
    cr_assert_eq(hop_count(HOP_BUSY), 2, "a cycle that finds nothing is not busy");
    cr_assert_eq(hop_count(HOP_LOOP), 7);
}

/* What a frame changes goes out before its cycle ends, and is timed by that. */
Test(loop, the_frame_that_trips_is_timed_to_its_output)
{
    arm();
    memset(board.hop, 0, sizeof(board.hop));
    see_ten();
    cr_assert_eq(hop_count(HOP_ARRIVAL_TO_OUTPUT), 1);
    cr_assert_eq(hop_count(HOP_DECIDED_TO_OUTPUT), 1);
    cr_assert_leq(board.hop[HOP_DECIDED_TO_OUTPUT].max_ns, board.hop[HOP_ARRIVAL_TO_OUTPUT].max_ns);
    drain();
    table.acknowledge_ns = 0; /* from here on word of all frames is sent, those before included */
    publish(50, 50);
    publish(50, 50);
    loop_cycle(&loop);
    cr_assert_eq(hop_count(HOP_ARRIVAL_TO_OUTPUT), 3);
    cr_assert_eq(hop_count(HOP_DECIDED_TO_OUTPUT), 3);
}

Test(loop, the_newest_frame_is_timed_from_its_publish)
{
    start();
    for (int i = 0; i < 3; i++) {
        ring_writer_reserve(&ring.writer);
        ring_writer_commit(&ring.writer, 16, clock_tai_ns(table.tai_minus_monotonic_ns), ring.writer.next, 0, 0);
        ring_writer_tell_time(&ring.writer, clock_monotonic_ns() - CLOCK_NS_PER_S);
        ring_writer_publish(&ring.writer);
    }
    loop_cycle(&loop);
    cr_assert_eq(hop_count(HOP_ARRIVAL_TO_SEEN), 3);
    cr_assert_eq(hop_count(HOP_PUBLISH_TO_SEEN), 1, "of the others nobody knows any more");
    cr_assert_geq(board.hop[HOP_PUBLISH_TO_SEEN].max_ns, CLOCK_NS_PER_S);
    uint64_t soon_ns = clock_monotonic_ns() + 2 * CLOCK_NS_PER_MS; /* later than the cycle begins */
    ring_writer_reserve(&ring.writer);
    ring_writer_commit(&ring.writer, 16, clock_tai_ns(table.tai_minus_monotonic_ns), ring.writer.next, 0, 0);
    ring_writer_tell_time(&ring.writer, soon_ns);
    ring_writer_publish(&ring.writer);
    uint64_t sum_ns = board.hop[HOP_PUBLISH_TO_SEEN].sum_ns;
    loop_cycle(&loop);
    cr_assert_eq(hop_count(HOP_PUBLISH_TO_SEEN), 2);
    cr_assert_leq(board.hop[HOP_PUBLISH_TO_SEEN].sum_ns - sum_ns, clock_elapsed_ns(soon_ns, clock_monotonic_ns()),
                  "never less than no time at all");
}

Test(loop, without_measuring_it_decides_the_same)
{
    arm();
    memset(board.hop, 0, sizeof(board.hop));
    loop.measures = false;
    see_ten();
    for (uint32_t hop = 0; hop < HOPS; hop++) {
        cr_assert_eq(board.hop[hop].count, 0, "%s", control_hop_name(hop));
    }
    cr_assert_eq(loop.state.first_out[0].kind, CAUSE_HIGH);
}

/* IL-057: each datagram has one edge of the heartbeat beside the permit, until the permit is withdrawn. */
Test(loop, the_heartbeat_toggles_while_permitted)
{
    struct sent sent = {.energised = 0};
    uint32_t level = 0;
    uint32_t edges = 0;
    table.output[1].heartbeat = 1;
    table.heartbeat_ns = CLOCK_NS_PER_MS;
    arm();
    uint64_t since_ns = clock_monotonic_ns();
    while (edges < 9 && test_still_patient(since_ns)) {
        uint64_t toggles = board.heartbeats;
        loop_cycle(&loop);
        cr_assert_leq(board.heartbeats - toggles, 1, "one in a cycle");
        if (board.heartbeats != toggles) {
            cr_assert(received(&sent));
            cr_assert_eq(sent.energised & 1, 1);
            cr_assert(edges == 0 || sent.energised >> 1 != level);
            level = sent.energised >> 1;
            edges++;
        }
        cr_assert_not(received(&sent), "only an edge is told");
    }
    cr_assert_eq(edges, 9);
    cr_assert_leq(edges * table.heartbeat_ns, clock_monotonic_ns() - since_ns + table.heartbeat_ns);
    cr_assert_eq(command(COMMAND_TRIP), ANSWER_DONE);
    expect_trip(CAUSE_MANUAL);
    uint64_t toggles = board.heartbeats;
    test_sleep_us(3000);
    for (int i = 0; i < 10; i++) {
        loop_cycle(&loop);
        cr_assert(!received(&sent) || sent.energised == 0);
    }
    cr_assert_eq(board.heartbeats, toggles);
}

Test(loop, an_output_that_takes_nothing_trips)
{
    arm();
    close(receiver);
    table.refresh_ns = 0;
    table.output_fault_ns = 5 * CLOCK_NS_PER_MS;
    uint64_t since_ns = clock_monotonic_ns();
    while (loop.state.code == ENGINE_ARMED && test_still_patient(since_ns)) {
        loop_cycle(&loop);
    }
    cr_assert_eq(loop.state.code, ENGINE_TRIPPED);
    cr_assert_eq(loop.state.first_out[0].kind, CAUSE_OUTPUT);
    cr_assert_gt(board.device[0].errors, 0);
    cr_assert_neq(board.device[0].last_error, 0);
}

Test(loop, the_board_shows_the_state_and_beats)
{
    static struct control_board copy;
    arm();
    test_sleep_us(2000); /* a snapshot is due every millisecond */
    loop_cycle(&loop);
    cr_assert_eq(control_board_read(&board, &copy), 0);
    cr_assert_eq(copy.state, ENGINE_ARMED);
    cr_assert_eq(copy.energised, 3);
    cr_assert_eq(copy.channel[1].samples, 1);
    cr_assert_eq(copy.channel[1].quality, ENGINE_GOOD);
    cr_assert(copy.channel[1].value >= 50 && copy.channel[1].value <= 50);
    uint64_t beats = board.common.heartbeat;
    loop_cycle(&loop);
    cr_assert_eq(board.common.heartbeat, beats + 1);
    board.version |= 1;
    cr_assert_eq(control_board_read(&board, &copy), -EAGAIN, "a writer that died in the middle");
}

static uint32_t told_before_the_file;
static uint32_t shown_when_sent;

/* The names are the linker's. NOLINTBEGIN(*-reserved-identifier,cert-*,readability-identifier-naming) */
ssize_t __real_pwrite(int fd, const void *bytes, size_t count, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t count, off_t at);
ssize_t __real_sendto(int fd, const void *bytes, size_t count, int flags, const struct sockaddr *to,
                      socklen_t room);
ssize_t __wrap_sendto(int fd, const void *bytes, size_t count, int flags, const struct sockaddr *to,
                      socklen_t room);
/* NOLINTEND(*-reserved-identifier,cert-*,readability-identifier-naming) */

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    told_before_the_file = board.trip_history[1].kind;
    return __real_pwrite(fd, bytes, count, at);
}

ssize_t __wrap_sendto(int fd, const void *bytes, size_t count, int flags, const struct sockaddr *to, socklen_t room)
{
    if (shown_when_sent == 0 && machine_permits(loop.state.code)) {
        shown_when_sent = board.state;
    }
    return __real_sendto(fd, bytes, count, flags, to, room);
}

/* Whoever finds it dead in the middle of sending must know that a permit was out. */
Test(loop, a_permit_is_known_before_it_is_sent)
{
    arm();
    cr_assert_eq(shown_when_sent, ENGINE_ARMING, "%s", engine_state_name(shown_when_sent));
}

/* A file's disk that hangs until the process is killed must not take the trip's cause with it. */
Test(loop, a_trip_is_told_before_files_are_written)
{
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    table.devices = 2;
    table.output[1].device = 1;
    table.device[1] = (struct control_device){.kind = DEVICE_FILE, .lines = 2, .fd = (uint32_t)fileno(file)};
    arm();
    cr_assert_eq(told_before_the_file, CAUSE_NONE);
    publish(500, 0);
    loop_cycle(&loop);
    expect_trip(CAUSE_HIGH);
    cr_assert_eq(told_before_the_file, CAUSE_HIGH);
    cr_assert_eq(fgetc(file), '0');
    cr_assert_gt(loop.sent_ns, loop.decided_ns);
    fclose(file);
}

/* A replay begins at a checkpoint: after a process that was killed while it wrote one they must go on being whole.
 */
Test(loop, a_process_that_died_in_the_middle_of_a_checkpoint)
{
    board.checkpoint[0].number = 4;
    board.checkpoint[1].number = 5;
    start();
    cr_assert_eq(board.checkpoint[0].number, 8);
    cr_assert_eq(board.checkpoint[1].number, 5, "half of one and half of another is never told as whole");
    loop.evidence.checkpoint_ns = 0; /* the next one is due */
    loop_cycle(&loop);
    cr_assert_eq(board.checkpoint[0].number, 8);
    cr_assert_eq(board.checkpoint[1].number, 10);
}

Test(loop, trips_are_counted_across_lives)
{
    board.trips = 7;
    arm();
    publish(500, 0);
    loop_cycle(&loop);
    cr_assert_eq(loop.state.trips, 8);
    cr_assert_eq(board.trip_history[8].kind, CAUSE_HIGH);
}

/* IL-067: a flipped bit in the table is a failed self-test, and that is for good. */
Test(loop, a_flipped_bit_in_the_table_is_a_fault)
{
    arm();
    table.rule[1].name[5] ^= 4; /* nothing that acts by itself */
    uint64_t since_ns = clock_monotonic_ns();
    while (loop.state.code == ENGINE_ARMED && test_still_patient(since_ns)) {
        loop_cycle(&loop);
        drain();
    }
    cr_assert_eq(loop.state.code, ENGINE_FAULT);
    cr_assert_eq(loop.state.first_out[0].kind, CAUSE_SELF_TEST);
    cr_assert_eq(loop.energised, 0);
    table.rule[1].name[5] ^= 4;
    for (int i = 0; i < 1000; i++) {
        loop_cycle(&loop);
    }
    cr_assert_eq(loop.state.code, ENGINE_FAULT);
}

Test(loop, an_intact_table_stays_armed_through_many_scrubs)
{
    arm();
    table.hash = control_table_hash(&table);
    for (int i = 0; i < 400; i++) { /* a pass takes about 110 board periods of a millisecond */
        loop.board_ns = 0;
        loop_cycle(&loop);
    }
    cr_assert_eq(loop.state.code, ENGINE_ARMED);
}

Test(loop, a_permit_that_ended_with_its_holder_is_the_first_out)
{
    board.died_armed = 1;
    start();
    loop_cycle(&loop);
    cr_assert_eq(loop.state.first_out[0].kind, CAUSE_CONTROL_DIED);
    cr_assert_eq(board.died_armed, 0);
}

static volatile sig_atomic_t stop;

/* IL-059: the orderly end; tests/e2e/test_control.py kills it. */
Test(loop, ending_drives_the_outputs_safe)
{
    struct sent sent;
    arm();
    stop = 1;
    loop_run(&loop, &stop, NULL);
    cr_assert(received(&sent));
    cr_assert_eq(sent.energised, 0);
    cr_assert_eq(board.state, ENGINE_TRIPPED);
    cr_assert_eq(board.energised, 0);
}
