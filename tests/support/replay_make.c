/* replay-make CONFIG DIRECTORY RING FRAMES STEP_US [events]: a recording of one ring, and what must come out of a
 * replay of it, as JSON on standard output. The content of a frame is readers.content() of its number with seed 20;
 * in a ring with channels it is frame() of support.py, whose pressure goes from 100 to 200 kPa at two thirds.
 *
 * `events`: losses of every kind, repeats, stragglers, gap records, and positions that the recorder has missed. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daq/compile_replay.h"
#include "daq/record_writer.h"
#include "net/sequence.h"

#define FIRST_NS UINT64_C(1700000000000000000)
#define SEED     UINT64_C(20)
#define MISSED   7u

static struct record_writer *writer;
static struct ring_ledger ledger;
static struct error err;
static uint64_t position;
static uint64_t step_ns;
static bool watched;
static const char *comma = "";

static void big(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
}

/* support.frame() */
static uint32_t fill_watched(uint8_t *to, uint64_t number, float pressure)
{
    uint32_t raw;
    memcpy(&raw, &pressure, sizeof(raw));
    memset(to, 0, 32);
    big(to, 0x54564143, 4);
    big(to + 4, number & UINT32_MAX, 4);
    big(to + 8, FIRST_NS + position * step_ns, 8);
    big(to + 16, raw, 4);
    big(to + 20, 300000, 4);
    big(to + 24, 2000, 2);
    big(to + 26, 2500, 2);
    big(to + 30, net_crc16_ccitt(to + 4, 26), 2);
    return 32;
}

/* readers.content() */
static uint32_t fill_data(uint8_t *to, uint64_t number)
{
    uint64_t word = (number + 1) * UINT64_C(0xBF58476D1CE4E5B9) + SEED * UINT64_C(0x94D049BB133111EB);
    uint64_t words[8] = {number};
    for (uint64_t i = 0; i < 7; i++) {
        words[i + 1] = word ^ (i * UINT64_C(0x9E3779B97F4A7C15));
    }
    memcpy(to, words, sizeof(words));
    return sizeof(words);
}

static void tell(const struct ring_descriptor *d, const uint8_t *payload)
{
    printf("%s\n[%" PRIu64 ", %" PRIu64 ", %u, %u, %u, \"", comma, d->source_sequence, d->tai_ns, d->flags & 0xffu,
           (unsigned)(d->flags >> RING_FLAG_CAUSE_SHIFT), d->lost_before);
    for (unsigned i = 0; i < d->length_bytes; i++) {
        printf("%02x", payload[i]);
    }
    printf("\"]");
    comma = ",";
}

static void put(uint64_t number, unsigned flags, unsigned cause, unsigned lost, const struct ring_gap *gap,
                float pressure)
{
    uint8_t payload[64];
    struct ring_descriptor d = {.sequence = position + 1,
                                .tai_ns = FIRST_NS + position * step_ns,
                                .source_sequence = number,
                                .flags = (uint16_t)(flags | cause << RING_FLAG_CAUSE_SHIFT),
                                .lost_before = (uint16_t)lost};
    if (gap != NULL) {
        memcpy(payload, gap, sizeof(*gap));
        d.length_bytes = sizeof(*gap);
        ledger.gap_records++;
    } else {
        d.length_bytes = (uint16_t)(watched ? fill_watched(payload, number, pressure) : fill_data(payload, number));
        ledger.bytes += d.length_bytes;
    }
    int code = record_writer_frame(writer, &d, payload, &err);
    assert(code == 0);
    (void)code;
    tell(&d, payload);
    position++;
}

static void good(uint64_t number, float pressure)
{
    put(number, 0, 0, 0, NULL, pressure);
    ledger.sent++;
    ledger.delivered++;
}

static void after_loss(uint64_t number, unsigned cause, unsigned lost, float pressure)
{
    put(number, RING_FLAG_LOST_BEFORE, cause, lost, NULL, pressure);
    ledger.sent += 1 + lost;
    ledger.delivered++;
    ledger.lost[cause] += lost;
}

static void gap_record(unsigned cause, uint64_t count)
{
    struct ring_gap gap = {.cause = cause, .count = count};
    put(position, RING_FLAG_GAP, cause, (unsigned)count, &gap, 0);
}

/* What a replay makes of it is a gap record of cause restart. */
static void recorders_gap(uint64_t count)
{
    struct record_gap gap = {.from_position = position,
                             .to_position = position + count,
                             .count = count,
                             .tai_ns = FIRST_NS + position * step_ns,
                             .cause = RECORD_CAUSE_OVERWRITTEN};
    int code = record_writer_gap(writer, &gap, &err);
    assert(code == 0);
    (void)code;
    position += count;
    printf("%s\n[null, null, 1, %d, %" PRIu64 ", null]", comma, RING_LOSS_RESTART, count);
    ledger.sent += count;
    ledger.lost[RING_LOSS_RESTART] += count;
    ledger.gap_records++;
}

static void write_frames(uint64_t frames, bool events)
{
    uint64_t number = 1000;
    for (uint64_t i = 0; i < frames; i++) {
        float pressure = 3 * i < 2 * frames ? 100 : 200;
        uint64_t at = events ? i % 100 : 0;
        if (events && i == frames / 2) {
            recorders_gap(MISSED);
            number += MISSED;
        }
        if (at == 50) {
            number += 3;
            after_loss(number++, RING_LOSS_KERNEL, 3, pressure);
        } else if (at == 70) {
            gap_record(RING_LOSS_MALFORMED, 1);
            number += 1;
            after_loss(number++, RING_LOSS_MALFORMED, 1, pressure);
        } else if (at == 80) {
            put(number - 1, RING_FLAG_DUPLICATE, 0, 0, NULL, pressure);
            ledger.duplicated++;
        } else if (at == 90) {
            number += 1;
            after_loss(number++, RING_LOSS_SENDER, 1, pressure);
            put(number - 2, RING_FLAG_REORDERED, 0, 0, NULL, pressure);
            ledger.reordered++;
            ledger.delivered++;
            ledger.lost[RING_LOSS_SENDER]--;
        } else {
            good(number++, pressure);
        }
    }
}

static struct server_plan plan;

static void begin(const char *config, const char *directory, const char *name)
{
    static struct config_errors errors;
    struct config_file file;
    struct record_source what = {.json = "{\"operator\":\"nobody\"}"};
    uint32_t r = 0;
    if (config_load(&file, config, &errors) != 0 || compile_elsewhere(&file, NULL, &plan, &errors) != 0) {
        fputs(errors.text, stderr);
        exit(2);
    }
    while (r < plan.rings && strcmp(plan.ring[r].name, name) != 0) {
        r++;
    }
    assert(r < plan.rings);
    const struct ring_plan *ring = &plan.ring[r];
    watched = ring->channel_count > 0;
    what.channel = ring->channel;
    what.number = &plan.table.number[ring->first_number];
    what.stream = &ring->stream;
    what.config = file.text;
    what.header = (struct record_file_header){.stripes = 1,
                                              .channels = ring->channel_count,
                                              .numbers = ring->number_count,
                                              .streams = 1,
                                              .json_bytes = (uint32_t)strlen(what.json),
                                              .config_bytes = (uint32_t)file.text_bytes,
                                              .stamp = RING_STAMP_TAKEN,
                                              .utc_offset_s = 37,
                                              .slot_bytes = ring->slot_bytes,
                                              .payload_offset = ring->payload_offset,
                                              .payload_bytes = ring->slot_bytes - ring->payload_offset,
                                              .slots = ring->slots,
                                              .created_tai_ns = FIRST_NS};
    /* One run, however many rings are made for it, one after the other. */
    memset(what.header.run, 0x5a, sizeof(what.header.run));
    memcpy(what.header.instance, plan.instance, sizeof(what.header.instance));
    memcpy(what.header.ring, name, strlen(name));
    if (record_writer_open(&writer, directory, &what, 65536, &err) != 0) {
        fprintf(stderr, "replay-make: %s\n", err.text);
        exit(2);
    }
    config_unload(&file);
}

static void tell_ledger(void)
{
    printf("],\n\"ledger\": {\"sent\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"duplicated\": %" PRIu64
           ", \"reordered\": %" PRIu64 ", \"lost\": {",
           ledger.sent, ledger.delivered, ledger.duplicated, ledger.reordered);
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        printf("%s\"%s\": %" PRIu64, i > 0 ? ", " : "", ring_loss_name(i), ledger.lost[i]);
    }
    printf("}}}\n");
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: replay-make CONFIG DIRECTORY RING FRAMES STEP_US [events]\n");
        return 2;
    }
    step_ns = strtoull(argv[5], NULL, 10) * 1000;
    begin(argv[1], argv[2], argv[3]);
    printf("{\"items\": [");
    write_frames(strtoull(argv[4], NULL, 10), argc > 6);
    tell_ledger();
    if (record_writer_close(writer, RECORD_CLOSE_STOPPED, &ledger, &err) != 0) {
        fprintf(stderr, "replay-make: %s\n", err.text);
        return 2;
    }
    return 0;
}
