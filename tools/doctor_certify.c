/* The verdict that the arming gate asks for: of this boot, for this configuration, from a run that measured. One
 * that is not good is left, too: it takes the place of a better one that was true once, and tells what is amiss. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daq/certificate.h"
#include "ring/protocol.h"
#include "tools/doctor.h"

uint32_t doctor_count(const struct doctor *d, enum doctor_severity severity)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        n += d->finding[i].severity == severity;
    }
    return n;
}

static int make(const struct doctor *d, struct certificate *certificate, struct error *err)
{
    char boot[48];
    *certificate = (struct certificate){.checksum = d->need.checksum,
                                        .dangers = doctor_count(d, DOCTOR_DANGER),
                                        .unknowns = doctor_count(d, DOCTOR_UNKNOWN),
                                        .time_s = (uint64_t)time(NULL),
                                        .seconds = d->measures.seconds};
    doctor_boot(d, boot, sizeof(boot));
    if (!d->measures.done || d->measures.seconds == 0 || d->root[0] != 0 || d->need.name[0] == 0) {
        return error_set(err, -EINVAL,
                         "--certify: expected a configuration, and this host measured; nothing was certified");
    }
    if (!certificate_is_boot(boot)) {
        return error_set(
            err, -ENODATA,
            "--certify: expected an id in /proc/sys/kernel/random/boot_id, found '%s'; a verdict of no "
            "boot would hold for every one, so none was left",
            boot);
    }
    memcpy(certificate->boot, boot, sizeof(certificate->boot));
    return 0;
}

int doctor_certify(struct doctor *d, struct error *err)
{
    struct certificate certificate;
    char path[DOCTOR_CERTIFIED_BYTES];
    int code = make(d, &certificate, err);
    code = code == 0 ? certificate_path(path, sizeof(path), d->need.name, err) : code;
    code = code == 0 ? doctor_make_folder(path, "SLUICE_RUN_DIR", err) : code;
    if (code != 0) {
        return code;
    }
    code = certificate_write(path, &certificate);
    if (code != 0) {
        return error_set(err, code,
                         "cannot leave the verdict in %s: %s; one that stood there before still does; be the user "
                         "that the server runs as, or set SLUICE_RUN_DIR as for the server",
                         path, strerror(-code));
    }
    snprintf(d->certified, sizeof(d->certified), "%s", path);
    return 0;
}

static bool is_certificate(const char *name)
{
    size_t n = strlen(name);
    size_t end = strlen(CERTIFICATE_SUFFIX);
    return n > end && strcmp(name + n - end, CERTIFICATE_SUFFIX) == 0;
}

void doctor_withdraw(struct doctor *d, FILE *say)
{
    char base[256];
    struct error err = {{0}};
    const struct dirent *entry;
    DIR *dir = d->root[0] == 0 && protocol_run_dir(base, sizeof(base), "", &err) == 0 ? opendir(base) : NULL;
    if (dir == NULL) {
        return; /* another host, or nothing has ever been left on this one */
    }
    while ((entry = readdir(dir)) != NULL) {
        if (!is_certificate(entry->d_name)) {
            continue;
        }
        if (unlinkat(dirfd(dir), entry->d_name, 0) == 0) {
            fprintf(say, "withdrawn: the verdict %s%s, which was of the changed host\n", base, entry->d_name);
        } else if (errno != EISDIR && errno != ENOENT) {
            d->failed++;
            fprintf(say, "not withdrawn: %s%s: %s; remove it\n", base, entry->d_name, strerror(errno));
        }
    }
    closedir(dir);
}
