/* Everything that a recording has, read once and compared with its checksums. */
#include <errno.h>
#include <unistd.h>

#include "daq/record_set.h"

struct progress {
    bool (*told)(void *context, uint64_t bytes, uint64_t of);
    void *context;
    uint64_t done;
    uint64_t all;
};

static int verify_file(struct record_set *set, struct record_found *found, struct progress *progress,
                       struct error *err)
{
    int fd = record_file_open(found->path, err);
    if (fd < 0) {
        return -EIO;
    }
    int code = 0;
    for (uint64_t i = 0; code == 0 && i < found->file.indices; i++) {
        progress->done += found->index[i].bytes;
        if (!record_block_whole(fd, &found->header, &found->index[i], set->piece)) {
            code = record_demote(set, found, i);
        }
        if (code == 0 && progress->told != NULL &&
            !progress->told(progress->context, progress->done, progress->all)) {
            code = error_set(err, -EINTR, "stopped while %s was being verified", found->path);
        }
    }
    record_compact(found);
    close(fd);
    return code;
}

/* Of all files, or of those without an end. */
static int verify(struct record_set *set, bool unclosed, struct progress *progress, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; i < set->files; i++) {
        for (uint64_t k = 0; k < set->file[i].file.indices && !(unclosed && set->file[i].file.closed); k++) {
            progress->all += set->file[i].index[k].bytes;
        }
    }
    for (uint32_t i = 0; code == 0 && i < set->files; i++) {
        if (set->file[i].file.indices > 0 && !(unclosed && set->file[i].file.closed)) {
            code = verify_file(set, &set->file[i], progress, err);
        }
    }
    int order = record_order(set, err);
    return code != 0 ? code : order;
}

int record_verify(struct record_set *set, bool (*told)(void *context, uint64_t bytes, uint64_t of), void *context,
                  struct error *err)
{
    struct progress progress = {.told = told, .context = context};
    return verify(set, false, &progress, err);
}

int record_verify_unclosed(struct record_set *set, bool (*told)(void *context, uint64_t bytes, uint64_t of),
                           void *context, struct error *err)
{
    struct progress progress = {.told = told, .context = context};
    return verify(set, true, &progress, err);
}
