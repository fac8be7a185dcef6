/* What the control loop leaves behind of each of its decisions, for `sluice status`, the audit log, the black box
 * and the replay: events, the journal, snapshots and checkpoints in shared memory. Written after the outputs,
 * but before those that are files; no system calls. Hot (HOT_SOURCES).
 */
#ifndef CONTROL_EVIDENCE_H
#define CONTROL_EVIDENCE_H

#include "control/board.h"
#include "control/watch.h"

struct evidence {
    struct control_board *board;
    struct control_journal *journal; /* NULL: none is kept */
    uint64_t checkpoint_ns;          /* monotonic time of the last checkpoint */
    uint64_t period_max_ns;          /* longest gap of the loop since the last snapshot */
};

void evidence_init(struct evidence *evidence, struct control_board *board, struct control_journal *journal);

/* Before a permit goes out: should the process die while it is being sent, there was one. A single store. */
void evidence_permit(struct evidence *evidence, const struct engine_state *state);

/* One step of the engine, which was taken for `kind`. `watch` tells of a frame, `ring` whose it was. */
void evidence_step(struct evidence *evidence, const struct engine_inputs *inputs, const struct engine_state *state,
                   const struct engine_outputs *outputs, enum journal_kind kind, const struct watch *watch,
                   uint32_t ring);

/* The snapshot that `sluice status` shows, and the longest gap of the loop since the last one. */
void evidence_snapshot(struct evidence *evidence, const struct control_table *table,
                       const struct engine_inputs *inputs, const struct engine_state *state, uint64_t overruns);

/* A checkpoint, if one is due at `monotonic_ns`. */
void evidence_checkpoint(struct evidence *evidence, const struct engine_inputs *inputs,
                         const struct engine_state *state, uint64_t monotonic_ns);

#endif
