#include "bench/load.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"

#define COPY_BYTES  ((size_t)32 << 20)
#define FAULT_BYTES ((size_t)2 << 20)

static void *take(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // cppcheck-suppress memleak ; it is the caller's
    return memory == MAP_FAILED ? NULL : memory;
}

_Noreturn static void work(void)
{
    uint8_t *from = take(COPY_BYTES);
    uint8_t *to = take(COPY_BYTES);
    while (from != NULL && to != NULL) {
        memcpy(to, from, COPY_BYTES);
        from[to[0]]++;
        uint8_t *pages = take(FAULT_BYTES);
        if (pages != NULL) {
            memset(pages, 1, FAULT_BYTES);
            munmap(pages, FAULT_BYTES);
        }
    }
    _exit(1);
}

pid_t load_start(int core)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin_to(core);
        work();
    }
    return pid;
}

void load_stop(pid_t pid)
{
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}
