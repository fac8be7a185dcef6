#include "control/board.h"

#include <errno.h>
#include <string.h>

int control_board_read(const struct control_board *board, struct control_board *copy)
{
    for (int attempt = 0; attempt < 1000; attempt++) {
        uint64_t before = __atomic_load_n(&board->version, __ATOMIC_ACQUIRE);
        if ((before & 1) != 0) {
            continue;
        }
        memcpy(copy, board, offsetof(struct control_board, hop));
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&board->version, __ATOMIC_RELAXED) == before) {
            return 0;
        }
    }
    return -EAGAIN;
}
