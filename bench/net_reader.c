#include "bench/net_reader.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/net_process.h"
#include "bench/net_wire.h"
#include "ring/reader.h"

#define BATCH         64u
#define NUMBER_BYTES  8u /* in front of the content, big-endian */
#define REST_US       50
#define REST_ASKED_US 1000

/* In memory of both processes; each word has one writer. */
struct talk {
    uint64_t asked;    /* parent: up to which round */
    uint64_t answered; /* reader */
    struct net_read found;
    uint64_t failed;
};

struct net_reader {
    struct talk *talk;
    struct net_read seen; /* as of the last call */
    pid_t pid;
    bool follows;
    bool same; /* the content is that of number 0 */
    uint32_t payload_bytes;
    struct ring_reader reader;
    void *base;
    size_t bytes;
};

static uint64_t number_of(const uint8_t *payload)
{
    uint64_t big;
    memcpy(&big, payload, sizeof(big));
    return __builtin_bswap64(big);
}

/* The number in the frame is the descriptor's, and the content that of the number. */
static bool is_right(const struct net_reader *r, const struct sluice_batch *batch, uint32_t i)
{
    const uint8_t *payload = sluice_batch_payload(batch, i);
    uint64_t number = number_of(payload);
    uint32_t bytes = r->payload_bytes - NUMBER_BYTES;
    return sluice_batch_length(batch, i) == r->payload_bytes &&
           sluice_batch_descriptor(batch, i)->source_sequence == number &&
           payload_sum(payload + NUMBER_BYTES, bytes) ==
               payload_expected(bytes, payload_base(NET_SEED, r->same ? 0 : number));
}

/* Frames taken. */
static uint32_t read_some(struct net_reader *r)
{
    enum { RIGHT = 1, WRONG = 2, NONE = 3 };
    struct sluice_batch batch;
    uint8_t verdict[BATCH] = {0};
    uint32_t n = ring_reader_batch(&r->reader, BATCH, &batch);
    for (uint32_t i = 0; i < n; i++) {
        bool gap = (sluice_batch_descriptor(&batch, i)->flags & SLUICE_FRAME_GAP) != 0;
        verdict[i] = gap ? NONE : is_right(r, &batch, i) ? RIGHT : WRONG;
    }
    uint32_t gone = n > 0 ? ring_reader_overwritten(&r->reader, &batch) : 0;
    struct net_read *found = &r->talk->found;
    for (uint32_t i = gone; i < n; i++) {
        found->frames += verdict[i] == RIGHT;
        found->wrong += verdict[i] == WRONG;
    }
    if (r->follows) {
        found->lost += gone + r->reader.lost;
        r->reader.lost = 0;
    }
    return n;
}

/* All that is there: what has been asked for before it was read is answered. */
static void read_all(struct net_reader *r)
{
    uint64_t asked = __atomic_load_n(&r->talk->asked, __ATOMIC_ACQUIRE);
    for (uint32_t empty = 0; empty < 2;) { /* one empty look may be a jump of a reader that was lapped */
        empty = read_some(r) > 0 ? 0 : empty + 1;
    }
    __atomic_store_n(&r->talk->answered, asked, __ATOMIC_RELEASE);
}

_Noreturn static void be_reader(struct net_reader *r, const struct net_rig *rig, pid_t parent)
{
    struct error err;
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
    if (getppid() != parent || pin_to(rig->reader_core) != 0) {
        _exit(1);
    }
    for (;;) {
        if (r->follows) {
            read_all(r);
            net_rest_us(REST_US);
            continue;
        }
        if (__atomic_load_n(&r->talk->asked, __ATOMIC_ACQUIRE) != r->talk->answered) {
            if (ring_reader_attach(&r->reader, r->base, r->bytes, SLUICE_OLDEST, &err) != 0) {
                __atomic_store_n(&r->talk->failed, 1, __ATOMIC_RELEASE);
                _exit(1);
            }
            read_all(r);
        }
        net_rest_us(REST_ASKED_US);
    }
}

static int map_ring(struct net_reader *r, const struct net_rig *rig, struct error *err)
{
    int fd = segment_reopen_read_only(rig->ring.fd, err);
    if (fd < 0) {
        return fd;
    }
    int code = segment_map(fd, false, rig->ring.bytes, &r->base, &r->bytes, err);
    close(fd);
    if (code != 0) {
        return code;
    }
    bench_touch(r->base, r->bytes, false);
    return ring_reader_attach(&r->reader, r->base, r->bytes, SLUICE_NEWEST, err);
}

struct net_reader *net_reader_open(const struct net_rig *rig, bool follows, struct error *err)
{
    struct net_reader *r = calloc(1, sizeof(*r));
    struct talk *talk = mmap(NULL, sizeof(*talk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r == NULL || talk == MAP_FAILED) {
        error_set(err, -ENOMEM, "no memory for a reader");
        free(r);
        return NULL;
    }
    r->talk = talk;
    r->follows = follows;
    r->same = net_wire_is_port(rig->path->wire);
    r->payload_bytes = rig->payload_bytes;
    int code = map_ring(r, rig, err);
    pid_t parent = getpid();
    r->pid = code == 0 ? fork() : 0;
    if (code == 0 && r->pid == 0) {
        be_reader(r, rig, parent);
    }
    if (code != 0 || r->pid < 0) {
        error_set(err, code != 0 ? code : -errno, "%s", code != 0 ? err->text : "fork of a reader");
        net_reader_close(r);
        return NULL;
    }
    return r;
}

void net_reader_close(struct net_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    net_process_end(reader->pid);
    if (reader->base != NULL) {
        munmap(reader->base, reader->bytes);
    }
    munmap(reader->talk, sizeof(*reader->talk));
    free(reader);
}

int net_reader_finish(struct net_reader *reader, struct net_read *found, struct error *err)
{
    struct talk *talk = reader->talk;
    uint64_t from_ns = clock_monotonic_ns();
    uint64_t asked = talk->asked + 1;
    __atomic_store_n(&talk->asked, asked, __ATOMIC_RELEASE);
    while (__atomic_load_n(&talk->answered, __ATOMIC_ACQUIRE) != asked) {
        if (clock_monotonic_ns() - from_ns > NET_PATIENCE_NS || net_process_ended(reader->pid)) {
            return error_set(err, -ETIMEDOUT, "the reader's process does not answer");
        }
        net_rest_us(200);
    }
    struct net_read now = talk->found;
    *found = (struct net_read){.frames = now.frames - reader->seen.frames,
                               .wrong = now.wrong - reader->seen.wrong,
                               .lost = now.lost - reader->seen.lost};
    reader->seen = now;
    return 0;
}
