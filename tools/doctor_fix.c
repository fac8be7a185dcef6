/* Changes, one by one: first into the undo file, then into the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"

/* The value as the kernel shows it now: of a list of words the chosen one. 0 or -errno. */
static int read_value(const struct doctor *d, const char *path, char *value, size_t bytes)
{
    char text[256];
    int n = doctor_read(d, path, text, sizeof(text));
    if (n < 0) {
        return n;
    }
    if (!doctor_parse_chosen(text, value, bytes)) {
        snprintf(value, bytes, "%s", text);
    }
    return 0;
}

static int write_value(const struct doctor *d, const char *path, const char *value)
{
    char full[512];
    if (!doctor_may_write(path) || !doctor_full_path(d, path, full, sizeof(full))) {
        return -EPERM;
    }
    int fd = open(full, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return -errno;
    }
    ssize_t n = write(fd, value, strlen(value));
    int code = n < 0 ? -errno : (size_t)n < strlen(value) ? -EIO : 0;
    if (close(fd) != 0 && code == 0) {
        code = -errno;
    }
    return code;
}

/* Writes and looks whether it was taken. What the kernel took less of stands in `now`. */
static int change_value(const struct doctor *d, const char *path, const char *value, char *now, size_t bytes)
{
    int code = write_value(d, path, value);
    now[0] = 0;
    if (code == 0) {
        code = read_value(d, path, now, bytes);
    }
    return code != 0 ? code : strcmp(now, value) != 0 ? 1 : 0;
}

/* What may surprise somebody is said where it is done. */
static void warn(const struct doctor_change *change, FILE *say)
{
    if (change->key == DOCTOR_RT_THROTTLING) {
        fprintf(say,
                "  which means: a busy SCHED_FIFO thread may now keep a core for ever, and what else needs that "
                "core stands still; --undo takes it back\n");
    }
}

/* The first value that a file had stays what is gone back to. */
static uint32_t note(struct doctor_undo *undo, const struct doctor_change *change)
{
    for (uint32_t i = 0; i < undo->entries; i++) {
        if (strcmp(undo->entry[i].path, change->path) == 0) {
            memcpy(undo->entry[i].to, change->to, sizeof(change->to));
            return i;
        }
    }
    if (undo->entries == DOCTOR_CHANGES_MAX) {
        return DOCTOR_CHANGES_MAX;
    }
    undo->entry[undo->entries] = *change;
    return undo->entries++;
}

static int make_change(struct doctor *d, struct doctor_undo *undo, const struct doctor_change *change, FILE *say,
                       struct error *err)
{
    char now[256];
    uint32_t before = undo->entries;
    const char *key = doctor_kinds[change->key].key;
    if (note(undo, change) == DOCTOR_CHANGES_MAX) {
        d->failed++;
        fprintf(say, "not changed: %s: the undo file has no place left; --undo first\n", change->path);
        return 0;
    }
    int code = doctor_undo_save(undo, err);
    if (code != 0) {
        return code;
    }
    code = change_value(d, change->path, change->to, now, sizeof(now));
    if (code == 0) {
        fprintf(say, "changed: %s: %s: %s -> %s\n", key, change->path, change->from, change->to);
        warn(change, say);
        return 0;
    }
    d->failed++;
    if (code > 0) {
        fprintf(say, "changed in part: %s: %s: %s -> %s was asked for, it is %s\n", key, change->path, change->from,
                change->to, now);
        return 0;
    }
    fprintf(say, "not changed: %s: %s: expected to write %s: %s\n", key, change->path, change->to, strerror(-code));
    if (undo->entries > before) {
        undo->entries--;
        return doctor_undo_save(undo, err);
    }
    return 0;
}

/* What stands there from before: of this boot and this root, or there is nothing. */
static int begin(const struct doctor *d, struct doctor_undo *undo, FILE *say, struct error *err)
{
    char boot[sizeof(undo->boot)];
    const char *root = d->root[0] != 0 ? d->root : "/";
    if (strlen(root) >= sizeof(undo->root) || strpbrk(root, "\t\n") != NULL) {
        return error_set(err, -EINVAL, "--root: expected a path below %zu bytes without tabs and line ends",
                         sizeof(undo->root));
    }
    int code = doctor_undo_load(undo, err);
    doctor_boot(d, boot, sizeof(boot));
    if (code < 0) {
        return code;
    }
    if (code == 0 && strcmp(undo->root, root) != 0) {
        return error_set(err, -EBUSY,
                         "there are changes of --root %s to take back first: sluice doctor --undo --root "
                         "%s, with the same SLUICE_STATE_DIR",
                         undo->root, undo->root);
    }
    if (code == 0 && strcmp(undo->boot, boot) != 0) {
        fprintf(say, "the machine was started anew since the changes of the undo file: they are gone already\n");
        undo->entries = 0;
        code = doctor_undo_save(undo, err);
        if (code != 0) {
            return code;
        }
    }
    snprintf(undo->root, sizeof(undo->root), "%s", root);
    snprintf(undo->boot, sizeof(undo->boot), "%s", boot);
    return 0;
}

static int make_changes(struct doctor *d, FILE *say, struct error *err)
{
    static struct doctor_undo undo;
    int code = begin(d, &undo, say, err);
    for (uint32_t i = 0; code == 0 && i < d->changes; i++) {
        code = make_change(d, &undo, &d->change[i], say, err);
    }
    if (code == 0 && d->changes == 0) {
        fprintf(say, "nothing to change\n");
    }
    if (d->changes_left_out > 0) {
        d->failed++;
        fprintf(say, "%u further changes have no place in one run: --fix again\n", d->changes_left_out);
    }
    return code;
}

/* Newest first. What cannot be taken back stays in the file, for another try. */
static bool take_back(const struct doctor *d, const struct doctor_change *change, FILE *say)
{
    char now[256];
    char after[256];
    int code = read_value(d, change->path, now, sizeof(now));
    if (code == 0 && strcmp(now, change->from) == 0) {
        fprintf(say, "restored already: %s: %s\n", change->path, change->from);
        return true;
    }
    if (code == 0) {
        code = change_value(d, change->path, change->from, after, sizeof(after));
    }
    if (code != 0) {
        fprintf(say, "not restored: %s: expected to write %s: %s\n", change->path, change->from,
                code < 0 ? strerror(-code) : after);
        return false;
    }
    fprintf(say, "restored: %s: %s -> %s%s\n", change->path, now, change->from,
            strcmp(now, change->to) != 0 ? " (somebody else had changed it since)" : "");
    return true;
}

static int take_all_back(struct doctor *d, FILE *say, struct error *err)
{
    static struct doctor_undo undo;
    int code = begin(d, &undo, say, err);
    if (code == 0 && undo.entries == 0) {
        fprintf(say, "nothing to take back\n");
    } else if (code == 0) {
        doctor_withdraw(d, say); /* before the first change: no verdict outlives what it was of */
    }
    for (uint32_t i = undo.entries; code == 0 && i-- > 0;) {
        if (!take_back(d, &undo.entry[i], say)) {
            d->failed++;
            continue;
        }
        memmove(&undo.entry[i], &undo.entry[i + 1], (undo.entries - i - 1) * sizeof(undo.entry[0]));
        undo.entries--;
        code = doctor_undo_save(&undo, err);
    }
    return code;
}

static int locked(int (*what)(struct doctor *d, FILE *say, struct error *err), struct doctor *d, FILE *say,
                  struct error *err)
{
    int lock = doctor_lock(err);
    if (lock < 0) {
        return lock;
    }
    int code = what(d, say, err);
    close(lock);
    return code;
}

int doctor_fix(struct doctor *d, FILE *say, struct error *err)
{
    return locked(make_changes, d, say, err);
}

int doctor_undo(struct doctor *d, FILE *say, struct error *err)
{
    return locked(take_all_back, d, say, err);
}

void doctor_dry_run(const struct doctor *d, FILE *say)
{
    for (uint32_t i = 0; i < d->changes; i++) {
        fprintf(say, "would change: %s: %s: %s -> %s\n", doctor_kinds[d->change[i].key].key, d->change[i].path,
                d->change[i].from, d->change[i].to);
        warn(&d->change[i], say);
    }
    if (d->changes == 0) {
        fprintf(say, "nothing to change\n");
    }
}
