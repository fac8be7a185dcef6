/* A bare libhdf5 writer of the layout that sluice export has for a ring with channels, from memory: the peer of its
 * speed. Cold. */
#ifndef BENCH_HDF5_BARE_H
#define BENCH_HDF5_BARE_H

#include <stdint.h>

#define HDF5_BARE_CHANNELS_MAX 64u

/* Writes path anew: `channels` groups with value and raw (f64), time, position and source_sequence (u64), each of
 * `frames` elements in chunks of a MiB, by H5Dwrite of a chunk at a time, and closes it (no fsync). *seconds: of
 * all that. 0, -EINVAL or -EIO. */
int hdf5_bare_write(const char *path, unsigned channels, uint64_t frames, double *seconds);

#endif
