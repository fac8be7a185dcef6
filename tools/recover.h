/* sluice recover: what its parts share. Cold. */
#ifndef TOOLS_RECOVER_H
#define TOOLS_RECOVER_H

#include "tools/recover_file.h"

#define RECOVER_REPORT_FILE "recovered.json"

struct recover {
    const char *output; /* NULL: in place */
    bool dry_run;
    bool json;
    const char *const *paths;
    unsigned count;
    struct record_set *set;
    struct recover_lock *lock; /* of each file in the order of rings and files; -1: it is closed */
    uint32_t locks;
    uint32_t open_files; /* without an end */
    bool missing;        /* something is */
    json_t *report;
};

/* recover_report.c: in words, unless JSON is wanted; and the report. */
const char *recover_base_name(const char *path);
void recover_say_file(const struct recover *r, const struct record_file *file, const char *action, uint64_t behind);
void recover_say_ring(const struct recover *r, const struct record_ring *ring, const struct recording_gaps *gaps);
void recover_say_problems(const struct recover *r);
json_t *recover_gaps_json(const struct recording_gaps *gaps);
void recover_begin_report(struct recover *r, json_t *rings);
/* Beside what it is about. 0 or -errno. */
int recover_write_report(const struct recover *r, struct error *err);

#endif
