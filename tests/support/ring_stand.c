/* ring-stand INSTANCE: a server's stand-in (bench/stand.h) whose rings are written by commands on standard input,
 * one a line, each answered by one line: "ok ..." or "error ...". Its end, or that of the input, is the server's
 * end.
 *
 *   channel NAME TYPE le|be AT_BYTE UNIT SCALE OFFSET LOW HIGH [BITS SHIFT]   of the ring that is made next
 *   polynomial C0 C1 ..                      the calibration of the last channel
 *   ring NAME SLOTS SLOT_BYTES PAYLOAD_OFFSET FRAME_BYTES NOMINAL_HZ [huge]   FRAME_BYTES 0: they vary
 *   publish RING COUNT [TAI_NS STEP_NS]      frames of fill(); without a time: now. Answer: the next position
 *   frame RING HEX [TAI_NS [SEQUENCE]]       one frame, exactly these bytes
 *   gap RING CAUSE COUNT [TAI_NS]            a gap record
 *   pace RING HZ BATCH                       publishes by itself, until it is told to rest
 *   rest RING
 *   restart RING                             the next writer
 *   scribble RING [CLAIMED [PUBLISHED]]      its header says what no writer can have said; CLAIMED is 0 else
 *   behave polite|version|silent|full|rude
 *   readers                                  of each "RING:POSITION:LOST"
 *   now                                      TAI ns
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stand.h"
#include "ring/channel.h"
#include "ring/channel_check.h"
#include "ring/clock.h"

#define WORDS_MAX      40
#define LINE_MAX_BYTES ((size_t)160 << 10)

struct made {
    struct ring_writer *writer;
    struct ring_channel channel[RING_CHANNELS_MAX];
    uint32_t channels;
    uint32_t frame_bytes;
    pthread_t thread;
    bool paced; /* that thread runs .. */
    bool rest;  /* .. until this is set */
    double hz;
    uint32_t batch;
};

static struct stand *stand;
static int64_t tai_minus_monotonic_ns;
static struct made made[STAND_RINGS_MAX];
static uint32_t rings;
static struct ring_channel next_channel[RING_CHANNELS_MAX];
static uint32_t next_channels;
static double next_number[RING_NUMBERS_MAX];
static uint32_t next_numbers;

static void store_raw(const struct ring_channel *c, uint8_t *payload, double number)
{
    uint64_t raw = (uint64_t)(int64_t)number;
    uint32_t bytes = ring_type_bytes(c->type);
    float f = (float)number;
    uint32_t word = 0;
    memcpy(&word, &f, sizeof(word));
    raw = c->type == RING_TYPE_F32 ? word : raw;
    if (c->type == RING_TYPE_F64) {
        memcpy(&raw, &number, sizeof(raw));
    }
    for (uint32_t i = 0; i < bytes; i++) {
        payload[c->at_byte + i] = (uint8_t)(raw >> 8 * (c->byte_order == RING_BIG_ENDIAN ? bytes - 1 - i : i));
    }
}

/* Channel i of position p is the number p * (i + 1), of floats 0.25 more; a ring without channels has 64-bit words
 * p * 1000003 + word. */
static void fill(const struct made *m, uint64_t position, uint8_t *payload)
{
    if (m->channels == 0) {
        for (uint32_t i = 0; i + 8 <= m->frame_bytes; i += 8) {
            uint64_t word = position * 1000003 + i / 8;
            memcpy(payload + i, &word, sizeof(word));
        }
        return;
    }
    for (uint32_t i = 0; i < m->channels; i++) {
        double more = m->channel[i].type >= RING_TYPE_F32 ? 0.25 : 0;
        store_raw(&m->channel[i], payload, (double)position * (i + 1) + more);
    }
}

static void write_frames(struct made *m, uint64_t count, uint64_t tai_ns, uint64_t step_ns)
{
    uint32_t chunk = (uint32_t)(m->writer->view.slot_count / 4);
    while (count > 0) {
        uint32_t n = count < chunk ? (uint32_t)count : chunk;
        n = ring_writer_reserve_many(m->writer, n);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t position = m->writer->next;
            fill(m, position, ring_payload_at(&m->writer->view, position));
            ring_writer_commit(m->writer, m->frame_bytes,
                               tai_ns != 0 ? tai_ns : clock_tai_ns(tai_minus_monotonic_ns), position, 0, 0);
            tai_ns += tai_ns != 0 ? step_ns : 0;
        }
        struct ring_ledger *ledger = &m->writer->view.header->ledger;
        ring_count_add(&ledger->sent, n);
        ring_count_add(&ledger->delivered, n);
        ring_count_add(&ledger->bytes, (uint64_t)n * m->frame_bytes);
        ring_writer_publish(m->writer);
        count -= n;
    }
}

static void *pace(void *argument)
{
    struct made *m = argument;
    uint64_t start_ns = clock_monotonic_ns();
    uint64_t done = 0;
    while (!__atomic_load_n(&m->rest, __ATOMIC_ACQUIRE)) {
        double due = (double)(clock_monotonic_ns() - start_ns) * m->hz / 1e9;
        if ((double)(done + m->batch) <= due) {
            write_frames(m, m->batch, 0, 0);
            done += m->batch;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
        }
    }
    return NULL;
}

static void stop_pacing(struct made *m)
{
    if (m->paced) {
        __atomic_store_n(&m->rest, true, __ATOMIC_RELEASE);
        pthread_join(m->thread, NULL);
        m->paced = false;
    }
}

static struct made *find(const char *name)
{
    for (uint32_t i = 0; i < rings; i++) {
        if (strcmp(made[i].writer->view.header->identity.name, name) == 0) {
            return &made[i];
        }
    }
    return NULL;
}

static uint32_t type_of(const char *name)
{
    for (uint32_t type = 1; type < RING_TYPES; type++) {
        if (strcmp(ring_type_name(type), name) == 0) {
            return type;
        }
    }
    return RING_TYPE_NONE;
}

static int add_channel(int words, char *word[], struct error *err)
{
    if ((words != 10 && words != 12) || next_channels >= RING_CHANNELS_MAX) {
        return error_set(err, -EINVAL, "channel wants 9 or 11 words, and there may be 64");
    }
    struct ring_channel *c = &next_channel[next_channels++];
    *c = (struct ring_channel){.type = type_of(word[2]),
                               .byte_order = strcmp(word[3], "be") == 0 ? RING_BIG_ENDIAN : RING_LITTLE_ENDIAN,
                               .at_byte = (uint32_t)strtoul(word[4], NULL, 0),
                               .scale = strtod(word[6], NULL),
                               .offset = strtod(word[7], NULL),
                               .range_low = strtod(word[8], NULL),
                               .range_high = strtod(word[9], NULL)};
    snprintf(c->name, sizeof(c->name), "%s", word[1]);
    snprintf(c->unit, sizeof(c->unit), "%s", word[5]);
    if (words == 12) {
        c->bits = (uint8_t)strtoul(word[10], NULL, 0);
        c->shift = (uint8_t)strtoul(word[11], NULL, 0);
    }
    return 0;
}

static int add_polynomial(int words, char *word[], struct error *err)
{
    if (next_channels == 0 || words < 2) {
        return error_set(err, -EINVAL, "polynomial wants a channel before it and its coefficients");
    }
    struct ring_channel *c = &next_channel[next_channels - 1];
    c->calibration = RING_CALIBRATION_POLYNOMIAL;
    c->first_number = next_numbers;
    c->numbers = (uint32_t)words - 1;
    for (int i = 1; i < words; i++) {
        next_number[next_numbers++] = strtod(word[i], NULL);
    }
    return 0;
}

static int add_ring(int words, char *word[], struct error *err)
{
    struct ring_stream stream = {.source = "stand", .sequence_step = 1, .stamp = RING_STAMP_TAKEN};
    if (words < 7 || rings >= STAND_RINGS_MAX) {
        return error_set(err, -EINVAL, "ring wants 6 words, and there may be %u", STAND_RINGS_MAX);
    }
    snprintf(stream.name, sizeof(stream.name), "%s", word[1]);
    stream.frame_bytes = (uint32_t)strtoul(word[5], NULL, 0);
    stream.nominal_hz = strtod(word[6], NULL);
    struct ring_spec spec = {.name = word[1],
                             .streams = &stream,
                             .stream_count = 1,
                             .slots = strtoull(word[2], NULL, 0),
                             .slot_bytes = (uint32_t)strtoul(word[3], NULL, 0),
                             .payload_offset = (uint32_t)strtoul(word[4], NULL, 0),
                             .channels = next_channel,
                             .channel_count = next_channels,
                             .numbers = next_number,
                             .number_count = next_numbers,
                             .numa_node = -1,
                             .tai_minus_monotonic_ns = tai_minus_monotonic_ns};
    struct made *m = &made[rings];
    enum segment_pages pages = words > 7 ? SEGMENT_HUGE_OR_NORMAL : SEGMENT_NORMAL;
    int code = stand_ring(stand, &spec, pages, &m->writer, err);
    if (code == 0) {
        memcpy(m->channel, next_channel, sizeof(next_channel));
        m->channels = next_channels;
        m->frame_bytes = stream.frame_bytes;
        next_channels = next_numbers = 0;
        rings++;
    }
    return code;
}

static int one_frame(struct made *m, int words, char *word[], struct error *err)
{
    size_t bytes = words > 2 ? strlen(word[2]) / 2 : 0;
    if (words < 3 || bytes > m->writer->view.payload_bytes || ring_writer_reserve_many(m->writer, 1) == 0) {
        return error_set(err, -EINVAL, "frame wants bytes in hex, as many as there is room for");
    }
    uint8_t *payload = ring_payload_at(&m->writer->view, m->writer->next);
    for (size_t i = 0; i < bytes; i++) {
        char digits[3] = {word[2][2 * i], word[2][2 * i + 1], 0};
        payload[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    uint64_t tai_ns = words > 3 ? strtoull(word[3], NULL, 0) : clock_tai_ns(tai_minus_monotonic_ns);
    uint64_t sequence = words > 4 ? strtoull(word[4], NULL, 0) : m->writer->next;
    ring_writer_commit(m->writer, (uint32_t)bytes, tai_ns, sequence, 0, 0);
    ring_count_add(&m->writer->view.header->ledger.sent, 1);
    ring_count_add(&m->writer->view.header->ledger.delivered, 1);
    ring_writer_publish(m->writer);
    return 0;
}

static int one_gap(struct made *m, int words, char *word[], struct error *err)
{
    uint32_t cause = RING_LOSSES;
    for (uint32_t i = 0; words >= 4 && i < RING_LOSSES; i++) {
        cause = strcmp(ring_loss_name(i), word[2]) == 0 ? i : cause;
    }
    if (cause == RING_LOSSES) {
        return error_set(err, -EINVAL, "gap wants a ring, a cause and how many");
    }
    uint64_t count = strtoull(word[3], NULL, 0);
    uint64_t tai_ns = words > 4 ? strtoull(word[4], NULL, 0) : clock_tai_ns(tai_minus_monotonic_ns);
    if (!ring_writer_commit_gap(m->writer, (enum ring_loss)cause, count, 0, tai_ns)) {
        return error_set(err, -ENOSPC, "no room");
    }
    ring_count_add(&m->writer->view.header->ledger.sent, count);
    ring_count_add(&m->writer->view.header->ledger.lost[cause], count);
    ring_writer_publish(m->writer);
    return 0;
}

static int begin_pace(struct made *m, int words, char *word[], struct error *err)
{
    if (words < 4 || m->paced) {
        return error_set(err, -EINVAL, "pace wants a ring that rests, Hz and a batch");
    }
    m->hz = strtod(word[2], NULL);
    m->batch = (uint32_t)strtoul(word[3], NULL, 0);
    m->rest = false;
    m->paced = pthread_create(&m->thread, NULL, pace, m) == 0;
    return m->paced ? 0 : error_set(err, -EAGAIN, "no thread");
}

static int behave(int words, char *word[], struct error *err)
{
    static const char *const manners[] = {"polite", "version", "silent", "full", "rude"};
    for (uint32_t i = 0; words == 2 && i < sizeof(manners) / sizeof(manners[0]); i++) {
        if (strcmp(manners[i], word[1]) == 0) {
            stand_behave(stand, (enum stand_manner)i);
            return 0;
        }
    }
    return error_set(err, -EINVAL, "behave wants polite, version, silent, full or rude");
}

static void say_readers(char *text, size_t bytes)
{
    struct stand_reader reader[STAND_CLIENTS_MAX];
    uint32_t count = stand_readers(stand, reader, STAND_CLIENTS_MAX);
    size_t n = 0;
    for (uint32_t i = 0; i < count && n < bytes; i++) {
        n += (size_t)snprintf(text + n, bytes - n, "%s%s:%" PRIu64 ":%" PRIu64, i > 0 ? " " : "",
                              made[reader[i].ring].writer->view.header->identity.name, reader[i].position,
                              reader[i].lost);
    }
}

static void scribble(int words, char *word[], struct ring_header *header)
{
    if (words > 3) {
        __atomic_store_n(&header->progress.published, strtoull(word[3], NULL, 0), __ATOMIC_RELEASE);
    }
    __atomic_store_n(&header->progress.claimed, words > 2 ? strtoull(word[2], NULL, 0) : 0, __ATOMIC_RELEASE);
}

static int obey_ring(struct made *m, int words, char *word[], char *text, size_t bytes, struct error *err)
{
    const char *verb = word[0];
    int code = 0;
    if (strcmp(verb, "publish") == 0 && words > 2) {
        write_frames(m, strtoull(word[2], NULL, 0), words > 3 ? strtoull(word[3], NULL, 0) : 0,
                     words > 4 ? strtoull(word[4], NULL, 0) : 0);
    } else if (strcmp(verb, "frame") == 0) {
        code = one_frame(m, words, word, err);
    } else if (strcmp(verb, "gap") == 0) {
        code = one_gap(m, words, word, err);
    } else if (strcmp(verb, "pace") == 0) {
        code = begin_pace(m, words, word, err);
    } else if (strcmp(verb, "rest") == 0) {
        stop_pacing(m);
    } else if (strcmp(verb, "scribble") == 0) {
        scribble(words, word, m->writer->view.header);
    } else if (strcmp(verb, "restart") == 0) {
        code = stand_restart(stand, (uint32_t)(m - made), err);
    } else {
        code = error_set(err, -EINVAL, "no such command: %s", verb);
    }
    if (!m->paced) {
        snprintf(text, bytes, "%" PRIu64, m->writer->published);
    }
    return code;
}

static int obey(int words, char *word[], char *text, size_t bytes, struct error *err)
{
    struct made *m = words > 1 ? find(word[1]) : NULL;
    if (strcmp(word[0], "channel") == 0) {
        return add_channel(words, word, err);
    }
    if (strcmp(word[0], "polynomial") == 0) {
        return add_polynomial(words, word, err);
    }
    if (strcmp(word[0], "ring") == 0) {
        return add_ring(words, word, err);
    }
    if (strcmp(word[0], "behave") == 0) {
        return behave(words, word, err);
    }
    if (strcmp(word[0], "readers") == 0) {
        say_readers(text, bytes);
        return 0;
    }
    if (strcmp(word[0], "now") == 0) {
        snprintf(text, bytes, "%" PRIu64, clock_tai_ns(tai_minus_monotonic_ns));
        return 0;
    }
    return m != NULL ? obey_ring(m, words, word, text, bytes, err)
                     : error_set(err, -EINVAL, "no such command, or no such ring: %s", word[0]);
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_BYTES];
    static char text[16384];
    struct error err = {{0}};
    tai_minus_monotonic_ns = clock_measure_tai_offset_ns();
    if (argc != 2 || stand_open(&stand, argv[1], &err) != 0) {
        fprintf(stderr, "ring-stand: %s\n", argc != 2 ? "usage: ring-stand INSTANCE" : err.text);
        return 1;
    }
    printf("ok\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *word[WORDS_MAX];
        char *rest = line;
        int words = 0;
        while (words < WORDS_MAX && (word[words] = strtok_r(words == 0 ? line : NULL, " \n", &rest)) != NULL) {
            words++;
        }
        text[0] = 0;
        int code = words > 0 ? obey(words, word, text, sizeof(text), &err) : 0;
        printf("%s %s\n", code == 0 ? "ok" : "error", code == 0 ? text : err.text);
        fflush(stdout);
    }
    for (uint32_t i = 0; i < rings; i++) {
        stop_pacing(&made[i]);
    }
    stand_close(stand);
    return 0;
}
