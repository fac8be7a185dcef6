#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "ring/clock.h"

#define PERIOD_MS_LEAST 0.1
#define PERIOD_MS_MOST  3600000.0

/* A time in ms with a fraction, in bounds. */
static uint64_t bounded_ns(struct compile *c, uint32_t i, const char *key, const double *given, double standard_ms,
                           double least_ms, double most_ms)
{
    char path[COMPILE_PATH_BYTES];
    double ms = given != NULL ? *given : standard_ms;
    if (!isfinite(ms) || ms < least_ms || ms > most_ms) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].%s", i, key),
                        "expected %g to %g ms, found %g", least_ms, most_ms, ms);
        ms = standard_ms;
    }
    return (uint64_t)(ms * (double)CLOCK_NS_PER_MS + 0.5);
}

static void compile_sysfs(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct sysfs_plan *sysfs = &to->sysfs;
    compile_path(path, "sources[%u].attributes", i);
    if (from->attributes_count == 0 || from->attributes_count > PLAN_ATTRIBUTES_MAX) {
        config_complain(c->file, c->errors, path,
                        "expected 1 to %u paths such as /sys/class/hwmon/hwmon0/temp1_input, found %u",
                        PLAN_ATTRIBUTES_MAX, from->attributes_count);
        return;
    }
    for (uint32_t a = 0; a < from->attributes_count; a++) {
        if (from->attributes[a][0] != '/' || strlen(from->attributes[a]) >= PLAN_PATH_BYTES) {
            config_complain(c->file, c->errors, path,
                            "expected a whole path of at most %u characters, found '%.150s'", PLAN_PATH_BYTES - 1,
                            from->attributes[a]);
        }
        snprintf(sysfs->path[a], sizeof(sysfs->path[a]), "%s", from->attributes[a]);
    }
    sysfs->attributes = from->attributes_count;
    to->framing.fields = from->attributes_count;
    to->frame_bytes = 8 * from->attributes_count;
}

void compile_poll(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    to->framing.kind = FRAMING_POLLED;
    to->poll.period_ns = bounded_ns(c, i, "period_ms", from->period_ms, 100, PERIOD_MS_LEAST, PERIOD_MS_MOST);
    to->poll.timeout_ns = bounded_ns(c, i, "timeout_ms", from->timeout_ms, 500, 1, 60000);
    switch (to->kind) {
    case SOURCE_GPIO_LEVELS:
        compile_gpio(c, i, from, to);
        break;
    case SOURCE_I2C:
    case SOURCE_SPI:
        compile_bus(c, i, from, to);
        break;
    case SOURCE_MODBUS_TCP:
    case SOURCE_MODBUS_RTU:
        compile_modbus(c, i, from, to);
        break;
    case SOURCE_SCPI:
        compile_scpi(c, i, from, to);
        break;
    case SOURCE_REGISTERS:
        compile_registers(c, i, from, to);
        break;
    case SOURCE_COMEDI_POLLED:
        compile_comedi(c, i, from, to);
        break;
    default:
        compile_sysfs(c, i, from, to);
        break;
    }
}
