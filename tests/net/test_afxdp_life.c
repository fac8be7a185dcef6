/* AF_XDP sources in trouble: drops, full rings, interfaces that come and go. */
#include <signal.h>

#include "tests/net/afxdp_rig.h"

TestSuite(afxdp_life, .init = open_rig, .fini = close_rig);

#define PLACES 64u /* of the kernel's rings */

static void expect_numbers(uint64_t from, uint64_t count)
{
    for (uint64_t n = from; n < from + count; n++) {
        expect_frame(n, WORDS);
    }
}

static void send_numbers(uint64_t from, uint64_t count)
{
    for (uint64_t n = from; n < from + count; n++) {
        send_number(n);
    }
}

/* The kernel has passed on all that was sent before: the path is a queue. */
static void settle(void)
{
    struct test_frame f;
    uint64_t since_ns = clock_monotonic_ns();
    build(&f, 0, (struct test_frame_spec){.payload_bytes = 64});
    frame_put16(f.bytes + f.udp + 2, FRAME_TO_PORT + 1);
    frame_sum_udp(&f);
    send_frame(&f);
    while (kernel_got() == 0) {
        cr_assert(test_still_patient(since_ns), "the wire does not pass");
    }
}

/* The kernel has dropped what found no slot: it says how many, the numbers say where. */
Test(afxdp_life, what_the_kernel_drops_is_its_loss)
{
    start();
    send_numbers(0, PLACES + 17);
    settle();
    pump_to(PLACES);
    send_numbers(PLACES + 17, 10);
    pump_to(PLACES + 10);
    expect_numbers(0, PLACES);
    struct sluice_frame frame = expect_frame(PLACES + 17, WORDS);
    cr_assert_eq(frame.lost_before, 17);
    cr_assert_eq(frame.cause, RING_LOSS_KERNEL);
    expect_numbers(PLACES + 18, 9);
    cr_assert_eq(ledger()->lost[RING_LOSS_KERNEL], 17);
    cr_assert_eq(ring_ledger_lost(ledger()), 17);
}

Test(afxdp_life, drops_and_losses_elsewhere_are_told_apart)
{
    start();
    send_numbers(0, 10);
    send_numbers(15, PLACES - 10 + 20); /* five lost on their way, twenty find no slot */
    settle();
    pump_to(PLACES);
    send_numbers(15 + PLACES - 10 + 20 + 3, 10); /* three more were lost on their way */
    pump_to(PLACES + 10);
    cr_assert_eq(ledger()->lost[RING_LOSS_KERNEL], 20);
    cr_assert_eq(ledger()->lost[RING_LOSS_SENDER], 8);
    cr_assert_eq(ring_ledger_lost(ledger()), 28);
    expect_numbers(0, 10);
    struct sluice_frame frame = expect_frame(15, WORDS);
    cr_assert_eq(frame.lost_before, 5);
}

Test(afxdp_life, without_numbers_drops_count_at_once)
{
    rig.plan.sequence.width_bytes = 0;
    start();
    send_numbers(0, PLACES + 17);
    settle();
    pump_to(PLACES);
    pump_until(&ledger()->lost[RING_LOSS_KERNEL], 17);
    cr_assert_eq(ledger()->sent, PLACES + 17);
    cr_assert_eq(ledger()->delivered, PLACES);
}

/* ---- Gating readers. */

static void start_gated(enum when_full when_full)
{
    gate(when_full);
    start();
}

static void fill_up(void)
{
    for (uint64_t n = 0; n < SLOTS; n += 32) {
        send_numbers(n, 32);
        pump_to(n + 32);
    }
    for (int i = 0; i < 20; i++) {
        pump_once();
    }
    cr_assert_eq(rig.ring.writer.published, SLOTS);
}

Test(afxdp_life, a_full_ring_that_waits_leaves_the_rest_to_the_kernel)
{
    start_gated(WHEN_FULL_WAIT);
    fill_up();
    send_numbers(SLOTS, 9);
    settle();
    for (int i = 0; i < 30; i++) {
        pump_once();
    }
    expect_numbers(0, SLOTS);
    ring_reader_release(&rig.reader);
    pump_once();
    send_numbers(SLOTS + 9, 5);
    pump_to(SLOTS + 5);
    struct sluice_frame frame = expect_frame(SLOTS + 9, WORDS);
    cr_assert_eq(frame.lost_before, 9);
    cr_assert_eq(ledger()->lost[RING_LOSS_KERNEL], 9);
    cr_assert_eq(ring_ledger_lost(ledger()), 9);
}

Test(afxdp_life, a_full_ring_that_drops_records_it)
{
    start_gated(WHEN_FULL_DROP);
    fill_up();
    send_numbers(SLOTS, 9);
    settle();
    expect_numbers(0, SLOTS);
    ring_reader_release(&rig.reader);
    pump_once();
    send_numbers(SLOTS + 9, 5);
    pump_to(SLOTS + 6);
    expect_gap(RING_LOSS_RING_FULL, 9);
    expect_numbers(SLOTS + 9, 5);
    cr_assert_eq(ledger()->lost[RING_LOSS_RING_FULL], 9);
    cr_assert_eq(ring_ledger_lost(ledger()), 9);
}

/* ---- The interface. */

Test(afxdp_life, down_and_up_again)
{
    start();
    send_numbers(0, 5);
    pump_to(5);
    ip("link set taken down");
    pump_until(&ledger()->disconnects, 1);
    cr_assert_eq(ledger()->is_open, 0);
    pump_until(&ledger()->open_errno, ENETDOWN);
    ip("link set taken up");
    pump_until(&ledger()->connects, 2);
    cr_assert_eq(ledger()->open_errno, 0);
    cr_assert_eq(ledger()->is_open, 1);
    send_numbers(8, 5); /* three were sent meanwhile */
    pump_to(11);
    expect_numbers(0, 5);
    expect_gap(RING_LOSS_RESTART, 0);
    struct sluice_frame frame = expect_frame(8, WORDS);
    cr_assert_eq(frame.lost_before, 3);
    cr_assert_eq(frame.cause, RING_LOSS_RESTART);
    expect_numbers(9, 4);
    cr_assert_eq(ledger()->lost[RING_LOSS_RESTART], 3);
    cr_assert_eq(ring_ledger_lost(ledger()), 3);
}

Test(afxdp_life, deleted_and_made_again)
{
    start();
    for (uint64_t round = 0; round < 5; round++) {
        send_numbers(round * 5, 5);
        pump_to(round * 6 + 5);
        expect_numbers(round * 5, 5);
        unmake_wire();
        pump_until(&ledger()->disconnects, round + 1);
        pump_until(&ledger()->open_errno, ENODEV);
        make_wire();
        pump_until(&ledger()->connects, round + 2);
        pump_to(round * 6 + 6);
        expect_gap(RING_LOSS_RESTART, 0);
    }
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

/* Too fast to be seen by its index, and the index says nothing: the socket does. */
Test(afxdp_life, another_interface_with_the_same_index)
{
    static const char make[] = "link add taken index 90 type veth peer name wire";
    unmake_wire();
    ip("%s", make);
    ip("link set wire up");
    ip("link set taken up");
    start();
    for (uint64_t round = 0; round < 5; round++) {
        cr_assert_eq(rig.source.ifindex, 90);
        ip("link del wire");
        ip("%s", make);
        ip("link set wire up");
        ip("link set taken up");
        rig.wire = raw_socket("wire", 0);
        pump_until(&ledger()->connects, round + 2);
        cr_assert_eq(ledger()->disconnects, round + 1);
        send_numbers(round * 5, 5);
        pump_until(&ledger()->delivered, round * 5 + 5);
        close(rig.wire);
    }
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

Test(afxdp_life, what_was_received_before_it_went_is_not_lost)
{
    start();
    send_numbers(0, 40);
    settle();
    unmake_wire();
    pump_until(&ledger()->disconnects, 1);
    expect_numbers(0, 40);
}

Test(afxdp_life, an_interface_that_comes_later)
{
    unmake_wire();
    start();
    cr_assert_not_null(strstr(rig.source.note.text, "there is no interface taken"), "%s", rig.source.note.text);
    cr_assert_eq(ledger()->open_errno, ENODEV);
    pump_once();
    make_wire();
    pump_until(&ledger()->connects, 1);
    send_numbers(0, 5);
    pump_to(5);
    expect_numbers(0, 5);
    cr_assert_eq(ledger()->gap_records, 0, "nothing is missing yet");
}

Test(afxdp_life, a_queue_that_there_is_not)
{
    rig.plan.afxdp.queue = 3;
    start();
    cr_assert_not_null(strstr(rig.source.note.text, "queue 3"), "%s", rig.source.note.text);
    cr_assert_eq(ledger()->open_errno, EINVAL);
}

/* Loopback has no XDP of its own. */
Test(afxdp_life, an_interface_without_native_xdp)
{
    ip("link set lo up");
    rig.wire = raw_socket("lo", 0);
    snprintf(rig.plan.afxdp.interface, sizeof(rig.plan.afxdp.interface), "lo");
    start();
    cr_assert_not_null(strstr(rig.source.note.text, "generic"), "%s", rig.source.note.text);
    send_numbers(0, 5);
    pump_to(5);
    expect_numbers(0, 5);
}

/* A worker that is killed leaves no program on the interface, and the next one has it. */
Test(afxdp_life, killed)
{
    int status;
    int told[2];
    char byte;
    cr_assert_eq(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        struct error err = {{0}};
        cr_assert_eq(uring_create(&rig.uring, 64, &err), 0); /* not the one it shares with us */
        start();
        pump_once();
        (void)!write(told[1], "x", 1);
        pause();
        _exit(0);
    }
    cr_assert_eq(read(told[0], &byte, 1), 1);
    cr_assert(shell("ip link show taken | grep -q xdp"), "attached");
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_not(shell("ip link show taken | grep -q xdp"), "detached with it");
    start();
    pump_until(&ledger()->connects, 2); /* the dead one's was the first */
    send_numbers(0, 5);
    pump_to(5);
    expect_numbers(0, 5);
}

Test(afxdp_life, somebody_elses_program)
{
    struct steer other[1] = {{.program_fd = 0}};
    struct error err = {{0}};
    struct steer *theirs = steer_for(other, 1, "taken", &err);
    cr_assert_not_null(theirs, "%s", err.text);
    cr_assert_eq(steer_attach(theirs, index_of("taken")), 0);
    start();
    cr_assert_not_null(strstr(rig.source.note.text, "another program"), "%s", rig.source.note.text);
    cr_assert_eq(ledger()->open_errno, EBUSY);
    steer_unload(theirs);
    pump_until(&ledger()->connects, 1);
}

Test(afxdp_life, who_may_not_is_told_what_is_missing)
{
    struct error err = {{0}};
    cr_assert_eq(setresuid(65534, 65534, 65534), 0);
    int code = afxdp_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, USER, rig.steers, true, &err);
    cr_assert_eq(code, -EPERM);
    cr_assert_not_null(strstr(err.text, "CAP_BPF"), "%s", err.text);
}
