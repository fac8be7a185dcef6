/* Configurations: on which cores a worker polls, and on which of them each source. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "tests/daq/compile_text.h"

static const char *control = ""; /* a part of the file */

/* A worker with these keys, and so many sources, source i with more[i] behind its own keys; 0 or the error code. */
static int compile_worker(const char *worker, const char *kind, unsigned sources, const char *const *more)
{
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof(text),
                                "instance: test\nmemory: {pages: normal}\n%sworkers:\n  - {name: w%s}\nrings:\n",
                                control, worker);
    for (unsigned i = 0; i < sources; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "  - {name: r%u, slots: 8192}\n", i);
    }
    n += (size_t)snprintf(text + n, sizeof(text) - n, "sources:\n");
    for (unsigned i = 0; i < sources; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "  - {name: s%u, ring: r%u, %s%s}\n", i, i, kind,
                              more != NULL && more[i] != NULL ? more[i] : "");
    }
    return compile_format("%s", text);
}

#define DPDK "kind: dpdk, port: net_null0"

static void need_two_cores(void)
{
    if (sysconf(_SC_NPROCESSORS_CONF) < 2) {
        cr_skip_test("a machine of one core");
    }
}

static void expect_threads(const char *where, const uint32_t *threads, unsigned sources)
{
    for (unsigned i = 0; i < sources; i++) {
        cr_assert_eq(plan.worker[0].source[i].thread, threads[i], "%s: source %u on thread %u", where, i,
                     plan.worker[0].source[i].thread);
    }
}

Test(compile_cores, nothing_said_is_one_thread)
{
    static const uint32_t first[] = {0, 0};
    cr_assert_eq(compile_worker("", DPDK, 2, NULL), 0, "%s", errors.text);
    cr_assert_eq(plan_threads(&plan.worker[0]), 1);
    cr_assert_eq(plan.worker[0].thread.core, -1);
    expect_threads("nothing said", first, 2);
    cr_assert_eq(compile_worker(", core: 0", DPDK, 2, NULL), 0, "%s", errors.text);
    cr_assert_eq(plan_threads(&plan.worker[0]), 1);
    cr_assert_eq(plan.worker[0].thread.core, 0);
    cr_assert_eq(plan.worker[0].thread_core[0], 0);
    expect_threads("core", first, 2);
}

Test(compile_cores, sources_are_dealt_out_in_turn)
{
    static const uint32_t in_turn[] = {0, 1, 0, 1, 0};
    static const uint32_t one_says[] = {1, 0, 0, 1, 0};
    static const uint32_t two_say[] = {0, 1, 1};
    const char *one[5] = {", core: 0"};
    const char *two[5] = {[1] = ", core: 1", [2] = ", core: 1"};
    need_two_cores();
    cr_assert_eq(compile_worker(", cores: [1, 0]", DPDK, 5, NULL), 0, "%s", errors.text);
    cr_assert_eq(plan_threads(&plan.worker[0]), 2);
    cr_assert_eq(plan.worker[0].thread.core, 1, "the first thread is the process's own");
    cr_assert_eq(plan.worker[0].thread_core[0], 1);
    cr_assert_eq(plan.worker[0].thread_core[1], 0);
    expect_threads("in turn", in_turn, 5);
    cr_assert_eq(compile_worker(", cores: [1, 0]", DPDK, 5, one), 0, "%s", errors.text);
    expect_threads("one says where", one_says, 5);
    cr_assert_eq(compile_worker(", cores: [0, 1]", DPDK, 3, two), 0, "%s", errors.text);
    expect_threads("where the fewest are", two_say, 3);
}

Test(compile_cores, one_core_of_a_list)
{
    const char *says[1] = {", core: 0"};
    cr_assert_eq(compile_worker(", cores: [0]", DPDK, 1, says), 0, "%s", errors.text);
    cr_assert_eq(plan_threads(&plan.worker[0]), 1);
    cr_assert_eq(plan.worker[0].thread.core, 0);
    cr_assert_eq(compile_worker(", core: 0", DPDK, 1, says), 0, "%s", errors.text);
}

Test(compile_cores, what_cannot_be)
{
    static const struct {
        const char *worker;
        const char *kind;
        const char *first; /* behind the keys of the first of two sources */
        const char *second;
        const char *piece;
    } cases[] = {
        {", cores: [0, 0]", DPDK, NULL, NULL, "4:26: workers[0].cores[1]: core 0 stands there twice"},
        {", cores: [0, 999]", DPDK, NULL, NULL, "workers[0].cores[1]: expected a core from 0 to "},
        {", cores: [-1, 0]", DPDK, NULL, NULL, "workers[0].cores[0]: expected a core from 0 to "},
        {", cores: [0, 1, 0]", DPDK, NULL, NULL, "workers[0].cores: 3 cores for 2 sources"},
        {", core: 0, cores: [0, 1]", DPDK, NULL, NULL, "workers[0].cores: expected core, for one thread, or cores"},
        {", cores: [0]", "kind: udp, listen: \"127.0.0.1:5000\"", NULL, NULL,
         "workers[0].cores: belongs to a worker of sources of kind dpdk"},
        {", cores: [0, 1]", DPDK, ", core: 7", NULL,
         "sources[0].core: expected a core that worker 'w' polls on (0, 1), found 7"},
        {", core: 0", DPDK, NULL, ", core: 1",
         "sources[1].core: expected a core that worker 'w' polls on (0), found 1"},
        {"", DPDK, ", core: 0", NULL, "polls on (it names none), found 0"},
        {"", DPDK, ", core: -1", NULL, "polls on (it names none), found -1"},
        {"", "kind: udp, listen: \"127.0.0.1:5000\"", ", core: 0", NULL, "sources[0].core: belongs to kind: dpdk"},
        {", cores: [0, 1]", DPDK, ", core: 1", ", core: 1", "workers[0].cores[0]: no source is left for core 0"},
        {", cores: []", DPDK, NULL, NULL, "too few entries"},
        {", cores: [0, x]", DPDK, NULL, NULL, "Invalid INT value: 'x'"},
        {", cores: 0", DPDK, NULL, NULL, "cores"},
    };
    need_two_cores();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *more[2] = {cases[i].first, cases[i].second};
        cr_assert_neq(compile_worker(cases[i].worker, cases[i].kind, 2, more), 0, "'%s' was accepted: %s",
                      cases[i].worker, cases[i].piece);
        cr_assert_not_null(strstr(errors.text, cases[i].piece), "'%s' is not in: %s", cases[i].piece, errors.text);
    }
}

Test(compile_cores, the_interlocks_core_is_its_own)
{
    need_two_cores();
    control = "control: {core: 1}\n";
    cr_assert_neq(compile_worker(", cores: [0, 1]", DPDK, 2, NULL), 0);
    cr_assert_not_null(strstr(errors.text, "workers[0].cores[1]: core 1 is the interlock's (control.core)"), "%s",
                       errors.text);
    cr_assert_eq(compile_worker(", cores: [0]", DPDK, 2, NULL), 0, "%s", errors.text);
    control = "control: {core: -1}\n";
    cr_assert_eq(compile_worker(", cores: [0, 1]", DPDK, 2, NULL), 0, "%s", errors.text);
}
