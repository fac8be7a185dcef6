/* The buffer of a device of the kernel's Industrial I/O: its scan elements are switched on as the plan has them,
 * its trigger and its buffer are set, and its character device gives a scan after the other. Files:
 * Documentation/ABI/testing/sysfs-bus-iio in the kernel's source. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daq/ways.h"

#define DEVICES "/sys/bus/iio/devices"

#define PATH_BYTES 512u

/* Names are bounded by the plan and by the kernel: nothing is cut. */
__attribute__((format(printf, 2, 3))) static const char *join(char path[PATH_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(path, PATH_BYTES, format, args);
    va_end(args);
    return path;
}

static int read_text(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    ssize_t n = read(fd, text, bytes - 1);
    int code = n < 0 ? -errno : 0;
    close(fd);
    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    return code;
}

static int write_text(const char *path, const char *text, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    }
    size_t bytes = strlen(text);
    int code = write(fd, text, bytes) == (ssize_t)bytes ? 0 : -errno;
    close(fd);
    return code == 0 ? 0 : error_set(err, code, "cannot write '%s' to %s: %s", text, path, strerror(-code));
}

/* The folder's name of what has this name, among those that begin with prefix. */
static int find_named(const char *prefix, const char *name, char found[64])
{
    DIR *folder = opendir(DEVICES);
    int code = -ENODEV;
    if (folder == NULL) {
        return code;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL && code != 0; entry = readdir(folder)) {
        char path[PATH_BYTES];
        char text[64];
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || strlen(entry->d_name) > 63) {
            continue;
        }
        join(path, DEVICES "/%s/name", entry->d_name);
        if (strcmp(entry->d_name, name) == 0 ||
            (read_text(path, text, sizeof(text)) == 0 && strcmp(text, name) == 0)) {
            snprintf(found, 64, "%.63s", entry->d_name);
            code = 0;
        }
    }
    closedir(folder);
    return code;
}

static const struct iio_scan *wanted(const struct iio_plan *plan, const char *name, size_t length)
{
    for (uint32_t i = 0; i < plan->scans; i++) {
        if (strlen(plan->scan[i].name) == length && strncmp(plan->scan[i].name, name, length) == 0) {
            return &plan->scan[i];
        }
    }
    return NULL;
}

static int check_type(const char *folder, const struct iio_scan *scan, struct error *err)
{
    char path[PATH_BYTES];
    char text[64];
    join(path, "%s/%s_type", folder, scan->name);
    int code = read_text(path, text, sizeof(text));
    if (code != 0) {
        return error_set(err, code, "no scan element %s: cannot read %s: %s", scan->name, path, strerror(-code));
    }
    return strcmp(text, scan->type) == 0
               ? 0
               : error_set(err, -EINVAL, "%s: expected the type %s, the device has %s; correct `scan`", scan->name,
                           scan->type, text);
}

static int check_order(const char *folder, const struct iio_plan *plan, struct error *err)
{
    int last = -1;
    for (uint32_t i = 0; i < plan->scans; i++) {
        char path[PATH_BYTES];
        char text[64];
        join(path, "%s/%s_index", folder, plan->scan[i].name);
        if (read_text(path, text, sizeof(text)) != 0) {
            return error_set(err, -ENODEV, "no scan element %s in %s", plan->scan[i].name, folder);
        }
        int index = 0;
        for (const char *at = text; *at >= '0' && *at <= '9' && index < 100000; at++) {
            index = 10 * index + (*at - '0');
        }
        if (index <= last) {
            return error_set(err, -EINVAL, "%s comes before %s in a scan of this device; put `scan` in that order",
                             plan->scan[i].name, plan->scan[i - 1].name);
        }
        last = index;
    }
    return 0;
}

/* Exactly the wanted elements on. */
static int set_scan(const char *folder, const struct iio_plan *plan, struct error *err)
{
    DIR *elements = opendir(folder);
    int code = 0;
    if (elements == NULL) {
        return error_set(err, -errno, "no %s: this device has no buffer", folder);
    }
    for (struct dirent *entry = readdir(elements); entry != NULL && code == 0; entry = readdir(elements)) {
        size_t length = strlen(entry->d_name);
        char path[PATH_BYTES];
        if (length < 4 || strcmp(entry->d_name + length - 3, "_en") != 0) {
            continue;
        }
        const struct iio_scan *scan = wanted(plan, entry->d_name, length - 3);
        join(path, "%s/%s", folder, entry->d_name);
        code = scan != NULL ? check_type(folder, scan, err) : 0;
        code = code == 0 ? write_text(path, scan != NULL ? "1" : "0", err) : code;
    }
    closedir(elements);
    return code == 0 ? check_order(folder, plan, err) : code;
}

static int set_trigger(const char *device, const struct iio_plan *plan, struct error *err)
{
    char path[PATH_BYTES];
    char text[64];
    char found[64];
    if (plan->trigger[0] == 0) {
        return 0;
    }
    if (find_named("trigger", plan->trigger, found) != 0) {
        return error_set(err, -ENODEV, "no trigger '%s' in " DEVICES, plan->trigger);
    }
    int code = 0;
    if (plan->rate_hz > 0) {
        join(path, DEVICES "/%s/sampling_frequency", found);
        snprintf(text, sizeof(text), "%g", plan->rate_hz);
        code = write_text(path, text, err);
    }
    join(path, DEVICES "/%s/trigger/current_trigger", device);
    return code == 0 ? write_text(path, plan->trigger, err) : code;
}

static int enable(const char *device, const char *on, struct error *err)
{
    char path[PATH_BYTES];
    join(path, DEVICES "/%s/buffer/enable", device);
    return write_text(path, on, err);
}

static int set_up(const char *device, const struct iio_plan *plan, struct error *err)
{
    char path[PATH_BYTES];
    char text[32];
    int code = enable(device, "0", err); /* it may run since a worker died */
    join(path, DEVICES "/%s/scan_elements", device);
    code = code == 0 ? set_scan(path, plan, err) : code;
    code = code == 0 ? set_trigger(device, plan, err) : code;
    join(path, DEVICES "/%s/buffer/length", device);
    snprintf(text, sizeof(text), "%u", plan->length);
    code = code == 0 ? write_text(path, text, err) : code;
    return code == 0 ? enable(device, "1", err) : code;
}

static int open_iio(struct opening *opening, struct error *err)
{
    const struct iio_plan *plan = &opening->plan->iio;
    char device[64];
    char path[PATH_BYTES];
    if (find_named("iio:device", plan->device, device) != 0) {
        return error_set(err, -ENODEV, "no device '%s' in " DEVICES, plan->device);
    }
    join(path, "/dev/%s", device);
    /* Opened first: a device that another process has is not to be touched. */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", path,
                         errno == EBUSY ? "another process has its buffer" : strerror(errno));
    }
    int code = set_up(device, plan, err);
    if (code != 0) {
        close(fd);
        return code;
    }
    return fd;
}

static void clear_iio(struct opening *opening)
{
    struct error ignored;
    char device[64];
    if (opening->in_use >= 0 && find_named("iio:device", opening->plan->iio.device, device) == 0) {
        (void)enable(device, "0", &ignored);
    }
}

const struct opener_way way_iio = {.open = open_iio, .clear = clear_iio};
