/* The file that is written: under a name of its own in the same directory until it is whole and on the disk, then
 * renamed. Complete or absent. Cold.
 */
#ifndef EXPORT_OUTPUT_H
#define EXPORT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/error.h"

#define OUTPUT_PATH_BYTES   4096u
#define OUTPUT_BUFFER_BYTES (1u << 20)

struct output {
    char path[OUTPUT_PATH_BYTES];
    char made[OUTPUT_PATH_BYTES]; /* what it is called meanwhile; empty: it is not there */
    int fd;
    bool force;
    bool keeps_crc;
    uint32_t crc;   /* CRC-32 of what was handed over since it was last set to 0, if keeps_crc */
    uint64_t bytes; /* handed over */
    size_t used;
    uint8_t *buffer;
};

/* Creates it. 0, -EEXIST: FILE is there, and force was not given; -errno. */
int output_begin(struct output *output, const char *path, bool force, struct error *err);
/* Appends. 0 or -errno. */
int output_write(struct output *output, const void *data, size_t bytes, struct error *err);
/* What is buffered, to the file. */
int output_flush(struct output *output, struct error *err);
/* Onto the disk, and in its place. Nothing is left if that fails. 0 or -errno. */
int output_commit(struct output *output, struct error *err);
/* Removes it unless it was committed; frees. Fine on a zeroed one, and twice. */
void output_abandon(struct output *output);

/* "cannot write FILE: No space left on device", with what to do. Returns -code. */
int output_failed(const struct output *output, int code, struct error *err);

/* A nameless file in the same directory, for what must wait until the end. Its descriptor or -errno. */
int output_aside(const struct output *output, struct error *err);

#endif
