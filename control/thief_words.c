#include "control/thief_words.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

static const char *const keys[THIEF_KINDS] = {
    [THIEF_NONE] = "unknown", [THIEF_TASK] = "task",       [THIEF_IDLE] = "idle",   [THIEF_WAKE] = "wake",
    [THIEF_IRQ] = "irq",      [THIEF_SOFTIRQ] = "softirq", [THIEF_TIMER] = "timer", [THIEF_IPI] = "ipi",
    [THIEF_NMI] = "nmi",      [THIEF_STOPPED] = "stopped", [THIEF_SLEEP] = "sleep", [THIEF_HOST] = "host"};

const char *thief_key(uint32_t kind)
{
    return kind < THIEF_KINDS ? keys[kind] : "unknown";
}

void thief_make_plain(char *text, size_t bytes)
{
    text[bytes - 1] = 0;
    for (char *c = text; *c != 0; c++) {
        *c = (char)(*c >= 0x20 && *c < 0x7f ? *c : '?');
    }
}

/* As the kernel numbers them: include/linux/interrupt.h. */
static const char *softirq_name(int32_t vector)
{
    static const char *const names[] = {"HI",       "TIMER",   "NET_TX", "NET_RX",  "BLOCK",
                                        "IRQ_POLL", "TASKLET", "SCHED",  "HRTIMER", "RCU"};
    return vector >= 0 && (size_t)vector < sizeof(names) / sizeof(names[0]) ? names[vector] : "?";
}

static const char *ipi_name(int32_t which)
{
    static const char *const names[THIEF_IPIS] = {"reschedule", "function call", "single function call", "IRQ work",
                                                  "platform interrupt"};
    return which >= 0 && which < (int32_t)THIEF_IPIS ? names[which] : "?";
}

/* Those that a sealed thread may wait in. */
static const char *call_name(int32_t call)
{
    switch (call) {
    case SYS_write:
        return "write";
    case SYS_pwrite64:
        return "pwrite";
    case SYS_sendto:
        return "sendto";
    case SYS_ioctl:
        return "ioctl";
    case SYS_unlink:
        return "unlink";
    default:
        return NULL;
    }
}

static bool is_nap(int32_t call)
{
    return call == SYS_clock_nanosleep || call == SYS_restart_syscall;
}

static void say_sleep(int32_t call, char *text)
{
    const char *name = call_name(call);
    if (is_nap(call)) {
        snprintf(text, THIEF_WORDS_BYTES, "it slept longer than it asked: its timer came late");
    } else if (call < 0) {
        snprintf(text, THIEF_WORDS_BYTES, "it waited in the kernel, in no system call (a page fault)");
    } else if (name != NULL) {
        snprintf(text, THIEF_WORDS_BYTES, "it waited in %s()", name);
    } else {
        snprintf(text, THIEF_WORDS_BYTES, "it waited in system call %d", call);
    }
}

static void say_stopped(const struct culprit *culprit, char *text)
{
    const char *signal_name = culprit->what > 0 ? sigabbrev_np(culprit->what) : NULL;
    if (signal_name == NULL) {
        snprintf(text, THIEF_WORDS_BYTES, "stopped (by a tracer, or a signal from before it was watched)");
    } else {
        snprintf(text, THIEF_WORDS_BYTES, "stopped by SIG%s from %s (pid %u)", signal_name, culprit->name,
                 culprit->pid);
    }
}

void thief_who(const struct culprit *culprit, char text[THIEF_WORDS_BYTES])
{
    switch (culprit->kind) {
    case THIEF_TASK:
        if (culprit->pid == 0) { /* not to be seen from here */
            snprintf(text, THIEF_WORDS_BYTES, "%s (of another pid namespace) ran", culprit->name);
        } else {
            snprintf(text, THIEF_WORDS_BYTES, "%s (pid %u) ran", culprit->name, culprit->pid);
        }
        break;
    case THIEF_IDLE:
        snprintf(text, THIEF_WORDS_BYTES, "throttled: the core idled although the thread could have run");
        break;
    case THIEF_WAKE:
        snprintf(text, THIEF_WORDS_BYTES, "the idle core was slow to take it up");
        break;
    case THIEF_IRQ:
        snprintf(text, THIEF_WORDS_BYTES, "interrupt %d (%s)", culprit->what,
                 culprit->name[0] != 0 ? culprit->name : "?");
        break;
    case THIEF_SOFTIRQ:
        snprintf(text, THIEF_WORDS_BYTES, "softirq %s", softirq_name(culprit->what));
        break;
    case THIEF_TIMER:
        snprintf(text, THIEF_WORDS_BYTES, "timer interrupt");
        break;
    case THIEF_IPI:
        snprintf(text, THIEF_WORDS_BYTES, "another core's %s", ipi_name(culprit->what));
        break;
    case THIEF_NMI:
        snprintf(text, THIEF_WORDS_BYTES, "NMI");
        break;
    case THIEF_STOPPED:
        say_stopped(culprit, text);
        break;
    case THIEF_SLEEP:
        say_sleep(culprit->what, text);
        break;
    case THIEF_HOST:
        snprintf(text, THIEF_WORDS_BYTES, "the hypervisor or firmware: no event of this kernel tells of it");
        break;
    default:
        snprintf(text, THIEF_WORDS_BYTES, "unknown");
        break;
    }
}

const char *thief_remedy(const struct culprit *culprit)
{
    switch (culprit->kind) {
    case THIEF_TASK:
        return "keep other work off the core: isolcpus= or a cpuset, or a higher real-time priority";
    case THIEF_IDLE:
        return "real-time throttling: write -1 to /proc/sys/kernel/sched_rt_runtime_us, or use idle: duty; of an "
               "ordinary "
               "thread its cgroup's cpu.max";
    case THIEF_WAKE:
        return "idle states: boot with intel_idle.max_cstate=1 or idle=poll, or use idle: busy";
    case THIEF_IRQ:
        return "move the interrupt to another core: /proc/irq/N/smp_affinity_list";
    case THIEF_SOFTIRQ:
        return "keep the traffic or timers that cause it off the core (interrupt and RPS affinity)";
    case THIEF_TIMER:
        return "boot with nohz_full= for the core";
    case THIEF_IPI:
        return "isolate the core (isolcpus=, nohz_full=, rcu_nocbs=)";
    case THIEF_STOPPED:
        return "do not stop it: no debugger, no job control";
    case THIEF_SLEEP:
        if (is_nap(culprit->what)) {
            return "deep idle states (boot with processor.max_cstate=1 or idle=poll), a busy hypervisor, or use "
                   "idle: busy";
        }
        return "outputs and pages that make the thread wait: datagrams instead of files, lock_memory";
    case THIEF_HOST:
        return "give the virtual machine cores of its own; on bare metal look for SMIs (turbostat, hwlat tracer)";
    default:
        return "";
    }
}
