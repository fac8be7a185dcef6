#include "bench/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/net_process.h"

#define NOT_FOUND 127 /* exit status of a child that could not become the program */

void gnuplot_string(FILE *script, const char *text)
{
    fputc('\'', script);
    for (; *text != 0; text++) {
        fputs(*text == '\'' ? "''" : (const char[2]){*text, 0}, script);
    }
    fputc('\'', script);
}

FILE *gnuplot_begin(struct error *err)
{
    int fd = memfd_create("gnuplot", MFD_CLOEXEC);
    FILE *script = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (script == NULL) {
        error_set(err, -errno, "memory for a script of gnuplot: %s", strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
    }
    return script;
}

/* Exit status of gnuplot, or -errno. */
static int run(FILE *script, struct error *err)
{
    const char *const argv[] = {"gnuplot", NULL};
    int status = 0;
    if (fflush(script) != 0 || lseek(fileno(script), 0, SEEK_SET) != 0) {
        return error_set(err, -errno, "a script of gnuplot: %s", strerror(errno));
    }
    struct net_process process = {
        .argv = argv, .core = -1, .in = fileno(script), .out = -1, .shared = -1, .search = true};
    pid_t pid = net_process_start(&process, err);
    if (pid < 0) {
        return (int)pid;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : NOT_FOUND - 1;
}

static int check_program(struct error *err)
{
    FILE *script = gnuplot_begin(err);
    if (script == NULL) {
        return -ENOMEM;
    }
    fprintf(script, "set terminal pngcairo\n");
    int status = run(script, err);
    fclose(script);
    if (status == NOT_FOUND) {
        return error_set(
            err, -ENOENT,
            "--plot needs the program gnuplot (Debian package gnuplot-nox), PATH has none; install it, "
            "or leave --plot away");
    }
    if (status > 0) {
        return error_set(err, -ENOTSUP,
                         "--plot needs a gnuplot with the terminal pngcairo, the lines above say what this one "
                         "lacks; Debian's package gnuplot-nox has it");
    }
    return status;
}

/* Not written to before there is a picture. */
static int check_file(const char *path, struct error *err)
{
    size_t n = strlen(path);
    if (n < 5 || strcmp(path + n - 4, ".png") != 0) {
        return error_set(err, -EINVAL, "--plot expects a file whose name ends in .png, found '%s'", path);
    }
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
    int code = check_file(path, err);
    return code == 0 ? check_program(err) : code;
}

int gnuplot_draw(FILE *script, const char *path, struct error *err)
{
    int status = run(script, err);
    fclose(script);
    return status > 0 ? error_set(err, -EIO, "gnuplot could not draw %s; the lines above say why (status %d)", path,
                                  status)
                      : status;
}
