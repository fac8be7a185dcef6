/* The machine's watchdog, with a file in its place; the ioctl is replaced when the test is linked. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/watchdog.h"

static struct {
    bool is_watchdog;
    bool settable;
    int timeout_s;
    int longest_s; /* it rounds down to this */
} driver = {.is_watchdog = true, .settable = true, .timeout_s = 60, .longest_s = 1000};

static char path[] = "/tmp/sluice-watchdog-XXXXXX";
static int device = -1;
static struct error err;

/* The name is the linker's. NOLINTNEXTLINE(*-reserved-identifier,cert-*,readability-identifier-naming) */
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    (void)fd;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    if (!driver.is_watchdog || (request == WDIOC_SETTIMEOUT && !driver.settable)) {
        errno = ENOTTY;
        return -1;
    }
    if (request == WDIOC_GETSUPPORT) {
        *(struct watchdog_info *)argument = (struct watchdog_info){
            .options = WDIOF_MAGICCLOSE | (driver.settable ? WDIOF_SETTIMEOUT : 0u), .identity = "fake"};
        return 0;
    }
    if (request == WDIOC_SETTIMEOUT) {
        driver.timeout_s = *(int *)argument < driver.longest_s ? *(int *)argument : driver.longest_s;
    }
    *(int *)argument = driver.timeout_s;
    return 0;
}

static void prepare(void)
{
    device = mkstemp(path);
}

static void clean_up(void)
{
    unlink(path);
}

TestSuite(watchdog, .init = prepare, .fini = clean_up);

static void expect_written(const char *expected)
{
    char text[64] = {0};
    cr_assert_geq(pread(device, text, sizeof(text) - 1, 0), 0);
    cr_assert_str_eq(text, expected);
}

Test(watchdog, its_timeout_is_what_was_asked_for_or_it_is_stopped_again)
{
    int fd = watchdog_open(path, 10, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    cr_assert_eq(driver.timeout_s, 10);
    expect_written("");
    close(fd);
    driver.longest_s = 8;
    cr_assert_eq(watchdog_open(path, 10, &err), -ERANGE);
    cr_assert_not_null(strstr(err.text, "it has 8 s"), "%s", err.text);
    expect_written("V");
}

Test(watchdog, a_driver_with_a_fixed_timeout_must_have_the_right_one)
{
    driver.settable = false;
    int fd = watchdog_open(path, 60, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    close(fd);
    cr_assert_eq(watchdog_open(path, 30, &err), -ERANGE);
}

Test(watchdog, what_is_none_is_refused)
{
    driver.is_watchdog = false;
    cr_assert_eq(watchdog_open(path, 10, &err), -ENOTTY);
    cr_assert_not_null(strstr(err.text, "expected a watchdog device"));
    cr_assert_eq(watchdog_open("/tmp/sluice-no-such-directory/watchdog", 10, &err), -ENOENT);
}

Test(watchdog, it_is_petted_once_per_period_and_only_while_all_is_fresh)
{
    struct watchdog watchdog;
    watchdog_init(&watchdog, device, 100);
    cr_assert_not(watchdog_pet(&watchdog, 1000, false), "never before the first fresh cycle");
    cr_assert(watchdog_pet(&watchdog, 1000, true));
    cr_assert_not(watchdog_pet(&watchdog, 1099, true));
    cr_assert_not(watchdog_pet(&watchdog, 5000, false));
    cr_assert(watchdog_pet(&watchdog, 5001, true));
    cr_assert(watchdog_pet(&watchdog, 4000, true), "a clock that went back does not starve it");
    cr_assert_eq(watchdog.pets, 3);
    expect_written("ppp");
    watchdog_release(&watchdog);
    expect_written("pppV");
    cr_assert_not(watchdog_pet(&watchdog, 9000, true), "which would take the magic back");
    expect_written("pppV");
}

Test(watchdog, without_one_nothing_is_written)
{
    struct watchdog watchdog;
    watchdog_init(&watchdog, device, 0);
    cr_assert_not(watchdog_pet(&watchdog, 1000, true));
    watchdog_release(&watchdog);
    expect_written("");
}

Test(watchdog, a_pet_that_is_refused_is_counted)
{
    struct watchdog watchdog;
    int closed = dup(device);
    close(closed);
    watchdog_init(&watchdog, closed, 100);
    cr_assert_not(watchdog_pet(&watchdog, 1000, true));
    cr_assert_eq(watchdog.errors, 1);
    cr_assert_not(watchdog_is_due(&watchdog, 1099, true), "not in every cycle again");
}
