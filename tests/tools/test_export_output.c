#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/export/output.h"

static char directory[64];
static char path[128];

static void begin(void)
{
    strcpy(directory, "/tmp/sluice-output-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/out", directory);
}

static void end(void)
{
    unlink(path);
    rmdir(directory);
}

static unsigned entries(void)
{
    unsigned count = 0;
    DIR *at = opendir(directory);
    cr_assert_not_null(at);
    while (readdir(at) != NULL) {
        count++;
    }
    closedir(at);
    return count - 2; /* without . and .. */
}

static uint64_t size_of(const char *name)
{
    struct stat found;
    return stat(name, &found) == 0 ? (uint64_t)found.st_size : UINT64_MAX;
}

static void put(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

Test(export_output, is_there_once_it_is_whole, .init = begin, .fini = end)
{
    struct output output;
    struct error err;
    cr_assert_eq(output_begin(&output, path, false, &err), 0, "%s", err.text);
    for (int i = 0; i < 300; i++) {
        static const uint8_t piece[10007];
        cr_assert_eq(output_write(&output, piece, sizeof(piece), &err), 0);
    }
    cr_assert_eq(entries(), 1);
    cr_assert_eq(size_of(path), UINT64_MAX);
    cr_assert_eq(output_commit(&output, &err), 0, "%s", err.text);
    cr_assert_eq(entries(), 1);
    cr_assert_eq(size_of(path), UINT64_C(300) * 10007);
    output_abandon(&output); /* is fine, and takes nothing away */
    cr_assert_eq(entries(), 1);
}

Test(export_output, abandoned_it_leaves_nothing, .init = begin, .fini = end)
{
    struct output output;
    struct error err;
    cr_assert_eq(output_begin(&output, path, false, &err), 0);
    cr_assert_eq(output_write(&output, "text", 4, &err), 0);
    output_abandon(&output);
    cr_assert_eq(entries(), 0);
}

Test(export_output, what_is_there_is_kept, .init = begin, .fini = end)
{
    struct output output;
    struct error err;
    put("precious");
    cr_assert_eq(output_begin(&output, path, false, &err), -EEXIST);
    cr_assert_not_null(strstr(err.text, "--force"));
    output_abandon(&output);
    cr_assert_eq(entries(), 1);
    cr_assert_eq(output_begin(&output, path, true, &err), 0);
    cr_assert_eq(output_commit(&output, &err), 0);
    cr_assert_eq(size_of(path), 0);
}

Test(export_output, who_comes_first_is_not_replaced, .init = begin, .fini = end)
{
    struct output output;
    struct error err;
    cr_assert_eq(output_begin(&output, path, false, &err), 0);
    put("precious");
    cr_assert_eq(output_commit(&output, &err), -EEXIST);
    cr_assert_eq(entries(), 1);
    cr_assert_eq(size_of(path), 8);
}

Test(export_output, refuses, .init = begin, .fini = end)
{
    struct output output;
    struct error err;
    char *longer = calloc(1, OUTPUT_PATH_BYTES + 1);
    memset(longer, 'x', OUTPUT_PATH_BYTES);
    cr_assert_eq(output_begin(&output, longer, false, &err), -ENAMETOOLONG);
    cr_assert_eq(output_begin(&output, "/nowhere/at/all", false, &err), -ENOENT);
    cr_assert_not_null(strstr(err.text, "does its directory exist"));
    cr_assert_eq(output_begin(&output, directory, true, &err), -EEXIST);
    output_abandon(&output);
    free(longer);
}

Test(export_output, counts_and_sums, .init = begin, .fini = end)
{
    struct output output;
    struct error err;
    cr_assert_eq(output_begin(&output, path, false, &err), 0);
    output.keeps_crc = true;
    cr_assert_eq(output_write(&output, "12345", 5, &err), 0);
    cr_assert_eq(output_write(&output, "6789", 4, &err), 0);
    cr_assert_eq(output.crc, 0xcbf43926); /* CRC-32's check value */
    cr_assert_eq(output.bytes, 9);
    output_abandon(&output);
}
