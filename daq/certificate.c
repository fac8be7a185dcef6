#include "daq/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring/protocol.h"

#define HEAD "sluice doctor verdict "

bool certificate_is_boot(const char *text)
{
    return strlen(text) == CERTIFICATE_BOOT_BYTES - 1 &&
           strspn(text, "0123456789abcdef-") == CERTIFICATE_BOOT_BYTES - 1;
}

size_t certificate_print(const struct certificate *c, char *text, size_t bytes)
{
    int n = snprintf(text, bytes,
                     HEAD "1\nboot %s\nconfig %016" PRIx64 "\ndangers %" PRIu32 "\nunknowns %" PRIu32
                          "\ntime %" PRIu64 "\nseconds %" PRIu32 "\nend\n",
                     c->boot, c->checksum, c->dangers, c->unknowns, c->time_s, c->seconds);
    return n > 0 && (size_t)n < bytes ? (size_t)n : 0;
}

/* The word's value, and *at behind its line; NULL: another word stands there. */
static const char *take(const char **at, const char *word)
{
    size_t n = strlen(word);
    const char *end = *at != NULL ? strchr(*at, '\n') : NULL;
    const char *value = end != NULL && strncmp(*at, word, n) == 0 ? *at + n : NULL;
    *at = value != NULL ? end + 1 : NULL;
    return value;
}

static uint64_t take_number(const char **at, const char *word, int base)
{
    const char *value = take(at, word);
    return value != NULL ? strtoull(value, NULL, base) : 0;
}

/* Nonsense (signs, spaces, too many digits, another version, no end) does not come out of the printer as it went
 * in: that is the check of the syntax. */
bool certificate_parse(const char *text, size_t bytes, struct certificate *certificate)
{
    char copy[CERTIFICATE_BYTES_MAX + 1];
    char again[CERTIFICATE_BYTES_MAX + 1];
    struct certificate c = {.checksum = 0};
    if (bytes > CERTIFICATE_BYTES_MAX) {
        return false;
    }
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    const char *at = copy;
    (void)take(&at, HEAD);
    const char *boot = take(&at, "boot ");
    snprintf(c.boot, sizeof(c.boot), "%.36s", boot != NULL ? boot : "");
    c.checksum = take_number(&at, "config ", 16);
    c.dangers = (uint32_t)take_number(&at, "dangers ", 10);
    c.unknowns = (uint32_t)take_number(&at, "unknowns ", 10);
    c.time_s = take_number(&at, "time ", 10);
    c.seconds = (uint32_t)take_number(&at, "seconds ", 10);
    if (at == NULL || !certificate_is_boot(c.boot) || c.seconds == 0 ||
        certificate_print(&c, again, sizeof(again)) != bytes || memcmp(again, text, bytes) != 0) {
        return false;
    }
    *certificate = c;
    return true;
}

enum certificate_state certificate_judge(const struct certificate *c, const char *boot, uint64_t checksum)
{
    if (c == NULL) {
        return CERTIFICATE_NONE;
    }
    if (!certificate_is_boot(boot) || strcmp(c->boot, boot) != 0) {
        return CERTIFICATE_OTHER_BOOT;
    }
    if (c->checksum != checksum) {
        return CERTIFICATE_OTHER_CONFIG;
    }
    return c->dangers == 0 && c->unknowns == 0 ? CERTIFICATE_GOOD : CERTIFICATE_NOT_FIT;
}

const char *certificate_words(enum certificate_state state)
{
    static const char *const words[] = {
        "there is none that can be believed", "it is of another boot", "it is of another configuration",
        "it found dangers, or something that is not known", "fit for this configuration"};
    return state <= CERTIFICATE_GOOD ? words[state] : words[CERTIFICATE_NONE];
}

int certificate_path(char *path, size_t bytes, const char *instance, struct error *err)
{
    char base[256];
    int code = protocol_run_dir(base, sizeof(base), "", err);
    if (code != 0) {
        return code;
    }
    int n = snprintf(path, bytes, "%s%s" CERTIFICATE_SUFFIX, base, instance);
    return n > 0 && (size_t)n < bytes
               ? 0
               : error_set(err, -ENAMETOOLONG,
                           "the path of the doctor's verdict below %s is longer than %zu bytes; shorten "
                           "SLUICE_RUN_DIR or the instance's name",
                           base, bytes - 1);
}

/* What root or we wrote, and nobody since. */
static bool is_trusted(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid()) &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int certificate_read(const char *path, struct certificate *certificate)
{
    char text[CERTIFICATE_BYTES_MAX + 1];
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return -errno;
    }
    int code = is_trusted(fd) ? 0 : -EPERM;
    ssize_t n = code == 0 ? read(fd, text, sizeof(text)) : 0;
    code = n < 0 ? -errno : code;
    close(fd);
    if (code != 0) {
        return code;
    }
    return certificate_parse(text, (size_t)n, certificate) ? 0 : -EPROTO;
}

int certificate_write(const char *path, const struct certificate *certificate)
{
    char text[CERTIFICATE_BYTES_MAX];
    char next[512];
    size_t bytes = certificate_print(certificate, text, sizeof(text));
    int n = snprintf(next, sizeof(next), "%s.new", path);
    if (bytes == 0 || n < 0 || (size_t)n >= sizeof(next)) {
        return -ENAMETOOLONG;
    }
    if (unlink(next) != 0 && errno != ENOENT) {
        return -errno;
    }
    int fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    ssize_t written = write(fd, text, bytes);
    int code = written < 0 ? -errno : (size_t)written < bytes ? -ENOSPC : fsync(fd) != 0 ? -errno : 0;
    if (close(fd) != 0 && code == 0) {
        code = -errno;
    }
    if (code == 0 && rename(next, path) != 0) {
        code = -errno;
    }
    if (code != 0) {
        unlink(next);
    }
    return code;
}
