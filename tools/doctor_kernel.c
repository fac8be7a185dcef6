/* How the kernel shares the cores out, and what its clock is. */
#include <errno.h>
#include <string.h>

#include "daq/arming_gate.h"
#include "tools/doctor.h"

#define RT_RUNTIME "/proc/sys/kernel/sched_rt_runtime_us"
#define CLOCK      "/sys/devices/system/clocksource/clocksource0/current_clocksource"

static void look_preemption(struct doctor *d)
{
    static const char path[] = "/proc/version";
    char text[1024];
    int n = doctor_read(d, path, text, sizeof(text));
    if (n <= 0) {
        doctor_unreadable(d, DOCTOR_PREEMPTION, path, n < 0 ? n : -ENODATA);
    } else if (strstr(text, " PREEMPT_RT") != NULL) {
        doctor_find(d, DOCTOR_PREEMPTION, DOCTOR_OK, "PREEMPT_RT");
    } else if (strstr(text, " PREEMPT_DYNAMIC") != NULL) {
        doctor_find(d, DOCTOR_PREEMPTION, DOCTOR_NOTE,
                    "PREEMPT_DYNAMIC: preemptible if booted with preempt=full, but not in interrupts");
    } else if (strstr(text, " PREEMPT") != NULL) {
        doctor_find(d, DOCTOR_PREEMPTION, DOCTOR_NOTE, "PREEMPT: preemptible, but not in interrupts");
    } else {
        doctor_find(d, DOCTOR_PREEMPTION, DOCTOR_WARNING, "a kernel that is not preemptible");
    }
}

/* Without throttling a busy thread keeps its core for ever: each must have one, and another core be left. */
static bool is_room_left(const struct doctor *d)
{
    char text[4096];
    cpu_set_t online;
    cpu_set_t kept;
    if (d->need.busy_anywhere || doctor_read(d, "/sys/devices/system/cpu/online", text, sizeof(text)) < 0 ||
        !doctor_parse_cores(text, &online)) {
        return false;
    }
    CPU_AND(&kept, &online, &d->need.busy);
    return CPU_COUNT(&kept) < CPU_COUNT(&online);
}

static void find_throttled(struct doctor *d, const char *runtime)
{
    doctor_find(d, DOCTOR_RT_THROTTLING, DOCTOR_DANGER,
                "%s us in a second, and %s has a busy SCHED_FIFO thread: it will be stopped", runtime,
                d->need.name);
    if (is_room_left(d)) {
        doctor_propose(d, DOCTOR_RT_THROTTLING, RT_RUNTIME, runtime, "-1");
    } else {
        doctor_advise(d, DOCTOR_RT_THROTTLING,
                      "use idle: duty; with -1 its busy threads would leave the rest of the "
                      "machine no core for certain: pin each, and leave one free");
    }
}

/* The trap: it is on by default, and bites just the threads that are meant to be safe from others. */
static void look_throttling(struct doctor *d)
{
    char text[64];
    int64_t runtime_us;
    int n = doctor_read(d, RT_RUNTIME, text, sizeof(text));
    if (n <= 0 || !doctor_parse_number(text, &runtime_us)) {
        doctor_unreadable(d, DOCTOR_RT_THROTTLING, RT_RUNTIME, n < 0 ? n : -EBADMSG);
    } else if (gate_unthrottled(text)) {
        doctor_find(d, DOCTOR_RT_THROTTLING, DOCTOR_OK, "-1: no thread is throttled");
    } else if (d->need.busy_fifo) {
        find_throttled(d, text);
    } else if (d->need.name[0] == 0) {
        doctor_find(d, DOCTOR_RT_THROTTLING, DOCTOR_WARNING,
                    "%s us in a second: a trap for policy: fifo with idle: busy", text);
    } else if (d->need.busy_unknown) {
        doctor_find(d, DOCTOR_RT_THROTTLING, DOCTOR_UNKNOWN,
                    "%s us in a second; workers of %s are SCHED_FIFO, and whether one never sleeps is not told",
                    text, d->need.name);
        doctor_advise(d, DOCTOR_RT_THROTTLING, "say --config FILE instead");
    } else {
        doctor_find(d, DOCTOR_RT_THROTTLING, DOCTOR_NOTE,
                    "%s us in a second; %s has no SCHED_FIFO thread that never sleeps", text, d->need.name);
        doctor_advise(d, DOCTOR_RT_THROTTLING, "leave it, and leave policy and idle as they are");
    }
}

static void look_clock(struct doctor *d)
{
    char text[64];
    int n = doctor_read(d, CLOCK, text, sizeof(text));
    if (n <= 0) {
        doctor_unreadable(d, DOCTOR_CLOCKSOURCE, CLOCK, n < 0 ? n : -ENODATA);
    } else {
        doctor_find(d, DOCTOR_CLOCKSOURCE, gate_clock_source_ok(text) ? DOCTOR_OK : DOCTOR_DANGER, "%s", text);
    }
}

static void look_lockup(struct doctor *d)
{
    static const char on_path[] = "/proc/sys/kernel/watchdog";
    static const char mask_path[] = "/proc/sys/kernel/watchdog_cpumask";
    char text[1024];
    int64_t on;
    cpu_set_t set;
    int code = doctor_read_number(d, on_path, &on);
    if (code != 0) {
        doctor_unreadable(d, DOCTOR_LOCKUP_DETECTOR, on_path, code);
        return;
    }
    if (on == 0) {
        doctor_find(d, DOCTOR_LOCKUP_DETECTOR, DOCTOR_OK, "it is off");
        return;
    }
    int n = doctor_read(d, mask_path, text, sizeof(text));
    if (n < 0 || !doctor_parse_cores(text, &set)) {
        doctor_unreadable(d, DOCTOR_LOCKUP_DETECTOR, mask_path, n < 0 ? n : -EBADMSG);
        return;
    }
    CPU_AND(&set, &set, &d->need.cores);
    doctor_find(d, DOCTOR_LOCKUP_DETECTOR, CPU_COUNT(&set) > 0 ? DOCTOR_NOTE : DOCTOR_OK,
                "it is on, on cores %.200s", text);
}

void doctor_look_kernel(struct doctor *d)
{
    look_preemption(d);
    look_throttling(d);
    look_clock(d);
    look_lockup(d);
}

void doctor_look(struct doctor *d)
{
    doctor_reset(d);
    doctor_look_cpu(d);
    doctor_look_irqs(d);
    doctor_look_kernel(d);
    doctor_look_memory(d);
    doctor_look_limits(d);
    doctor_look_devices(d);
    doctor_judge(d);
}
