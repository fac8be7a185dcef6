/* Where what a worker measures lies, that nobody is led out of the segment, and what a round is. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "daq/worker_hops.h"
#include "tests/support/temporary_ring.h"

#define HISTOGRAM sizeof(struct histogram)
#define COUNTS    offsetof(struct ring_hops, arrival_to_publish)

static struct worker_plan plan;
static struct worker_board *board;
static size_t bytes;

static void lay_out(void)
{
    plan = (struct worker_plan){.sources = 4, .threads = 2};
    plan.source[0] = (struct source_plan){.ring = "plain", .kind = SOURCE_UDP, .format = {.kind = FORMAT_FIELD}};
    plan.source[1] =
        (struct source_plan){.ring = "header", .kind = SOURCE_AFXDP, .format = {.kind = FORMAT_SLUICE}};
    plan.source[2] =
        (struct source_plan){.ring = "device", .kind = SOURCE_CAN, .rate = {.stamp = RING_STAMP_DEVICE}};
    plan.source[3] = (struct source_plan){.ring = "asked",
                                          .kind = SOURCE_SCPI,
                                          .framing = {.kind = FRAMING_POLLED},
                                          .poll = {.period_ns = 7},
                                          .rate = {.stamp = RING_STAMP_ASKED}};
    bytes = worker_board_bytes(&plan);
    board = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    memset(board, 0, bytes);
    worker_board_lay_out(board, &plan);
}

static bool is_dated;

TestSuite(worker_hops, .init = lay_out);

Test(worker_hops, as_much_memory_as_there_is_to_measure)
{
    cr_assert_eq(bytes, sizeof(*board) + (4 + 4 + 3) * HISTOGRAM + 4 * COUNTS);
    cr_assert_eq(worker_thread_hops_at(board, bytes, 0), sizeof(*board));
    size_t end = worker_thread_hops_at(board, bytes, 1) + 2 * HISTOGRAM;
    for (uint32_t i = 0; i < plan.sources; i++) {
        cr_assert_eq(worker_source_hops_at(board, bytes, i, &is_dated), end, "%u", i);
        cr_assert_str_eq(board->source[i].ring, plan.source[i].ring);
        cr_assert_eq(board->source[i].is_dated, i > 0);
        cr_assert_eq(board->source[i].period_ns, i == 3 ? 7 : 0);
        end += COUNTS + (i > 0 ? 2 : 1) * HISTOGRAM;
    }
    cr_assert_eq(end, bytes, "they adjoin to the last byte");
}

Test(worker_hops, nobody_is_led_out_of_the_segment)
{
    cr_assert_eq(worker_thread_hops_at(board, bytes, 2), 0, "there are two");
    cr_assert_eq(worker_source_hops_at(board, bytes, 4, &is_dated), 0, "there are four");
    cr_assert_eq(worker_source_hops_at(board, bytes - 1, 3, &is_dated), 0);
    cr_assert_eq(worker_source_hops_at(board, sizeof(*board), 0, &is_dated), 0,
                 "a board without anything behind it");
    cr_assert_eq(worker_thread_hops_at(board, sizeof(*board), 0), 0);
    board->hops_threads = UINT32_MAX;
    board->sources = UINT32_MAX;
    cr_assert_eq(worker_thread_hops_at(board, bytes, PLAN_THREADS_MAX), 0);
    cr_assert_eq(worker_source_hops_at(board, bytes, PLAN_SOURCES_MAX, &is_dated), 0);
    cr_assert_eq(worker_source_hops_at(board, bytes, 5, &is_dated), 0, "whose place is 0");
    board->source[0].hops_at = UINT32_MAX;
    cr_assert_eq(worker_source_hops_at(board, bytes, 0, &is_dated), 0);
    board->source[0].hops_at = sizeof(*board) + 1;
    cr_assert_eq(worker_source_hops_at(board, bytes, 0, &is_dated), 0, "not on a line of its own");
}

Test(worker_hops, a_writer_is_measured_where_its_source_lies)
{
    static struct worker_ring ring;
    struct temporary_ring t;
    struct ring_spec spec = temporary_spec(32, 64, 32);
    temporary_ring_create(&t, &spec);
    for (uint32_t i = 0; i < plan.sources; i++) {
        ring.writer = t.writer;
        worker_ring_measure(&ring, &plan.source[i], board, bytes, i);
        cr_assert_eq((uint8_t *)ring.writer.hops,
                     (uint8_t *)board + worker_source_hops_at(board, bytes, i, &is_dated));
        cr_assert_eq(ring.writer.is_dated, i > 0);
        cr_assert_eq(ring.writer.sent_by_batch, i < 2, "packets by the batch");
    }
    ring.writer = t.writer;
    worker_ring_measure(&ring, &plan.source[0], board, sizeof(*board), 0);
    cr_assert_null(ring.writer.hops);
}

Test(worker_hops, a_round_and_what_of_it_is_busy)
{
    struct worker_thread_hops *hops = worker_thread_part(board, bytes, 1);
    worker_thread_round(hops, 0, 0, 1000); /* the first one has none before it */
    cr_assert_eq(hops->round.count, 0);
    worker_thread_round(hops, 1000, 0, 1500); /* found nothing */
    worker_thread_round(hops, 1500, 1600, 2500);
    worker_thread_round(hops, 2500, 2530, 2530); /* and did not wait */
    cr_assert_eq(hops->round.count, 3);
    cr_assert_eq(hops->round.sum_ns, 1530);
    cr_assert_eq(hops->busy.count, 2);
    cr_assert_eq(hops->busy.sum_ns, 130);
    worker_thread_round(NULL, 1, 2, 3); /* nothing is measured */
    cr_assert_null(worker_thread_part(board, bytes, 2));
}
