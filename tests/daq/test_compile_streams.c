/* What may be said of each kind of source that is read from a descriptor or polled, and what cannot be. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/can.h>
#include <linux/comedi.h>
#include <math.h>
#include <sys/socket.h>

#include "daq/ways.h"
#include "ring/channel.h"
#include "tests/daq/compile_text.h"

#define CRC   "checksum: {kind: crc16_ccitt, from_byte: 0, at_byte: 14}"
#define FRAME "frame_bytes: 16, sync: a55a, " CRC
#define P     "channels: [{name: p, at_byte: 2, type: u16, unit: kPa, range: [0, 500]}]"
#define FIELD "channels: [{name: p, unit: kPa, range: [0, 500]}]"
#define SCAN  "scan: [{name: in_voltage0, type: 'le:u12/16>>4'}, {name: in_timestamp, type: 'le:s64/64>>0'}]"

static int compile_one(const char *kind, const char *keys)
{
    return compile_format("instance: test\n"
                          "rings: [{name: r, slots: 1024}]\n"
                          "sources: [{name: x, ring: r, kind: %s, %s}]\n",
                          kind, keys);
}

static const struct source_plan *good(const char *kind, const char *keys)
{
    cr_assert_eq(compile_one(kind, keys), 0, "%s {%s}: %s", kind, keys, errors.text);
    return &plan.worker[0].source[0];
}

Test(compile_streams, serial)
{
    const struct source_plan *s = good("serial", "device: /dev/ttyS0, " FRAME);
    cr_assert_eq(s->serial.baud, 115200);
    cr_assert_eq(s->serial.data_bits, 8);
    cr_assert_eq(s->serial.stop_bits, 1);
    cr_assert_eq(s->serial.parity, SERIAL_PARITY_NONE);
    cr_assert_eq(s->serial.flow, SERIAL_FLOW_NONE);
    cr_assert_eq(s->serial.direction, SERIAL_DIRECTION_NONE);
    cr_assert_eq(s->when_missing, WHEN_MISSING_WAIT);
    cr_assert_eq(s->framing.kind, FRAMING_FIXED);
    cr_assert_eq(s->framing.bytes_max, 16);
    cr_assert_eq(memcmp(s->framing.sync, "\xa5\x5a", 2), 0);
    s = good("serial",
             "device: /dev/ttyS0, format: text, baud: 9600, data_bits: 7, stop_bits: 2, parity: even, flow: "
             "xon_xoff, direction: rts_low, missing: refuse, pattern: 'P={} T={}'");
    cr_assert_eq(s->serial.data_bits, 7);
    cr_assert_eq(s->serial.parity, SERIAL_PARITY_EVEN);
    cr_assert_eq(s->serial.direction, SERIAL_DIRECTION_RTS_LOW);
    cr_assert_eq(s->when_missing, WHEN_MISSING_REFUSE);
    cr_assert_eq(s->framing.fields, 2, "those of the pattern");
    cr_assert_eq(s->frame_bytes, 16);
}

Test(compile_streams, what_connects)
{
    const struct source_plan *s =
        good("tcp", "connect: '127.0.0.1:5025', receive_buffer_kb: 64, format: length, length: "
                    "{at_byte: 2, width_bytes: 2, byte_order: little, adds: -1}");
    cr_assert_eq(s->tcp.port, 5025);
    cr_assert_eq(s->tcp.receive_buffer_bytes, 65536);
    cr_assert_eq(s->framing.length_order, RING_LITTLE_ENDIAN);
    cr_assert_eq(s->framing.length_adds, -1);
    cr_assert_eq(s->framing.bytes_max, 1536 - RING_DESCRIPTOR_BYTES, "what a slot has room for");
    s = good("tcp_listen", "listen: '0.0.0.0:1', from: 127.0.0.1, format: delimited, delimiter: 0d0a");
    cr_assert_eq(s->framing.delimiter_bytes, 2);
    cr_assert_eq(s->tcp.from_address, htonl(0x7f000001));
    s = good("unix", "path: /tmp/x, frame_bytes: 8");
    cr_assert_eq(s->un.type, SOCK_STREAM);
    cr_assert_eq(s->framing.kind, FRAMING_FIXED);
    s = good("unix", "path: /tmp/x, socket: seqpacket");
    cr_assert_eq(s->framing.kind, FRAMING_MESSAGE);
    s = good("unix", "path: /tmp/x, socket: datagram, format: message, frame_bytes: 8");
    cr_assert_eq(s->framing.bytes_max, 8);
}

Test(compile_streams, files_and_programs)
{
    const struct source_plan *s = good("fifo", "path: /tmp/x, format: text");
    cr_assert_str_eq(s->file.path, "/tmp/x");
    s = good("file", "path: /tmp/x, frame_bytes: 8");
    cr_assert_eq(s->file.follow, FILE_TAIL);
    cr_assert_eq(s->file.from_begin, 0);
    s = good("file", "path: /tmp/x, frame_bytes: 8, follow: replay, frames_hz: 1000");
    cr_assert_eq(s->file.follow, FILE_REPLAY);
    s = good("exec", "command: [/bin/echo, 'a b', ''], format: text");
    cr_assert_eq(s->exec.words, 3);
    cr_assert_eq(memcmp(s->exec.command, "/bin/echo\0a b\0\0", 15), 0);
    s = good("hidraw", "path: /dev/hidraw0, frame_bytes: 8");
    cr_assert_eq(s->framing.kind, FRAMING_MESSAGE);
    cr_assert_eq(s->framing.bytes_max, 8);
}

Test(compile_streams, can)
{
    const struct source_plan *s = good("can", "interface: can0, ids: [0x180, 2047, 0x800, 0x80000123]");
    static const uint32_t ids[] = {0x180, 0x7ff, 0x800 | CAN_EFF_FLAG, 0x123 | CAN_EFF_FLAG};
    cr_assert_eq(s->can.ids, 4);
    cr_assert_eq(memcmp(s->can.id, ids, sizeof(ids)), 0);
    cr_assert_eq(s->frame_bytes, 16);
    cr_assert_eq(s->framing.bytes_max, 16);
    s = good("can", "interface: can0, fd: true");
    cr_assert_eq(s->can.ids, 0);
    cr_assert_eq(s->frame_bytes, 72, "at most: frames of both lengths");
    cr_assert_eq(plan.ring[0].stream.frame_bytes, 0, "each is as long as it says");
    cr_assert_eq(plan.ring[0].slot_bytes, 128);
    cr_assert_eq(s->framing.bytes_max, 72);
}

Test(compile_streams, iio_scans_are_laid_out_as_the_kernel_does)
{
    const struct source_plan *s =
        good("iio", "device: adc, trigger: t, rate_hz: 0.5, scan: [{name: a, type: 'be:u8/8>>0'}, {name: b, type: "
                    "'le:s24/32>>8'}, {name: c, type: 'le:u16/16'}, {name: d, type: 'le:s64/64>>0'}]");
    static const uint32_t places[] = {0, 4, 8, 16};
    for (uint32_t n = 0; n < 4; n++) {
        cr_assert_eq(s->iio.scan[n].at_byte, places[n], "%u", n);
    }
    cr_assert_eq(s->frame_bytes, 24);
    cr_assert_str_eq(s->iio.scan[2].type, "le:u16/16>>0", "as the kernel writes it");
    cr_assert_eq(s->iio.length, 1024);
    s = good("iio", "device: adc, scan: [{name: a, type: 'le:u16/16>>0'}]");
    cr_assert_eq(s->frame_bytes, 2);
    cr_assert_eq(s->iio.trigger[0], 0);
}

#define CARD "device: /dev/comedi0, inputs: [{input: 3, range_index: 1, reference: diff}, {input: 0}]"

Test(compile_streams, inputs_of_a_card)
{
    const struct source_plan *s = good(
        "comedi", CARD ", scan_hz: 1000, subdevice: 2, buffer_length: 4096, missing: refuse, channels: [{name: "
                       "a, unit: V, range: [0, 1]}, {name: b, field: 1, unit: V, range: [0, 1]}]");
    cr_assert_eq(s->framing.kind, FRAMING_FIXED);
    cr_assert_eq(s->frame_bytes, 4);
    cr_assert_eq(s->comedi.subdevice, 2);
    cr_assert_eq(s->comedi.length, 4096);
    cr_assert_eq(s->comedi.input[0], CR_PACK(3, 1, AREF_DIFF));
    cr_assert_eq(s->comedi.input[1], CR_PACK(0, 0, AREF_GROUND));
    cr_assert_eq(plan.ring[0].channel[1].at_byte, 2);
    cr_assert_eq(plan.ring[0].channel[1].type, RING_TYPE_U16);
    cr_assert_eq(plan.ring[0].channel[1].byte_order, RING_LITTLE_ENDIAN);
    s = good("comedi_polled",
             CARD ", period_ms: 5, sample_bits: 32, channels: [{name: a, field: 1, unit: V, range: "
                  "[0, 1]}]");
    cr_assert_eq(s->framing.kind, FRAMING_POLLED);
    cr_assert_eq(s->frame_bytes, 8);
    cr_assert_eq(plan.ring[0].channel[0].at_byte, 4);
    cr_assert_eq(plan.ring[0].channel[0].type, RING_TYPE_U32);
}

static const struct ring_channel *scan_channel(const char *type, const char *channel)
{
    char keys[512];
    snprintf(keys, sizeof(keys),
             "device: adc, scan: [{name: a, type: '%s'}], channels: [{name: p, scan: a, unit: V, %s}]", type,
             channel);
    (void)good("iio", keys);
    return &plan.ring[0].channel[0];
}

/* The raw word's value, as everybody decodes it. */
static void expect_value(const struct ring_channel *channel, uint16_t word, double expected)
{
    uint8_t payload[2] = {(uint8_t)word, (uint8_t)(word >> 8)}; /* little-endian */
    double value = -1;
    cr_assert(ring_channel_decode(channel, NULL, NULL, payload, 2, &value));
    cr_assert(fabs(value - expected) < 1e-9, "%g, expected %g", value, expected);
}

Test(compile_streams, an_element_of_a_scan_is_a_channel)
{
    const struct ring_channel *channel = scan_channel("be:u12/16>>4", "scale: 0.5, range: [0, 100]");
    cr_assert_eq(channel->type, RING_TYPE_U16);
    cr_assert_eq(channel->byte_order, RING_BIG_ENDIAN);
    expect_value(channel, 0xfd12, 0x12f * 0.5);
    channel = scan_channel("le:s12/16>>0", "range: [-1000, 1000]");
    cr_assert_eq(channel->type, RING_TYPE_I16);
    expect_value(channel, 0x0fff, -1);
    expect_value(channel, 0xa7ff, 2047);
    /* Whatever a driver leaves in the other four bits. */
    expect_value(scan_channel("le:u12/16>>0", "scale: 0.1, range: [-5, 9999]"), 0xb123, 0x123 * 0.1);
    expect_value(scan_channel("le:s12/16>>4", "scale: -1, offset: 10, range: [-9999, 9999]"), 0x800f, 10 + 2048);
    channel = scan_channel("le:u16/16>>0", "range: [0, 100]");
    cr_assert_eq(channel->bits, 0, "all of them");
    expect_value(channel, 0xfffe, 65534);
}

Test(compile_streams, gpio)
{
    const struct source_plan *s = good("gpio_edges", "device: /dev/gpiochip0, lines: [3, 17]");
    cr_assert_eq(s->gpio.edges, GPIO_EDGES_BOTH);
    cr_assert_eq(s->gpio.bias, GPIO_BIAS_AS_IS);
    cr_assert_eq(s->gpio.lines, 2);
    cr_assert_eq(s->gpio.line[1], 17);
    cr_assert_eq(s->frame_bytes, 48);
    cr_assert_eq(s->sequence.width_bytes, 4);
    cr_assert_eq(s->sequence.at_byte, 16, "seqno: over all lines of the request");
    s = good("gpio_levels",
             "device: /dev/gpiochip0, lines: [3], bias: pull_up, active_low: true, debounce_us: 10, period_ms: 1");
    cr_assert_eq(s->gpio.active_low, 1);
    cr_assert_eq(s->gpio.debounce_us, 10);
    cr_assert_eq(s->frame_bytes, 4);
    cr_assert_eq(s->framing.kind, FRAMING_POLLED);
    cr_assert_eq(s->poll.period_ns, 1000000);
}

Test(compile_streams, what_is_polled)
{
    const struct source_plan *s = good(
        "i2c", "device: /dev/i2c-1, bus_address: 0x28, reads: [{write: '00ff', read_bytes: 2}, {read_bytes: 3}]");
    cr_assert_eq(s->bus.address, 0x28);
    cr_assert_eq(s->bus.reads, 2);
    cr_assert_eq(s->bus.read[0].write_bytes, 2);
    cr_assert_eq(s->bus.read[0].write[1], 0xff);
    cr_assert_eq(s->frame_bytes, 5);
    cr_assert_eq(s->poll.period_ns, 100000000);
    cr_assert_eq(s->poll.timeout_ns, 500000000);
    s = good(
        "spi",
        "device: /dev/spidev0.0, mode: 3, speed_hz: 5000000, bits_per_word: 16, period_ms: 0.5, timeout_ms: 20, "
        "reads: [{write: '0001', read_bytes: 256}]");
    cr_assert_eq(s->bus.mode, 3);
    cr_assert_eq(s->bus.speed_hz, 5000000);
    cr_assert_eq(s->poll.period_ns, 500000);
    s = good("sysfs", "attributes: [/sys/a, /sys/b], channels: [{name: p, field: 1, unit: V, range: [0, 1]}]");
    cr_assert_eq(s->sysfs.attributes, 2);
    cr_assert_str_eq(s->sysfs.path[1], "/sys/b");
    cr_assert_eq(s->frame_bytes, 16);
    cr_assert_eq(plan.ring[0].channel[0].at_byte, 8);
}

struct bad {
    const char *kind;
    const char *keys;
    const char *piece;
};

static void refuse_all(const struct bad *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cr_assert_lt(compile_one(cases[i].kind, cases[i].keys), 0, "%s {%s} was accepted", cases[i].kind,
                     cases[i].keys);
        cr_assert_not_null(strstr(errors.text, cases[i].piece), "%s {%s}: expected '%s' in\n%s", cases[i].kind,
                           cases[i].keys, cases[i].piece, errors.text);
    }
}
#define REFUSE_ALL(cases) refuse_all(cases, sizeof(cases) / sizeof((cases)[0]))

#define TTY "device: /dev/ttyS0, "

Test(compile_streams, serial_lines_that_cannot_be)
{
    static const struct bad cases[] = {
        {"serial", FRAME, "device: expected the path of a tty"},
        {"serial", TTY FRAME ", baud: 123", "expected a standard rate from 1200 to 4000000, found 123"},
        {"serial", TTY FRAME ", data_bits: 9", "expected 5 to 8 bits, found 9"},
        {"serial", TTY FRAME ", data_bits: 7", "expected 8 for binary frames, found 7"},
        {"serial", TTY "format: length, sync: aa, length: {at_byte: 1, width_bytes: 1}, data_bits: 7",
         "expected 8 for binary frames, found 7"},
        {"serial", TTY FRAME ", stop_bits: 3", "expected 1 to 2 bits, found 3"},
        {"serial", TTY FRAME ", parity: mark", "parity"},
        {"serial", TTY FRAME ", flow: xon_xoff", "it needs format: text"},
        {"serial", TTY FRAME ", flow: rts_cts, direction: rts_high", "RTS cannot be both"},
        {"serial", TTY FRAME ", missing: ignore", "missing"},
        {"serial", TTY "frame_bytes: 16", "needs a sync or a checksum"},
        {"serial", TTY "frame_bytes: 16, sync: a55a, " P, "without a checksum can be a mix of two frames"},
        {"serial", TTY "format: length, length: {at_byte: 0, width_bytes: 1}",
         "needs a sync to find its frames by"},
        {"serial", TTY "format: message", "a stream of bytes has no messages"},
    };
    REFUSE_ALL(cases);
}

#define TEXT "fifo"

Test(compile_streams, framings_that_cannot_be)
{
    static const struct bad cases[] = {
        {TEXT, "path: /x", "needs its frame's length, at least the sync's, found 0"},
        {TEXT, "path: /x, frame_bytes: 1, sync: a55a", "needs its frame's length"},
        {TEXT, "path: /x, frame_bytes: 8, sync: a5g",
         "expected 1 to 8 bytes as hex digits such as a55a, found 'a5g'"},
        {TEXT, "path: /x, frame_bytes: 8, sync: a", "as hex digits"},
        {TEXT, "path: /x, frame_bytes: 32, sync: 000102030405060708", "expected 1 to 8 bytes"},
        {TEXT, "path: /x, frame_bytes: 8, fields: 2", "fields: belongs to format: text"},
        {TEXT, "path: /x, frame_bytes: 8, pattern: '{}'", "pattern: belongs to format: text"},
        {TEXT, "path: /x, frame_bytes: 8, delimiter: 0a", "delimiter: belongs to format: delimited"},
        {TEXT, "path: /x, frame_bytes: 8, length: {at_byte: 0, width_bytes: 1}",
         "length: belongs to format: length"},
        {TEXT, "path: /x, format: delimited", "as hex digits such as 0d0a, found 'nothing'"},
        {TEXT, "path: /x, format: delimited, delimiter: 0001020304", "expected 1 to 4 bytes"},
        {TEXT, "path: /x, format: delimited, delimiter: 0a, sync: aa", "sync: belongs to format: binary or length"},
        {TEXT, "path: /x, format: length", "needs length: {at_byte: N, width_bytes: N}"},
        {TEXT, "path: /x, format: length, length: {at_byte: 0, width_bytes: 3}", "expected 1, 2 or 4"},
        {TEXT, "path: /x, format: length, length: {at_byte: 1025, width_bytes: 1}", "expected at most 1024"},
        {TEXT, "path: /x, format: length, frame_bytes: 16, length: {at_byte: 0, width_bytes: 1}, " CRC,
         "stands at a fixed byte"},
        {TEXT, "path: /x, format: text, fields: 33", "expected 1 to 32 numbers per line, found 33"},
        {TEXT, "path: /x, format: text, pattern: 'P='", "expected {} at least once"},
        {TEXT, "path: /x, format: text, pattern: '*{}'", "expected characters behind * to stop at"},
        {TEXT, "path: /x, format: text, fields: 3, pattern: '{} {}'", "the pattern has 2 numbers, fields says 3"},
        {TEXT,
         "path: /x, format: text, pattern: '{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}'",
         "expected at most 32 numbers, found 33"},
        {TEXT, "path: /x, format: text, frame_bytes: 8", "belong to format: binary"},
        {TEXT, "path: /x, format: text, sync: aa", "belong to format: binary"},
        {TEXT, "path: /x, format: text, sequence: {at_byte: 0, width_bytes: 4}", "belong to format: binary"},
        {TEXT, "path: /x, format: text, " CRC, "belong to format: binary"},
        {TEXT, "path: /x, format: text, channels: [{name: p, field: 1, unit: V, range: [0, 1]}]",
         "field 1 lies beyond the 1 fields"},
        {TEXT, "path: /x, format: text, " P, "a channel of numbers has a field, no at_byte"},
        {"unix", "path: /x, socket: datagram, format: binary", "comes in messages"},
        {"unix", "path: /x, socket: datagram, sync: aa", "sync: belongs to format: binary or length"},
    };
    REFUSE_ALL(cases);
}

#define LONG40  "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG120 LONG40 LONG40 LONG40

Test(compile_streams, ends_that_cannot_be)
{
    static const struct bad cases[] = {
        {"tcp", "frame_bytes: 8", "connect: expected ADDRESS:PORT such as 192.0.2.7:5025, found 'nothing'"},
        {"tcp", "connect: 127.0.0.1, frame_bytes: 8", "found '127.0.0.1'"},
        {"tcp", "connect: 'localhost:80', frame_bytes: 8", "found 'localhost:80'"},
        {"tcp", "connect: '127.0.0.1:80', frame_bytes: 8, receive_buffer_kb: 1",
         "expected 4 to 1048576 KiB, found 1"},
        {"tcp", "connect: '127.0.0.1:80', frame_bytes: 8, from: 127.0.0.1",
         "from: belongs to kind: udp, tcp_listen"},
        {"tcp_listen", "frame_bytes: 8", "listen: expected ADDRESS:PORT such as 0.0.0.0:5025"},
        {"tcp_listen", "listen: '0.0.0.0:1', frame_bytes: 8, from: '127.0.0.1:5'",
         "expected the IPv4 address of the one client"},
        {"unix", "frame_bytes: 8", "path: expected the path of a socket of at most 107 characters, found nothing"},
        {"unix", "path: " LONG120 ", frame_bytes: 8", "found a longer one"},
        {"unix", "path: /x, socket: raw, frame_bytes: 8", "socket"},
        {"fifo", "format: text", "expected the path of a FIFO"},
        {"hidraw", "frame_bytes: 8", "expected the path of a hidraw device"},
        {"hidraw", "path: /x, format: binary, frame_bytes: 8", "format: belongs to kind:"},
        {"file", "frame_bytes: 8", "expected the path of a file"},
        {"file", "path: /x, frame_bytes: 8, frames_hz: 5", "belongs to follow: replay"},
        {"file", "path: /x, frame_bytes: 8, follow: replay, frames_hz: -1", "to 1e6 Hz, found -1"},
        {"file", "path: /x, frame_bytes: 8, follow: replay, from_begin: true", "a replay begins at the begin"},
        {"fifo", "path: /x, format: text, follow: tail", "follow: belongs to kind: file"},
        {"exec", "format: text", "expected a program and its arguments"},
        {"exec", "format: text, command: ['']", "expected a program and its arguments"},
        {"can", "fd: true", "interface: expected the path of an interface"},
        {"can", "interface: can0, ids: [0x20000000]", "found 0x20000000"},
        {"can", "interface: can0, frame_bytes: 16", "the kernel's struct can_frame of 16 bytes; leave it out"},
        {"can", "interface: can0, ids: [010]", "a whole number, decimal or as 0x1f, found '010'"},
        {"can", "interface: can0, fd: true, channels: [{name: p, at_byte: 71, type: u16, unit: V, range: [0, 1]}]",
         "lie beyond the frame of 72 bytes"},
        {"fifo", "path: /x, format: text, interface: can0", "interface: belongs to kind: udp, afxdp, can"},
    };
    REFUSE_ALL(cases);
}

Test(compile_streams, iio_devices_that_cannot_be)
{
    static const struct bad cases[] = {
        {"iio", SCAN, "device: expected the path of an IIO device"},
        {"iio", "device: adc", "expected the elements of a scan in the device's order"},
        {"iio", "device: adc, rate_hz: 5, " SCAN, "of the trigger that is named"},
        {"iio", "device: adc, trigger: t, rate_hz: 0, " SCAN, "expected above 0 to 1e6 Hz"},
        {"iio", "device: adc, buffer_length: 1, " SCAN, "expected 2 to 1048576 scans, found 1"},
        {"iio", "device: adc, frame_bytes: 8, " SCAN, "frame_bytes: belongs to kind:"},
        {"iio", "device: adc, scan: [{name: a/b, type: 'le:u8/8>>0'}]",
         "expected a name such as in_voltage0, found 'a/b'"},
        {"iio", "device: adc, scan: [{name: a, type: 'le:u8/8'}, {name: a, type: 'le:u8/8'}]",
         "element 'a' stands there twice"},
        {"iio", "device: adc, " SCAN ", channels: [{name: p, scan: in_other, unit: V, range: [0, 1]}]",
         "no element 'in_other'"},
        {"iio",
         "device: adc, " SCAN ", channels: [{name: p, scan: in_voltage0, at_byte: 0, unit: V, range: [0, 1]}]",
         "a channel with `scan` has no at_byte"},
        {"iio", "device: adc, " SCAN ", channels: [{name: p, scan: in_voltage0, unit: V, range: [5000, 6000]}]",
         "comes to values from 0 to 4095 V only"},
        {"fifo", "path: /x, frame_bytes: 8, channels: [{name: p, scan: a, unit: V, range: [0, 1]}]",
         "no element 'a'"},
    };
    static const char *const types[] = {"u12/16>>0",    "xe:u12/16>>0", "le:12/16>>0",   "le:u/16>>0",
                                        "le:u12>>0",    "le:u12/12>>0", "le:u17/16>>0",  "le:u12/16>>5",
                                        "le:u0/16>>0",  "le:u12/16>>",  "le:u12/16>>0 ", "le:u12/16>0",
                                        "le:u-1/16>>0", "le:s65/64>>0", "le:u12/16X2>>0"};
    REFUSE_ALL(cases);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char keys[128];
        snprintf(keys, sizeof(keys), "device: adc, scan: [{name: a, type: '%s'}]", types[i]);
        refuse_all(&(struct bad){"iio", keys, "expected a type as scan_elements/a_type has it"}, 1);
    }
}

Test(compile_streams, inputs_that_cannot_be)
{
    static const struct bad cases[] = {
        {"comedi", "scan_hz: 10, inputs: [{input: 0}]", "expected the path of a comedi card"},
        {"comedi", "device: /dev/comedi0, scan_hz: 10", "expected the inputs of a scan in their order"},
        {"comedi", CARD, "expected 0.25 to 1e+07 scans/s, found nothing"},
        {"comedi", CARD ", scan_hz: 0.1", "scans/s, found 0.1; a card without a clock is polled"},
        {"comedi", CARD ", scan_hz: 2e7", "found 2e+07"},
        {"comedi", CARD ", scan_hz: 10, period_ms: 5", "period_ms: belongs to kind:"},
        {"comedi", CARD ", scan_hz: 10, subdevice: 256", "expected 0 to 255"},
        {"comedi", CARD ", scan_hz: 10, sample_bits: 12", "expected 16 or 32, found 12"},
        {"comedi", CARD ", scan_hz: 10, buffer_length: 1", "expected 2 to 1048576 scans, found 1"},
        {"comedi", CARD ", scan_hz: 10, frame_bytes: 4", "frame_bytes: belongs to kind:"},
        {"comedi", "device: /dev/comedi0, scan_hz: 10, inputs: [{input: 70000}]", "expected 0 to 65535"},
        {"comedi", "device: /dev/comedi0, scan_hz: 10, inputs: [{input: 1, range_index: 256}]",
         "expected 0 to 255"},
        {"comedi", CARD ", scan_hz: 10, channels: [{name: a, at_byte: 0, unit: V, range: [0, 1]}]",
         "a channel of a comedi card has a field"},
        {"comedi", CARD ", scan_hz: 10, channels: [{name: a, field: 2, unit: V, range: [0, 1]}]",
         "field 2 lies beyond the 2 inputs"},
        {"comedi_polled", CARD ", scan_hz: 10", "scan_hz: belongs to kind: comedi;"},
        {"comedi_polled", CARD ", missing: refuse", "missing: belongs to kind:"},
        {"comedi_polled", "device: '', inputs: [{input: 0}]", "expected the path of a comedi card"},
    };
    REFUSE_ALL(cases);
}

#define CHIP "device: /dev/gpiochip0, "
#define BUS  "device: /dev/i2c-1, bus_address: 40, "
#define SPI  "device: /dev/spidev0.0, "
#define READ "reads: [{read_bytes: 2}]"

Test(compile_streams, polls_that_cannot_be)
{
    static const struct bad cases[] = {
        {"gpio_edges", "lines: [1]", "expected the path of a GPIO chip"},
        {"gpio_edges", "device: /dev/gpiochip0", "expected 1 to 16 numbers of lines, found 0"},
        {"gpio_edges", CHIP "lines: [1, 2, 1]", "line 1 stands there twice"},
        {"gpio_edges", CHIP "lines: [1], debounce_us: 2000000", "expected 1 to 1000000 us"},
        {"gpio_edges", CHIP "lines: [1], period_ms: 5", "period_ms: belongs to kind:"},
        {"gpio_edges", CHIP "lines: [1], bias: up", "bias"},
        {"gpio_levels", CHIP "lines: [1], edges: rising", "edges: belongs to kind: gpio_edges"},
        {"gpio_levels", CHIP "lines: [1], missing: refuse", "missing: belongs to kind:"},
        {"i2c", "device: /dev/i2c-1, " READ, "expected an address of 7 bits from 0x03 to 0x77, found 0x00"},
        {"i2c", "device: /dev/i2c-1, bus_address: 0x78, " READ, "found 0x78"},
        {"i2c", "bus_address: 40, " READ, "expected the path of an I2C bus"},
        {"i2c", "device: /dev/i2c-1, bus_address: 40", "expected what is to be read"},
        {"i2c", BUS "reads: [{read_bytes: 33}]", "expected read_bytes from 1 to 32, found 33"},
        {"i2c", BUS "reads: [{read_bytes: 0}]", "expected read_bytes from 1 to 32, found 0"},
        {"i2c", BUS "reads: [{write: 'xy', read_bytes: 1}]",
         "expected write as hex digits of at most 16 bytes, found 'xy'"},
        {"i2c", BUS "mode: 1, " READ, "mode: belongs to kind: spi"},
        {"i2c", BUS "period_ms: 0.01, " READ, "expected 0.1 to 3.6e+06 ms, found 0.01"},
        {"i2c", BUS "timeout_ms: 0, " READ, "expected 1 to 60000 ms, found 0"},
        {"spi", READ, "expected the path of a spidev device"},
        {"spi", SPI "mode: 4, " READ, "expected 0 to 3"},
        {"spi", SPI "speed_hz: 1, " READ, "expected 1000 to 100000000 Hz, found 1"},
        {"spi", SPI "bits_per_word: 7, " READ, "expected 8 to 32 bits, found 7"},
        {"spi", SPI "bits_per_word: 16, reads: [{read_bytes: 3}]",
         "expected whole words of 2 bytes, found 3 bytes"},
        {"spi", SPI "reads: [{read_bytes: 257}]", "expected read_bytes from 1 to 256, found 257"},
        {"spi", SPI "bus_address: 1, " READ, "bus_address: belongs to kind: i2c"},
        {"sysfs", "period_ms: 5", "expected 1 to 16 paths"},
        {"sysfs", "attributes: [here]", "expected a whole path of at most 127 characters, found 'here'"},
        {"sysfs", "attributes: [" LONG120 LONG40 "]", "expected a whole path"},
        {"sysfs", "attributes: [/a], channels: [{name: p, field: 1, unit: V, range: [0, 1]}]",
         "field 1 lies beyond"},
    };
    REFUSE_ALL(cases);
}

Test(compile_streams, every_kind_has_its_own_way)
{
    for (uint32_t kind = SOURCE_UDP; kind <= SOURCE_LAST; kind++) {
        const char *name = config_source_kind(kind);
        bool is_no_stream =
            kind == SOURCE_UDP || kind == SOURCE_DPDK || kind == SOURCE_AFXDP || kind == SOURCE_RECORDING;
        if (strcmp(name, "unknown") != 0 && !is_no_stream) {
            cr_assert_not_null(way_of(kind), "%s", name);
        }
    }
}

/* A configuration of `count` sources, each with a ring and a channel of its own, on one worker. */
static int compile_many(uint32_t count)
{
    static char rings[16384];
    static char sources[65536];
    size_t r = 0;
    size_t s = 0;
    for (uint32_t i = 0; i < count; i++) {
        r += (size_t)snprintf(rings + r, sizeof(rings) - r, "- {name: r%u, slots: 64}\n", i);
        s += (size_t)snprintf(sources + s, sizeof(sources) - s,
                              "- {name: s%u, ring: r%u, kind: sysfs, attributes: [/a/%u], "
                              "channels: [{name: c%u, field: 0, unit: V, range: [0, 1]}]}\n",
                              i, i, i, i);
    }
    cr_assert_lt(s, sizeof(sources));
    return compile_format("instance: t\nrings:\n%ssources:\n%s", rings, sources);
}

Test(compile_streams, a_worker_has_as_many_sources_as_there_may_be_rings)
{
    cr_assert_eq(compile_many(PLAN_SOURCES_MAX), 0, "%s", errors.text);
    cr_assert_eq(plan.workers, 1);
    cr_assert_eq(plan.worker[0].sources, PLAN_SOURCES_MAX);
    cr_assert_str_eq(plan.worker[0].source[PLAN_SOURCES_MAX - 1].sysfs.path[0], "/a/63");
    cr_assert_eq(compile_many(PLAN_SOURCES_MAX + 1), -EINVAL);
    cr_assert_not_null(strstr(errors.text, "expected at most 64 rings, found 65"), "%s", errors.text);
}

#define COALESCED                                                                                                  \
    "instance: t\nworkers: [{name: w, coalesce_us: %u}]\nrings: [{name: r, slots: 1024}]\n"                        \
    "sources: [{name: x, ring: r, kind: fifo, path: /x, frame_bytes: 16, channels: [{name: p, at_byte: 0, "        \
    "type: u16, unit: kPa, range: [0, 500], stale_ms: 2}]}]\n"

/* What waits to be read with others is stamped when it is read. */
Test(compile_streams, what_is_read_together_waits_for_less_than_makes_it_stale)
{
    cr_assert_eq(compile_format(COALESCED, 500), 0, "%s", errors.text);
    cr_assert_eq(plan.worker[0].coalesce_us, 500);
    cr_assert_eq(compile_format(COALESCED, 501), -EINVAL);
    cr_assert_not_null(strstr(errors.text, "expected at most a quarter of the shortest stale_ms of its channels, "
                                           "found 501 us, and channel 'p' with 2 ms"),
                       "%s", errors.text);
}
