/* libsluice: the frames of several rings, of one server or of several on this machine, in order of time.
 *
 *   struct sluice_merge *m;
 *   struct sluice_frame f;
 *   uint32_t i;
 *   if (sluice_merge_open(&m, readers, 3, 100000000, err, sizeof err) != 0) ..         0.1 s
 *   do {
 *       while (sluice_merge_next(m, &f, &i) == 1) {
 *           use(i, f.payload, f.length_bytes);
 *           if (!sluice_reader_valid(readers[i], &f)) discard_what_was_computed();
 *       }
 *   } while (sluice_merge_wait(m, 1000) >= 0);
 *   sluice_merge_close(m);
 *
 * A frame's time is its tai_ns, taken back to the clock that all servers of a machine share: CLOCK_MONOTONIC, which
 * is tai_ns - tai_minus_monotonic_ns of its ring. Among rings of one server that is the order of tai_ns; among
 * servers it holds also if the wall clock was set between their starts, whose tai_ns then differ by that step.
 *
 * The frame that is given is the oldest of those that wait, one of each reader; of equal ones that of the reader
 * that comes first in readers[]. It is given as soon as nothing older is to be expected:
 *
 *   every other reader has a frame waiting, which is then not older, or
 *   it is older than `patience`: what has not come by then is not waited for, or
 *   the servers of the readers that have nothing waiting have ended (or evicted them), as sluice_merge_wait() saw.
 *
 * So a busy ring beside a silent one comes `patience` late, and never stands still. A frame that is older than one
 * that was given before (its ring was slower than the patience, or it was reordered in its own ring, or it comes
 * behind a gap record, whose time is that of its writing) is late: it is given at once, and counted. Patience
 * should exceed the time from a frame's stamp until it can be read (sluice(1), latency), and stay well below the
 * deadline of gating readers: the writer of a ring waits while its frames wait here for those of others.
 *
 * Recordings that are replayed with the stamps they were made with are older than any patience: they are given as
 * they come. For those the patience is UINT64_MAX, which waits for every reader for as long as its server runs.
 *
 * Threads: a merge and its readers are used by one thread at a time.
 */
#ifndef SLUICE_MERGE_H
#define SLUICE_MERGE_H

#include "sluice.h" /* beside this one, here and where they are installed */

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_MERGE_READERS_MAX 64

struct sluice_merge;

/* Merges what readers[0 .. count) have not read yet; count is 1 .. SLUICE_MERGE_READERS_MAX, each of them once. The
 * readers stay the caller's, with whatever start and mode they were attached, and must not be detached before
 * sluice_merge_close(). Meanwhile all their functions may be used but sluice_reader_next(), _batch() and _wait(),
 * whose frames the merge would miss; after sluice_reader_seek() it goes on from there. patience_ns: 0 ..
 * UINT64_MAX; UINT64_MAX: for ever. 0, or with a sentence in error[0 .. error_bytes) (may be NULL): -EINVAL no
 * readers, too many, NULL or the same twice; -ENOMEM. Thread-safe for different readers. */
SLUICE_API int sluice_merge_open(struct sluice_merge **merge, struct sluice_reader *const readers[], uint32_t count,
                                 uint64_t patience_ns, char *error, size_t error_bytes);

/* Frees the merge; NULL is fine. The readers stand at their first frame that was not given: nothing is lost. The
 * frame that was given last is not released by it. */
SLUICE_API void sluice_merge_close(struct sluice_merge *merge);

/* 1: *frame is the next frame, of readers[*index]; 0: none may be given yet, and both are untouched. Gap records
 * are frames like others. Never blocks, no system call; looks at each reader once, so its time grows with their
 * number. Releases the frame given before, and nothing that was not given. A frame that was overwritten while it
 * waited is passed over, and counts in sluice_reader_lost() of its reader, as those do which the writer took
 * before. */
SLUICE_API int sluice_merge_next(struct sluice_merge *merge, struct sluice_frame *frame, uint32_t *index);

/* Waits until a frame may be given: 1, or 0 at the time-out (ms; 0: just look; negative: none), or -EPIPE once the
 * servers of all readers have ended (or evicted them) and everything has been given, or -EPROTO once the ring of
 * one cannot be true (sluice_reader_wait()): detach it, and merge the others. Sleeps, whatever sluice_reader_spin()
 * says. Also releases the frame given before. A signal does not end it. */
SLUICE_API int sluice_merge_wait(struct sluice_merge *merge, int timeout_ms);

/* Frames given that were older than one given before, in total. If it grows for ever, the patience is too short, or
 * the stamp of one frame lay in the future. */
SLUICE_API uint64_t sluice_merge_late(const struct sluice_merge *merge);

#ifdef __cplusplus
}
#endif

#endif
