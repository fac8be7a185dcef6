/* Memory is unmapped only when nobody is inside the driver any more. Linked like the programs that poll. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "net/dpdk_grace.h"
#include "ring/clock.h"

#define ROUNDS 200u

static struct dpdk_grace grace;
static struct dpdk_grace other;
static uint64_t *shared;
static uint32_t is_down;
static uint32_t rounds;
static uint32_t stop;

/* As a driver does it: looks at the link, then reads the peer's memory for a while. */
static void *poll_it(void *sum)
{
    while (__atomic_load_n(&stop, __ATOMIC_ACQUIRE) == 0) {
        dpdk_grace_enter(&grace);
        if (__atomic_load_n(&is_down, __ATOMIC_RELAXED) == 0) {
            for (uint32_t i = 0; i < 2000; i++) {
                *(uint64_t *)sum += __atomic_load_n(&shared[i % 512], __ATOMIC_RELAXED);
            }
        }
        dpdk_grace_exit(&grace);
        __atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *new_page(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(page, MAP_FAILED);
    return page;
}

Test(grace, memory_goes_only_when_nobody_reads_it)
{
    pthread_t thread;
    uint64_t sum = 0;
    shared = new_page();
    cr_assert_eq(dpdk_grace_join(&grace), 0);
    cr_assert_eq(pthread_create(&thread, NULL, poll_it, &sum), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t before = __atomic_load_n(&rounds, __ATOMIC_RELAXED);
        while (__atomic_load_n(&rounds, __ATOMIC_RELAXED) == before) {
            sched_yield();
        }
        __atomic_store_n(&is_down, 1, __ATOMIC_RELAXED);
        cr_assert_eq(munmap(shared, 4096), 0); /* without the guard the thread dies here, sooner or later */
        shared = new_page();
        __atomic_store_n(&is_down, 0, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    dpdk_grace_leave(&grace);
}

Test(grace, nobody_inside_nobody_waits)
{
    cr_assert_eq(dpdk_grace_wait(), 0);
    cr_assert_eq(dpdk_grace_join(&grace), 0);
    cr_assert_eq(dpdk_grace_join(&other), 0);
    cr_assert_eq(dpdk_grace_wait(), 0);
    dpdk_grace_enter(&grace);
    dpdk_grace_exit(&grace);
    cr_assert_eq(dpdk_grace_wait(), 0);
    dpdk_grace_leave(&grace);
    dpdk_grace_leave(&other);
}

Test(grace, one_that_does_not_come_out_is_not_waited_for_for_ever)
{
    cr_assert_eq(dpdk_grace_join(&grace), 0);
    dpdk_grace_enter(&grace);
    cr_assert_eq(dpdk_grace_wait(), -ETIMEDOUT);
    dpdk_grace_leave(&grace);
    cr_assert_eq(dpdk_grace_wait(), 0, "it has left the list");
}

Test(grace, the_list_is_full_and_has_room_again)
{
    static struct dpdk_grace many[DPDK_GRACE_MAX];
    for (uint32_t i = 0; i < DPDK_GRACE_MAX; i++) {
        cr_assert_eq(dpdk_grace_join(&many[i]), 0);
    }
    cr_assert_eq(dpdk_grace_join(&grace), -ENOSPC);
    dpdk_grace_leave(&many[7]);
    cr_assert_eq(dpdk_grace_join(&grace), 0);
}
