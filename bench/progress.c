#include "bench/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "ring/clock.h"

#define COLUMNS 79
#define SURE_S  2.0 /* that the guess is stretched from */
#define MINUTE  60.0

void progress_begin(struct progress *p, bool rounds, double whole_s)
{
    *p = (struct progress){.terminal = isatty(STDERR_FILENO) != 0,
                           .rounds = rounds,
                           .start_ns = clock_monotonic_ns(),
                           .whole_s = whole_s};
}

double progress_rest_s(const struct progress *p, uint64_t now_ns)
{
    double took_s = (double)(now_ns - p->start_ns) / (double)CLOCK_NS_PER_S;
    double rest_s = p->whole_s > p->done_s ? p->whole_s - p->done_s : 0;
    return p->done_s < SURE_S ? rest_s : rest_s * took_s / p->done_s;
}

static const char *rest_text(const struct progress *p, char text[32])
{
    double s = progress_rest_s(p, clock_monotonic_ns());
    if (s >= 2 * MINUTE) {
        snprintf(text, 32, "about %.0f min left", s / MINUTE);
    } else {
        snprintf(text, 32, "about %.0f s left", s < 1 ? 1 : s);
    }
    return text;
}

static const char *round_text(int round, uint32_t rounds, char text[32])
{
    if (round < 0) {
        snprintf(text, 32, "warm-up");
    } else {
        snprintf(text, 32, "round %d of %u", round + 1, rounds);
    }
    return text;
}

void progress_round(const struct progress *p, const char *question, int round, uint32_t rounds)
{
    char which[32];
    char rest[32];
    if (p->rounds && !p->terminal) {
        fprintf(stderr, "sluice-bench: %s, %s, %s\n", question, round_text(round, rounds, which),
                rest_text(p, rest));
    }
}

void progress_case(const struct progress *p, const char *question, int round, uint32_t rounds, const char *what)
{
    char which[32];
    char rest[32];
    char line[160];
    if (p->terminal) {
        snprintf(line, sizeof(line), "%s, %s, %s: %s", question, round_text(round, rounds, which),
                 rest_text(p, rest), what);
        fprintf(stderr, "\r%-*.*s", COLUMNS, COLUMNS, line);
    }
}

void progress_add(struct progress *p, double expected_s)
{
    p->done_s += expected_s;
}

void progress_end(const struct progress *p)
{
    if (p->terminal) {
        fprintf(stderr, "\r%*s\r", COLUMNS, "");
    }
}
