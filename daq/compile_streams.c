#include <arpa/inet.h>
#include <linux/can.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daq/compile.h"
#include "daq/text.h"
#include "daq/ways.h"

#define READ_BYTES         4096u
#define COPIED_FRAME_BYTES 512u /* what is larger is read straight into its slot */

#define CAN_BYTES    ((uint32_t)sizeof(struct can_frame))
#define CAN_FD_BYTES ((uint32_t)sizeof(struct canfd_frame))

bool compile_hex(const char *text, uint8_t *bytes, uint32_t most, uint32_t *count)
{
    size_t n = strlen(text);
    if (n == 0 || n % 2 != 0 || n / 2 > most || strspn(text, "0123456789abcdefABCDEF") != n) {
        return false;
    }
    for (size_t i = 0; i < n / 2; i++) {
        char two[3] = {text[2 * i], text[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    *count = (uint32_t)(n / 2);
    return true;
}

void compile_string(struct compile *c, uint32_t i, const char *key, const char *from, char *to, size_t bytes,
                    const char *what)
{
    char path[COMPILE_PATH_BYTES];
    if (from == NULL || from[0] == 0 || strlen(from) >= bytes) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].%s", i, key),
                        "expected the path of %s of at most %zu characters, found %s", what, bytes - 1,
                        from != NULL && from[0] != 0 ? "a longer one" : "nothing");
        return;
    }
    snprintf(to, bytes, "%s", from);
}

static int word_or(const int *given, int standard)
{
    return given != NULL ? *given : standard;
}

void compile_serial(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct serial_plan *serial = &to->serial;
    compile_string(c, i, "device", from->device, serial->device, sizeof(serial->device), "a tty");
    serial->baud = from->baud != NULL ? *from->baud : 115200;
    if (way_serial_speed(serial->baud) == 0) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].baud", i),
                        "expected a standard rate from 1200 to 4000000, found %u", serial->baud);
    }
    serial->data_bits = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].data_bits", i),
                                                  from->data_bits, 8, 5, 8, "bits");
    serial->stop_bits = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].stop_bits", i),
                                                  from->stop_bits, 1, 1, 2, "bits");
    serial->parity = (uint32_t)word_or(from->parity, SERIAL_PARITY_NONE);
    serial->flow = (uint32_t)word_or(from->flow, SERIAL_FLOW_NONE);
    serial->direction = (uint32_t)word_or(from->direction, SERIAL_DIRECTION_NONE);
    bool binary =
        to->framing.kind == FRAMING_FIXED || to->framing.kind == FRAMING_LENGTH || to->kind == SOURCE_MODBUS_RTU;
    if (serial->data_bits < 8 && binary) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].data_bits", i),
                        "expected 8 for binary frames, found %u", serial->data_bits);
    }
    if (serial->flow == SERIAL_FLOW_XON_XOFF && to->framing.kind != FRAMING_TEXT && to->kind != SOURCE_SCPI) {
        config_complain(
            c->file, c->errors, compile_path(path, "sources[%u].flow", i),
            "xon_xoff takes two bytes out of the line, which binary frames may have; it needs format: text");
    }
    if (serial->direction != SERIAL_DIRECTION_NONE && serial->flow == SERIAL_FLOW_RTS_CTS) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].direction", i),
                        "RTS cannot be both the direction of RS-485 and flow control");
    }
}

void compile_tcp(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    bool listens = to->kind == SOURCE_TCP_LISTEN;
    const char *key = listens ? "listen" : "connect";
    const char *text = listens ? from->listen : from->connect;
    if (text == NULL || !compile_address(text, &to->tcp.address, &to->tcp.port, true)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].%s", i, key),
                        "expected ADDRESS:PORT such as %s, found '%s'", listens ? "0.0.0.0:5025" : "192.0.2.7:5025",
                        text != NULL ? text : "nothing");
    }
    if (from->from != NULL && !compile_address(from->from, &to->tcp.from_address, NULL, false)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].from", i),
                        "expected the IPv4 address of the one client, found '%s'", from->from);
    }
    to->tcp.receive_buffer_bytes =
        1024u * (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].receive_buffer_kb", i),
                                          from->receive_buffer_kb, 0, 4, 1048576, "KiB");
}

static void compile_unix(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    struct sockaddr_un address;
    compile_string(c, i, "path", from->path, to->un.path, sizeof(address.sun_path), "a socket");
    to->un.type = (uint32_t)word_or(from->socket, SOCK_STREAM);
}

static void compile_file(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    const char *what = to->kind == SOURCE_FIFO     ? "a FIFO"
                       : to->kind == SOURCE_HIDRAW ? "a hidraw device"
                                                   : "a file";
    compile_string(c, i, "path", from->path, to->file.path, sizeof(to->file.path), what);
    to->file.follow = (uint32_t)word_or(from->follow, FILE_TAIL);
    to->file.from_begin = from->from_begin != NULL && *from->from_begin;
    to->file.frames_hz = from->frames_hz != NULL ? *from->frames_hz : 0;
    if (!isfinite(to->file.frames_hz) || to->file.frames_hz < 0 || to->file.frames_hz > 1e6) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].frames_hz", i),
                        "expected 0 (as fast as can be) to 1e6 Hz, found %g", to->file.frames_hz);
    }
    if (to->file.follow == FILE_TAIL && from->frames_hz != NULL) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].frames_hz", i),
                        "belongs to follow: replay");
    }
    if (to->file.follow == FILE_REPLAY && from->from_begin != NULL) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].from_begin", i),
                        "belongs to follow: tail; a replay begins at the begin");
    }
}

static void compile_exec(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    size_t used = 0;
    compile_path(path, "sources[%u].command", i);
    if (from->command_count == 0 || from->command[0][0] == 0) {
        config_complain(c->file, c->errors, path,
                        "expected a program and its arguments, such as [/usr/bin/adc, -r, '1000']");
        return;
    }
    for (uint32_t w = 0; w < from->command_count; w++) {
        size_t bytes = strlen(from->command[w]) + 1;
        if (w >= 64 || bytes > sizeof(to->exec.command) - used) {
            config_complain(c->file, c->errors, path, "expected at most 64 words of together %zu bytes, found more",
                            sizeof(to->exec.command));
            return;
        }
        memcpy(to->exec.command + used, from->command[w], bytes);
        used += bytes;
    }
    to->exec.words = from->command_count;
}

static void compile_can(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    compile_string(c, i, "interface", from->interface, to->can.interface, sizeof(to->can.interface),
                   "an interface");
    to->can.fd = from->fd != NULL && *from->fd;
    to->can.ids = from->ids_count;
    for (uint32_t n = 0; n < from->ids_count; n++) {
        uint32_t id = from->ids[n];
        if ((id & ~CAN_EFF_FLAG) > CAN_EFF_MASK) {
            config_complain(c->file, c->errors, compile_path(path, "sources[%u].ids", i),
                            "expected ids up to 0x7ff, or extended ones up to 0x1fffffff (an extended one below "
                            "0x800 as 0x80000000 + id), found 0x%x",
                            id);
        }
        to->can.id[n] = id > CAN_SFF_MASK ? id | CAN_EFF_FLAG : id;
    }
    if (from->frame_bytes != NULL) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].frame_bytes", i),
                        "a frame of CAN is the kernel's struct can_frame of %u bytes; leave it out", CAN_BYTES);
    }
    to->frame_bytes = to->can.fd != 0 ? CAN_FD_BYTES : CAN_BYTES; /* at most: each is as long as it says */
    to->framing.bytes_max = to->frame_bytes;
}

/* ---- How frames lie in it. */

static bool keeps_messages(const struct source_plan *source)
{
    return source->kind == SOURCE_CAN || source->kind == SOURCE_HIDRAW ||
           (source->kind == SOURCE_UNIX && source->un.type != SOCK_STREAM);
}

static void compile_lines(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    uint32_t in_pattern = 1;
    if (from->pattern != NULL) {
        struct error err = {{0}};
        int fields = strlen(from->pattern) < PLAN_PATTERN_BYTES
                         ? text_pattern_fields(from->pattern, &err)
                         : error_set(&err, -1, "longer than %u characters", PLAN_PATTERN_BYTES - 1);
        if (fields > (int)PLAN_FIELDS_MAX) {
            fields = error_set(&err, -1, "expected at most %u numbers, found %d", PLAN_FIELDS_MAX, fields);
        }
        if (fields < 0) {
            compile_complain_item(c, "sources", i, "pattern", "%s", err.text);
        }
        in_pattern = fields > 0 ? (uint32_t)fields : 1;
        snprintf(to->framing.pattern, sizeof(to->framing.pattern), "%s", from->pattern);
    }
    to->framing.fields = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].fields", i), from->fields, 1,
                                                   1, PLAN_FIELDS_MAX, "numbers per line");
    if (from->fields == NULL) {
        to->framing.fields = in_pattern;
    }
    to->frame_bytes = to->framing.fields * 8;
    if (from->pattern != NULL && to->framing.fields != in_pattern) {
        config_complain(c->file, c->errors, path, "the pattern has %u numbers, fields says %u; leave fields out",
                        in_pattern, to->framing.fields);
    }
    if (from->frame_bytes != NULL || from->sync != NULL || from->sequence != NULL || from->checksum != NULL) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u]", i),
                        "frame_bytes, sync, sequence and checksum belong to format: binary");
    }
}

static void compile_length(struct compile *c, uint32_t i, const struct config_length *from, struct framing_plan *to)
{
    if (from == NULL) {
        compile_complain_item(c, "sources", i, "length",
                              "format: length needs length: {at_byte: N, width_bytes: N}");
        return;
    }
    to->length_at = from->at_byte;
    to->length_width = from->width_bytes;
    to->length_order = (uint32_t)word_or(from->byte_order, RING_BIG_ENDIAN);
    to->length_adds = word_or(from->adds, 0);
    if (to->length_width != 1 && to->length_width != 2 && to->length_width != 4) {
        compile_complain_item(c, "sources", i, "length.width_bytes", "expected 1, 2 or 4");
        to->length_width = 1;
    }
    if (to->length_at > 1024) {
        compile_complain_item(c, "sources", i, "length.at_byte",
                              "expected at most 1024: the length stands in a frame's head");
        to->length_at = 0;
    }
}

/* Keys of one framing at another one. */
static void refuse_framing_keys(struct compile *c, uint32_t i, const struct config_source *from, uint32_t framing)
{
    if (from->fields != NULL && framing != FRAMING_TEXT) {
        compile_complain_item(c, "sources", i, "fields", "belongs to format: text");
    }
    if (from->pattern != NULL && framing != FRAMING_TEXT) {
        compile_complain_item(c, "sources", i, "pattern", "belongs to format: text");
    }
    if (from->delimiter != NULL && framing != FRAMING_DELIMITED) {
        compile_complain_item(c, "sources", i, "delimiter", "belongs to format: delimited");
    }
    if (from->length != NULL && framing != FRAMING_LENGTH) {
        compile_complain_item(c, "sources", i, "length", "belongs to format: length");
    }
    if (from->sync != NULL && (framing == FRAMING_DELIMITED || framing == FRAMING_MESSAGE)) {
        compile_complain_item(c, "sources", i, "sync", "belongs to format: binary or length");
    }
}

static void compile_framing(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct framing_plan *framing = &to->framing;
    bool messages = keeps_messages(to);
    framing->kind = (uint32_t)word_or(from->format, messages ? FRAMING_MESSAGE : FRAMING_FIXED);
    if ((framing->kind == FRAMING_MESSAGE) != messages) {
        compile_complain_item(c, "sources", i, "format",
                              messages ? "what this source reads comes in messages: expected message, or nothing"
                                       : "a stream of bytes has no messages: expected binary, text, delimited or "
                                         "length");
        framing->kind = messages ? FRAMING_MESSAGE : FRAMING_FIXED;
    }
    refuse_framing_keys(c, i, from, framing->kind);
    if (framing->kind == FRAMING_TEXT) {
        compile_lines(c, i, from, to);
        return;
    }
    if (from->sync != NULL && !compile_hex(from->sync, framing->sync, PLAN_SYNC_BYTES, &framing->sync_bytes)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].sync", i),
                        "expected 1 to %u bytes as hex digits such as a55a, found '%s'", PLAN_SYNC_BYTES,
                        from->sync);
    }
    if (framing->kind == FRAMING_DELIMITED &&
        (from->delimiter == NULL ||
         !compile_hex(from->delimiter, framing->delimiter, PLAN_DELIMITER_BYTES, &framing->delimiter_bytes))) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].delimiter", i),
                        "expected 1 to %u bytes as hex digits such as 0d0a, found '%s'", PLAN_DELIMITER_BYTES,
                        from->delimiter != NULL ? from->delimiter : "nothing");
        framing->delimiter_bytes = 1;
    }
    if (framing->kind == FRAMING_LENGTH) {
        compile_length(c, i, from->length, framing);
    }
    if (framing->kind == FRAMING_FIXED && (to->frame_bytes == 0 || to->frame_bytes < framing->sync_bytes)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].frame_bytes", i),
                        "a binary %s source needs its frame's length, at least the sync's, found %u",
                        config_source_kind(to->kind), to->frame_bytes);
    }
}

/* A byte lost on a line shifts every later frame: without a mark, shifted bytes would pass for samples. Other
 * streams lose none, and begin with a frame. */
void compile_check_framing(struct compile *c, uint32_t i, const struct source_plan *source)
{
    char path[COMPILE_PATH_BYTES];
    bool no_checksum = source->checksum.kind != CHECKSUM_CRC16_CCITT;
    if (source->framing.kind == FRAMING_LENGTH && !no_checksum) {
        compile_complain_item(c, "sources", i, "checksum",
                              "stands at a fixed byte, which frames of format: length do not have");
    }
    if (source->kind != SOURCE_SERIAL || source->framing.kind == FRAMING_TEXT) {
        return;
    }
    if (source->framing.kind == FRAMING_LENGTH && source->framing.sync_bytes == 0) {
        compile_complain_item(c, "sources", i, "sync",
                              "a serial source with format: length needs a sync to find its frames by");
    } else if (source->framing.kind == FRAMING_FIXED && source->framing.sync_bytes == 0 && no_checksum) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].sync", i),
                        "a binary serial source needs a sync or a checksum to find its frames by");
    } else if (source->checksum.kind == 0 && c->config->sources[i].channels_count > 0) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].checksum", i),
                        "channels from a line without a checksum can be a mix of two frames; give one, or say "
                        "checksum: {kind: none} on purpose");
    }
}

/* Of small frames many are read at a time: to copy them costs less than a system call for each. Not of a recording,
 * whose frames fall due one by one. */
static uint32_t frames_at_a_time(const struct source_plan *source)
{
    bool is_replay = source->kind == SOURCE_FILE && source->file.follow == FILE_REPLAY;
    bool is_scans = source->kind == SOURCE_IIO || source->kind == SOURCE_GPIO_EDGES;
    bool is_small = source->frame_bytes != 0 && source->frame_bytes <= COPIED_FRAME_BYTES;
    bool is_fixed = is_scans || source->framing.kind == FRAMING_FIXED;
    return is_fixed && is_small && !is_replay ? READ_BYTES / source->frame_bytes : 0;
}

void compile_frame_limit(struct source_plan *source, const struct ring_plan *ring)
{
    source->framing.read_frames = frames_at_a_time(source);
    if (source->framing.kind == 0 || source->framing.bytes_max != 0) {
        return;
    }
    uint32_t room = ring->slot_bytes - ring->payload_offset;
    room -= source->framing.kind == FRAMING_MESSAGE; /* to notice one that is too long */
    source->framing.bytes_max = source->frame_bytes != 0 ? source->frame_bytes : room;
}

void compile_bytes(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    to->when_missing = (uint32_t)word_or(from->missing, WHEN_MISSING_WAIT);
    if (to->kind == SOURCE_UNIX) {
        compile_unix(c, i, from, to); /* its type says how frames lie in it */
    }
    if (to->kind == SOURCE_IIO) {
        compile_iio(c, i, from, to);
        return;
    }
    if (to->kind == SOURCE_GPIO_EDGES) {
        compile_gpio(c, i, from, to);
        return;
    }
    if (to->kind == SOURCE_COMEDI) {
        compile_comedi(c, i, from, to);
        return;
    }
    compile_framing(c, i, from, to);
    switch (to->kind) {
    case SOURCE_SERIAL:
        compile_serial(c, i, from, to);
        break;
    case SOURCE_TCP:
    case SOURCE_TCP_LISTEN:
        compile_tcp(c, i, from, to);
        break;
    case SOURCE_EXEC:
        compile_exec(c, i, from, to);
        break;
    case SOURCE_CAN:
        compile_can(c, i, from, to);
        break;
    case SOURCE_UNIX:
        break;
    default:
        compile_file(c, i, from, to);
        break;
    }
}
