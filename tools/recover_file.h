/* sluice recover, one file: its end is written, in place or on a copy. Cold. */
#ifndef TOOLS_RECOVER_FILE_H
#define TOOLS_RECOVER_FILE_H

#include "tools/recording.h"

/* A file of a recording that nobody else may write while we do. */
struct recover_lock {
    int fd; /* -1: none */
};

/* Opens and locks it; exclusive: to be written. 0, or -EBUSY: its recorder is still at it; -errno. */
int recover_lock(struct recover_lock *lock, const char *path, bool exclusive, struct error *err);
void recover_unlock(struct recover_lock *lock);

/* What lies behind the last whole block, zeros at the end not counted: 0 if nothing does. */
uint64_t recover_behind(int fd, uint64_t from, uint64_t bytes);

/* Cuts `fd` behind the last whole block and gives it an end: its own index, the ring's totals, and as much as fits
 * of what is missing (NULL: of another file's end). Everything is on the disk when it returns; killed in between
 * it is a file without an end, and this can be done again. 0 or -errno. */
int recover_end(int fd, const struct record_ring *ring, const struct record_file *file,
                const struct recording_gaps *gaps, struct error *err);

/* Copies the first `bytes` of from_fd to DIRECTORY/NAME; the descriptor of that in *fd if fd is not NULL, then as
 * DIRECTORY/NAME.new, to be finished by recover_copied(). 0 or -errno. */
int recover_copy(int from_fd, int directory_fd, const char *name, uint64_t bytes, int *fd, struct error *err);
int recover_copied(int fd, int directory_fd, const char *name, struct error *err);
void recover_drop(int fd, int directory_fd, const char *name);

#endif
