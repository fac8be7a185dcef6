/* Pages on the node that was asked for: bound before they exist, looked for afterwards. */
#include <criterion/criterion.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring/numa.h"
#include "ring/segment.h"

#define NO_NODE ((int)NUMA_NODES_MAX - 1)

/* The first node of this machine; skips the test where the kernel knows none. */
static int first_node(void)
{
    char list[NUMA_LIST_BYTES];
    if (numa_online(list) != 0) {
        cr_skip_test("SKIPPED: this kernel knows no NUMA nodes");
    }
    for (int node = 0; node < NO_NODE; node++) {
        if (numa_list_has(list, node)) {
            return node;
        }
    }
    cr_assert_fail("no node in '%s'", list);
    return -1;
}

static int own_policy(void)
{
    int mode = -1;
    cr_assert_eq(syscall(SYS_get_mempolicy, &mode, NULL, 0ul, NULL, 0ul), 0);
    return mode;
}

Test(numa, lists_as_the_kernel_writes_them)
{
    static const struct {
        const char *list;
        int node;
        bool has;
    } cases[] = {{"0", 0, true},         {"0", 1, false},       {"0-3", 3, true},       {"0-3", 4, false},
                 {"0-1,4-5", 4, true},   {"0-1,4-5", 2, false}, {"0,2,4", 2, true},     {"0,2,4", 3, false},
                 {"10-12,31", 31, true}, {"", 0, false},        {"nonsense", 0, false}, {"0-", 0, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(numa_list_has(cases[i].list, cases[i].node), cases[i].has, "%d in '%s'", cases[i].node,
                     cases[i].list);
        cr_assert_not(numa_list_has(cases[i].list, NUMA_ANY));
    }
}

Test(numa, a_bound_segment_lies_where_it_was_asked_to)
{
    struct segment segment;
    struct error err = {{0}};
    uint64_t elsewhere = 77;
    int example = 77;
    int node = first_node();
    size_t bytes = (size_t)3 << 20;
    cr_assert_eq(segment_create_on(&segment, "test", bytes, SEGMENT_HUGE_OR_NORMAL, node, &err), 0, "%s", err.text);
    cr_assert_eq(own_policy(), MPOL_DEFAULT, "our own pages follow no policy any more");
    if (segment.bind_error != 0) {
        segment_destroy(&segment);
        cr_skip_test("SKIPPED: this kernel does not let us bind memory");
    }
    cr_assert_eq(segment.numa_node, node);
    cr_assert_eq(numa_verify(segment.fd, segment.bytes, segment.page_bytes, node, &elsewhere, &example), 0);
    cr_assert_eq(elsewhere, 0);
    cr_assert_eq(numa_verify(segment.fd, segment.bytes, segment.page_bytes, NO_NODE, &elsewhere, &example), 0);
    cr_assert_eq(elsewhere, segment.bytes / segment.page_bytes, "every page is found to be elsewhere");
    cr_assert_eq(example, node);
    segment_destroy(&segment);
}

/* The configuration refuses such a node; a kernel that refuses to bind for other reasons looks the same here. */
Test(numa, what_cannot_be_bound_is_there_and_says_so)
{
    struct segment segment;
    struct error err = {{0}};
    first_node();
    cr_assert_eq(segment_create_on(&segment, "test", 8192, SEGMENT_NORMAL, NO_NODE, &err), 0, "%s", err.text);
    cr_assert_lt(segment.bind_error, 0);
    cr_assert_eq(segment.numa_node, NUMA_ANY);
    memset(segment.base, 1, segment.bytes);
    cr_assert_eq(own_policy(), MPOL_DEFAULT);
    segment_destroy(&segment);
}

Test(numa, nodes_that_cannot_be)
{
    struct numa_policy before;
    int page = 0;
    cr_assert_lt(numa_bind(&page, sizeof(page), -1, &before), 0);
    cr_assert_lt(numa_bind(&page, sizeof(page), (int)NUMA_NODES_MAX, &before), 0);
    cr_assert_eq(numa_available_bytes(NO_NODE), SIZE_MAX);
}
