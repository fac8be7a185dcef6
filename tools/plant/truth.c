#include "tools/plant/truth.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

int plant_truth_open(struct plant_truth *truth, const char *path, const struct plant_clock *clock, char *error,
                     size_t error_bytes)
{
    int failed;

    memset(truth, 0, sizeof(*truth));
    truth->clock = clock;
    truth->file = stdout;
    if (path == NULL || strcmp(path, "-") == 0)
        return 0;
    truth->file = fopen(path, "we");
    if (truth->file == NULL) {
        failed = -errno;
        snprintf(error, error_bytes, "--truth %s: expected a file that can be written, got: %s", path,
                 strerror(-failed));
        return failed;
    }
    truth->echo = stdout;
    return 0;
}

static double scenario_time_s(const struct plant_truth *truth, uint64_t monotonic_ns)
{
    if (truth->scenario_start_ns == 0)
        return (double)NAN;
    return (double)(int64_t)(monotonic_ns - truth->scenario_start_ns) * 1e-9;
}

void plant_truth_event(struct plant_truth *truth, uint64_t monotonic_ns, const char *format, ...)
{
    va_list arguments;

    fprintf(truth->file, "%" PRIu64 " %.6f ", plant_clock_tai_ns(truth->clock, monotonic_ns),
            scenario_time_s(truth, monotonic_ns));
    va_start(arguments, format);
    vfprintf(truth->file, format, arguments);
    va_end(arguments);
    fputc('\n', truth->file);
    fflush(truth->file);
}

void plant_truth_fact(struct plant_truth *truth, const char *key, const char *format, ...)
{
    char value[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(value, sizeof(value), format, arguments);
    va_end(arguments);
    fprintf(truth->file, "%s: %s\n", key, value);
    fflush(truth->file);
    if (truth->echo != NULL)
        fprintf(truth->echo, "%s: %s\n", key, value);
}

int plant_truth_close(struct plant_truth *truth)
{
    int failed = 0;

    if (truth->file != NULL)
        failed = ferror(truth->file) != 0 || fflush(truth->file) != 0;
    if (truth->file != NULL && truth->file != stdout)
        failed |= fclose(truth->file) != 0;
    truth->file = NULL;
    return failed ? -EIO : 0;
}
