/* Configurations: the examples compile, defaults are what they should be, and what cannot be right is refused with
 * its line, its column and a sentence. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/compile.h"
#include "net/afxdp.h"

static const char good[] =
    "instance: test\n"                                                                   /* 1 */
    "memory: {pages: normal, lock: false}\n"                                             /* 2 */
    "control:\n"                                                                         /* 3 */
    "  idle: duty\n"                                                                     /* 4 */
    "  cycle_budget_us: 500\n"                                                           /* 5 */
    "  stall_trip_ms: 100\n"                                                             /* 6 */
    "workers:\n"                                                                         /* 7 */
    "  - {name: a}\n"                                                                    /* 8 */
    "  - {name: b, policy: fifo, priority: 70}\n"                                        /* 9 */
    "rings:\n"                                                                           /* 10 */
    "  - {name: one, slots: 1024}\n"                                                     /* 11 */
    "  - {name: two, slots: 64, slot_bytes: 1024}\n"                                     /* 12 */
    "sources:\n"                                                                         /* 13 */
    "  - name: udp1\n"                                                                   /* 14 */
    "    kind: udp\n"                                                                    /* 15 */
    "    worker: a\n"                                                                    /* 16 */
    "    ring: one\n"                                                                    /* 17 */
    "    listen: 127.0.0.1:5000\n"                                                       /* 18 */
    "    from: 127.0.0.1:6000\n"                                                         /* 19 */
    "    frame_bytes: 32\n"                                                              /* 20 */
    "    sequence: {at_byte: 0, width_bytes: 4}\n"                                       /* 21 */
    "    checksum: {kind: crc16_ccitt, from_byte: 0, at_byte: 30}\n"                     /* 22 */
    "    channels:\n"                                                                    /* 23 */
    "      - {name: p, at_byte: 8, type: f32, unit: kPa, range: [0, 500]}\n"             /* 24 */
    "      - {name: t, at_byte: 12, type: i16, unit: K, range: [0, 400]}\n"              /* 25 */
    "  - name: serial1\n"                                                                /* 26 */
    "    kind: serial\n"                                                                 /* 27 */
    "    worker: b\n"                                                                    /* 28 */
    "    ring: two\n"                                                                    /* 29 */
    "    device: /dev/ttyS0\n"                                                           /* 30 */
    "    format: text\n"                                                                 /* 31 */
    "    fields: 2\n"                                                                    /* 32 */
    "    channels:\n"                                                                    /* 33 */
    "      - {name: q, field: 1, unit: bar, range: [-1, 9], stale_ms: 50}\n"             /* 34 */
    "rules:\n"                                                                           /* 35 */
    "  - {name: r1, channel: p, high: 150, low: 1, delay_samples: 3}\n"                  /* 36 */
    "  - {name: r2, channel: q, high: 8, delay_ms: 2.5}\n"                               /* 37 */
    "outputs:\n"                                                                         /* 38 */
    "  - {name: o1, kind: udp, target: \"127.0.0.1:7000\", line: 0, acknowledge: one}\n" /* 39 */
    "  - {name: o2, kind: udp, target: \"127.0.0.1:7000\", line: 5}\n"                   /* 40 */
    "  - {name: o3, kind: file, target: /tmp/o3}\n";                                     /* 41 */

static struct server_plan plan;
static struct config_errors errors;

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
}

/* Loads and compiles; 0 or the error code. */
static int compile_file(const char *path)
{
    struct config_file file;
    memset(&errors, 0, sizeof(errors));
    int code = config_load(&file, path, &errors);
    if (code == 0) {
        code = compile_config(&file, &plan, &errors);
    }
    config_unload(&file);
    config_unload(&file);
    return code;
}

/* The text in a file of its own: its path is what the messages begin with. */
static int compile_text(const char *text, char path[32])
{
    strcpy(path, "/tmp/sluice-config-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
    write_file(path, text);
    int code = compile_file(path);
    unlink(path);
    return code;
}

/* The good text with one piece of it replaced. */
static void mutate(char to[8192], const char *find, const char *replace)
{
    const char *at = strstr(good, find);
    cr_assert_not_null(at, "'%s' is not in the good text", find);
    snprintf(to, 8192, "%.*s%s%s", (int)(at - good), good, replace, at + strlen(find));
}

Test(compile, every_example_compiles)
{
    DIR *directory = opendir(EXAMPLES_DIR);
    int seen = 0;
    cr_assert_not_null(directory);
    /* cppcheck-suppress readdirCalled */
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char path[512];
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".yaml") != 0) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", EXAMPLES_DIR, entry->d_name);
        cr_assert_eq(compile_file(path), 0, "%s", errors.text);
        cr_assert_gt(plan.table.rules, 0);
        seen++;
    }
    closedir(directory);
    cr_assert_geq(seen, 1);
}

static void check_sources(void)
{
    const struct source_plan *udp = &plan.worker[0].source[0];
    const struct source_plan *serial = &plan.worker[1].source[0];
    cr_assert_eq(plan.rings, 2);
    cr_assert_eq(plan.workers, 2);
    cr_assert_eq(plan.worker[0].sources, 1);
    cr_assert_str_eq(udp->name, "udp1");
    cr_assert_eq(udp->udp.port, 5000);
    cr_assert_eq(udp->udp.from_port, 6000);
    cr_assert_eq(udp->udp.receive_buffer_bytes, 4096u << 10);
    cr_assert_eq(udp->sequence.byte_order, RING_BIG_ENDIAN);
    cr_assert_eq(udp->sequence.step, 1);
    cr_assert_eq(serial->serial.baud, 115200);
    cr_assert_eq(serial->frame_bytes, 16);
    cr_assert_eq(plan.worker[1].thread.fifo, 1);
    cr_assert_eq(plan.worker[1].thread.priority, 70);
    cr_assert_eq(plan.worker[0].thread.idle, IDLE_WAIT);
    cr_assert_eq(plan.ring[0].payload_offset, 128);
    cr_assert_eq(plan.ring[0].slot_bytes, 192);
    cr_assert_eq(plan.ring[1].payload_offset, 32);
    cr_assert_eq(plan.ring[1].slot_bytes, 1024);
    cr_assert_str_eq(plan.ring[1].stream.name, "serial1");
}

static void check_table(void)
{
    const struct control_table *t = &plan.table;
    cr_assert_eq(t->rings, 2);
    cr_assert_eq(t->channels, 3);
    cr_assert_eq(t->ring[1].first_channel, 2);
    cr_assert_str_eq(t->channel[2].decode.name, "q");
    cr_assert_eq(t->channel[2].decode.at_byte, 8);
    cr_assert_eq(t->channel[2].stale_ns, 50000000);
    cr_assert_eq(t->channel[0].stale_ns, 100000000);
    cr_assert_eq(t->rules, 2);
    cr_assert_eq(t->rule[0].on_samples, 3);
    cr_assert_eq(t->rule[1].on_ns, 2500000);
    cr_assert_eq(t->rule[1].has_low, 0);
    cr_assert_eq(t->outputs, 3);
    cr_assert_eq(t->devices, 2);
    cr_assert_eq(t->device[0].lines, 0x21);
    cr_assert_eq(t->device[0].acknowledge_ring, 1);
    cr_assert_eq(t->output[2].device, 1);
    cr_assert_eq(t->cycle_budget_ns, 500000);
    cr_assert_eq(t->miss_trips, 1);
    cr_assert_eq(t->thread.lock_memory, 0);
    cr_assert_eq(t->thread.seal, 1);
}

Test(compile, a_good_one_and_its_defaults)
{
    char path[32];
    cr_assert_eq(compile_text(good, path), 0, "%s", errors.text);
    cr_assert_eq(errors.count, 0);
    check_sources();
    check_table();
}

struct bad {
    const char *find;
    const char *replace;
    const char *place; /* LINE:COLUMN */
    const char *piece; /* of the message */
};

/* An empty place: libcyaml tells that of the key before. */
static const struct bad bads[] = {
    {"lock: false", "lock: flase", "2:31", "flase"},
    {"lock: false", "lock: 7", "2:31", "7"},
    {"cycle_budget_us: 500", "cycle_budget_us: 500us", "5:20", "500us"},
    {"stall_trip_ms: 100", "stall_trip_ms: 0x64", "6:18", "0x64"},
    {"target: \"127.0.0.1:7000\", line: 5", "target: nowhere, line: 5", "40:27", "ADDRESS:PORT"},
    {"instance: test", "insta: test", "1:1", "Unexpected key: insta"},
    {"frame_bytes: 32", "frame_bytes: 16", "22:5", "inside the frame of 16 bytes"},
    {"crc16_ccitt", "crc32", "22:22", "Invalid ENUM value"},
    {"range: [0, 500]", "range: [0, .inf]", "24:64", "FLOAT"},
    {"range: [0, 500]", "range: [0]", "24:61", "Insufficient entries"},
    {"high: 150", "high: .nan", "36:34", "FLOAT"},
    {"high: 150", "high: nan", "36:34", "nan"},
    {"instance: test", "instance: \"a b\"", "1:1", "expected a name"},
    {"instance: test", "instance: .hidden", "1:1", "expected a name"},
    {"instance: test", "instance: aaaaaaaaaabbbbbbbbbbccccccccccdd", "1:1", "expected a name"},
    {"pages: normal", "pages: tiny", "2:17", "pages"},
    {"lock: false", "lock: false, numa_node: 1023", "2:38", "a NUMA node of this machine ("},
    {"slots: 1024", "slots: 1024, numa_node: 1023", "11:30", "a NUMA node of this machine ("},
    {"slots: 1024", "slots: 1024, numa_node: -2", "11:30", "or -1 for any, found -2"},
    {"slots: 1024", "slots: 1024, numa_node: none", "11:41", "numa_node"},
    {"slots: 1024", "slots: 1024, pages: 1g", "11:37", "pages"},
    {"slots: 1024", "slots: 1073741824, slot_bytes: 65536", "11:17", "the rings want"},
    {"idle: duty", "idle: sleepy", "4:9", "idle"},
    {"idle: duty", "core: 4096", "4:3", "expected a core"},
    {"idle: duty", "priority: 5", "4:3", "with policy: fifo"},
    {"idle: duty", "spin_us: 0", "4:3", "1 to 100000 us"},
    {"cycle_budget_us: 500", "cycle_budget_us: 5", "5:3", "10 to 1000000 us"},
    {"cycle_budget_us: 500", "cycle_budget_us: 15", "5:3", "never meet a budget"},
    {"cycle_budget_us: 500", "cycle_budget_us: 200000", "6:3", "shorter than the budget"},
    {"cycle_budget_us: 500", "cycle_budget_us: -1", "5:20", "cycle_budget_us"},
    {"cycle_budget_us: 500", "cycle_budget: 500", "", "cycle_budget"},
    {"{name: a}", "{name: b}", "9:6", "a second worker"},
    {"priority: 70", "priority: 99", "9:29", "1 to 98"},
    {"{name: one, slots: 1024}", "{name: two, slots: 1024}", "12:6", "a second ring"},
    {"{name: one, slots: 1024}", "{name: \"on e\", slots: 1024}", "11:6", "expected a name"},
    {"slots: 1024", "slots: 1000", "11:17", "power of two"},
    {"slots: 1024", "slots: 8", "11:17", "power of two"},
    {"slots: 1024", "slots: 1073741824", "11:17", "three quarters"},
    {"slots: 1024", "slots: 99999999999999999999", "11:24", "slots"},
    {"slot_bytes: 1024", "slot_bytes: 1000", "12:28", "multiple of 64"},
    {"slot_bytes: 1024", "slot_bytes: 131072", "12:28", "multiple of 64"},
    {"name: udp1", "name: serial1", "26:5", "a second source"},
    {"kind: udp", "kind: usb", "15:11", "kind"},
    {"kind: udp", "kind: serial", "18:5",
     "listen: belongs to kind: udp, tcp_listen; this source is of kind serial"},
    {"worker: a", "worker: c", "16:5", "no worker is named"},
    {"ring: one", "ring: three", "17:5", "no ring is named"},
    {"ring: one", "ring: two", "29:5", "already has source"},
    {"listen: 127.0.0.1:5000", "listen: 127.0.0.1", "18:5", "ADDRESS:PORT"},
    {"listen: 127.0.0.1:5000", "listen: localhost:5000", "18:5", "ADDRESS:PORT"},
    {"listen: 127.0.0.1:5000", "listen: 127.0.0.1:65536", "18:5", "ADDRESS:PORT"},
    {"listen: 127.0.0.1:5000", "group: 224.0.0.1", "14:5", "ADDRESS:PORT"},
    {"from: 127.0.0.1:6000", "group: 10.0.0.1", "19:5", "multicast"},
    {"from: 127.0.0.1:6000", "from: nobody", "19:5", "one sender"},
    {"from: 127.0.0.1:6000", "interface: eth0", "19:5", "interface"},
    {"from: 127.0.0.1:6000", "baud: 9600", "19:5", "baud: belongs to kind: serial"},
    {"from: 127.0.0.1:6000", "receive_buffer_kb: 1", "19:5", "4 to 1048576 KiB"},
    {"frame_bytes: 32", "frame_bytes: 0", "20:5", "1 to"},
    {"width_bytes: 4", "width_bytes: 3", "21:28", "1, 2, 4 or 8"},
    {"{at_byte: 0, width_bytes: 4}", "{at_byte: 29, width_bytes: 4}", "21:16", "beyond the frame"},
    {"{at_byte: 0, width_bytes: 4}", "{at_byte: 0, width_bytes: 4, step: 0}", "21:44", "expected 1 to 16777215"},
    {"at_byte: 30}", "at_byte: 31}", "22:5", "two bytes"},
    {"from_byte: 0,", "from_byte: 30,", "22:5", "from_byte < at_byte"},
    {"at_byte: 8, type: f32", "at_byte: 29, type: f32", "24:9", "beyond the frame"},
    {"at_byte: 8, type: f32", "at_byte: 10, type: f32", "25:9", "overlaps"},
    {"at_byte: 8, type: f32", "at_byte: 8, type: f16", "24:37", "type"},
    {"at_byte: 8, type: f32", "field: 8", "24:9", "at_byte and type"},
    {"name: t, at_byte", "name: p, at_byte", "25:10", "a second channel"},
    {"range: [0, 500]", "range: [500, 0]", "24:9", "LOW < HIGH"},
    {"range: [0, 500]", "scale: 0, range: [0, 500]", "24:9", "scale"},
    {"unit: kPa", "unit: kilopascal_absolute", "24:9", "unit of at most"},
    {"unit: kPa, range", "range", "24:49", "unit"},
    {"device: /dev/ttyS0", "baud: 9600", "26:5", "path of a tty"},
    {"fields: 2", "fields: 33", "32:5", "1 to 32"},
    {"fields: 2", "frame_bytes: 16", "26:5", "belong to format: binary"},
    {"format: text", "format: binary", "32:5", "belongs to format: text"},
    {"field: 1", "field: 2", "34:9", "beyond the 2 fields"},
    {"stale_ms: 50", "stale_ms: 0", "34:56", "1 to 3600000"},
    {"channel: p, high", "channel: x, high", "36:16", "no source has a channel"},
    {"high: 150", "high: 501", "36:28", "could never act"},
    {"high: 150", "high: 0.5", "36:5", "must be below high"},
    {"channel: q, high: 8", "channel: q", "37:5", "high, low or both"},
    {"name: r2", "name: r1", "37:6", "a second rule"},
    {"delay_samples: 3", "delay_samples: 0", "36:47", "1 to 1000000"},
    {"  - {name: r1, channel: p, high: 150, low: 1, delay_samples: 3}\n",
     "  - {name: r1.pre, channel: p, low: 1}\n  - {name: r1, channel: p, high: 150, pre_alarm_high: 140}\n", "37:6",
     "as another rule above"},
    {"  - {name: r1, channel: p, high: 150, low: 1, delay_samples: 3}\n",
     "  - {name: r1, channel: p, high: 150, pre_alarm_high: 140}\n  - {name: r1.pre, channel: p, low: 1}\n", "37:6",
     "a second rule"},
    {"delay_ms: 2.5", "delay_ms: -1", "37:37", "0 to 3600000"},
    {"line: 5", "line: 0", "40:53", "already another output"},
    {"line: 5", "line: 32", "40:53", "0 to 31"},
    {"name: o2", "name: o1", "40:6", "a second output"},
    {"kind: file", "kind: telex", "41:22", "kind"},
    {"acknowledge: one", "acknowledge: none", "39:62", "no ring with channels"},
    {"acknowledge: one}\n",
     "acknowledge: one}\n  - {name: o9, kind: udp, target: \"127.0.0.1:7000\", line: 9, acknowledge: two}\n",
     "40:62", "another ring"},
    {"instance: test\n", "instance: test\nunknown: 1\n", "", "unknown"},
    {"instance: test\n", "instance: test\nreaders_max: 0\n", "2:1", "1 to 512 readers"},
    {"instance: test\n", "instance: test\nreaders_max: 513\n", "2:1", "1 to 512 readers"},
    {"slots: 1024}", "slots: 1024, gating: {readers_max: 17, when_full: drop}}", "11:39", "0 to 16 readers"},
    {"slots: 1024}", "slots: 1024, gating: {readers_max: -1}}", "11:52", "readers_max"},
    {"slots: 1024}", "slots: 1024, gating: {deadline_ms: 0}}", "11:39", "1 to 60000 ms"},
    {"slots: 1024}", "slots: 1024, gating: {deadline_ms: 60001}}", "11:39", "1 to 60000 ms"},
    {"slots: 1024}", "slots: 1024, gating: {evict_ms: 0}}", "11:39", "1 to 3600000 ms"},
    {"slots: 1024}", "slots: 1024, gating: {evict_ms: 3600001}}", "11:39", "1 to 3600000 ms"},
    {"slots: 1024}", "slots: 1024, gating: {when_full: never}}", "11:50", "when_full"},
    {"slots: 1024}", "slots: 1024, gating: {readers: 1}}", "11:39", "readers"},
    {"slots: 1024}", "slots: 1024, gating: 1}", "11:38", "gating"},
    {"slots: 1024}", "slots: 1024, gating: {readers_max: 1, when_full: wait}}", "11:55", "must not hold"},
};

/* IL-074 */
Test(compile, what_cannot_be_right_is_refused_with_its_place)
{
    cr_assert_geq(sizeof(bads) / sizeof(bads[0]), 40);
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        char text[8192];
        char path[32];
        char expected[64];
        mutate(text, bads[i].find, bads[i].replace);
        int code = compile_text(text, path);
        if (getenv("SHOW_CONFIG_ERRORS") != NULL) {
            printf("%zu %s|%s", i, bads[i].replace, errors.text);
            continue;
        }
        cr_assert_lt(code, 0, "'%s' was accepted", bads[i].replace);
        cr_assert_geq(errors.count, 1);
        snprintf(expected, sizeof(expected), "%s:%s%s", path, bads[i].place, bads[i].place[0] != 0 ? ": " : "");
        cr_assert_not_null(strstr(errors.text, expected), "'%s': expected %s in\n%s", bads[i].replace, expected,
                           errors.text);
        cr_assert_not_null(strstr(errors.text, bads[i].piece), "'%s': expected '%s' in\n%s", bads[i].replace,
                           bads[i].piece, errors.text);
    }
}

/* The rule r1 looks at p, whose samples may be 100 ms apart; the loop has half a millisecond. */
static const struct {
    const char *rule;
    const char *conditions;
    unsigned least_ms; /* the process safety time that is just enough */
} budgets[] = {
    {"channel: p, high: 150", "", 101},
    {"channel: p, high: 150, on_delay_samples: 3", "", 301},
    {"channel: p, high: 150, on_delay_ms: 50", "", 251}, /* over at the first sample behind it */
    {"channel: p, stuck_ms: 300", "", 401},
    {"channel: p, heartbeat_ms: 300", "", 401},
    {"channel: p, rate_high: 5, window_ms: 1000", "", 2201}, /* it may begin just behind the start of a window */
    {"channel: p, rate_high: 5, window_ms: 1000, on_delay_samples: 2", "", 3301},
    {"any: [c]", "conditions: [{name: c, channel: p, high: 150, off_delay_ms: 5000}]\n", 101},
    {"not: c", "conditions: [{name: c, channel: p, high: 150, on_delay_ms: 5000}]\n", 101},
    {"not: c", "conditions: [{name: c, channel: p, high: 150, off_delay_ms: 5000}]\n", 5201}, /* c must end first */
    {"not: c", "conditions: [{name: c, channel: p, high: 150, off_delay_samples: 4}]\n", 401},
};

Test(compile, a_process_safety_time_must_be_enough)
{
    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        for (unsigned less = 0; less < 2; less++) {
            char text[8192];
            char path[32];
            char rules[512];
            snprintf(rules, sizeof(rules), "%srules:\n  - {name: r1, %s, process_safety_time_ms: %u}\n",
                     budgets[i].conditions, budgets[i].rule, budgets[i].least_ms - less);
            mutate(text, "rules:\n  - {name: r1, channel: p, high: 150, low: 1, delay_samples: 3}\n", rules);
            int code = compile_text(text, path);
            cr_assert_eq(code == 0, less == 0, "%s, %u ms: %s", budgets[i].rule, budgets[i].least_ms - less,
                         code == 0 ? "accepted" : errors.text);
        }
    }
}

Test(compile, a_ring_may_ask_for_other_memory_than_the_rest)
{
    char path[32];
    char text[8192];
    cr_assert_eq(compile_text(good, path), 0, "%s", errors.text);
    cr_assert_eq(plan.ring[0].pages, SEGMENT_NORMAL);
    cr_assert_eq(plan.ring[0].numa_node, -1);
    mutate(text, "slots: 1024}", "slots: 1024, pages: huge_1g_or_smaller, numa_node: -1}");
    cr_assert_eq(compile_text(text, path), 0, "%s", errors.text);
    cr_assert_eq(plan.ring[0].pages, SEGMENT_HUGE_1G_OR_SMALLER);
    cr_assert_eq(plan.ring[1].pages, SEGMENT_NORMAL);
    mutate(text, "memory: {pages: normal, lock: false}", "memory: {lock: false}");
    cr_assert_eq(compile_text(text, path), 0, "%s", errors.text);
    cr_assert_eq(plan.ring[1].pages, SEGMENT_HUGE_OR_NORMAL);
}

/* A ring of a few KiB on a 1 GiB page takes the whole page, and is counted so. */
Test(compile, rings_on_large_pages_are_counted_as_what_they_take)
{
    static char text[8192];
    char path[32];
    size_t n = (size_t)snprintf(text, sizeof(text), "instance: t\nmemory: {pages: huge_1g}\nrings:\n");
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < 16; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "  - {name: r%d, slots: 16}\n", i);
    }
    n += (size_t)snprintf(text + n, sizeof(text) - n, "sources:\n");
    for (int i = 0; i < 16; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "  - {name: s%d, kind: udp, ring: r%d, listen: \"127.0.0.1:%d\"}\n", i, i, 5000 + i);
    }
    bool fits = machine / 4 * 3 >= (uint64_t)16 << 30;
    cr_assert_eq(compile_text(text, path) == 0, fits, "%s", errors.text);
    cr_assert(fits || strstr(errors.text, "the rings want 16384 MiB in all (this one 1024)") != NULL, "%s",
              errors.text);
}

Test(compile, every_error_is_told_not_only_the_first)
{
    char path[32];
    char text[8192];
    mutate(text, "slots: 1024}\n  - {name: two, slots: 64", "slots: 1000}\n  - {name: two, slots: 65");
    cr_assert_lt(compile_text(text, path), 0);
    cr_assert_eq(errors.count, 2);
    cr_assert_not_null(strstr(errors.text, ":11:"));
    cr_assert_not_null(strstr(errors.text, ":12:"));
}

Test(compile, what_is_no_configuration_at_all)
{
    static const char *const texts[] = {"\n",
                                        "x",
                                        "[]",
                                        "- a\n- b\n",
                                        "instance: [",
                                        "\"",
                                        "%YAML 9.9\n---\n{}",
                                        "{}",
                                        "instance: a\ninstance: b\n",
                                        "a: &x 1\nb: *x\n",
                                        "\x01\x02",
                                        "\xff\xfe"};
    char path[32];
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cr_assert_lt(compile_text(texts[i], path), 0, "'%s'", texts[i]);
        cr_assert_eq(errors.count, 1);
        cr_assert_eq(strncmp(errors.text, path, strlen(path)), 0, "%s", errors.text);
    }
}

Test(compile, files_that_cannot_be_read)
{
    cr_assert_lt(compile_file("/tmp/sluice-no-such-file.yaml"), 0);
    cr_assert_not_null(strstr(errors.text, "cannot open"));
    cr_assert_lt(compile_file("/tmp"), 0);
    cr_assert_not_null(strstr(errors.text, "something else"));
    cr_assert_lt(compile_file("/dev/null"), 0);
    char path[32];
    cr_assert_lt(compile_text("", path), 0);
    cr_assert_not_null(strstr(errors.text, "1 to 1048576 bytes"));
}

/* More errors than there is room for: cut, not overrun. */
Test(compile, a_flood_of_errors)
{
    static char text[60000];
    char path[32];
    size_t n = (size_t)snprintf(text, sizeof(text), "instance: test\nrings:\n");
    for (int i = 0; i < 1000; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "  - {name: \"bad name %d\", slots: 7}\n", i);
    }
    snprintf(text + n, sizeof(text) - n, "sources:\n  - {name: s, kind: udp, ring: none}\n");
    cr_assert_lt(compile_text(text, path), 0);
    cr_assert_gt(errors.count, 20);
    cr_assert_lt(strlen(errors.text), CONFIG_ERRORS_BYTES);
}

static void compile_ring_with(const char *gating)
{
    char text[8192];
    char path[32];
    char replace[256];
    snprintf(replace, sizeof(replace), "slots: 1024%s}", gating);
    mutate(text, "slots: 1024}", replace);
    cr_assert_eq(compile_text(text, path), 0, "%s", errors.text);
}

Test(compile, gating_and_its_defaults)
{
    const struct ring_plan *ring = &plan.ring[0];
    const struct source_plan *source = &plan.worker[0].source[0];
    compile_ring_with("");
    cr_assert_eq(plan.readers_max, 256);
    cr_assert_eq(ring->gates, 0, "observers only, if nothing is said");
    cr_assert_eq(source->gates, 0);
    compile_ring_with(", gating: {readers_max: 2}");
    cr_assert_eq(ring->gates, 2);
    cr_assert_eq(ring->gate_deadline_ns, 100000000);
    cr_assert_eq(ring->gate_evict_ns, 5000000000);
    cr_assert_eq(source->gates, 2);
    cr_assert_eq(source->when_full, WHEN_FULL_DROP, "the interlock watches it: it must not be held up");
    cr_assert_eq(plan.worker[1].source[0].gates, 0, "another ring's source");
    compile_ring_with(", gating: {readers_max: 16, deadline_ms: 60000, evict_ms: 1, when_full: drop}");
    cr_assert_eq(ring->gates, 16);
    cr_assert_eq(ring->gate_deadline_ns, 60000000000);
    cr_assert_eq(ring->gate_evict_ns, 1000000);
}

/* ---- AF_XDP. */

#define AFXDP_HEAD                                                                                                 \
    "instance: test\nworkers: [{name: a}, {name: b}]\n"                                                            \
    "rings: [{name: one, slots: 1024}, {name: two, slots: 1024, slot_bytes: 2112}]\nsources:\n"

static int compile_afxdp_sources(const char *first, const char *second)
{
    char text[2048];
    char path[32];
    snprintf(
        text, sizeof(text), "%s  - {name: x, kind: afxdp, worker: a, ring: one, %s}\n%s%s%s", AFXDP_HEAD, first,
        second[0] != 0 ? "  - {name: y, ring: two, " : "  - {name: u, kind: udp, ring: two, listen: \":5000\", ",
        second, second[0] != 0 ? "}\n" : "frame_bytes: 64}\n");
    return compile_text(text, path);
}

Test(compile, afxdp_and_its_defaults)
{
    const struct source_plan *source = &plan.worker[0].source[0];
    cr_assert_eq(compile_afxdp_sources("interface: eth0", "kind: afxdp, worker: a, interface: eth0, queue: 3, "
                                                          "descriptors: 64, packet: {payload: ethernet, vlan: 5}"),
                 0, "%s", errors.text);
    cr_assert_eq(source[0].kind, SOURCE_AFXDP);
    cr_assert_str_eq(source[0].afxdp.interface, "eth0");
    cr_assert_eq(source[0].afxdp.queue, 0);
    cr_assert_eq(source[0].afxdp.descriptors, 4096);
    cr_assert_eq(source[0].packet.form, PACKET_UDP);
    cr_assert_eq(source[0].packet.match, 0);
    cr_assert_eq(plan.ring[0].payload_offset, AFXDP_PAYLOAD_OFFSET_UDP);
    cr_assert_eq(plan.ring[0].slot_bytes, 2048, "a chunk of the kernel's");
    cr_assert_str_eq(plan.ring[0].stream.source, "afxdp");
    cr_assert_eq(source[1].afxdp.queue, 3);
    cr_assert_eq(source[1].afxdp.descriptors, 64);
    cr_assert_eq(source[1].packet.form, PACKET_ETHERNET);
    cr_assert_eq(source[1].packet.vlan, 5);
    cr_assert_eq(plan.ring[1].payload_offset, AFXDP_PAYLOAD_OFFSET_ETHERNET);
    cr_assert_eq(plan.ring[1].slot_bytes, 2112, "as it was said");
    cr_assert_eq(compile_afxdp_sources("interface: eth0, frame_bytes: 3776",
                                       "kind: afxdp, worker: b, interface: eth1, frame_bytes: 1728"),
                 0, "%s", errors.text);
    cr_assert_eq(plan.ring[0].slot_bytes, 4096);
    cr_assert_eq(compile_afxdp_sources("interface: eth0, frame_bytes: 3777",
                                       "kind: afxdp, worker: b, interface: eth1, frame_bytes: 1728"),
                 0, "%s", errors.text);
    cr_assert_eq(plan.ring[0].slot_bytes, 4160, "put together from pieces of a page");
}

Test(compile, what_afxdp_cannot_do)
{
    static const struct {
        const char *first;
        const char *second;
        const char *piece;
    } cases[] = {
        {"queue: 0", "", "expected the name of a network interface"},
        {"interface: a-name-that-is-too-long", "", "1 to 15 letters"},
        {"interface: \"a/b\"", "", "expected the name of a network interface"},
        {"interface: eth0, queue: 64", "", "queue"},
        {"interface: eth0, descriptors: 100", "", "power of two, found 100"},
        {"interface: eth0, descriptors: 32", "", "64"},
        {"interface: eth0, listen: \"0.0.0.0:1\"", "", "listen: belongs to kind: udp"},
        {"interface: eth0, port: x", "", "belongs to kind: dpdk"},
        {"interface: eth0, device: /dev/ttyS0", "", "device: belongs to kind: serial"},
        {"interface: eth0", "kind: afxdp, worker: a, interface: eth0", "a queue has one reader"},
        {"interface: eth0", "kind: afxdp, worker: b, interface: eth0, queue: 1", "one XDP program"},
        {"interface: eth0", "kind: udp, listen: \"0.0.0.0:5000\", queue: 1", "queue: belongs to kind: dpdk, afxdp"},
        {"interface: eth0", "kind: dpdk, worker: b, port: net_null0, queue: 1", "belongs to kind: afxdp"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_lt(compile_afxdp_sources(cases[i].first, cases[i].second), 0, "'%s' was accepted",
                     cases[i].first);
        cr_assert_not_null(strstr(errors.text, cases[i].piece), "'%s': expected '%s' in\n%s", cases[i].first,
                           cases[i].piece, errors.text);
    }
}

/* Without channels the interlock does not look at it: then a reader may hold it up. */
Test(compile, a_ring_that_nobody_watches_waits)
{
    static const char text[] =
        "instance: test\n"
        "readers_max: 512\n"
        "workers: [{name: a}]\n"
        "rings: [{name: one, slots: 1024, gating: {readers_max: 1%s}}]\n"
        "sources: [{name: u, kind: udp, worker: a, ring: one, listen: \"127.0.0.1:5000\"}]\n";
    static const struct {
        const char *words;
        uint32_t when_full;
    } cases[] = {
        {"", WHEN_FULL_WAIT}, {", when_full: wait", WHEN_FULL_WAIT}, {", when_full: drop", WHEN_FULL_DROP}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char whole[1024];
        char path[32];
        snprintf(whole, sizeof(whole), text, cases[i].words);
        cr_assert_eq(compile_text(whole, path), 0, "%s", errors.text);
        cr_assert_eq(plan.worker[0].source[0].when_full, cases[i].when_full);
        cr_assert_eq(plan.readers_max, 512);
    }
}
