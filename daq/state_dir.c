#include "daq/state_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char *unless_empty(const char *value)
{
    return value != NULL && value[0] != 0 ? value : NULL;
}

int state_path(char *path, size_t bytes, const char *instance, const char *name, struct error *err)
{
    const char *own = unless_empty(getenv("SLUICE_STATE_DIR"));
    const char *state = unless_empty(getenv("XDG_STATE_HOME"));
    const char *home = unless_empty(getenv("HOME"));
    int n;
    if (own != NULL) {
        n = snprintf(path, bytes, "%s/%s/%s", own, instance, name);
    } else if (geteuid() == 0) {
        n = snprintf(path, bytes, "/var/lib/sluice/%s/%s", instance, name);
    } else if (state != NULL) {
        n = snprintf(path, bytes, "%s/sluice/%s/%s", state, instance, name);
    } else if (home != NULL) {
        n = snprintf(path, bytes, "%s/.local/state/sluice/%s/%s", home, instance, name);
    } else {
        return error_set(err, -ENOENT, "no place for %s: set SLUICE_STATE_DIR, or HOME", name);
    }
    return n > 0 && (size_t)n < bytes
               ? 0
               : error_set(err, -ENAMETOOLONG, "the path of %s is longer than %zu bytes; shorten SLUICE_STATE_DIR",
                           name, bytes - 1);
}
