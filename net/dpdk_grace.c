#include "net/dpdk_grace.h"

#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#include "ring/clock.h"

#define REST_NS 20000

static struct dpdk_grace *graces[DPDK_GRACE_MAX];

int dpdk_grace_join(struct dpdk_grace *grace)
{
    grace->round = 0;
    for (uint32_t i = 0; i < DPDK_GRACE_MAX; i++) {
        if (__atomic_load_n(&graces[i], __ATOMIC_RELAXED) == NULL) {
            __atomic_store_n(&graces[i], grace, __ATOMIC_RELEASE);
            return 0;
        }
    }
    return -ENOSPC;
}

void dpdk_grace_leave(struct dpdk_grace *grace)
{
    for (uint32_t i = 0; i < DPDK_GRACE_MAX; i++) {
        if (__atomic_load_n(&graces[i], __ATOMIC_RELAXED) == grace) {
            __atomic_store_n(&graces[i], NULL, __ATOMIC_RELEASE);
        }
    }
}

static void rest(void)
{
    struct timespec pause = {.tv_nsec = REST_NS};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

int dpdk_grace_wait(void)
{
    uint64_t from_ns = clock_monotonic_ns();
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < DPDK_GRACE_MAX; i++) {
        const struct dpdk_grace *grace = __atomic_load_n(&graces[i], __ATOMIC_ACQUIRE);
        uint64_t round = grace != NULL ? __atomic_load_n(&grace->round, __ATOMIC_ACQUIRE) : 0;
        while (round % 2 == 1 && __atomic_load_n(&graces[i], __ATOMIC_ACQUIRE) == grace &&
               __atomic_load_n(&grace->round, __ATOMIC_ACQUIRE) == round) {
            if (clock_elapsed_ns(from_ns, clock_monotonic_ns()) > DPDK_GRACE_WAIT_NS) {
                return -ETIMEDOUT;
            }
            rest();
        }
    }
    return 0;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming): these are
 * the names that the linker gives to what it calls instead of munmap, and to the C library's. */
int __wrap_munmap(void *address, size_t bytes);
int __real_munmap(void *address, size_t bytes);

int __wrap_munmap(void *address, size_t bytes)
{
    (void)dpdk_grace_wait();
    return __real_munmap(address, bytes);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming) */
