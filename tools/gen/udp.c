/* A UDP socket. Frames of one size leave as one message that the kernel cuts up as late as it can (GSO), which is
 * several times faster than one by one. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "tools/gen/socket_batch.h"

#define SEGMENTS_MAX 64u /* UDP_MAX_SEGMENTS of older kernels */

struct udp {
    struct transport transport; /* first: the one is cast to the other */
    struct socket_batch batch;
    uint32_t segments_max; /* 1: no GSO */
};

int udp_target_parse(const char *text, uint32_t *address, uint16_t *port, struct error *err)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(text, ':');
    char host[256];
    char *end = NULL;
    long number = colon != NULL ? strtol(colon + 1, &end, 10) : 0;
    size_t host_bytes = colon != NULL ? (size_t)(colon - text) : 0;
    int failed = EAI_NONAME;
    if (host_bytes > 0 && host_bytes < sizeof(host) && number >= 1 && number <= 65535 && *end == 0) {
        memcpy(host, text, host_bytes);
        host[host_bytes] = 0;
        failed = getaddrinfo(host, NULL, &hints, &found);
    }
    if (failed != 0) {
        return error_set(err, -EINVAL, "expected ADDRESS:PORT of IPv4 such as 127.0.0.1:4000, found '%s': %s", text,
                         gai_strerror(failed));
    }
    *address = ((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr.s_addr;
    *port = (uint16_t)number;
    freeaddrinfo(found);
    return 0;
}

static int udp_reserve(struct transport *t, const uint32_t *bytes, uint8_t **room, uint32_t count,
                       struct error *err)
{
    (void)err;
    socket_batch_reserve(&((struct udp *)(void *)t)->batch, bytes, room, count);
    return 0;
}

static int explain(int failed, uint32_t bytes, struct error *err)
{
    if (failed == -EMSGSIZE) {
        return error_set(
            err, failed,
            "a frame of %u bytes is larger than the path's MTU allows, and fragments are not sent; make it "
            "smaller (--size), or the MTU larger",
            bytes);
    }
    return error_set(err, failed, "the kernel did not take a frame of %u bytes: %s", bytes, strerror(-failed));
}

/* Without GSO from here on: this device, route or kernel does not do it. */
static bool give_up_segments(struct udp *u, int failed)
{
    if (u->segments_max == 1 || (failed != -EINVAL && failed != -EIO && failed != -EMSGSIZE &&
                                 failed != -EOPNOTSUPP && failed != -ENOPROTOOPT)) {
        return false;
    }
    u->segments_max = 1;
    snprintf(u->transport.about, sizeof(u->transport.about), "without GSO: %s", strerror(-failed));
    return true;
}

static int udp_send(struct transport *t, const uint32_t *bytes, uint32_t count, struct error *err)
{
    struct udp *u = (struct udp *)(void *)t;
    uint32_t first = 0; /* frame that the first message begins with */
    for (;;) {
        uint32_t done = 0;
        uint32_t messages = socket_batch_messages(&u->batch, bytes, count, u->segments_max);
        for (uint32_t gone = 0; gone < first; done++) {
            gone += u->batch.frames[done];
        }
        int failed = socket_batch_send(&u->batch, t, messages, &done);
        first = 0;
        for (uint32_t m = 0; m < done; m++) {
            first += u->batch.frames[m];
        }
        if (failed == 0) {
            return 0;
        }
        if (failed == -EINTR) {
            t->counts.dropped += count - first;
            return 0;
        }
        if (!give_up_segments(u, failed)) {
            t->counts.dropped += count - first;
            return explain(failed, bytes[first], err);
        }
    }
}

static void udp_close(struct transport *t)
{
    struct udp *u = (struct udp *)(void *)t;
    socket_batch_fini(&u->batch);
    free(u);
}

static const struct transport_ops udp_ops = {
    .name = "udp", .reserve = udp_reserve, .send = udp_send, .close = udp_close};

static int open_socket(const struct transport_spec *spec, int *fd, struct error *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct sockaddr_in from = {
        .sin_family = AF_INET, .sin_port = htons(spec->from_port), .sin_addr.s_addr = spec->from_ip};
    int no_fragments = IP_PMTUDISC_DO;
    uint16_t port;
    int failed = udp_target_parse(spec->target, &to.sin_addr.s_addr, &port, err);
    if (failed != 0) {
        return failed;
    }
    to.sin_port = htons(port);
    *fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (*fd < 0) {
        return error_set(err, -errno, "expected a UDP socket, got: %s", strerror(errno));
    }
    setsockopt(*fd, IPPROTO_IP, IP_MTU_DISCOVER, &no_fragments, sizeof(no_fragments));
    if ((ntohl(to.sin_addr.s_addr) >> 28) == 0xe && spec->from_ip != 0) {
        struct in_addr interface = {.s_addr = spec->from_ip};
        setsockopt(*fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof(interface));
    }
    if (bind(*fd, (const struct sockaddr *)&from, sizeof(from)) != 0) {
        return error_set(
            err, -errno,
            "expected to send from %s port %u, got: %s; --from-ip is an address of this machine, --from-port "
            "one that is free",
            inet_ntoa(from.sin_addr), spec->from_port, strerror(errno));
    }
    if (connect(*fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        return error_set(err, -errno, "expected a way to %s, got: %s", spec->target, strerror(errno));
    }
    return 0;
}

struct transport *gen_udp_open(const struct transport_spec *spec, struct error *err)
{
    struct udp *u = calloc(1, sizeof(*u));
    int fd = -1;
    if (u == NULL) {
        error_set(err, -ENOMEM, "expected memory for a socket's frames, got none; free some");
        return NULL;
    }
    u->transport.ops = &udp_ops;
    u->transport.stop = spec->stop;
    u->segments_max = spec->no_gso ? 1 : SEGMENTS_MAX;
    u->batch.fd = -1;
    int failed = open_socket(spec, &fd, err);
    u->batch.fd = fd;
    if (failed != 0 || socket_batch_init(&u->batch, fd, spec->frame_bytes_max, err) != 0) {
        udp_close(&u->transport);
        return NULL;
    }
    return &u->transport;
}
