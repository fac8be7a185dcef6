/* What the paths that are to be replayed are. Cold. */
#ifndef TOOLS_REPLAY_PATHS_H
#define TOOLS_REPLAY_PATHS_H

#include <stdint.h>

#include "ring/error.h"

enum replay_path_kind {
    REPLAY_PATH_FILE = 1,      /* CSV, pcap .. or what is not there: whoever opens it says so */
    REPLAY_PATH_TRIP = 2,      /* a directory that the black box has written */
    REPLAY_PATH_RECORDING = 3, /* a run of a recorder: its directory, or one of its .slr files */
    REPLAY_PATH_RUNS = 4,      /* a directory of such directories */
    REPLAY_PATH_NOTHING = 5    /* a directory with none of it */
};

enum replay_path_kind replay_path_kind(const char *path);
const char *replay_path_kind_name(enum replay_path_kind kind);

#define REPLAY_GROUP_MAX 32u /* stripes of a run, or files */

/* Paths that are opened together: the stripes of one run have the same name in different places. */
struct replay_group {
    enum replay_path_kind kind;
    char *path[REPLAY_GROUP_MAX];
    uint32_t paths;
};

struct replay_groups {
    struct replay_group *group;
    uint32_t count;
};

/* Expands directories of runs, in order of their names, and puts stripes together. 0 or -errno; replay_groups_free
 * is fine after a failure. */
int replay_groups_find(struct replay_groups *groups, char *const *paths, int count, struct error *err);
void replay_groups_free(struct replay_groups *groups);

#endif
