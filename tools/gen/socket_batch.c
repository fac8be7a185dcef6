#include "tools/gen/socket_batch.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEND_BUFFER_BYTES (4 << 20)
#define GSO_BYTES_MAX     65507u /* of one message, all its frames together */
#define FULL_WAIT_MS      1

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* libc's header lacks it */
#endif

int socket_batch_init(struct socket_batch *batch, int fd, uint32_t frame_bytes_max, struct error *err)
{
    int bytes = SEND_BUFFER_BYTES;
    batch->fd = fd;
    batch->bytes = malloc((size_t)TRANSPORT_BATCH_MAX * (frame_bytes_max + 64));
    if (batch->bytes == NULL) {
        return error_set(err, -ENOMEM, "expected memory for %u frames, got none; free some", TRANSPORT_BATCH_MAX);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)); /* as much as it may have */
    }
    return 0;
}

void socket_batch_fini(struct socket_batch *batch)
{
    if (batch->fd >= 0) {
        close(batch->fd);
    }
    free(batch->bytes);
    batch->fd = -1;
    batch->bytes = NULL;
}

void socket_batch_reserve(struct socket_batch *batch, const uint32_t *bytes, uint8_t **room, uint32_t count)
{
    uint8_t *at = batch->bytes;
    for (uint32_t i = 0; i < count; i++) {
        room[i] = at;
        at += bytes[i];
    }
}

/* How many frames from `from` on one message may hold. */
static uint32_t run_of(const uint32_t *bytes, uint32_t from, uint32_t count, uint32_t segments_max)
{
    uint32_t total = bytes[from];
    uint32_t n = 1;
    while (total != 0 && n < segments_max && from + n < count && bytes[from + n] != 0 &&
           bytes[from + n] <= bytes[from] && total + bytes[from + n] <= GSO_BYTES_MAX) {
        total += bytes[from + n];
        if (bytes[from + n++] < bytes[from]) {
            break; /* a shorter one can only be the last */
        }
    }
    return n;
}

static void set_segment(struct socket_batch *batch, uint32_t m, uint16_t segment)
{
    struct msghdr *head = &batch->message[m].msg_hdr;
    head->msg_control = batch->control[m].bytes;
    head->msg_controllen = sizeof(batch->control[m].bytes);
    struct cmsghdr *c = CMSG_FIRSTHDR(head);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(c), &segment, sizeof(segment));
}

uint32_t socket_batch_messages(struct socket_batch *batch, const uint32_t *bytes, uint32_t count,
                               uint32_t segments_max)
{
    uint8_t *at = batch->bytes;
    uint32_t messages = 0;
    for (uint32_t i = 0; i < count; messages++) {
        uint32_t n = run_of(bytes, i, count, segments_max);
        uint32_t total = 0;
        for (uint32_t k = 0; k < n; k++) {
            total += bytes[i + k];
        }
        batch->iov[messages] = (struct iovec){.iov_base = at, .iov_len = total};
        batch->frames[messages] = (uint16_t)n;
        batch->message[messages] = (struct mmsghdr){.msg_hdr = {.msg_iov = &batch->iov[messages], .msg_iovlen = 1}};
        if (n > 1) {
            set_segment(batch, messages, (uint16_t)bytes[i]);
        }
        at += total;
        i += n;
    }
    return messages;
}

/* 0: try again. */
static int wait_for_room(struct socket_batch *batch, struct transport *t)
{
    struct pollfd room = {.fd = batch->fd, .events = POLLOUT};
    t->counts.full++;
    poll(&room, 1, FULL_WAIT_MS);
    return *t->stop != 0 ? -EINTR : 0;
}

int socket_batch_send(struct socket_batch *batch, struct transport *t, uint32_t messages, uint32_t *done)
{
    while (*done < messages) {
        int n = sendmmsg(batch->fd, batch->message + *done, messages - *done, 0);
        for (int i = 0; i < n; i++) {
            t->counts.sent += batch->frames[*done + (uint32_t)i];
        }
        if (n > 0) {
            *done += (uint32_t)n;
            continue;
        }
        if (errno == ECONNREFUSED) {
            t->counts.refused++; /* about an earlier one; this one was not sent */
            continue;
        }
        int failed = errno == ENOBUFS || errno == EAGAIN ? wait_for_room(batch, t)
                     : errno == EINTR                    ? (*t->stop != 0 ? -EINTR : 0)
                                                         : -errno;
        if (failed != 0) {
            return failed;
        }
    }
    return 0;
}
