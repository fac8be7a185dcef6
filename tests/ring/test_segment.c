/* Sealed memory: its owner cannot shrink it, its readers cannot write it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring/segment.h"
#include "tests/support/huge_pages.h"

#define NOBODY 65534

static struct segment created(size_t bytes)
{
    struct segment segment;
    struct error err = {{0}};
    cr_assert_eq(segment_create(&segment, "test", bytes, SEGMENT_NORMAL, &err), 0, "%s", err.text);
    return segment;
}

Test(segment, is_whole_pages_of_zero)
{
    struct segment segment = created(5000);
    const uint8_t *bytes = segment.base;
    cr_assert_eq(segment.bytes, 8192);
    cr_assert_eq(segment.page_bytes, 4096);
    for (size_t i = 0; i < segment.bytes; i++) {
        cr_assert_eq(bytes[i], 0);
    }
    segment_destroy(&segment);
    cr_assert_eq(segment.fd, -1);
    cr_assert_null(segment.base);
    segment_destroy(&segment);
}

Test(segment, cannot_be_resized_or_sealed_further)
{
    struct segment segment = created(8192);
    cr_assert_eq(ftruncate(segment.fd, 4096), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert_eq(ftruncate(segment.fd, 16384), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert_eq(fallocate(segment.fd, 0, 8192, 4096), -1);
    cr_assert_eq(fcntl(segment.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    cr_assert_eq(errno, EPERM, "a further seal would lock a restarted writer out");
    segment_destroy(&segment);
}

Test(segment, huge_or_normal_always_gets_something)
{
    struct segment segment;
    struct error err = {{0}};
    cr_assert_eq(segment_create(&segment, "test", 4096, SEGMENT_HUGE_OR_NORMAL, &err), 0, "%s", err.text);
    cr_assert(segment.page_bytes == 4096 || segment.page_bytes == 2u << 20);
    cr_assert_eq(segment.bytes % segment.page_bytes, 0);
    segment_destroy(&segment);
}

/* A size that the kernel refuses outright: one that is merely too large would take the machine's memory first. */
Test(segment, an_impossible_size_fails_and_leaves_nothing)
{
    struct segment segment = {.fd = -77};
    struct error err = {{0}};
    cr_assert_lt(segment_create(&segment, "test", SIZE_MAX / 2 + 1, SEGMENT_NORMAL, &err), 0);
    cr_assert_eq(segment.fd, -77, "outputs are untouched on failure");
    cr_assert_not_null(strstr(err.text, "test"));
}

/* Rounding such a size up to whole pages would wrap round to a small one. */
Test(segment, sizes_at_the_end_of_the_number_line_fail)
{
    static const size_t sizes[] = {SIZE_MAX,          SIZE_MAX - 4095,          SIZE_MAX - ((size_t)1 << 30),
                                   (size_t)INT64_MAX, (size_t)INT64_MAX - 4096, 0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int pages = SEGMENT_NORMAL; pages <= SEGMENT_HUGE_1G_OR_SMALLER; pages++) {
            struct segment segment = {.fd = -77};
            struct error err = {{0}};
            cr_assert_lt(segment_create(&segment, "test", sizes[i], (enum segment_pages)pages, &err), 0, "%zu",
                         sizes[i]);
            cr_assert_eq(segment.fd, -77);
        }
    }
}

/* More than one: the test beside this one may take some of them, too. */
static void on_huge_pages(size_t page_bytes, long pages, enum segment_pages exactly, enum segment_pages or_smaller)
{
    struct segment first = {.fd = -1};
    struct segment second = {.fd = -1};
    struct error err = {{0}};
    long added = huge_pages_add(page_bytes, pages);
    if (added < pages) {
        huge_pages_take_back(page_bytes, added);
        cr_skip_test("SKIPPED: no huge pages of %zu KiB can be reserved here (root? memory?)", page_bytes / 1024);
    }
    int code = segment_create(&first, "test", 5000, exactly, &err);
    if (code == 0) {
        ((uint8_t *)first.base)[first.bytes - 1] = 7;
    }
    bool exhausted = huge_pages_value(page_bytes, "free_hugepages", -1) == 0;
    int none_left = exhausted ? segment_create(&second, "test", 5000, exactly, NULL) : -ENOMEM;
    int smaller = segment_create(&second, "test", 5000, or_smaller, NULL);
    size_t first_bytes = first.bytes;
    size_t second_page_bytes = second.page_bytes;
    segment_destroy(&first);
    segment_destroy(&second);
    huge_pages_take_back(page_bytes, added); /* before anything can end the test */
    cr_assert_eq(code, 0, "%s", err.text);
    cr_assert_eq(first_bytes, page_bytes, "one whole page");
    cr_assert_lt(none_left, 0, "there was one page only");
    cr_assert_eq(smaller, 0, "smaller ones do");
    cr_assert(exhausted ? second_page_bytes < page_bytes : second_page_bytes <= page_bytes);
}

Test(segment, on_2_mib_pages)
{
    on_huge_pages(SEGMENT_PAGE_2M_BYTES, 8, SEGMENT_HUGE, SEGMENT_HUGE_OR_NORMAL);
}

Test(segment, on_1_gib_pages)
{
    on_huge_pages(SEGMENT_PAGE_1G_BYTES, 1, SEGMENT_HUGE_1G, SEGMENT_HUGE_1G_OR_SMALLER);
}

Test(segment, huge_pages_that_are_not_there)
{
    struct segment segment = {.fd = -77};
    struct error err = {{0}};
    /* More of them than any machine has free: the kernel refuses at once and takes nothing. */
    cr_assert_lt(segment_create(&segment, "test", (size_t)1 << 46, SEGMENT_HUGE_1G, &err), 0);
    cr_assert_not_null(strstr(err.text, "1 GiB pages"), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "hugepages-1048576kB"), "%s", err.text);
    cr_assert_lt(segment_create(&segment, "test", (size_t)1 << 46, SEGMENT_HUGE_1G_OR_SMALLER, &err), 0);
    cr_assert_eq(segment.fd, -77);
}

Test(segment, a_reader_cannot_map_it_writable)
{
    struct error err = {{0}};
    struct segment segment = created(8192);
    void *base = NULL;
    size_t bytes = 0;
    int fd = segment_reopen_read_only(segment.fd, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    cr_assert_eq(segment_map(fd, true, 4096, &base, &bytes, &err), -EACCES);
    cr_assert_null(base);
    cr_assert_eq(segment_map(fd, false, 4096, &base, &bytes, &err), 0, "%s", err.text);
    cr_assert_eq(bytes, 8192);
    cr_assert_eq(mprotect(base, bytes, PROT_READ | PROT_WRITE), -1);
    cr_assert_eq(errno, EACCES);
    memset(segment.base, 7, 16);
    cr_assert_eq(((const uint8_t *)base)[15], 7, "the same memory");
    close(fd);
}

/* 0 if another user, given the read-only descriptor, finds no way to write. */
static int try_as_another_user(int fd)
{
    char path[64];
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) {
        return 1;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    /* cppcheck-suppress leakReturnValNotUsed */
    if (open(path, O_RDWR) >= 0 || open(path, O_WRONLY) >= 0) {
        return 2;
    }
    if (fchmod(fd, 0666) == 0 || ftruncate(fd, 0) == 0) {
        return 3;
    }
    /* cppcheck-suppress leakReturnValNotUsed */
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED) {
        return 4;
    }
    return 0;
}

Test(segment, another_user_cannot_reopen_it_writable)
{
    struct error err = {{0}};
    struct segment segment = created(8192);
    int status = 0;
    if (geteuid() != 0) {
        cr_skip_test("needs root to become another user");
    }
    int fd = segment_reopen_read_only(segment.fd, &err);
    pid_t child = fork();
    if (child == 0) {
        close(segment.fd);
        _exit(try_as_another_user(fd));
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

Test(segment, a_constant_one_can_be_written_by_nobody)
{
    static const char content[] = "never changes";
    struct segment segment;
    struct error err = {{0}};
    char path[64];
    void *base = NULL;
    size_t bytes = 0;
    cr_assert_eq(segment_create_constant(&segment, "test", content, sizeof(content), &err), 0, "%s", err.text);
    cr_assert_str_eq(segment.base, content);
    cr_assert_eq(mprotect(segment.base, segment.bytes, PROT_READ | PROT_WRITE), -1);
    cr_assert_eq(pwrite(segment.fd, "x", 1, 0), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert_lt(segment_map(segment.fd, true, 1, &base, &bytes, &err), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", segment.fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED, "not even its owner");
    cr_assert_eq(segment_map(segment.fd, false, 1, &base, &bytes, &err), 0, "%s", err.text);
    segment_destroy(&segment);
}

static void refuse(int fd, size_t min_bytes, const char *why)
{
    struct error err = {{0}};
    void *base = NULL;
    size_t bytes = 0;
    cr_assert_eq(segment_map(fd, false, min_bytes, &base, &bytes, &err), -EPROTO, "%s", why);
    cr_assert_null(base);
    cr_assert_neq(err.text[0], 0);
}

Test(segment, what_could_shrink_under_us_is_refused)
{
    int fd = memfd_create("unsealed", MFD_ALLOW_SEALING);
    cr_assert_eq(ftruncate(fd, 8192), 0);
    refuse(fd, 4096, "unsealed");
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
    refuse(fd, 4096, "sealed against growing only");
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    refuse(fd, 8193, "smaller than wanted");
    int null = open("/dev/null", O_RDWR);
    refuse(null, 0, "not a memfd");
    refuse(-1, 0, "no descriptor at all");
}

Test(segment, handed_over_by_name)
{
    struct error err = {{0}};
    struct segment segment = created(4096);
    char argument[32];
    char program[] = "program";
    char other[] = "ringing=1";
    void *base = NULL;
    snprintf(argument, sizeof(argument), "ring=%d", segment.fd);
    char *argv[] = {program, other, argument, NULL};
    cr_assert_eq(segment_map_handover(3, argv, "ring", true, 4096, &base, NULL, &err), 0, "%s", err.text);
    cr_assert_eq(segment_map_handover(3, argv, "table", true, 4096, &base, NULL, &err), -EINVAL);
    cr_assert_not_null(strstr(err.text, "table"));
    snprintf(argument, sizeof(argument), "ring=%dx", segment.fd);
    cr_assert_eq(segment_map_handover(3, argv, "ring", true, 4096, &base, NULL, &err), -EINVAL);
    snprintf(argument, sizeof(argument), "ring=-1");
    cr_assert_eq(segment_map_handover(3, argv, "ring", true, 4096, &base, NULL, &err), -EINVAL);
}
