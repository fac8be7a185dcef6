/* A trip directory that somebody has been at, or any text as a CSV file: refused with a message, or replayed. The
 * first byte says what follows:
 *
 *   0  a ring file as it is
 *   1  changes to a good recording, 6 bytes each: which file, offset (4), value; table hash and checksums are made
 *      right again, so that what lies behind them is met
 *   2  a CSV file
 */
#include <assert.h>
#include <stdlib.h>

#include "control/explain.h"
#include "tests/support/recording.h"
#include "tools/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

static struct test_recording story;
static struct replay_result result;
static struct error err;

static void explain_all(void)
{
    char text[REPLAY_TEXT_BYTES];
    char unit[RING_UNIT_BYTES + 4];
    for (uint32_t i = 0; i < result.run.trips_told; i++) {
        for (uint32_t c = 0; c < result.run.trip[i].causes; c++) {
            control_explain(result.run.table, &result.run.trip[i].cause[c], text, sizeof(text));
        }
    }
    for (uint32_t i = 0; i < result.run.table->rules; i++) {
        replay_rule_unit(result.run.table, i, unit);
    }
}

static void replay_changed(void)
{
    static struct control_table rules;
    struct blackbox_recording recording;
    err.text[0] = 0;
    if (recording_open(&story, &recording, &err) != 0) {
        assert(err.text[0] != 0);
        return;
    }
    memset(&result, 0, sizeof(result));
    if (replay_exact(&recording, &result, &err) == 0) {
        assert(result.compared + result.not_compared <= story.entries);
        explain_all();
    }
    recording_make_table(&rules);
    memset(&result, 0, sizeof(result));
    result.run.arms = true;
    if (replay_rules(&recording, &rules, &result, &err) == 0) {
        explain_all();
    }
    blackbox_close(&recording);
}

static void mend(void)
{
    size_t at = sizeof(struct blackbox_ring_header);
    size_t tables = 2 * sizeof(struct ring_channel) + sizeof(struct ring_stream);
    struct blackbox_ring_header *header = (struct blackbox_ring_header *)(void *)story.ring;
    uint64_t sum =
        blackbox_checksum(BLACKBOX_CHECKSUM_START, header, offsetof(struct blackbox_ring_header, checksum));
    header->checksum = blackbox_checksum(sum, story.ring + at, tables);
    for (at += tables; at + sizeof(struct blackbox_record) <= story.ring_bytes;) {
        struct blackbox_record *record = (struct blackbox_record *)(void *)(story.ring + at);
        size_t rest = story.ring_bytes - at - sizeof(*record);
        size_t length = record->length_bytes < rest ? record->length_bytes : rest;
        sum = blackbox_checksum(BLACKBOX_CHECKSUM_START, record, offsetof(struct blackbox_record, checksum));
        record->checksum = blackbox_checksum(sum, record + 1, length);
        at += sizeof(*record) + blackbox_padded(length);
    }
    story.table.hash = control_table_hash(&story.table);
}

static void change(const uint8_t *data, size_t size)
{
    struct {
        uint8_t *bytes;
        size_t size;
    } file[4] = {{story.ring, story.ring_bytes},
                 {(uint8_t *)&story.table, sizeof(story.table)},
                 {(uint8_t *)story.checkpoint, story.checkpoints * sizeof(struct control_checkpoint)},
                 {(uint8_t *)story.entry, story.entries * sizeof(struct journal_entry)}};
    for (; size >= 6; data += 6, size -= 6) {
        uint32_t offset;
        memcpy(&offset, data + 1, sizeof(offset));
        file[data[0] % 4].bytes[offset % file[data[0] % 4].size] = data[5];
    }
    mend();
    replay_changed();
}

static void read_ring(const uint8_t *data, size_t size)
{
    struct blackbox_ring ring;
    struct sluice_frame frame;
    void *copy = malloc(size + 8); /* aligned, and its end is watched */
    assert(copy != NULL);
    memcpy(copy, data, size);
    struct blackbox_bytes file = {.data = copy, .bytes = size};
    if (blackbox_ring_open(&ring, &file, &err) == 0) {
        for (uint64_t i = 0; i < ring.frames; i++) {
            struct sluice_frame found;
            blackbox_ring_at(&ring, i, &frame);
            bool there = blackbox_ring_find(&ring, frame.position, &found);
            assert(there && found.payload == frame.payload);
        }
        blackbox_ring_close(&ring);
    }
    free(copy);
}

static void read_csv(const uint8_t *data, size_t size)
{
    static struct control_table rules;
    struct replay_csv_options options = {.delimiter = ',', .time = "t"};
    char *text = malloc(size + 1);
    assert(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    recording_make_table(&rules);
    memset(&result, 0, sizeof(result));
    result.run.arms = true;
    err.text[0] = 0;
    if (replay_csv(text, size, &options, &rules, &result, &err) == 0) {
        explain_all();
    } else {
        assert(err.text[0] != 0);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 3) {
    case 0:
        read_ring(data + 1, size - 1);
        break;
    case 1:
        recording_story(&story);
        change(data + 1, size - 1);
        break;
    default:
        read_csv(data + 1, size - 1);
    }
    return 0;
}
