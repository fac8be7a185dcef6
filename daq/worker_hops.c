#include "daq/worker_hops.h"

#include <stdio.h>
#include <string.h>

static bool is_of_packets(const struct source_plan *plan)
{
    return plan->kind == SOURCE_UDP || plan->kind == SOURCE_AFXDP || plan->kind == SOURCE_DPDK;
}

bool worker_source_is_dated(const struct source_plan *plan)
{
    if (is_of_packets(plan)) {
        return plan->format.kind == FORMAT_SLUICE;
    }
    return plan->rate.stamp == RING_STAMP_DEVICE || plan->rate.stamp == RING_STAMP_ASKED;
}

size_t worker_board_bytes(const struct worker_plan *plan)
{
    size_t bytes = sizeof(struct worker_board) + plan_threads(plan) * sizeof(struct worker_thread_hops);
    for (uint32_t i = 0; i < plan->sources; i++) {
        bytes += ring_hops_bytes(worker_source_is_dated(&plan->source[i]));
    }
    return bytes;
}

void worker_board_lay_out(struct worker_board *board, const struct worker_plan *plan)
{
    size_t at = sizeof(struct worker_board);
    board->hops_at = (uint32_t)at;
    board->hops_threads = plan_threads(plan);
    at += board->hops_threads * sizeof(struct worker_thread_hops);
    board->sources = plan->sources;
    for (uint32_t i = 0; i < plan->sources; i++) {
        bool is_dated = worker_source_is_dated(&plan->source[i]);
        struct worker_source_place *place = &board->source[i];
        snprintf(place->ring, sizeof(place->ring), "%s", plan->source[i].ring);
        place->hops_at = (uint32_t)at;
        place->is_dated = is_dated;
        place->period_ns = plan->source[i].framing.kind == FRAMING_POLLED ? plan->source[i].poll.period_ns : 0;
        at += ring_hops_bytes(is_dated);
    }
}

void worker_ring_measure(struct worker_ring *ring, const struct source_plan *plan, struct worker_board *board,
                         size_t bytes, uint32_t source)
{
    bool is_dated;
    size_t at = worker_source_hops_at(board, bytes, source, &is_dated);
    if (at != 0) {
        ring_writer_measure(&ring->writer, (struct ring_hops *)(void *)((uint8_t *)board + at), is_dated,
                            is_of_packets(plan));
    }
}
