/* Makes a recording whose every byte is known, for tests of what reads recordings:
 *
 *   record-make DIR KIND [--frames N] [--seed N] [--bytes N] [--channels N] [--file FILE] [--abandon]
 *                       [--rotate] [--no-utc] [--quiet]
 *
 * KIND: sensors   channels of all types and calibrations, short frames, gap records, frames with losses, positions
 * that the recorder missed packets   datagrams of any length from a configured udp source, numbered, with losses
 *       blocks    frames of --bytes each and no channels, as of a dpdk source
 *       wide      --channels f64 channels and nothing else
 *       vdif      the frames of --file, one each
 *       two       as blocks, of two streams in turn
 *       both      sensors and packets
 * Without --quiet every frame and gap is printed as a line of JSON, numbers of channels as C99 hexadecimal floats.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daq/record_writer.h"
#include "ring/channel.h"
#include "ring/channel_check.h"
#include "ring/clock.h"
#include "tests/support/random.h"

#define BEGIN_TAI_NS UINT64_C(1795703437000000000) /* 2026-11-26T14:30:00Z, 37 s ahead of UTC */
#define OFFSET_S     37
#define STEP_NS      UINT64_C(1000001)
#define PAYLOAD_MAX  8192u
#define SENSOR_BYTES 72u

struct make {
    const char *directory;
    const char *kind;
    const char *file;
    uint64_t frames;
    uint64_t seed;
    uint32_t bytes;
    uint32_t channels;
    bool abandon;
    bool rotate; /* a second segment, from the middle on */
    bool no_utc; /* the kernel was not told TAI - UTC */
    bool quiet;
};

struct ring_made {
    const char *name;
    struct record_source source;
    struct ring_channel channel[RING_CHANNELS_MAX];
    double number[16];
    struct ring_stream stream[2];
    struct record_writer *writer;
    struct ring_ledger ledger;
    uint64_t position;
    uint64_t sequence;
    uint8_t payload[PAYLOAD_MAX];
};

static const char run_json[] =
    "{\"test_id\": \"T-17\", \"operator\": \"Ada Lovelace\", \"notes\": [{\"by\": \"Ada\", \"text\": \"leak "
    "\\u00b5\"}, {\"by\": null, \"text\": \"tight\"}], \"attempt\": 3}\n";

static const char config_yaml[] = "instance: stand\n"
                                  "rings:\n"
                                  "  - {name: sensors, slots: 1024}\n"
                                  "  - {name: packets, slots: 1024}\n"
                                  "sources:\n"
                                  "  - name: packets\n"
                                  "    kind: udp\n"
                                  "    ring: packets\n"
                                  "    listen: 0.0.0.0:5000\n"
                                  "    group: 239.1.2.3\n"
                                  "    from: 192.0.2.20:4321\n"
                                  "    sequence: {at_byte: 0, width_bytes: 8}\n";

static void die(const struct error *err)
{
    fprintf(stderr, "record-make: %s\n", err->text);
    exit(1);
}

static struct ring_channel *add_channel(struct ring_made *ring, const char *name, uint32_t type, uint32_t at_byte,
                                        bool big, double scale, double offset)
{
    struct ring_channel *channel = &ring->channel[ring->source.header.channels++];
    *channel = (struct ring_channel){.at_byte = at_byte,
                                     .type = type,
                                     .byte_order = big ? RING_BIG_ENDIAN : RING_LITTLE_ENDIAN,
                                     .scale = scale,
                                     .offset = offset,
                                     .range_low = -1e9,
                                     .range_high = 1e9};
    snprintf(channel->name, sizeof(channel->name), "%s", name);
    snprintf(channel->unit, sizeof(channel->unit), "kPa");
    return channel;
}

static void calibrate(struct ring_made *ring, struct ring_channel *channel, uint16_t calibration, const char *unit,
                      const double *numbers, uint32_t count)
{
    struct record_file_header *header = &ring->source.header;
    channel->calibration = calibration;
    channel->first_number = header->numbers;
    channel->numbers = count;
    snprintf(channel->unit, sizeof(channel->unit), "%s", unit);
    for (uint32_t i = 0; i < count; i++) {
        ring->number[header->numbers++] = numbers[i];
    }
}

static void describe_sensors(struct ring_made *ring)
{
    static const double polynomial[] = {1, 2, 0.5};
    static const double points[] = {0, 0, 1000, 10, 65535, 20};
    static const double junction = 25;
    static const double logarithmic[] = {0.001, -3};
    add_channel(ring, "i8", RING_TYPE_I8, 0, false, 0.5, -1);
    add_channel(ring, "u8", RING_TYPE_U8, 1, false, 0.1, 0);
    add_channel(ring, "i16be", RING_TYPE_I16, 2, true, 0.1, 3);
    add_channel(ring, "u16", RING_TYPE_U16, 4, false, 1, 0);
    add_channel(ring, "i32be", RING_TYPE_I32, 8, true, 1e-3, 0);
    add_channel(ring, "u32", RING_TYPE_U32, 12, false, 1, -7);
    add_channel(ring, "i64", RING_TYPE_I64, 16, false, 1, 0);
    add_channel(ring, "u64be", RING_TYPE_U64, 24, true, 1, 0);
    add_channel(ring, "f32", RING_TYPE_F32, 32, false, 1, 0);
    add_channel(ring, "f32be", RING_TYPE_F32, 36, true, 2, 0);
    add_channel(ring, "pressure", RING_TYPE_F64, 40, false, 1, 0);
    add_channel(ring, "f64be", RING_TYPE_F64, 48, true, 1, 0.25);
    struct ring_channel *adc = add_channel(ring, "adc", RING_TYPE_U16, 56, false, 0.0625, 0);
    adc->bits = 12;
    adc->shift = 4;
    calibrate(ring, add_channel(ring, "poly/2", RING_TYPE_I16, 58, false, 0.01, 0), RING_CALIBRATION_POLYNOMIAL,
              "V", polynomial, 3);
    calibrate(ring, add_channel(ring, "position", RING_TYPE_U16, 60, false, 1, 0), RING_CALIBRATION_POINTS, "mm",
              points, 6);
    struct ring_channel *couple = add_channel(ring, "temp, \"K\"", RING_TYPE_I16, 62, false, 0.001, 0);
    couple->thermocouple = RING_THERMOCOUPLE_K;
    calibrate(ring, couple, RING_CALIBRATION_THERMOCOUPLE,
              "\xc2\xb0"
              "C",
              &junction, 1);
    calibrate(ring, add_channel(ring, "time", RING_TYPE_U16, 64, false, 1, 0), RING_CALIBRATION_LOGARITHMIC, "mbar",
              logarithmic, 2);
}

static void check_channels(const struct ring_made *ring)
{
    struct error err;
    const struct record_file_header *header = &ring->source.header;
    for (uint32_t i = 0; i < header->channels; i++) {
        if (ring_channel_check(ring->channel, header->channels, sizeof(ring->channel[0]), i, ring->number,
                               header->numbers, &err) != 0) {
            die(&err);
        }
    }
}

static void begin(struct ring_made *ring, const struct make *make, const uint8_t run[RECORD_RUN_BYTES],
                  const char *name, const char *source)
{
    struct record_file_header *header = &ring->source.header;
    struct error err;
    ring->name = name;
    memcpy(header->run, run, RECORD_RUN_BYTES);
    header->stripes = 1;
    header->streams = strcmp(name, "two") == 0 ? 2 : 1;
    header->stamp = RING_STAMP_TAKEN;
    header->utc_offset_s = make->no_utc ? 0 : OFFSET_S;
    header->tai_minus_monotonic_ns =
        clock_measure_tai_offset_ns() + (int64_t)CLOCK_NS_PER_S * (OFFSET_S - clock_utc_offset_s());
    header->slot_bytes = PAYLOAD_MAX + 64;
    header->payload_offset = 64;
    header->payload_bytes = PAYLOAD_MAX;
    header->slots = 1024;
    header->created_tai_ns = BEGIN_TAI_NS;
    snprintf(header->instance, sizeof(header->instance), "stand");
    snprintf(header->ring, sizeof(header->ring), "%s", name);
    snprintf(header->recorder, sizeof(header->recorder), "test");
    for (uint32_t i = 0; i < header->streams; i++) {
        struct ring_stream *stream = &ring->stream[i];
        snprintf(stream->name, sizeof(stream->name), i == 0 ? "%s" : "%s_b", name);
        snprintf(stream->source, sizeof(stream->source), "%s", source);
        stream->stamp = RING_STAMP_TAKEN;
    }
    header->json_bytes = (uint32_t)strlen(run_json);
    header->config_bytes = (uint32_t)strlen(config_yaml);
    ring->source.channel = ring->channel;
    ring->source.number = ring->number;
    ring->source.stream = ring->stream;
    ring->source.json = run_json;
    ring->source.config = config_yaml;
    check_channels(ring);
    if (record_writer_open(&ring->writer, make->directory, &ring->source, 64 << 10, &err) != 0) {
        die(&err);
    }
}

static uint64_t stamp_of(const struct ring_made *ring)
{
    return BEGIN_TAI_NS + ring->position * STEP_NS;
}

static void tell_frame(const struct ring_made *ring, const struct ring_descriptor *d)
{
    printf("{\"ring\":\"%s\",\"position\":%" PRIu64 ",\"tai_ns\":%" PRIu64 ",\"sequence\":%" PRIu64
           ",\"stream\":%u,\"lost_before\":%u,\"payload\":\"",
           ring->name, d->sequence - 1, d->tai_ns, d->source_sequence, d->stream,
           (d->flags & RING_FLAG_LOST_BEFORE) != 0 ? d->lost_before : 0u);
    for (uint32_t i = 0; i < d->length_bytes; i++) {
        printf("%02x", ring->payload[i]);
    }
    printf("\",\"values\":[");
    for (uint32_t i = 0; i < ring->source.header.channels; i++) {
        double value = (double)__builtin_nan("");
        (void)ring_channels_decode(ring->channel, i, ring->number, ring->payload, d->length_bytes, &value);
        printf(ring_is_not_finite(value) ? "%s\"nan\"" : "%s\"%a\"", i > 0 ? "," : "", value);
    }
    printf("]}\n");
}

static void put(struct ring_made *ring, const struct make *make, uint32_t length, uint32_t flags, uint64_t lost)
{
    struct error err;
    uint32_t stream = (uint32_t)(ring->position % ring->source.header.streams);
    struct ring_descriptor d = {.sequence = ring->position + 1,
                                .tai_ns = stamp_of(ring),
                                .source_sequence = ring->sequence,
                                .rest = ring_pack_rest(length, flags, stream, lost)};
    if (record_writer_frame(ring->writer, &d, ring->payload, &err) != 0) {
        die(&err);
    }
    if (!make->quiet && (flags & RING_FLAG_GAP) == 0) {
        tell_frame(ring, &d);
    }
    ring->position++;
}

static void tell_gap(const struct ring_made *ring, const struct make *make, const char *by, uint64_t from,
                     uint64_t to, uint64_t count, const char *cause)
{
    if (!make->quiet) {
        printf("{\"ring\":\"%s\",\"told_by\":\"%s\",\"from_position\":%" PRIu64 ",\"to_position\":%" PRIu64
               ",\"count\":%" PRIu64 ",\"tai_ns\":%" PRIu64 ",\"cause\":\"%s\"}\n",
               ring->name, by, from, to, count, stamp_of(ring), cause);
    }
}

/* The ring's own gap record. */
static void put_gap_record(struct ring_made *ring, const struct make *make, uint32_t cause, uint64_t count)
{
    struct ring_gap gap = {.cause = cause, .count = count};
    tell_gap(ring, make, "ring", ring->position, ring->position + 1, count, ring_loss_name(cause));
    memcpy(ring->payload, &gap, sizeof(gap));
    ring->ledger.lost[cause] += count;
    ring->ledger.gap_records++;
    put(ring, make, sizeof(gap), RING_FLAG_GAP | cause << RING_FLAG_CAUSE_SHIFT, count);
}

/* Positions that the recorder did not get. */
static void skip(struct ring_made *ring, const struct make *make, uint64_t count)
{
    struct error err;
    struct record_gap gap = {.from_position = ring->position,
                             .to_position = ring->position + count,
                             .count = count,
                             .tai_ns = stamp_of(ring),
                             .cause = RECORD_CAUSE_OVERWRITTEN};
    tell_gap(ring, make, "recorder", ring->position, ring->position + count, count, "overwritten");
    if (record_writer_gap(ring->writer, &gap, &err) != 0) {
        die(&err);
    }
    ring->position += count;
    ring->sequence += count;
    ring->ledger.delivered += count;
}

static void fill(struct ring_made *ring, struct test_random *random, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 8) {
        uint64_t word = test_random_next(random);
        memcpy(ring->payload + i, &word, sizeof(word));
    }
}

static void swap(uint8_t *at, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes / 2; i++) {
        uint8_t byte = at[i];
        at[i] = at[bytes - 1 - i];
        at[bytes - 1 - i] = byte;
    }
}

static void fill_sensors(struct ring_made *ring, struct test_random *random, uint64_t i)
{
    fill(ring, random, SENSOR_BYTES);
    double pressure = i % 17 == 16 ? (double)__builtin_nan("") : (double)test_random_below(random, 1000000) / 997.0;
    float small = (float)pressure / 3;
    int16_t millivolts = (int16_t)test_random_below(random, 30000);
    memcpy(ring->payload + 32, &small, sizeof(small));
    memcpy(ring->payload + 36, &small, sizeof(small));
    swap(ring->payload + 36, sizeof(small));
    memcpy(ring->payload + 40, &pressure, sizeof(pressure));
    memcpy(ring->payload + 48, &pressure, sizeof(pressure));
    swap(ring->payload + 48, sizeof(pressure));
    memcpy(ring->payload + 62, &millivolts, sizeof(millivolts));
}

static void lose(struct ring_made *ring, const struct make *make, uint64_t i)
{
    if (i % 100 == 60) {
        ring->sequence += 3;
        put_gap_record(ring, make, RING_LOSS_MALFORMED, 3);
    }
    if (i % 100 == 80) {
        skip(ring, make, 5);
    }
}

static uint32_t lost_before(struct ring_made *ring, const struct make *make, uint64_t i, uint64_t *lost)
{
    *lost = i % 100 == 40 ? 7 : 0;
    if (*lost == 0) {
        return 0;
    }
    ring->sequence += *lost;
    ring->ledger.lost[RING_LOSS_KERNEL] += *lost;
    tell_gap(ring, make, "frame", ring->position, ring->position, *lost, ring_loss_name(RING_LOSS_KERNEL));
    return RING_FLAG_LOST_BEFORE | (uint32_t)RING_LOSS_KERNEL << RING_FLAG_CAUSE_SHIFT;
}

static void put_next(struct ring_made *ring, const struct make *make, uint32_t bytes, uint32_t flags, uint64_t lost)
{
    put(ring, make, bytes, flags, lost);
    ring->sequence++;
    ring->ledger.delivered++;
    ring->ledger.bytes += bytes;
}

static void make_frame(struct ring_made *ring, const struct make *make, struct test_random *random, uint64_t i)
{
    uint64_t lost = 0;
    uint32_t flags = 0;
    uint32_t bytes = make->bytes;
    if (strcmp(ring->name, "sensors") == 0) {
        lose(ring, make, i);
        flags = lost_before(ring, make, i, &lost);
        fill_sensors(ring, random, i);
        bytes = i % 50 == 25 ? 20 : SENSOR_BYTES;
    } else if (strcmp(ring->name, "packets") == 0) {
        lose(ring, make, i);
        flags = lost_before(ring, make, i, &lost);
        bytes = 8 + (uint32_t)test_random_below(random, 1465);
        fill(ring, random, bytes);
        memcpy(ring->payload, &ring->sequence, sizeof(ring->sequence));
    } else if (strcmp(ring->name, "wide") == 0) {
        bytes = 8 * make->channels;
        for (uint32_t k = 0; k < make->channels; k++) {
            double value = (double)(i * 1000 + k) / 7;
            memcpy(ring->payload + 8 * (size_t)k, &value, sizeof(value));
        }
    } else {
        memcpy(ring->payload, &i, sizeof(i)); /* the rest stays: making them must not take long */
    }
    put_next(ring, make, bytes, flags, lost);
}

static void put_file(struct ring_made *ring, const struct make *make)
{
    FILE *file = make->file != NULL ? fopen(make->file, "rb") : NULL;
    struct error err;
    uint8_t head[16];
    if (file == NULL) {
        error_set(&err, 0, "--file: cannot read %s: %s", make->file != NULL ? make->file : "(none)",
                  strerror(errno));
        die(&err);
    }
    while (fread(head, 1, sizeof(head), file) == sizeof(head)) {
        uint32_t bytes = 8 * ((uint32_t)head[8] | (uint32_t)head[9] << 8 | (uint32_t)head[10] << 16);
        memcpy(ring->payload, head, sizeof(head));
        if (bytes <= sizeof(head) || bytes > PAYLOAD_MAX ||
            fread(ring->payload + sizeof(head), 1, bytes - sizeof(head), file) != bytes - sizeof(head)) {
            error_set(&err, 0, "%s: expected whole VDIF frames, found none of %u bytes", make->file, bytes);
            die(&err);
        }
        put_next(ring, make, bytes, 0, 0);
    }
    fclose(file);
}

static void finish(struct ring_made *ring, const struct make *make)
{
    struct error err;
    if (make->abandon) {
        (void)record_writer_flush(ring->writer, &err);
        record_writer_abandon(ring->writer);
        return;
    }
    ring->ledger.sent = ring->ledger.delivered;
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        ring->ledger.sent += ring->ledger.lost[i];
    }
    if (record_writer_close(ring->writer, RECORD_CLOSE_STOPPED, &ring->ledger, &err) != 0) {
        die(&err);
    }
}

static void make_ring(struct ring_made *ring, const struct make *make, const uint8_t run[RECORD_RUN_BYTES],
                      const char *name)
{
    struct test_random random = {make->seed + (uint64_t)name[0]};
    memset(ring, 0, sizeof(*ring));
    if (strcmp(name, "sensors") == 0) {
        describe_sensors(ring);
    }
    for (uint32_t i = 0; strcmp(name, "wide") == 0 && i < make->channels; i++) {
        char channel[32];
        snprintf(channel, sizeof(channel), "c%u", i);
        add_channel(ring, channel, RING_TYPE_F64, 8 * i, false, 1, 0);
    }
    ring->stream[0].frame_bytes = strcmp(name, "blocks") == 0 ? make->bytes : 0;
    begin(ring, make, run, name,
          strcmp(name, "blocks") == 0    ? "dpdk"
          : strcmp(name, "packets") == 0 ? "udp"
                                         : "test");
    if (strcmp(name, "vdif") == 0) {
        put_file(ring, make);
    }
    for (uint64_t i = 0; strcmp(name, "vdif") != 0 && i < make->frames; i++) {
        struct error err;
        make_frame(ring, make, &random, i);
        if (make->rotate && i == make->frames / 2 && record_writer_rotate(ring->writer, &err) != 0) {
            die(&err);
        }
    }
    if (strcmp(name, "packets") == 0) {
        put_gap_record(ring, make, RING_LOSS_RING_FULL, 2); /* nothing follows it */
    }
    finish(ring, make);
}

static void write_text(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    if (file != NULL) {
        fputs(text, file);
        fclose(file);
    }
}

static bool take_option(struct make *make, const char *option, const char *value)
{
    if (strcmp(option, "--file") == 0) {
        make->file = value;
        return true;
    }
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(option, "--frames") == 0) {
        make->frames = number;
    } else if (strcmp(option, "--seed") == 0) {
        make->seed = number;
    } else if (strcmp(option, "--bytes") == 0 && number >= 8 && number <= PAYLOAD_MAX) {
        make->bytes = (uint32_t)number;
    } else if (strcmp(option, "--channels") == 0 && number >= 1 && number <= RING_CHANNELS_MAX) {
        make->channels = (uint32_t)number;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct ring_made ring;
    struct make make = {.frames = 1000, .seed = 1, .bytes = 1500, .channels = 8};
    uint8_t run[RECORD_RUN_BYTES];
    struct error err;
    bool good = argc >= 3;
    for (int i = 3; good && i < argc; i++) {
        if (strcmp(argv[i], "--abandon") == 0) {
            make.abandon = true;
        } else if (strcmp(argv[i], "--rotate") == 0) {
            make.rotate = true;
        } else if (strcmp(argv[i], "--no-utc") == 0) {
            make.no_utc = true;
        } else if (strcmp(argv[i], "--quiet") == 0) {
            make.quiet = true;
        } else {
            good = i + 1 < argc && take_option(&make, argv[i], argv[i + 1]);
            i++;
        }
    }
    if (!good) {
        fprintf(stderr, "usage: record-make DIR sensors|packets|blocks|two|wide|vdif|both [--frames N] [--seed N] "
                        "[--bytes N] [--channels N] [--file FILE] [--abandon] [--rotate] [--no-utc] [--quiet]\n");
        return 2;
    }
    make.directory = argv[1];
    make.kind = argv[2];
    if ((mkdir(make.directory, 0755) != 0 && errno != EEXIST) || record_run_make(run, &err) != 0) {
        perror(make.directory);
        return 1;
    }
    write_text(make.directory, RECORD_RUN_FILE, run_json);
    write_text(make.directory, RECORD_CONFIG_FILE, config_yaml);
    if (strcmp(make.kind, "both") == 0) {
        make_ring(&ring, &make, run, "packets");
        make_ring(&ring, &make, run, "sensors");
    } else {
        make_ring(&ring, &make, run, make.kind);
    }
    return 0;
}
