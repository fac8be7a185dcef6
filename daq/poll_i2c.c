/* Registers of a device on an I2C bus (i2c-dev). One transaction a read, with a repeated start, where the adapter
 * can; by SMBus commands where it cannot: then one register byte is written and 1, 2 or up to 32 bytes are read. */
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daq/poller.h"

struct i2c {
    int fd;
    bool smbus;
};

/* What the adapter cannot do at all is said at once, not poll by poll. */
static int check_adapter(const struct i2c *i2c, const struct bus_plan *plan, unsigned long can, struct error *err)
{
    for (uint32_t r = 0; i2c->smbus && r < plan->reads; r++) {
        const struct bus_read *read = &plan->read[r];
        unsigned long needs = read->read_bytes == 1   ? I2C_FUNC_SMBUS_READ_BYTE_DATA
                              : read->read_bytes == 2 ? I2C_FUNC_SMBUS_READ_WORD_DATA
                                                      : I2C_FUNC_SMBUS_READ_I2C_BLOCK;
        if (read->write_bytes != 1 || read->read_bytes > I2C_SMBUS_BLOCK_MAX || (can & needs) == 0) {
            return error_set(
                err, -EOPNOTSUPP,
                "%s speaks SMBus only: expected reads with one byte written and at most %u read that it knows, "
                "found one of %u and %u",
                plan->device, I2C_SMBUS_BLOCK_MAX, read->write_bytes, read->read_bytes);
        }
    }
    return 0;
}

static int open_i2c(void *state, const struct source_plan *plan, struct error *err)
{
    struct i2c *i2c = state;
    unsigned long can = 0;
    int code = 0;
    i2c->fd = open(plan->bus.device, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (i2c->fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", plan->bus.device, strerror(errno));
    }
    if (ioctl(i2c->fd, I2C_FUNCS, &can) != 0) {
        code = error_set(err, -errno, "expected an I2C bus such as /dev/i2c-1 at %s: %s", plan->bus.device,
                         strerror(errno));
    } else if (ioctl(i2c->fd, I2C_SLAVE, plan->bus.address) != 0) {
        code = error_set(err, -errno, "%s: address 0x%02x: %s", plan->bus.device, plan->bus.address,
                         errno == EBUSY ? "a driver of the kernel has it" : strerror(errno));
    }
    i2c->smbus = (can & I2C_FUNC_I2C) == 0;
    code = code == 0 ? check_adapter(i2c, &plan->bus, can, err) : code;
    if (code != 0) {
        close(i2c->fd);
    }
    return code;
}

static int read_smbus(const struct i2c *i2c, const struct bus_read *read, uint8_t *to)
{
    union i2c_smbus_data data = {.block = {0}};
    struct i2c_smbus_ioctl_data call = {.read_write = I2C_SMBUS_READ, .command = read->write[0], .data = &data};
    call.size = read->read_bytes == 1   ? I2C_SMBUS_BYTE_DATA
                : read->read_bytes == 2 ? I2C_SMBUS_WORD_DATA
                                        : I2C_SMBUS_I2C_BLOCK_DATA;
    data.block[0] = (uint8_t)read->read_bytes;
    if (ioctl(i2c->fd, I2C_SMBUS, &call) != 0) {
        return -errno;
    }
    if (read->read_bytes == 1) {
        to[0] = data.byte;
    } else if (read->read_bytes == 2) { /* SMBus sends the low byte first: the frame has them as they came */
        to[0] = (uint8_t)data.word;
        to[1] = (uint8_t)(data.word >> 8);
    } else if (data.block[0] < read->read_bytes) {
        return -EPROTO;
    } else {
        memcpy(to, data.block + 1, read->read_bytes);
    }
    return 0;
}

static int read_i2c(const struct i2c *i2c, const struct bus_plan *plan, const struct bus_read *read, uint8_t *to)
{
    uint8_t command[PLAN_WRITE_BYTES];
    struct i2c_msg messages[2];
    struct i2c_rdwr_ioctl_data call = {.msgs = messages, .nmsgs = 0};
    memcpy(command, read->write, sizeof(command));
    if (read->write_bytes > 0) {
        messages[call.nmsgs++] =
            (struct i2c_msg){.addr = (uint16_t)plan->address, .len = (uint16_t)read->write_bytes, .buf = command};
    }
    messages[call.nmsgs++] = (struct i2c_msg){
        .addr = (uint16_t)plan->address, .flags = I2C_M_RD, .len = (uint16_t)read->read_bytes, .buf = to};
    return ioctl(i2c->fd, I2C_RDWR, &call) == (int)call.nmsgs ? 0 : errno != 0 ? -errno : -EIO;
}

/* No acknowledgement, a device that holds the clock, a lost arbitration, a wrong checksum: the device's doing; the
 * bus is still there. After any other error it is opened again: an adapter that was unplugged goes only when it is
 * let go of, and its successor has its name. */
static bool is_the_device(int code)
{
    return code == -ENXIO || code == -EREMOTEIO || code == -ETIMEDOUT || code == -EAGAIN || code == -EBADMSG ||
           code == -EPROTO;
}

static int poll_i2c_bus(void *state, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    const struct i2c *i2c = state;
    for (uint32_t r = 0; r < plan->bus.reads; r++) {
        const struct bus_read *read = &plan->bus.read[r];
        int code = i2c->smbus ? read_smbus(i2c, read, frame) : read_i2c(i2c, &plan->bus, read, frame);
        if (code != 0) {
            (void)error_set(err, code, "%s: read %u of address 0x%02x: %s", plan->bus.device, r, plan->bus.address,
                            code == -ENXIO || code == -EREMOTEIO ? "no answer" : strerror(-code));
            return is_the_device(code) ? 1 : code;
        }
        frame += read->read_bytes;
    }
    return 0;
}

static void close_i2c(void *state, const struct source_plan *plan)
{
    const struct i2c *i2c = state;
    (void)plan;
    close(i2c->fd);
}

const struct poller_way poll_i2c = {
    .state_bytes = sizeof(struct i2c), .open = open_i2c, .poll = poll_i2c_bus, .close = close_i2c};
