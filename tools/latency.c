#include "tools/latency.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/hgrm.h"

#define US_NS 1000.0
#define TICKS 5u /* to each half of what is left to 1, as HdrHistogram has it */

static int write_one(const struct histogram *live, const char *folder, const char *name, struct error *err)
{
    static struct histogram copy; /* it is written to meanwhile */
    char path[512];
    char made[520];
    int n = snprintf(path, sizeof(path), "%s/%s.hgrm", folder, name);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        return error_set(err, -ENAMETOOLONG, "%s: expected a path of at most %zu characters", folder,
                         sizeof(path) - 48);
    }
    snprintf(made, sizeof(made), "%s.new", path);
    memcpy(&copy, live, sizeof(copy));
    FILE *file = fopen(made, "we");
    if (file == NULL) {
        return error_set(err, -errno, "cannot write %s: %s; --hgrm expects a folder that exists", made,
                         strerror(errno));
    }
    hgrm_print(&copy, US_NS, TICKS, file);
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    if (failed || rename(made, path) != 0) {
        int code = error_set(err, errno != 0 ? -errno : -EIO, "cannot write %s: %s", path, strerror(errno));
        unlink(made);
        return code;
    }
    printf("%s: %" PRIu64 " values\n", path, copy.count);
    return 0;
}

int latency_write(const struct session *session, const char *folder, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < HOPS; i++) {
        code = write_one(&session->control->hop[i], folder, control_hop_name(i), err);
    }
    for (uint32_t i = 0; code == 0 && i < session->actuators; i++) {
        const struct outbox *outbox = session->outbox[i];
        char name[RING_NAME_BYTES + 16];
        snprintf(name, sizeof(name), "actuator-%u_taken", i);
        code = write_one(&outbox->taken, folder, name, err);
        snprintf(name, sizeof(name), "actuator-%u_confirmed", i);
        code = code == 0 ? write_one(&outbox->confirmed, folder, name, err) : code;
    }
    return code;
}
