#include "net/interface.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATH_BYTES   64
#define NUMBER_BYTES 32

int interface_open(struct interface *interface, const char *name, struct error *err)
{
    *interface = (struct interface){.missed_fd = -1};
    snprintf(interface->name, sizeof(interface->name), "%s", name);
    interface->socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return interface->socket_fd >= 0
               ? 0
               : error_set(err, -errno, "interface %s: no socket to ask for it: %s", name, strerror(errno));
}

static void close_counter(struct interface *interface)
{
    if (interface->missed_fd >= 0) {
        close(interface->missed_fd);
    }
    interface->missed_fd = -1;
}

void interface_close(struct interface *interface)
{
    close_counter(interface);
    if (interface->socket_fd >= 0) {
        close(interface->socket_fd);
    }
    interface->socket_fd = -1;
}

int interface_find(const struct interface *interface, unsigned *ifindex)
{
    struct ifreq request = {.ifr_ifindex = 0};
    memcpy(request.ifr_name, interface->name, sizeof(request.ifr_name));
    if (ioctl(interface->socket_fd, SIOCGIFINDEX, &request) != 0) {
        return -errno;
    }
    unsigned found = (unsigned)request.ifr_ifindex;
    if (ioctl(interface->socket_fd, SIOCGIFFLAGS, &request) != 0) {
        return -errno;
    }
    if ((request.ifr_flags & IFF_UP) == 0 || (request.ifr_flags & IFF_RUNNING) == 0) {
        return -ENETDOWN;
    }
    *ifindex = found;
    return 0;
}

int interface_join(const struct interface *interface, unsigned ifindex, uint32_t group)
{
    struct ip_mreqn request = {.imr_multiaddr.s_addr = group, .imr_ifindex = (int)ifindex};
    int code = setsockopt(interface->socket_fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request));
    return code == 0 || errno == EADDRINUSE ? 0 : -errno;
}

static int open_file(const struct interface *interface, const char *name)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "/sys/class/net/%s/%s", interface->name, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static uint64_t read_number(int fd)
{
    char text[NUMBER_BYTES];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    return strtoull(text, NULL, 10);
}

/* /sys may belong to another network namespace than we do, and show another interface of that name. */
static bool is_shown(const struct interface *interface, unsigned ifindex)
{
    int fd = open_file(interface, "ifindex");
    if (fd < 0) {
        return false;
    }
    uint64_t shown = read_number(fd);
    close(fd);
    return shown == ifindex;
}

void interface_watch(struct interface *interface, unsigned ifindex)
{
    close_counter(interface);
    if (is_shown(interface, ifindex)) {
        interface->missed_fd = open_file(interface, "statistics/rx_missed_errors");
    }
}

uint64_t interface_missed(const struct interface *interface)
{
    return interface->missed_fd >= 0 ? read_number(interface->missed_fd) : 0;
}
