/* Preloaded into a server: what cannot be done to a machine that others use.
 *
 * The wall clock steps: CLOCK_REALTIME and CLOCK_TAI are ahead by what stands in the file SLUICE_TEST_CLOCK (8
 * bytes, ns), which is mapped before the process is sealed and may be rewritten at any time. CLOCK_MONOTONIC is the
 * machine's.
 *
 * A write at an offset (an output that is a file, by sluiced) takes as long as the third number says.
 *
 * The interlock's table becomes a private copy if SLUICE_TEST_TABLE is set, so that a bit of it can be flipped
 * through /proc/PID/mem: the real one is sealed, and no process can do to it what a cosmic ray can. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "control/table.h"

struct faults {
    int64_t ahead_ns;
    int64_t sync_ns;
    int64_t pwrite_ns;
};

static const struct faults *faults;

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv("SLUICE_TEST_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *page = mmap(NULL, sizeof(*faults), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    faults = page != MAP_FAILED ? page : NULL;
    // cppcheck-suppress memleak ; as long as the process
}

/* What the kernel returns for an address is one. */
static void *map_pages(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset); // NOLINT(performance-no-int-to-ptr)
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the headers' begin with __ */
int clock_gettime(clockid_t id, struct timespec *now)
{
    if (syscall(SYS_clock_gettime, id, now) != 0) {
        return -1;
    }
    if (faults != NULL && (id == CLOCK_REALTIME || id == CLOCK_TAI)) {
        int64_t ns =
            now->tv_sec * INT64_C(1000000000) + now->tv_nsec + __atomic_load_n(&faults->ahead_ns, __ATOMIC_RELAXED);
        now->tv_sec = ns / 1000000000;
        now->tv_nsec = ns % 1000000000;
    }
    return 0;
}

static void slow_disk(int64_t ns)
{
    struct timespec pause = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    if (ns > 0) {
        nanosleep(&pause, NULL);
    }
}

static int64_t sync_ns(void)
{
    return faults != NULL ? __atomic_load_n(&faults->sync_ns, __ATOMIC_RELAXED) : 0;
}

int fsync(int fd)
{
    slow_disk(sync_ns());
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    slow_disk(sync_ns());
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    if (faults != NULL && strcmp(program_invocation_short_name, "sluiced") == 0) {
        slow_disk(__atomic_load_n(&faults->pwrite_ns, __ATOMIC_RELAXED));
    }
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *map = map_pages(at, bytes, protection, flags, fd, offset);
    uint64_t magic = 0;
    if (map == MAP_FAILED || protection != PROT_READ || flags != MAP_SHARED ||
        bytes < sizeof(struct control_table) || getenv("SLUICE_TEST_TABLE") == NULL) {
        return map;
    }
    memcpy(&magic, map, sizeof(magic));
    if (magic != CONTROL_TABLE_MAGIC) {
        return map;
    }
    munmap(map, bytes);
    return map_pages(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, offset);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
