/* Transfers on an SPI bus (spidev): what is written, then zeros, while as many bytes come back; those behind what
 * was written are the frame's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/spi/spidev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daq/poller.h"

#define READ_BYTES_MAX 256u

struct spi {
    int fd;
};

static int open_spi(void *state, const struct source_plan *plan, struct error *err)
{
    struct spi *spi = state;
    const struct bus_plan *bus = &plan->bus;
    uint8_t mode = (uint8_t)bus->mode;
    uint8_t bits = (uint8_t)bus->bits_per_word;
    spi->fd = open(bus->device, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (spi->fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", bus->device, strerror(errno));
    }
    if (ioctl(spi->fd, SPI_IOC_WR_MODE, &mode) != 0 || ioctl(spi->fd, SPI_IOC_WR_BITS_PER_WORD, &bits) != 0 ||
        ioctl(spi->fd, SPI_IOC_WR_MAX_SPEED_HZ, &bus->speed_hz) != 0) {
        int code = -errno;
        close(spi->fd);
        return error_set(err, code, "%s: expected spidev with mode %u, %u bits, %u Hz: %s", bus->device, bus->mode,
                         bus->bits_per_word, bus->speed_hz, strerror(-code));
    }
    return 0;
}

static int transfer(const struct spi *spi, const struct bus_read *read, uint8_t *to)
{
    uint8_t out[PLAN_WRITE_BYTES + READ_BYTES_MAX] = {0};
    uint8_t in[PLAN_WRITE_BYTES + READ_BYTES_MAX] = {0};
    struct spi_ioc_transfer one = {.tx_buf = (uint64_t)(uintptr_t)out,
                                   .rx_buf = (uint64_t)(uintptr_t)in,
                                   .len = read->write_bytes + read->read_bytes};
    memcpy(out, read->write, read->write_bytes);
    if (ioctl(spi->fd, SPI_IOC_MESSAGE(1), &one) < 0) {
        return -errno;
    }
    memcpy(to, in + read->write_bytes, read->read_bytes);
    return 0;
}

static int poll_spi_bus(void *state, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    for (uint32_t r = 0; r < plan->bus.reads; r++) {
        int code = transfer(state, &plan->bus.read[r], frame);
        if (code != 0) {
            return error_set(err, code, "%s: transfer %u: %s", plan->bus.device, r,
                             code == -ESHUTDOWN ? "the device is gone" : strerror(-code));
        }
        frame += plan->bus.read[r].read_bytes;
    }
    return 0;
}

static void close_spi(void *state, const struct source_plan *plan)
{
    const struct spi *spi = state;
    (void)plan;
    close(spi->fd);
}

const struct poller_way poll_spi = {
    .state_bytes = sizeof(struct spi), .open = open_spi, .poll = poll_spi_bus, .close = close_spi};
