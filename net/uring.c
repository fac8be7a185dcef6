#include "net/uring.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static_assert(sizeof(struct io_uring_recvmsg_out) == URING_RECVMSG_HEAD_BYTES, "the kernel's head");
static_assert((POLLERR | POLLHUP) == URING_POLL_FAILED, "the kernel's bits");
static_assert(sizeof(struct io_uring_recvmsg_out) == sizeof(struct uring_recvmsg_head), "the kernel's head");

struct buffer_group {
    struct io_uring_buf_ring *ring; /* NULL: none */
    uint32_t entries;
    uint32_t added; /* since the last publish */
};

struct uring {
    struct io_uring io;
    bool started;
    struct buffer_group groups[URING_GROUPS_MAX];
};

/* liburing 2.3 declares io_uring_register_restrictions and io_uring_enable_rings, but its library lacks them. */
static int register_call(const struct io_uring *io, unsigned opcode, const void *argument, unsigned count)
{
    return syscall(SYS_io_uring_register, io->ring_fd, opcode, argument, count) < 0 ? -errno : 0;
}

static int restrict_ring(struct io_uring *io)
{
    struct io_uring_restriction allowed[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_RECVMSG},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_POLL_ADD},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_ASYNC_CANCEL},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_BUFFER_SELECT},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_ENABLE_RINGS},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_PBUF_RING}};
    return register_call(io, IORING_REGISTER_RESTRICTIONS, allowed, sizeof(allowed) / sizeof(allowed[0]));
}

static int restrict_disk(struct io_uring *io)
{
    struct io_uring_restriction allowed[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_ENABLE_RINGS}};
    return register_call(io, IORING_REGISTER_RESTRICTIONS, allowed, sizeof(allowed) / sizeof(allowed[0]));
}

static int create(struct uring **uring, unsigned entries, int (*restrict_it)(struct io_uring *io),
                  struct error *err)
{
    struct uring *u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return error_set(err, -ENOMEM, "no memory for an io_uring");
    }
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED,
                                     .cq_entries = entries * 8};
    int code = io_uring_queue_init_params(entries, &u->io, &params);
    if (code < 0) {
        free(u);
        return error_set(err, code,
                         "io_uring_setup: %s; kernel 6.1 or newer is needed, and "
                         "/proc/sys/kernel/io_uring_disabled must not forbid it",
                         strerror(-code));
    }
    code = restrict_it(&u->io);
    if (code != 0) {
        io_uring_queue_exit(&u->io);
        free(u);
        return error_set(err, code, "io_uring restrictions refused: %s; kernel 6.1 or newer is needed",
                         strerror(-code));
    }
    *uring = u;
    return 0;
}

int uring_create(struct uring **uring, unsigned entries, struct error *err)
{
    return create(uring, entries, restrict_ring, err);
}

int uring_create_disk(struct uring **uring, unsigned entries, struct error *err)
{
    return create(uring, entries, restrict_disk, err);
}

bool uring_writev(struct uring *uring, int fd, const struct iovec *parts, unsigned count, uint64_t offset,
                  uint64_t user)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->io);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_writev(sqe, fd, parts, count, offset);
    sqe->user_data = user;
    return true;
}

bool uring_datasync(struct uring *uring, int fd, uint64_t user)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->io);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    sqe->user_data = user;
    return true;
}

static size_t group_bytes(uint32_t entries)
{
    return entries * sizeof(struct io_uring_buf);
}

void uring_destroy(struct uring *uring)
{
    if (uring == NULL) {
        return;
    }
    io_uring_queue_exit(&uring->io);
    for (unsigned i = 0; i < URING_GROUPS_MAX; i++) {
        if (uring->groups[i].ring != NULL) {
            munmap(uring->groups[i].ring, group_bytes(uring->groups[i].entries));
        }
    }
    free(uring);
}

int uring_buffers_create(struct uring *uring, uint16_t group, uint32_t entries, struct error *err)
{
    assert(group < URING_GROUPS_MAX);
    void *memory =
        mmap(NULL, group_bytes(entries), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        return error_set(err, -errno, "no memory for a buffer ring of %u entries", entries);
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)memory, .ring_entries = entries, .bgid = group};
    int code = io_uring_register_buf_ring(&uring->io, &reg, 0);
    if (code != 0) {
        munmap(memory, group_bytes(entries));
        return error_set(err, code, "the kernel refuses a buffer ring of %u entries: %s (kernel 5.19 or newer?)",
                         entries, strerror(-code));
    }
    uring->groups[group] = (struct buffer_group){.ring = memory, .entries = entries};
    io_uring_buf_ring_init(memory);
    return 0;
}

void uring_buffers_add(struct uring *uring, uint16_t group, void *address, uint32_t bytes, uint16_t id)
{
    struct buffer_group *g = &uring->groups[group];
    io_uring_buf_ring_add(g->ring, address, bytes, id, io_uring_buf_ring_mask(g->entries), (int)g->added++);
}

void uring_buffers_publish(struct uring *uring, uint16_t group, uint32_t added)
{
    struct buffer_group *g = &uring->groups[group];
    assert(added == g->added);
    io_uring_buf_ring_advance(g->ring, (int)added);
    g->added = 0;
}

bool uring_read(struct uring *uring, int fd, void *to, uint32_t bytes, uint64_t user)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->io);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_read(sqe, fd, to, bytes, (uint64_t)-1); /* where the file stands, if it has a place */
    sqe->user_data = user;
    return true;
}

bool uring_recvmsg_multishot(struct uring *uring, int fd, struct msghdr *message, uint16_t group, uint64_t user)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->io);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_recvmsg_multishot(sqe, fd, message, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = group;
    sqe->user_data = user;
    return true;
}

bool uring_poll_multishot(struct uring *uring, int fd, uint64_t user)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->io);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    sqe->user_data = user;
    return true;
}

bool uring_cancel(struct uring *uring, uint64_t user)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->io);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_cancel64(sqe, user, 0);
    sqe->user_data = UINT64_MAX;
    return true;
}

int uring_start(struct uring *uring)
{
    int code = uring->started ? 0 : register_call(&uring->io, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    uring->started = uring->started || code == 0;
    return code;
}

int uring_wait(struct uring *uring, uint64_t timeout_ns)
{
    return uring_wait_many(uring, 1, timeout_ns);
}

int uring_wait_many(struct uring *uring, unsigned count, uint64_t timeout_ns)
{
    int code = uring_start(uring);
    if (code != 0) {
        return code;
    }
    if (timeout_ns == 0) {
        code = io_uring_submit_and_get_events(&uring->io);
    } else {
        struct __kernel_timespec timeout = {.tv_sec = (int64_t)(timeout_ns / 1000000000u),
                                            .tv_nsec = (long long)(timeout_ns % 1000000000u)};
        struct io_uring_cqe *cqe;
        code = io_uring_submit_and_wait_timeout(&uring->io, &cqe, count, &timeout, NULL);
    }
    return code < 0 && code != -ETIME && code != -EINTR && code != -EAGAIN ? code : 0;
}

bool uring_next(struct uring *uring, struct uring_event *event)
{
    struct io_uring_cqe *cqe;
    if (io_uring_peek_cqe(&uring->io, &cqe) != 0) {
        return false;
    }
    *event = (struct uring_event){
        .user = cqe->user_data,
        .result = cqe->res,
        .buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0 ? cqe->flags >> IORING_CQE_BUFFER_SHIFT : URING_NO_BUFFER,
        .more = (cqe->flags & IORING_CQE_F_MORE) != 0};
    io_uring_cqe_seen(&uring->io, cqe);
    return true;
}
