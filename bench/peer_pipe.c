/* A pipe: a write of a frame, a read of a frame, each a system call. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/peer.h"

#define PIPE_BYTES (1 << 20) /* what anyone may ask for */

struct pipe_link {
    struct link_spec spec;
    int ends[2];
    uint8_t *out;
    uint8_t *in;
};

static void pipe_close(void *link)
{
    struct pipe_link *p = link;
    for (int i = 0; i < 2; i++) {
        if (p->ends[i] >= 0) {
            close(p->ends[i]);
        }
    }
    free(p->out);
    free(p->in);
    free(p);
}

static void *pipe_open(const struct link_spec *spec, struct error *err)
{
    struct pipe_link *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        error_set(err, -ENOMEM, "no memory for a pipe's ends");
        return NULL;
    }
    *p = (struct pipe_link){.spec = *spec, .ends = {-1, -1}};
    p->out = aligned_alloc(64, bench_lines(spec->size_bytes));
    p->in = aligned_alloc(64, bench_lines(spec->size_bytes));
    if (p->out == NULL || p->in == NULL || pipe2(p->ends, O_CLOEXEC) != 0) {
        error_set(err, -errno, "pipe: %s", strerror(errno));
        pipe_close(p);
        return NULL;
    }
    /* A smaller pipe works too. */
    (void)fcntl(p->ends[1], F_SETPIPE_SZ, PIPE_BYTES);
    return p;
}

static uint32_t pipe_send(void *link, uint64_t first, uint32_t count)
{
    struct pipe_link *p = link;
    for (uint32_t i = 0; i < count; i++) {
        payload_fill(p->out, p->spec.size_bytes, payload_base(p->spec.seed, first + i));
        for (uint32_t at = 0; at < p->spec.size_bytes;) {
            ssize_t n = write(p->ends[1], p->out + at, p->spec.size_bytes - at);
            if (n <= 0) {
                return i;
            }
            at += (uint32_t)n;
        }
    }
    return count;
}

/* Waits for the first frame only: after it, one that has not come yet is left for the next call. */
static uint32_t pipe_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct pipe_link *p = link;
    (void)reader;
    (void)max;
    for (uint32_t at = 0; at < p->spec.size_bytes;) {
        ssize_t n = read(p->ends[0], p->in + at, p->spec.size_bytes - at);
        if (n <= 0) {
            return 0;
        }
        at += (uint32_t)n;
    }
    tally_payload(tally, &p->spec, p->in);
    return 1;
}

const struct peer peer_pipe = {"pipe", "", PEER_OTHER, pipe_open, pipe_close, pipe_send, pipe_receive, NULL};
