#include "tools/plant/actuator.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tools/plant/address.h"

#define RECEIVE_BUFFER_BYTES (1 << 20)
#define STAMP_AGE_NS_MAX     10000000000u /* older than this: not a stamp of this clock */

static int open_udp(struct plant_actuator *actuator, const char *text, char *error, size_t error_bytes)
{
    struct plant_address address;
    int buffer_bytes = RECEIVE_BUFFER_BYTES;
    int failed = plant_address_parse(&address, "--actuator udp:", text, error, error_bytes);

    if (failed != 0)
        return failed;
    actuator->fd = socket(address.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (actuator->fd < 0)
        return -errno;
    setsockopt(actuator->fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    if (bind(actuator->fd, (struct sockaddr *)&address.storage, address.length_bytes) != 0)
        return -errno;
    return 0;
}

static int open_unix(struct plant_actuator *actuator, const char *path, char *error, size_t error_bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat there;

    if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) {
        snprintf(error, error_bytes, "--actuator unix:%s: expected a path of 1 to %zu bytes, found %zu", path,
                 sizeof(address.sun_path) - 1, strlen(path));
        return -EINVAL;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode))
        unlink(path); /* what an earlier plant left; anything but a socket makes bind fail */
    actuator->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (actuator->fd < 0 || bind(actuator->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return -errno;
    memcpy(actuator->unix_path, path, strlen(path) + 1);
    return 0;
}

int plant_actuator_open(struct plant_actuator *actuator, const char *where, char *error, size_t error_bytes)
{
    int yes = 1;
    int failed;

    memset(actuator, 0, sizeof(*actuator));
    actuator->fd = -1;
    error[0] = '\0';
    if (strncmp(where, "udp:", 4) == 0) {
        failed = open_udp(actuator, where + 4, error, error_bytes);
    } else if (strncmp(where, "unix:", 5) == 0) {
        failed = open_unix(actuator, where + 5, error, error_bytes);
    } else {
        snprintf(error, error_bytes, "--actuator: expected udp:HOST:PORT or unix:PATH, found %s", where);
        failed = -EINVAL;
    }
    if (failed == 0 && setsockopt(actuator->fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes)) != 0)
        failed = -errno;
    if (failed != 0 && error[0] == '\0')
        snprintf(error, error_bytes, "--actuator %s: expected to receive there, got: %s; is it in use?", where,
                 strerror(-failed));
    if (failed != 0)
        plant_actuator_close(actuator);
    return failed;
}

void plant_actuator_close(struct plant_actuator *actuator)
{
    if (actuator->fd >= 0)
        close(actuator->fd);
    if (actuator->unix_path[0] != '\0')
        unlink(actuator->unix_path);
    actuator->fd = -1;
    actuator->unix_path[0] = '\0';
}

/* The kernel's stamp on our clock; now if there is none, or one that cannot be (the wall clock was just stepped).
 */
static uint64_t arrival_ns(struct msghdr *message, const struct plant_clock *clock)
{
    uint64_t now_ns = plant_clock_now_ns();
    struct timespec stamp;
    uint64_t arrived_ns;

    for (struct cmsghdr *extra = CMSG_FIRSTHDR(message); extra != NULL; extra = CMSG_NXTHDR(message, extra)) {
        if (extra->cmsg_level != SOL_SOCKET || extra->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&stamp, CMSG_DATA(extra), sizeof(stamp));
        arrived_ns =
            plant_clock_from_realtime_ns(clock, (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec);
        if (arrived_ns <= now_ns && now_ns - arrived_ns < STAMP_AGE_NS_MAX)
            return arrived_ns;
    }
    return now_ns;
}

unsigned plant_actuator_receive(struct plant_actuator *actuator, struct plant_clock *clock,
                                struct plant_arrival *arrivals, unsigned arrivals_max)
{
    uint8_t bytes[PLANT_COMMAND_BYTES + 1]; /* one more shows a datagram that is too long */
    _Alignas(struct cmsghdr) uint8_t extra[256];
    unsigned count = 0;

    if (actuator->fd < 0)
        return 0;
    plant_clock_follow_realtime(clock);
    while (count < arrivals_max) {
        struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = extra, .msg_controllen = sizeof(extra)};
        ssize_t length_bytes = recvmsg(actuator->fd, &message, MSG_DONTWAIT);

        if (length_bytes < 0)
            break;
        arrivals[count].arrived_ns = arrival_ns(&message, clock);
        arrivals[count].fault = plant_command_decode(bytes, (size_t)length_bytes, &arrivals[count].command);
        count++;
    }
    return count;
}
