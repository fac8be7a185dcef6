/* recover: gives the files of a recording that was not closed their ends, and says what was saved and what is not
 * there. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring/clock.h"
#include "tools/recover.h"
#include "tools/session.h"
#include "tools/sluice.h"

/* A file of ours without blocks and without a header has no begin of blocks. */
static bool has_header(const struct record_file *file)
{
    return file->blocks_end > 0;
}

/* Locks all that have no end. Until the set is opened again their recorders may still have gone on. */
static int lock_all(struct recover *r, struct error *err)
{
    const struct record_file *file;
    r->locks = 0;
    for (unsigned ring = 0; ring < record_rings(r->set); ring++) {
        for (unsigned i = 0; record_file(r->set, ring, i) != NULL; i++) {
            r->locks++;
        }
    }
    r->lock = calloc(r->locks, sizeof(r->lock[0]));
    if (r->lock == NULL) {
        return error_set(err, -ENOMEM, "no memory to recover with");
    }
    uint32_t n = 0;
    int code = 0;
    for (unsigned ring = 0; ring < record_rings(r->set); ring++) {
        for (unsigned i = 0; (file = record_file(r->set, ring, i)) != NULL; i++, n++) {
            r->lock[n].fd = -1;
            if (code == 0 && !file->closed) {
                code = recover_lock(&r->lock[n], file->path, r->output == NULL && !r->dry_run, err);
            }
        }
    }
    return code;
}

static void close_all(struct recover *r)
{
    for (uint32_t i = 0; i < r->locks; i++) {
        recover_unlock(&r->lock[i]);
    }
    free(r->lock);
    r->lock = NULL;
    r->locks = 0;
    record_close(r->set);
    r->set = NULL;
}

static uint32_t count_files(const struct record_set *set)
{
    uint32_t n = 0;
    for (unsigned ring = 0; ring < record_rings(set); ring++) {
        for (unsigned i = 0; record_file(set, ring, i) != NULL; i++) {
            n++;
        }
    }
    return n;
}

/* Opened, locked, and opened again: what was read before the lock may have changed. */
static int open_locked(struct recover *r, struct error *err)
{
    int code = record_open(&r->set, r->paths, r->count, err);
    if (code == 0) {
        code = lock_all(r, err);
    }
    if (code == 0) {
        record_close(r->set);
        r->set = NULL;
        code = record_open(&r->set, r->paths, r->count, err);
    }
    if (code == 0 && count_files(r->set) != r->locks) {
        code =
            error_set(err, -EBUSY, "the recording changed meanwhile: its recorder is still at it; stop it first");
    }
    if (code == 0) {
        struct recording_progress progress;
        recording_progress_begin(&progress);
        code = record_verify_unclosed(r->set, recording_progress, &progress, err);
    }
    return code;
}

static int end_in_place(const struct recover *r, unsigned ring, const struct record_file *file, int fd,
                        const struct recording_gaps *gaps, struct error *err)
{
    char directory[4096];
    int code = recover_end(fd, record_ring(r->set, ring), file, gaps, err);
    snprintf(directory, sizeof(directory), "%.*s", (int)(recover_base_name(file->path) - file->path), file->path);
    int directory_fd = open(directory[0] != 0 ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd >= 0) {
        (void)fsync(directory_fd);
        close(directory_fd);
    }
    return code;
}

static int end_copy(const struct recover *r, unsigned ring, const struct record_file *file, int from_fd,
                    int directory_fd, const struct recording_gaps *gaps, struct error *err)
{
    int fd = -1;
    const char *name = recover_base_name(file->path);
    uint64_t kept = file->blocks_end < file->bytes ? file->blocks_end : file->bytes; /* zeros may be cut off */
    int code = recover_copy(from_fd, directory_fd, name, kept, &fd, err);
    if (code != 0) {
        return code;
    }
    code = recover_end(fd, record_ring(r->set, ring), file, gaps, err);
    if (code == 0) {
        return recover_copied(fd, directory_fd, name, err);
    }
    recover_drop(fd, directory_fd, name);
    return code;
}

/* What is to be done with a file. */
static const char *action_of(const struct recover *r, const struct record_file *file, int fd, uint64_t *behind)
{
    *behind = 0;
    if (file->closed) {
        return r->output != NULL ? "copied" : "whole";
    }
    *behind = recover_behind(fd, file->blocks_end, file->bytes);
    if (has_header(file)) {
        return "ended";
    }
    return *behind > 0 || r->output != NULL ? "left" : "removed";
}

static int do_file(const struct recover *r, unsigned ring, const struct record_file *file, int fd, int directory_fd,
                   const char *action, const struct recording_gaps *gaps, struct error *err)
{
    if (r->dry_run || strcmp(action, "whole") == 0 || strcmp(action, "left") == 0) {
        return 0;
    }
    if (strcmp(action, "removed") == 0) {
        return unlink(file->path) == 0
                   ? 0
                   : error_set(err, -errno, "cannot remove %s: %s", file->path, strerror(errno));
    }
    if (strcmp(action, "ended") == 0) {
        return r->output == NULL ? end_in_place(r, ring, file, fd, gaps, err)
                                 : end_copy(r, ring, file, fd, directory_fd, gaps, err);
    }
    struct recover_lock from;
    int code = recover_lock(&from, file->path, false, err);
    if (code == 0) {
        code = recover_copy(from.fd, directory_fd, recover_base_name(file->path), file->bytes, NULL, err);
        recover_unlock(&from);
    }
    return code;
}

/* The ring's last file without an end tells what is missing. */
static int last_open_file(const struct record_set *set, unsigned ring)
{
    int last = -1;
    const struct record_file *file;
    for (unsigned i = 0; (file = record_file(set, ring, i)) != NULL; i++) {
        last = !file->closed && has_header(file) ? (int)i : last;
    }
    return last;
}

static int do_files(struct recover *r, unsigned ring, uint32_t *lock, int directory_fd,
                    const struct recording_gaps *gaps, json_t *list, struct error *err)
{
    const struct record_file *file;
    int teller = last_open_file(r->set, ring);
    int code = 0;
    for (unsigned i = 0; code == 0 && (file = record_file(r->set, ring, i)) != NULL; i++, (*lock)++) {
        uint64_t behind;
        int fd = r->lock[*lock].fd;
        if (!file->closed && fd < 0) {
            return error_set(err, -EBUSY, "%s: it changed meanwhile; try again", file->path);
        }
        const char *action = action_of(r, file, fd, &behind);
        code = do_file(r, ring, file, fd, directory_fd, action, (int)i == teller ? gaps : NULL, err);
        r->open_files += !file->closed;
        r->missing |= behind > 0;
        json_array_append_new(list, json_pack("{s:o, s:s, s:I, s:I, s:I}", "path", recording_json_text(file->path),
                                              "action", action, "blocks", (json_int_t)file->indices, "kept_bytes",
                                              (json_int_t)(file->closed ? file->bytes : file->blocks_end),
                                              "dropped_bytes", (json_int_t)behind));
        if (code == 0) {
            recover_say_file(r, file, action, behind);
        }
    }
    return code;
}

static int do_ring(struct recover *r, unsigned index, uint32_t *lock, int directory_fd, json_t *rings,
                   struct error *err)
{
    const struct record_ring *ring = record_ring(r->set, index);
    struct recording_gaps gaps = {0};
    json_t *files = json_array();
    int code = recording_find_missing(r->set, index, &gaps, err);
    r->missing |= gaps.count > 0;
    if (code == 0) {
        recover_say_ring(r, ring, &gaps);
        code = do_files(r, index, lock, directory_fd, &gaps, files, err);
    }
    json_array_append_new(rings,
                          json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o}", "ring",
                                    recording_json_text(ring->header.ring), "frames", (json_int_t)ring->frames,
                                    "from_position", (json_int_t)ring->first_position, "to_position",
                                    (json_int_t)ring->end_position, "first_tai_ns", (json_int_t)ring->first_tai_ns,
                                    "last_tai_ns", (json_int_t)ring->last_tai_ns, "was_closed", (int)ring->closed,
                                    "missing", recover_gaps_json(&gaps), "files", files));
    recording_gaps_free(&gaps);
    return code;
}

/* Only into a directory of its own: what is in it is one recording. */
static int make_output(const struct recover *r, int *fd, struct error *err)
{
    if (mkdir(r->output, 0750) != 0) {
        int code = -errno;
        return error_set(err, code, "cannot make the directory %s: %s%s", r->output, strerror(-code),
                         code == -EEXIST ? "; name one that is not there yet" : "");
    }
    *fd = open(r->output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd >= 0 ? 0 : error_set(err, -errno, "cannot open %s: %s", r->output, strerror(errno));
}

static int copy_texts(const struct recover *r, int directory_fd, struct error *err)
{
    static const char *const names[] = {RECORD_RUN_FILE, RECORD_CONFIG_FILE};
    int code = 0;
    for (unsigned p = 0; p < r->count; p++) {
        for (unsigned i = 0; code == 0 && i < 2; i++) {
            char path[4096];
            struct stat st;
            snprintf(path, sizeof(path), "%s/%s", r->paths[p], names[i]);
            int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
            if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                faccessat(directory_fd, names[i], F_OK, 0) != 0) {
                code = recover_copy(fd, directory_fd, names[i], (uint64_t)st.st_size, NULL, err);
            }
            if (fd >= 0) {
                close(fd);
            }
        }
    }
    return code;
}

static int recover_all(struct recover *r, struct error *err)
{
    int directory_fd = -1;
    uint32_t lock = 0;
    json_t *rings = json_array();
    recover_begin_report(r, rings);
    int code = r->output != NULL && !r->dry_run ? make_output(r, &directory_fd, err) : 0;
    /* Foreign files, lost segments: nothing that an end could mend. */
    for (uint64_t i = 0; record_problem(r->set, i) != NULL; i++) {
        r->missing |= record_problem(r->set, i)->kind != RECORD_PROBLEM_NOT_CLOSED;
    }
    for (unsigned i = 0; code == 0 && i < record_rings(r->set); i++) {
        code = do_ring(r, i, &lock, directory_fd, rings, err);
    }
    if (code == 0 && directory_fd >= 0) {
        code = copy_texts(r, directory_fd, err);
    }
    bool whole = r->open_files == 0 && !r->missing;
    json_object_set_new(r->report, "whole", json_boolean(whole));
    json_object_set_new(r->report, "problems_total", json_integer((json_int_t)record_problems(r->set)));
    if (code == 0 && !r->dry_run && (r->open_files > 0 || r->output != NULL)) {
        code = recover_write_report(r, err);
    }
    if (directory_fd >= 0) {
        close(directory_fd);
    }
    return code;
}

static int usage(FILE *to, int code)
{
    fprintf(
        to,
        "usage: sluice recover [--output DIRECTORY] [--dry-run] [--json] RECORDING ..\n"
        "  RECORDING: a run's directory (of several stripes: all of them), or its files *" RECORD_SUFFIX "\n"
        "  Gives files that were not closed their ends, in place or as copies in a new directory, and says what\n"
        "  was saved and what is missing.\n"
        "Exit: 0 everything had been closed and is whole, 1 something is missing, or is still being written,\n"
        "2 bad usage, or no recording.\n");
    return code;
}

static int parse(struct recover *r, int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"dry-run", no_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            r->output = optarg;
            break;
        case 'd':
            r->dry_run = true;
            break;
        case 'j':
            r->json = true;
            break;
        case 'h':
            return usage(stdout, EXIT_DONE);
        default:
            return usage(stderr, EXIT_USAGE);
        }
    }
    r->paths = (const char *const *)(argv + optind);
    r->count = (unsigned)(argc - optind);
    return r->count > 0 ? -1 : usage(stderr, EXIT_USAGE);
}

int command_recover(int argc, char **argv)
{
    struct recover r = {0};
    struct error err = {{0}};
    int exit = parse(&r, argc, argv);
    if (exit >= 0) {
        return exit;
    }
    int code = open_locked(&r, &err);
    bool opened = code == 0;
    if (opened) {
        code = recover_all(&r, &err);
        recover_say_problems(&r);
    }
    if (code == 0 && r.json) {
        json_dumpf(r.report, stdout, JSON_PRESERVE_ORDER);
        printf("\n");
    }
    if (code == 0 && !r.json) {
        printf("%s\n", r.open_files == 0 && !r.missing ? "everything had been closed: there is nothing to recover"
                       : r.open_files == 0 ? "everything had been closed; what is missing cannot be brought back"
                       : r.dry_run         ? "nothing was changed"
                                           : "recovered; " RECOVER_REPORT_FILE " says the same");
    }
    exit = code == 0 ? (r.open_files == 0 && !r.missing ? EXIT_DONE : EXIT_NOT_SO)
                     : command_fail("recover", err.text, opened || code == -EBUSY ? EXIT_NOT_SO : EXIT_USAGE);
    json_decref(r.report);
    close_all(&r);
    return exit;
}
