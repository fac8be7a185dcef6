/* A serial line over a pty: whole frames, pieces, noise, flipped bits, hang-ups, and text lines of every kind. */
#include "daq/text.h"
#include "daq/ways.h"
#include "tests/daq/stream_rig.h"

TestSuite(serial, .init = set_up, .fini = tear_down);

Test(serial, whole_frames)
{
    open_line();
    for (uint32_t number = 0; number < 300; number++) {
        put_frame(number);
        cr_assert_eq(expect_frame(number).tai_ns, 888);
    }
    cr_assert_eq(ledger()->delivered, 300);
    cr_assert_eq(ledger()->bytes, 300 * FRAME_BYTES);
    cr_assert_eq(ledger()->noise_bytes, 0);
}

Test(serial, frames_in_pieces_of_any_size)
{
    struct test_random random = {1};
    static uint8_t bytes[100 * FRAME_BYTES];
    for (uint32_t i = 0; i < 100; i++) {
        make_frame(bytes + i * FRAME_BYTES, i);
    }
    open_line();
    uint32_t seen = 0;
    for (size_t at = 0; at < sizeof(bytes);) {
        size_t n = 1 + test_random_below(&random, 40);
        n = n < sizeof(bytes) - at ? n : sizeof(bytes) - at;
        put(bytes + at, n);
        at += n;
        while (seen < at / FRAME_BYTES) {
            (void)expect_frame(seen++);
        }
    }
    cr_assert_eq(seen, 100);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

Test(serial, noise_before_and_between_frames)
{
    static const uint8_t noise[] = {0x00, 0xa5, 0xa5, 0x00, 0x5a, 0xff, 0xa5};
    open_line();
    put(noise, sizeof(noise));
    put_frame(0);
    (void)expect_frame(0);
    cr_assert_eq(ledger()->noise_bytes, sizeof(noise));
    put("\x5a", 1);
    put_frame(1);
    put_frame(2);
    (void)expect_frame(1);
    (void)expect_frame(2);
    cr_assert_eq(ledger()->noise_bytes, sizeof(noise) + 1);
    cr_assert_eq(ring_ledger_lost(ledger()), 0);
}

Test(serial, a_flipped_bit_costs_its_frame_only)
{
    uint8_t frame[FRAME_BYTES];
    open_line();
    put_frame(0);
    make_frame(frame, 1);
    frame[9] ^= 0x10;
    put(frame, FRAME_BYTES);
    put_frame(2);
    (void)expect_frame(0);
    struct sluice_frame after = expect_frame(2);
    cr_assert_eq(after.lost_before, 1);
    cr_assert_eq(after.cause, RING_LOSS_MALFORMED);
    cr_assert_eq(ledger()->refused[RING_REFUSED_CHECKSUM], 1);
    cr_assert_eq(ledger()->lost[RING_LOSS_MALFORMED], 1);
    cr_assert_eq(ledger()->noise_bytes, FRAME_BYTES);
}

/* The tail of a frame is missing: the next one begins inside what was taken for it, and must not be lost too. */
Test(serial, half_a_frame_costs_itself_only)
{
    uint8_t frame[FRAME_BYTES];
    open_line();
    put_frame(0);
    for (uint32_t cut = 1; cut < FRAME_BYTES; cut++) {
        make_frame(frame, 2 * cut - 1);
        put(frame, cut);
        put_frame(2 * cut);
        put_frame(2 * cut + 1 - (cut + 1 < FRAME_BYTES));
    }
    /* Of each pair the second copy is a duplicate, told as such; what counts is that no whole frame is missing. */
    uint64_t highest = 0;
    while (highest < 2 * (FRAME_BYTES - 1)) {
        struct sluice_frame seen = next_frame();
        cr_assert(seen.source_sequence % 2 == 0 || seen.source_sequence > 2 * (FRAME_BYTES - 1));
        highest = seen.source_sequence > highest ? seen.source_sequence : highest;
    }
    cr_assert_eq(ledger()->duplicated, FRAME_BYTES - 2);
    cr_assert_eq(ledger()->delivered, FRAME_BYTES);
}

Test(serial, the_sync_inside_a_frame_does_not_confuse)
{
    uint8_t frame[FRAME_BYTES];
    open_line();
    make_frame(frame, 0);
    frame[7] = 0xa5;
    frame[8] = 0x5a;
    uint16_t crc = net_crc16_ccitt(frame + 2, 12);
    frame[14] = (uint8_t)(crc >> 8);
    frame[15] = (uint8_t)crc;
    put(frame, FRAME_BYTES);
    struct sluice_frame seen = next_frame();
    cr_assert_eq(memcmp(seen.payload, frame, FRAME_BYTES), 0);
    frame[10] ^= 1; /* refused; then the search finds the sync inside it */
    put(frame, FRAME_BYTES);
    put_frame(1);
    put_frame(2);
    PUMP_UNTIL(ring_reader_next(&rig.reader, &seen) == 1 && seen.source_sequence == 2);
    cr_assert_eq(ledger()->lost[RING_LOSS_SENDER], 0);
}

Test(serial, random_bytes_never_become_a_frame_and_never_stop_it)
{
    struct test_random random = {9};
    open_line();
    put_frame(0);
    (void)expect_frame(0);
    for (int i = 0; i < 200; i++) {
        uint8_t noise[64];
        for (size_t n = 0; n < sizeof(noise); n++) {
            static const uint8_t likely[] = {0xa5, 0x5a, 0, 0xff};
            noise[n] = test_random_chance(&random, 400) ? likely[n % 4] : (uint8_t)test_random_next(&random);
        }
        put(noise, sizeof(noise));
        PUMP_UNTIL(ledger()->noise_bytes + 2 * FRAME_BYTES > (uint64_t)i * sizeof(noise));
    }
    for (uint32_t number = 1; number < 6; number++) {
        put_frame(number);
    }
    struct sluice_frame seen;
    PUMP_UNTIL(ring_reader_next(&rig.reader, &seen) == 1 && seen.source_sequence == 5);
}

Test(serial, a_device_that_goes_away_is_opened_again)
{
    open_line();
    put_frame(0);
    (void)expect_frame(0);
    put("\xa5", 1);
    PUMP_UNTIL(rig.source.have == 1);
    unplug();
    PUMP_UNTIL(rig.source.fd < 0);
    cr_assert_eq(ledger()->is_open, 0);
    cr_assert_eq(ledger()->disconnects, 1);
    cr_assert_eq(ledger()->noise_bytes, 1, "what was left of a frame");
    uint64_t until_ns = clock_monotonic_ns() + 250 * CLOCK_NS_PER_MS;
    while (clock_monotonic_ns() < until_ns) {
        pump_once();
        cr_assert_lt(rig.source.fd, 0, "there is nothing to open");
    }
    cr_assert_neq(ledger()->open_errno, 0);
    plug_in();
    PUMP_UNTIL(ledger()->is_open == 1);
    cr_assert_eq(ledger()->connects, 2);
    struct sluice_frame gap = next_frame();
    cr_assert_eq(gap.flags, SLUICE_FRAME_GAP);
    cr_assert_eq(gap.cause, RING_LOSS_RESTART);
    PUMP_UNTIL(rig.source.reading);
    put_frame(1000);
    struct sluice_frame after = expect_frame(1000);
    cr_assert_eq(after.lost_before, 999);
    cr_assert_eq(after.cause, RING_LOSS_RESTART);
}

Test(serial, what_is_no_tty_is_not_opened)
{
    unplug();
    int fd = open(rig.plan.serial.device, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    close(fd);
    PUMP_UNTIL(ledger()->open_errno != 0);
    cr_assert_lt(rig.source.fd, 0);
    plug_in();
}

/* ---- Text lines. */

Test(serial, good_lines)
{
    static const char *const lines[] = {"1.5,-2\n",   "1.5;-2\r\n",  "1.5 -2\n",       "  1.5\t-2  \n",
                                        "1.5 , -2\n", "+1.5,-2.0\n", "15e-1,-20e-1\n", "\n\r\n1.5,-2\n"};
    open_text(2);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        put(lines[i], strlen(lines[i]));
        expect_numbers(1.5, -2);
    }
    cr_assert_eq(ledger()->refused[RING_REFUSED_SYNTAX], 0);
    cr_assert_eq(ledger()->delivered, sizeof(lines) / sizeof(lines[0]));
}

Test(serial, bad_lines_are_refused_and_counted)
{
    static const char *const lines[] = {"1\n", "1,2,3\n", "abc\n", "1,x\n", "1,2x\n", ",\n", "1 2 3\n", "#1,2\n"};
    size_t count = sizeof(lines) / sizeof(lines[0]);
    open_text(2);
    for (size_t i = 0; i < count; i++) {
        put(lines[i], strlen(lines[i]));
    }
    put("1\0,2\n", 5); /* a NUL must not hide the rest of its line */
    put("3,4\n", 4);
    expect_numbers(3, 4);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SYNTAX], count + 1);
    cr_assert_eq(ledger()->delivered, 1);
    cr_assert_eq(ledger()->lost[RING_LOSS_MALFORMED], count + 1);
}

Test(serial, lines_in_pieces_and_several_at_once)
{
    open_text(2);
    put("1.2", 3);
    PUMP_UNTIL(rig.source.have == 3);
    put("5,", 2);
    PUMP_UNTIL(rig.source.have == 5);
    put("7\n8,9\n1", 7);
    expect_numbers(1.25, 7);
    expect_numbers(8, 9);
    put("0,2\n", 4);
    expect_numbers(10, 2);
}

Test(serial, an_overlong_line_is_thrown_away_whole)
{
    static char line[3 * PLAN_LINE_BYTES];
    open_text(2);
    memset(line, '1', sizeof(line));
    memcpy(line + sizeof(line) - 5, "\n1,2\n", sizeof("\n1,2\n") - 1);
    put(line, 400);
    put(line + 400, 600);
    put(line + 1000, sizeof(line) - 1000);
    expect_numbers(1, 2);
    cr_assert_eq(ledger()->refused[RING_REFUSED_LONG], 1);
    cr_assert_eq(ledger()->refused[RING_REFUSED_SYNTAX], 0, "its tail is no line of its own");
    put("3,4\n", 4);
    expect_numbers(3, 4);
}

Test(serial, nan_and_inf_are_numbers_for_the_interlock_to_judge)
{
    double values[2];
    open_text(2);
    put("nan,-inf\n", 9);
    struct sluice_frame frame = next_frame();
    memcpy(values, frame.payload, sizeof(values));
    cr_assert(isnan(values[0]));
    cr_assert(isinf(values[1]) && values[1] < 0);
}

Test(serial, parsing_is_exact_about_the_number_of_fields, .init = NULL, .fini = NULL)
{
    double values[PLAN_FIELDS_MAX];
    cr_assert(text_parse_line("1", 1, values));
    cr_assert(text_parse_line(" 1", 1, values));
    cr_assert(text_parse_line("1,2;3\t4 5", 5, values));
    cr_assert_not(text_parse_line("", 1, values));
    cr_assert_not(text_parse_line("1,2", 1, values));
    cr_assert_not(text_parse_line("1-2", 2, values), "no separator");
    cr_assert_not(text_parse_line("1,2", 3, values));
}

/* An empty field is not skipped: the numbers behind it would slide into its place. */
Test(serial, an_empty_field_is_no_number, .init = NULL, .fini = NULL)
{
    double values[PLAN_FIELDS_MAX];
    cr_assert_not(text_parse_line("1,,3", 3, values));
    cr_assert_not(text_parse_line("1,,3,4", 3, values));
}

static bool has_gone(struct opening *opening)
{
    (void)opening;
    return false;
}

Test(serial, a_read_that_waits_is_given_up_when_its_device_has_gone)
{
    static struct opener_way fickle;
    open_line();
    fickle = *rig.source.opening->way;
    fickle.check = has_gone;
    rig.source.opening->way = &fickle;
    PUMP_UNTIL(ledger()->disconnects == 1);
    rig.source.opening->way = &way_serial;
    PUMP_UNTIL(rig.source.reading);
    cr_assert_eq(ledger()->connects, 2);
    cr_assert_neq(next_frame().flags & SLUICE_FRAME_GAP, 0);
    put_frame(0);
    (void)expect_frame(0);
}

Test(serial, rates, .init = NULL, .fini = NULL)
{
    cr_assert_eq(way_serial_speed(115200), B115200);
    cr_assert_eq(way_serial_speed(4000000), B4000000);
    cr_assert_eq(way_serial_speed(0), 0);
    cr_assert_eq(way_serial_speed(115201), 0);
}

/* A frame whose 8 bytes behind the number are its device's time. */
static void put_dated(uint32_t number, uint64_t device_tai_ns)
{
    uint8_t frame[FRAME_BYTES];
    make_frame(frame, number);
    for (uint32_t i = 0; i < 8; i++) {
        frame[6 + i] = (uint8_t)(device_tai_ns >> (56 - 8 * i));
    }
    uint16_t crc = net_crc16_ccitt(frame + 2, 12);
    frame[14] = (uint8_t)(crc >> 8);
    frame[15] = (uint8_t)crc;
    put(frame, FRAME_BYTES);
}

/* The rig's frames arrive at 888 ns. */
Test(serial, the_way_from_the_device_and_into_the_ring_is_counted)
{
    static struct ring_hops hops;
    struct error err = {{0}};
    rig.plan.rate =
        (struct rate_plan){.stamp = RING_STAMP_DEVICE,
                           .clock = STAMP_CLOCK_TAI,
                           .field = {.width_bytes = 8, .at_byte = 6, .byte_order = RING_BIG_ENDIAN, .unit_ns = 1},
                           .lag_max_ns = 500,
                           .ahead_max_ns = 100};
    stream_fini(&rig.source);
    opener_fini(&rig.opener);
    cr_assert_eq(stream_init(&rig.source, &rig.plan, &rig.ring.writer, rig.uring, &rig.opener, USER, &err), 0);
    ring_writer_measure(&rig.ring.writer, &hops, true, false);
    open_line();
    put_dated(0, 800);
    cr_assert_eq(next_frame().tai_ns, 800);
    put_dated(1, 888);
    (void)next_frame();
    put_dated(2, 900);
    (void)next_frame();
    put_dated(2, 850);
    (void)next_frame();
    put_dated(3, 5000);
    (void)next_frame();
    cr_assert_eq(ledger()->delivered, 4);
    cr_assert_eq(ledger()->duplicated, 1);
    cr_assert_eq(hops.sent_to_arrival.count, 2);
    cr_assert_eq(hops.sent_to_arrival.sum_ns, 88);
    cr_assert_eq(hops.ahead, 2, "two from the future, whatever the frames were given");
    cr_assert_eq(hops.arrival_to_publish.count, 4);
    cr_assert_neq(ring_newest_ns(temporary_header(&rig.ring), 4, clock_monotonic_ns()), 0);
}
