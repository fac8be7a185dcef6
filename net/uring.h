/* The only door to io_uring (liburing is included in net/uring.c alone). One thread uses a ring.
 * SINGLE_ISSUER + DEFER_TASKRUN: completions run only inside our own wait, never as an interruption.
 */
#ifndef NET_URING_H
#define NET_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/error.h"

struct msghdr;
struct uring;

#define URING_GROUPS_MAX 32u
#define URING_NO_BUFFER  UINT32_MAX

struct uring_event {
    uint64_t user;   /* as given with the request */
    int32_t result;  /* bytes, or -errno */
    uint32_t buffer; /* id of the provided buffer that was used, or URING_NO_BUFFER */
    bool more;       /* a multishot request is still armed */
};

/* The ring is restricted (io_uring_register(2), IORING_REGISTER_RESTRICTIONS) to the requests below: through it no
 * file can be opened and nothing sent, which a seccomp filter could not see. It starts with the first wait.
 * 0 or -errno (-ENOSYS, -EPERM: the system does not allow io_uring). Cold. */
int uring_create(struct uring **uring, unsigned entries, struct error *err);
void uring_destroy(struct uring *uring);

/* One for files that are written: restricted to the two requests below, and nothing else. */
int uring_create_disk(struct uring **uring, unsigned entries, struct error *err);
struct iovec;
/* Writes at `offset`; the array and what it points at must stay until the completion. */
bool uring_writev(struct uring *uring, int fd, const struct iovec *parts, unsigned count, uint64_t offset,
                  uint64_t user);
/* fdatasync(2): covers what had completed when it was queued. */
bool uring_datasync(struct uring *uring, int fd, uint64_t user);

/* A provided-buffer ring for requests of this group. entries: a power of two up to 32768. Cold. */
int uring_buffers_create(struct uring *uring, uint16_t group, uint32_t entries, struct error *err);

/* Hands one buffer to the kernel; visible to it after uring_buffers_publish. The kernel takes them in this order.
 */
void uring_buffers_add(struct uring *uring, uint16_t group, void *address, uint32_t bytes, uint16_t id);
void uring_buffers_publish(struct uring *uring, uint16_t group, uint32_t added);

/* Queue requests; they start with the next wait. false: the submission queue is full (try after the next wait). */
bool uring_read(struct uring *uring, int fd, void *to, uint32_t bytes, uint64_t user);
bool uring_recvmsg_multishot(struct uring *uring, int fd, struct msghdr *message, uint16_t group, uint64_t user);
/* Completes with the events (poll(2)) each time there is something to be read, until it fails or is cancelled. */
bool uring_poll_multishot(struct uring *uring, int fd, uint64_t user);
#define URING_POLL_FAILED 0x18 /* in such a result: POLLERR | POLLHUP */
bool uring_cancel(struct uring *uring, uint64_t user);

/* Enables the ring, in the thread that will use it; the first wait does it otherwise. 0 or -errno. */
int uring_start(struct uring *uring);

/* Submits what is queued, lets completions run, and sleeps up to timeout_ns (0: does not sleep) if there are none.
 * 0 or -errno other than a time-out or a signal. */
int uring_wait(struct uring *uring, uint64_t timeout_ns);
/* The same until there are `count` of them. */
int uring_wait_many(struct uring *uring, unsigned count, uint64_t timeout_ns);

/* Takes the next completion. false: none. */
bool uring_next(struct uring *uring, struct uring_event *event);

/* The head that a multishot recvmsg writes in front of the payload (struct io_uring_recvmsg_out, io_uring.h). */
#define URING_RECVMSG_HEAD_BYTES 16u
struct uring_recvmsg_head {
    uint32_t name_bytes;
    uint32_t control_bytes;
    uint32_t payload_bytes;
    uint32_t flags; /* MSG_TRUNC .. */
};

#endif
