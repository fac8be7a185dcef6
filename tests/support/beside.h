/* Data that lies beside the tree, in ../shared/data: real recordings, which have licences of their own. Where there
 * are none a test is skipped, and says so. */
#ifndef SUPPORT_BESIDE_H
#define SUPPORT_BESIDE_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef BESIDE_DIR
#define BESIDE_DIR "../shared/data"
#endif

/* SLUICE_DATA_DIR names another folder. The file's bytes, at most `max`; ends the test if it is not there. */
static inline uint32_t beside_read(const char *name, uint8_t *to, uint32_t max)
{
    char path[512];
    const char *folder = getenv("SLUICE_DATA_DIR");
    snprintf(path, sizeof(path), "%s/%s", folder != NULL ? folder : BESIDE_DIR, name);
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        cr_skip_test("SKIPPED: no recording %s; put it there, or name its folder in SLUICE_DATA_DIR", path);
    }
    uint32_t bytes = (uint32_t)fread(to, 1, max, file);
    fclose(file);
    cr_assert_gt(bytes, 0, "%s is empty", path);
    return bytes;
}

#endif
