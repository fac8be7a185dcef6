#include "net/port_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The socket that a port will listen on, if it is a file: memif's `socket` (unless it is abstract, which is its
 * default) or vhost's `iface`. false: none. */
static bool listens_on(const char *port, char path[PLAN_PORT_BYTES])
{
    bool memif = strncmp(port, "net_memif", 9) == 0 && strstr(port, "role=server") != NULL &&
                 strstr(port, "socket-abstract=no") != NULL;
    const char *key = memif ? ",socket=" : ",iface=";
    const char *at = strstr(port, key);
    if (at == NULL || (!memif && strncmp(port, "net_vhost", 9) != 0) || strstr(port, "client=1") != NULL) {
        return false;
    }
    at += strlen(key);
    snprintf(path, PLAN_PORT_BYTES, "%.*s", (int)strcspn(at, ","), at);
    return true;
}

int port_socket_clear(const struct source_plan *source, struct error *err)
{
    char path[PLAN_PORT_BYTES];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat about;
    if (!listens_on(source->dpdk.port, path) || lstat(path, &about) != 0) {
        return 0;
    }
    if (!S_ISSOCK(about.st_mode) || strlen(path) >= sizeof(address.sun_path)) {
        return error_set(err, -EEXIST,
                         "source %s: port %s is to listen on %s, which is there and no socket; remove it",
                         source->name, source->dpdk.port, path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool taken = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EPROTOTYPE ||
                 errno == EAGAIN;
    close(fd);
    if (taken) {
        return error_set(err, -EADDRINUSE,
                         "source %s: another process listens on %s; end it, or choose another socket for port %s",
                         source->name, path, source->dpdk.port);
    }
    return unlink(path) == 0
               ? 0
               : error_set(err, -errno, "source %s: cannot remove %s, which a killed process left: %s",
                           source->name, path, strerror(errno));
}
