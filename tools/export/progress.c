#include "tools/export/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ring/clock.h"
#include "tools/duration.h"

#define BAR_WIDTH 30

void progress_bar_begin(struct progress_bar *bar, bool wanted)
{
    *bar = (struct progress_bar){.shown = wanted && isatty(STDERR_FILENO) == 1, .begun_ns = clock_monotonic_ns()};
}

void progress_bar_show(struct progress_bar *bar, double done, uint64_t bytes)
{
    char left[48] = "";
    char blocks[BAR_WIDTH + 1];
    uint64_t now = bar->shown ? clock_monotonic_ns() : 0;
    if (!bar->shown || now - bar->drawn_ns < CLOCK_NS_PER_S / 10) {
        return;
    }
    done = done < 0 ? 0 : done > 1 ? 1 : done;
    double passed_s = (double)(now - bar->begun_ns) / 1e9;
    int full = (int)(done * BAR_WIDTH);
    memset(blocks, '#', (size_t)full);
    memset(blocks + full, '.', (size_t)(BAR_WIDTH - full));
    blocks[BAR_WIDTH] = 0;
    if (done > 0.001 && passed_s > 0.5) {
        duration_words(passed_s * (1 - done) / done, left);
    }
    fprintf(stderr, "\r[%s] %3.0f %%  %.1f MB  %.1f MB/s  %s%s\033[K", blocks, done * 100, (double)bytes / 1e6,
            passed_s > 0 ? (double)bytes / 1e6 / passed_s : 0.0, left[0] != 0 ? "still " : "", left);
    fflush(stderr);
    bar->drawn = true;
    bar->drawn_ns = now;
}

void progress_bar_end(struct progress_bar *bar)
{
    if (bar->drawn) {
        fprintf(stderr, "\r\033[K");
        fflush(stderr);
        bar->drawn = false;
    }
}
