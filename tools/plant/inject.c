#include "tools/plant/inject.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define EVENT_BYTES_MAX 1024

int plant_inject_open(struct plant_inject *inject, const char *path, char *error, size_t error_bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat there;
    int failed = 0;

    inject->fd = -1;
    if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) {
        snprintf(error, error_bytes, "--inject %s: expected a path of 1 to %zu bytes, found %zu", path,
                 sizeof(address.sun_path) - 1, strlen(path));
        return -EINVAL;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode))
        unlink(path); /* what an earlier plant left; anything but a socket makes bind fail */
    inject->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (inject->fd < 0 || bind(inject->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        failed = -errno;
        snprintf(error, error_bytes, "--inject %s: expected to receive there, got: %s; choose another path", path,
                 strerror(-failed));
        plant_inject_close(inject);
        return failed;
    }
    memcpy(inject->path, path, strlen(path) + 1);
    return 0;
}

void plant_inject_close(struct plant_inject *inject)
{
    if (inject->fd >= 0)
        close(inject->fd);
    if (inject->path[0] != '\0')
        unlink(inject->path);
    inject->fd = -1;
    inject->path[0] = '\0';
}

bool plant_inject_receive(struct plant_inject *inject, struct plant_event *event, uint64_t tai_ns)
{
    char text[EVENT_BYTES_MAX];
    char answer[512];
    struct sockaddr_un from;

    while (inject->fd >= 0) {
        socklen_t from_bytes = sizeof(from);
        ssize_t length_bytes = recvfrom(inject->fd, text, sizeof(text), 0, (struct sockaddr *)&from, &from_bytes);
        bool good;

        if (length_bytes < 0)
            return false;
        good = plant_event_parse(event, text, (size_t)length_bytes, answer, sizeof(answer)) == 0;
        if (good)
            snprintf(answer, sizeof(answer), "ok %" PRIu64, tai_ns);
        if (from_bytes > offsetof(struct sockaddr_un, sun_path)) /* else nobody asked for an answer */
            sendto(inject->fd, answer, strlen(answer), 0, (struct sockaddr *)&from, from_bytes);
        if (good)
            return true;
    }
    return false;
}
