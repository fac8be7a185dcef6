#include "control/seal.h"

#include <dlfcn.h>
#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* restart_syscall: what the kernel makes of an interrupted sleep. getppid and the unlinks: control clears the run
 * directory away when its supervisor has died. */
static const char *const control_names[] = {"clock_nanosleep", "clock_gettime", "sendto",          "pwrite64",
                                            "write",           "rt_sigreturn",  "restart_syscall", "getppid",
                                            "unlink",          "rmdir",         "exit_group",      NULL};

/* openat to fcntl: a serial device that went away is opened again. */
static const char *const worker_names[] = {"io_uring_enter", "clock_nanosleep", "clock_gettime", "openat",
                                           "ioctl",          "fcntl",           "close",         "write",
                                           "rt_sigreturn",   "restart_syscall", "exit_group",    NULL};

/* recvmsg and mmap: a gating reader's lease, daq/leases.c. */
static const char *const worker_leases_names[] = {
    "io_uring_enter", "clock_nanosleep", "clock_gettime",   "openat",     "ioctl",   "fcntl", "close",
    "write",          "rt_sigreturn",    "restart_syscall", "exit_group", "recvmsg", "mmap",  NULL};

const char *const *seal_names(enum seal_profile profile)
{
    return profile == SEAL_CONTROL         ? control_names
           : profile == SEAL_WORKER_LEASES ? worker_leases_names
                                           : worker_names;
}

/* Memory may only be mapped to be read, over what is mapped already. */
static int allow(scmp_filter_ctx filter, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);
    if (strcmp(name, "mmap") == 0) {
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 2, SCMP_A2(SCMP_CMP_EQ, PROT_READ),
                                SCMP_A3(SCMP_CMP_EQ, MAP_SHARED | MAP_FIXED | MAP_POPULATE));
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
        code = allow(filter, *name);
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
