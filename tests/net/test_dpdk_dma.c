/* A ring's slots as a device on the PCI bus finds them: arithmetic, no device. */
#include <criterion/criterion.h>

#include "net/dpdk_dma.h"

#define PAGE UINT64_C(0x200000)

Test(dpdk_dma, one_distance_for_all)
{
    const struct dpdk_dma none = {.delta = 0};
    const struct dpdk_dma low = {.delta = UINT64_C(0x4000001000) - UINT64_C(0x7f0000001000)};
    cr_assert_eq(dpdk_dma_address(&none, 0x7f0000001040), 0x7f0000001040);
    cr_assert_eq(dpdk_dma_address(&low, 0x7f0000001000), 0x4000001000);
    cr_assert_eq(dpdk_dma_address(&low, 0x7f00000a1040), 0x40000a1040);
}

Test(dpdk_dma, a_distance_for_each_page)
{
    const uint64_t base = UINT64_C(0x7f0000000000);
    uint64_t page[2] = {UINT64_C(0x10000000) - base, UINT64_C(0x8000000) - (base + PAGE)};
    const struct dpdk_dma dma = {.page = page, .base = base, .page_shift = 21};
    cr_assert_eq(dpdk_dma_address(&dma, base), 0x10000000);
    cr_assert_eq(dpdk_dma_address(&dma, base + PAGE - 1), 0x101fffff);
    cr_assert_eq(dpdk_dma_address(&dma, base + PAGE), 0x8000000);
    cr_assert_eq(dpdk_dma_address(&dma, base + 2 * PAGE - 64), 0x81fffc0);
}

Test(dpdk_dma, slots_that_lie_in_two_pages)
{
    const uint64_t apart[3] = {0, 0x1000000, 0x5000000};
    const uint64_t neighbours[3] = {7, 7, 7};
    const uint64_t late[3] = {7, 7, 8};
    cr_assert_eq(dpdk_dma_torn_slot(apart, PAGE, 8192, 2048, 2000), UINT64_MAX, "they end where the page does");
    cr_assert_eq(dpdk_dma_torn_slot(apart, PAGE, 8192, 4096, 1000), UINT64_MAX);
    cr_assert_eq(dpdk_dma_torn_slot(apart, PAGE, 4096, 8192, 300), 255);
    cr_assert_eq(dpdk_dma_torn_slot(neighbours, PAGE, 4096, 8192, 600), UINT64_MAX, "in one piece all the same");
    cr_assert_eq(dpdk_dma_torn_slot(late, PAGE, 4096, 8192, 600), 511);
    cr_assert_eq(dpdk_dma_torn_slot(late, PAGE, 4096, 8192, 511), UINT64_MAX, "not as far as that");
    cr_assert_eq(dpdk_dma_torn_slot(apart, PAGE, 8192, 9216, 200), UINT64_MAX, "all in the first page");
    cr_assert_eq(dpdk_dma_torn_slot(apart, PAGE, 8192, 9216, 300), 226);
}
