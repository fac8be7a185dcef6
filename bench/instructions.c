#include "bench/instructions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/engine_paths.h"

#define STEPS 20u

/* The folder of this program, with room for a name. */
static int own_folder(char *path, size_t bytes)
{
    ssize_t n = readlink("/proc/self/exe", path, bytes - 1);
    if (n < 0) {
        return -errno;
    }
    path[n] = 0;
    char *slash = strrchr(path, '/');
    *slash = 0;
    return 0;
}

_Noreturn static void become_valgrind(const char *program, const char *out, uint32_t rules, uint32_t count)
{
    char file[160];
    char rules_text[16];
    char steps_text[16];
    char count_text[16];
    snprintf(file, sizeof(file), "--callgrind-out-file=%s", out);
    snprintf(rules_text, sizeof(rules_text), "%u", rules);
    snprintf(steps_text, sizeof(steps_text), "%u", STEPS);
    snprintf(count_text, sizeof(count_text), "%u", count);
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    execlp("valgrind", "valgrind", "--tool=callgrind", "--toggle-collect=engine_step", file, program, rules_text,
           steps_text, count_text, (char *)NULL);
    _exit(127);
}

static int run_valgrind(const char *program, const char *out, uint32_t rules, uint32_t count, struct error *err)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        become_valgrind(program, out, rules, count);
    }
    if (pid < 0) {
        return error_set(err, -errno, "fork: %s", strerror(errno));
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        return error_set(err, -ENOTSUP, "valgrind is not available: no instructions are counted; install it");
    }
    return status == 0 ? 0 : error_set(err, -ECHILD, "valgrind ended with status %d", status);
}

/* The count of one dump, which must be that of `path`; negative if it is not. */
static double read_dump(const char *file, const char *path)
{
    char line[512];
    unsigned long long total = 0;
    bool right = false;
    bool counted = false;
    FILE *f = fopen(file, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "desc: Trigger:", 14) == 0) {
            const char *name = strrchr(line, ' ') + 1;
            right = strcmp(name, path) == 0;
        }
        if (strncmp(line, "totals: ", 8) == 0) {
            total = strtoull(line + 8, NULL, 10);
            counted = true;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return right && counted ? (double)total / STEPS : -1;
}

static int read_dumps(const char *out, uint32_t count, double *steps, struct error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        char file[160];
        snprintf(file, sizeof(file), "%s.%u", out, i + 1);
        steps[i] = read_dump(file, engine_path_at(i)->name);
        unlink(file);
        if (steps[i] < 0) {
            return error_set(err, -EPROTO, "callgrind's dump %u does not tell of %s", i + 1,
                             engine_path_at(i)->name);
        }
    }
    return 0;
}

int instructions_count(uint32_t rules, uint32_t count, double *steps, struct error *err)
{
    char program[512];
    char folder[] = "/tmp/sluice-bench-XXXXXX";
    char out[64];
    int code = own_folder(program, sizeof(program) - sizeof("/engine-steps"));
    if (code != 0) {
        return error_set(err, code, "/proc/self/exe: %s", strerror(-code));
    }
    strcat(program, "/engine-steps");
    if (access(program, X_OK) != 0) {
        return error_set(err, -ENOTSUP, "%s is not available: no instructions are counted; build it", program);
    }
    if (mkdtemp(folder) == NULL) {
        return error_set(err, -errno, "a folder in /tmp: %s", strerror(errno));
    }
    snprintf(out, sizeof(out), "%s/out", folder);
    code = run_valgrind(program, out, rules, count, err);
    code = code == 0 ? read_dumps(out, count, steps, err) : code;
    unlink(out);
    rmdir(folder);
    return code;
}
