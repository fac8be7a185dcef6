#include "control/seal.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/gpio.h>
#include <linux/if_xdp.h>
#include <netinet/in.h>
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

/* What is to be opened, the opener opens (daq/opener.h): this thread only closes. */
static const char *const worker_names[] = {"io_uring_enter", "clock_nanosleep", "clock_gettime", "close", "write",
                                           "rt_sigreturn",   "restart_syscall", "exit_group",    NULL};

/* recvmsg and mmap: a gating reader's lease, daq/leases.c. */
static const char *const worker_leases_names[] = {
    "io_uring_enter",  "clock_nanosleep", "clock_gettime", "close", "write", "rt_sigreturn",
    "restart_syscall", "exit_group",      "recvmsg",       "mmap",  NULL};

/* socket to bpf: an interface that went away is opened again (net/afxdp.c); recvfrom: a driver that waits for free
 * slots is woken; pread64: its device's counter. See allow_xdp(). */
static const char *const worker_xdp_names[] = {
    "io_uring_enter", "clock_nanosleep", "clock_gettime", "openat",   "ioctl",   "close",  "write",
    "rt_sigreturn",   "restart_syscall", "exit_group",    "recvmsg",  "mmap",    "munmap", "socket",
    "bind",           "setsockopt",      "getsockopt",    "recvfrom", "pread64", "bpf",    NULL};

/* write: memif, vhost and virtio wake their peers; poll to sendto: af_packet, af_xdp and tap while they are polled;
 * ioctl and getsockopt: their links and counters; futex: vhost's locks; writev: tap sends reports of multicast
 * groups; recvmsg, mmap and close: a gating reader's lease, daq/leases.c. */
static const char *const dpdk_names[] = {
    "clock_nanosleep", "clock_gettime", "write",  "writev", "poll",  "read",       "readv", "recvfrom",
    "recvmsg",         "close",         "sendto", "ioctl",  "futex", "getsockopt", "mmap",  "rt_sigreturn",
    "restart_syscall", "exit_group",    NULL};

static const char *const observer_names[] = {"clock_nanosleep", "clock_gettime", "write", "rt_sigreturn",
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
    case SEAL_WORKER_XDP:
        return worker_xdp_names;
    case SEAL_DPDK:
        return dpdk_names;
    case SEAL_OBSERVER:
        return observer_names;
    default:
        return control_names;
    }
}

/* A call is allowed if this argument has this value. */
static int allow_if(scmp_filter_ctx filter, const char *name, unsigned argument, uint64_t value)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(name), 1,
                            SCMP_CMP(argument, SCMP_CMP_EQ, value));
}

/* The rings of an AF_XDP socket, nothing else, may be mapped to be written. */
static int allow_xdp_ring(scmp_filter_ctx filter, uint64_t page_offset)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name("mmap"), 3,
                            SCMP_A2(SCMP_CMP_EQ, PROT_READ | PROT_WRITE),
                            SCMP_A3(SCMP_CMP_EQ, MAP_SHARED | MAP_POPULATE), SCMP_A5(SCMP_CMP_EQ, page_offset));
}

/* What is bounded of a worker's calls for AF_XDP, besides what is of all workers'. 1: this name is not. */
static int allow_xdp(scmp_filter_ctx filter, const char *name)
{
    int code = 0;
    if (strcmp(name, "socket") == 0) {
        return allow_if(filter, name, 0, AF_XDP);
    }
    if (strcmp(name, "bpf") == 0) { /* a socket into a map that there is; a program that there is to an interface */
        code = allow_if(filter, name, 0, BPF_MAP_UPDATE_ELEM);
        return code != 0 ? code : allow_if(filter, name, 0, BPF_LINK_CREATE);
    }
    if (strcmp(name, "getsockopt") == 0) {
        return allow_if(filter, name, 1, SOL_XDP);
    }
    if (strcmp(name, "setsockopt") == 0) { /* IPPROTO_IP: a multicast group */
        code = allow_if(filter, name, 1, SOL_XDP);
        return code != 0 ? code : allow_if(filter, name, 1, IPPROTO_IP);
    }
    if (strcmp(name, "mmap") == 0) {
        code = allow_xdp_ring(filter, XDP_PGOFF_RX_RING);
        code = code != 0 ? code : allow_xdp_ring(filter, XDP_UMEM_PGOFF_FILL_RING);
    }
    return code != 0 ? code : 1;
}

/* Memory may only be mapped to be read, over what is mapped already; control's ioctl sets GPIO lines and does
 * nothing else; the actuator's sockets are IPv4 streams. */
static int allow(scmp_filter_ctx filter, enum seal_profile profile, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);
    int code = profile == SEAL_WORKER_XDP ? allow_xdp(filter, name) : 1;
    if (code <= 0) {
        return code;
    }
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

bool seal_thread(enum seal_profile profile, bool wanted, struct board *board)
{
    /* A test preloads a library that watches the heap and wants to know when the thread is sealed. */
    void (*hook)(void) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "sluice_test_sealed");
    memcpy(&hook, &symbol, sizeof(hook));
    int code = wanted ? load_filter(profile) : -ECANCELED;
    if (wanted && code != 0) {
        board_refuse(board, "cannot seal against other system calls: %s; running unsealed", strerror(-code));
    }
    if (hook != NULL) {
        hook();
    }
    return code == 0;
}

void seal_process(enum seal_profile profile, bool wanted, struct board *board)
{
    if (seal_thread(profile, wanted, board)) {
        __atomic_store_n(&board->sealed, 1, __ATOMIC_RELEASE);
    }
}
