/* A raw socket on an interface: Ethernet frames as they are. */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tools/gen/socket_batch.h"

struct packet {
    struct transport transport; /* first: the one is cast to the other */
    struct socket_batch batch;
    uint32_t mtu;
};

static int packet_reserve(struct transport *t, const uint32_t *bytes, uint8_t **room, uint32_t count,
                          struct error *err)
{
    (void)err;
    socket_batch_reserve(&((struct packet *)(void *)t)->batch, bytes, room, count);
    return 0;
}

static int packet_send(struct transport *t, const uint32_t *bytes, uint32_t count, struct error *err)
{
    struct packet *p = (struct packet *)(void *)t;
    uint32_t done = 0;
    uint32_t messages = socket_batch_messages(&p->batch, bytes, count, 1);
    int failed = socket_batch_send(&p->batch, t, messages, &done);
    t->counts.dropped += count - done;
    if (failed == 0 || failed == -EINTR) {
        return 0;
    }
    if (failed == -EMSGSIZE) {
        return error_set(
            err, failed,
            "a frame of %u bytes is larger than the interface's MTU of %u allows; make it smaller (--size), "
            "or the MTU larger: ip link set dev INTERFACE mtu N",
            bytes[done], p->mtu);
    }
    return error_set(err, failed, "the interface did not take a frame of %u bytes: %s%s", bytes[done],
                     strerror(-failed), failed == -ENETDOWN ? "; ip link set dev INTERFACE up" : "");
}

static void packet_close(struct transport *t)
{
    struct packet *p = (struct packet *)(void *)t;
    socket_batch_fini(&p->batch);
    free(p);
}

static const struct transport_ops packet_ops = {
    .name = "packet", .reserve = packet_reserve, .send = packet_send, .close = packet_close};

/* Its number, hardware address and MTU. */
static int find_interface(struct packet *p, const char *name, int *index, struct error *err)
{
    struct ifreq request = {0};
    size_t n = strlen(name);
    memcpy(request.ifr_name, name, n < IFNAMSIZ ? n : IFNAMSIZ - 1);
    if (n >= IFNAMSIZ || ioctl(p->batch.fd, SIOCGIFINDEX, &request) != 0) {
        return error_set(err, -ENODEV, "expected the name of a network interface, found '%s'; ip link shows them",
                         name);
    }
    *index = request.ifr_ifindex;
    if (ioctl(p->batch.fd, SIOCGIFHWADDR, &request) == 0) {
        memcpy(p->transport.own_mac, request.ifr_hwaddr.sa_data, sizeof(p->transport.own_mac));
    }
    p->mtu = ioctl(p->batch.fd, SIOCGIFMTU, &request) == 0 ? (uint32_t)request.ifr_mtu : 0;
    return 0;
}

static int open_socket(struct packet *p, const char *name, struct error *err)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET};
    /* Protocol 0: it receives nothing. */
    p->batch.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (p->batch.fd < 0) {
        return error_set(err, -errno, "expected a raw socket, got: %s%s", strerror(errno),
                         errno == EPERM ? "; it takes root, or CAP_NET_RAW" : "");
    }
    int failed = find_interface(p, name, &to.sll_ifindex, err);
    if (failed != 0) {
        return failed;
    }
    if (bind(p->batch.fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        return error_set(err, -errno, "expected to send on %s, got: %s", name, strerror(errno));
    }
    return 0;
}

struct transport *gen_packet_open(const struct transport_spec *spec, struct error *err)
{
    struct packet *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        error_set(err, -ENOMEM, "expected memory for a socket's frames, got none; free some");
        return NULL;
    }
    p->transport.ops = &packet_ops;
    p->transport.stop = spec->stop;
    p->batch.fd = -1;
    if (open_socket(p, spec->target, err) != 0 ||
        socket_batch_init(&p->batch, p->batch.fd, spec->frame_bytes_max, err) != 0) {
        packet_close(&p->transport);
        return NULL;
    }
    return &p->transport;
}
