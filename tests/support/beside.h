/* Data that lies beside the tree, in the folder that SLUICE_SHARED names (../shared if it names none): real
 * recordings, which have licences of their own. Where there are none a test is skipped, and says so. */
#ifndef SUPPORT_BESIDE_H
#define SUPPORT_BESIDE_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef BESIDE_DIR
#define BESIDE_DIR "../shared"
#endif

/* The bytes of a file in its data/, at most `max`; ends the test if it is not there. */
static inline uint32_t beside_read(const char *name, uint8_t *to, uint32_t max)
{
    char path[512];
    const char *folder = getenv("SLUICE_SHARED");
    snprintf(path, sizeof(path), "%s/data/%s", folder != NULL ? folder : BESIDE_DIR, name);
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        fprintf(stderr, "SKIPPED: %s is not there: NO REAL RECORDING WAS READ (SLUICE_SHARED names the folder)\n",
                path);
        cr_skip_test("%s is not there", path);
    }
    uint32_t bytes = (uint32_t)fread(to, 1, max, file);
    fclose(file);
    cr_assert_gt(bytes, 0, "%s is empty", path);
    return bytes;
}

#endif
