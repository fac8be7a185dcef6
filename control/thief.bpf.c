/* Who took my core? Watches the scheduler, interrupts and signals for a handful of threads and tells of each
 * stretch of time that one of them lost. Compiled for the kernel's BPF machine; loaded by control/thief_bpf.c.
 *
 * A watched thread is in one of these states:
 *
 *   running --(switched out, runnable)--> waiting --(switched in)--> running
 *           --(switched out, asleep)----> asleep  --(woken)--> waiting
 *
 * While one waits on a core, whoever runs there is the thief, and each stretch of his is an event. While one runs,
 * what interrupts it is. The kernel's structures are described by the members that are read, and where those are is
 * looked up when the programs are loaded (CO-RE).
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/thief.h"

#define KERNEL_STRUCT __attribute__((preserve_access_index))

struct pid_namespace {
    unsigned int level;
} KERNEL_STRUCT;

struct upid {
    int nr;
    struct pid_namespace *ns;
} KERNEL_STRUCT;

struct pid {
    unsigned int level;
    struct upid numbers[1];
} KERNEL_STRUCT;

struct task_struct {
    int pid;
    char comm[16];
    struct pid *thread_pid;
} KERNEL_STRUCT;

struct irqaction {
    const char *name;
} KERNEL_STRUCT;

/* x86-64; elsewhere the number of the call is not told. */
struct pt_regs {
    unsigned long orig_ax;
} KERNEL_STRUCT;

#define STATE_STOPPED 0x4u /* __TASK_STOPPED, __TASK_TRACED: include/linux/sched.h */
#define STATE_TRACED  0x8u
#define SIGNAL_STOP   19 /* to SIGTTOU, as the architectures that we know number them */
#define SIGNAL_TTOU   22
#define WAITERS_MOST  8 /* of one core that one switch tells of */

enum thread_state { THREAD_UNKNOWN = 0, THREAD_RUNNING = 1, THREAD_WAITING = 2, THREAD_ASLEEP = 3 };

struct thread {
    uint64_t from_ns; /* when the state began */
    uint32_t state;   /* enum thread_state */
    uint32_t epoch;
    uint32_t cpu;
    uint32_t woken;   /* 1: waits because it was woken; 0: because it was put off */
    uint32_t stopped; /* 1: asleep by a signal, 2: by a tracer */
    int32_t call;     /* it sleeps in, -1: not in one */
    uint32_t signal;  /* last that stops, and who sent it */
    uint32_t sender_pid;
    char sender[THIEF_NAME_BYTES];
};

/* One core's; written there, but for the bits of waiting. */
struct cpu {
    uint64_t slice_ns; /* since when the task that runs has run */
    uint64_t waiting;  /* a bit for each watched thread that waits here */
    uint64_t asleep;   /* .. that sleeps here and has a time to keep */
    uint64_t irq_ns;
    uint64_t softirq_ns;
    uint64_t timer_ns;
    uint64_t ipi_ns;
    uint64_t irq_name; /* kernel's pointer */
    uint32_t running;  /* watched thread's index + 1; 0: none */
    uint32_t pad;
};

struct thief_settings settings; /* the process's */
struct thief_counts counts;
static struct thread threads[THIEF_THREADS_MAX];
static struct cpu cpus[THIEF_CPUS_MAX];

/* The maps' members are pointers by which libbpf reads sizes and types out of the debug information. */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, THIEF_EVENT_BYTES);
} events SEC(".maps");

static inline struct cpu *this_cpu(uint32_t *number)
{
    *number = bpf_get_smp_processor_id();
    return *number < THIEF_CPUS_MAX ? &cpus[*number & (THIEF_CPUS_MAX - 1)] : (void *)0;
}

/* A task's number as our own namespace has it; 0: it is not in it. */
static inline uint32_t number_of(struct task_struct *task)
{
    if (settings.level == 0) {
        return (uint32_t)task->pid;
    }
    struct pid *pid = task->thread_pid;
    uint32_t level = settings.level & 31;
    struct upid at;
    if (pid == (void *)0 || BPF_CORE_READ(pid, level) < level) {
        return 0;
    }
    unsigned long offset = bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
    if (bpf_probe_read_kernel(&at, bpf_core_type_size(struct upid), (const char *)pid + offset) != 0) {
        return 0;
    }
    return (uint64_t)at.ns == settings.names ? (uint32_t)at.nr : 0;
}

/* Index + 1 of a watched thread, 0: it is none. A global function: the kernel checks it once, and not once more for
 * each way that leads to it. */
__attribute__((noinline)) uint32_t watched(uint32_t tid)
{
    for (uint32_t probe = 0; probe < THIEF_PROBES && tid != 0; probe++) {
        const struct thief_slot *slot = &settings.slot[thief_place(tid, probe)];
        if (slot->tid == tid) {
            return (slot->thread & (THIEF_THREADS_MAX - 1)) + 1;
        }
    }
    return 0;
}

/* The thread's state; begun anew if the number has been given to another thread. */
static inline struct thread *thread_of(uint32_t index)
{
    struct thread *thread = &threads[index & (THIEF_THREADS_MAX - 1)];
    uint32_t epoch = settings.watched[index & (THIEF_THREADS_MAX - 1)].epoch;
    if (thread->epoch != epoch) {
        uint64_t others = ~(UINT64_C(1) << (index & 63));
        struct cpu *cpu = &cpus[thread->cpu & (THIEF_CPUS_MAX - 1)];
        __sync_fetch_and_and(&cpu->waiting, others);
        __sync_fetch_and_and(&cpu->asleep, others);
        __builtin_memset(thread, 0, sizeof(*thread));
        thread->epoch = epoch;
    }
    return thread;
}

static inline struct thief_event *begin(uint32_t index, enum thief_kind kind, uint64_t from_ns, uint64_t to_ns)
{
    if (to_ns <= from_ns || to_ns - from_ns < settings.threshold_ns) {
        __sync_fetch_and_add(&counts.brief, 1);
        return (void *)0;
    }
    struct thief_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    if (event == (void *)0) {
        __sync_fetch_and_add(&counts.lost, 1);
        return (void *)0;
    }
    event->from_ns = from_ns;
    event->ns = to_ns - from_ns;
    event->thread = index;
    event->kind = kind;
    event->pid = 0;
    event->what = 0;
    event->cpu = bpf_get_smp_processor_id();
    event->epoch = settings.watched[index & (THIEF_THREADS_MAX - 1)].epoch;
    __builtin_memset(event->name, 0, sizeof(event->name));
    return event;
}

/* Nobody is woken: that would steal the core itself (an interrupt of 30 us). The process looks every few ms. */
static inline void tell(struct thief_event *event)
{
    __sync_fetch_and_add(&counts.told, 1);
    bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

__attribute__((noinline)) uint32_t lowest_bit(uint64_t of)
{
    uint32_t at = 0;
    for (uint32_t half = 32; half > 0; half /= 2) {
        uint64_t low = of & ((UINT64_C(1) << half) - 1);
        uint64_t empty = low == 0;
        at += half * (uint32_t)empty;
        of = empty ? of >> half : low;
    }
    return at;
}

static inline bool is_nap(int32_t call)
{
    return call == settings.nap[0] || call == settings.nap[1];
}

/* A stretch of time on this core, and whose loss it was. */
struct slice {
    uint64_t since_ns;
    uint64_t now_ns;
    uint64_t losers; /* a bit each: those that are still to be told of */
    uint32_t kind;   /* THIEF_TASK: or THIEF_IDLE, THIEF_WAKE, as the loser waits and the idle task ran */
    uint32_t pid;
    int32_t what;
    uint32_t idle;
    char name[THIEF_NAME_BYTES];
};

static long tell_loser(uint32_t round, struct slice *slice)
{
    (void)round;
    if (slice->losers == 0) {
        return 1;
    }
    uint32_t index = lowest_bit(slice->losers) & (THIEF_THREADS_MAX - 1);
    slice->losers &= slice->losers - 1;
    struct thread *thread = thread_of(index);
    uint64_t from_ns = slice->since_ns;
    enum thief_kind kind = slice->kind;
    if (kind == THIEF_TASK) {
        if (thread->state != THREAD_WAITING) { /* the place is another thread's now */
            return 0;
        }
        from_ns = thread->from_ns > from_ns ? thread->from_ns : from_ns;
        kind = slice->idle == 0 ? THIEF_TASK : thread->woken != 0 ? THIEF_WAKE : THIEF_IDLE;
    } else if (thread->state == THREAD_ASLEEP && is_nap(thread->call)) {
        uint64_t due_ns = thread->from_ns + settings.watched[index].sleep_ns; /* what came before delayed nothing */
        from_ns = due_ns > from_ns ? due_ns : from_ns;
    }
    struct thief_event *event = begin(index, kind, from_ns, slice->now_ns);
    if (event != (void *)0) {
        event->pid = slice->pid;
        event->what = slice->what;
        __builtin_memcpy(event->name, slice->name, sizeof(event->name));
        tell(event);
    }
    return 0;
}

/* The task `prev` has run here since `cpu->slice_ns`: what of it each thread that waits here lost. */
static inline void tell_slice(struct cpu *cpu, struct task_struct *prev, uint64_t now_ns)
{
    struct slice slice = {.since_ns = cpu->slice_ns,
                          .now_ns = now_ns,
                          .losers = cpu->waiting,
                          .kind = THIEF_TASK,
                          .pid = number_of(prev)};
    slice.idle = prev->pid == 0;
    bpf_probe_read_kernel_str(slice.name, sizeof(slice.name), prev->comm);
    bpf_loop(WAITERS_MOST, tell_loser, &slice, 0);
}

/* What interrupted this core: whoever ran or waits here has lost it, and whoever sleeps and has a time to keep may
 * have been woken late. */
static inline void interrupted(struct cpu *cpu, enum thief_kind kind, uint64_t since_ns, int32_t what,
                               uint64_t name)
{
    uint64_t now_ns = bpf_ktime_get_ns();
    if (now_ns - since_ns < settings.threshold_ns) {
        __sync_fetch_and_add(&counts.brief, 1);
        return;
    }
    struct slice slice = {.since_ns = since_ns, .now_ns = now_ns, .kind = kind, .what = what};
    slice.losers = cpu->waiting | cpu->asleep;
    if (cpu->running != 0) {
        slice.losers |= UINT64_C(1) << ((cpu->running - 1) & 63);
    }
    if (name != 0) {
        bpf_probe_read_kernel_str(slice.name, sizeof(slice.name), (const void *)name);
    }
    bpf_loop(WAITERS_MOST, tell_loser, &slice, 0);
}

static inline void leave(struct thread *thread, uint32_t number, struct task_struct *task, uint32_t index,
                         bool runnable, unsigned int state, uint64_t now_ns)
{
    thread->from_ns = now_ns;
    thread->cpu = number;
    thread->woken = 0;
    thread->stopped = 0;
    if (runnable) {
        thread->state = THREAD_WAITING;
        __sync_fetch_and_or(&cpus[number & (THIEF_CPUS_MAX - 1)].waiting, UINT64_C(1) << (index & 63));
        return;
    }
    thread->state = THREAD_ASLEEP;
    thread->stopped = (state & STATE_STOPPED) != 0 ? 1 : (state & STATE_TRACED) != 0 ? 2 : 0;
    thread->call = -1;
    if (thread->stopped != 0 || settings.watched[index & (THIEF_THREADS_MAX - 1)].limit_ns == 0) {
        return; /* it has no time to keep */
    }
    __sync_fetch_and_or(&cpus[number & (THIEF_CPUS_MAX - 1)].asleep, UINT64_C(1) << (index & 63));
    if (bpf_core_field_exists(struct pt_regs, orig_ax)) {
        struct pt_regs *regs = (void *)bpf_task_pt_regs((void *)task);
        thread->call = (int32_t)BPF_CORE_READ(regs, orig_ax);
    }
}

/* The thread no longer waits or sleeps where it did. */
static inline void rise(struct thread *thread, uint32_t index)
{
    struct cpu *cpu = &cpus[thread->cpu & (THIEF_CPUS_MAX - 1)];
    uint64_t others = ~(UINT64_C(1) << (index & 63));
    if (thread->state == THREAD_WAITING) {
        __sync_fetch_and_and(&cpu->waiting, others);
    } else if (thread->state == THREAD_ASLEEP) {
        __sync_fetch_and_and(&cpu->asleep, others);
    }
}

static inline void enter(struct thread *thread, uint32_t number, uint32_t index, uint64_t now_ns)
{
    rise(thread, index);
    thread->state = THREAD_RUNNING;
    thread->from_ns = now_ns;
    thread->cpu = number;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state)
{
    uint32_t number;
    struct cpu *cpu = this_cpu(&number);
    if (cpu == (void *)0) {
        return 0;
    }
    uint32_t from = watched(number_of(prev));
    uint32_t to = watched(number_of(next));
    if (from == 0 && to == 0 && cpu->waiting == 0) {
        cpu->slice_ns = 0;
        cpu->running = 0;
        return 0;
    }
    uint64_t now_ns = bpf_ktime_get_ns();
    if (cpu->waiting != 0) {
        tell_slice(cpu, prev, now_ns);
    }
    if (from != 0) {
        leave(thread_of(from - 1), number, prev, from - 1, preempt || prev_state == 0, prev_state, now_ns);
    }
    if (to != 0) {
        enter(thread_of(to - 1), number, to - 1, now_ns);
    }
    cpu->running = to;
    cpu->slice_ns = now_ns;
    cpu->softirq_ns = 0; /* where they are threads (PREEMPT_RT) one may be put off in the middle */
    return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *task)
{
    uint32_t of = watched(number_of(task));
    if (of == 0) {
        return 0;
    }
    struct thread *thread = thread_of(of - 1);
    if (thread->state != THREAD_ASLEEP) {
        return 0;
    }
    const struct thief_watched *watch = &settings.watched[(of - 1) & (THIEF_THREADS_MAX - 1)];
    uint64_t now_ns = bpf_ktime_get_ns();
    uint64_t limit_ns = watch->limit_ns;
    uint32_t stopped = thread->stopped;
    struct thief_event *event = (void *)0;
    if (limit_ns != 0 && is_nap(thread->call)) {
        limit_ns += watch->sleep_ns;
    }
    if (stopped != 0 || (limit_ns != 0 && now_ns - thread->from_ns > limit_ns)) {
        event = begin(of - 1, stopped != 0 ? THIEF_STOPPED : THIEF_SLEEP, thread->from_ns, now_ns);
    }
    if (event != (void *)0) {
        event->what = stopped == 0 ? thread->call : 0;
        if (stopped == 1) { /* what a tracer does, no signal tells of */
            event->what = (int32_t)thread->signal;
            event->pid = thread->sender_pid;
            __builtin_memcpy(event->name, thread->sender, sizeof(event->name));
        }
        tell(event);
    }
    if (stopped != 0) {
        thread->signal = 0;
    }
    rise(thread, of - 1);
    thread->state = THREAD_WAITING;
    thread->woken = 1;
    thread->stopped = 0;
    thread->from_ns = now_ns;
    __sync_fetch_and_or(&cpus[thread->cpu & (THIEF_CPUS_MAX - 1)].waiting, UINT64_C(1) << ((of - 1) & 63));
    return 0;
}

/* A thread that waits is given to another core: whoever runs there is the thief from now on. */
SEC("tp_btf/sched_migrate_task")
int BPF_PROG(on_migrate, struct task_struct *task, int to)
{
    uint32_t of = watched(number_of(task));
    if (of == 0 || to < 0 || to >= (int)THIEF_CPUS_MAX) {
        return 0;
    }
    struct thread *thread = thread_of(of - 1);
    if (thread->state == THREAD_WAITING) {
        rise(thread, of - 1);
        thread->from_ns = bpf_ktime_get_ns();
        __sync_fetch_and_or(&cpus[(uint32_t)to & (THIEF_CPUS_MAX - 1)].waiting, UINT64_C(1) << ((of - 1) & 63));
    } else if (thread->state == THREAD_ASLEEP) {
        return 0; /* it is about to be woken, and then counted where it sleeps */
    }
    thread->cpu = (uint32_t)to & (THIEF_CPUS_MAX - 1);
    return 0;
}

/* Who stops a thread: the signal goes to the process, whose number its first thread has. */
SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int signal, void *info, struct task_struct *task, int group, int result)
{
    if (result != 0 || signal < SIGNAL_STOP || signal > SIGNAL_TTOU || signal == 18) {
        return 0;
    }
    uint32_t of = watched(number_of(task));
    if (of == 0) {
        return 0;
    }
    struct thread *thread = thread_of(of - 1);
    thread->signal = (uint32_t)signal;
    thread->sender_pid = number_of((struct task_struct *)bpf_get_current_task_btf());
    bpf_get_current_comm(thread->sender, sizeof(thread->sender));
    return 0;
}

/* Interrupts, on cores where a watched thread runs. */

static inline bool matters(const struct cpu *cpu)
{
    return cpu != (void *)0 && (cpu->running != 0 || cpu->waiting != 0 || cpu->asleep != 0);
}

/* A thread that has had its core since before it was watched: nobody has switched it in. */
static inline void adopt(struct cpu *cpu, uint32_t number)
{
    uint32_t of = watched(number_of((struct task_struct *)bpf_get_current_task_btf()));
    if (of != 0) {
        enter(thread_of(of - 1), number, of - 1, bpf_ktime_get_ns());
        cpu->running = of;
    }
}

#define BEGINS(member)                                                                                             \
    do {                                                                                                           \
        uint32_t number;                                                                                           \
        struct cpu *cpu = this_cpu(&number);                                                                       \
        if (cpu != (void *)0 && !matters(cpu)) {                                                                   \
            adopt(cpu, number);                                                                                    \
        }                                                                                                          \
        if (matters(cpu)) {                                                                                        \
            cpu->member = bpf_ktime_get_ns();                                                                      \
        }                                                                                                          \
    } while (0)

#define ENDS(kind, member, what, name)                                                                             \
    do {                                                                                                           \
        uint32_t number;                                                                                           \
        struct cpu *cpu = this_cpu(&number);                                                                       \
        uint64_t since_ns = cpu != (void *)0 ? cpu->member : 0;                                                    \
        if (since_ns != 0) {                                                                                       \
            cpu->member = 0;                                                                                       \
            interrupted(cpu, kind, since_ns, what, name);                                                          \
        }                                                                                                          \
    } while (0)

SEC("raw_tp/irq_handler_entry")
int irq_begins(struct bpf_raw_tracepoint_args *a)
{
    BEGINS(irq_ns);
    return 0;
}

SEC("raw_tp/irq_handler_exit")
int irq_ends(struct bpf_raw_tracepoint_args *a)
{
    const struct irqaction *action = (const void *)a->args[1];
    ENDS(THIEF_IRQ, irq_ns, (int32_t)a->args[0], (uint64_t)BPF_CORE_READ(action, name));
    return 0;
}

SEC("raw_tp/softirq_entry")
int softirq_begins(struct bpf_raw_tracepoint_args *a)
{
    BEGINS(softirq_ns);
    return 0;
}

SEC("raw_tp/softirq_exit")
int softirq_ends(struct bpf_raw_tracepoint_args *a)
{
    ENDS(THIEF_SOFTIRQ, softirq_ns, (int32_t)a->args[0], 0);
    return 0;
}

SEC("raw_tp/local_timer_entry")
int timer_begins(struct bpf_raw_tracepoint_args *a)
{
    BEGINS(timer_ns);
    return 0;
}

SEC("raw_tp/local_timer_exit")
int timer_ends(struct bpf_raw_tracepoint_args *a)
{
    ENDS(THIEF_TIMER, timer_ns, 0, 0);
    return 0;
}

#define IPI(begins, ends, entry, exit, which)                                                                      \
    SEC("raw_tp/" entry)                                                                                           \
    int begins(struct bpf_raw_tracepoint_args *a)                                                                  \
    {                                                                                                              \
        BEGINS(ipi_ns);                                                                                            \
        return 0;                                                                                                  \
    }                                                                                                              \
    SEC("raw_tp/" exit)                                                                                            \
    int ends(struct bpf_raw_tracepoint_args *a)                                                                    \
    {                                                                                                              \
        ENDS(THIEF_IPI, ipi_ns, which, 0);                                                                         \
        return 0;                                                                                                  \
    }

IPI(reschedule_begins, reschedule_ends, "reschedule_entry", "reschedule_exit", THIEF_IPI_RESCHEDULE)
IPI(call_begins, call_ends, "call_function_entry", "call_function_exit", THIEF_IPI_CALL)
IPI(single_begins, single_ends, "call_function_single_entry", "call_function_single_exit", THIEF_IPI_CALL_SINGLE)
IPI(work_begins, work_ends, "irq_work_entry", "irq_work_exit", THIEF_IPI_IRQ_WORK)
IPI(platform_begins, platform_ends, "x86_platform_ipi_entry", "x86_platform_ipi_exit", THIEF_IPI_PLATFORM)

SEC("raw_tp/nmi_handler")
int on_nmi(struct bpf_raw_tracepoint_args *a)
{
    uint32_t number;
    struct cpu *cpu = this_cpu(&number);
    if (matters(cpu)) {
        interrupted(cpu, THIEF_NMI, bpf_ktime_get_ns() - a->args[1], 0, 0);
    }
    return 0;
}

/* Run once, by the process itself: in which namespace it lives. */
SEC("raw_tp/sys_enter")
int find_names(struct bpf_raw_tracepoint_args *a)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
    struct pid *pid = task->thread_pid;
    uint32_t level = BPF_CORE_READ(pid, level) & 31;
    struct upid at;
    unsigned long offset = bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
    if (bpf_probe_read_kernel(&at, bpf_core_type_size(struct upid), (const char *)pid + offset) == 0) {
        settings.names = (uint64_t)at.ns;
        settings.level = level;
    }
    return 0;
}

/* The kernel lets only programs under the GPL read its structures: this file alone may be had under either licence.
 */
char licence[] SEC("license") = "Dual BSD/GPL";
