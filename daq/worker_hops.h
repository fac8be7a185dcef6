/* What a worker measures of itself, behind its board: for each polling thread how long its rounds take and how much
 * of that is work, for each source where its frames' time goes. As much memory as the plan has threads and sources,
 * laid out by sluiced before the worker starts; what the histograms hold outlives a worker that dies. Each part has
 * one writer, its thread. Cold, but for the rounds.
 */
#ifndef DAQ_WORKER_HOPS_H
#define DAQ_WORKER_HOPS_H

#include "daq/worker_board.h"
#include "daq/worker_ring.h"

/* Bytes of the segment that the board of this plan's worker needs. */
size_t worker_board_bytes(const struct worker_plan *plan);

/* sluiced: says in the board what lies where. */
void worker_board_lay_out(struct worker_board *board, const struct worker_plan *plan);

/* From here on the source's frames are measured, if the board has room for it. */
void worker_ring_measure(struct worker_ring *ring, const struct source_plan *plan, struct worker_board *board,
                         size_t bytes, uint32_t source);

/* Whether the source's frames say when they were sent, or its instrument was asked. */
bool worker_source_is_dated(const struct source_plan *plan);

/* The thread's part; NULL: there is none. */
static inline struct worker_thread_hops *worker_thread_part(struct worker_board *board, size_t bytes,
                                                            uint32_t thread)
{
    size_t at = worker_thread_hops_at(board, bytes, thread);
    return at != 0 ? (struct worker_thread_hops *)(void *)((uint8_t *)board + at) : NULL;
}

#endif
