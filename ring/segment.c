#include "ring/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring/thread.h"

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif
#define SMALL_PAGE_BYTES ((size_t)4096)
#define HUGE_PAGE_BYTES  ((size_t)2 << 20)

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* What the system could hand out without pain, in bytes; huge if it does not say. Allocating beyond it would not
 * fail: it would wake the OOM killer, and that may choose the control process. */
static size_t available_bytes(void)
{
    char line[128];
    size_t kb = SIZE_MAX / 1024;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "MemAvailable:", 13) == 0) {
            kb = strtoull(line + 13, NULL, 10);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kb * 1024;
}

/* One attempt with one page size. fallocate makes a shortage an error here instead of a SIGBUS later. */
static int create_on(struct segment *segment, const char *name, size_t bytes, size_t page_bytes)
{
    struct segment s = {.fd = -1, .bytes = round_up(bytes, page_bytes), .page_bytes = page_bytes};
    if (page_bytes == SMALL_PAGE_BYTES && s.bytes > ((size_t)16 << 20) && s.bytes > available_bytes() / 10 * 9) {
        return -ENOMEM;
    }
    int huge = page_bytes == HUGE_PAGE_BYTES ? (int)(MFD_HUGETLB | MFD_HUGE_2MB) : 0;
    s.fd = memfd_create(name, (unsigned)(MFD_CLOEXEC | MFD_ALLOW_SEALING | huge));
    if (s.fd < 0) {
        return -errno;
    }
    int code = 0;
    if (fchmod(s.fd, 0600) != 0 || ftruncate(s.fd, (off_t)s.bytes) != 0 ||
        fallocate(s.fd, 0, 0, (off_t)s.bytes) != 0 ||
        fcntl(s.fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        code = -errno;
        goto fail;
    }
    s.base = mmap(NULL, s.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
    if (s.base == MAP_FAILED) {
        code = -errno;
        goto fail;
    }
    *segment = s;
    return 0;
fail:
    close(s.fd);
    return code;
}

int segment_create(struct segment *segment, const char *name, size_t bytes, enum segment_pages pages,
                   struct error *err)
{
    int code = -ENOMEM;
    if (pages != SEGMENT_NORMAL) {
        code = create_on(segment, name, bytes, HUGE_PAGE_BYTES);
        if (code == 0 || pages == SEGMENT_HUGE) {
            goto done;
        }
    }
    code = create_on(segment, name, bytes, SMALL_PAGE_BYTES);
done:
    if (code != 0) {
        error_set(err, code, "segment %s: cannot get %zu bytes on %s pages: %s; free memory, %s", name, bytes,
                  pages == SEGMENT_HUGE ? "2 MiB" : "any", strerror(-code),
                  pages == SEGMENT_HUGE ? "raise /proc/sys/vm/nr_hugepages or set memory.pages to huge_or_normal"
                                        : "or make the ring smaller");
    }
    return code;
}

int segment_create_constant(struct segment *segment, const char *name, const void *content, size_t bytes,
                            struct error *err)
{
    struct segment s = {.bytes = round_up(bytes, SMALL_PAGE_BYTES), .page_bytes = SMALL_PAGE_BYTES};
    s.fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s.fd < 0) {
        return error_set(err, -errno, "segment %s: %s", name, strerror(errno));
    }
    errno = EIO;
    if (fchmod(s.fd, 0600) == 0 && ftruncate(s.fd, (off_t)s.bytes) == 0 &&
        pwrite(s.fd, content, bytes, 0) == (ssize_t)bytes &&
        fcntl(s.fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL) == 0) {
        s.base = mmap(NULL, s.bytes, PROT_READ, MAP_SHARED, s.fd, 0);
        if (s.base != MAP_FAILED) {
            *segment = s;
            return 0;
        }
    }
    int code = -errno;
    close(s.fd);
    return error_set(err, code, "segment %s: cannot fill and seal %zu bytes: %s; free memory", name, bytes,
                     strerror(-code));
}

void segment_destroy(struct segment *segment)
{
    if (segment->base != NULL) {
        munmap(segment->base, segment->bytes);
    }
    if (segment->fd >= 0) {
        close(segment->fd);
    }
    *segment = (struct segment){.fd = -1};
}

int segment_reopen_read_only(int fd, struct error *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int read_only = open(path, O_RDONLY | O_CLOEXEC);
    if (read_only < 0) {
        return error_set(err, -errno, "cannot reopen a segment read-only through %s: %s; is /proc mounted?", path,
                         strerror(errno));
    }
    return read_only;
}

int segment_map(int fd, bool writable, size_t min_bytes, void **base, size_t *bytes, struct error *err)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
        return error_set(err, -EPROTO,
                         "expected a memfd sealed against shrinking, found one with seals %#x; "
                         "its owner is not this version of sluice",
                         seals < 0 ? 0u : (unsigned)seals);
    }
    if (fstat(fd, &st) != 0) {
        return error_set(err, -errno, "fstat of a segment: %s", strerror(errno));
    }
    if (st.st_size <= 0 || (size_t)st.st_size < min_bytes) {
        return error_set(err, -EPROTO, "expected a segment of at least %zu bytes, found %lld; it is truncated",
                         min_bytes, (long long)st.st_size);
    }
    void *p = mmap(NULL, (size_t)st.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        return error_set(err, -errno, "cannot map a segment of %lld bytes %s: %s", (long long)st.st_size,
                         writable ? "read-write" : "read-only", strerror(errno));
    }
    *base = p;
    *bytes = (size_t)st.st_size;
    return 0;
}

int segment_map_handover(int argc, char **argv, const char *name, bool writable, size_t min_bytes, void **base,
                         struct error *err)
{
    size_t bytes;
    int fd = handover_fd(argc, argv, name);
    if (fd < 0) {
        return error_set(err, -EINVAL,
                         "expected a descriptor `%s=N`, found none; this program is started by sluiced", name);
    }
    return segment_map(fd, writable, min_bytes, base, &bytes, err);
}
