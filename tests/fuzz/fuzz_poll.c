/* Instruments that answer whatever they like: SCPI and Modbus over TCP. Each question is answered with the next
 * piece of the input; when that is used up the connection ends. A poll must come back, with a frame or with words,
 * and touch nothing beyond the frame.
 *
 *   input: [0] bit 0: Modbus, else SCPI; bit 1: SCPI asks for errors too, Modbus' head is made right; [1 ..]
 * pieces: a byte's length, then as many bytes
 */
#include <arpa/inet.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/poller.h"
#include "ring/clock.h"
#include "tests/fuzz/must.h"

#define POLLS       3
#define GUARD_BYTES 64u
#define GUARD       0xa5
#define TIMEOUT_NS  (3 * CLOCK_NS_PER_MS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

static int listener = -1;
static uint16_t port;

/* What the instrument says to the next one that connects. */
struct answers {
    uint8_t data[4096];
    size_t size;
    bool to_all;         /* else to what has a question mark */
    bool completes_head; /* of Modbus */
};
static struct answers prepared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The head that Modbus TCP's answers have: transaction and protocol as they were asked, and the unit. */
static void complete_head(uint8_t *answer, size_t bytes, const uint8_t *question)
{
    static const size_t asked[] = {0, 1, 2, 3, 6, 7};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        if (asked[i] < bytes) {
            answer[asked[i]] = question[asked[i]];
        }
    }
    if (bytes > 6) {
        answer[4] = 0;
        answer[5] = (uint8_t)(bytes - 6);
    }
}

static void serve(int fd, const struct answers *says)
{
    uint8_t question[512];
    size_t at = 0;
    ssize_t asked;
    while ((asked = recv(fd, question, sizeof(question), 0)) > 0 && at < says->size) {
        uint8_t piece[256];
        if (!says->to_all && memchr(question, '?', (size_t)asked) == NULL) {
            continue;
        }
        size_t n = says->data[at++];
        n = n < says->size - at ? n : says->size - at;
        memcpy(piece, says->data + at, n);
        at += n;
        if (says->completes_head && asked >= 8) {
            complete_head(piece, n, question);
        }
        (void)send(fd, piece, n, MSG_NOSIGNAL);
    }
}

static void *answer(void *argument)
{
    static struct answers says;
    (void)argument;
    for (;;) {
        int fd =
            accept4(listener, NULL, NULL, SOCK_CLOEXEC); // cppcheck-suppress nullPointer ; no address is wanted
        pthread_mutex_lock(&lock);
        says = prepared;
        pthread_mutex_unlock(&lock);
        if (fd >= 0) {
            serve(fd, &says);
            close(fd);
        }
    }
    return NULL;
}

static void start(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(at);
    pthread_t thread;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(listener >= 0 && bind(listener, (const struct sockaddr *)&at, bytes) == 0 && listen(listener, 16) == 0);
    must(getsockname(listener, (struct sockaddr *)&at, &bytes) == 0);
    port = ntohs(at.sin_port);
    must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}) == 0); /* a descriptor that stays open is soon seen */
    must(pthread_create(&thread, NULL, answer, NULL) == 0);
    pthread_detach(thread);
}

static void make_plan(struct source_plan *plan, uint8_t kind)
{
    *plan = (struct source_plan){.name = "fuzz",
                                 .kind = (kind & 1) != 0 ? SOURCE_MODBUS_TCP : SOURCE_SCPI,
                                 .tcp = {.address = htonl(INADDR_LOOPBACK), .port = port},
                                 .poll = {.period_ns = TIMEOUT_NS, .timeout_ns = TIMEOUT_NS}};
    if (plan->kind == SOURCE_MODBUS_TCP) {
        plan->frame_bytes = 4 + 10 + 6;
        plan->modbus = (struct modbus_plan){.unit_id = 1,
                                            .reads = 3,
                                            .read = {{.table = MODBUS_TABLE_HOLDING, .at = 0, .count = 2},
                                                     {.table = MODBUS_TABLE_COIL, .at = 7, .count = 10},
                                                     {.table = MODBUS_TABLE_INPUT, .at = 100, .count = 3}}};
        return;
    }
    static const char queries[] = "MEAS?\0READ?";
    plan->frame_bytes = 4 * sizeof(double);
    plan->scpi = (struct scpi_plan){.link = SCPI_TCP,
                                    .queries = 2,
                                    .numbers = {1, 3},
                                    .setups = 1,
                                    .setup = "*RST",
                                    .check_errors = (kind & 2) != 0};
    memcpy(plan->scpi.query, queries, sizeof(queries));
}

static void poll_some(const struct source_plan *plan)
{
    const struct poller_way *way = poller_way_of(plan->kind);
    struct error err = {{0}};
    uint8_t frame[128];
    void *state = calloc(1, way->state_bytes);
    must(state != NULL && plan->frame_bytes + GUARD_BYTES <= sizeof(frame));
    if (way->open(state, plan, &err) != 0) {
        must(err.text[0] != 0);
        free(state);
        return;
    }
    int code = 0;
    for (int i = 0; i < POLLS && code >= 0; i++) { /* below 0 it would be closed and opened again */
        memset(frame, GUARD, sizeof(frame));
        err.text[0] = 0;
        code = way->poll(state, plan, frame, &err);
        must(code == 0 || (code <= 1 && err.text[0] != 0));
        for (uint32_t at = plan->frame_bytes; at < sizeof(frame); at++) {
            must(frame[at] == GUARD);
        }
        must(memchr(err.text, 0, sizeof(err.text)) != NULL);
    }
    way->close(state, plan);
    free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source_plan plan;
    if (size < 1) {
        return 0;
    }
    if (listener < 0) {
        start();
    }
    make_plan(&plan, data[0]);
    pthread_mutex_lock(&lock);
    prepared.size = size - 1 < sizeof(prepared.data) ? size - 1 : sizeof(prepared.data);
    memcpy(prepared.data, data + 1, prepared.size);
    prepared.to_all = plan.kind == SOURCE_MODBUS_TCP;
    prepared.completes_head = (data[0] & 2) != 0;
    pthread_mutex_unlock(&lock);
    poll_some(&plan);
    return 0;
}
