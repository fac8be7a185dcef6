/* Tables of a Modbus server, by TCP or a serial line (RTU). An exception is an orderly answer: the instrument says
 * no, and the connection stays. Anything else that is not the answer may mean that the two are out of step: a new
 * connection, or a line that has been silent for a while, is the way back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daq/poll_line.h"
#include "daq/poller.h"
#include "ring/clock.h"

/* Between two telegrams on a line lie 3.5 characters of 11 bits; above 19200 baud 1.75 ms whatever the rate. */
#define GAP_BITS       385u /* tenths */
#define GAP_FIXED_BAUD 19200u
#define GAP_FIXED_NS   1750000u

struct modbus {
    modbus_t *context;
    int line_fd;     /* plus 1; 0: none, or libmodbus's own */
    uint64_t gap_ns; /* of a line */
    uint64_t last_ns;
    uint16_t registers[MODBUS_MAX_READ_REGISTERS];
    uint8_t bits[MODBUS_MAX_READ_BITS];
};

/* libmodbus has error numbers of its own. */
static int code_of(int number)
{
    switch (number) {
    case 0:
        return -EIO;
    case EMBBADCRC:
        return -EBADMSG;
    default:
        return number >= MODBUS_ENOBASE ? -EPROTO : -number;
    }
}

static void close_modbus(void *state, const struct source_plan *plan)
{
    struct modbus *m = state;
    (void)plan;
    if (m->context == NULL) {
        return;
    }
    if (m->line_fd > 0) {
        close(m->line_fd - 1);
    } else {
        modbus_close(m->context);
    }
    modbus_free(m->context);
    memset(m, 0, sizeof(*m));
}

static int set_timeout(struct modbus *m, uint64_t ns)
{
    uint64_t us = ns / CLOCK_NS_PER_US > 0 ? ns / CLOCK_NS_PER_US : 1;
    return modbus_set_response_timeout(m->context, (uint32_t)(us / 1000000), (uint32_t)(us % 1000000));
}

static int connect_tcp(struct modbus *m, const struct source_plan *plan, struct error *err)
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &plan->tcp.address, host, sizeof(host));
    m->context = modbus_new_tcp(host, plan->tcp.port);
    if (m->context == NULL || modbus_set_slave(m->context, (int)plan->modbus.unit_id) != 0 ||
        set_timeout(m, plan->poll.timeout_ns) != 0) {
        return error_set(err, code_of(errno), "Modbus unit %u at %s:%u: %s", plan->modbus.unit_id, host,
                         plan->tcp.port, modbus_strerror(errno));
    }
    if (modbus_connect(m->context) != 0) {
        return error_set(err, code_of(errno), "cannot connect to %s:%u: %s", host, plan->tcp.port,
                         modbus_strerror(errno));
    }
    return 0;
}

/* The line is opened by us: libmodbus does not know all rates, and nothing of RS-485 without its own delays. What
 * it is told of the line here is not used. */
static int open_line(struct modbus *m, const struct source_plan *plan, struct error *err)
{
    m->context = modbus_new_rtu(plan->serial.device, 9600, 'N', 8, 1);
    if (m->context == NULL || modbus_set_slave(m->context, (int)plan->modbus.unit_id) != 0) {
        return error_set(err, code_of(errno), "Modbus unit %u at %s: %s", plan->modbus.unit_id, plan->serial.device,
                         modbus_strerror(errno));
    }
    int fd = poll_line_open(plan, err);
    if (fd < 0) {
        return fd;
    }
    m->line_fd = fd + 1;
    m->gap_ns = plan->serial.baud > GAP_FIXED_BAUD
                    ? GAP_FIXED_NS
                    : GAP_BITS * CLOCK_NS_PER_S / 10 / (plan->serial.baud > 0 ? plan->serial.baud : 1);
    (void)modbus_set_socket(m->context, fd);
    return 0;
}

static int open_modbus(void *state, const struct source_plan *plan, struct error *err)
{
    struct modbus *m = state;
    int code = plan->kind == SOURCE_MODBUS_RTU ? open_line(m, plan, err) : connect_tcp(m, plan, err);
    if (code != 0) {
        close_modbus(m, plan);
        return code;
    }
    (void)modbus_set_byte_timeout(m->context, 0, 0); /* for the whole answer, not from byte to byte */
    return 0;
}

static void keep_gap(const struct modbus *m)
{
    uint64_t from_ns = m->last_ns + m->gap_ns;
    if (m->gap_ns > 0 && clock_monotonic_ns() < from_ns) {
        struct timespec until = {.tv_sec = (time_t)(from_ns / CLOCK_NS_PER_S),
                                 .tv_nsec = (long)(from_ns % CLOCK_NS_PER_S)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
}

/* Numbers that came, or -1 with errno. */
static int request(struct modbus *m, const struct modbus_read *read)
{
    int at = (int)read->at;
    int count = (int)read->count;
    switch (read->table) {
    case MODBUS_TABLE_HOLDING:
        return modbus_read_registers(m->context, at, count, m->registers);
    case MODBUS_TABLE_INPUT:
        return modbus_read_input_registers(m->context, at, count, m->registers);
    case MODBUS_TABLE_COIL:
        return modbus_read_bits(m->context, at, count, m->bits);
    default:
        return modbus_read_input_bits(m->context, at, count, m->bits);
    }
}

/* Bytes put into the frame. */
static uint32_t place(const struct modbus *m, const struct modbus_read *read, uint8_t *frame)
{
    if (read->table == MODBUS_TABLE_COIL || read->table == MODBUS_TABLE_DISCRETE) {
        memcpy(frame, m->bits, read->count);
        return read->count;
    }
    for (uint32_t i = 0; i < read->count; i++) {
        *frame++ = (uint8_t)(m->registers[i] >> 8);
        *frame++ = (uint8_t)m->registers[i];
    }
    return 2 * read->count;
}

static const char *table_name(uint32_t table)
{
    static const char *const names[] = {"", "holding", "input", "coil", "discrete"};
    return names[table < sizeof(names) / sizeof(names[0]) ? table : 0];
}

static int fail(const struct source_plan *plan, const struct modbus_read *read, int number, struct error *err)
{
    bool says_no = number >= EMBXILFUN && number <= EMBXGTAR;
    int code = error_set(err, code_of(number), "Modbus unit %u, %s %u to %u: %s%s", plan->modbus.unit_id,
                         table_name(read->table), read->at, read->at + read->count - 1,
                         says_no ? "it answers with an exception: " : "", modbus_strerror(number));
    return says_no ? 1 : code;
}

static int poll_tables(void *state, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    struct modbus *m = state;
    uint64_t end_ns = clock_monotonic_ns() + plan->poll.timeout_ns;
    for (uint32_t i = 0; i < plan->modbus.reads; i++) {
        const struct modbus_read *read = &plan->modbus.read[i];
        keep_gap(m);
        uint64_t now_ns = clock_monotonic_ns();
        if (now_ns >= end_ns) {
            return fail(plan, read, ETIMEDOUT, err);
        }
        (void)set_timeout(m, end_ns - now_ns);
        (void)modbus_flush(m->context);
        errno = 0;
        int n = request(m, read);
        int number = errno;
        m->last_ns = clock_monotonic_ns();
        if (n != (int)read->count) {
            return fail(plan, read, n < 0 ? number : EMBBADDATA, err);
        }
        frame += place(m, read, frame);
    }
    return 0;
}

const struct poller_way poll_modbus = {
    .state_bytes = sizeof(struct modbus), .open = open_modbus, .poll = poll_tables, .close = close_modbus};
