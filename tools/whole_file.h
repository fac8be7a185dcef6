/* A file that is there whole or not at all: written beside its name as NAME.new, then renamed. Cold. */
#ifndef TOOLS_WHOLE_FILE_H
#define TOOLS_WHOLE_FILE_H

#include <stdio.h>

#include "ring/error.h"

#define WHOLE_PATH_BYTES 512u

struct whole_file {
    char path[WHOLE_PATH_BYTES];
    char made[WHOLE_PATH_BYTES + 8];
    FILE *to;
};

/* 0 or -errno. */
int whole_file_begin(struct whole_file *file, const char *path, struct error *err);

/* Closes it and puts it in its place; after a failure to write neither it nor anything half is left. 0 or -errno.
 */
int whole_file_end(struct whole_file *file, struct error *err);

#endif
