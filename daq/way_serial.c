#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "daq/ways.h"

unsigned way_serial_speed(uint32_t baud)
{
    static const struct {
        uint32_t baud;
        unsigned speed;
    } speeds[] = {{1200, B1200},       {2400, B2400},       {4800, B4800},       {9600, B9600},
                  {19200, B19200},     {38400, B38400},     {57600, B57600},     {115200, B115200},
                  {230400, B230400},   {460800, B460800},   {500000, B500000},   {921600, B921600},
                  {1000000, B1000000}, {1500000, B1500000}, {2000000, B2000000}, {3000000, B3000000},
                  {4000000, B4000000}};
    for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
        if (speeds[i].baud == baud) {
            return speeds[i].speed;
        }
    }
    return 0;
}

/* Raw, no controlling terminal, no modem lines; the bits as the plan has them. */
static void set_line(struct termios *t, const struct serial_plan *plan)
{
    static const tcflag_t sizes[] = {CS5, CS6, CS7, CS8};
    cfmakeraw(t);
    t->c_cflag |= CLOCAL | CREAD;
    t->c_cflag &= ~(tcflag_t)(CSTOPB | PARENB | PARODD | CRTSCTS | CSIZE);
    t->c_cflag |= sizes[plan->data_bits >= 5 && plan->data_bits <= 8 ? plan->data_bits - 5 : 3];
    t->c_cflag |= plan->stop_bits == 2 ? (tcflag_t)CSTOPB : 0;
    t->c_cflag |= plan->parity == SERIAL_PARITY_EVEN ? (tcflag_t)PARENB : 0;
    t->c_cflag |= plan->parity == SERIAL_PARITY_ODD ? (tcflag_t)(PARENB | PARODD) : 0;
    t->c_cflag |= plan->flow == SERIAL_FLOW_RTS_CTS ? (tcflag_t)CRTSCTS : 0;
    t->c_iflag |= plan->flow == SERIAL_FLOW_XON_XOFF ? (tcflag_t)(IXON | IXOFF) : 0;
    /* A byte whose parity is wrong becomes a NUL: a checksum or the line's syntax finds it. */
    t->c_iflag |= plan->parity == SERIAL_PARITY_EVEN || plan->parity == SERIAL_PARITY_ODD ? (tcflag_t)INPCK : 0;
    t->c_cc[VMIN] = 1;
    t->c_cc[VTIME] = 0;
    cfsetspeed(t, way_serial_speed(plan->baud));
}

/* What the driver made of it: one that cannot do parity says yes and does not. */
static bool has_taken(int fd, const struct termios *wanted)
{
    struct termios t;
    tcflag_t mask = CSIZE | CSTOPB | PARENB | PARODD | CRTSCTS;
    return tcgetattr(fd, &t) == 0 && (t.c_cflag & mask) == (wanted->c_cflag & mask);
}

static int set_direction(int fd, const struct serial_plan *plan)
{
    if (plan->direction != SERIAL_DIRECTION_RTS_HIGH && plan->direction != SERIAL_DIRECTION_RTS_LOW) {
        return 0;
    }
    struct serial_rs485 rs485 = {
        .flags = SER_RS485_ENABLED |
                 (plan->direction == SERIAL_DIRECTION_RTS_HIGH ? SER_RS485_RTS_ON_SEND : SER_RS485_RTS_AFTER_SEND)};
    return ioctl(fd, TIOCSRS485, &rs485) == 0 ? 0 : -errno;
}

static int set_up(int fd, const struct source_plan *plan, struct error *err)
{
    const struct serial_plan *serial = &plan->serial;
    struct termios t;
    if (tcgetattr(fd, &t) != 0) {
        return error_set(err, -errno, "expected a tty at %s: %s", serial->device, strerror(errno));
    }
    set_line(&t, serial);
    if (tcsetattr(fd, TCSANOW, &t) != 0) {
        return error_set(err, -errno, "%s takes no such settings: %s", serial->device, strerror(errno));
    }
    if (!has_taken(fd, &t)) {
        return error_set(err, -EINVAL,
                         "%s does not take the data bits, parity, stop bits or flow control asked for",
                         serial->device);
    }
    int code = set_direction(fd, serial);
    if (code != 0) {
        return error_set(err, code, "%s: no RS-485 direction by RTS: %s", serial->device, strerror(-code));
    }
    /* Opened without blocking (a modem line may be down), read with blocking semantics so that io_uring waits
     * instead of returning EAGAIN. */
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ? -errno : 0;
}

int way_serial_open(const struct source_plan *plan, struct error *err)
{
    int fd = open(plan->serial.device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", plan->serial.device, strerror(errno));
    }
    int code = set_up(fd, plan, err);
    if (code != 0) {
        close(fd);
        return code;
    }
    return fd;
}

static int open_serial(struct opening *opening, struct error *err)
{
    return way_serial_open(opening->plan, err);
}

const struct opener_way way_serial = {.open = open_serial};
