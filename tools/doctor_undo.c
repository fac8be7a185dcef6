/* The file that takes changes back. It is written before each of them, whole, by a rename; what stands in it is
 * believed only as far as doctor --fix can have written it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/state_dir.h"
#include "tools/doctor.h"

#define HEAD       "sluice doctor undo 1"
#define BYTES_MAX  (DOCTOR_CHANGES_MAX * (DOCTOR_PATH_BYTES + 2 * DOCTOR_VALUE_BYTES) + 1024u)
#define PATH_BYTES 512

/* '#': one digit or more. */
static bool matches(const char *pattern, const char *text)
{
    for (; *pattern != 0; pattern++) {
        size_t digits = *pattern == '#' ? strspn(text, "0123456789") : *text == *pattern;
        if (digits == 0) {
            return false;
        }
        text += digits;
    }
    return *text == 0;
}

bool doctor_may_write(const char *path)
{
    static const char *const patterns[] = {
        "/proc/sys/kernel/sched_rt_runtime_us",
        "/proc/sys/vm/swappiness",
        "/proc/irq/#/smp_affinity_list",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/kernel/mm/hugepages/hugepages-#kB/nr_hugepages",
        "/sys/devices/system/node/node#/hugepages/hugepages-#kB/nr_hugepages",
        "/sys/devices/system/cpu/cpu#/cpufreq/scaling_governor",
    };
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        if (matches(patterns[i], path)) {
            return true;
        }
    }
    return false;
}

void doctor_boot(const struct doctor *d, char *boot, size_t bytes)
{
    char text[64];
    int n = doctor_read(d, "/proc/sys/kernel/random/boot_id", text, sizeof(text));
    bool good = n > 0 && strspn(text, "0123456789abcdef-") == strlen(text);
    snprintf(boot, bytes, "%.40s", good ? text : "unknown");
}

/* Cuts at the next `end`; NULL: there is none. */
static char *cut(char **at, char end)
{
    char *word = *at;
    char *stop = word != NULL ? strchr(word, end) : NULL;
    *at = stop != NULL ? stop + 1 : NULL;
    if (stop == NULL) {
        return NULL;
    }
    *stop = 0;
    return word;
}

static bool take(char *to, size_t bytes, const char *from)
{
    int n = from != NULL && from[0] != 0 ? snprintf(to, bytes, "%s", from) : -1;
    return n > 0 && (size_t)n < bytes;
}

/* "change\tPATH\tFROM\tTO" behind its first word. */
static bool take_change(struct doctor_undo *undo, char *at)
{
    if (undo->entries == DOCTOR_CHANGES_MAX) {
        return false;
    }
    struct doctor_change *change = &undo->entry[undo->entries];
    const char *path = cut(&at, '\t');
    const char *from = cut(&at, '\t');
    if (!take(change->path, sizeof(change->path), path) || !take(change->from, sizeof(change->from), from) ||
        !take(change->to, sizeof(change->to), at) || strchr(at, '\t') != NULL || !doctor_may_write(change->path)) {
        return false;
    }
    undo->entries++;
    return true;
}

static bool take_line(struct doctor_undo *undo, char *line)
{
    char *at = line;
    const char *word = cut(&at, '\t');
    if (word == NULL) {
        return false;
    }
    if (strcmp(word, "root") == 0) {
        return take(undo->root, sizeof(undo->root), at);
    }
    if (strcmp(word, "boot") == 0) {
        return take(undo->boot, sizeof(undo->boot), at);
    }
    return strcmp(word, "change") == 0 && take_change(undo, at);
}

bool doctor_undo_parse(const char *text, size_t bytes, struct doctor_undo *undo, struct error *err)
{
    static char copy[BYTES_MAX + 1];
    unsigned number = 1;
    char *line = NULL;
    memset(undo, 0, sizeof(*undo));
    if (bytes > BYTES_MAX || memchr(text, 0, bytes) != NULL) {
        error_set(err, 0, "expected a text of at most %u bytes", BYTES_MAX);
        return false;
    }
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    char *at = copy;
    line = cut(&at, '\n');
    if (line == NULL || strcmp(line, HEAD) != 0) {
        error_set(err, 0, "expected '%s' in the first line", HEAD);
        return false;
    }
    while ((line = cut(&at, '\n')) != NULL && strcmp(line, "end") != 0) {
        number++;
        if (!take_line(undo, line)) {
            error_set(err, 0, "line %u is none that --fix writes", number);
            return false;
        }
    }
    if (line == NULL || *at != 0 || undo->root[0] == 0 || undo->boot[0] == 0) {
        error_set(err, 0, "it is not whole");
        return false;
    }
    return true;
}

static int own_path(char path[PATH_BYTES], const char *name, struct error *err)
{
    return state_path(path, PATH_BYTES, "doctor", name, err);
}

/* Nobody else can have written it, or it is not followed. */
static bool is_ours(int fd)
{
    struct stat stat;
    return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_uid == geteuid() && (stat.st_mode & 022) == 0;
}

int doctor_undo_load(struct doctor_undo *undo, struct error *err)
{
    static char text[BYTES_MAX + 1];
    char path[PATH_BYTES];
    struct error why = {{0}};
    int code = own_path(path, "undo", err);
    if (code != 0) {
        return code;
    }
    memset(undo, 0, sizeof(*undo));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT ? 1
                               : error_set(err, -errno, "cannot read %s: %s; set that right, or SLUICE_STATE_DIR",
                                           path, strerror(errno));
    }
    ssize_t n = is_ours(fd) ? read(fd, text, sizeof(text)) : -1;
    close(fd);
    if (n < 0) {
        return error_set(err, -EPERM, "%s: expected a file that only this user can write; look at it, remove it",
                         path);
    }
    if (!doctor_undo_parse(text, (size_t)n, undo, &why)) {
        return error_set(err, -EPROTO, "%s: %.300s; look at it and set right what it says by hand, then remove it",
                         path, why.text);
    }
    return 0;
}

int doctor_make_folder(const char *path, const char *variable, struct error *err)
{
    char folder[PATH_BYTES];
    snprintf(folder, sizeof(folder), "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
            return error_set(err, -errno, "cannot make %s: %s; set %s", folder, strerror(errno), variable);
        }
        *slash = '/';
    }
    return 0;
}

static bool write_file(const struct doctor_undo *undo, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    fprintf(f, "%s\nroot\t%s\nboot\t%s\n", HEAD, undo->root, undo->boot);
    for (uint32_t i = 0; i < undo->entries; i++) {
        fprintf(f, "change\t%s\t%s\t%s\n", undo->entry[i].path, undo->entry[i].from, undo->entry[i].to);
    }
    fprintf(f, "end\n");
    bool good = fflush(f) == 0 && ferror(f) == 0 && fsync(fd) == 0;
    return fclose(f) == 0 && good;
}

/* A rename is on the disk when its folder is. */
static void sync_folder(char *path)
{
    *strrchr(path, '/') = 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

int doctor_undo_save(const struct doctor_undo *undo, struct error *err)
{
    char path[PATH_BYTES];
    char next[PATH_BYTES];
    int code = own_path(path, "undo", err);
    code = code == 0 ? own_path(next, "undo.new", err) : code;
    code = code == 0 ? doctor_make_folder(path, "SLUICE_STATE_DIR", err) : code;
    if (code != 0) {
        return code;
    }
    if (undo->entries == 0) {
        if (unlink(path) != 0 && errno != ENOENT) {
            return error_set(err, -errno, "cannot remove %s: %s", path, strerror(errno));
        }
    } else if (!write_file(undo, next) || rename(next, path) != 0) {
        code = errno != 0 ? -errno : -EIO;
        unlink(next);
        return error_set(err, code, "cannot write %s: %s; nothing is changed without it", path, strerror(-code));
    }
    sync_folder(path);
    return 0;
}
