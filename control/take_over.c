#include "control/take_over.h"

#include <string.h>

#include "control/machine.h"
#include "ring/order.h"

/* NULL: there is none. */
static const struct journal_entry *newest_entry(const struct control_journal *journal)
{
    if (journal == NULL || __atomic_load_n(&journal->magic, __ATOMIC_ACQUIRE) != CONTROL_JOURNAL_MAGIC) {
        return NULL;
    }
    uint64_t count = __atomic_load_n(&journal->count, __ATOMIC_ACQUIRE);
    return count > 0 ? &journal->entry[(count - 1) % CONTROL_JOURNAL] : NULL;
}

/* A decision is in the journal before it is in a snapshot, and its trip's cause in the history before that; a
 * permit is on the board before either. An entry with fewer trips than the board is from before the last take-over,
 * one with far more is no entry. True if a permit was held to the end. */
static bool take_decisions(struct control_board *board, const struct control_journal *journal, bool torn)
{
    const struct journal_entry *entry = newest_entry(journal);
    uint32_t more = entry != NULL ? entry->trips - (uint32_t)board->trips : 0;
    if (entry == NULL || more > CONTROL_TRIP_HISTORY) {
        return torn || machine_permits(board->state);
    }
    board->trips += more;
    return machine_permits(entry->code) || (more == 0 && !torn && machine_permits(board->state));
}

static void add_trip(struct control_board *board, uint64_t now_tai_ns)
{
    board->trip_history[(board->trips + 1) % CONTROL_TRIP_HISTORY] =
        (struct engine_cause){.kind = CAUSE_CONTROL_DIED,
                              .rule = ENGINE_NONE,
                              .channel = ENGINE_NONE,
                              .output = ENGINE_NONE,
                              .tai_ns = now_tai_ns};
    board->died_armed = 1;
    __atomic_store_n(&board->trips, board->trips + 1, __ATOMIC_RELEASE);
}

/* Half of one snapshot and half of another: nothing is said until the successor says it, but for the last trip. */
static void forget_snapshot(struct control_board *board)
{
    const struct engine_cause *last = &board->trip_history[board->trips % CONTROL_TRIP_HISTORY];
    board->cause_count = 0;
    board->demand_count = 0;
    board->latched = 0;
    board->held = 0;
    board->bypasses = 0;
    memset(&board->test, 0, sizeof(board->test));
    memset(board->channel, 0, sizeof(board->channel));
    memset(board->rule, 0, sizeof(board->rule));
    memset(board->position, 0, sizeof(board->position));
    board->first_out[0] = *last;
    board->first_out_count = board->trips != 0 && last->kind != CAUSE_NONE ? 1 : 0;
}

void control_board_take_over(struct control_board *board, const struct control_journal *journal,
                             uint64_t now_tai_ns)
{
    bool torn = (board->version & 1) != 0;
    uint64_t version = board->version | 1;
    __atomic_store_n(&board->version, version, __ATOMIC_SEQ_CST);
    ring_writes_behind();
    if (take_decisions(board, journal, torn)) {
        add_trip(board, now_tai_ns);
    }
    if (torn) {
        forget_snapshot(board);
    }
    board->energised = 0;
    board->state = ENGINE_INIT;
    __atomic_store_n(&board->version, version + 1, __ATOMIC_RELEASE);
}
