/* Outputs, their devices, feedback, heartbeat and watchdog: what they compile to, and what is refused with its
 * place. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/daq/compile_text.h"

/* Lines 1 to 14; outputs begin in line 15. */
static const char head[] =
    "instance: test\n"
    "memory: {pages: normal, lock: false}\n"
    "rings: [{name: one, slots: 64}]\n"
    "sources:\n"
    "  - name: udp1\n"
    "    kind: udp\n"
    "    ring: one\n"
    "    listen: 127.0.0.1:5000\n"
    "    frame_bytes: 24\n"
    "    channels:\n"
    "      - {name: p, at_byte: 0, type: f32, unit: bar, range: [0, 500]}\n"
    "      - {name: bits, at_byte: 4, type: u16, unit: \"1\", range: [0, 65535]}\n"
    "      - {name: few, at_byte: 6, type: i8, unit: \"1\", range: [0, 3]}\n"
    "      - {name: scaled, at_byte: 8, type: u16, scale: 0.1, unit: \"1\", range: [0, 100]}\n";
static const char tail[] = "rules: [{name: r, channel: p, high: 150}]\n";

static int compile_text(const char *before, const char *outputs)
{
    return compile_format("%soutputs:\n%s%s%s", head, outputs, tail, before);
}

static void expect_good(const char *before, const char *outputs)
{
    cr_assert_eq(compile_text(before, outputs), 0, "%s", errors.text);
}

/* Refused with this in the message, at this line and column. */
static void expect_bad(const char *outputs, const char *place, const char *piece)
{
    cr_assert_neq(compile_text("", outputs), 0, "taken: %s", outputs);
    cr_assert_not_null(strstr(errors.text, piece), "expected '%s', found: %s", piece, errors.text);
    cr_assert_not_null(strstr(errors.text, place), "expected at %s, found: %s", place, errors.text);
}

Test(compile_outputs, lines_of_gpio_and_modbus_are_numbered_in_order)
{
    const struct control_table *t = &plan.table;
    expect_good("", "  - {name: a, kind: gpio, target: /dev/gpiochip0, line: 17}\n"
                    "  - {name: b, kind: modbus, target: \"127.0.0.1:502\", line: 4000, unit_id: 3}\n"
                    "  - {name: c, kind: gpio, target: /dev/gpiochip0, line: 4, heartbeat: true}\n"
                    "  - {name: d, kind: modbus, target: \"127.0.0.1:502\", line: 12}\n"
                    "  - {name: e, kind: modbus, target: \"127.0.0.1:502\", line: 0, unit_id: 3}\n");
    cr_assert_eq(t->devices, 3);
    cr_assert_eq(t->device[0].kind, DEVICE_GPIO);
    cr_assert_eq(t->device[0].lines, 3);
    cr_assert_eq(t->device[1].unit, 3);
    cr_assert_eq(t->device[1].lines, 3);
    cr_assert_eq(t->device[2].unit, 1);
    cr_assert_eq(t->device[2].lines, 1);
    cr_assert_eq(t->output[1].line, 4000);
    cr_assert_eq(t->output[4].device, 1);
    cr_assert_eq(t->output[2].heartbeat, 1);
    cr_assert_eq(t->output[0].heartbeat, 0);
    cr_assert_eq(t->heartbeat_ns, t->refresh_ns);
    cr_assert_eq(t->watchdog_ns, 0);
    cr_assert_str_eq(plan.watchdog_path, "");
}

Test(compile_outputs, a_register_and_its_pump)
{
    const struct control_device *device = &plan.table.device[0];
    expect_good("",
                "  - {name: a, kind: memory, target: /dev/uio0, line: 7, register: {at_byte: 6, width_bytes: 2, "
                "byte_order: big}}\n"
                "  - {name: b, kind: memory, target: /dev/uio0, line: 15, heartbeat: true, register: {at_byte: 6, "
                "width_bytes: 2, byte_order: big}}\n");
    cr_assert_eq(plan.table.devices, 1);
    cr_assert_eq(device->lines, 0x8080);
    cr_assert_eq(device->register_at, 6);
    cr_assert_eq(device->register_bytes, 2);
    cr_assert_eq(device->big_endian, 1);
    expect_good("", "  - {name: a, kind: memory, target: /dev/uio0, without_heartbeat: accepted}\n");
    cr_assert_eq(device->register_at, 0);
    cr_assert_eq(device->register_bytes, 4);
    cr_assert_eq(device->big_endian, 0);
}

Test(compile_outputs, feedback_by_bits_and_by_value)
{
    const struct control_feedback *f = &plan.table.output[0].feedback;
    expect_good("",
                "  - {name: a, kind: file, target: /tmp/a, feedback: {channel: bits, energised_bits: 32768, "
                "safe_bits: 1, time_ms: 100}}\n"
                "  - {name: b, kind: file, target: /tmp/b, feedback: {channel: p, energised_at: 90, safe_at: 10, "
                "time_ms: 500}}\n"
                "  - {name: c, kind: file, target: /tmp/c, feedback: {channel: few, safe_bits: 2, time_ms: 1}}\n"
                "  - {name: d, kind: file, target: /tmp/d}\n");
    cr_assert_eq(f->form, FEEDBACK_BITS);
    cr_assert_eq(f->channel, 1);
    cr_assert_eq(f->energised_mask, 32768);
    cr_assert_eq(f->safe_mask, 1);
    cr_assert_eq(f->time_ns, 100000000);
    f = &plan.table.output[1].feedback;
    cr_assert_eq(f->form, FEEDBACK_VALUE);
    cr_assert_float_eq(f->energised_at, 90, 0);
    cr_assert_float_eq(f->safe_at, 10, 0);
    cr_assert_eq(plan.table.output[2].feedback.energised_mask, 0);
    cr_assert_eq(plan.table.output[3].feedback.form, FEEDBACK_NONE);
}

Test(compile_outputs, heartbeat_and_watchdog)
{
    static const char output[] = "  - {name: a, kind: file, target: /tmp/a}\n";
    expect_good("control: {heartbeat_us: 500, watchdog: {device: /dev/watchdog1, timeout_s: 20}}\n", output);
    cr_assert_eq(plan.table.heartbeat_ns, 500000);
    cr_assert_str_eq(plan.watchdog_path, "/dev/watchdog1");
    cr_assert_eq(plan.watchdog_timeout_s, 20);
    cr_assert_eq(plan.table.watchdog_ns, UINT64_C(5000000000));
    expect_good("control: {watchdog: {device: /dev/watchdog}}\n", output);
    cr_assert_eq(plan.watchdog_timeout_s, 10);
    cr_assert_neq(compile_text("control: {watchdog: {device: watchdog, timeout_s: 601}}\n", output), 0);
    cr_assert_not_null(strstr(errors.text, "such as /dev/watchdog"), "%s", errors.text);
    cr_assert_not_null(strstr(errors.text, "1 to 600 s"), "%s", errors.text);
    cr_assert_neq(compile_text("control: {output_fault_ms: 10}\n",
                               "  - {name: a, kind: modbus, target: \"127.0.0.1:502\"}\n"),
                  0);
    cr_assert_not_null(strstr(errors.text, "at least 20 ms, found 10"), "%s", errors.text);
}

struct bad {
    const char *output;
    const char *place;
    const char *piece;
};

static const struct bad bads[] = {
    {"kind: gpio, target: gpiochip0", ":16:", "such as /dev/gpiochip0"},
    {"kind: gpio, target: /dev/gpiochip0, line: 65536", ":16:51", "0 to 65535"},
    {"kind: gpio, target: /dev/gpiochip0, acknowledge: one", ":16:", "cannot be told of frames"},
    {"kind: modbus, target: /dev/plc", ":16:", "such as 192.168.7.2:502"},
    {"kind: modbus, target: \"plc:502\"", ":16:", "such as 192.168.7.2:502"},
    {"kind: modbus, target: \"127.0.0.1:502\", unit_id: 256", ":16:", "0 to 255"},
    {"kind: modbus, target: \"127.0.0.1:502\", heartbeat: true", ":16:", "behind control's back"},
    {"kind: file, target: /tmp/x, unit_id: 1", ":16:", "only an output of kind modbus"},
    {"kind: file, target: /tmp/x, register: {at_byte: 0}", ":16:", "only an output of kind memory"},
    {"kind: file, target: /tmp/x, without_heartbeat: accepted", ":16:", "only an output of kind gpio or memory"},
    {"kind: file, target: /tmp/x, line: 32", ":16:", "0 to 31"},
    {"kind: memory, target: /dev/uio0", ":16:5", "nothing releases a register"},
    {"kind: gpio, target: /dev/gpiochip0", ":16:5", "nothing releases a GPIO line"},
    {"kind: memory, target: /dev/uio0, without_heartbeat: yes", ":16:", "yes"},
    {"kind: memory, target: /dev/uio0, heartbeat: true, register: {width_bytes: 3}", ":16:", "1, 2, 4 or 8 bytes"},
    {"kind: memory, target: /dev/uio0, heartbeat: true, register: {at_byte: 2}", ":16:", "a multiple of"},
    {"kind: memory, target: /dev/uio0, heartbeat: true, register: {at_byte: 2097152}", ":16:", "up to 1048568"},
    {"kind: memory, target: /dev/uio0, heartbeat: true, line: 8, register: {width_bytes: 1}", ":16:", "0 to 7"},
    {"kind: memory, target: uio0, heartbeat: true", ":16:", "such as /dev/uio0"},
    {"kind: file, target: /tmp/x, feedback: {channel: none, safe_bits: 1, time_ms: 1}",
     ":16:", "no source has a channel"},
    {"kind: file, target: /tmp/x, feedback: {channel: bits, time_ms: 1}", ":16:", "found neither"},
    {"kind: file, target: /tmp/x, feedback: {channel: bits, safe_bits: 1, safe_at: 1, energised_at: 2, time_ms: 1}",
     ":16:", "found both"},
    {"kind: file, target: /tmp/x, feedback: {channel: bits, safe_bits: 3, energised_bits: 2, time_ms: 1}",
     ":16:", "mean both positions"},
    {"kind: file, target: /tmp/x, feedback: {channel: bits, safe_bits: 65536, time_ms: 1}",
     ":16:", "has those of 65535"},
    {"kind: file, target: /tmp/x, feedback: {channel: bits, safe_bits: 0, time_ms: 1}", ":16:", "at least one bit"},
    {"kind: file, target: /tmp/x, feedback: {channel: few, safe_bits: 128, time_ms: 1}",
     ":16:", "has those of 127"},
    {"kind: file, target: /tmp/x, feedback: {channel: few, safe_bits: 4, time_ms: 1}", ":16:", "beyond its range"},
    {"kind: file, target: /tmp/x, feedback: {channel: p, safe_bits: 1, time_ms: 1}", ":16:", "has no bits"},
    {"kind: file, target: /tmp/x, feedback: {channel: scaled, safe_bits: 1, time_ms: 1}", ":16:", "has no bits"},
    {"kind: file, target: /tmp/x, feedback: {channel: p, safe_at: 1, time_ms: 1}", ":16:", "found one"},
    {"kind: file, target: /tmp/x, feedback: {channel: p, safe_at: 1, energised_at: 1, time_ms: 1}",
     ":16:", "must differ"},
    {"kind: file, target: /tmp/x, feedback: {channel: p, safe_at: -1, energised_at: 1, time_ms: 1}",
     ":16:", "could never be reached"},
    {"kind: file, target: /tmp/x, feedback: {channel: p, safe_at: 1, energised_at: 501, time_ms: 1}",
     ":16:", "could never be reached"},
    {"kind: file, target: /tmp/x, feedback: {channel: p, safe_at: 1, energised_at: 2, time_ms: 0}",
     ":16:", "1 to 600000"},
    {"kind: file, target: /tmp/x, feedback: {channel: p, safe_at: 1, energised_at: 2}", ":16:", "time_ms"},
    {"kind: file, target: /tmp/x, heartbeat: true, feedback: {channel: p, safe_at: 1, energised_at: 2, time_ms: 1}",
     ":16:", "no position to be read back"},
    {"kind: file, target: /tmp/x, heartbeat: 1", ":16:", "true or false"},
};

Test(compile_outputs, what_cannot_be_right_is_refused)
{
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), "  - {name: a, %s}\n", bads[i].output);
        expect_bad(text, bads[i].place, bads[i].piece);
    }
}

Test(compile_outputs, two_that_are_in_each_others_way_are_refused)
{
    expect_bad("  - {name: a, kind: udp, target: \"127.0.0.1:7000\"}\n"
               "  - {name: b, kind: udp, target: \"127.0.0.1:07000\"}\n",
               ":17:", "already another output");
    expect_bad("  - {name: a, kind: file, target: /dev/null}\n"
               "  - {name: b, kind: file, target: /dev/../dev/null}\n",
               ":17:", "already another output");
    expect_bad("  - {name: a, kind: gpio, target: /dev/gpiochip0, line: 40}\n"
               "  - {name: b, kind: gpio, target: /dev/gpiochip0, line: 40}\n",
               ":17:", "line 40 of /dev/gpiochip0 is already another output");
    expect_bad(
        "  - {name: a, kind: memory, target: /dev/uio0, heartbeat: true}\n"
        "  - {name: b, kind: memory, target: /dev/uio0, heartbeat: true, register: {at_byte: 2, width_bytes: 1}}\n",
        ":17:", "overlaps another one");
    expect_bad(
        "  - {name: a, kind: memory, target: /dev/uio0, heartbeat: true}\n"
        "  - {name: b, kind: memory, target: /dev/uio0, heartbeat: true, line: 1, register: {byte_order: big}}\n",
        ":17:", "overlaps another one");
    expect_bad("  - {name: a, kind: memory, target: /dev/uio0, heartbeat: true}\n"
               "  - {name: b, kind: memory, target: /dev/uio0, line: 1, register: {at_byte: 4}}\n",
               ":17:", "nothing releases a register");
}
