/* What sluice doctor --certify leaves for the arming gate: a small text beside the run directories,
 * INSTANCE.doctor. It lies on a tmpfs where the machine has one, so that a look never waits for a disk; and it
 * names the boot, so that it is worth nothing after one wherever it lies. Cold.
 *
 *   sluice doctor verdict 1
 *   boot 2c8f1d3e-..          /proc/sys/kernel/random/boot_id
 *   config 0123456789abcdef   the checksum that sluice check prints
 *   dangers 0
 *   unknowns 0
 *   time 1795690000           UTC, s since 1970
 *   seconds 60                so long was measured
 *   end
 */
#ifndef DAQ_CERTIFICATE_H
#define DAQ_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/error.h"

#define CERTIFICATE_BYTES_MAX  512u
#define CERTIFICATE_BOOT_BYTES 37u /* as the kernel writes it, and a 0 */
#define CERTIFICATE_SUFFIX     ".doctor"

struct certificate {
    char boot[CERTIFICATE_BOOT_BYTES];
    uint64_t checksum;
    uint32_t dangers;
    uint32_t unknowns;
    uint64_t time_s;
    uint32_t seconds;
};

/* Why it passes or does not. */
enum certificate_state {
    CERTIFICATE_NONE = 0, /* no file that can be believed */
    CERTIFICATE_OTHER_BOOT = 1,
    CERTIFICATE_OTHER_CONFIG = 2,
    CERTIFICATE_NOT_FIT = 3, /* dangers or unknowns */
    CERTIFICATE_GOOD = 4
};

/* 36 of "0-9a-f-": an id of a boot. */
bool certificate_is_boot(const char *text);

/* Bytes without the 0; 0: not enough room. */
size_t certificate_print(const struct certificate *certificate, char *text, size_t bytes);

/* Exactly what certificate_print() makes, and made by a run that measured; else false, and *certificate is as it
 * was. */
bool certificate_parse(const char *text, size_t bytes, struct certificate *certificate);

/* NULL: there is none. Pure. */
enum certificate_state certificate_judge(const struct certificate *certificate, const char *boot,
                                         uint64_t checksum);
const char *certificate_words(enum certificate_state state);

/* Where it lies. 0, or -ENAMETOOLONG with a sentence. */
int certificate_path(char *path, size_t bytes, const char *instance, struct error *err);

/* A regular file of root's or ours that nobody else can write, whole. 0 or -errno: -EPERM: of others, -EPROTO: it
 * holds something else. */
int certificate_read(const char *path, struct certificate *certificate);

/* Whole, or not at all; 0 or -errno. The directory is there. */
int certificate_write(const char *path, const struct certificate *certificate);

#endif
