/* sluice latency --hgrm, and whether files can be written. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/gnuplot.h"
#include "tools/hgrm.h"
#include "tools/latency.h"
#include "tools/whole_file.h"

#define US_NS 1000.0
#define TICKS 5u /* to each half of what is left to 1, as HdrHistogram has it */

static int folder_ready(const char *folder, struct error *err)
{
    struct stat status;
    if (stat(folder, &status) != 0) {
        return error_set(err, -errno, "cannot write into %s: %s; --hgrm expects a folder that exists", folder,
                         strerror(errno));
    }
    if (!S_ISDIR(status.st_mode)) {
        return error_set(err, -ENOTDIR, "%s is no folder; --hgrm expects a folder that exists", folder);
    }
    return access(folder, W_OK | X_OK) == 0
               ? 0
               : error_set(err, -errno, "cannot write into %s: %s", folder, strerror(errno));
}

int latency_files_ready(const struct latency_options *options, struct error *err)
{
    int code = options->folder != NULL ? folder_ready(options->folder, err) : 0;
    return code == 0 && options->plot != NULL ? gnuplot_ready_any(options->plot, err) : code;
}

static int write_one(const struct latency_line *line, const char *folder, struct error *err)
{
    struct whole_file file;
    char name[LATENCY_LINE_BYTES];
    char path[WHOLE_PATH_BYTES];
    snprintf(name, sizeof(name), "%s", line->name);
    for (char *at = name; *at != 0; at++) { /* never out of the folder, nor hidden in it */
        if (*at == '/' || (at == name && *at == '.')) {
            *at = '_';
        }
    }
    int n = snprintf(path, sizeof(path), "%s/%s.hgrm", folder, name);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        return error_set(err, -ENAMETOOLONG, "%s: expected a path of at most %zu characters", folder,
                         sizeof(path) - LATENCY_LINE_BYTES - 8);
    }
    int code = whole_file_begin(&file, path, err);
    if (code == 0) {
        hgrm_print(line->values, US_NS, TICKS, file.to);
        code = whole_file_end(&file, err);
    }
    if (code == 0) {
        printf("%s: %" PRIu64 " values\n", path, line->values->count);
    }
    return code;
}

int latency_write_hgrm(const struct latency_view *view, const char *folder, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < view->lines; i++) {
        code = write_one(&view->line[i], folder, err);
    }
    return code;
}
