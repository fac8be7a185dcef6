#include "tools/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/whole_file.h"

#define NOT_FOUND 127 /* exit status for a program that could not be started */

void gnuplot_string(FILE *script, const char *text)
{
    fputc('\'', script);
    for (; *text != 0; text++) {
        fputs(*text == '\'' ? "''" : (const char[2]){*text, 0}, script);
    }
    fputc('\'', script);
}

static int memory_file(struct error *err)
{
    int fd = memfd_create("gnuplot", MFD_CLOEXEC);
    return fd >= 0 ? fd : error_set(err, -errno, "memory for gnuplot: %s", strerror(errno));
}

FILE *gnuplot_begin(struct error *err)
{
    int fd = memory_file(err);
    FILE *script = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (fd >= 0 && script == NULL) {
        error_set(err, -errno, "memory for a script of gnuplot: %s", strerror(errno));
        close(fd);
    }
    return script;
}

/* Exit status of gnuplot, or -errno. Its standard output goes to `out`; what it says, to ours. */
static int run(FILE *script, int out, struct error *err)
{
    char name[] = "gnuplot";
    char *const argv[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    int status = 0;
    pid_t pid;
    if (fflush(script) != 0 || lseek(fileno(script), 0, SEEK_SET) != 0) {
        return error_set(err, -errno, "a script of gnuplot: %s", strerror(errno));
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int code = posix_spawnp(&pid, name, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code == ENOENT) {
        return NOT_FOUND;
    }
    if (code != 0) {
        return error_set(err, -code, "cannot start gnuplot: %s", strerror(code));
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : NOT_FOUND - 1;
}

static int check_program(const char *terminal, struct error *err)
{
    FILE *script = gnuplot_begin(err);
    if (script == NULL) {
        return -ENOMEM;
    }
    fprintf(script, "set terminal %s\n", terminal);
    int status = run(script, STDERR_FILENO, err);
    fclose(script);
    if (status == NOT_FOUND) {
        return error_set(
            err, -ENOENT,
            "--plot needs the program gnuplot (Debian package gnuplot-nox), PATH has none; install it, "
            "or leave --plot away");
    }
    if (status > 0) {
        return error_set(err, -ENOTSUP,
                         "--plot needs a gnuplot with the terminal %s, the lines above say what this one "
                         "lacks; Debian's package gnuplot-nox has it",
                         terminal);
    }
    return status;
}

static bool ends_in(const char *path, const char *suffix)
{
    size_t n = strlen(path);
    return n > strlen(suffix) && strcmp(path + n - strlen(suffix), suffix) == 0;
}

/* Not written to before there is a picture. */
static int check_file(const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
        close(fd);
        unlink(path);
        return 0;
    }
    return errno == EEXIST && access(path, W_OK) == 0
               ? 0
               : error_set(err, -errno, "--plot cannot write %s: %s; name a file in a folder that exists", path,
                           strerror(errno));
}

int gnuplot_ready(const char *path, struct error *err)
{
    if (!ends_in(path, ".png")) {
        return error_set(err, -EINVAL, "--plot expects a file whose name ends in .png, found '%s'", path);
    }
    int code = check_file(path, err);
    return code == 0 ? check_program("pngcairo", err) : code;
}

int gnuplot_ready_any(const char *path, struct error *err)
{
    bool vector = ends_in(path, ".svg");
    if (!vector && !ends_in(path, ".png")) {
        return error_set(err, -EINVAL, "--plot expects a file whose name ends in .png or .svg, found '%s'", path);
    }
    int code = check_file(path, err);
    return code == 0 ? check_program(vector ? "svg" : "pngcairo", err) : code;
}

static int failed(int status, const char *path, struct error *err)
{
    return status == NOT_FOUND ? error_set(err, -ENOENT, "gnuplot has gone: expected it in PATH to draw %s", path)
           : status > 0 ? error_set(err, -EIO, "gnuplot could not draw %s; the lines above say why (status %d)",
                                    path, status)
                        : status;
}

int gnuplot_draw(FILE *script, const char *path, struct error *err)
{
    int status = run(script, STDERR_FILENO, err);
    fclose(script);
    return failed(status, path, err);
}

void gnuplot_terminal(FILE *script, const char *path, unsigned width, unsigned height)
{
    if (ends_in(path, ".svg")) {
        fprintf(script,
                "set terminal svg size %u,%u font 'DejaVu Sans,12' background rgb 'white' enhanced dynamic\n",
                width, height);
    } else {
        fprintf(script, "set terminal pngcairo size %u,%u font 'DejaVu Sans,12' background rgb 'white' enhanced\n",
                width, height);
    }
}

/* Does the picture end as a whole one does? */
static bool is_whole(FILE *picture, const char *path)
{
    static const char png[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', (char)0xae, 'B', '`', (char)0x82};
    static const char svg[] = "</svg>";
    char tail[64];
    if (fseek(picture, 0, SEEK_END) != 0 || ftell(picture) < (long)sizeof(tail) ||
        fseek(picture, -(long)sizeof(tail), SEEK_END) != 0 ||
        fread(tail, 1, sizeof(tail), picture) != sizeof(tail)) {
        return false;
    }
    return ends_in(path, ".svg") ? memmem(tail, sizeof(tail), svg, sizeof(svg) - 1) != NULL
                                 : memcmp(tail + sizeof(tail) - sizeof(png), png, sizeof(png)) == 0;
}

static int copy_whole(FILE *picture, const char *path, struct error *err)
{
    struct whole_file file;
    char part[4096];
    size_t bytes;
    if (!is_whole(picture, path)) {
        return error_set(err, -EIO, "expected a whole picture from gnuplot for %s, found something else", path);
    }
    int code = whole_file_begin(&file, path, err);
    if (code != 0) {
        return code;
    }
    rewind(picture);
    while ((bytes = fread(part, 1, sizeof(part), picture)) > 0 && fwrite(part, 1, bytes, file.to) == bytes) {
    }
    return whole_file_end(&file, err);
}

int gnuplot_draw_whole(FILE *script, const char *path, struct error *err)
{
    int fd = memory_file(err);
    FILE *picture = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (picture == NULL) {
        fclose(script);
        if (fd >= 0) {
            close(fd);
        }
        return -ENOMEM;
    }
    int code = failed(run(script, fd, err), path, err);
    fclose(script);
    code = code == 0 ? copy_whole(picture, path, err) : code;
    fclose(picture);
    return code;
}
