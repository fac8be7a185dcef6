/* A struct sluice_reader on a temporary ring, as sluice_attach() makes it, without a server: the test holds the
 * other end of its connection, and closing that is the server's end. */
#ifndef SUPPORT_INSTALLED_READER_H
#define SUPPORT_INSTALLED_READER_H

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ring/handle.h"
#include "tests/support/temporary_ring.h"

struct installed_reader {
    struct sluice_reader *reader;
    int server_fd; /* -1: the server has ended */
};

/* The one in shared memory, as its server and its writer see it. */
static inline const struct ring_lease *installed_lease(const struct installed_reader *r)
{
    return r->reader->ring.lease;
}

/* start: SLUICE_OLDEST or SLUICE_NEWEST. The ring may be destroyed before the reader: its memory stays mapped. */
static inline void installed_reader_open(struct installed_reader *r, const struct temporary_ring *ring, int start)
{
    struct error err = {{0}};
    int pair[2];
    int code = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    assert(code == 0);
    struct sluice_reader *reader = calloc(1, sizeof(*reader));
    assert(reader != NULL);
    reader->socket_fd = pair[0];
    code = sluice_memory_map(&reader->memory, ring->segment.fd, &err);
    assert(code == 0);
    code = ring_reader_attach(&reader->ring, reader->memory->base, reader->memory->bytes, start, &err);
    assert(code == 0);
    code = sluice_tables_copy(&reader->tables, &reader->ring.view, &err);
    assert(code == 0);
    struct ring_lease *lease =
        mmap(NULL, RING_LEASE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(lease != MAP_FAILED);
    lease->magic = RING_LEASE_MAGIC;
    reader->lease_base = lease;
    reader->lease_bytes = RING_LEASE_BYTES;
    reader->ring.lease = lease;
    ring_reader_release(&reader->ring);
    *r = (struct installed_reader){.reader = reader, .server_fd = pair[1]};
    (void)code;
}

/* As if its server had ended: what it wrote last stays. A second call is fine. */
static inline void installed_reader_end_server(struct installed_reader *r)
{
    if (r->server_fd >= 0) {
        close(r->server_fd);
        r->server_fd = -1;
    }
}

/* A zeroed struct, or a second call, is fine for the reader; the server's end is closed with it. */
static inline void installed_reader_close(struct installed_reader *r)
{
    if (r->reader != NULL) {
        installed_reader_end_server(r);
        sluice_detach(r->reader);
        r->reader = NULL;
    }
}

#endif
