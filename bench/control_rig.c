#include "bench/control_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/mixed_table.h"
#include "bench/peer.h"
#include "bench/tsc.h"

#define SLOTS        4096u
#define CLEAR        50.0
#define BEYOND       150.0
#define BUDGET_NS    (500 * CLOCK_NS_PER_US)
#define ARM_LIMIT_NS (5 * CLOCK_NS_PER_S)
#define ENERGISED_AT 20 /* of the datagram, control/output.h */

static uint32_t channels_for(uint32_t rules)
{
    uint32_t n = rules / 4;
    return n < 1 ? 1 : n > CONTROL_CHANNELS_MAX ? CONTROL_CHANNELS_MAX : n;
}

static void make_table(struct control_rig *rig, const struct decisions_spec *spec, int core)
{
    struct control_table *table = &rig->table;
    mixed_table_begin(table, channels_for(spec->rules));
    mixed_table_fill(table, spec->rules);
    table->thread = (struct thread_plan){.core = core, .idle = spec->idle, .spin_us = 200, .sleep_us = 20};
    table->tai_minus_monotonic_ns = clock_measure_tai_offset_ns();
    table->cycle_budget_ns = BUDGET_NS;
    table->stall_trip_ns = MIXED_NEVER_NS;
    table->supervisor_silence_ns = MIXED_NEVER_NS;
    table->miss_trips = 1;
    table->late_ns = BUDGET_NS;
    table->devices = 1;
    table->device[0].kind = spec->port == PORT_STORE ? DEVICE_MEMORY : DEVICE_UDP;
    table->device[0].fd = (uint32_t)rig->output;
    table->device[0].register_bytes = sizeof(*rig->word);
    table->hash = control_table_hash(table);
}

static int open_udp(int *sender, int *receiver, struct error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(address);
    *receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*receiver < 0 || *sender < 0 || bind(*receiver, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(*receiver, (struct sockaddr *)&address, &bytes) != 0 ||
        connect(*sender, (struct sockaddr *)&address, sizeof(address)) != 0) {
        return error_set(err, -errno, "a datagram socket on loopback: %s", strerror(errno));
    }
    return 0;
}

/* A page that stands for a register. */
static int open_register(struct control_rig *rig, struct error *err)
{
    rig->output = memfd_create("register", MFD_CLOEXEC);
    if (rig->output < 0 || ftruncate(rig->output, 4096) != 0) {
        return error_set(err, -errno, "a page for a register: %s", strerror(errno));
    }
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, rig->output, 0);
    if (page == MAP_FAILED) {
        return error_set(err, -errno, "a map of a register: %s", strerror(errno));
    }
    rig->word = page;
    return 0;
}

static int open_ring(struct control_rig *rig, struct error *err)
{
    static const struct ring_stream stream = {.name = "bench", .source = "bench"};
    struct ring_channel channels[CONTROL_CHANNELS_MAX];
    for (uint32_t i = 0; i < rig->table.channels; i++) {
        channels[i] = rig->table.channel[i].decode;
    }
    struct ring_spec ring = {.instance = "bench",
                             .name = "bench",
                             .streams = &stream,
                             .stream_count = 1,
                             .slots = SLOTS,
                             .slot_bytes = bench_lines(32 + 8 * rig->table.channels),
                             .payload_offset = 32,
                             .channels = channels,
                             .channel_count = rig->table.channels,
                             .page_bytes = 4096,
                             .numa_node = -1,
                             .tai_minus_monotonic_ns = rig->table.tai_minus_monotonic_ns};
    int code = bench_memory(&rig->segment, ring_segment_bytes(&ring), err);
    if (code == 0) {
        ring.page_bytes = rig->segment.page_bytes;
        code = ring_create(rig->segment.base, rig->segment.bytes, &ring, err);
    }
    if (code == 0) {
        code =
            ring_writer_attach(&rig->writer, rig->segment.base, rig->segment.bytes, (uint64_t)getpid(), NULL, err);
    }
    int fd = code == 0 ? segment_reopen_read_only(rig->segment.fd, err) : code;
    if (fd < 0) {
        return fd;
    }
    code = segment_map(fd, false, rig->segment.bytes, &rig->read_base, &rig->read_bytes, err);
    close(fd);
    if (code == 0) {
        bench_touch(rig->read_base, rig->read_bytes, false);
    }
    return code;
}

int rig_open(struct control_rig *rig, const struct decisions_spec *spec, int core, struct error *err)
{
    rig->segment.fd = -1;
    rig->output = -1;
    rig->receiver = -1;
    int code = spec->port == PORT_UDP ? open_udp(&rig->output, &rig->receiver, err) : open_register(rig, err);
    if (code != 0 || spec->floor) {
        return code;
    }
    make_table(rig, spec, core);
    code = open_ring(rig, err);
    if (code != 0) {
        return code;
    }
    code = output_attach(&rig->table, 0, rig->output, err);
    if (code != 0) {
        return code;
    }
    board_init(&rig->board.common, BOARD_CONTROL, "bench", "control");
    loop_init(&rig->loop, &rig->table, &rig->board, &rig->mailbox, &rig->journal);
    return watch_attach(&rig->loop.watch, 0, rig->read_base, rig->read_bytes, err);
}

void rig_close(struct control_rig *rig)
{
    if (rig->read_base != NULL) {
        munmap(rig->read_base, rig->read_bytes);
    }
    if (rig->word != NULL) {
        munmap(rig->word, 4096);
    }
    segment_destroy(&rig->segment);
    if (rig->output >= 0) {
        close(rig->output);
    }
    if (rig->receiver >= 0) {
        close(rig->receiver);
    }
}

uint64_t rig_publish(struct control_rig *rig, bool beyond)
{
    struct ring_writer *w = &rig->writer;
    double *payload = (double *)(void *)ring_writer_reserve(w); /* aligned to 32; observers do not hold us up */
    uint32_t channels = rig->table.channels;
    payload[0] = beyond ? BEYOND : CLEAR;
    for (uint32_t i = 1; i < channels; i++) {
        payload[i] = CLEAR + (double)(w->next >> 1 & 1); /* a change in every second sample */
    }
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t tai_ns = now_ns + (uint64_t)rig->table.tai_minus_monotonic_ns;
    uint64_t at = tsc_now();
    ring_writer_commit(w, 8 * channels, tai_ns, w->next, 0, 0);
    ring_writer_tell_time(w, now_ns);
    ring_writer_publish(w);
    return at;
}

static uint32_t lines_of(const uint8_t *datagram)
{
    uint32_t big;
    memcpy(&big, datagram + ENERGISED_AT, sizeof(big));
    return ntohl(big);
}

uint32_t rig_look(struct control_rig *rig)
{
    uint8_t bytes[OUTPUT_DATAGRAM_BYTES];
    if (rig->receiver < 0) {
        return __atomic_load_n(rig->word, __ATOMIC_ACQUIRE);
    }
    if (recv(rig->receiver, bytes, sizeof(bytes), MSG_DONTWAIT) == (ssize_t)sizeof(bytes)) {
        rig->seen = lines_of(bytes);
    }
    return rig->seen;
}

/* The answer, ANSWER_NONE if there was none in time. */
static uint32_t command(struct control_rig *rig, uint32_t what)
{
    uint64_t ticket = (rig->mailbox.word >> MAILBOX_COMMAND_BITS) + 1;
    uint64_t from_ns = clock_monotonic_ns();
    rig->mailbox.operand[ticket % CONTROL_OPERANDS] = (struct control_operand){.ticket = ticket};
    __atomic_store_n(&rig->mailbox.word, ticket << MAILBOX_COMMAND_BITS | what, __ATOMIC_RELEASE);
    while (__atomic_load_n(&rig->board.answered_ticket, __ATOMIC_ACQUIRE) != ticket) {
        if (clock_monotonic_ns() - from_ns > ARM_LIMIT_NS) {
            return ANSWER_NONE;
        }
    }
    return rig->board.answer;
}

/* Some samples, so that rates and changes are known, until the loop has taken them. */
static void publish_some(struct control_rig *rig)
{
    struct timespec pause = {.tv_nsec = 200000};
    for (int i = 0; i < 16; i++) {
        rig_publish(rig, false);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
}

static bool is_armed(struct control_rig *rig)
{
    for (int i = 0; i < 100; i++) {
        struct timespec pause = {.tv_nsec = 100000};
        if (__atomic_load_n(&rig->board.state, __ATOMIC_ACQUIRE) == ENGINE_ARMED && rig_look(rig) == RIG_RELEASED) {
            return true;
        }
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    return false;
}

int rig_arm(struct control_rig *rig, struct error *err)
{
    uint64_t from_ns = clock_monotonic_ns();
    uint32_t answer = ANSWER_NONE;
    do {
        publish_some(rig);
        answer = command(rig, COMMAND_RESET);
        if (answer == ANSWER_DONE || answer == ANSWER_ALREADY) {
            answer = command(rig, COMMAND_ARM);
        }
        if ((answer == ANSWER_DONE || answer == ANSWER_ALREADY) && is_armed(rig)) {
            return 0;
        }
    } while (clock_monotonic_ns() - from_ns < ARM_LIMIT_NS);
    return error_set(err, -ETIMEDOUT, "the bench's interlock cannot be armed: answer %u, state %s, first cause %s",
                     answer, engine_state_name(rig->board.state), engine_cause_name(rig->board.cause[0].kind));
}
