/* daq/record_build.c, record_pack.c, record_crc.c and record_writer.c: the bytes of a recording. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/record_writer.h"

TestSuite(record_build, .timeout = 60);

static struct record_source source_of(void)
{
    static const struct ring_stream stream = {.name = "one", .source = "udp"};
    static const char json[] = "{\"operator\":\"me\"}";
    struct record_source source = {.stream = &stream, .json = json};
    source.header.streams = 1;
    source.header.stripes = 1;
    source.header.json_bytes = sizeof(json) - 1;
    source.header.slot_bytes = 128;
    source.header.payload_offset = 32;
    source.header.payload_bytes = 96;
    memcpy(source.header.ring, "packets", 8);
    cr_assert_eq(record_run_make(source.header.run, NULL), 0);
    return source;
}

static struct ring_descriptor descriptor_of(uint64_t position, uint16_t length_bytes)
{
    struct ring_descriptor d = {
        .sequence = position + 1, .tai_ns = 1000 + position, .source_sequence = 7 + position};
    d.length_bytes = length_bytes;
    return d;
}

Test(record_build, crc_is_that_of_the_rfc)
{
    uint8_t zeros[32] = {0};
    cr_assert_eq(record_crc(0, "123456789", 9), 0xe3069283u);
    cr_assert_eq(record_crc(0, zeros, 32), 0x8a9136aau); /* RFC 3720, B.4 */
    cr_assert_eq(record_crc(record_crc(0, "1234", 4), "56789", 5), 0xe3069283u, "goes on");
    cr_assert_eq(record_crc(5, zeros, 0), 5u);
}

Test(record_build, every_cause_and_end_has_a_name)
{
    for (uint32_t i = 0; i < RECORD_CAUSES; i++) {
        cr_assert(i == RECORD_CAUSE_UNKNOWN || strcmp(record_cause_name(i), "unknown") != 0);
    }
    cr_assert_str_eq(record_cause_name(RECORD_CAUSES), "unknown");
    for (uint32_t i = RECORD_CLOSE_STOPPED; i <= RECORD_CLOSE_RECOVERED; i++) {
        cr_assert(strcmp(record_close_name(i), "unknown") != 0);
    }
    cr_assert_str_eq(record_close_name(0), "unknown");
    cr_assert_str_eq(record_close_name(99), "unknown");
}

Test(record_build, names_of_files)
{
    char name[RECORD_FILE_NAME_BYTES];
    record_file_name(name, "a", 3, 0, 1);
    cr_assert_str_eq(name, "a.000003.slr");
    record_file_name(name, "a", 3, 1, 2);
    cr_assert_str_eq(name, "a.000003.1.slr");
}

Test(record_build, a_block_is_packed_until_it_is_full)
{
    uint8_t payload[4096];
    uint8_t data[100] = "abc";
    struct record_packing packing = {.payload = payload, .room = sizeof(payload)};
    uint8_t run[RECORD_RUN_BYTES] = {1};
    record_packing_begin(&packing, run, 5, 10);
    uint64_t position = 10;
    for (;;) {
        struct ring_descriptor d = descriptor_of(position, 100);
        if (!record_packing_add(&packing, &d, data)) {
            break;
        }
        position++;
    }
    cr_assert_eq(packing.lead.frames, 4096 / 136, "132 bytes, rounded up to 8");
    cr_assert_eq(packing.lead.first_position, 10);
    cr_assert_eq(packing.lead.end_position, position);
    cr_assert_eq(packing.lead.first_tai_ns, 1010);
    cr_assert_eq(packing.lead.last_tai_ns, 1000 + position - 1);
    cr_assert_eq(packing.lead.last_sequence, 7 + position - 1);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(payload[132 + i], 0, "zeros behind a payload");
    }
    struct ring_ledger ledger = {.sent = 9};
    record_block_finish(&packing.lead, payload, &ledger, 77);
    cr_assert_eq(packing.lead.bytes, (uint64_t)2 * RECORD_ALIGN);
    cr_assert_eq(packing.lead.ledger.sent, 9);
    cr_assert_eq(packing.lead.written_tai_ns, 77);
    cr_assert_eq(packing.lead.payload_crc, record_crc(0, payload, packing.lead.payload_bytes));
    cr_assert_eq(packing.lead.crc, record_crc(0, &packing.lead, RECORD_LEAD_BYTES - 4));
}

Test(record_build, gaps_that_adjoin_become_one)
{
    struct record_block lead = {.first_position = 10, .end_position = 10};
    struct record_gap gap = {
        .from_position = 10, .to_position = 20, .count = 10, .cause = RECORD_CAUSE_OVERWRITTEN};
    cr_assert(record_lead_gap(&lead, &gap));
    gap.from_position = 20;
    gap.to_position = 25;
    gap.count = 5;
    cr_assert(record_lead_gap(&lead, &gap));
    cr_assert_eq(lead.gaps, 1);
    cr_assert_eq(lead.gap[0].count, 15);
    cr_assert_eq(lead.gap[0].to_position, 25);
    cr_assert_eq(lead.first_position, 25, "where the first frame will be");
    gap.cause = RECORD_CAUSE_DISK_SLOW;
    for (unsigned i = 1; i < RECORD_GAPS_MAX; i++) {
        gap.from_position = gap.to_position + 1;
        gap.to_position = gap.from_position + 1;
        gap.count = 1;
        cr_assert(record_lead_gap(&lead, &gap));
    }
    gap.from_position += 2;
    gap.to_position += 2;
    cr_assert_not(record_lead_gap(&lead, &gap), "no room: the block is to be ended");
    struct record_totals totals = {0};
    record_totals_add(&totals, &lead);
    cr_assert_eq(totals.missing[RECORD_CAUSE_OVERWRITTEN], 15);
    cr_assert_eq(totals.missing[RECORD_CAUSE_DISK_SLOW], RECORD_GAPS_MAX - 1);
    cr_assert_eq(totals.next_position, lead.end_position);
}

Test(record_build, whole_slots)
{
    struct record_source source = source_of();
    uint8_t slots[32 * 128] = {0};
    for (uint64_t i = 0; i < 32; i++) {
        struct ring_descriptor d = descriptor_of(100 + i, 96);
        memcpy(slots + i * 128, &d, sizeof(d));
    }
    struct record_block lead = {.number = 4};
    record_slots_lead(&lead, &source.header, slots, 100, 32);
    cr_assert_eq(lead.kind, RECORD_SLOTS);
    cr_assert_eq(lead.number, 4);
    cr_assert_eq(lead.frames, 32);
    cr_assert_eq(lead.first_position, 100);
    cr_assert_eq(lead.end_position, 132);
    cr_assert_eq(lead.first_tai_ns, 1100);
    cr_assert_eq(lead.last_tai_ns, 1131);
    cr_assert_eq(lead.payload_bytes, UINT64_C(32) * 128);
    record_slots_lead(&lead, &source.header, slots, 100, 1);
    cr_assert_eq(lead.last_tai_ns, 1100);
    cr_assert_eq(lead.frames, 1);
}

static uint8_t *read_whole(const char *directory, const char *name, size_t *bytes)
{
    char path[256];
    struct stat at;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0, "%s", path);
    cr_assert_eq(fstat(fd, &at), 0);
    *bytes = (size_t)at.st_size;
    uint8_t *data = malloc(*bytes);
    cr_assert_eq(read(fd, data, *bytes), (ssize_t)*bytes);
    close(fd);
    return data;
}

static void remove_all(const char *directory)
{
    char path[512];
    DIR *dir = opendir(directory);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        unlink(path);
    }
    closedir(dir);
    rmdir(directory);
}

Test(record_build, a_file_has_head_blocks_and_end)
{
    char directory[] = "/tmp/sluice-record-XXXXXX";
    struct record_source source = source_of();
    struct record_writer *writer;
    struct error err = {{0}};
    uint8_t data[96] = "x";
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(record_writer_open(&writer, directory, &source, 4096, &err), 0, "%s", err.text);
    for (uint64_t i = 0; i < 100; i++) {
        struct ring_descriptor d = descriptor_of(i + (i >= 50 ? 5 : 0), 96);
        struct record_gap gap = {
            .from_position = 50, .to_position = 55, .count = 5, .cause = RECORD_CAUSE_DISK_SLOW};
        if (i == 50) {
            cr_assert_eq(record_writer_gap(writer, &gap, &err), 0);
        }
        cr_assert_eq(record_writer_frame(writer, &d, data, &err), 0, "%s", err.text);
    }
    struct ring_descriptor back = descriptor_of(3, 96);
    cr_assert_eq(record_writer_frame(writer, &back, data, &err), -EINVAL, "positions only rise");
    cr_assert_eq(record_writer_rotate(writer, &err), 0, "%s", err.text);
    struct ring_descriptor d = descriptor_of(105, 96);
    cr_assert_eq(record_writer_frame(writer, &d, data, &err), 0, "%s", err.text);
    struct ring_ledger ledger = {.delivered = 101};
    cr_assert_eq(record_writer_close(writer, RECORD_CLOSE_STOPPED, &ledger, &err), 0, "%s", err.text);

    size_t bytes;
    uint8_t *file = read_whole(directory, "packets.000000.slr", &bytes);
    struct record_file_header header;
    struct record_trailer trailer;
    struct record_block end;
    struct record_totals totals;
    memcpy(&header, file, sizeof(header));
    cr_assert_eq(header.crc, record_crc(0, file, RECORD_ALIGN - 4));
    cr_assert_eq(header.description_crc, record_crc(0, file + RECORD_ALIGN, header.description_bytes));
    memcpy(&trailer, file + bytes - sizeof(trailer), sizeof(trailer));
    cr_assert_eq(trailer.magic, RECORD_TRAILER_MAGIC);
    cr_assert_eq(trailer.file_bytes, bytes);
    memcpy(&end, file + trailer.end_offset, sizeof(end));
    cr_assert_eq(end.kind, RECORD_END);
    cr_assert_eq(trailer.end_offset + end.bytes, bytes);
    memcpy(&totals, file + trailer.end_offset + RECORD_LEAD_BYTES, sizeof(totals));
    cr_assert_eq(totals.frames, 100);
    cr_assert_eq(totals.missing[RECORD_CAUSE_DISK_SLOW], 5);
    cr_assert_eq(totals.next_position, 105);
    cr_assert_eq(totals.why, RECORD_CLOSE_ROTATED);
    cr_assert_eq(totals.indices, 4, "31 frames of 128 bytes a block");
    free(file);
    file = read_whole(directory, "packets.000001.slr", &bytes);
    memcpy(&header, file, sizeof(header));
    cr_assert_eq(header.segment, 1);
    cr_assert_eq(header.first_position, 105);
    memcpy(&trailer, file + bytes - sizeof(trailer), sizeof(trailer));
    memcpy(&totals, file + trailer.end_offset + RECORD_LEAD_BYTES, sizeof(totals));
    cr_assert_eq(totals.frames, 101);
    cr_assert_eq(totals.why, RECORD_CLOSE_STOPPED);
    cr_assert_eq(totals.ended.delivered, 101);
    cr_assert_eq(totals.indices, 1);
    free(file);
    remove_all(directory);
}

Test(record_build, what_cannot_be_begun)
{
    char directory[] = "/tmp/sluice-record-XXXXXX";
    struct record_source source = source_of();
    struct record_writer *writer = NULL;
    struct error err = {{0}};
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(record_writer_open(&writer, directory, &source, 0, &err), -EINVAL);
    cr_assert_eq(record_writer_open(&writer, "/nonexistent/x", &source, 4096, &err), -ENOENT);
    cr_assert_not_null(strstr(err.text, "/nonexistent/x"));
    cr_assert_eq(record_writer_open(&writer, directory, &source, 4096, &err), 0);
    struct record_writer *second = NULL;
    cr_assert_eq(record_writer_open(&second, directory, &source, 4096, &err), -EEXIST, "nothing is overwritten");
    record_writer_abandon(writer);
    source.header.channels = RING_CHANNELS_MAX + 1;
    memcpy(source.header.ring, "other", 6);
    cr_assert_eq(record_writer_open(&writer, directory, &source, 4096, &err), -EINVAL);
    remove_all(directory);
}
