/* A Modbus TCP server on loopback, in a process of its own, that can be told to misbehave. Its coils are in shared
 * memory, so that a test sees what the actuator did to them. */
#ifndef CONTROL_MODBUS_RIG_H
#define CONTROL_MODBUS_RIG_H

#include <arpa/inet.h>
#include <modbus/modbus.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RIG_COILS        32
#define RIG_FUNCTION_AT  7 /* behind the TCP header and the unit */
#define RIG_WRITE_COILS  0x0f
#define RIG_FIRST_VALUES 13
#define RIG_ANSWER_BYTES 12
#define RIG_PAUSE_NS     50000000

enum rig_mode {
    RIG_NORMAL = 0,
    RIG_MUTE = 1,      /* takes requests and never answers */
    RIG_EXCEPTION = 2, /* answers that it will not */
    RIG_WELDED = 3,    /* says done, and coil 2 stays on */
    RIG_DRIBBLE = 4    /* says done, a byte at a time with long pauses */
};

struct rig_state {
    uint8_t coil[RIG_COILS];
    uint32_t mode;        /* enum rig_mode, by the test */
    uint32_t connections; /* from here on by the server */
    uint32_t requests;
    uint32_t writes;
    uint32_t bold;       /* connections whose first write energised something */
    uint32_t energising; /* writes that energised something */
    uint64_t *meanwhile; /* by the test, NULL: a word of memory that we share .. */
    uint64_t word;       /* .. which is this before the next write is answered */
};

struct modbus_rig {
    pid_t pid;
    uint16_t port;
    struct rig_state *state;
};

/* To a write of coils: its own first bytes. */
static void rig_dribble(modbus_t *context, const uint8_t *query)
{
    uint8_t answer[RIG_ANSWER_BYTES];
    struct timespec pause = {.tv_nsec = RIG_PAUSE_NS};
    memcpy(answer, query, sizeof(answer));
    answer[4] = 0;
    answer[5] = RIG_ANSWER_BYTES - 6;
    for (size_t i = 0; i < sizeof(answer); i++) {
        (void)!send(modbus_get_socket(context), &answer[i], 1, MSG_NOSIGNAL);
        nanosleep(&pause, NULL);
    }
}

static void rig_answer(modbus_t *context, modbus_mapping_t *map, struct rig_state *state, const uint8_t *query,
                       int n, bool *written)
{
    uint32_t mode = __atomic_load_n(&state->mode, __ATOMIC_ACQUIRE);
    if (query[RIG_FUNCTION_AT] == RIG_WRITE_COILS) {
        if (!*written && query[RIG_FIRST_VALUES] != 0) {
            __atomic_add_fetch(&state->bold, 1, __ATOMIC_RELEASE);
        }
        *written = true;
        state->energising += query[RIG_FIRST_VALUES] != 0;
        if (state->meanwhile != NULL) {
            __atomic_store_n(state->meanwhile, state->word, __ATOMIC_RELEASE);
            state->meanwhile = NULL;
        }
        __atomic_add_fetch(&state->writes, 1, __ATOMIC_RELEASE);
    }
    if (mode == RIG_EXCEPTION) {
        modbus_reply_exception(context, query, MODBUS_EXCEPTION_SLAVE_OR_SERVER_FAILURE);
    } else if (mode == RIG_DRIBBLE && query[RIG_FUNCTION_AT] == RIG_WRITE_COILS) {
        rig_dribble(context, query);
    } else if (mode != RIG_MUTE) {
        memcpy(map->tab_bits, state->coil, RIG_COILS);
        modbus_reply(context, query, n, map);
        map->tab_bits[2] = mode == RIG_WELDED ? 1 : map->tab_bits[2];
        memcpy(state->coil, map->tab_bits, RIG_COILS);
    }
    __atomic_add_fetch(&state->requests, 1, __ATOMIC_RELEASE);
}

static void rig_serve(int listener, struct rig_state *state)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_t *context = modbus_new_tcp("127.0.0.1", 1);
    modbus_mapping_t *map = modbus_mapping_new(RIG_COILS, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    while (context != NULL && map != NULL && modbus_tcp_accept(context, &listener) >= 0) {
        bool written = false;
        __atomic_add_fetch(&state->connections, 1, __ATOMIC_RELEASE);
        for (int n = modbus_receive(context, query); n > 0; n = modbus_receive(context, query)) {
            rig_answer(context, map, state, query, n, &written);
        }
        modbus_close(context);
    }
    _exit(1);
}

/* Starts the server; on the port that it had before, if it has been started before. */
static void rig_start(struct modbus_rig *rig)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(rig->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    int one = 1;
    if (rig->state == NULL) {
        rig->state = mmap(NULL, sizeof(*rig->state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 4) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &bytes) != 0) {
        abort();
    }
    rig->port = ntohs(address.sin_port);
    rig->pid = fork();
    if (rig->pid == 0) {
        prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
        rig_serve(listener, rig->state);
    }
    close(listener);
}

static void rig_kill(struct modbus_rig *rig)
{
    kill(rig->pid, SIGKILL);
    waitpid(rig->pid, NULL, 0);
}

static void rig_mode(struct modbus_rig *rig, enum rig_mode mode)
{
    __atomic_store_n(&rig->state->mode, (uint32_t)mode, __ATOMIC_RELEASE);
}

static uint32_t rig_coil(const struct modbus_rig *rig, uint32_t coil)
{
    return __atomic_load_n(&rig->state->coil[coil], __ATOMIC_ACQUIRE);
}

#endif
