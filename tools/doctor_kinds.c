/* Every finding there can be. sluice(1) lists the keys, and a test compares. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "tools/doctor.h"

const struct doctor_kind doctor_kinds[DOCTOR_KEYS] = {
    [DOCTOR_CORES] = {"cores", "pinned", "control and workers each pinned to a core that is online",
                      "a thread without a core of its own waits for whatever runs there",
                      "set control.core and workers[].core to cores that are online"},
    [DOCTOR_ISOLATION] = {"isolation", NULL, "the pinned cores isolated from the scheduler",
                          "other tasks and the kernel's fair server (50 ms a second) take the core otherwise",
                          "boot with isolcpus=CORES, or keep others off by a cpuset"},
    [DOCTOR_NOHZ_FULL] = {"nohz_full", NULL, "no timer tick on the pinned cores",
                          "each tick takes 10 to 50 us from a thread that never sleeps",
                          "boot with nohz_full=CORES"},
    [DOCTOR_RCU_NOCBS] = {"rcu_nocbs", NULL, "no RCU callbacks on the pinned cores",
                          "the kernel frees memory of others there, in the middle of a cycle",
                          "boot with rcu_nocbs=CORES (nohz_full implies it)"},
    [DOCTOR_GOVERNOR] = {"governor", NULL, "governor performance on every core that is used",
                         "a core that was slowed down needs up to milliseconds to be fast again",
                         "write performance to scaling_governor"},
    [DOCTOR_IDLE_STATES] = {"idle_states", NULL, "no idle state that takes longer than 20 us to leave",
                            "a sleeping core wakes that much later",
                            "boot with processor.max_cstate=1, or hold /dev/cpu_dma_latency at 0"},
    [DOCTOR_SMT_SIBLINGS] = {"smt_siblings", NULL, "the sibling threads of pinned cores unused",
                             "a sibling takes half the core and half its caches",
                             "switch SMT off (/sys/devices/system/cpu/smt/control), or leave the siblings idle"},
    [DOCTOR_IRQ_AFFINITY] = {"irq_affinity", NULL, "no device interrupt on the pinned cores",
                             "an interrupt stops any thread, of whatever priority",
                             "take the cores out of /proc/irq/N/smp_affinity_list; see to irqbalance"},
    [DOCTOR_HYPERVISOR] = {"hypervisor", NULL, "no hypervisor below the kernel",
                           "a host may take a core for milliseconds, and nothing in here sees it coming",
                           "use a real machine for a valve that matters, or have the host give its cores away"},
    [DOCTOR_PREEMPTION] = {"preemption", NULL, "kernel with PREEMPT_RT",
                           "another kernel lets a driver hold the core as long as it likes",
                           "boot the distribution's rt kernel (Debian: linux-image-rt-amd64)"},
    [DOCTOR_RT_THROTTLING] = {"rt_throttling", "unthrottled",
                              "sched_rt_runtime_us -1, or no busy SCHED_FIFO thread",
                              "a busy SCHED_FIFO thread is stopped for about 50 ms in every second",
                              "use idle: duty; or set it to -1: a busy SCHED_FIFO thread can then keep a core for "
                              "ever, so give it one that nothing else needs"},
    [DOCTOR_CLOCKSOURCE] = {"clocksource", "clock", "tsc, kvm-clock or another that is read without a system call",
                            "the arming gate refuses others: each reading costs microseconds",
                            "see why the kernel gave the TSC up (dmesg); boot with tsc=reliable if it is"},
    [DOCTOR_LOCKUP_DETECTOR] = {"lockup_detector", NULL, "no lockup detector on the pinned cores",
                                "its threads and NMIs interrupt them",
                                "boot with nowatchdog, or take the cores out of kernel.watchdog_cpumask"},
    [DOCTOR_THP] = {"transparent_huge_pages", NULL, "madvise or never",
                    "khugepaged moves memory under a running thread",
                    "write madvise to transparent_hugepage/enabled"},
    [DOCTOR_HUGE_PAGES] = {"huge_pages", "pages", "free huge pages for every ring that asks for them",
                           "a ring on small pages misses the TLB, and the gate refuses one that it watches",
                           "reserve more (nr_hugepages), best right after the start"},
    [DOCTOR_SWAP] = {"swap", NULL, "no swap", "memory that is not locked may have to come back from a disk first",
                     "swapoff -a, and memory.lock: true"},
    [DOCTOR_SWAPPINESS] = {"swappiness", NULL, "10 or less", "the kernel pages out what is used, to cache files",
                           "write 10 to /proc/sys/vm/swappiness"},
    [DOCTOR_MEMLOCK] = {"memlock", "locked", "all memory may be locked",
                        "a page fault on the way to the valve takes from microseconds to a disk's time",
                        "start as root, or LimitMEMLOCK=infinity"},
    [DOCTOR_RTPRIO] = {"rtprio", "unthrottled", "SCHED_FIFO allowed",
                       "an ordinary thread waits for any busy process", "start as root, or LimitRTPRIO=98"},
    [DOCTOR_CAPABILITIES] = {"capabilities", NULL, "sys_nice, ipc_lock, net_admin, net_raw, sys_rawio, bpf",
                             "without them pinning, locking, card and packet sources are refused",
                             "start as root, or give them with AmbientCapabilities"},
    [DOCTOR_WATCHDOG] = {"watchdog", NULL, "a hardware watchdog", "nothing else acts when the whole machine hangs",
                         "fit one and set control.watchdog, or a heartbeat output; softdog is none"},
    [DOCTOR_VFIO] = {"vfio", NULL, "every card that a dpdk source drives bound to vfio-pci, behind an IOMMU",
                     "without an IOMMU a card's wrong address overwrites anybody's memory",
                     "intel_iommu=on or amd_iommu=on, then dpdk-devbind.py -b vfio-pci ADDRESS"},
    [DOCTOR_NIC_NODE] = {"nic_node", NULL, "each card on the NUMA node of the core that polls it",
                         "every frame crosses the machine's interconnect otherwise",
                         "poll it on a core of its node (workers[].core, sources[].core)"},
    [DOCTOR_STALLS] = {"stalls", "latency", "no gap of a busy loop beyond the cycle budget",
                       "what takes the core so long makes a decision that late",
                       "see isolation, irq_affinity, hypervisor; measure longer (--seconds)"},
    [DOCTOR_TIMER] = {"timer_lateness", "latency", "a 1 ms timer less late than the cycle budget",
                      "idle: duty and wait sleep on such a timer", "see idle_states and preemption; or idle: busy"},
    [DOCTOR_BANDWIDTH] = {"memory_bandwidth", NULL, "memcpy of 4 GB/s or more",
                          "a stream of 10 Gbit/s that is copied once takes 2.5 GB/s of it",
                          "see that every memory channel is fitted, and who else uses it"},
    [DOCTOR_PING_PONG] = {"ping_pong", NULL, "a cache line from core to core within 1 us at the median",
                          "it is the way from a ring to the interlock",
                          "choose cores of one socket; see hypervisor"},
};

const char *doctor_severity_word(enum doctor_severity severity)
{
    static const char *const words[] = {"ok", "note", "unknown", "warning", "danger"};
    return words[severity];
}

const char *doctor_remedy(const struct doctor *d, enum doctor_key key)
{
    return d->finding[key].remedy[0] != 0 ? d->finding[key].remedy : doctor_kinds[key].remedy;
}

void doctor_reset(struct doctor *d)
{
    memset(d->finding, 0, sizeof(d->finding));
    d->changes = 0;
    d->changes_left_out = 0;
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        doctor_find(d, (enum doctor_key)i, DOCTOR_UNKNOWN, "was not looked at");
    }
}

void doctor_find(struct doctor *d, enum doctor_key key, enum doctor_severity severity, const char *format, ...)
{
    struct doctor_finding *finding = &d->finding[key];
    va_list args;
    va_start(args, format);
    vsnprintf(finding->found, sizeof(finding->found), format, args);
    va_end(args);
    for (char *at = finding->found; *at != 0; at++) {
        if (*at == '\n' || *at == '\t') {
            *at = ' '; /* a finding is one line, whatever a file holds */
        }
    }
    finding->severity = severity;
}

void doctor_advise(struct doctor *d, enum doctor_key key, const char *format, ...)
{
    struct doctor_finding *finding = &d->finding[key];
    va_list args;
    va_start(args, format);
    vsnprintf(finding->remedy, sizeof(finding->remedy), format, args);
    va_end(args);
}

void doctor_unreadable(struct doctor *d, enum doctor_key key, const char *path, int code)
{
    doctor_find(d, key, DOCTOR_UNKNOWN, "cannot tell: %s: %s", path,
                code == -ENODATA   ? "is empty"
                : code == -EBADMSG ? "is not the text that was expected"
                                   : strerror(-code));
}

void doctor_propose(struct doctor *d, enum doctor_key key, const char *path, const char *from, const char *to)
{
    if (strpbrk(from, "\t\n") != NULL || strstr(to, "..") != NULL) {
        return; /* could not be taken back, or is cut */
    }
    if (d->changes == DOCTOR_CHANGES_MAX) {
        d->changes_left_out++;
        return;
    }
    struct doctor_change *change = &d->change[d->changes++];
    change->key = key;
    snprintf(change->path, sizeof(change->path), "%s", path);
    snprintf(change->from, sizeof(change->from), "%s", from);
    snprintf(change->to, sizeof(change->to), "%s", to);
    d->finding[key].fixable = true;
}

enum doctor_severity doctor_verdict(const struct doctor *d)
{
    enum doctor_severity worst = DOCTOR_OK;
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        worst = d->finding[i].severity > worst ? d->finding[i].severity : worst;
    }
    return worst;
}

int doctor_exit_code(const struct doctor *d)
{
    enum doctor_severity worst = doctor_verdict(d);
    return worst == DOCTOR_DANGER ? 3 : worst > DOCTOR_NOTE || d->failed > 0 ? 1 : 0;
}
