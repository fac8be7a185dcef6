#include "daq/arming_gate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/log.h"
#include "daq/server.h"
#include "ring/clock.h"

#define READ_PERIOD_NS (200 * CLOCK_NS_PER_MS)
#define POLICY_IS_FIFO 1

/* The first line of a small file of the kernel's; empty if it cannot be read. */
static void read_line(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, bytes - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
}

/* Told when it changes, where it is asked for: the gate's advice cannot say which of the reasons it is. */
static void tell_certificate(const struct server *server, const char *path, enum certificate_state state)
{
    if ((server->plan->table.gate_required & GATE_DOCTOR) != 0 &&
        (server->gate_system.read_ns == 0 || state != server->gate_system.certificate)) {
        log_line("sluice doctor's verdict on this host, %s: %s", path, certificate_words(state));
    }
}

static void read_certificate(struct server *server)
{
    struct certificate certificate;
    struct error err = {{0}};
    char path[300] = "";
    char boot[64];
    enum certificate_state state = CERTIFICATE_NONE;
    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
    if (certificate_path(path, sizeof(path), server->plan->instance, &err) == 0 &&
        certificate_read(path, &certificate) == 0) {
        state = certificate_judge(&certificate, boot, server->plan->table.checksum);
    }
    tell_certificate(server, path, state);
    server->gate_system.certificate = state;
}

static void read_system(struct server *server, uint64_t now_ns)
{
    struct gate_system *system = &server->gate_system;
    char text[64];
    if (system->read_ns != 0 && now_ns - system->read_ns < READ_PERIOD_NS) {
        return;
    }
    read_certificate(server);
    system->read_ns = now_ns;
    read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", text, sizeof(text));
    system->clock_ok = gate_clock_source_ok(text);
    read_line("/proc/sys/kernel/sched_rt_runtime_us", text, sizeof(text));
    system->no_throttle = gate_unthrottled(text);
}

/* No watched ring below the pages that were asked for, also where the configuration lets it be. */
static bool pages_as_asked(const struct server *server)
{
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        size_t wanted = segment_pages_bytes(server->plan->ring[i].pages);
        if (server->plan->ring[i].watched_as != 0 && server->ring[i].segment.page_bytes < wanted) {
            return false;
        }
    }
    return true;
}

/* For the hardware watchdog: it is petted only while every worker and actuator runs. Silent ones are killed soon.
 */
static bool workers_fresh(const struct server *server)
{
    for (uint32_t i = 0; i < server->processes; i++) {
        const struct server_process *process = &server->process[i];
        bool needed =
            process->role == ROLE_CONTROL || process->role == ROLE_WORKER || process->role == ROLE_ACTUATOR;
        if (needed && (process->pid == 0 || !process->has_run || process->killed)) {
            return false;
        }
    }
    return true;
}

void gate_look(struct server *server)
{
    struct supervisor_board *board = server_board(server);
    const struct board *control = &server_control_board(server)->common;
    const struct thread_plan *thread = &server->plan->table.thread;
    const struct server_process *process = &server->process[0];
    struct control_mailbox *mailbox = server->mailbox.segment.base;
    uint64_t now_ns = clock_monotonic_ns();
    read_system(server, now_ns);
    struct gate_seen seen = {.alive = process->pid != 0 && process->has_run && !process->killed,
                             .core = control->core,
                             .core_planned = thread->core,
                             .fifo = control->policy == POLICY_IS_FIFO,
                             .busy = thread->idle == IDLE_BUSY,
                             .locked = control->locked != 0,
                             .pages = pages_as_asked(server),
                             .no_throttle = server->gate_system.no_throttle,
                             .clock_ok = server->gate_system.clock_ok,
                             .clock_step_ns = board->clock_step_ns,
                             .config_acknowledged = board->config_acknowledged != 0,
                             .black_box = server->black_box_ok != NULL && server->black_box_ok(server),
                             .certified = server->gate_system.certificate == CERTIFICATE_GOOD};
    uint32_t passed = gate_judge(&seen);
    __atomic_store_n(&board->gate_seen, passed, __ATOMIC_RELAXED);
    uint64_t word = (now_ns >> MAILBOX_GATE_BITS) << MAILBOX_GATE_BITS | passed;
    __atomic_store_n(&mailbox->gate, word | (workers_fresh(server) ? MAILBOX_WORKERS_FRESH : 0), __ATOMIC_RELEASE);
}
