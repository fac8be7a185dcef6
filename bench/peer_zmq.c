/* ZeroMQ, a PAIR of sockets in one process: inproc, and ipc (a Unix socket). The payload is built in the message
 * and read in the message. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <zmq.h>

#include "bench/peer.h"

struct zmq_link {
    struct link_spec spec;
    void *context;
    void *writer;
    void *reader;
    int receive_flags; /* inproc: the reader polls; ipc: it waits, for ZeroMQ's own thread needs the core */
    char path[64];     /* of the Unix socket; empty: none */
};

static void zmq_link_close(void *link)
{
    struct zmq_link *z = link;
    if (z->writer != NULL) {
        zmq_close(z->writer);
    }
    if (z->reader != NULL) {
        zmq_close(z->reader);
    }
    if (z->context != NULL) {
        zmq_ctx_term(z->context);
    }
    if (z->path[0] != 0) {
        unlink(z->path);
    }
    free(z);
}

static void *zmq_link_open(const struct link_spec *spec, bool ipc, struct error *err)
{
    struct zmq_link *z = calloc(1, sizeof(*z));
    if (z == NULL) {
        error_set(err, -ENOMEM, "no memory for a socket pair");
        return NULL;
    }
    *z = (struct zmq_link){.spec = *spec, .receive_flags = ipc ? 0 : ZMQ_DONTWAIT};
    char endpoint[96];
    if (ipc) {
        snprintf(z->path, sizeof(z->path), "/tmp/sluice-bench-%d-%u", (int)getpid(), spec->id);
    }
    snprintf(endpoint, sizeof(endpoint), ipc ? "ipc://%s" : "inproc://bench%s", z->path);
    z->context = zmq_ctx_new();
    z->reader = zmq_socket(z->context, ZMQ_PAIR);
    z->writer = zmq_socket(z->context, ZMQ_PAIR);
    int linger = 0;
    if (z->reader == NULL || z->writer == NULL ||
        zmq_setsockopt(z->writer, ZMQ_LINGER, &linger, sizeof(linger)) != 0 || zmq_bind(z->reader, endpoint) != 0 ||
        zmq_connect(z->writer, endpoint) != 0) {
        error_set(err, -errno, "ZeroMQ at %s: %s", endpoint, zmq_strerror(errno));
        zmq_link_close(z);
        return NULL;
    }
    return z;
}

static void *inproc_open(const struct link_spec *spec, struct error *err)
{
    return zmq_link_open(spec, false, err);
}

static void *ipc_open(const struct link_spec *spec, struct error *err)
{
    return zmq_link_open(spec, true, err);
}

static uint32_t zmq_link_send(void *link, uint64_t first, uint32_t count)
{
    struct zmq_link *z = link;
    for (uint32_t i = 0; i < count; i++) {
        zmq_msg_t message;
        if (zmq_msg_init_size(&message, z->spec.size_bytes) != 0) {
            return i;
        }
        payload_fill(zmq_msg_data(&message), z->spec.size_bytes, payload_base(z->spec.seed, first + i));
        if (zmq_msg_send(&message, z->writer, 0) < 0) {
            zmq_msg_close(&message);
            return i;
        }
    }
    return count;
}

static uint32_t zmq_link_receive(void *link, uint32_t reader, struct tally *tally, uint32_t max)
{
    struct zmq_link *z = link;
    (void)reader;
    uint32_t n = 0;
    zmq_msg_t message;
    zmq_msg_init(&message);
    /* Only the first one is waited for. */
    while (n < max && zmq_msg_recv(&message, z->reader, n == 0 ? z->receive_flags : ZMQ_DONTWAIT) >= 0) {
        if (zmq_msg_size(&message) == z->spec.size_bytes) {
            tally_payload(tally, &z->spec, zmq_msg_data(&message));
        } else {
            tally->wrong++;
            tally->next++;
        }
        n++;
    }
    zmq_msg_close(&message);
    return n;
}

const struct peer peer_zmq_inproc = {"zmq",          "inproc",      PEER_OTHER,       inproc_open,
                                     zmq_link_close, zmq_link_send, zmq_link_receive, NULL};
const struct peer peer_zmq_ipc = {"zmq",          "ipc",         PEER_OTHER,       ipc_open,
                                  zmq_link_close, zmq_link_send, zmq_link_receive, NULL};
