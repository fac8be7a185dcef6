/* sluice doctor on pretended hosts: a good one, a bad one, one of which nothing can be read, and one whose files
 * are anything but what they should be. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/realtime.h"
#include "daq/arming_gate.h"
#include "daq/certificate.h"
#include "ring/numa.h"
#include "tools/doctor.h"

#define CPU "/sys/devices/system/cpu"

struct file {
    const char *path;
    const char *text;
};

static const struct file good[] = {
    {CPU "/online", "0-3\n"},
    {CPU "/isolated", "2-3\n"},
    {CPU "/nohz_full", "2-3\n"},
    {"/proc/cmdline", "quiet isolcpus=2-3 nohz_full=2-3 rcu_nocbs=2-3\n"},
    {CPU "/cpu2/cpufreq/scaling_governor", "performance\n"},
    {CPU "/cpu3/cpufreq/scaling_governor", "performance\n"},
    {CPU "/cpu2/cpuidle/state0/latency", "0\n"},
    {CPU "/cpu2/cpuidle/state0/disable", "0\n"},
    {CPU "/cpu2/cpuidle/state1/latency", "133\n"},
    {CPU "/cpu2/cpuidle/state1/disable", "1\n"},
    {CPU "/cpu3/cpuidle/state0/latency", "2\n"},
    {CPU "/cpu3/cpuidle/state0/disable", "0\n"},
    {CPU "/cpu2/topology/thread_siblings_list", "2\n"},
    {CPU "/cpu3/topology/thread_siblings_list", "3\n"},
    {"/proc/irq/24/smp_affinity_list", "0-3\n"},
    {"/proc/irq/24/effective_affinity_list", "1\n"},
    {"/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu tsc\n\nprocessor\t: 1\n"},
    {"/proc/version", "Linux version 6.1 #1 SMP PREEMPT_RT Debian\n"},
    {"/proc/sys/kernel/sched_rt_runtime_us", "-1\n"},
    {CPU "/../clocksource/clocksource0/current_clocksource", "tsc\n"},
    {"/proc/sys/kernel/watchdog", "0\n"},
    {"/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"},
    {"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "8\n"},
    {"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n"},
    {"/proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable:    4000000 kB\n"},
    {"/proc/swaps", "Filename\t\tType\n"},
    {"/proc/sys/vm/swappiness", "1\n"},
    {"/proc/self/limits",
     "Limit  Soft  Hard  Units\nMax locked memory         unlimited            unlimited  bytes\n"
     "Max realtime priority     98                   98                   \n"},
    {"/proc/self/status", "Name:\tsluice\nCapEff:\t000001ffffffffff\n"},
    {"/sys/class/watchdog/watchdog0/identity", "iTCO_wdt\n"},
    {"/sys/devices/system/node/has_memory", "0-1\n"},
    {CPU "/cpu2/node1/x", "\n"},
    {"/sys/class/net/eth7/device/numa_node", "1\n"},
};

/* What is different there; else as above. */
static const struct file bad[] = {
    {CPU "/online", "0-2\n"},
    {CPU "/isolated", "\n"},
    {CPU "/nohz_full", "(null)\n"},
    {"/proc/cmdline", "quiet\n"},
    {CPU "/cpu3/cpufreq/scaling_governor", "powersave\n"},
    {CPU "/cpu2/cpuidle/state1/disable", "0\n"},
    {CPU "/cpu2/topology/thread_siblings_list", "0,2\n"},
    {"/proc/irq/24/effective_affinity_list", "2\n"},
    {"/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor tsc\n"},
    {"/proc/version", "Linux version 6.1 #1 SMP\n"},
    {"/proc/sys/kernel/sched_rt_runtime_us", "950000\n"},
    {CPU "/../clocksource/clocksource0/current_clocksource", "hpet\n"},
    {"/proc/sys/kernel/watchdog", "1\n"},
    {"/proc/sys/kernel/watchdog_cpumask", "0-3\n"},
    {"/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"},
    {"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "2\n"},
    {"/proc/swaps", "Filename\t\tType\n/dev/sda2\tpartition\n"},
    {"/proc/sys/vm/swappiness", "60\n"},
    {"/proc/self/limits", "Limit  Soft\nMax locked memory         65536                65536  bytes\n"
                          "Max realtime priority     0                    0                    \n"},
    {"/proc/self/status", "CapEff:\t0000000000000000\n"},
    {"/sys/class/watchdog/watchdog0/identity", "Software Watchdog\n"},
    {"/sys/class/net/eth7/device/numa_node", "0\n"},
};

static struct doctor d;
static char root[] = "/tmp/doctor-XXXXXX";

static void make_folders(const char *path)
{
    char folder[512];
    snprintf(folder, sizeof(folder), "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(folder, 0755);
        *slash = '/';
    }
}

static void put_bytes(const char *path, const void *bytes, size_t count)
{
    char full[512];
    cr_assert(doctor_full_path(&d, path, full, sizeof(full)));
    make_folders(full);
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    cr_assert_geq(fd, 0, "%s", full);
    cr_assert_eq(write(fd, bytes, count), (ssize_t)count);
    close(fd);
}

static void put(const char *path, const char *text)
{
    put_bytes(path, text, strlen(text));
}

/* An instance that pins to 2 and 3, on 2 a busy SCHED_FIFO thread. */
static void setup(void)
{
    cr_assert_not_null(mkdtemp(root));
    d.root = root;
    d.need = (struct doctor_need){.name = "stand",
                                  .pinned = true,
                                  .control_pinned = true,
                                  .busy_fifo = true,
                                  .budget_ns = 500000,
                                  .pages = 1,
                                  .page = {{(size_t)2 << 20, NUMA_ANY, true, 5}},
                                  .ports = 1,
                                  .port = {{.name = "eth7", .core = 2}}};
    CPU_SET(2, &d.need.cores);
    CPU_SET(3, &d.need.cores);
    CPU_SET(2, &d.need.busy);
    snprintf(d.measures.why_not, sizeof(d.measures.why_not), "test");
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        put(good[i].path, good[i].text);
    }
}

static void make_bad(void)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        put(bad[i].path, bad[i].text);
    }
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", root);
    cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c): our own path */
}

static struct doctor_measures measured(uint64_t gap_ns, uint64_t late_ns)
{
    return (struct doctor_measures){
        .done = true,
        .seconds = 1,
        .cores = 2,
        .core = {{.core = 2, .span_ns = 500000000, .gap_max_ns = gap_ns, .timers = 500},
                 {.core = 3, .span_ns = 500000000, .gap_max_ns = 1000, .timers = 500, .timer_max_ns = late_ns}},
        .memcpy_bytes_per_s = UINT64_C(10000000000),
        .pairs = 1,
        .pair = {{2, 3, 20000, 80, 900}}};
}

TestSuite(doctor, .init = setup, .fini = teardown);

Test(doctor, good_host)
{
    d.measures = measured(30000, 60000);
    doctor_look(&d);
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        cr_assert_eq(d.finding[i].severity, DOCTOR_OK, "%s: %s", doctor_kinds[i].key, d.finding[i].found);
        cr_assert(!d.finding[i].fixable);
    }
    cr_assert_eq(doctor_verdict(&d), DOCTOR_OK);
    cr_assert_eq(doctor_exit_code(&d), 0);
    d.failed = 1;
    cr_assert_eq(doctor_exit_code(&d), 1, "a change that failed");
}

/* The same, not measured: not good. */
Test(doctor, not_measured)
{
    doctor_look(&d);
    cr_assert_eq(doctor_verdict(&d), DOCTOR_UNKNOWN);
    cr_assert_eq(doctor_exit_code(&d), 1);
    for (uint32_t i = DOCTOR_STALLS; i < DOCTOR_KEYS; i++) {
        cr_assert_eq(d.finding[i].severity, DOCTOR_UNKNOWN, "%s", doctor_kinds[i].key);
    }
}

Test(doctor, bad_host)
{
    static const enum doctor_severity expected[DOCTOR_KEYS] = {
        [DOCTOR_CORES] = DOCTOR_DANGER,         [DOCTOR_ISOLATION] = DOCTOR_WARNING,
        [DOCTOR_NOHZ_FULL] = DOCTOR_NOTE,       [DOCTOR_RCU_NOCBS] = DOCTOR_NOTE,
        [DOCTOR_GOVERNOR] = DOCTOR_WARNING,     [DOCTOR_IDLE_STATES] = DOCTOR_WARNING,
        [DOCTOR_SMT_SIBLINGS] = DOCTOR_WARNING, [DOCTOR_IRQ_AFFINITY] = DOCTOR_WARNING,
        [DOCTOR_HYPERVISOR] = DOCTOR_WARNING,   [DOCTOR_PREEMPTION] = DOCTOR_WARNING,
        [DOCTOR_RT_THROTTLING] = DOCTOR_DANGER, [DOCTOR_CLOCKSOURCE] = DOCTOR_DANGER,
        [DOCTOR_LOCKUP_DETECTOR] = DOCTOR_NOTE, [DOCTOR_THP] = DOCTOR_WARNING,
        [DOCTOR_HUGE_PAGES] = DOCTOR_DANGER,    [DOCTOR_SWAP] = DOCTOR_WARNING,
        [DOCTOR_SWAPPINESS] = DOCTOR_NOTE,      [DOCTOR_MEMLOCK] = DOCTOR_WARNING,
        [DOCTOR_RTPRIO] = DOCTOR_WARNING,       [DOCTOR_CAPABILITIES] = DOCTOR_WARNING,
        [DOCTOR_WATCHDOG] = DOCTOR_NOTE,        [DOCTOR_VFIO] = DOCTOR_OK,
        [DOCTOR_NIC_NODE] = DOCTOR_WARNING,     [DOCTOR_STALLS] = DOCTOR_DANGER,
        [DOCTOR_TIMER] = DOCTOR_WARNING,        [DOCTOR_BANDWIDTH] = DOCTOR_WARNING,
        [DOCTOR_PING_PONG] = DOCTOR_WARNING};
    make_bad();
    d.measures = measured(50000000, 1000000);
    d.measures.memcpy_bytes_per_s = 1000;
    d.measures.pair[0].p50_ns = 5000;
    doctor_look(&d);
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        cr_assert_eq(d.finding[i].severity, expected[i], "%s: %s", doctor_kinds[i].key, d.finding[i].found);
        cr_assert_gt(strlen(doctor_remedy(&d, (enum doctor_key)i)), 10);
    }
    cr_assert_eq(doctor_exit_code(&d), 3);
    cr_assert_eq(d.changes, 6, "%u", d.changes);
    for (uint32_t i = 0; i < d.changes; i++) {
        cr_assert(doctor_may_write(d.change[i].path), "%s", d.change[i].path);
    }
}

/* A host of which nothing can be read is never called good, for any key. */
Test(doctor, nothing_to_read)
{
    static struct doctor empty;
    empty.need = d.need;
    empty.root = "/nonexistent";
    empty.need.page[0].count = 0;
    doctor_look(&empty);
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        if (i != DOCTOR_VFIO) { /* no dpdk source: nothing is asked of the host */
            cr_assert_geq(empty.finding[i].severity, DOCTOR_UNKNOWN, "%s: %s", doctor_kinds[i].key,
                          empty.finding[i].found);
        }
    }
    cr_assert_eq(empty.changes, 0);
    cr_assert_eq(doctor_exit_code(&empty), 1);
}

/* Every file of the good host in turn replaced by anything: whoever reads it does not say that it is good. */
static void spoil(const struct file *file, const void *bytes, size_t count)
{
    uint32_t good_before = 0;
    uint32_t good_after = 0;
    put(file->path, file->text);
    doctor_look(&d);
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        good_before += d.finding[i].severity == DOCTOR_OK;
    }
    put_bytes(file->path, bytes, count);
    doctor_look(&d);
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        good_after += d.finding[i].severity == DOCTOR_OK;
    }
    /* These have another source, or are read only if something is wrong. */
    static const char *const spare[] = {"nr_hugepages", "meminfo", "limits", "smp_affinity_list",
                                        "has_memory",   "/x",      "disable"};
    bool has_spare = false;
    for (size_t i = 0; i < sizeof(spare) / sizeof(spare[0]); i++) {
        has_spare = has_spare || strstr(file->path, spare[i]) != NULL;
    }
    cr_assert(good_after < good_before || has_spare, "%s: %u, %u", file->path, good_before, good_after);
    /* Without the effective one, where it may go counts. */
    cr_assert(d.changes == 0 || strstr(file->path, "effective") != NULL, "%s", file->path);
    put(file->path, file->text);
}

Test(doctor, hostile_content, .timeout = 60)
{
    static char huge[200000];
    static const char binary[] = {'2', 0, (char)0xff, (char)0x80, '-', '\n', 27, '[', '2', 'J'};
    memset(huge, '9', sizeof(huge));
    d.measures = measured(1000, 1000);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        spoil(&good[i], huge, sizeof(huge));
        spoil(&good[i], binary, sizeof(binary));
        spoil(&good[i], "", 0);
    }
}

Test(doctor, fifo_in_place_of_a_file)
{
    char full[512];
    cr_assert(doctor_full_path(&d, "/proc/version", full, sizeof(full)));
    unlink(full);
    cr_assert_eq(mkfifo(full, 0644), 0);
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_PREEMPTION].severity, DOCTOR_UNKNOWN);
}

Test(doctor, throttling)
{
    put("/proc/sys/kernel/sched_rt_runtime_us", "950000\n");
    doctor_look(&d);
    cr_assert(d.finding[DOCTOR_RT_THROTTLING].fixable);
    put(CPU "/online", "2\n");
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_RT_THROTTLING].severity, DOCTOR_DANGER);
    cr_assert(!d.finding[DOCTOR_RT_THROTTLING].fixable, "no core is left for the rest");
    put(CPU "/online", "0-3\n");
    d.need.busy_anywhere = true;
    doctor_look(&d);
    cr_assert(!d.finding[DOCTOR_RT_THROTTLING].fixable, "it has no core of its own");
    d.need.busy_fifo = false;
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_RT_THROTTLING].severity, DOCTOR_NOTE);
    d.need.busy_unknown = true;
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_RT_THROTTLING].severity, DOCTOR_UNKNOWN);
    d.need.name[0] = 0;
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_RT_THROTTLING].severity, DOCTOR_WARNING);
    cr_assert(!d.finding[DOCTOR_RT_THROTTLING].fixable);
}

/* What could not be written into the undo file is not proposed. */
Test(doctor, values_that_are_none)
{
    put(CPU "/cpu2/cpufreq/scaling_governor", "power\tsave\nend\n");
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_GOVERNOR].severity, DOCTOR_WARNING);
    cr_assert_null(strpbrk(d.finding[DOCTOR_GOVERNOR].found, "\t\n"));
    cr_assert_eq(d.changes, 0);
}

/* The doctor, the supervisor's gate and the control thread say the same of this host. */
Test(doctor, agrees_with_the_gate)
{
    static struct doctor here;
    char text[64];
    here.root = "";
    here.need = d.need;
    doctor_look(&here);
    if (doctor_read(&here, "/proc/sys/kernel/sched_rt_runtime_us", text, sizeof(text)) > 0) {
        cr_assert_eq(gate_unthrottled(text), !realtime_is_throttled());
        cr_assert_eq(here.finding[DOCTOR_RT_THROTTLING].severity == DOCTOR_OK, gate_unthrottled(text));
    }
    if (doctor_read(&here, "/sys/devices/system/clocksource/clocksource0/current_clocksource", text, sizeof(text)) >
        0) {
        cr_assert_eq(here.finding[DOCTOR_CLOCKSOURCE].severity == DOCTOR_OK, gate_clock_source_ok(text));
    }
    static const char *const throttled[] = {"", "0", "-2", "-1 ", "950000", "1000000"};
    for (size_t i = 0; i < sizeof(throttled) / sizeof(throttled[0]); i++) {
        cr_assert(!gate_unthrottled(throttled[i]), "'%s'", throttled[i]);
    }
    cr_assert(gate_unthrottled("-1"));
}

/* A core that could not be measured is not good; beyond the budget is bad all the same. */
Test(doctor, judgement)
{
    d.measures = measured(1000, 1000);
    d.measures.core[1] = (struct doctor_core){.core = 3};
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_STALLS].severity, DOCTOR_UNKNOWN);
    cr_assert_eq(d.finding[DOCTOR_TIMER].severity, DOCTOR_UNKNOWN);
    d.measures.core[0].gap_max_ns = 500001;
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_STALLS].severity, DOCTOR_DANGER);
    d.need.budget_ns = 0;
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_STALLS].severity, DOCTOR_UNKNOWN, "1 ms where none is configured");
    d.measures = measured(1000, 1000);
    d.measures.cores_left_out = 1;
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_STALLS].severity, DOCTOR_UNKNOWN);
    cr_assert_eq(d.finding[DOCTOR_PING_PONG].severity, DOCTOR_UNKNOWN);
    d.measures.memcpy_bytes_per_s = 0;
    d.measures.pairs = 0;
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_BANDWIDTH].severity, DOCTOR_UNKNOWN);
    cr_assert_eq(d.finding[DOCTOR_PING_PONG].severity, DOCTOR_UNKNOWN);
}

/* One core has nobody to exchange lines with; that alone is nothing unknown. */
Test(doctor, one_core)
{
    d.measures = measured(1000, 1000);
    d.measures.cores = 1;
    d.measures.pairs = 0;
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_PING_PONG].severity, DOCTOR_NOTE);
    d.measures.cores_left_out = 1;
    doctor_look(&d);
    cr_assert_eq(d.finding[DOCTOR_PING_PONG].severity, DOCTOR_UNKNOWN);
}

/* Good or bad, of this host's boot, and counted as found. */
Test(doctor, certified)
{
    struct certificate left;
    struct error err = {{0}};
    d.root = "";
    d.need.checksum = 0x1234;
    d.measures = measured(1000, 1000);
    cr_assert_eq(setenv("SLUICE_RUN_DIR", root, 1), 0);
    doctor_reset(&d); /* everything is unknown */
    doctor_find(&d, DOCTOR_CORES, DOCTOR_DANGER, "bad");
    doctor_find(&d, DOCTOR_SWAP, DOCTOR_WARNING, "not so good");
    cr_assert_eq(doctor_certify(&d, &err), 0, "%s", err.text);
    cr_assert_eq(certificate_read(d.certified, &left), 0, "%s", d.certified);
    cr_assert(left.checksum == 0x1234 && left.seconds == 1);
    cr_assert_eq(left.dangers, 1);
    cr_assert_eq(left.unknowns, DOCTOR_KEYS - 2);
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        doctor_find(&d, (enum doctor_key)i, DOCTOR_WARNING, "nobody dies of it");
    }
    cr_assert_eq(doctor_certify(&d, &err), 0, "%s", err.text);
    cr_assert(certificate_read(d.certified, &left) == 0 && left.dangers == 0 && left.unknowns == 0);
}

/* What was not measured, on another host, or for nothing, is never certified. */
Test(doctor, not_certified)
{
    struct error err = {{0}};
    cr_assert_eq(setenv("SLUICE_RUN_DIR", root, 1), 0);
    d.measures = measured(1000, 1000);
    cr_assert_eq(doctor_certify(&d, &err), -EINVAL, "a tree of files");
    d.root = "";
    d.measures.done = false;
    cr_assert_eq(doctor_certify(&d, &err), -EINVAL);
    d.measures = measured(1000, 1000);
    d.measures.seconds = 0;
    cr_assert_eq(doctor_certify(&d, &err), -EINVAL);
    d.measures.seconds = 1;
    d.need.name[0] = 0;
    cr_assert_eq(doctor_certify(&d, &err), -EINVAL);
    cr_assert(err.text[0] != 0 && d.certified[0] == 0);
}

/* --undo leaves another host than the certified one; below another root it does not. */
Test(doctor, withdrawn)
{
    char path[512];
    FILE *say = fopen("/dev/null", "we");
    cr_assert_not_null(say);
    cr_assert_eq(setenv("SLUICE_RUN_DIR", root, 1), 0);
    put("/stand.doctor", "x");
    put("/other.doctor", "x");
    put("/stand.doctors", "x");
    put("/folder.doctor/server.lock", "x");
    doctor_withdraw(&d, say);
    cr_assert(doctor_full_path(&d, "/stand.doctor", path, sizeof(path)) && access(path, F_OK) == 0);
    cr_assert_str_eq(d.root, root);
    d.root = "";
    doctor_withdraw(&d, say);
    d.root = root;
    fclose(say);
    cr_assert_eq(access(path, F_OK), -1);
    cr_assert(doctor_full_path(&d, "/other.doctor", path, sizeof(path)) && access(path, F_OK) == -1);
    cr_assert(doctor_full_path(&d, "/stand.doctors", path, sizeof(path)) && access(path, F_OK) == 0);
    cr_assert(doctor_full_path(&d, "/folder.doctor/server.lock", path, sizeof(path)) && access(path, F_OK) == 0);
    cr_assert_eq(d.failed, 0);
}

/* Nothing is asserted of the times: only that what there is was measured. */
Test(doctor, measuring, .timeout = 60)
{
    CPU_ZERO(&d.need.cores);
    cr_assert_eq(sched_getaffinity(0, sizeof(d.need.cores), &d.need.cores), 0);
    doctor_measure(&d, 1);
    cr_assert(d.measures.done);
    cr_assert_geq(d.measures.cores, 1);
    for (uint32_t i = 0; i < d.measures.cores; i++) {
        cr_assert(d.measures.core[i].pinned);
        cr_assert_geq(d.measures.core[i].span_ns, 500000000);
        cr_assert_geq(d.measures.core[i].timers, 400);
        cr_assert_leq(d.measures.core[i].timer_p50_ns, d.measures.core[i].timer_max_ns);
    }
    cr_assert_gt(d.measures.memcpy_bytes_per_s, 0);
}

Test(doctor, core_that_is_not_there)
{
    CPU_ZERO(&d.need.cores);
    CPU_SET(CPU_SETSIZE - 1, &d.need.cores);
    doctor_measure(&d, 1);
    doctor_look(&d);
    for (uint32_t i = DOCTOR_STALLS; i < DOCTOR_KEYS; i++) {
        cr_assert_eq(d.finding[i].severity, DOCTOR_UNKNOWN, "%s", doctor_kinds[i].key);
    }
}

Test(doctor_parse, cores)
{
    static const char *const lists[] = {"", "0", "0-3", "0,2,4-7", "1023"};
    static const char *const wrong[] = {"a", "-1", "1-", "3-1", "1,", ",1", "1024", "99999999999", "1 2", "1--2"};
    cpu_set_t set;
    char text[64];
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        cr_assert(doctor_parse_cores(lists[i], &set), "'%s'", lists[i]);
        doctor_print_cores(&set, text, sizeof(text));
        cr_assert_str_eq(text, lists[i]);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert(!doctor_parse_cores(wrong[i], &set), "'%s'", wrong[i]);
    }
    cr_assert(doctor_parse_cores("0,2,4,6,8,10,12,14,16", &set));
    doctor_print_cores(&set, text, 10);
    cr_assert_str_eq(text, "0,2,4,6..");
}

Test(doctor_parse, small_languages)
{
    char word[16];
    uint64_t value;
    cr_assert(doctor_parse_chosen("always [madvise] never", word, sizeof(word)));
    cr_assert_str_eq(word, "madvise");
    cr_assert(!doctor_parse_chosen("always madvise", word, sizeof(word)));
    cr_assert(!doctor_parse_chosen("[", word, sizeof(word)));
    cr_assert(!doctor_parse_chosen("[abcdefghijklmnopqrs]", word, sizeof(word)));
    cr_assert(doctor_parse_option("a rcu_nocbs=1-2 b", "rcu_nocbs", word, sizeof(word)));
    cr_assert_str_eq(word, "1-2");
    cr_assert(!doctor_parse_option("a xrcu_nocbs=1-2 rcu_nocbs", "rcu_nocbs", word, sizeof(word)));
    cr_assert(!doctor_parse_field("CapEffX:\tff\n", "CapEff:", 16, &value));
    cr_assert(!doctor_parse_field("CapEff:\tzz\n", "CapEff:", 16, &value));
    cr_assert(!doctor_parse_field("CapEff:\t-1\n", "CapEff:", 16, &value));
    cr_assert(!doctor_parse_field("CapEff:\tfffffffffffffffff\n", "CapEff:", 16, &value));
    cr_assert(doctor_parse_limit("Max locked memory  unlimited  unlimited\n", "Max locked memory", &value));
    cr_assert_eq(value, DOCTOR_LIMIT_NO_MORE);
}

Test(doctor_undo, file)
{
    static struct doctor_undo undo;
    struct error err;
    static const char whole[] = "sluice doctor undo 1\nroot\t/\nboot\tab-1\n"
                                "change\t/proc/sys/vm/swappiness\t60\t10\nend\n";
    static const char *const wrong[] = {
        "",
        "end\n",
        "sluice doctor undo 2\nroot\t/\nboot\tx\nend\n",
        "sluice doctor undo 1\nroot\t/\nboot\tx\n",
        "sluice doctor undo 1\nroot\t/\nend\n",
        "sluice doctor undo 1\nroot\t/\nboot\tx\nend\nmore\n",
        "sluice doctor undo 1\nroot\t/\nboot\tx\nchange\t/etc/passwd\ta\tb\nend\n",
        "sluice doctor undo 1\nroot\t/\nboot\tx\nchange\t/proc/irq/../sys/kernel/core_pattern\ta\tb\nend\n",
        "sluice doctor undo 1\nroot\t/\nboot\tx\nchange\t/proc/irq//smp_affinity_list\ta\tb\nend\n",
        "sluice doctor undo 1\nroot\t/\nboot\tx\nchange\t/proc/sys/vm/swappiness\t60\nend\n",
        "sluice doctor undo 1\nroot\t/\nboot\tx\nchange\t/proc/sys/vm/swappiness\t\t60\nend\n",
        "sluice doctor undo 1\nroot\t/\nboot\tx\nchange\t/proc/sys/vm/swappiness\t1\t2\t3\nend\n"};
    cr_assert(doctor_undo_parse(whole, strlen(whole), &undo, &err));
    cr_assert_eq(undo.entries, 1);
    cr_assert_str_eq(undo.entry[0].from, "60");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        err.text[0] = 0;
        cr_assert(!doctor_undo_parse(wrong[i], strlen(wrong[i]), &undo, &err), "%zu", i);
        cr_assert_neq(err.text[0], 0);
    }
    cr_assert(!doctor_undo_parse(whole, strlen(whole) + 1, &undo, &err), "a 0 in it");
}
