#include <linux/gpio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daq/compile.h"
#include "ring/channel.h"

#define I2C_ADDRESS_LEAST 0x03u /* those below and above are the bus's own (UM10204, 3.1.12) */
#define I2C_ADDRESS_MOST  0x77u
#define READ_BYTES_MAX    256u
#define SMBUS_BYTES_MAX   32u

/* What scan_elements/NAME_type says: [be|le]:[s|u]BITS/STORAGEBITS[>>SHIFT]. */
struct scan_type {
    bool is_big;
    bool is_signed;
    uint32_t bits;
    uint32_t storage_bits;
    uint32_t shift;
};

static bool take_number(const char **at, uint32_t *number)
{
    char *end;
    unsigned long n = strtoul(*at, &end, 10);
    if (end == *at || **at < '0' || **at > '9' || n > 64) {
        return false;
    }
    *at = end;
    *number = (uint32_t)n;
    return true;
}

static bool parse_type(const char *text, struct scan_type *type)
{
    const char *at = text;
    *type = (struct scan_type){.is_big = strncmp(at, "be:", 3) == 0};
    if (!type->is_big && strncmp(at, "le:", 3) != 0) {
        return false;
    }
    at += 3;
    type->is_signed = *at == 's';
    if (*at != 's' && *at != 'u') {
        return false;
    }
    at++;
    if (!take_number(&at, &type->bits) || *at++ != '/' || !take_number(&at, &type->storage_bits)) {
        return false;
    }
    if (strncmp(at, ">>", 2) == 0) {
        at += 2;
        if (!take_number(&at, &type->shift)) {
            return false;
        }
    }
    uint32_t storage = type->storage_bits;
    return *at == 0 && type->bits > 0 && (storage == 8 || storage == 16 || storage == 32 || storage == 64) &&
           type->bits + type->shift <= storage;
}

static uint32_t ring_type_of(const struct scan_type *type)
{
    static const uint32_t is_unsigned[] = {RING_TYPE_U8, RING_TYPE_U16, RING_TYPE_U32, RING_TYPE_U64};
    static const uint32_t is_signed[] = {RING_TYPE_I8, RING_TYPE_I16, RING_TYPE_I32, RING_TYPE_I64};
    uint32_t n = type->storage_bits == 8 ? 0 : type->storage_bits == 16 ? 1 : type->storage_bits == 32 ? 2 : 3;
    return type->is_signed ? is_signed[n] : is_unsigned[n];
}

bool compile_scan(struct compile *c, const char *where, const struct source_plan *source, const char *name,
                  struct ring_channel *to)
{
    for (uint32_t n = 0; n < source->iio.scans; n++) {
        const struct iio_scan *scan = &source->iio.scan[n];
        struct scan_type type;
        if (strcmp(scan->name, name) != 0 || !parse_type(scan->type, &type)) {
            continue;
        }
        to->at_byte = scan->at_byte;
        to->type = ring_type_of(&type);
        to->byte_order = type.is_big ? RING_BIG_ENDIAN : RING_LITTLE_ENDIAN;
        if (type.bits < type.storage_bits) { /* a driver may leave anything in the others: a channel's number */
            to->bits = (uint8_t)type.bits;
            to->shift = (uint8_t)type.shift;
        }
        return true;
    }
    config_complain(c->file, c->errors, where, "no element '%s' in the source's scan", name);
    return false;
}

/* A scan: each element on a multiple of its own length, the whole on a multiple of the longest
 * (Documentation/driver-api/iio/buffers.rst). */
static void lay_out(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    uint32_t longest = 1;
    for (uint32_t n = 0; n < from->scan_count && n < PLAN_SCANS_MAX; n++) {
        struct iio_scan *scan = &to->iio.scan[n];
        struct scan_type type;
        compile_path(path, "sources[%u].scan[%u]", i, n);
        for (uint32_t k = 0; k < n; k++) {
            if (strcmp(from->scan[k].name, from->scan[n].name) == 0) {
                config_complain(c->file, c->errors, path, "element '%.60s' stands there twice", from->scan[n].name);
            }
        }
        if (strlen(from->scan[n].name) >= sizeof(scan->name) || strchr(from->scan[n].name, '/') != NULL) {
            config_complain(c->file, c->errors, path, "expected a name such as in_voltage0, found '%.60s'",
                            from->scan[n].name);
            continue;
        }
        if (strlen(from->scan[n].type) >= sizeof(scan->type) || !parse_type(from->scan[n].type, &type)) {
            config_complain(c->file, c->errors, path,
                            "expected a type as scan_elements/%s_type has it, such as le:s12/16>>4, found '%.60s'",
                            from->scan[n].name, from->scan[n].type);
            continue;
        }
        uint32_t bytes = type.storage_bits / 8;
        snprintf(scan->name, sizeof(scan->name), "%s", from->scan[n].name);
        /* As the kernel writes it, which has a shift always. */
        snprintf(scan->type, sizeof(scan->type), "%s:%c%u/%u>>%u", type.is_big ? "be" : "le",
                 type.is_signed ? 's' : 'u', type.bits, type.storage_bits, type.shift);
        scan->at_byte = (to->frame_bytes + bytes - 1) / bytes * bytes;
        to->frame_bytes = scan->at_byte + bytes;
        longest = bytes > longest ? bytes : longest;
    }
    to->frame_bytes = (to->frame_bytes + longest - 1) / longest * longest;
    to->iio.scans = from->scan_count;
}

void compile_iio(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct iio_plan *iio = &to->iio;
    compile_string(c, i, "device", from->device, iio->device, sizeof(iio->device),
                   "an IIO device (its name, or iio:device0)");
    if (from->trigger != NULL) {
        compile_string(c, i, "trigger", from->trigger, iio->trigger, sizeof(iio->trigger), "a trigger (its name)");
    }
    iio->rate_hz = from->rate_hz != NULL ? *from->rate_hz : 0;
    if (from->rate_hz != NULL && (!(iio->rate_hz > 0) || iio->rate_hz > 1e6 || from->trigger == NULL)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].rate_hz", i),
                        "expected above 0 to 1e6 Hz, of the trigger that is named, found %g", iio->rate_hz);
    }
    iio->length = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].buffer_length", i),
                                            from->buffer_length, 1024, 2, 1048576, "scans");
    if (from->scan_count == 0) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].scan", i),
                        "expected the elements of a scan in the device's order, such as [{name: in_voltage0, type: "
                        "'be:u12/16>>0'}], found none");
    }
    lay_out(c, i, from, to);
    to->framing = (struct framing_plan){.kind = FRAMING_MESSAGE};
}

static uint32_t word_or(const int *given, uint32_t standard)
{
    return given != NULL ? (uint32_t)*given : standard;
}

void compile_gpio(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct gpio_plan *gpio = &to->gpio;
    compile_string(c, i, "device", from->device, gpio->device, sizeof(gpio->device), "a GPIO chip");
    compile_path(path, "sources[%u].lines", i);
    if (from->lines_count == 0 || from->lines_count > PLAN_LINES_MAX) {
        config_complain(c->file, c->errors, path, "expected 1 to %u numbers of lines, found %u", PLAN_LINES_MAX,
                        from->lines_count);
        return;
    }
    gpio->lines = from->lines_count;
    for (uint32_t n = 0; n < gpio->lines; n++) {
        gpio->line[n] = from->lines[n];
        for (uint32_t k = 0; k < n; k++) {
            if (gpio->line[k] == gpio->line[n]) {
                config_complain(c->file, c->errors, path, "line %u stands there twice", gpio->line[n]);
            }
        }
    }
    gpio->edges = word_or(from->edges, GPIO_EDGES_BOTH);
    gpio->bias = word_or(from->bias, GPIO_BIAS_AS_IS);
    gpio->active_low = from->active_low != NULL && *from->active_low;
    gpio->debounce_us = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].debounce_us", i),
                                                  from->debounce_us, 0, 1, 1000000, "us");
    if (to->kind == SOURCE_GPIO_LEVELS) {
        to->frame_bytes = sizeof(uint32_t);
        return;
    }
    to->framing = (struct framing_plan){.kind = FRAMING_MESSAGE};
    to->frame_bytes = sizeof(struct gpio_v2_line_event);
    to->sequence = (struct sequence_spec){.width_bytes = 4,
                                          .at_byte = offsetof(struct gpio_v2_line_event, seqno),
                                          .byte_order = RING_LITTLE_ENDIAN,
                                          .step = 1};
}

static void compile_read(struct compile *c, const char *path, const struct config_bus_read *from, bool i2c,
                         struct bus_read *to)
{
    if (from->write != NULL && !compile_hex(from->write, to->write, PLAN_WRITE_BYTES, &to->write_bytes)) {
        config_complain(c->file, c->errors, path, "expected write as hex digits of at most %u bytes, found '%.60s'",
                        PLAN_WRITE_BYTES, from->write);
    }
    uint32_t most = i2c ? SMBUS_BYTES_MAX : READ_BYTES_MAX;
    if (from->read_bytes < 1 || from->read_bytes > most) {
        config_complain(c->file, c->errors, path, "expected read_bytes from 1 to %u, found %u", most,
                        from->read_bytes);
        return;
    }
    to->read_bytes = from->read_bytes;
}

void compile_bus(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct bus_plan *bus = &to->bus;
    bool i2c = to->kind == SOURCE_I2C;
    compile_string(c, i, "device", from->device, bus->device, sizeof(bus->device),
                   i2c ? "an I2C bus" : "a spidev device");
    bus->address = from->bus_address != NULL ? *from->bus_address : 0;
    if (i2c && (bus->address < I2C_ADDRESS_LEAST || bus->address > I2C_ADDRESS_MOST)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].bus_address", i),
                        "expected an address of 7 bits from 0x%02x to 0x%02x, found 0x%02x", I2C_ADDRESS_LEAST,
                        I2C_ADDRESS_MOST, bus->address);
    }
    bus->mode = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].mode", i), from->mode, 0, 0, 3, "");
    bus->speed_hz = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].speed_hz", i), from->speed_hz,
                                              1000000, 1000, 100000000, "Hz");
    bus->bits_per_word = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].bits_per_word", i),
                                                   from->bits_per_word, 8, 8, 32, "bits");
    if (from->reads_count == 0) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].reads", i),
                        "expected what is to be read, such as [{write: '00', read_bytes: 2}], found nothing");
    }
    uint32_t word_bytes = bus->bits_per_word <= 8 ? 1 : bus->bits_per_word <= 16 ? 2 : 4;
    for (uint32_t r = 0; r < from->reads_count && r < PLAN_READS_MAX; r++) {
        compile_read(c, compile_path(path, "sources[%u].reads[%u]", i, r), &from->reads[r], i2c, &bus->read[r]);
        if (!i2c && (bus->read[r].write_bytes + bus->read[r].read_bytes) % word_bytes != 0) {
            config_complain(c->file, c->errors, path, "expected whole words of %u bytes, found %u bytes",
                            word_bytes, bus->read[r].write_bytes + bus->read[r].read_bytes);
        }
        to->frame_bytes += bus->read[r].read_bytes;
        bus->reads++;
    }
}
