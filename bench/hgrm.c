#include "bench/hgrm.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/decisions.h"
#include "tools/hgrm.h"

#define US_NS 1000.0
#define TICKS 5u /* to each half of what is left to 1, as HdrHistogram has it */

int bench_hgrm_ready(const char *folder, struct error *err)
{
    struct stat st;
    int code = stat(folder, &st) != 0 ? -errno : !S_ISDIR(st.st_mode) ? -ENOTDIR : 0;
    code = code == 0 && access(folder, W_OK | X_OK) != 0 ? -errno : code;
    return code == 0 ? 0
                     : error_set(err, code, "--hgrm expects a folder that can be written to, found %.200s: %s",
                                 folder, strerror(-code));
}

/* What is exact to the ns goes into the buckets of the coarse part. */
static void flatten(const struct spread *spread, struct histogram *h)
{
    *h = spread->coarse;
    for (uint32_t ns = 0; ns < SPREAD_FINE_NS; ns++) {
        h->buckets[hist_bucket(ns)] += spread->fine[ns];
        h->sum_ns += spread->fine[ns] * ns;
    }
    h->count = spread->count;
    h->max_ns = spread->max_ns;
}

static int write_one(const struct spread *spread, const char *path, struct error *err)
{
    static struct histogram flat; /* too large for a stack */
    char made[PATH_MAX + 8];
    snprintf(made, sizeof(made), "%s.new", path);
    FILE *f = fopen(made, "we");
    if (f == NULL) {
        return error_set(err, -errno, "--hgrm cannot write %.200s: %s", made, strerror(errno));
    }
    flatten(spread, &flat);
    hgrm_print(&flat, US_NS, TICKS, f);
    bool failed = ferror(f) != 0;
    failed = fclose(f) != 0 || failed;
    if (failed || rename(made, path) != 0) {
        int code =
            error_set(err, errno != 0 ? -errno : -EIO, "--hgrm cannot write %.200s: %s", path, strerror(errno));
        unlink(made);
        return code;
    }
    return 0;
}

int bench_hgrm_write(const struct bench_part *parts, uint32_t count, const char *folder, struct error *err)
{
    int written = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < parts[i].plan.case_count; k++) {
            const struct plan_case *c = &parts[i].plan.cases[k];
            char path[PATH_MAX];
            if (c->question.total == NULL || c->question.total->spread.count == 0) {
                continue;
            }
            int n = snprintf(path, sizeof(path), "%s/%s-%s.hgrm", folder, parts[i].question->name,
                             parts[i].plan.rows[c->first_row].variant);
            int code = (size_t)n < sizeof(path)
                           ? write_one(&c->question.total->spread, path, err)
                           : error_set(err, -ENAMETOOLONG, "--hgrm: the folder's name is too long");
            if (code != 0) {
                return code;
            }
            written++;
        }
    }
    return written;
}
