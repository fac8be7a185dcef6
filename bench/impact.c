/* What an observer costs the writer: its rate without one, with one that keeps up, one that is stopped, one that
 * was killed, and one that does the worst it can. The reader is a process of its own on another core. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/tsc.h"

#define READER_HEAD_START_US 2000

_Noreturn static void be_reader(const struct question *question, void *link, struct tally *tally)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to(question->cores[1]);
    if (question->readers_state == IMPACT_HOSTILE) {
        ours_harass(link);
    }
    for (;;) {
        question->peer->receive(link, 0, tally, frames_per_call(&question->spec));
    }
}

/* The reader has begun to read when it is stopped or killed. The number of the next frame. */
static uint64_t put_into_state(const struct question *question, void *link, pid_t reader)
{
    uint32_t count = frames_per_call(&question->spec);
    uint64_t next = 0;
    uint64_t end = clock_monotonic_ns() + READER_HEAD_START_US * CLOCK_NS_PER_US;
    while (clock_monotonic_ns() < end) {
        next += question->peer->send(link, next, count);
    }
    if (question->readers_state == IMPACT_STOPPED) {
        kill(reader, SIGSTOP);
        waitpid(reader, NULL, WUNTRACED);
    } else if (question->readers_state == IMPACT_KILLED) {
        kill(reader, SIGKILL);
        waitpid(reader, NULL, 0);
    }
    return next;
}

static void write_for_a_while(const struct question *question, void *link, uint64_t first, struct outcome *outcome)
{
    uint32_t count = question->pace_hz > 0 ? question->spec.batch : frames_per_call(&question->spec);
    uint64_t start = tsc_now();
    uint64_t end = start + (uint64_t)(question->seconds * 1e9 * tsc_per_ns());
    uint64_t longest = 0;
    uint64_t next = first;
    uint64_t last = start;
    double per_tick = question->pace_hz / 1e9 / tsc_per_ns();
    while (last < end) {
        if (per_tick == 0 || (double)(next - first) + count <= (double)(last - start) * per_tick) {
            next += question->peer->send(link, next, count);
        }
        uint64_t now = tsc_now();
        longest = now - last > longest ? now - last : longest;
        last = now;
    }
    outcome->values[0] = (double)(next - first) / ((double)(last - start) / tsc_per_ns() / 1e9);
    outcome->stall_us = (double)longest / tsc_per_ns() / 1e3;
}

static void measure_with(const struct question *question, void *link, struct tally *tally, struct outcome *outcome)
{
    bool wants_reader = question->readers_state != IMPACT_NONE;
    pid_t reader = wants_reader ? fork() : 0;
    if (reader == 0 && wants_reader) {
        be_reader(question, link, tally);
    }
    if (reader < 0) {
        outcome->code = error_set(&outcome->err, -errno, "fork: %s", strerror(errno));
        return;
    }
    pin_to(question->cores[0]);
    uint64_t first = put_into_state(question, link, reader);
    write_for_a_while(question, link, first, outcome);
    if (wants_reader && question->readers_state != IMPACT_KILLED) {
        kill(reader, SIGKILL);
        waitpid(reader, NULL, 0);
    }
    outcome->frames = tally->frames;
    outcome->lost = tally->lost;
    outcome->wrong = tally->wrong;
}

void measure_impact(const struct question *question, struct outcome *outcome)
{
    struct tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tally == MAP_FAILED) {
        outcome->code = error_set(&outcome->err, -errno, "mmap of a page: %s", strerror(errno));
        return;
    }
    void *link = question->peer->open(&question->spec, &outcome->err);
    if (link == NULL) {
        outcome->code = -ENOTSUP;
    } else {
        measure_with(question, link, tally, outcome);
        question->peer->close(link);
    }
    munmap(tally, sizeof(*tally));
}
