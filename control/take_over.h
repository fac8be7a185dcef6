/* The last words on a dead control process's board: what it decided last, a trip among it, is told even if it died
 * before it could say so itself. By sluiced, and only while no control process lives: nobody else writes then.
 * Cold.
 */
#ifndef CONTROL_TAKE_OVER_H
#define CONTROL_TAKE_OVER_H

#include "control/board.h"

/* Leaves a whole board in state INIT. `journal` may be NULL, and need not hold anything. A permit that ended with
 * its holder is one more trip, and `died_armed`; so is one of which that cannot be ruled out. */
void control_board_take_over(struct control_board *board, const struct control_journal *journal,
                             uint64_t now_tai_ns);

#endif
