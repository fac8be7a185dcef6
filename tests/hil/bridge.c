/* hil-bridge: the samples of a device as UDP datagrams, for the hardware bench alone. A plain loop: wait, read,
 * send. It stands where a source of the server's will stand, and goes when there are sources for these devices.
 *
 *   hil-bridge i2c  /dev/i2c-0 ADDRESS HZ  TARGET..   register 0 of a converter, a word whose high byte comes first
 *   hil-bridge spi  /dev/spidev0.0     HZ  TARGET..   16 bits, the high byte first
 *   hil-bridge iio  /dev/iio:device0       TARGET..   records of a u16 and a time stamp, as its trigger has them
 * made hil-bridge gpio /dev/gpiochip0 LINE HZ TARGET..   each edge, and the level HZ times a second
 *
 * TARGET is ADDRESS:PORT, one or two; each gets every datagram. The datagram, 32 bytes, big-endian:
 *    0 u32 number of this datagram, from 0    4 u32 of gpio: the number of the newest edge, from 1; else 0
 *    8 u64 TAI ns when it was read           16 i64 the device's own time stamp in ns, 0 if it has none
 *   24 i32 value, of i2c, spi and iio 12 bits, of gpio the level     28 u32 1 if it is an edge, else 0
 */
#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <linux/spi/spidev.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S     UINT64_C(1000000000)
#define TARGETS_MAX  2
#define HZ_MAX       10000u
#define VALUE_MASK   0x0fffu
#define RECORDS_MAX  64u
#define EDGES_MAX    64u
#define SILENCE_MS   500 /* poll() tells nobody that an IIO device has gone (Linux 6.1): a read does */
#define SPI_CLOCK_HZ 1000000u

struct sample {
    int64_t device_ns;
    int32_t value;
    uint32_t edges;
    bool is_edge;
};

struct bridge {
    const char *path;
    int device_fd;
    int timer_fd; /* -1: the device says when */
    int socket_fd;
    struct sockaddr_in target[TARGETS_MAX];
    uint32_t targets;
    uint32_t number;
    uint32_t edges;
};

struct datagram {
    uint32_t number;
    uint32_t edges;
    uint64_t tai_ns;
    int64_t device_ns;
    uint32_t value;
    uint32_t is_edge;
};

static_assert(sizeof(struct datagram) == 32, "the datagram at the head of this file");

static _Noreturn void fail(const struct bridge *bridge, const char *what)
{
    fprintf(stderr, "hil-bridge: %s: %s: %s\n", bridge->path, what, strerror(errno));
    exit(1);
}

static _Noreturn void usage(const char *what, const char *found)
{
    fprintf(stderr,
            "hil-bridge: expected %s, found '%s'; usage: hil-bridge i2c DEVICE ADDRESS HZ | spi DEVICE HZ | iio "
            "DEVICE | "
            "gpio CHIP LINE HZ, then one or two ADDRESS:PORT\n",
            what, found);
    exit(2);
}

static uint32_t number_of(const char *text, const char *what, uint32_t max)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 0);
    if (errno != 0 || end == text || *end != 0 || value > max) {
        usage(what, text);
    }
    return (uint32_t)value;
}

static struct sockaddr_in target_of(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN] = "";
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : sizeof(host);
    if (length < sizeof(host)) {
        memcpy(host, text, length);
    }
    if (colon == NULL || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        usage("a target ADDRESS:PORT", text);
    }
    address.sin_port = htons((uint16_t)number_of(colon + 1, "a port of 1 to 65535", UINT16_MAX));
    return address;
}

/* A refused datagram is no fault here: the server may start after its sensors. */
static void send_sample(struct bridge *bridge, const struct sample *sample)
{
    struct timespec now;
    clock_gettime(CLOCK_TAI, &now);
    struct datagram datagram = {.number = htobe32(bridge->number),
                                .edges = htobe32(sample->edges),
                                .tai_ns = htobe64((uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec),
                                .device_ns = (int64_t)htobe64((uint64_t)sample->device_ns),
                                .value = htobe32((uint32_t)sample->value),
                                .is_edge = htobe32(sample->is_edge ? 1 : 0)};
    bridge->number++;
    for (uint32_t i = 0; i < bridge->targets; i++) {
        if (sendto(bridge->socket_fd, &datagram, sizeof(datagram), 0, (const struct sockaddr *)&bridge->target[i],
                   sizeof(bridge->target[i])) < 0 &&
            errno != ECONNREFUSED) {
            fail(bridge, "cannot send");
        }
    }
}

static void open_timer(struct bridge *bridge, uint32_t hz)
{
    uint64_t period_ns = NS_PER_S / (hz > 0 ? hz : 1);
    struct timespec period = {.tv_sec = (time_t)(period_ns / NS_PER_S), .tv_nsec = (long)(period_ns % NS_PER_S)};
    struct itimerspec each = {.it_interval = period, .it_value = period};
    bridge->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (bridge->timer_fd < 0 || timerfd_settime(bridge->timer_fd, 0, &each, NULL) != 0) {
        fail(bridge, "no timer");
    }
}

static void open_device(struct bridge *bridge, int flags)
{
    bridge->device_fd = open(bridge->path, flags | O_CLOEXEC);
    if (bridge->device_fd < 0) {
        fail(bridge, "cannot open");
    }
}

/* ---- I2C: the SMBus word that such converters answer with. */

static void open_i2c(struct bridge *bridge, uint32_t address)
{
    open_device(bridge, O_RDWR);
    if (ioctl(bridge->device_fd, I2C_SLAVE, (unsigned long)address) != 0) {
        fail(bridge, errno == EBUSY ? "a driver of the kernel has this address" : "cannot take the address");
    }
}

static void read_i2c(struct bridge *bridge, struct sample *sample)
{
    union i2c_smbus_data data = {.word = 0};
    struct i2c_smbus_ioctl_data transfer = {
        .read_write = I2C_SMBUS_READ, .command = 0, .size = I2C_SMBUS_WORD_DATA, .data = &data};
    if (ioctl(bridge->device_fd, I2C_SMBUS, &transfer) != 0) {
        fail(bridge, "the device does not answer");
    }
    sample->value = (int32_t)(be16toh(data.word) & VALUE_MASK);
}

/* ---- SPI. */

static void read_spi(struct bridge *bridge, struct sample *sample)
{
    uint16_t word = 0;
    struct spi_ioc_transfer transfer = {
        .rx_buf = (uint64_t)(uintptr_t)&word, .len = sizeof(word), .speed_hz = SPI_CLOCK_HZ, .bits_per_word = 8};
    if (ioctl(bridge->device_fd, SPI_IOC_MESSAGE(1), &transfer) < 0) {
        fail(bridge, "the device does not answer");
    }
    sample->value = (int32_t)(be16toh(word) & VALUE_MASK);
}

/* ---- IIO. */

struct iio_record {
    uint16_t value;
    uint8_t padding[6];
    int64_t ns;
};

static void pass_records(struct bridge *bridge)
{
    struct iio_record record[RECORDS_MAX];
    ssize_t n = read(bridge->device_fd, record, sizeof(record));
    if (n < 0 && errno != EAGAIN) {
        fail(bridge, "cannot read");
    }
    for (ssize_t i = 0; i < n / (ssize_t)sizeof(record[0]); i++) {
        struct sample sample = {.value = record[i].value & (int32_t)VALUE_MASK, .device_ns = record[i].ns};
        send_sample(bridge, &sample);
    }
}

/* ---- GPIO. */

static void open_gpio(struct bridge *bridge, uint32_t line)
{
    open_device(bridge, O_RDWR);
    struct gpio_v2_line_request request = {.num_lines = 1,
                                           .offsets = {line},
                                           .consumer = "hil-bridge",
                                           .event_buffer_size = EDGES_MAX,
                                           .config.flags = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING |
                                                           GPIO_V2_LINE_FLAG_EDGE_FALLING};
    if (ioctl(bridge->device_fd, GPIO_V2_GET_LINE_IOCTL, &request) != 0) {
        fail(bridge, "cannot take the line");
    }
    close(bridge->device_fd);
    bridge->device_fd = request.fd;
}

static void pass_edges(struct bridge *bridge)
{
    struct gpio_v2_line_event event[EDGES_MAX];
    ssize_t n = read(bridge->device_fd, event, sizeof(event));
    if (n < 0) {
        fail(bridge, "cannot read edges");
    }
    for (ssize_t i = 0; i < n / (ssize_t)sizeof(event[0]); i++) {
        bridge->edges = event[i].seqno;
        struct sample sample = {.value = event[i].id == GPIO_V2_LINE_EVENT_RISING_EDGE,
                                .device_ns = (int64_t)event[i].timestamp_ns,
                                .edges = event[i].seqno,
                                .is_edge = true};
        send_sample(bridge, &sample);
    }
}

static void read_gpio(struct bridge *bridge, struct sample *sample)
{
    struct gpio_v2_line_values values = {.mask = 1};
    if (ioctl(bridge->device_fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) != 0) {
        fail(bridge, "cannot read the level");
    }
    sample->value = (int32_t)(values.bits & 1);
    sample->edges = bridge->edges;
}

/* ---- The loop. */

struct kind {
    const char *name;
    int arguments; /* after the device and before the targets */
    void (*tick)(struct bridge *bridge, struct sample *sample);
    void (*ready)(struct bridge *bridge);
};

static const struct kind kinds[] = {
    {"i2c", 2, read_i2c, NULL},
    {"spi", 1, read_spi, NULL},
    {"iio", 0, NULL, pass_records},
    {"gpio", 2, read_gpio, pass_edges},
};

static const struct kind *kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    usage("i2c, spi, iio or gpio", name);
}

static void open_kind(struct bridge *bridge, const struct kind *kind, char **argument)
{
    if (kind->tick == read_i2c) {
        open_i2c(bridge, number_of(argument[0], "an address of 7 bits", 0x7f));
    } else if (kind->tick == read_gpio) {
        open_gpio(bridge, number_of(argument[0], "a line", UINT16_MAX));
    } else {
        open_device(bridge, kind->tick == read_spi ? O_RDWR : O_RDONLY | O_NONBLOCK);
    }
    if (kind->tick != NULL) {
        open_timer(bridge, number_of(argument[kind->arguments - 1], "1 to 10000 Hz", HZ_MAX));
    }
}

static void tick(struct bridge *bridge, const struct kind *kind)
{
    uint64_t expirations = 0;
    if (read(bridge->timer_fd, &expirations, sizeof(expirations)) != (ssize_t)sizeof(expirations)) {
        fail(bridge, "no timer");
    }
    struct sample sample = {.value = 0};
    kind->tick(bridge, &sample);
    send_sample(bridge, &sample);
}

static void run(struct bridge *bridge, const struct kind *kind)
{
    struct pollfd wait[2] = {{.fd = kind->ready != NULL ? bridge->device_fd : -1, .events = POLLIN},
                             {.fd = bridge->timer_fd, .events = POLLIN}};
    int patience_ms = kind->tick == NULL ? SILENCE_MS : -1;
    for (;;) {
        int ready = poll(wait, 2, patience_ms);
        if (ready < 0) {
            fail(bridge, "poll");
        }
        if (wait[0].revents != 0 || ready == 0) {
            kind->ready(bridge); /* also after POLLERR: the read says which error */
        }
        if (wait[1].revents != 0) {
            tick(bridge, kind);
        }
    }
}

int main(int count, char **argument)
{
    struct bridge bridge = {.path = "?", .device_fd = -1, .timer_fd = -1};
    const struct kind *kind = kind_of(count > 1 ? argument[1] : "nothing");
    int targets = count - 3 - kind->arguments;
    if (targets < 1 || targets > TARGETS_MAX) {
        usage("its arguments", count > 2 ? argument[2] : "nothing");
    }
    bridge.path = argument[2];
    for (int i = 0; i < targets; i++) {
        bridge.target[bridge.targets++] = target_of(argument[3 + kind->arguments + i]);
    }
    bridge.socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bridge.socket_fd < 0) {
        fail(&bridge, "no socket");
    }
    open_kind(&bridge, kind, argument + 3);
    puts("hil-bridge: open");
    fflush(stdout);
    run(&bridge, kind);
}
