/* The client's side of attaching: a server that answers anything, with descriptors of anything. The answer begins
 * as a good one, a ring with some frames, a lease, a reply, and each of them is changed in some places by the
 * input. No crash, no descriptor left; what attaches can be used.
 *
 * Input: mode, start, kinds of the descriptors, length of the reply, then changes: what, place (2), value (8).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ring/protocol.h"
#include "ring/sluice.h"
#include "tests/fuzz/must.h"
#include "tests/support/temporary_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

#define HEAD_BYTES   6u
#define CHANGE_BYTES 11u
#define FDS_MAX      4u
#define GENERATION   UINT64_C(7)

/* What the fake server sends to the next client; written before the client connects. */
static struct {
    struct protocol_reply reply;
    size_t bytes;
    int fd[FDS_MAX];
    unsigned fds;
    bool hang_up; /* after the answer */
} answer;

static int listener = -1;
static struct segment ring;
static struct segment lease;

/* One client after the other: takes the request, answers, then takes whatever comes until the client leaves. */
static void *serve(void *unused)
{
    (void)unused;
    for (;;) {
        char packet[512];
        int fd =
            accept4(listener, NULL, NULL, SOCK_CLOEXEC); // cppcheck-suppress nullPointer ; no address is wanted
        if (fd < 0) {
            continue;
        }
        (void)recv(fd, packet, sizeof(packet), 0);
        if (answer.bytes > 0 || answer.fds > 0) {
            (void)protocol_send(fd, &answer.reply, answer.bytes, answer.fd, answer.fds);
        }
        while (!answer.hang_up && recv(fd, packet, sizeof(packet), 0) > 0) {
            (void)send(fd, &answer.reply, answer.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        close(fd);
    }
    return NULL;
}

static char run_dir[] = "/tmp/sluice-fuzz-XXXXXX";

static void remove_run_dir(void)
{
    char path[sizeof(run_dir) + 32];
    snprintf(path, sizeof(path), "%s/i/%s", run_dir, PROTOCOL_SOCKET);
    unlink(path);
    snprintf(path, sizeof(path), "%s/i", run_dir);
    rmdir(path);
    rmdir(run_dir);
}

static void start_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[sizeof(run_dir) + 8];
    pthread_t thread;
    must(mkdtemp(run_dir) != NULL);
    atexit(remove_run_dir);
    setenv("SLUICE_RUN_DIR", run_dir, 1);
    snprintf(path, sizeof(path), "%s/i", run_dir);
    must(mkdir(path, 0700) == 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", path, PROTOCOL_SOCKET);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    must(bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 16) == 0);
    must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}) == 0); /* a descriptor that stays open is soon seen */
    must(pthread_create(&thread, NULL, serve, NULL) == 0);
    pthread_detach(thread);
}

static void make_ring(void)
{
    static const struct ring_channel channel = {
        .name = "p", .unit = "kPa", .type = RING_TYPE_F64, .byte_order = RING_LITTLE_ENDIAN, .scale = 1};
    struct ring_spec spec = temporary_spec(16, 64, 32);
    struct ring_writer writer;
    struct error err;
    spec.channels = &channel;
    spec.channel_count = 1;
    must(segment_create(&ring, "ring", ring_segment_bytes(&spec), SEGMENT_NORMAL, &err) == 0);
    must(ring_create(ring.base, ring.bytes, &spec, &err) == 0);
    must(ring_writer_attach(&writer, ring.base, ring.bytes, 1, NULL, &err) == 0);
    temporary_publish(&writer, 1, 4, 20);
    must(ring_writer_commit_gap(&writer, RING_LOSS_KERNEL, 1, 0, 1));
    ring_writer_publish(&writer);
    must(segment_create(&lease, "lease", RING_LEASE_BYTES, SEGMENT_NORMAL, &err) == 0);
    *(struct ring_lease *)lease.base = (struct ring_lease){.magic = RING_LEASE_MAGIC, .generation = GENERATION};
}

static int unsealed(void)
{
    int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    must(ftruncate(fd, 16384) == 0);
    return fd;
}

static int too_small(void)
{
    int fd = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    must(ftruncate(fd, 100) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    return fd;
}

/* Another descriptor each time: the caller closes it. */
static int descriptor_of(unsigned kind)
{
    struct error err;
    switch (kind % 8) {
    case 0:
        return segment_reopen_read_only(ring.fd, &err);
    case 1:
        return fcntl(lease.fd, F_DUPFD_CLOEXEC, 0);
    case 2:
        return unsealed();
    case 3:
        return too_small();
    case 4:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case 5:
        return open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    case 6:
        return segment_reopen_read_only(lease.fd, &err);
    default:
        return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    }
}

/* Eight bytes somewhere in what is answered. */
static void change(const uint8_t *bytes)
{
    size_t place = (size_t)bytes[1] << 8 | bytes[2];
    uint8_t *at = bytes[0] % 4 == 0 ? (uint8_t *)&answer.reply : bytes[0] % 4 == 1 ? lease.base : ring.base;
    size_t most = bytes[0] % 4 == 0 ? sizeof(answer.reply) : bytes[0] % 4 == 1 ? lease.bytes : ring.bytes;
    memcpy(at + place % (most - 8), bytes + 3, 8);
}

/* A gate that never opens costs its second of patience each time: this one is open, whatever else is wrong. */
static void open_the_gate(void)
{
    struct ring_header *header = ring.base;
    if (answer.reply.gate < RING_GATES_MAX) {
        struct ring_gate_status *status = &header->gate[answer.reply.gate];
        status->generation = answer.reply.value;
        status->state |= status->state == 0;
    }
}

static void prepare(const uint8_t *data, size_t size)
{
    make_ring();
    answer.reply = (struct protocol_reply){
        .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .fds = 2, .gate = data[2] % 20, .value = GENERATION};
    answer.bytes = data[3] == 0 ? sizeof(answer.reply) : data[3];
    answer.hang_up = data[2] >= 128;
    for (size_t at = HEAD_BYTES; at + CHANGE_BYTES <= size; at += CHANGE_BYTES) {
        change(data + at);
    }
    open_the_gate();
    answer.fds = (data[0] >> 4) % (FDS_MAX + 1);
    for (unsigned i = 0; i < answer.fds; i++) {
        answer.fd[i] = descriptor_of(i < 2 ? data[4] >> 4 * i : data[5] >> 4 * (i - 2));
        must(answer.fd[i] >= 0);
    }
}

static void use(struct sluice_reader *reader)
{
    struct sluice_frame frame;
    struct sluice_batch batch;
    struct sluice_ring about;
    struct sluice_stream stream;
    struct sluice_channel channel;
    sluice_ring(reader, &about);
    must(memchr(about.name, 0, sizeof(about.name)) != NULL);
    for (uint32_t i = 0; sluice_stream(reader, i, &stream) == 0; i++) {
        must(memchr(stream.name, 0, sizeof(stream.name)) != NULL && i < RING_STREAMS_MAX);
    }
    for (uint32_t i = 0; sluice_channel(reader, i, &channel) == 0; i++) {
        must(memchr(channel.unit, 0, sizeof(channel.unit)) != NULL && i < RING_CHANNELS_MAX);
    }
    for (int i = 0; i < 24; i++) {
        if (sluice_reader_next(reader, &frame) == 1) {
            (void)sluice_value(reader, 0, &frame);
            (void)sluice_reader_valid(reader, &frame);
        }
        if (sluice_reader_batch(reader, 5, &batch) > 0) {
            (void)sluice_batch_payload(&batch, batch.count - 1)[sluice_batch_length(&batch, batch.count - 1) / 2];
            must(sluice_reader_overwritten(reader, &batch) <= batch.count);
        }
        must(sluice_reader_seek(reader, 1 + i % 5, (uint64_t)i) == 0);
    }
    must(sluice_reader_seek(reader, 6, 0) == -EINVAL);
    (void)sluice_reader_state(reader);
    (void)sluice_reader_wait(reader, 0);
    (void)sluice_reader_arm(reader);
    (void)sluice_reader_arm(reader);
    (void)sluice_reader_lost(reader);
    (void)sluice_reader_epoch(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[256] = "";
    struct sluice_reader *reader = NULL;
    if (size < HEAD_BYTES) {
        return 0;
    }
    if (listener < 0) {
        start_server();
    }
    prepare(data, size);
    struct sluice_options options = {
        .bytes = sizeof(options), .mode = 1 + data[0] % 2, .start = 1 + data[1] % 5, .at = data[1]};
    int code = sluice_attach_with(&reader, "i", "ring", &options, error, sizeof(error));
    must(code <= 0);
    if (code == 0) {
        use(reader);
        sluice_detach(reader);
    } else {
        must(reader == NULL);
    }
    for (unsigned i = 0; i < answer.fds; i++) {
        close(answer.fd[i]);
    }
    segment_destroy(&ring);
    segment_destroy(&lease);
    return 0;
}
