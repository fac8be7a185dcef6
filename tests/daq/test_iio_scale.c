/* What a device of Industrial I/O says of its counts, by files as the kernel has them. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/iio_scale.h"

static char folder[32];
static const char *const files[] = {"in_voltage0_scale", "in_voltage0_offset", "in_voltage-voltage_scale",
                                    "in_voltage_scale",  "in_accel_scale",     "in_temp_scale",
                                    "in_temp_offset"};

static void set_up(void)
{
    strcpy(folder, "/tmp/sluice-iio-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void tear_down(void)
{
    char path[128];
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        unlink(path);
    }
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(iio_scale, .init = set_up, .fini = tear_down);

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

Test(iio_scale, its_own_files_and_those_of_its_kind)
{
    struct iio_scale scale;
    put("in_voltage_scale", "0.5\n");
    put("in_voltage0_scale", "0.001333\n");
    put("in_voltage0_offset", "7\n");
    put("in_voltage-voltage_scale", "0.25\n");
    put("in_accel_scale", "0.125\n");
    cr_assert(iio_scale_of(folder, "in_voltage0", &scale));
    cr_assert_float_eq(scale.scale, 0.001333, 1e-12);
    cr_assert_float_eq(scale.offset, 7 * 0.001333, 1e-12); /* it is added before the scale */
    cr_assert_str_eq(scale.unit, "mV");
    cr_assert(iio_scale_of(folder, "in_voltage12", &scale));
    cr_assert_float_eq(scale.scale, 0.5, 1e-12);
    cr_assert_float_eq(scale.offset, 0, 1e-12);
    cr_assert(iio_scale_of(folder, "in_voltage1-voltage2", &scale));
    cr_assert_float_eq(scale.scale, 0.25, 1e-12);
    cr_assert(iio_scale_of(folder, "in_accel_x", &scale));
    cr_assert_float_eq(scale.scale, 0.125, 1e-12);
    cr_assert_str_eq(scale.unit, "m/s^2");
}

Test(iio_scale, what_is_not_said_is_not_made_up)
{
    struct iio_scale scale;
    cr_assert_not(iio_scale_of(folder, "in_voltage0", &scale));
    put("in_temp_scale", "");
    cr_assert_not(iio_scale_of(folder, "in_temp", &scale));
    put("in_temp_scale", "nan\n");
    cr_assert_not(iio_scale_of(folder, "in_temp", &scale));
    put("in_temp_scale", "10 apples\n");
    cr_assert_not(iio_scale_of(folder, "in_temp", &scale));
    put("in_temp_scale", "10\n");
    put("in_temp_offset", "x\n");
    cr_assert_not(iio_scale_of(folder, "in_temp", &scale));
    put("in_temp_offset", "-5\n");
    cr_assert(iio_scale_of(folder, "in_temp", &scale));
    cr_assert_float_eq(scale.offset, -50, 1e-12);
    cr_assert_not(iio_scale_of("/nonexistent", "in_temp", &scale));
}
