#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "tools/export/mcap_write.h"

#define FILE_BYTES (16u << 20)

static char path[64];
static uint8_t *file_bytes;
static uint64_t file_length;

static uint64_t get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    return value;
}

static void begin(struct output *output, struct mcap_writer *writer)
{
    struct error err;
    strcpy(path, "/tmp/sluice-mcap-XXXXXX");
    close(mkstemp(path));
    cr_assert_eq(output_begin(output, path, true, &err), 0, "%s", err.text);
    cr_assert_eq(mcap_init(writer, output, "test", &err), 0, "%s", err.text);
}

static void end(struct output *output, struct mcap_writer *writer)
{
    struct error err;
    cr_assert_eq(mcap_finish(writer, &err), 0, "%s", err.text);
    mcap_fini(writer);
    cr_assert_eq(output_commit(output, &err), 0, "%s", err.text);
    FILE *file = fopen(path, "rb");
    file_bytes = malloc(FILE_BYTES);
    file_length = fread(file_bytes, 1, FILE_BYTES, file);
    fclose(file);
    unlink(path);
}

/* Counts records by opcode, from one place to another, both at a record's begin. */
static void count_records(uint64_t from, uint64_t to, unsigned count[16])
{
    memset(count, 0, 16 * sizeof(count[0]));
    while (from < to) {
        cr_assert_lt(file_bytes[from], 16);
        count[file_bytes[from]]++;
        from += 9 + get(file_bytes + from + 1, 8);
    }
    cr_assert_eq(from, to);
}

Test(mcap, an_empty_file_is_whole)
{
    struct output output;
    struct mcap_writer writer;
    unsigned count[16];
    begin(&output, &writer);
    end(&output, &writer);
    cr_assert_arr_eq(file_bytes, mcap_magic, 8);
    cr_assert_arr_eq(file_bytes + file_length - 8, mcap_magic, 8);
    count_records(8, file_length - 8, count);
    cr_assert_eq(count[MCAP_HEADER], 1);
    cr_assert_eq(count[MCAP_DATA_END], 1);
    cr_assert_eq(count[MCAP_STATISTICS], 1);
    cr_assert_eq(count[MCAP_FOOTER], 1);
    cr_assert_eq(count[MCAP_CHUNK], 0);
    free(file_bytes);
}

Test(mcap, chunks_and_their_index)
{
    struct output output;
    struct mcap_writer writer;
    struct error err;
    unsigned count[16];
    static uint8_t payload[1000];
    begin(&output, &writer);
    int schema = mcap_schema(&writer, "s", "jsonschema", "{}", &err);
    int first = mcap_channel(&writer, (uint16_t)schema, "/a", "json", NULL, 0, &err);
    struct mcap_pair pair = {"key", "value"};
    int second = mcap_channel(&writer, 0, "/b", "x", &pair, 1, &err);
    cr_assert_eq(schema, 1);
    cr_assert_eq(first, 0);
    cr_assert_eq(second, 1);
    for (uint32_t i = 0; i < 3000; i++) {
        int channel = i % 3 == 0 ? first : second;
        cr_assert_eq(mcap_message(&writer, (uint16_t)channel, i, 5000 - i, payload, sizeof(payload), &err), 0);
    }
    cr_assert_eq(mcap_attachment(&writer, 7, "config", "text/plain", "text", 4, &err), 0);
    cr_assert_eq(mcap_metadata(&writer, "m", &pair, 1, &err), 0);
    end(&output, &writer);
    count_records(8, file_length - 8, count);
    cr_assert_eq(count[MCAP_CHUNK], 3);
    cr_assert_eq(count[MCAP_CHUNK_INDEX], 3);
    cr_assert_eq(count[MCAP_MESSAGE_INDEX], 6);
    cr_assert_eq(count[MCAP_MESSAGE], 0); /* all are in chunks */
    cr_assert_eq(count[MCAP_CHANNEL], 2); /* of the summary */
    cr_assert_eq(count[MCAP_ATTACHMENT] + count[MCAP_ATTACHMENT_INDEX], 2);
    cr_assert_eq(count[MCAP_METADATA] + count[MCAP_METADATA_INDEX], 2);
    cr_assert_eq(count[MCAP_SUMMARY_OFFSET], 6);
    free(file_bytes);
}

/* Each index entry leads to its message; sums and times of the chunk are right. */
Test(mcap, what_the_index_says_is_so)
{
    struct output output;
    struct mcap_writer writer;
    struct error err;
    begin(&output, &writer);
    int channel = mcap_channel(&writer, 0, "/a", "x", NULL, 0, &err);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(mcap_message(&writer, (uint16_t)channel, i, 100 + (i * 7) % 10, &i, sizeof(i), &err), 0);
    }
    end(&output, &writer);
    uint64_t at = 8;
    at += 9 + get(file_bytes + at + 1, 8); /* header */
    cr_assert_eq(file_bytes[at], MCAP_CHUNK);
    const uint8_t *chunk = file_bytes + at + 9;
    cr_assert_eq(get(chunk, 8), 100);
    cr_assert_eq(get(chunk + 8, 8), 109);
    uint64_t bytes = get(chunk + 16, 8);
    const uint8_t *records = chunk + 8 + 8 + 8 + 4 + 4 + 8;
    cr_assert_eq(get(chunk + 24, 4), crc32_z(0, records, bytes));
    at += 9 + get(file_bytes + at + 1, 8);
    cr_assert_eq(file_bytes[at], MCAP_MESSAGE_INDEX);
    cr_assert_eq(get(file_bytes + at + 11, 4), 160);
    for (uint32_t i = 0; i < 10; i++) {
        const uint8_t *entry = file_bytes + at + 15 + 16 * (size_t)i;
        const uint8_t *message = records + get(entry + 8, 8);
        cr_assert_eq(message[0], MCAP_MESSAGE);
        cr_assert_eq(get(message + 11, 4), i);
        cr_assert_eq(get(message + 15, 8), get(entry, 8));
        cr_assert_eq(get(message + 31, 4), i);
    }
    free(file_bytes);
}

Test(mcap, sums_of_data_and_summary)
{
    struct output output;
    struct mcap_writer writer;
    struct error err;
    begin(&output, &writer);
    int channel = mcap_channel(&writer, 0, "/a", "x", NULL, 0, &err);
    cr_assert_eq(mcap_message(&writer, (uint16_t)channel, 1, 1, "x", 1, &err), 0);
    end(&output, &writer);
    const uint8_t *footer = file_bytes + file_length - 8 - 20;
    uint64_t summary = get(footer, 8);
    cr_assert_eq(get(footer + 16, 4), crc32_z(0, file_bytes + summary, file_length - 12 - summary));
    const uint8_t *data_end = file_bytes + summary - 13;
    cr_assert_eq(data_end[0], MCAP_DATA_END);
    cr_assert_eq(get(data_end + 9, 4), crc32_z(0, file_bytes, summary - 13));
    free(file_bytes);
}
