/* How far an export is: a line on standard error that is written over, on a terminal only. Cold. */
#ifndef EXPORT_PROGRESS_H
#define EXPORT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress_bar {
    bool shown;
    bool drawn;
    uint64_t begun_ns;
    uint64_t drawn_ns;
};

void progress_bar_begin(struct progress_bar *bar, bool wanted);
/* done: 0 to 1 of all; bytes of payload so far. Draws ten times a second at most. */
void progress_bar_show(struct progress_bar *bar, double done, uint64_t bytes);
/* Takes the line away. */
void progress_bar_end(struct progress_bar *bar);

#endif
