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

#include "ring/numa.h"
#include "ring/thread.h"

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif
#ifndef MFD_HUGE_1GB
#define MFD_HUGE_1GB (30u << 26)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define UNCHECKED_BYTES ((size_t)16 << 20) /* so little is asked for without looking first */

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

size_t segment_pages_bytes(enum segment_pages pages)
{
    switch (pages) {
    case SEGMENT_HUGE:
    case SEGMENT_HUGE_OR_NORMAL:
        return SEGMENT_PAGE_2M_BYTES;
    case SEGMENT_HUGE_1G:
    case SEGMENT_HUGE_1G_OR_SMALLER:
        return SEGMENT_PAGE_1G_BYTES;
    default:
        return SEGMENT_PAGE_BYTES;
    }
}

const char *segment_page_name(size_t page_bytes)
{
    return page_bytes == SEGMENT_PAGE_1G_BYTES ? "1 GiB" : page_bytes == SEGMENT_PAGE_2M_BYTES ? "2 MiB" : "4 KiB";
}

static unsigned memfd_flags(size_t page_bytes)
{
    unsigned huge = page_bytes == SEGMENT_PAGE_1G_BYTES   ? MFD_HUGETLB | MFD_HUGE_1GB
                    : page_bytes == SEGMENT_PAGE_2M_BYTES ? MFD_HUGETLB | MFD_HUGE_2MB
                                                          : 0u;
    return MFD_CLOEXEC | MFD_ALLOW_SEALING | huge;
}

/* Ordinary pages that are not there would be found by killing processes; huge ones are either reserved or refused.
 */
static bool would_exhaust(size_t bytes, size_t page_bytes, int node)
{
    size_t available = node != NUMA_ANY ? numa_available_bytes(node) : SIZE_MAX;
    size_t anywhere = available_bytes();
    available = available < anywhere ? available : anywhere;
    return page_bytes == SEGMENT_PAGE_BYTES && bytes > UNCHECKED_BYTES && bytes > available / 10 * 9;
}

/* Ordinary pages come from fallocate unzeroed: without this the first process that locks them zeroes them all, and
 * its heartbeat waits (seconds for some GiB). They leave our page table again; the memory stays the segment's. */
static int zero_now(const struct segment *s)
{
    if (s->page_bytes != SEGMENT_PAGE_BYTES) {
        return 0;
    }
    if (madvise(s->base, s->bytes, MADV_POPULATE_WRITE) != 0 &&
        errno != EINVAL) { /* EINVAL: a kernel before 5.14 */
        return -errno;
    }
    (void)madvise(s->base, s->bytes, MADV_DONTNEED);
    return 0;
}

/* Every page now, on the node if one is asked for. fallocate makes a shortage an error here instead of a SIGBUS
 * later. */
static int populate(struct segment *s, int node)
{
    struct numa_policy before = {0};
    if (node != NUMA_ANY) {
        s->bind_error = numa_bind(s->base, s->bytes, node, &before);
        s->numa_node = s->bind_error == 0 ? node : NUMA_ANY;
    }
    int code = fallocate(s->fd, 0, 0, (off_t)s->bytes) != 0 ? -errno : zero_now(s);
    if (s->numa_node != NUMA_ANY) {
        numa_restore(&before);
    }
    return code;
}

/* One attempt with one page size. */
static int create_with(struct segment *segment, const char *name, size_t bytes, size_t page_bytes, int node)
{
    struct segment s = {.fd = -1, .page_bytes = page_bytes, .numa_node = NUMA_ANY};
    if (bytes == 0 || bytes > (size_t)INT64_MAX - page_bytes) {
        return -EFBIG; /* rounding up would wrap, or be no file offset any more */
    }
    s.bytes = round_up(bytes, page_bytes);
    if (would_exhaust(s.bytes, page_bytes, node)) {
        return -ENOMEM;
    }
    s.fd = memfd_create(name, memfd_flags(page_bytes));
    if (s.fd < 0) {
        return -errno;
    }
    int code = 0;
    s.base = MAP_FAILED;
    if (fchmod(s.fd, 0600) == 0 && ftruncate(s.fd, (off_t)s.bytes) == 0) {
        s.base = mmap(NULL, s.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
    }
    if (s.base == MAP_FAILED) {
        code = -errno;
        goto fail;
    }
    code = populate(&s, node);
    if (code == 0 && fcntl(s.fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        code = -errno;
    }
    if (code == 0) {
        *segment = s;
        return 0;
    }
    munmap(s.base, s.bytes);
fail:
    close(s.fd);
    return code;
}

static const char *advice(enum segment_pages pages)
{
    switch (pages) {
    case SEGMENT_HUGE:
        return "raise /proc/sys/vm/nr_hugepages or set pages to huge_or_normal";
    case SEGMENT_HUGE_1G:
        return "raise /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages (at boot: hugepagesz=1G "
               "hugepages=N) "
               "or set pages to huge_1g_or_smaller";
    default:
        return "or make the ring smaller";
    }
}

int segment_create_on(struct segment *segment, const char *name, size_t bytes, enum segment_pages pages, int node,
                      struct error *err)
{
    static const size_t sizes[] = {SEGMENT_PAGE_1G_BYTES, SEGMENT_PAGE_2M_BYTES, SEGMENT_PAGE_BYTES};
    bool exactly = pages == SEGMENT_HUGE || pages == SEGMENT_HUGE_1G;
    char where[32] = "";
    int code = -ENOMEM;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t first = segment_pages_bytes(pages);
        if (sizes[i] == first || (sizes[i] < first && !exactly)) {
            code = create_with(segment, name, bytes, sizes[i], node);
            if (code == 0) {
                return 0;
            }
        }
    }
    if (node != NUMA_ANY) {
        snprintf(where, sizeof(where), " of NUMA node %d", node);
    }
    return error_set(err, code, "segment %s: cannot get %zu bytes on %s pages%s: %s; free memory, %s", name, bytes,
                     exactly ? segment_page_name(segment_pages_bytes(pages)) : "any", where, strerror(-code),
                     advice(pages));
}

int segment_create(struct segment *segment, const char *name, size_t bytes, enum segment_pages pages,
                   struct error *err)
{
    return segment_create_on(segment, name, bytes, pages, NUMA_ANY, err);
}

int segment_create_constant(struct segment *segment, const char *name, const void *content, size_t bytes,
                            struct error *err)
{
    struct segment s = {
        .bytes = round_up(bytes, SEGMENT_PAGE_BYTES), .page_bytes = SEGMENT_PAGE_BYTES, .numa_node = NUMA_ANY};
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
                         size_t *bytes, struct error *err)
{
    size_t mapped;
    int fd = handover_fd(argc, argv, name);
    if (fd < 0) {
        return error_set(err, -EINVAL,
                         "expected a descriptor `%s=N`, found none; this program is started by sluiced", name);
    }
    return segment_map(fd, writable, min_bytes, base, bytes != NULL ? bytes : &mapped, err);
}
