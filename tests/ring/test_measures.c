/* The list of measures: what the server writes others find, and nothing in a damaged one leads outside. */
#include <criterion/criterion.h>
#include <string.h>

#include <errno.h>

#include "ring/board.h"
#include "ring/histogram.h"
#include "ring/measures.h"
#include "tests/support/random.h"

#define BOARD_SIZE 32768u

static struct measures measures;
static union {
    struct board common;
    uint8_t bytes[BOARD_SIZE];
} board;

static void begin(void)
{
    measures = (struct measures){.magic = MEASURES_MAGIC, .version = MEASURES_VERSION};
    board_init(&board.common, BOARD_WORKER, "test", "worker-0");
}

TestSuite(measures, .init = begin);

static const struct measures_entry *last(void)
{
    return &measures.entry[measures.count - 1];
}

static const void *find(const struct measures_entry *entry)
{
    void *map[] = {&measures, &board};
    size_t bytes[] = {sizeof(measures), sizeof(board)};
    return measures_find(entry, map, bytes, 2);
}

static bool passes(void)
{
    struct error err = {{0}};
    return measures_check(&measures, sizeof(measures), &err) == 0;
}

Test(measures, numbers_states_and_histograms_are_found)
{
    cr_assert(measures_add(&measures, "worker-0", "trips", "worker-0", 4096, MEASURES_COUNTER, 8));
    *(uint64_t *)(void *)(board.bytes + 4096) = UINT64_C(1) << 40;
    cr_assert_eq(find(last()), board.bytes + 4096);
    cr_assert_eq(measures_value(last(), find(last())), UINT64_C(1) << 40);

    cr_assert(measures_add(&measures, "worker-0", "state", "worker-0", 4104, MEASURES_STATE, 4));
    cr_assert(measures_add_word(&measures, 7, "armed"));
    cr_assert(measures_add_word(&measures, 9, "tripped"));
    *(uint32_t *)(void *)(board.bytes + 4104) = 9;
    cr_assert_str_eq(measures_word_of(&measures, last(), measures_value(last(), find(last()))), "tripped");
    cr_assert_str_eq(measures_word_of(&measures, last(), 8), "unknown");

    cr_assert(measures_add(&measures, "ring", "lag", "worker-0", 8192, MEASURES_HISTOGRAM, 0));
    struct histogram *histogram = (struct histogram *)(void *)(board.bytes + 8192);
    hist_record_n(histogram, 1000, 5);
    cr_assert_eq(measures_value(last(), find(last())), 5);
    cr_assert_str_eq(last()->name, "ring.lag");
    cr_assert(passes());
}

Test(measures, of_a_board_that_is_not_there_or_is_too_short_nothing_is_found)
{
    cr_assert(measures_add(&measures, "a", "b", "worker-1", 0, MEASURES_COUNTER, 8));
    cr_assert_null(find(last()));
    cr_assert(measures_add(&measures, "a", "c", "worker-0", BOARD_SIZE - 8, MEASURES_COUNTER, 8));
    cr_assert_not_null(find(last()));
    cr_assert(measures_add(&measures, "a", "d", "worker-0", BOARD_SIZE - 4, MEASURES_COUNTER, 8));
    cr_assert_null(find(last()));
    cr_assert(measures_add(&measures, "a", "e", "worker-0", BOARD_SIZE - 8, MEASURES_HISTOGRAM, 0));
    cr_assert_null(find(last()));
    cr_assert(measures_add(&measures, "a", "f", "worker-0", UINT32_MAX - 3, MEASURES_COUNTER, 8));
    cr_assert_null(find(last()));
}

Test(measures, there_is_an_end_to_the_list_and_to_names)
{
    char name[MEASURES_NAME_BYTES + 1];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    cr_assert_not(measures_add(&measures, name, "y", "worker-0", 0, MEASURES_COUNTER, 8));
    cr_assert_not(measures_add_word(&measures, 1, "no state yet"));
    cr_assert_eq(measures.count, 0);
    for (uint32_t i = 0; i < MEASURES_MAX; i++) {
        cr_assert(measures_add(&measures, "a", "b", "worker-0", 0, MEASURES_STATE, 4));
    }
    cr_assert_not(measures_add(&measures, "a", "b", "worker-0", 0, MEASURES_STATE, 4));
    cr_assert_not(measures_add_word(&measures, 1, "far too long for a word"));
    for (uint32_t i = 0; i < MEASURES_WORDS_MAX; i++) {
        cr_assert(measures_add_word(&measures, i, "word"));
    }
    cr_assert_not(measures_add_word(&measures, 1, "word"));
    cr_assert(passes());
}

Test(measures, what_is_out_of_bounds_is_refused)
{
    cr_assert(measures_add(&measures, "a", "b", "worker-0", 0, MEASURES_STATE, 4));
    struct measures good = measures;
    struct error err = {{0}};
    cr_assert_eq(measures_check(&measures, measures_bytes(&measures), &err), 0);
    cr_assert_eq(measures_check(&measures, measures_bytes(&measures) - 1, &err), -EPROTO);
    cr_assert_eq(measures_check(&measures, offsetof(struct measures, entry) - 1, &err), -EPROTO);
    measures.version++;
    cr_assert_not(passes());
    measures = good;
    measures.count = MEASURES_MAX + 1;
    cr_assert_not(passes());
    measures = good;
    measures.words = MEASURES_WORDS_MAX + 1;
    cr_assert_not(passes());
    measures = good;
    measures.entry[0].words = 1; /* there is none */
    cr_assert_not(passes());
    measures = good;
    memset(measures.entry[0].name, 'x', sizeof(measures.entry[0].name));
    cr_assert_not(passes());
    measures = good;
    measures.entry[0].bytes = 16;
    cr_assert_not(passes());
    measures = good;
    measures.entry[0].at = 2;
    cr_assert_not(passes());
    measures = good;
    measures.entry[0].at = 4; /* what has eight bytes is read by one load */
    cr_assert(passes());
    measures.entry[0].bytes = 8;
    cr_assert_not(passes());
    measures = good;
    measures.entry[0].at = 4;
    measures.entry[0].kind = MEASURES_HISTOGRAM;
    cr_assert_not(passes());
}

/* Any bytes: what passes leads nowhere outside the maps. */
Test(measures, random_bytes)
{
    struct test_random random = {.state = 11};
    cr_assert(measures_add(&measures, "a", "b", "worker-0", 0, MEASURES_STATE, 4));
    cr_assert(measures_add_word(&measures, 1, "word"));
    struct measures good = measures;
    for (int round = 0; round < 20000; round++) {
        measures = good;
        uint8_t *bytes = (uint8_t *)&measures;
        for (int i = 0; i < 4; i++) {
            size_t reach = offsetof(struct measures, entry) + sizeof(struct measures_entry);
            bytes[16 + test_random_below(&random, reach - 16)] = (uint8_t)test_random_next(&random);
        }
        for (uint32_t i = 0; passes() && i < measures.count; i++) {
            const uint8_t *place = find(&measures.entry[i]);
            if (place != NULL) {
                cr_assert(place >= board.bytes && place < board.bytes + sizeof(board));
                cr_assert(strlen(measures_word_of(&measures, &measures.entry[i],
                                                  measures_value(&measures.entry[i], place))) < 16);
            }
        }
    }
}
