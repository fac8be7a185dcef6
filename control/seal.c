#include "control/seal.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/gpio.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* restart_syscall: what the kernel makes of an interrupted sleep. getppid and the unlinks: control clears the run
 * directory away when its supervisor has died. */
static const char *const control_names[] = {"clock_nanosleep", "clock_gettime", "sendto",          "pwrite64",
                                            "write",           "rt_sigreturn",  "restart_syscall", "getppid",
                                            "unlink",          "rmdir",         "exit_group",      NULL};

/* ioctl: only the one that sets the lines, see allow(). */
static const char *const control_gpio_names[] = {
    "clock_nanosleep", "clock_gettime",   "sendto",  "pwrite64", "write",
    "rt_sigreturn",    "restart_syscall", "getppid", "unlink",   "rmdir",
    "exit_group",      "ioctl",           NULL};

/* socket to close: what libmodbus does on a connection that is lost and made anew. */
static const char *const actuator_names[] = {
    "clock_nanosleep", "clock_gettime", "socket",     "setsockopt",      "getsockopt", "connect",
    "pselect6",        "sendto",        "recvfrom",   "shutdown",        "close",      "poll",
    "write",           "rt_sigreturn",  "exit_group", "restart_syscall", NULL};

/* openat to fcntl: a serial device that went away is opened again. */
static const char *const worker_names[] = {"io_uring_enter", "clock_nanosleep", "clock_gettime", "openat",
                                           "ioctl",          "fcntl",           "close",         "write",
                                           "rt_sigreturn",   "restart_syscall", "exit_group",    NULL};

/* recvmsg and mmap: a gating reader's lease, daq/leases.c. */
static const char *const worker_leases_names[] = {
    "io_uring_enter", "clock_nanosleep", "clock_gettime",   "openat",     "ioctl",   "fcntl", "close",
    "write",          "rt_sigreturn",    "restart_syscall", "exit_group", "recvmsg", "mmap",  NULL};

/* write: memif, vhost and virtio wake their peers; poll to sendto: af_packet, af_xdp and tap while they are polled;
 * ioctl and getsockopt: their links and counters; futex: vhost's locks. */
static const char *const dpdk_names[] = {
    "clock_nanosleep", "clock_gettime", "write", "poll",  "read",       "readv", "recvfrom",
    "recvmsg",         "sendto",        "ioctl", "futex", "getsockopt", "mmap",  "rt_sigreturn",
    "restart_syscall", "exit_group",    NULL};

const char *const *seal_names(enum seal_profile profile)
{
    switch (profile) {
    case SEAL_CONTROL_GPIO:
        return control_gpio_names;
    case SEAL_WORKER:
        return worker_names;
    case SEAL_WORKER_LEASES:
        return worker_leases_names;
    case SEAL_ACTUATOR:
        return actuator_names;
    case SEAL_DPDK:
        return dpdk_names;
    default:
        return control_names;
    }
}

/* Memory may only be mapped to be read, over what is mapped already; control's ioctl sets GPIO lines and does
 * nothing else; the actuator's sockets are IPv4 streams. */
static int allow(scmp_filter_ctx filter, enum seal_profile profile, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);
    if (strcmp(name, "mmap") == 0) {
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 2, SCMP_A2(SCMP_CMP_EQ, PROT_READ),
                                SCMP_A3(SCMP_CMP_EQ, MAP_SHARED | MAP_FIXED | MAP_POPULATE));
    }
    if (strcmp(name, "ioctl") == 0 && profile == SEAL_CONTROL_GPIO) {
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                                SCMP_A1(SCMP_CMP_EQ, GPIO_V2_LINE_SET_VALUES_IOCTL));
    }
    if (strcmp(name, "socket") == 0) {
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, SCMP_A0(SCMP_CMP_EQ, AF_INET));
    }
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static int load_filter(enum seal_profile profile)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL) {
        return -ENOMEM;
    }
    int code = 0;
    for (const char *const *name = seal_names(profile); *name != NULL && code == 0; name++) {
        code = allow(filter, profile, *name);
    }
    if (code == 0) {
        code = seccomp_load(filter);
    }
    seccomp_release(filter);
    return code;
}

void seal_process(enum seal_profile profile, bool wanted, struct board *board)
{
    /* A test preloads a library that watches the heap and wants to know when the thread is sealed. */
    void (*hook)(void) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "sluice_test_sealed");
    memcpy(&hook, &symbol, sizeof(hook));
    if (wanted) {
        int code = load_filter(profile);
        if (code != 0) {
            board_refuse(board, "cannot seal against other system calls: %s; running unsealed", strerror(-code));
        } else {
            __atomic_store_n(&board->sealed, 1, __ATOMIC_RELEASE);
        }
    }
    if (hook != NULL) {
        hook();
    }
}
