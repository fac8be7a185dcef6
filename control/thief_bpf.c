#include "control/thief_bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "thief.skel.h" /* made of control/thief.bpf.c by bpftool */

#define BTF_PATH "/sys/kernel/btf/vmlinux"

struct thief_bpf {
    struct thief *skeleton;
    struct ring_buffer *events;
    void (*take)(void *context, const struct thief_event *event);
    void *context;
    char missing[256];
};

static char complaint[256]; /* the first that libbpf said of the call under way */

__attribute__((format(printf, 2, 0))) static int hear(enum libbpf_print_level level, const char *format,
                                                      va_list args)
{
    if (level == LIBBPF_WARN && complaint[0] == 0) {
        vsnprintf(complaint, sizeof(complaint), format, args);
        complaint[strcspn(complaint, "\n")] = 0;
    }
    return 0;
}

/* What libbpf returned, in words. */
static int refused(int code, struct error *err)
{
    if (code == -EPERM || code == -EACCES) {
        return error_set(
            err, -EPERM,
            "not allowed to load BPF programs: who takes a core cannot be told (needs root, or CAP_BPF "
            "and CAP_PERFMON; a kernel in lockdown may refuse them too)");
    }
    if (access(BTF_PATH, R_OK) != 0) {
        return error_set(err, -ENOTSUP,
                         "%s is not there: who takes a core cannot be told (needs a kernel with "
                         "CONFIG_DEBUG_INFO_BTF, and /sys)",
                         BTF_PATH);
    }
    return error_set(err, code == -ENOSYS ? -ENOTSUP : code,
                     "the kernel does not take the BPF programs: %s; %s; who takes a core cannot be told",
                     strerror(-code), complaint[0] != 0 ? complaint : "libbpf says nothing");
}

/* The interrupts' tracepoints differ between kernels and machines: each pair that is not there is one thing that is
 * not seen. */
struct part {
    const char *what;
    struct bpf_program *first;
    struct bpf_program *second; /* NULL: there is none */
};

static bool attach_one(struct bpf_object_skeleton *skeleton, const struct bpf_program *program)
{
    for (int i = 0; i < skeleton->prog_cnt; i++) {
        struct bpf_prog_skeleton *at =
            (struct bpf_prog_skeleton *)(void *)((char *)skeleton->progs + (ptrdiff_t)i * skeleton->prog_skel_sz);
        if (*at->prog == program) {
            *at->link = bpf_program__attach(program);
            return *at->link != NULL;
        }
    }
    return false;
}

static void attach_part(struct thief_bpf *bpf, const struct part *part)
{
    struct bpf_object_skeleton *skeleton = bpf->skeleton->skeleton;
    if (!attach_one(skeleton, part->first) || (part->second != NULL && !attach_one(skeleton, part->second))) {
        size_t used = strlen(bpf->missing);
        snprintf(bpf->missing + used, sizeof(bpf->missing) - used, "%s%s", used > 0 ? ", " : "", part->what);
    }
}

static int attach(struct thief_bpf *bpf)
{
    struct thief *s = bpf->skeleton;
    const struct part parts[] = {
        {"device interrupts", s->progs.irq_begins, s->progs.irq_ends},
        {"softirqs", s->progs.softirq_begins, s->progs.softirq_ends},
        {"the local timer", s->progs.timer_begins, s->progs.timer_ends},
        {"rescheduling by other cores", s->progs.reschedule_begins, s->progs.reschedule_ends},
        {"function calls by other cores", s->progs.call_begins, s->progs.call_ends},
        {"single calls by other cores", s->progs.single_begins, s->progs.single_ends},
        {"IRQ work", s->progs.work_begins, s->progs.work_ends},
        {"platform interrupts", s->progs.platform_begins, s->progs.platform_ends},
        {"NMIs", s->progs.on_nmi, NULL},
        {"migrations", s->progs.on_migrate, NULL},
        {"who sends signals", s->progs.on_signal, NULL}};
    if (!attach_one(s->skeleton, s->progs.on_switch) || !attach_one(s->skeleton, s->progs.on_waking)) {
        return -errno;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        attach_part(bpf, &parts[i]);
    }
    return 0;
}

/* Runs once in our own name: the kernel's pids are those of the first namespace, which need not be ours. */
static int find_names(const struct thief_bpf *bpf)
{
    struct bpf_test_run_opts options = {.sz = sizeof(options)};
    return bpf_prog_test_run_opts(bpf_program__fd(bpf->skeleton->progs.find_names), &options);
}

static int on_event(void *context, void *data, size_t bytes)
{
    struct thief_bpf *bpf = context;
    if (bytes >= sizeof(struct thief_event)) {
        bpf->take(bpf->context, data);
    }
    return 0;
}

static int load(struct thief_bpf *bpf, uint64_t threshold_ns)
{
    bpf->skeleton = thief__open();
    if (bpf->skeleton == NULL) {
        return -errno;
    }
    int code = thief__load(bpf->skeleton);
    if (code == 0) {
        bpf->skeleton->bss->settings.threshold_ns = threshold_ns;
        bpf->skeleton->bss->settings.nap[0] = SYS_clock_nanosleep;
        bpf->skeleton->bss->settings.nap[1] = SYS_restart_syscall;
        code = find_names(bpf);
    }
    if (code == 0) {
        bpf->events = ring_buffer__new(bpf_map__fd(bpf->skeleton->maps.events), on_event, bpf, NULL);
        code = bpf->events == NULL ? -errno : attach(bpf);
    }
    return code;
}

int thief_bpf_open(struct thief_bpf **opened, uint64_t threshold_ns, struct error *err)
{
    struct thief_bpf *bpf = calloc(1, sizeof(*bpf));
    *opened = NULL;
    if (bpf == NULL) {
        return error_set(err, -ENOMEM, "no memory for the BPF programs");
    }
    libbpf_set_print(hear);
    complaint[0] = 0;
    int code = load(bpf, threshold_ns);
    if (code != 0) {
        thief_bpf_close(bpf);
        return refused(code, err);
    }
    *opened = bpf;
    return 0;
}

const char *thief_bpf_missing(const struct thief_bpf *bpf)
{
    return bpf->missing;
}

struct thief_settings *thief_bpf_settings(struct thief_bpf *bpf)
{
    return &bpf->skeleton->bss->settings;
}

uint32_t thief_bpf_take(struct thief_bpf *bpf, void (*take)(void *context, const struct thief_event *event),
                        void *context)
{
    bpf->take = take;
    bpf->context = context;
    int found = ring_buffer__consume(bpf->events);
    return found > 0 ? (uint32_t)found : 0;
}

struct thief_counts thief_bpf_counts(const struct thief_bpf *bpf)
{
    return bpf->skeleton->bss->counts;
}

void thief_bpf_close(struct thief_bpf *bpf)
{
    if (bpf == NULL) {
        return;
    }
    ring_buffer__free(bpf->events);
    thief__destroy(bpf->skeleton);
    free(bpf);
}
