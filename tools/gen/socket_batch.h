/* A batch of frames in one buffer, one behind the other, and the messages that send it: for sockets. */
#ifndef TOOLS_GEN_SOCKET_BATCH_H
#define TOOLS_GEN_SOCKET_BATCH_H

#include <sys/socket.h>

#include "tools/gen/transport.h"

struct socket_batch {
    int fd;
    uint8_t *bytes; /* TRANSPORT_BATCH_MAX times the largest frame */
    struct iovec iov[TRANSPORT_BATCH_MAX];
    struct mmsghdr message[TRANSPORT_BATCH_MAX];
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } control[TRANSPORT_BATCH_MAX];
    uint16_t frames[TRANSPORT_BATCH_MAX]; /* in each message */
};

/* 0 or -errno with a message. fd is owned from here on, also on failure. */
int socket_batch_init(struct socket_batch *batch, int fd, uint32_t frame_bytes_max, struct error *err);
void socket_batch_fini(struct socket_batch *batch);

/* Where each frame goes: they adjoin. */
void socket_batch_reserve(struct socket_batch *batch, const uint32_t *bytes, uint8_t **room, uint32_t count);

/* Messages for frames of these sizes; how many. segments_max > 1: runs of equal frames, and one shorter behind
 * them, are one message that the kernel cuts up (UDP_SEGMENT). */
uint32_t socket_batch_messages(struct socket_batch *batch, const uint32_t *bytes, uint32_t count,
                               uint32_t segments_max);

/* Sends messages from *done on, and moves it. 0, -EINTR after a stop, or the kernel's word. */
int socket_batch_send(struct socket_batch *batch, struct transport *t, uint32_t messages, uint32_t *done);

#endif
