/* What a replay makes of a configuration: nothing of it can reach outside. */
#include "daq/compile_replay.h"
#include "daq/replay_options.h"
#include "tests/daq/compile_text.h"

static const char *const text =
    "instance: rig\n"
    "memory: {pages: huge, lock: true}\n"
    "control: {core: 900, policy: fifo, priority: 90, watchdog: {device: /dev/watchdog}}\n"
    "workers: [{name: w, core: 901, policy: fifo, priority: 80, idle: busy}]\n"
    "audit: {file: /tmp/x/audit.log}\n"
    "black_box: {directory: /tmp/x/trips}\n"
    "recorders: [{name: r, directories: [/tmp/x/recordings]}]\n"
    "authority: {arm: {users: [nobody-of-this-name]}}\n"
    "rings: [{name: a, pages: huge_1g}, {name: b}]\n"
    "sources:\n"
    "  - {name: sa, kind: serial, ring: a, device: /dev/ttyS9, format: text, fields: 2, rate: {nominal_hz: 10},\n"
    "     channels: [{name: p, unit: kPa, range: [0, 100]}, {name: q, unit: kPa, range: [0, 100]}]}\n"
    "  - {name: sb, kind: udp, ring: b, listen: \"127.0.0.1:7001\", frame_bytes: 64}\n"
    "rules: [{name: high, channel: p, high: 90}]\n"
    "outputs:\n"
    "  - {name: o1, kind: file, target: /tmp/x/valve, feedback: {channel: q, energised_at: 50, safe_at: 20, "
    "time_ms: 100}}\n"
    "  - {name: o2, kind: udp, target: \"127.0.0.1:7002\", acknowledge: a}\n"
    "  - {name: o3, kind: gpio, target: /dev/gpiochip9, line: 3}\n"
    "  - {name: o4, kind: gpio, target: /dev/gpiochip9, line: 4, heartbeat: true}\n"
    "  - {name: o5, kind: modbus, target: \"127.0.0.1:502\", line: 1}\n"
    "  - {name: o6, kind: memory, target: /dev/uio9, line: 0, without_heartbeat: accepted}\n"
    "  - {name: o7, kind: unix, target: /tmp/x/socket}\n";

static struct replay_options options;

static int compile_text_as_replay(const char *yaml)
{
    char path[] = "/tmp/sluice-config-XXXXXX";
    struct config_file file;
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    close(fd);
    memset(&errors, 0, sizeof(errors));
    memset(&plan, 0xa5, sizeof(plan));
    int code = config_load(&file, path, &errors);
    if (code == 0) {
        code = compile_replay(&file, &options, &plan, &errors);
    }
    config_unload(&file);
    unlink(path);
    return code;
}

static void begin(void)
{
    options = (struct replay_options){.path = {"/recordings/one"}, .paths = 1, .speed = 1};
}

TestSuite(compile_replay, .init = begin);

Test(compile_replay, touches_nothing)
{
    cr_assert_eq(compile_text_as_replay(text), 0, "%s", errors.text);
    cr_assert_null(compile_replay_touches(&plan));
    cr_assert_eq(plan.table.outputs, 7);
    for (uint32_t i = 0; i < plan.table.devices; i++) {
        cr_assert_eq(plan.table.device[i].kind, DEVICE_SHADOW);
        cr_assert_eq(plan.table.device[i].target[0], 0);
    }
    for (uint32_t i = 0; i < plan.table.outputs; i++) {
        cr_assert_eq(plan.table.output[i].feedback.form, FEEDBACK_NONE);
    }
    cr_assert_eq(plan.watchdog_path[0], 0);
    cr_assert_eq(plan.audit_path[0], 0);
    cr_assert_not(plan.has_black_box);
    cr_assert_not(plan.has_observer);
    cr_assert_eq(plan.recorders, 0);
    cr_assert_eq(plan.table.gate_required, 0);
    cr_assert_str_eq(plan.instance, "rig-replay");
    cr_assert_eq(plan.table.thread.core, -1);
    cr_assert_eq(plan.table.thread.fifo, 0);
    cr_assert_eq(plan.table.thread.lock_memory, 0);
}

Test(compile_replay, every_ring_is_played_by_one_worker)
{
    options.ring[options.rings++] = "a";
    options.wait[options.waits++] = "a";
    cr_assert_eq(compile_text_as_replay(text), 0, "%s", errors.text);
    cr_assert_eq(plan.workers, 1);
    cr_assert_eq(plan.worker[0].sources, 2);
    const struct source_plan *a = &plan.worker[0].source[0];
    const struct source_plan *b = &plan.worker[0].source[1];
    cr_assert_eq(a->kind, SOURCE_RECORDING);
    cr_assert_str_eq(a->recording.ring, "a");
    cr_assert_str_eq(a->recording.path, "/recordings/one");
    cr_assert_eq(a->recording.wait_readers, 1);
    cr_assert_eq(a->gates, 1);
    cr_assert_eq(b->kind, SOURCE_RECORDING);
    cr_assert_eq(b->recording.ring[0], 0, "silent: it was not asked for");
    cr_assert_eq(plan.ring[0].channel_count, 2);
    cr_assert_eq(plan.ring[0].channel[1].at_byte, 8, "as the text source had it");
    cr_assert_eq(plan.ring[0].stream.nominal_hz, 10);
    cr_assert_eq(plan.ring[0].stream.tolerance, 0);
}

Test(compile_replay, what_could_touch_something_is_told)
{
    static const char *const found[] = {"an output",     "a device of a source",      "the watchdog",
                                        "the audit log", "the black box's directory", "a recorder's directories"};
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(compile_text_as_replay(text), 0, "%s", errors.text);
        switch (i) {
        case 0:
            plan.table.device[2].kind = DEVICE_GPIO;
            break;
        case 1:
            plan.worker[0].source[1].kind = SOURCE_UDP;
            break;
        case 2:
            plan.watchdog_path[0] = '/';
            break;
        case 3:
            plan.audit_path[0] = '/';
            break;
        case 4:
            plan.has_black_box = true;
            break;
        default:
            plan.recorders = 1;
        }
        cr_assert_str_eq(compile_replay_touches(&plan), found[i]);
    }
}

Test(compile_replay, names)
{
    options.as = "other";
    cr_assert_eq(compile_text_as_replay(text), 0, "%s", errors.text);
    cr_assert_str_eq(plan.instance, "other");
    options.as = "no such name";
    cr_assert_neq(compile_text_as_replay(text), 0);
    options.as = NULL;
    options.ring[options.rings++] = "c";
    cr_assert_neq(compile_text_as_replay(text), 0);
    cr_assert(strstr(errors.text, "no ring is named 'c'") != NULL, "%s", errors.text);
    cr_assert_neq(compile_text_as_replay("instance: rig\nnonsense: 1\n"), 0);
}

Test(compile_replay, too_many_paths)
{
    static char name[200];
    memset(name, 'x', sizeof(name) - 1);
    for (options.paths = 0; options.paths < 8; options.paths++) {
        options.path[options.paths] = name;
    }
    cr_assert_neq(compile_text_as_replay(text), 0);
    cr_assert(strstr(errors.text, "at most 32 paths") != NULL, "%s", errors.text);
}

/* The words on a command line. */
Test(compile_replay, options)
{
    const char *path;
    double speed;
    const char *good[] = {
        "sluiced", "--replay", "/r",     "--speed",           "fastest",       "--from", "1.5",    "--to", "2",
        "--ring",  "a",        "--loop", "--original-stamps", "--wait-reader", "a",      "c.yaml", NULL};
    char *argv[17];
    memcpy(argv, good, sizeof(good));
    cr_assert(replay_options_parse(16, argv, &options, &path));
    cr_assert_str_eq(path, "c.yaml");
    cr_assert_eq(options.speed, 0);
    cr_assert_eq(options.from_ns, 1500000000);
    cr_assert_eq(options.to_ns, 2000000000);
    cr_assert(options.loop && options.original_stamps);
    cr_assert(replay_options_speed("0.001", &speed));
    const char *const bad[] = {"", "0", "-1", "nan", "inf", "1e6", "1x", "0.0001"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(replay_options_speed(bad[i], &speed), "%s", bad[i]);
    }
}
