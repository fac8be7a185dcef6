#include "control/output.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/gpio.h"
#include "control/outbox.h"
#include "control/register.h"
#include "ring/segment.h"

/* Where this process speaks to a device by memory: the register, or the outbox. Set once, before the seal. */
static void *attached[CONTROL_DEVICES_MAX];

const char *output_kind_name(uint32_t kind)
{
    static const char *const names[] = {"none", "udp", "unix", "file", "gpio", "memory", "modbus", "shadow"};
    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : names[0];
}

bool output_parse_address(const char *target, struct sockaddr_in *address)
{
    char host[CONTROL_TARGET_BYTES];
    char *end = NULL;
    snprintf(host, sizeof(host), "%s", target);
    char *colon = strrchr(host, ':');
    if (colon == NULL || strspn(colon + 1, "0123456789") == 0) {
        return false;
    }
    long port = strtol(colon + 1, &end, 10);
    *colon = 0;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return port >= 1 && port <= 65535 && *end == 0 && inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

bool output_target_ok(uint32_t kind, const char *target)
{
    struct sockaddr_in address;
    bool is_address = kind == DEVICE_UDP || kind == DEVICE_MODBUS;
    return is_address ? output_parse_address(target, &address) : strchr(target, '/') != NULL;
}

static int open_udp(const char *target, struct error *err)
{
    struct sockaddr_in address;
    if (!output_parse_address(target, &address)) {
        return error_set(err, -EINVAL, "output target: expected ADDRESS:PORT such as 127.0.0.1:7000, found '%s'",
                         target);
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int code = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return error_set(err, code, "output target %s: %s", target, strerror(-code));
    }
    // cppcheck-suppress resourceLeak ; it is the caller's
    return fd;
}

static int open_unix(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // cppcheck-suppress resourceLeak ; it is the caller's
    return fd < 0 ? -errno : fd;
}

static int open_file(const char *target)
{
    int fd = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    // cppcheck-suppress resourceLeak ; it is the caller's
    return fd < 0 ? -errno : fd;
}

int output_open(const struct control_table *table, uint32_t device, struct error *err)
{
    const struct control_device *d = &table->device[device];
    int fd;
    switch (d->kind) {
    case DEVICE_UDP:
        return open_udp(d->target, err);
    case DEVICE_GPIO:
        return gpio_open(table, device, err);
    case DEVICE_MEMORY:
        return register_open(d, err);
    case DEVICE_SHADOW:
        return error_set(err, -EINVAL, "output device of kind shadow: there is nothing to open");
    case DEVICE_UNIX: /* the receiver may come later and go: every datagram is addressed */
        fd = open_unix();
        break;
    case DEVICE_FILE:
        fd = open_file(d->target);
        break;
    default:
        return error_set(err, -EINVAL, "output device of unknown kind %u", d->kind);
    }
    if (fd < 0) {
        error_set(err, fd, "output %s %s: cannot open: %s", output_kind_name(d->kind), d->target, strerror(-fd));
    }
    return fd;
}

int output_attach(const struct control_table *table, uint32_t device, int fd, struct error *err)
{
    const struct control_device *d = &table->device[device];
    size_t bytes;
    return d->kind == DEVICE_MEMORY   ? register_map(d, fd, &attached[device], err)
           : d->kind == DEVICE_MODBUS ? segment_map(fd, true, sizeof(struct outbox), &attached[device], &bytes, err)
                                      : 0;
}

uint32_t output_lines(const struct control_table *table, uint32_t device, uint32_t energised_outputs)
{
    bool by_rank = table->device[device].kind == DEVICE_GPIO || table->device[device].kind == DEVICE_MODBUS;
    uint32_t bits = 0;
    uint32_t rank = 0;
    for (uint32_t i = 0; i < table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        if (table->output[i].device == device) {
            uint32_t bit = by_rank ? rank++ : table->output[i].line;
            bits |= (energised_outputs >> i & 1) << (bit & 31);
        }
    }
    return bits & table->device[device].lines;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    uint32_t big = htonl(value);
    memcpy(at, &big, sizeof(big));
}

static void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)(value >> 32));
    put_u32(at + 4, (uint32_t)value);
}

void output_encode(const struct output_message *message, uint32_t lines, uint8_t bytes[OUTPUT_DATAGRAM_BYTES])
{
    put_u32(bytes, OUTPUT_MAGIC);
    put_u32(bytes + 4, message->number);
    put_u64(bytes + 8, message->decided_tai_ns);
    put_u32(bytes + 16, lines);
    put_u32(bytes + 20, message->energised & lines);
    put_u64(bytes + 24, message->evaluated);
    put_u64(bytes + 32, message->source_sequence);
    put_u32(bytes + 40, message->origin);
    put_u32(bytes + 44, 0);
}

static size_t append(char *text, size_t at, const char *from)
{
    size_t n = strnlen(from, RING_NAME_BYTES);
    memcpy(text + at, from, n);
    return at + n;
}

static int send_file(const struct control_table *table, uint32_t device, int fd, uint32_t energised)
{
    char text[OUTPUT_FILE_BYTES];
    size_t n = 0;
    bool one = (table->device[device].lines & (table->device[device].lines - 1)) == 0;
    for (uint32_t i = 0; i < table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        const struct control_output *output = &table->output[i];
        if (output->device != device) {
            continue;
        }
        if (!one) {
            n = append(text, n, output->name);
            text[n++] = '=';
        }
        text[n++] = (energised >> (output->line & 31) & 1) != 0 ? '1' : '0';
        text[n++] = one ? '\n' : ' ';
    }
    if (!one) {
        text[n - 1] = '\n';
    }
    ssize_t written = pwrite(fd, text, n, 0);
    return written == (ssize_t)n ? 0 : written < 0 ? -errno : -EIO;
}

static int send_datagram(const struct control_device *device, int fd, const uint8_t *bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct sockaddr *to = NULL;
    socklen_t to_bytes = 0;
    if (device->kind == DEVICE_UNIX) {
        memcpy(address.sun_path, device->target, sizeof(address.sun_path) - 1);
        to = (const struct sockaddr *)&address;
        to_bytes = sizeof(address);
    }
    ssize_t n = sendto(fd, bytes, OUTPUT_DATAGRAM_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL, to, to_bytes);
    if (n < 0 && errno != EAGAIN && device->kind == DEVICE_UDP) {
        int code = -errno;
        /* That was the fate of an earlier datagram, and this one has not been sent. Send it, but report the error:
         * only a datagram that meets none counts as taken. */
        (void)sendto(fd, bytes, OUTPUT_DATAGRAM_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
        return code;
    }
    return n == (ssize_t)OUTPUT_DATAGRAM_BYTES ? 0 : n < 0 ? -errno : -EIO;
}

/* control stores; the supervisor must outlive a register that is gone (control/register.h). */
static int send_register(const struct control_device *device, void *at, int fd,
                         const struct output_message *message)
{
    if (message->origin == OUTPUT_SUPERVISOR) {
        return register_is_file(fd) ? register_write(device, fd, message->energised)
               : at != NULL         ? register_store_guarded(device, at, message->energised)
                                    : -ENXIO;
    }
    return at != NULL ? register_store(device, at, message->energised) : -ENXIO;
}

static int send_outbox(const struct control_table *table, struct outbox *outbox, uint32_t lines,
                       const struct output_message *message)
{
    if (outbox == NULL) {
        return -ENXIO;
    }
    outbox_put(outbox, message->number, message->energised & lines, message->decided_tai_ns);
    return outbox_verdict(outbox, message->decided_tai_ns, table->output_fault_ns);
}

int output_send(const struct control_table *table, uint32_t device, int fd, const struct output_message *message)
{
    const struct control_device *d = &table->device[device];
    uint8_t bytes[OUTPUT_DATAGRAM_BYTES];
    switch (d->kind) {
    case DEVICE_FILE:
        return send_file(table, device, fd, message->energised);
    case DEVICE_GPIO:
        return gpio_send(fd, d->lines, message->energised);
    case DEVICE_MEMORY:
        return send_register(d, attached[device], fd, message);
    case DEVICE_MODBUS:
        return send_outbox(table, attached[device], d->lines, message);
    case DEVICE_SHADOW: /* before anything looks at the descriptor, which is none */
        return 0;
    default:
        output_encode(message, d->lines, bytes);
        return send_datagram(d, fd, bytes);
    }
}
