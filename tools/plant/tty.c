#include "tools/plant/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* Raw: a frame's bytes must never be taken for line ends, flow control or echo. The setting stays with the pair for
 * as long as the master is open, so the slave can be closed again and its readers be counted. */
static int make_raw(const char *slave_path)
{
    struct termios settings;
    int failed = 0;
    int slave = open(slave_path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (slave < 0)
        return -errno;
    if (tcgetattr(slave, &settings) != 0)
        failed = -errno;
    if (failed == 0) {
        cfmakeraw(&settings);
        settings.c_cflag |= CLOCAL | CREAD;
        if (tcsetattr(slave, TCSANOW, &settings) != 0)
            failed = -errno;
    }
    close(slave);
    return failed;
}

static int open_pair(struct plant_tty *tty)
{
    int failed;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

    if (master < 0)
        return -errno;
    if (grantpt(master) != 0 || unlockpt(master) != 0 ||
        ptsname_r(master, tty->slave_path, sizeof(tty->slave_path)) != 0)
        failed = -errno;
    else
        failed = make_raw(tty->slave_path);
    if (failed != 0) {
        close(master);
        return failed;
    }
    tty->master = master;
    return 0;
}

/* False if it is not a link. */
static bool read_link(const char *path, char target[PATH_MAX])
{
    ssize_t length_bytes = readlink(path, target, PATH_MAX - 1);

    if (length_bytes < 0)
        return false;
    target[length_bytes] = '\0';
    return true;
}

/* Only what an earlier plant may have left is replaced: a link to a pseudo-terminal. */
static int check_link_path(const char *link_path, char *error, size_t error_bytes)
{
    char target[PATH_MAX];
    struct stat there;

    if (lstat(link_path, &there) != 0)
        return errno == ENOENT ? 0 : -errno;
    if (!read_link(link_path, target))
        snprintf(target, sizeof(target), "a real file");
    else if (strncmp(target, "/dev/pts/", 9) == 0)
        return 0;
    snprintf(
        error, error_bytes,
        "--tty %s: expected nothing there or an old link to /dev/pts, found %s; remove it or choose another path",
        link_path, target);
    return -EEXIST;
}

/* Made beside and renamed: a reader that opens the path finds the old line, none, or the new one. */
static int make_link(const struct plant_tty *tty)
{
    char beside[PATH_MAX + 16];

    snprintf(beside, sizeof(beside), "%s.%ld", tty->link_path, (long)getpid());
    if (symlink(tty->slave_path, beside) != 0)
        return -errno;
    if (rename(beside, tty->link_path) != 0) {
        int failed = -errno;

        unlink(beside);
        return failed;
    }
    return 0;
}

int plant_tty_open(struct plant_tty *tty, const char *link_path, char *error, size_t error_bytes)
{
    int failed;

    tty->master = -1;
    tty->reader = false;
    tty->rest_bytes = 0;
    error[0] = '\0';
    if (link_path != tty->link_path)
        snprintf(tty->link_path, sizeof(tty->link_path), "%s", link_path);
    failed = check_link_path(tty->link_path, error, error_bytes);
    if (failed == 0)
        failed = open_pair(tty);
    if (failed == 0)
        failed = make_link(tty);
    if (failed != 0 && error[0] == '\0')
        snprintf(error, error_bytes, "--tty %s: expected a pseudo-terminal and a link to it, got: %s",
                 tty->link_path, strerror(-failed));
    if (failed != 0 && tty->master >= 0) {
        close(tty->master);
        tty->master = -1;
    }
    return failed;
}

void plant_tty_close(struct plant_tty *tty)
{
    char target[PATH_MAX];

    if (tty->master < 0)
        return;
    if (read_link(tty->link_path, target) && strcmp(target, tty->slave_path) == 0) /* else somebody else's by now */
        unlink(tty->link_path);
    close(tty->master);
    tty->master = -1;
    tty->reader = false;
    tty->rest_bytes = 0;
}

bool plant_tty_poll(struct plant_tty *tty)
{
    struct pollfd master = {.fd = tty->master, .events = POLLIN};
    uint8_t thrown_away[256];
    bool had_reader = tty->reader;

    if (tty->master < 0)
        return false;
    if (poll(&master, 1, 0) < 0)
        return false;
    tty->reader = (master.revents & POLLHUP) == 0;
    if ((master.revents & POLLIN) != 0 && read(tty->master, thrown_away, sizeof(thrown_away)) < 0)
        return tty->reader != had_reader; /* EIO just says that the reader left */
    if (!tty->reader)
        tty->rest_bytes = 0;
    return tty->reader != had_reader;
}

/* True once nothing is left over from a frame taken in part. */
static bool write_rest(struct plant_tty *tty)
{
    while (tty->rest_bytes > 0) {
        ssize_t taken =
            write(tty->master, tty->rest + PLANT_TTY_WRITE_BYTES_MAX - tty->rest_bytes, tty->rest_bytes);

        if (taken <= 0)
            return false;
        tty->rest_bytes -= (size_t)taken;
    }
    return true;
}

enum plant_tty_result plant_tty_write(struct plant_tty *tty, const void *bytes, size_t length_bytes)
{
    ssize_t taken;

    if (tty->master < 0 || !tty->reader || length_bytes > PLANT_TTY_WRITE_BYTES_MAX)
        return PLANT_TTY_NO_READER;
    if (!write_rest(tty))
        return PLANT_TTY_FULL;
    taken = write(tty->master, bytes, length_bytes);
    if (taken <= 0)
        return PLANT_TTY_FULL;
    tty->rest_bytes = length_bytes - (size_t)taken;
    memcpy(tty->rest + PLANT_TTY_WRITE_BYTES_MAX - tty->rest_bytes, (const uint8_t *)bytes + taken,
           tty->rest_bytes);
    return PLANT_TTY_SENT;
}
