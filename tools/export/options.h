/* What sluice-export is asked for. Cold. */
#ifndef EXPORT_OPTIONS_H
#define EXPORT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/error.h"

#define EXPORT_NAMES_MAX 64u

struct export_options {
    const char *format; /* NULL: as the output's suffix says */
    const char *output;
    const char *const *recording;
    unsigned recordings;
    const char *ring[EXPORT_NAMES_MAX];
    unsigned rings;
    const char *channel[EXPORT_NAMES_MAX];
    unsigned channels;
    const char *stream; /* NULL: all */
    const char *from;   /* NULL: the begin */
    const char *to;     /* NULL: the end */
    unsigned deflate;   /* 0: none, to 9 */
    char delimiter;
    bool force;
    bool no_progress;
    bool json;
    bool help;
};

/* 0, or -EINVAL with what is wrong. */
int export_options_parse(struct export_options *options, int argc, char **argv, struct error *err);

extern const char export_usage[];

#endif
