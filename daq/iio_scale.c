#include "daq/iio_scale.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 512u

enum found { FOUND_NOTHING, FOUND_NUMBER, FOUND_NONSENSE };

static enum found read_number(const char *folder, const char *name, const char *what, double *number)
{
    char path[PATH_BYTES];
    char text[64] = "";
    char *end;
    snprintf(path, sizeof(path), "%s/%s_%s", folder, name, what);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return FOUND_NOTHING;
    }
    bool got = fgets(text, sizeof(text), file) != NULL;
    fclose(file);
    *number = strtod(text, &end);
    bool is_number = got && end != text && (*end == 0 || *end == '\n') && isfinite(*number);
    return is_number ? FOUND_NUMBER : FOUND_NONSENSE;
}

/* in_voltage0 -> in_voltage, in_voltage1-voltage2 -> in_voltage-voltage, in_accel_x -> in_accel: what all of a kind
 * share. */
static void kind_of(const char *element, char kind[64])
{
    size_t n = 0;
    for (const char *at = element; *at != 0 && n < 63; at++) {
        if (*at == '_' && n > 3) { /* behind in_ */
            break;
        }
        if (isdigit((unsigned char)*at) == 0) {
            kind[n++] = *at;
        }
    }
    kind[n] = 0;
}

static enum found read_either(const char *folder, const char *element, const char *what, double *number)
{
    char kind[64];
    kind_of(element, kind);
    enum found own = read_number(folder, element, what, number);
    return own != FOUND_NOTHING ? own : read_number(folder, kind, what, number);
}

static const char *unit_of(const char *element)
{
    static const char *const units[][2] = {{"in_voltage", "mV"},     {"in_current", "mA"},
                                           {"in_power", "mW"},       {"in_temp", "thousandths of a degC"},
                                           {"in_pressure", "kPa"},   {"in_humidityrelative", "thousandths of a %"},
                                           {"in_resistance", "Ohm"}, {"in_accel", "m/s^2"},
                                           {"in_anglvel", "rad/s"},  {"in_magn", "Gauss"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strncmp(element, units[i][0], strlen(units[i][0])) == 0) {
            return units[i][1];
        }
    }
    return "the kernel's unit";
}

bool iio_scale_of(const char *folder, const char *element, struct iio_scale *scale)
{
    double offset = 0;
    if (read_either(folder, element, "scale", &scale->scale) != FOUND_NUMBER) {
        return false;
    }
    enum found found = read_either(folder, element, "offset", &offset); /* most have none */
    if (found == FOUND_NONSENSE) {
        return false;
    }
    scale->offset = found == FOUND_NUMBER ? offset * scale->scale : 0;
    scale->unit = unit_of(element);
    return true;
}

void iio_scale_tell(const char *folder, const struct source_plan *plan)
{
    for (uint32_t i = 0; i < plan->iio.scans; i++) {
        const char *name = plan->iio.scan[i].name;
        struct iio_scale scale;
        if (iio_scale_of(folder, name, &scale)) {
            fprintf(stderr, "source %s: %s, %s: the device has scale: %.9g, offset: %.9g for %s\n", plan->name,
                    plan->iio.device, name, scale.scale, scale.offset, scale.unit);
        }
    }
}
