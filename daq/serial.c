#include "daq/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "net/sequence.h"
#include "ring/clock.h"

#define RETRY_NS   (100 * CLOCK_NS_PER_MS)
#define TEXT_SLOTS 64u
#define TEXT_PART  8u /* of the ring: what is reserved is lost to observers */

int serial_init(struct serial_source *source, const struct source_plan *plan, struct ring_writer *writer,
                struct uring *uring, uint64_t user, struct error *err)
{
    *source = (struct serial_source){.plan = plan, .writer = writer, .uring = uring, .user = user, .fd = -1};
    if (plan->gates > 0 && plan->when_full == WHEN_FULL_DROP) {
        source->scratch = calloc(1, plan->frame_bytes);
        if (source->scratch == NULL) {
            return error_set(err, -ENOMEM, "source %s: no memory for a frame of %u bytes", plan->name,
                             plan->frame_bytes);
        }
    }
    return 0;
}

void serial_fini(struct serial_source *source)
{
    serial_close(source);
    free(source->scratch);
    source->scratch = NULL;
}

unsigned serial_speed(uint32_t baud)
{
    static const struct {
        uint32_t baud;
        unsigned speed;
    } speeds[] = {{1200, B1200},       {2400, B2400},       {4800, B4800},       {9600, B9600},
                  {19200, B19200},     {38400, B38400},     {57600, B57600},     {115200, B115200},
                  {230400, B230400},   {460800, B460800},   {500000, B500000},   {921600, B921600},
                  {1000000, B1000000}, {1500000, B1500000}, {2000000, B2000000}, {3000000, B3000000},
                  {4000000, B4000000}};
    for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
        if (speeds[i].baud == baud) {
            return speeds[i].speed;
        }
    }
    return 0;
}

/* Raw 8N1, no flow control, no controlling terminal; opened without blocking (a modem line may be down), read with
 * blocking semantics so that io_uring waits instead of returning EAGAIN. */
static int open_device(const struct serial_plan *plan)
{
    struct termios t;
    int fd = open(plan->device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (tcgetattr(fd, &t) != 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    cfmakeraw(&t);
    t.c_cflag |= CLOCAL | CREAD;
    t.c_cflag &= ~(tcflag_t)(CSTOPB | PARENB | CRTSCTS);
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    cfsetspeed(&t, serial_speed(plan->baud));
    int flags = fcntl(fd, F_GETFL);
    if (tcsetattr(fd, TCSANOW, &t) != 0 || flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

static void reopen(struct serial_source *s, uint64_t monotonic_ns, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    if (monotonic_ns < s->retry_ns) {
        return;
    }
    s->retry_ns = monotonic_ns + RETRY_NS;
    int fd = open_device(&s->plan->serial);
    ring_count_set(&ledger->open_errno, fd < 0 ? (uint64_t)-fd : 0);
    if (fd < 0) {
        return;
    }
    s->fd = fd;
    s->have = 0;
    s->overlong = false;
    if (s->was_open) {
        net_sequence_interrupted(&s->plan->sequence, ledger);
        ring_writer_owe_gap(s->writer, RING_LOSS_RESTART, 0, s->closed_tai_ns);
        (void)ring_writer_pay_gap(s->writer, tai_ns);
    }
    s->was_open = true;
    ring_count_add(&ledger->connects, 1);
    ring_count_set(&ledger->is_open, 1);
}

void serial_close(struct serial_source *source)
{
    if (source->fd >= 0) {
        close(source->fd);
        source->fd = -1;
        ring_count_set(&source->writer->view.header->ledger.is_open, 0);
    }
}

/* Where the frame under way is collected: the next slot, or scratch if there was none when it began. NULL: nowhere.
 */
static uint8_t *collect_into(struct serial_source *s)
{
    if (s->have == 0) {
        s->into_scratch = s->scratch != NULL && (s->writer->owes || ring_writer_reserve(s->writer) == NULL);
    }
    return s->into_scratch ? s->scratch : ring_writer_reserve(s->writer);
}

/* Bytes of text that cannot hold more lines than there are slots: a line has two bytes at least, but for the one
 * under way. */
static uint32_t text_room(struct serial_source *s)
{
    uint32_t most = PLAN_LINE_BYTES - s->have;
    uint64_t part = s->writer->view.slot_count / TEXT_PART;
    if (s->scratch != NULL || s->plan->gates == 0) {
        return most; /* what finds no slot is dropped; without gating readers there always is one */
    }
    uint32_t slots = ring_writer_reserve_many(s->writer, part < TEXT_SLOTS ? (uint32_t)part : TEXT_SLOTS);
    uint32_t bytes = slots > 0 ? 2 * slots - 1 : 0;
    return bytes < most ? bytes : most;
}

void serial_arm(struct serial_source *source, uint64_t monotonic_ns, uint64_t tai_ns)
{
    struct serial_source *s = source;
    if (s->reading) {
        return;
    }
    if (s->fd < 0) {
        reopen(s, monotonic_ns, tai_ns);
    }
    bool slot_is_free = s->have == 0 || s->into_scratch || s->plan->serial.format == SERIAL_TEXT;
    bool paid = slot_is_free && ring_writer_pay_gap(s->writer, tai_ns);
    /* A slot that a reader releases from here on is for the record that is owed, not for what came after it. */
    bool must_pay_first = slot_is_free && !paid && s->scratch == NULL;
    if (s->fd < 0 || must_pay_first) {
        return;
    }
    if (s->plan->serial.format == SERIAL_TEXT) {
        uint32_t bytes = text_room(s);
        s->reading = bytes > 0 && uring_read(s->uring, s->fd, s->line + s->have, bytes, s->user);
    } else {
        /* Straight into the slot, never more than the frame still wants. */
        uint8_t *to = collect_into(s);
        s->reading =
            to != NULL && uring_read(s->uring, s->fd, to + s->have, s->plan->frame_bytes - s->have, s->user);
    }
}

/* No slot was free for this frame. */
static void drop_frame(struct serial_source *s)
{
    net_sequence_explain(&s->plan->sequence, &s->writer->view.header->ledger, RING_LOSS_RING_FULL, 1);
    ring_writer_owe_gap(s->writer, RING_LOSS_RING_FULL, 1, 0);
}

/* Puts a frame that was collected elsewhere into the next slot. False: there is none, it is dropped. */
static bool place_frame(struct serial_source *s, const void *frame, uint32_t bytes, uint64_t tai_ns)
{
    (void)ring_writer_pay_gap(s->writer, tai_ns);
    uint8_t *slot = ring_writer_reserve(s->writer);
    if (slot == NULL) {
        drop_frame(s);
        return false;
    }
    memcpy(slot, frame, bytes);
    return true;
}

static uint32_t publish_frame(struct serial_source *s, const uint8_t *payload, uint32_t bytes, uint64_t tai_ns)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    struct sequence_result seq;
    net_sequence_take(&s->plan->sequence, ledger, payload, s->writer->next, &seq);
    if (seq.verdict == SEQUENCE_LATE) {
        return 0;
    }
    ring_count_add(&ledger->bytes, bytes);
    ring_writer_commit(s->writer, bytes, tai_ns, seq.number, net_sequence_flags(&seq), seq.lost_before);
    ring_writer_publish(s->writer);
    return 1;
}

static void refuse(struct serial_source *s, enum ring_refusal reason)
{
    struct ring_ledger *ledger = &s->writer->view.header->ledger;
    ring_count_add(&ledger->refused[reason], 1);
    net_sequence_explain(&s->plan->sequence, ledger, RING_LOSS_MALFORMED, 1);
}

/* Moves the next possible start of a frame to the front of the slot. `from`: where to begin the search. */
static void find_sync(struct serial_source *s, uint8_t *slot, uint32_t from)
{
    const struct serial_plan *plan = &s->plan->serial;
    uint32_t at = from;
    for (; at < s->have; at++) {
        uint32_t n = s->have - at < plan->sync_bytes ? s->have - at : plan->sync_bytes;
        if (memcmp(slot + at, plan->sync, n) == 0) {
            break;
        }
    }
    if (at > 0) {
        ring_count_add(&s->writer->view.header->ledger.noise_bytes, at);
        memmove(slot, slot + at, s->have - at);
        s->have -= at;
    }
}

static uint32_t take_binary(struct serial_source *s, uint32_t bytes, uint64_t tai_ns)
{
    uint8_t *slot = s->into_scratch ? s->scratch : ring_writer_reserve(s->writer);
    s->have += bytes;
    find_sync(s, slot, 0);
    if (s->have < s->plan->frame_bytes) {
        return 0;
    }
    if (net_checksum_ok(&s->plan->checksum, slot)) {
        s->have = 0;
        if (s->into_scratch && !place_frame(s, slot, s->plan->frame_bytes, tai_ns)) {
            return 0;
        }
        return publish_frame(s, slot, s->plan->frame_bytes, tai_ns);
    }
    /* Half a frame and the start of the next, or a flipped bit: the next frame may begin inside this one. */
    refuse(s, RING_REFUSED_CHECKSUM);
    find_sync(s, slot, 1);
    return 0;
}

/* Blanks, at most one comma or semicolon, blanks: an empty field must not let its neighbour slide into its place.
 */
static const char *skip_separator(const char *at)
{
    at += strspn(at, " \t");
    at += *at == ',' || *at == ';';
    return at + strspn(at, " \t");
}

bool serial_parse_line(const char *line, uint32_t fields, double *values)
{
    const char *at = line + strspn(line, " \t");
    for (uint32_t i = 0; i < fields; i++) {
        char *end;
        values[i] = strtod(at, &end);
        if (end == at) {
            return false;
        }
        at = skip_separator(end);
        if (i + 1 < fields && at == end) {
            return false;
        }
    }
    return *at == 0;
}

static uint32_t take_line(struct serial_source *s, char *line, uint64_t tai_ns)
{
    double values[PLAN_FIELDS_MAX];
    uint32_t bytes = s->plan->serial.fields * (uint32_t)sizeof(double);
    size_t n = strlen(line);
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' ')) {
        line[--n] = 0;
    }
    if (n == 0) {
        return 0;
    }
    if (!serial_parse_line(line, s->plan->serial.fields, values)) {
        refuse(s, RING_REFUSED_SYNTAX);
        return 0;
    }
    if (!place_frame(s, values, bytes, tai_ns)) {
        return 0;
    }
    return publish_frame(s, (const uint8_t *)values, bytes, tai_ns);
}

static uint32_t take_text(struct serial_source *s, uint32_t bytes, uint64_t tai_ns)
{
    uint32_t frames = 0;
    uint32_t start = 0;
    uint32_t end = s->have + bytes;
    for (uint32_t i = s->have; i < end; i++) {
        if (s->line[i] != '\n') {
            /* A NUL would end the parser's string early and hide the rest. */
            if (s->line[i] == 0) {
                s->line[i] = '?';
            }
            continue;
        }
        s->line[i] = 0;
        if (!s->overlong) {
            frames += take_line(s, s->line + start, tai_ns);
        }
        s->overlong = false;
        start = i + 1;
    }
    s->have = end - start;
    memmove(s->line, s->line + start, s->have);
    if (s->have == PLAN_LINE_BYTES) {
        if (!s->overlong) {
            refuse(s, RING_REFUSED_LONG);
        }
        ring_count_add(&s->writer->view.header->ledger.noise_bytes, s->have);
        s->overlong = true;
        s->have = 0;
    }
    return frames;
}

uint32_t serial_complete(struct serial_source *source, const struct uring_event *event, uint64_t tai_ns)
{
    struct serial_source *s = source;
    s->reading = false;
    if (event->result == -EINTR || event->result == -EAGAIN) {
        return 0;
    }
    if (event->result <= 0) { /* hung up: 0 or -EIO, depending on the moment */
        ring_count_add(&s->writer->view.header->ledger.disconnects, 1);
        ring_count_add(&s->writer->view.header->ledger.noise_bytes, s->have);
        s->closed_tai_ns = tai_ns;
        serial_close(s);
        return 0;
    }
    if (s->plan->serial.format == SERIAL_TEXT) {
        return take_text(s, (uint32_t)event->result, tai_ns);
    }
    return take_binary(s, (uint32_t)event->result, tai_ns);
}
