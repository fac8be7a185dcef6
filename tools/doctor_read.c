/* Files of the kernel's, which may as well be anything: each is read once, bounded, and must be text. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/doctor.h"

const char *doctor_path(char path[DOCTOR_PATH_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(path, DOCTOR_PATH_BYTES, format, args);
    va_end(args);
    return path;
}

bool doctor_full_path(const struct doctor *d, const char *path, char *full, size_t bytes)
{
    int n = snprintf(full, bytes, "%s%s", d->root, path);
    return n > 0 && (size_t)n < bytes;
}

static bool is_text(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (!isprint((unsigned char)text[i]) && text[i] != '\n' && text[i] != '\t') {
            return false;
        }
    }
    return true;
}

/* A FIFO or a device in its place must not keep us waiting. */
static int open_file(const struct doctor *d, const char *path)
{
    char full[512];
    struct stat stat;
    if (!doctor_full_path(d, path, full, sizeof(full))) {
        return -ENAMETOOLONG;
    }
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        close(fd);
        return -EBADMSG;
    }
    return fd;
}

/* All there is, or the first bytes. */
static int read_all(int fd, char *text, size_t bytes)
{
    size_t n = 0;
    while (n < bytes) {
        ssize_t more = read(fd, text + n, bytes - n);
        if (more < 0 && errno == EINTR) {
            continue;
        }
        if (more < 0) {
            return -errno;
        }
        if (more == 0) {
            break;
        }
        n += (size_t)more;
    }
    return (int)n;
}

static int read_text(const struct doctor *d, const char *path, char *text, size_t bytes, bool whole)
{
    int fd = open_file(d, path);
    if (fd < 0) {
        return fd;
    }
    int n = read_all(fd, text, bytes);
    close(fd);
    if (n <= 0) {
        return n < 0 ? n : -ENODATA;
    }
    if (whole && (size_t)n == bytes) {
        return -EFBIG;
    }
    n -= (size_t)n == bytes;
    text[n] = 0;
    if (!is_text(text, (size_t)n)) {
        return -EBADMSG;
    }
    while (n > 0 && isspace((unsigned char)text[n - 1])) {
        text[--n] = 0;
    }
    return n;
}

int doctor_read(const struct doctor *d, const char *path, char *text, size_t bytes)
{
    return read_text(d, path, text, bytes, true);
}

int doctor_read_head(const struct doctor *d, const char *path, char *text, size_t bytes)
{
    return read_text(d, path, text, bytes, false);
}

bool doctor_parse_number(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || isspace((unsigned char)text[0])) {
        return false;
    }
    *value = n;
    return true;
}

int doctor_read_number(const struct doctor *d, const char *path, int64_t *value)
{
    char text[64];
    int n = doctor_read(d, path, text, sizeof(text));
    if (n < 0) {
        return n;
    }
    return doctor_parse_number(text, value) ? 0 : -EBADMSG;
}

/* One number of a list, below CPU_SETSIZE. */
static bool take_core(const char **at, unsigned *core)
{
    unsigned n = 0;
    if (!isdigit((unsigned char)**at)) {
        return false;
    }
    for (; isdigit((unsigned char)**at); ++*at) {
        n = 10 * n + (unsigned)(**at - '0');
        if (n >= CPU_SETSIZE) {
            return false;
        }
    }
    *core = n;
    return true;
}

bool doctor_parse_cores(const char *text, cpu_set_t *set)
{
    cpu_set_t found;
    unsigned first;
    unsigned last;
    CPU_ZERO(&found);
    for (const char *at = text; *at != 0;) {
        if (!take_core(&at, &first)) {
            return false;
        }
        last = first;
        if (*at == '-') {
            at++;
            if (!take_core(&at, &last) || last < first) {
                return false;
            }
        }
        for (unsigned i = first; i <= last; i++) {
            CPU_SET(i, &found);
        }
        if (*at == ',' && at[1] != 0) {
            at++;
        } else if (*at != 0) {
            return false;
        }
    }
    *set = found;
    return true;
}

void doctor_print_cores(const cpu_set_t *set, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = 0;
    for (unsigned i = 0; i < CPU_SETSIZE; i++) {
        char one[32];
        unsigned last = i;
        if (!CPU_ISSET(i, set)) {
            continue;
        }
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set)) {
            last++;
        }
        if (last > i) {
            snprintf(one, sizeof(one), "%s%u-%u", n > 0 ? "," : "", i, last);
        } else {
            snprintf(one, sizeof(one), "%s%u", n > 0 ? "," : "", i);
        }
        if (n + strlen(one) + sizeof("..") > bytes) {
            snprintf(text + n, bytes - n, "..");
            return;
        }
        memcpy(text + n, one, strlen(one) + 1);
        n += strlen(one);
        i = last;
    }
}

bool doctor_parse_chosen(const char *text, char *word, size_t bytes)
{
    const char *open = strchr(text, '[');
    size_t n = open != NULL ? strcspn(open + 1, "] ") : 0;
    if (n == 0 || open[1 + n] != ']' || n >= bytes) {
        return false;
    }
    memcpy(word, open + 1, n);
    word[n] = 0;
    return true;
}

/* Behind `name` at the begin of a line; NULL: no line begins so. */
static const char *line_of(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = text; at != NULL && *at != 0;) {
        if (strncmp(at, name, n) == 0) {
            return at + n;
        }
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    return NULL;
}

static bool take_word(const char *at, int base, uint64_t *value)
{
    char *end;
    at += strspn(at, " \t");
    if (!isxdigit((unsigned char)*at)) {
        return false;
    }
    errno = 0;
    unsigned long long n = strtoull(at, &end, base);
    if (errno != 0 || end == at || (*end != 0 && !isspace((unsigned char)*end))) {
        return false;
    }
    *value = n;
    return true;
}

bool doctor_parse_limit(const char *text, const char *name, uint64_t *value)
{
    const char *at = line_of(text, name);
    if (at == NULL) {
        return false;
    }
    at += strspn(at, " ");
    if (strncmp(at, "unlimited ", 10) == 0) {
        *value = DOCTOR_LIMIT_NO_MORE;
        return true;
    }
    return take_word(at, 10, value);
}

bool doctor_parse_field(const char *text, const char *name, int base, uint64_t *value)
{
    const char *at = line_of(text, name);
    return at != NULL && take_word(at, base, value);
}

bool doctor_parse_option(const char *text, const char *name, char *value, size_t bytes)
{
    size_t length = strlen(name);
    for (const char *at = text; *at != 0;) {
        at += strspn(at, " \t\n");
        size_t n = strcspn(at, " \t\n");
        if (n > length && strncmp(at, name, length) == 0 && at[length] == '=') {
            size_t of_value = n - length - 1;
            if (of_value >= bytes) {
                return false;
            }
            memcpy(value, at + length + 1, of_value);
            value[of_value] = 0;
            return true;
        }
        at += n;
    }
    return false;
}
