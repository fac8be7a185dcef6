/* What sluice replay and sluice import are asked for on their command lines. */
#ifndef TOOLS_REPLAY_COMMAND_H
#define TOOLS_REPLAY_COMMAND_H

#include "daq/compile_replay.h"
#include "tools/replay.h"
#include "tools/replay_paths.h"

struct replay_request {
    bool json;
    /* A back-test. */
    const char *rules; /* file; NULL: none */
    bool own_rules;    /* those that lie in the recording */
    bool arm;
    bool no_arm;
    struct replay_csv_options csv; /* of an import, too */
    /* Into rings. */
    struct replay_options play; /* without paths and times */
    const char *config;
    const char *from; /* as typed */
    const char *to;
    const char *stream; /* of the ring that it is */
    const char *keep;   /* directory for what a foreign file becomes */
    int32_t utc_offset_s;
    uint32_t seen; /* which kinds of options were given: enum replay_option_kind */
};

enum replay_option_kind { REPLAY_OPTION_BACK = 1, REPLAY_OPTION_PLAY = 2, REPLAY_OPTION_CSV = 4 };

/* Each returns an exit code (tools/session.h). */
int replay_back(const struct replay_request *request, struct replay_groups *groups);
int replay_play(const struct replay_request *request, const struct replay_group *group);
int replay_play_foreign(const struct replay_request *request, const char *path);

/* Says it on standard error. */
int replay_fail(const char *text, int code);

/* A time: seconds since the begin (12.5, +12.5), UTC (2026-11-26T14:30:00.123456789Z) or TAI ns
 * (@1700000000000000000), as ns since first_tai_ns. 0 or -EINVAL. */
int replay_time(const char *text, uint64_t first_tai_ns, int64_t tai_minus_utc_ns, uint64_t *ns);

/* The configuration of a recording as a file that can be loaded: a descriptor's path; fd is the caller's. 0 or
 * -errno.
 */
int replay_own_config(const struct record_set *set, int *fd, char path[64], struct error *err);

#endif
