/* What sluice doctor leaves for the arming gate: whatever is not exactly that is none. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/certificate.h"

#define BOOT     "2c8f1d3e-0000-4b1c-9d7a-0123456789ab"
#define CHECKSUM UINT64_C(0x00ab54a98ceb1f0a)

static const char good[] = "sluice doctor verdict 1\n"
                           "boot " BOOT "\n"
                           "config 00ab54a98ceb1f0a\n"
                           "dangers 0\nunknowns 0\ntime 1795690000\nseconds 60\nend\n";
static char folder[64];
static char path[96];

static struct certificate fine(void)
{
    return (struct certificate){.boot = BOOT, .checksum = CHECKSUM, .time_s = 1795690000, .seconds = 60};
}

static void make_folder(void)
{
    strcpy(folder, "/tmp/sluice-certificate-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/stand" CERTIFICATE_SUFFIX, folder);
}

static void remove_folder(void)
{
    unlink(path);
    cr_expect_eq(rmdir(folder), 0, "nothing else is left");
}

TestSuite(certificate, .init = make_folder, .fini = remove_folder);

static void put(const char *text, size_t bytes, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes && fchmod(fd, mode) == 0);
    close(fd);
}

Test(certificate, printed_and_parsed)
{
    struct certificate from = fine();
    struct certificate to;
    char text[CERTIFICATE_BYTES_MAX];
    cr_assert_eq(certificate_print(&from, text, sizeof(text)), sizeof(good) - 1);
    cr_assert_str_eq(text, good);
    cr_assert(certificate_parse(good, sizeof(good) - 1, &to));
    cr_assert_str_eq(to.boot, BOOT);
    cr_assert(to.checksum == CHECKSUM && to.time_s == 1795690000 && to.seconds == 60);
    cr_assert(to.dangers == 0 && to.unknowns == 0);
    cr_assert_eq(certificate_print(&from, text, 40), 0, "not enough room");
    from.checksum = to.time_s = UINT64_MAX;
    from.time_s = UINT64_MAX;
    from.dangers = from.unknowns = from.seconds = UINT32_MAX;
    size_t bytes = certificate_print(&from, text, sizeof(text));
    cr_assert(bytes > 0 && certificate_parse(text, bytes, &to), "the longest that there is");
}

/* Every beginning is not whole; every other byte is something else, or another certificate. */
Test(certificate, truncated_and_changed)
{
    struct certificate to = {.seconds = 7};
    char text[sizeof(good)];
    for (size_t n = 0; n < sizeof(good) - 1; n++) {
        cr_assert(!certificate_parse(good, n, &to), "%zu bytes", n);
    }
    cr_assert(to.seconds == 7 && to.boot[0] == 0, "untouched");
    cr_assert(!certificate_parse(good, sizeof(good), &to), "a 0 at the end");
    for (size_t i = 0; i < sizeof(good) - 1; i++) {
        for (int byte = 0; byte < 256; byte++) {
            char again[CERTIFICATE_BYTES_MAX];
            memcpy(text, good, sizeof(good));
            text[i] = (char)byte;
            if (certificate_parse(text, sizeof(good) - 1, &to)) {
                cr_assert_eq(certificate_print(&to, again, sizeof(again)), sizeof(good) - 1);
                cr_assert_arr_eq(again, text, sizeof(good) - 1);
            }
        }
    }
}

/* One word of the good one is another. */
static void refused(const char *from, const char *to)
{
    char text[1024];
    struct certificate out;
    const char *at = strstr(good, from);
    cr_assert_not_null(at, "%s", from);
    int n = snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    cr_assert(!certificate_parse(text, (size_t)n, &out), "%s", text);
}

Test(certificate, nonsense)
{
    refused("verdict 1", "verdict 2");
    refused("verdict 1", "undo 1");
    refused("boot " BOOT, "boot unknown");
    refused("boot " BOOT, "boot ");
    refused("boot " BOOT, "boot " BOOT "0");
    refused("boot 2c8f1d3e", "boot 2C8F1D3E");
    refused("config 00ab54a98ceb1f0a", "config ab54a98ceb1f0a");
    refused("config 00ab54a98ceb1f0a", "config 00AB54A98CEB1F0A");
    refused("config 00ab54a98ceb1f0a", "config 0x00ab54a98ceb1f");
    refused("dangers 0", "dangers -0");
    refused("dangers 0", "dangers ");
    refused("dangers 0", "dangers 00");
    refused("dangers 0", "dangers 4294967296"); /* 0 to whoever cuts it off */
    refused("dangers 0", "dangers 0x0");
    refused("dangers 0", "dangers 0 ");
    refused("dangers 0\n", "");
    refused("dangers 0\n", "dangers 0\ndangers 0\n");
    refused("dangers 0\nunknowns 0", "unknowns 0\ndangers 0");
    refused("unknowns 0", "unknowns +0");
    refused("time 1795690000", "time 99999999999999999999999");
    refused("seconds 60", "seconds 0"); /* nothing was measured */
    refused("seconds 60\n", "seconds 60\r\n");
    refused("end\n", "end\nend\n");
    refused("end\n", "end");
}

Test(certificate, too_long)
{
    char text[2 * CERTIFICATE_BYTES_MAX];
    struct certificate to;
    memset(text, 'a', sizeof(text));
    cr_assert(!certificate_parse(text, sizeof(text), &to));
    memcpy(text, good, sizeof(good) - 1);
    cr_assert(!certificate_parse(text, CERTIFICATE_BYTES_MAX, &to));
    cr_assert(!certificate_parse(text, CERTIFICATE_BYTES_MAX + 1, &to));
}

Test(certificate, judgement)
{
    struct certificate c = fine();
    cr_assert_eq(certificate_judge(&c, BOOT, CHECKSUM), CERTIFICATE_GOOD);
    cr_assert_eq(certificate_judge(NULL, BOOT, CHECKSUM), CERTIFICATE_NONE);
    cr_assert_eq(certificate_judge(&c, BOOT, CHECKSUM + 1), CERTIFICATE_OTHER_CONFIG);
    cr_assert_eq(certificate_judge(&c, "3c8f1d3e-0000-4b1c-9d7a-0123456789ab", CHECKSUM), CERTIFICATE_OTHER_BOOT);
    cr_assert_eq(certificate_judge(&c, "", CHECKSUM), CERTIFICATE_OTHER_BOOT, "this boot is not known");
    c.boot[0] = 0;
    cr_assert_eq(certificate_judge(&c, "", CHECKSUM), CERTIFICATE_OTHER_BOOT, "none of them is");
    c = fine();
    c.dangers = 1;
    cr_assert_eq(certificate_judge(&c, BOOT, CHECKSUM), CERTIFICATE_NOT_FIT);
    c = fine();
    c.unknowns = 1;
    cr_assert_eq(certificate_judge(&c, BOOT, CHECKSUM), CERTIFICATE_NOT_FIT);
    for (enum certificate_state state = CERTIFICATE_NONE; state <= CERTIFICATE_GOOD; state++) {
        cr_assert_neq(certificate_words(state)[0], 0);
    }
}

Test(certificate, written_and_read)
{
    struct certificate from = fine();
    struct certificate to;
    struct stat st;
    from.dangers = 3;
    cr_assert_eq(certificate_read(path, &to), -ENOENT);
    cr_assert_eq(certificate_write(path, &from), 0);
    cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    cr_assert_eq(certificate_read(path, &to), 0);
    cr_assert_eq(to.dangers, 3);
    from.dangers = 0; /* over the old one, which nothing is left of */
    cr_assert_eq(certificate_write(path, &from), 0);
    cr_assert(certificate_read(path, &to) == 0 && to.dangers == 0);
}

/* The fault: it was killed between writing and renaming; and a link lies where it writes to. */
Test(certificate, what_a_killed_one_has_left)
{
    struct certificate from = fine();
    struct certificate to;
    char next[128];
    snprintf(next, sizeof(next), "%s.new", path);
    cr_assert_eq(symlink("/dev/null", next), 0);
    cr_assert_eq(certificate_write(path, &from), 0);
    cr_assert_eq(certificate_read(path, &to), 0);
}

Test(certificate, no_place_to_write)
{
    struct certificate from = fine();
    cr_assert_eq(certificate_write("/nonexistent/stand.doctor", &from), -ENOENT);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_lt(certificate_write(path, &from), 0, "a directory stands there");
    cr_assert_eq(rmdir(path), 0);
}

/* Whoever else could have written it is not believed. */
Test(certificate, files_of_others)
{
    struct certificate to;
    put(good, sizeof(good) - 1, 0600);
    cr_assert_eq(certificate_read(path, &to), 0);
    put(good, sizeof(good) - 1, 0644);
    cr_assert_eq(certificate_read(path, &to), 0, "others may read it");
    put(good, sizeof(good) - 1, 0660);
    cr_assert_eq(certificate_read(path, &to), -EPERM);
    put(good, sizeof(good) - 1, 0602);
    cr_assert_eq(certificate_read(path, &to), -EPERM);
    put(good, sizeof(good) - 1, 0600);
    if (geteuid() == 0) {
        cr_assert_eq(chown(path, 12345, 0), 0);
        cr_assert_eq(certificate_read(path, &to), -EPERM, "of another user");
        cr_assert_eq(chown(path, 0, 0), 0);
    }
    put(good, 30, 0600);
    cr_assert_eq(certificate_read(path, &to), -EPROTO);
    put("", 0, 0600);
    cr_assert_eq(certificate_read(path, &to), -EPROTO);
}

/* Neither followed nor waited for. */
Test(certificate, no_files)
{
    struct certificate to;
    char real[128];
    snprintf(real, sizeof(real), "%s.real", path);
    put(good, sizeof(good) - 1, 0600);
    cr_assert_eq(rename(path, real), 0);
    cr_assert_eq(symlink(real, path), 0);
    cr_assert_eq(certificate_read(path, &to), -ELOOP);
    unlink(path);
    unlink(real);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(certificate_read(path, &to), -EPERM);
    unlink(path);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(certificate_read(path, &to), -EPERM);
    cr_assert_eq(rmdir(path), 0);
}

Test(certificate, where_it_lies)
{
    struct error err = {{0}};
    char where[64];
    setenv("SLUICE_RUN_DIR", "/run/here", 1);
    cr_assert_eq(certificate_path(where, sizeof(where), "stand", &err), 0);
    cr_assert_str_eq(where, "/run/here/stand.doctor");
    cr_assert_eq(certificate_path(where, 10, "stand", &err), -ENAMETOOLONG);
    cr_assert_neq(err.text[0], 0);
}
