/* What a stretch of time went to, from made-up events; the words for it; which threads are watched. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "control/thief_table.h"
#include "control/thief_words.h"
#include "tests/support/random.h"

static struct thief_event stress(uint64_t from_ns, uint64_t ns)
{
    return (struct thief_event){.from_ns = from_ns, .ns = ns, .kind = THIEF_TASK, .pid = 71, .name = "stress"};
}

static struct verdict find(const struct thief_event *events, uint32_t count, const struct stall_span *spans,
                           uint32_t span_count, uint64_t from_ns, uint64_t to_ns)
{
    const struct thief_event *at[16];
    struct verdict verdict;
    for (uint32_t i = 0; i < count; i++) {
        at[i] = &events[i];
    }
    culprits_find(at, count, spans, span_count, from_ns, to_ns, &verdict);
    cr_assert_eq(verdict.named_ns + verdict.host_ns + verdict.own_ns, to_ns - from_ns, "nothing is left over");
    return verdict;
}

Test(culprits, nothing_happened)
{
    struct verdict v = find(NULL, 0, NULL, 0, 100, 600);
    cr_assert_eq(v.own_ns, 500);
    cr_assert_eq(v.culprits, 0);
}

Test(culprits, events_are_cut_to_the_stretch)
{
    struct thief_event events[] = {stress(0, 150), stress(200, 100), stress(550, 1000)};
    struct verdict v = find(events, 3, NULL, 0, 100, 600);
    cr_assert_eq(v.named_ns, 50 + 100 + 50);
    cr_assert_eq(v.culprits, 1);
    cr_assert_eq(v.culprit[0].ns, 200);
    cr_assert_eq(v.culprit[0].times, 3);
    cr_assert_str_eq(v.culprit[0].name, "stress");
}

Test(culprits, what_lies_within_another_counts_once)
{
    struct thief_event events[] = {stress(100, 300), stress(150, 50), stress(350, 100)};
    struct verdict v = find(events, 3, NULL, 0, 0, 1000);
    cr_assert_eq(v.named_ns, 350);
    cr_assert_eq(v.culprit[0].ns, 350);
    cr_assert_eq(v.culprits, 1);
}

Test(culprits, an_interrupt_is_the_cause_of_what_it_delays)
{
    struct thief_event events[] = {stress(100, 500),
                                   {.from_ns = 150, .ns = 400, .kind = THIEF_SOFTIRQ, .what = 3},
                                   {.from_ns = 200, .ns = 50, .kind = THIEF_TIMER}};
    struct verdict v = find(events, 3, NULL, 0, 0, 1000);
    cr_assert_eq(v.named_ns, 500);
    cr_assert_eq(v.culprits, 2);
    cr_assert_eq(v.culprit[0].kind, THIEF_SOFTIRQ);
    cr_assert_eq(v.culprit[0].ns, 400, "of two interrupts the first");
    cr_assert_eq(v.culprit[1].kind, THIEF_TASK);
    cr_assert_eq(v.culprit[1].ns, 100);
}

Test(culprits, the_longest_is_first_and_others_are_counted)
{
    struct thief_event events[9];
    for (uint32_t i = 0; i < 9; i++) {
        events[i] = stress(UINT64_C(1000) * i, UINT64_C(10) * (i + 1));
        events[i].pid = 100 + i;
    }
    struct verdict v = find(events, 9, NULL, 0, 0, 10000);
    cr_assert_eq(v.culprits, CULPRITS_MAX);
    cr_assert_eq(v.others, 9 - CULPRITS_MAX);
    for (uint32_t i = 0; i < CULPRITS_MAX; i++) {
        cr_assert_eq(v.culprit[i].pid, 108 - i);
    }
}

Test(culprits, what_no_event_tells_of_within_a_gap_is_the_hosts)
{
    struct thief_event events[] = {stress(2000, 500)};
    struct stall_span gaps[] = {{1000, 4000, 300}};
    struct verdict v = find(events, 1, gaps, 1, 0, 5000);
    cr_assert_eq(v.named_ns, 500);
    cr_assert_eq(v.host_ns, 3000 - 500 - 300);
    cr_assert_eq(v.own_ns, 5000 - 500 - 2200);
    cr_assert_eq(v.culprit[0].kind, THIEF_HOST);
    v = find(events, 1, NULL, 0, 0, 5000);
    cr_assert_eq(v.host_ns, 0, "without the thread's own word nothing is put down to the host");
}

Test(culprits, a_gap_that_is_explained_is_not_the_hosts)
{
    struct thief_event events[] = {stress(1000, 2900)};
    struct stall_span gaps[] = {{1000, 4000, 300}};
    cr_assert_eq(find(events, 1, gaps, 1, 0, 5000).host_ns, 0);
}

/* Against a brute force over single nanoseconds. */
Test(culprits, sums_are_right_whatever_overlaps)
{
    struct test_random state = {7};
    for (int round = 0; round < 2000; round++) {
        struct thief_event events[8];
        uint8_t covered[256] = {0};
        uint64_t at = 0;
        for (uint32_t i = 0; i < 8; i++) {
            at += test_random_next(&state) % 40;
            events[i] = stress(at, 1 + test_random_next(&state) % 60);
            events[i].pid = (uint32_t)(test_random_next(&state) % 3);
            events[i].kind = test_random_next(&state) % 2 == 0 ? THIEF_TASK : THIEF_IRQ;
            for (uint64_t t = at; t < at + events[i].ns && t < 256; t++) {
                covered[t] = 1;
            }
        }
        uint64_t from = test_random_next(&state) % 100;
        uint64_t to = from + 1 + test_random_next(&state) % 100;
        uint64_t named = 0;
        for (uint64_t t = from; t < to; t++) {
            named += covered[t];
        }
        struct verdict v = find(events, 8, NULL, 0, from, to);
        uint64_t sum = 0;
        for (uint32_t i = 0; i < v.culprits; i++) {
            sum += v.culprit[i].ns;
        }
        cr_assert_eq(v.named_ns, named);
        cr_assert_eq(sum, named, "each nanosecond is put down to one");
    }
}

static const char *who(struct culprit culprit)
{
    static char text[THIEF_WORDS_BYTES];
    thief_who(&culprit, text);
    return text;
}

Test(words, each_kind_has_a_key_and_words)
{
    for (uint32_t kind = THIEF_TASK; kind < THIEF_KINDS; kind++) {
        struct culprit culprit = {.kind = kind, .pid = 1, .what = 1, .name = "x"};
        cr_assert_str_neq(thief_key(kind), "unknown");
        cr_assert_str_neq(who(culprit), "unknown");
        for (uint32_t other = THIEF_TASK; other < kind; other++) {
            cr_assert_str_neq(thief_key(kind), thief_key(other));
        }
    }
    cr_assert_str_eq(thief_key(THIEF_KINDS), "unknown");
    cr_assert_str_eq(who((struct culprit){.kind = 99}), "unknown");
}

Test(words, who_it_was)
{
    cr_assert_str_eq(who((struct culprit){.kind = THIEF_TASK, .pid = 71, .name = "stress"}), "stress (pid 71) ran");
    cr_assert_str_eq(who((struct culprit){.kind = THIEF_TASK, .name = "cc1"}),
                     "cc1 (of another pid namespace) ran");
    cr_assert_str_eq(who((struct culprit){.kind = THIEF_SOFTIRQ, .what = 3}), "softirq NET_RX");
    cr_assert_str_eq(who((struct culprit){.kind = THIEF_SOFTIRQ, .what = -1}), "softirq ?");
    cr_assert_str_eq(who((struct culprit){.kind = THIEF_STOPPED, .what = SIGSTOP, .pid = 9, .name = "bash"}),
                     "stopped by SIGSTOP from bash (pid 9)");
    cr_assert_str_eq(who((struct culprit){.kind = THIEF_SLEEP, .what = SYS_write}), "it waited in write()");
    cr_assert(strstr(thief_remedy(&(struct culprit){.kind = THIEF_IDLE}), "sched_rt_runtime_us") != NULL);
    cr_assert_str_neq(thief_remedy(&(struct culprit){.kind = THIEF_SLEEP, .what = SYS_clock_nanosleep}),
                      thief_remedy(&(struct culprit){.kind = THIEF_SLEEP, .what = SYS_write}));
}

/* As the BPF program searches. */
static int64_t find_thread(const struct thief_settings *settings, uint32_t tid)
{
    for (uint32_t probe = 0; probe < THIEF_PROBES; probe++) {
        const struct thief_slot *slot = &settings->slot[thief_place(tid, probe)];
        if (slot->tid == tid) {
            return slot->thread;
        }
    }
    return -1;
}

static struct thief_settings settings;

Test(table, threads_come_and_go)
{
    struct test_random state = {3};
    uint32_t tids[THIEF_THREADS_MAX] = {0};
    for (int round = 0; round < 5000; round++) {
        uint32_t index = (uint32_t)(test_random_next(&state) % THIEF_THREADS_MAX);
        uint32_t tid = round % 5 == 0 ? 0 : 2 + (uint32_t)(test_random_next(&state) % 4000000);
        uint32_t epoch = settings.watched[index].epoch;
        int code = thief_table_set(&settings, index, tid, 0, 5);
        tids[index] = code == 0 ? tid : 0;
        cr_assert_eq(settings.watched[index].epoch, epoch + 1);
        for (uint32_t i = 0; i < THIEF_THREADS_MAX; i++) {
            cr_assert(tids[i] == 0 || find_thread(&settings, tids[i]) >= 0, "thread %u is lost", tids[i]);
        }
    }
}

Test(table, places_run_out_without_harm)
{
    uint32_t tids[6];
    uint32_t found = 0;
    for (uint32_t tid = 2; found < 6; tid++) {
        if (thief_place(tid, 0) == 17) {
            tids[found++] = tid;
        }
    }
    for (uint32_t i = 0; i < THIEF_PROBES; i++) {
        cr_assert_eq(thief_table_set(&settings, i, tids[i], 0, 0), 0);
    }
    cr_assert_eq(thief_table_set(&settings, 4, tids[4], 0, 0), -ENOSPC);
    cr_assert_eq(find_thread(&settings, tids[4]), -1);
    cr_assert_eq(thief_table_set(&settings, 0, 0, 0, 0), 0);
    cr_assert_eq(thief_table_set(&settings, 4, tids[4], 0, 0), 0);
    cr_assert_eq(find_thread(&settings, tids[4]), 4);
}
