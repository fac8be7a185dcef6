#include "control/register.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t needed_bytes(const struct control_device *device)
{
    return (size_t)device->register_at + device->register_bytes;
}

bool register_is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int check_size(const struct control_device *device, int fd, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return error_set(err, -errno, "output memory %s: %s", device->target, strerror(errno));
    }
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
        return error_set(err, -EINVAL, "output memory %s: expected a UIO device or a file", device->target);
    }
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < needed_bytes(device)) {
        return error_set(err, -EINVAL,
                         "output memory %s: expected a register of %u bytes at byte %" PRIu64
                         ", found %jd bytes in "
                         "all; make the file longer, or correct register.at_byte",
                         device->target, device->register_bytes, device->register_at, (intmax_t)st.st_size);
    }
    return 0;
}

int register_open(const struct control_device *device, struct error *err)
{
    void *at;
    int fd = open(device->target, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return error_set(err, -errno, "output memory %s: cannot open: %s", device->target, strerror(errno));
    }
    int code = register_map(device, fd, &at, err); /* what control will do in a moment */
    if (code != 0) {
        close(fd);
        return code;
    }
    munmap((uint8_t *)at - device->register_at, needed_bytes(device));
    // cppcheck-suppress resourceLeak ; it is the caller's
    return fd;
}

int register_map(const struct control_device *device, int fd, void **at, struct error *err)
{
    uint32_t width = device->register_bytes;
    if ((width != 1 && width != 2 && width != 4 && width != 8) || device->register_at % width != 0 ||
        device->register_at > REGISTER_AT_MAX) {
        return error_set(err, -EINVAL, "output memory %s: no register of %u bytes can be at byte %" PRIu64,
                         device->target, width, device->register_at);
    }
    int code = check_size(device, fd, err);
    if (code != 0) {
        return code;
    }
    void *base = mmap(NULL, needed_bytes(device), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        return error_set(err, -errno, "output memory %s: cannot map %zu bytes: %s", device->target,
                         needed_bytes(device), strerror(errno));
    }
    *at = (uint8_t *)base + device->register_at;
    // cppcheck-suppress memleak ; it is the caller's
    return 0;
}

uint64_t register_swap(uint32_t width, uint64_t value)
{
    return width == 8   ? __builtin_bswap64(value)
           : width == 4 ? __builtin_bswap32((uint32_t)value)
           : width == 2 ? __builtin_bswap16((uint16_t)value)
                        : value;
}

static bool is_foreign(const struct control_device *device)
{
    return (device->big_endian != 0) != (BYTE_ORDER == BIG_ENDIAN);
}

static uint64_t in_order(const struct control_device *device, uint64_t value)
{
    return is_foreign(device) ? register_swap(device->register_bytes, value) : value;
}

uint64_t register_merge(const struct control_device *device, uint64_t content, uint32_t energised)
{
    uint64_t mask = in_order(device, device->lines);
    return (content & ~mask) | in_order(device, energised & device->lines);
}

uint64_t register_load(uint32_t width, const volatile void *at)
{
    return width == 8   ? *(const volatile uint64_t *)at
           : width == 4 ? *(const volatile uint32_t *)at
           : width == 2 ? *(const volatile uint16_t *)at
                        : *(const volatile uint8_t *)at;
}

void register_put(uint32_t width, volatile void *at, uint64_t value)
{
    if (width == 8) {
        *(volatile uint64_t *)at = value;
    } else if (width == 4) {
        *(volatile uint32_t *)at = (uint32_t)value;
    } else if (width == 2) {
        *(volatile uint16_t *)at = (uint16_t)value;
    } else {
        *(volatile uint8_t *)at = (uint8_t)value;
    }
}

int register_store(const struct control_device *device, void *at, uint32_t energised)
{
    uint64_t mask = in_order(device, device->lines);
    uint64_t next = register_merge(device, register_load(device->register_bytes, at), energised);
    register_put(device->register_bytes, at, next);
    return ((register_load(device->register_bytes, at) ^ next) & mask) == 0 ? 0 : -EIO;
}

static _Thread_local sigjmp_buf way_out; /* a SIGBUS is told to the thread that made it */

static void on_bus_error(int signal_number)
{
    siglongjmp(way_out, signal_number);
}

int register_store_guarded(const struct control_device *device, void *at, uint32_t energised)
{
    struct sigaction before;
    struct sigaction action = {.sa_handler = on_bus_error};
    volatile int code = -EFAULT;
    sigaction(SIGBUS, &action, &before);
    if (sigsetjmp(way_out, 1) == 0) {
        code = register_store(device, at, energised);
    }
    sigaction(SIGBUS, &before, NULL);
    return code;
}

int register_write(const struct control_device *device, int fd, uint32_t energised)
{
    _Alignas(8) uint8_t bytes[8] = {0};
    uint32_t width = device->register_bytes;
    off_t at = (off_t)device->register_at;
    (void)!pread(fd, bytes, width,
                 at); /* a file that has become too short: the other bits are lost, ours are not */
    register_put(width, bytes, register_merge(device, register_load(width, bytes), energised));
    ssize_t n = pwrite(fd, bytes, width, at);
    return n == (ssize_t)width ? 0 : n < 0 ? -errno : -EIO;
}
