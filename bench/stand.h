/* A stand-in for a server: rings that the program itself writes, given to readers of other processes over
 * ring/protocol.h. It has observers and wakes sleepers; it has no gates, boards or commands. For measurements and
 * tests that must know exactly what is in a ring and when.
 */
#ifndef BENCH_STAND_H
#define BENCH_STAND_H

#include "ring/ring.h"
#include "ring/segment.h"
#include "ring/writer.h"

#define STAND_RINGS_MAX   16u
#define STAND_CLIENTS_MAX 128u

/* What it does instead of answering, for tests of who asks. */
enum stand_manner {
    STAND_POLITE = 0,
    STAND_OTHER_VERSION = 1, /* answers as another version of the protocol */
    STAND_SILENT = 2,        /* takes requests and says nothing */
    STAND_FULL = 3,          /* has no place for readers */
    STAND_RUDE = 4           /* closes the connection */
};

struct stand;

/* A reader as its lease shows it: what it wrote there, to be believed for show only. */
struct stand_reader {
    uint32_t ring;
    uint64_t position;
    uint64_t lost;
};

/* Takes the place of `instance` in the run directory (SLUICE_RUN_DIR ..), and serves from a thread of its own. 0,
 * or -errno: -EADDRINUSE a server or stand of that name listens already. On failure nothing is left. */
int stand_open(struct stand **stand, const char *instance, struct error *err);

/* Closes every connection, the rings, and removes what it made in the run directory. NULL is fine. */
void stand_close(struct stand *stand);

/* A ring more; *writer is the caller's to use, in one thread, until stand_close. spec->instance is that of the
 * stand. 0 or -errno. */
int stand_ring(struct stand *stand, const struct ring_spec *spec, enum segment_pages pages,
               struct ring_writer **writer, struct error *err);

/* Ends a writer and begins as the next one: the epoch grows. */
int stand_restart(struct stand *stand, uint32_t ring, struct error *err);

void stand_behave(struct stand *stand, enum stand_manner manner);

/* Those that are attached now: how many there are, at most `max` of them in reader[]. */
uint32_t stand_readers(struct stand *stand, struct stand_reader reader[], uint32_t max);

#endif
