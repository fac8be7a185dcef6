/* The server's Unix socket (SOCK_SEQPACKET, one request and one reply per packet): attach to rings, fetch the
 * read-only boards, give commands. The socket stays open for as long as a reader is attached; its end is the
 * reader's end.
 */
#ifndef RING_PROTOCOL_H
#define RING_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#include "ring/error.h"
#include "ring/layout.h"

#define PROTOCOL_MAGIC    UINT32_C(0x51434c53) /* "SLCQ" */
#define PROTOCOL_VERSION  3u
#define PROTOCOL_FDS_MAX  128u
#define PROTOCOL_SOCKET   "server.sock"
#define PROTOCOL_LOCKFILE "server.lock"

#define PROTOCOL_PERSON_BYTES 32u
#define PROTOCOL_REASON_BYTES 128u

enum protocol_op {
    PROTOCOL_ATTACH = 1, /* name = ring; reply: ring (read-only), lease (writable) */
    PROTOCOL_BOARDS = 2, /* reply: every board, table and ring, read-only; each says by its magic what it is */
    PROTOCOL_ARM = 3,
    PROTOCOL_RESET = 4,
    PROTOCOL_TRIP = 5,
    PROTOCOL_GATE = 6, /* as ATTACH, gating; argument = ns that it may hold the writer up (0: the ring's limit),
                          from = position to start at; reply: value = generation, gate = index */
    PROTOCOL_WAIT = 7, /* of a reader; argument = position it waits for; no reply, but one struct protocol_wake once
                          that position is published */
    PROTOCOL_BYPASS = 8,      /* name = rule, argument = ns, person, reason */
    PROTOCOL_UNBYPASS = 9,    /* name = rule */
    PROTOCOL_PROOF_TEST = 10, /* name = output; answered when it has begun: the result is on control's board */
    PROTOCOL_ACKNOWLEDGE_ALARM = 11,  /* name = rule; empty: every alarm */
    PROTOCOL_SHELVE = 12,             /* name = rule, argument = ns */
    PROTOCOL_UNSHELVE = 13,           /* name = rule */
    PROTOCOL_ACKNOWLEDGE_CONFIG = 14, /* argument = the configuration's checksum */
    PROTOCOL_RECORD = 15,             /* name = recorder, argument = enum recorder_verb, reason = its text */
    PROTOCOL_CONFIG = 16              /* reply: the configuration's text, read-only; text = its bytes, decimal */
};

struct protocol_request {
    uint32_t magic;
    uint16_t version;
    uint16_t op; /* enum protocol_op */
    uint64_t argument;
    uint64_t from; /* GATE: 0 the oldest, UINT64_MAX the newest */
    char name[RING_NAME_BYTES];
    char person[PROTOCOL_PERSON_BYTES]; /* who answers for a command; empty: the user that asks */
    char reason[PROTOCOL_REASON_BYTES]; /* one line */
};
static_assert(sizeof(struct protocol_request) == 216, "request is 216 bytes");

struct protocol_reply {
    uint32_t magic;
    uint16_t version;
    uint16_t fds; /* descriptors passed along */
    int32_t code; /* 0, or -errno; -EPERM: refused, text says why */
    uint32_t gate;
    uint64_t value;
    char text[ERROR_TEXT_BYTES];
};

struct protocol_wake {
    uint32_t magic;
    uint32_t reserved;
    uint64_t published;
};

/* From the server to a ring's writer, one packet: this lease (the descriptor passed along) is that of gate `gate`
 * of source `source`, counted among those of the thread that receives it. */
struct protocol_lease {
    uint32_t magic;
    uint32_t source;
    uint32_t gate;
    uint32_t reserved;
    uint64_t generation;
};

/* The directory of an instance, where its socket stands. Servers: $SLUICE_RUN_DIR, or /run/sluice for root, or
 * $XDG_RUNTIME_DIR/sluice, or /tmp/sluice-UID; then /INSTANCE. 0 or -ENAMETOOLONG. */
int protocol_run_dir(char *path, size_t bytes, const char *instance, struct error *err);

/* Connects to a running instance (looks where protocol_run_dir says and, for users, where root's server stands).
 * >= 0 or -errno: -ECONNREFUSED if nobody listens, -EACCES if not permitted. Cold. */
int protocol_connect(const char *instance, struct error *err);

#define PROTOCOL_INSTANCES_MAX 32u

/* The instances that run, as far as this user may know: those that let him in or refuse him. Names into names[0 ..
 * max), in order; returns how many there are. ring/instances.c. Cold. */
uint32_t protocol_instances(char names[][RING_NAME_BYTES], uint32_t max);

/* The instance to talk to: `given`, or, if that is NULL, the only one that runs. 0, or -EINVAL, or -ENOENT / -E2BIG
 * with the names in err. Cold. */
int protocol_choose(const char *given, char name[RING_NAME_BYTES], struct error *err);

/* One request, one reply; descriptors (close-on-exec) go to fds[0 .. *fd_count), at most PROTOCOL_FDS_MAX. 0 if the
 * server answered 0, else its code with its text in err, or -ETIMEDOUT / -EPIPE / -EPROTO. */
int protocol_call(int socket_fd, uint16_t op, const char *name, struct protocol_reply *reply, int *fds,
                  unsigned *fd_count, struct error *err);

/* The same for a request of which everything but magic and version is filled in. */
int protocol_ask(int socket_fd, struct protocol_request *request, struct protocol_reply *reply, int *fds,
                 unsigned *fd_count, struct error *err);

/* One packet with `count` descriptors passed along, at most PROTOCOL_FDS_MAX. 0 or -errno (-EAGAIN: the other side
 * does not read). */
int protocol_send(int socket_fd, const void *packet, size_t bytes, const int *fds, unsigned count);

/* One packet and the descriptors that came with it (close-on-exec; all closed again if there are more than `max`).
 * Bytes, 0 at the end of the connection, or -errno. Does not wait. */
int protocol_receive(int socket_fd, void *packet, size_t bytes, int *fds, unsigned max, unsigned *fd_count);

#endif
