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

#include "daq/iio_scale.h"
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

/* Where on its bus it is, such as 1-0050: the folder that this one lies in. */
static bool lies_in(const char *entry, const char *name)
{
    char path[PATH_BYTES];
    char target[PATH_BYTES];
    join(path, DEVICES "/%s", entry);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = 0;
    char *last = strrchr(target, '/');
    if (last == NULL) {
        return false;
    }
    *last = 0;
    const char *folder = strrchr(target, '/');
    return folder != NULL && strcmp(folder + 1, name) == 0;
}

static bool is_called(const char *entry, const char *name)
{
    char path[PATH_BYTES];
    char text[64];
    static const char *const files[] = {"name", "label"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        join(path, DEVICES "/%s/%s", entry, files[i]);
        if (read_text(path, text, sizeof(text)) == 0 && strcmp(text, name) == 0) {
            return true;
        }
    }
    return strcmp(entry, name) == 0 || lies_in(entry, name);
}

/* The one, among those whose folder's name begins with prefix, that has this name. Of two converters of one kind
 * none is it: the wrong pressure would be read. */
static int find_named(const char *prefix, const char *name, char found[64], struct error *err)
{
    uint32_t count = 0;
    DIR *folder = opendir(DEVICES);
    for (struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL; entry = readdir(folder)) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && strlen(entry->d_name) < 64 &&
            is_called(entry->d_name, name)) {
            snprintf(found, 64, "%.63s", entry->d_name);
            count++;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    if (count > 1) {
        return error_set(err, -ENOTUNIQ,
                         "%u of %s* in " DEVICES
                         " are named '%s'; give the label of the one, or where it is on its bus "
                         "(such as 1-0050)",
                         count, prefix, name);
    }
    return count == 1 ? 0 : error_set(err, -ENODEV, "no %s* in " DEVICES " is named '%s'", prefix, name);
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
    int code = find_named("trigger", plan->trigger, found, err);
    if (code == 0 && plan->rate_hz > 0) {
        bool whole = plan->rate_hz - (double)(uint64_t)plan->rate_hz <= 0; /* 1e6 at most */
        join(path, DEVICES "/%s/sampling_frequency", found);
        /* Some triggers take whole numbers only, none takes an exponent. */
        snprintf(text, sizeof(text), whole ? "%.0f" : "%.3f", plan->rate_hz);
        code = write_text(path, text, err);
    }
    join(path, DEVICES "/%s/name", code == 0 ? found : "");
    if (code == 0 && read_text(path, text, sizeof(text)) != 0) {
        code = error_set(err, -ENODEV, "trigger %s has no name", plan->trigger);
    }
    join(path, DEVICES "/%s/trigger/current_trigger", device);
    return code == 0 ? write_text(path, text, err) : code;
}

static int enable(const char *device, const char *on, struct error *err)
{
    char path[PATH_BYTES];
    join(path, DEVICES "/%s/buffer/enable", device);
    return write_text(path, on, err);
}

/* Stamps of in_timestamp are of the wall clock, unless it is told otherwise. */
static int set_clock(const char *device, const struct rate_plan *rate, struct error *err)
{
    char path[PATH_BYTES];
    if (rate->stamp != RING_STAMP_DEVICE) {
        return 0;
    }
    join(path, DEVICES "/%s/current_timestamp_clock", device);
    return write_text(path, "monotonic", err);
}

static int set_up(const char *device, const struct source_plan *source, struct error *err)
{
    const struct iio_plan *plan = &source->iio;
    char path[PATH_BYTES];
    char text[32];
    int code = enable(device, "0", err); /* it may run since a worker died */
    code = code == 0 ? set_clock(device, &source->rate, err) : code;
    join(path, DEVICES "/%s/scan_elements", device);
    code = code == 0 ? set_scan(path, plan, err) : code;
    code = code == 0 ? set_trigger(device, plan, err) : code;
    join(path, DEVICES "/%s/buffer/length", device);
    snprintf(text, sizeof(text), "%u", plan->length);
    code = code == 0 ? write_text(path, text, err) : code;
    return code == 0 ? enable(device, "1", err) : code;
}

static void let_go(struct opening *opening)
{
    if (opening->held_fd >= 0) {
        close(opening->held_fd);
        opening->held_fd = -1;
    }
}

static int open_iio(struct opening *opening, struct error *err)
{
    const struct iio_plan *plan = &opening->plan->iio;
    char device[64];
    char path[PATH_BYTES];
    let_go(opening);
    int code = find_named("iio:device", plan->device, device, err);
    if (code != 0) {
        return code;
    }
    join(path, "/dev/%s", device);
    /* Opened first: a device that another process has is not to be touched. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", path,
                         errno == EBUSY ? "another process has its buffer" : strerror(errno));
    }
    code = set_up(device, opening->plan, err);
    if (code != 0) {
        close(fd);
        return code;
    }
    join(path, DEVICES "/%s/buffer/enable", device);
    opening->held_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!opening->told) {
        opening->told = true;
        iio_scale_tell(join(path, DEVICES "/%s", device), opening->plan);
    }
    return fd;
}

/* poll(2) on a buffer never says that its device has gone (Linux 6.1), so io_uring waits for it for ever; nor that
 * somebody has switched it off, to have other elements in its scans perhaps. Its file says both. */
static bool check_iio(struct opening *opening)
{
    char on = 0;
    return opening->held_fd >= 0 && pread(opening->held_fd, &on, 1, 0) == 1 && on == '1';
}

static void clear_iio(struct opening *opening)
{
    struct error ignored;
    char device[64];
    if (opening->in_use >= 0 && find_named("iio:device", opening->plan->iio.device, device, &ignored) == 0) {
        (void)enable(device, "0", &ignored);
    }
}

const struct opener_way way_iio = {.open = open_iio, .check = check_iio, .clear = clear_iio};
