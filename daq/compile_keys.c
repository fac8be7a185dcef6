/* Which keys a source of each kind may have. What nobody would read is an error, not a surprise. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"

#define KIND(kind) (UINT32_C(1) << (kind))

enum {
    BYTES = KIND(SOURCE_SERIAL) | KIND(SOURCE_TCP) | KIND(SOURCE_TCP_LISTEN) | KIND(SOURCE_UNIX) |
            KIND(SOURCE_FIFO) | KIND(SOURCE_EXEC) | KIND(SOURCE_FILE), /* frames have to be found in these */
    GPIO = KIND(SOURCE_GPIO_EDGES) | KIND(SOURCE_GPIO_LEVELS),
    BUS = KIND(SOURCE_I2C) | KIND(SOURCE_SPI),
    MODBUS = KIND(SOURCE_MODBUS_TCP) | KIND(SOURCE_MODBUS_RTU),
    COMEDI = KIND(SOURCE_COMEDI) | KIND(SOURCE_COMEDI_POLLED),
    POLLED = KIND(SOURCE_SYSFS) | KIND(SOURCE_GPIO_LEVELS) | BUS | MODBUS | KIND(SOURCE_SCPI) |
             KIND(SOURCE_REGISTERS) | KIND(SOURCE_COMEDI_POLLED),
    LINES = KIND(SOURCE_SERIAL) | KIND(SOURCE_MODBUS_RTU) | KIND(SOURCE_SCPI),
    STREAMS = BYTES | KIND(SOURCE_CAN) | KIND(SOURCE_HIDRAW),
    MISSING = STREAMS | KIND(SOURCE_IIO) | KIND(SOURCE_GPIO_EDGES) | KIND(SOURCE_COMEDI),
    PACKETS = KIND(SOURCE_UDP) | KIND(SOURCE_DPDK) | KIND(SOURCE_AFXDP)
};

/* All of these are pointers that are NULL if the key is not there. */
struct key {
    const char *name;
    size_t offset;
    uint32_t kinds;
};

#define KEY(key, kinds_)                                                                                           \
    {                                                                                                              \
        .name = #key, .offset = offsetof(struct config_source, key), .kinds = (kinds_)                             \
    }

static const struct key keys[] = {
    KEY(listen, KIND(SOURCE_UDP) | KIND(SOURCE_TCP_LISTEN)),
    KEY(group, KIND(SOURCE_UDP)),
    KEY(interface, KIND(SOURCE_UDP) | KIND(SOURCE_AFXDP) | KIND(SOURCE_CAN)),
    KEY(from, KIND(SOURCE_UDP) | KIND(SOURCE_TCP_LISTEN)),
    KEY(receive_buffer_kb, KIND(SOURCE_UDP) | KIND(SOURCE_TCP) | KIND(SOURCE_TCP_LISTEN)),
    KEY(gro, KIND(SOURCE_UDP)),
    KEY(port, KIND(SOURCE_DPDK)),
    KEY(queue, KIND(SOURCE_AFXDP) | KIND(SOURCE_DPDK)), /* dpdk: has its own words for it */
    KEY(descriptors, KIND(SOURCE_DPDK) | KIND(SOURCE_AFXDP)),
    KEY(packet, KIND(SOURCE_DPDK) | KIND(SOURCE_AFXDP)),
    KEY(core, KIND(SOURCE_DPDK)),
    KEY(steer, KIND(SOURCE_DPDK)),
    KEY(igmp, KIND(SOURCE_DPDK)),
    KEY(stream, PACKETS),
    KEY(sequence, PACKETS | STREAMS | KIND(SOURCE_RECORDING)),
    KEY(checksum, PACKETS | STREAMS),
    KEY(device, LINES | KIND(SOURCE_IIO) | GPIO | BUS | KIND(SOURCE_REGISTERS) | COMEDI),
    KEY(baud, LINES),
    KEY(data_bits, LINES),
    KEY(stop_bits, LINES),
    KEY(parity, LINES),
    KEY(flow, KIND(SOURCE_SERIAL) | KIND(SOURCE_SCPI)),
    KEY(direction, LINES),
    KEY(connect, KIND(SOURCE_TCP) | KIND(SOURCE_MODBUS_TCP) | KIND(SOURCE_SCPI)),
    KEY(path,
        KIND(SOURCE_UNIX) | KIND(SOURCE_FIFO) | KIND(SOURCE_FILE) | KIND(SOURCE_HIDRAW) | KIND(SOURCE_RECORDING)),
    KEY(paths, KIND(SOURCE_RECORDING)),
    KEY(recorded_ring, KIND(SOURCE_RECORDING)),
    KEY(from_s, KIND(SOURCE_RECORDING)),
    KEY(to_s, KIND(SOURCE_RECORDING)),
    KEY(loop, KIND(SOURCE_RECORDING)),
    KEY(wait_readers, KIND(SOURCE_RECORDING)),
    KEY(played_stamps, KIND(SOURCE_RECORDING)),
    KEY(socket, KIND(SOURCE_UNIX)),
    KEY(command, KIND(SOURCE_EXEC)),
    KEY(follow, KIND(SOURCE_FILE)),
    KEY(from_begin, KIND(SOURCE_FILE)),
    KEY(frames_hz, KIND(SOURCE_FILE)),
    KEY(timing, KIND(SOURCE_FILE)),
    KEY(speed, KIND(SOURCE_FILE) | KIND(SOURCE_RECORDING)),
    KEY(rate, MISSING | POLLED | KIND(SOURCE_UDP)),
    KEY(ids, KIND(SOURCE_CAN)),
    KEY(fd, KIND(SOURCE_CAN)),
    KEY(frame_bytes, PACKETS | STREAMS | KIND(SOURCE_RECORDING)),
    KEY(trigger, KIND(SOURCE_IIO)),
    KEY(rate_hz, KIND(SOURCE_IIO)),
    KEY(buffer_length, KIND(SOURCE_IIO) | KIND(SOURCE_COMEDI)),
    KEY(scan, KIND(SOURCE_IIO)),
    KEY(subdevice, COMEDI),
    KEY(inputs, COMEDI),
    KEY(sample_bits, COMEDI),
    KEY(scan_hz, KIND(SOURCE_COMEDI)),
    KEY(lines, GPIO),
    KEY(edges, KIND(SOURCE_GPIO_EDGES)),
    KEY(bias, GPIO),
    KEY(active_low, GPIO),
    KEY(debounce_us, GPIO),
    KEY(bus_address, KIND(SOURCE_I2C)),
    KEY(mode, KIND(SOURCE_SPI)),
    KEY(speed_hz, KIND(SOURCE_SPI)),
    KEY(bits_per_word, KIND(SOURCE_SPI)),
    KEY(reads, BUS),
    KEY(attributes, KIND(SOURCE_SYSFS)),
    KEY(unit_id, MODBUS),
    KEY(registers, MODBUS),
    KEY(queries, KIND(SOURCE_SCPI)),
    KEY(numbers, KIND(SOURCE_SCPI)),
    KEY(setup, KIND(SOURCE_SCPI)),
    KEY(check_errors, KIND(SOURCE_SCPI)),
    KEY(window_bytes, KIND(SOURCE_REGISTERS)),
    KEY(offset_bytes, KIND(SOURCE_REGISTERS)),
    KEY(wait, KIND(SOURCE_REGISTERS)),
    KEY(status, KIND(SOURCE_REGISTERS)),
    KEY(data, KIND(SOURCE_REGISTERS)),
    KEY(acknowledge, KIND(SOURCE_REGISTERS)),
    KEY(interrupt_mask, KIND(SOURCE_REGISTERS)),
    KEY(period_ms, POLLED),
    KEY(timeout_ms, POLLED),
    KEY(missing, MISSING),
    KEY(format, BYTES),
    KEY(sync, BYTES),
    KEY(fields, BYTES),
    KEY(pattern, BYTES),
    KEY(delimiter, BYTES),
    KEY(length, BYTES),
};

static const char *kinds_text(uint32_t kinds, char text[256])
{
    size_t used = 0;
    text[0] = 0;
    for (uint32_t kind = SOURCE_UDP; kind <= SOURCE_LAST; kind++) {
        const char *name = config_source_kind(kind);
        size_t room = 256 - used;
        if ((kinds & KIND(kind)) != 0 && name != NULL && strlen(name) + 3 < room) {
            used += (size_t)snprintf(text + used, room, "%s%s", used > 0 ? ", " : "", name);
        }
    }
    return text;
}

void compile_refuse_foreign_keys(struct compile *c, uint32_t i, const struct config_source *from)
{
    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        const void *given;
        memcpy(&given, (const uint8_t *)from + keys[k].offset, sizeof(given));
        if (given != NULL && (keys[k].kinds & KIND(from->kind)) == 0) {
            char path[COMPILE_PATH_BYTES];
            char text[256];
            config_complain(c->file, c->errors, compile_path(path, "sources[%u].%s", i, keys[k].name),
                            "belongs to kind: %s; this source is of kind %s", kinds_text(keys[k].kinds, text),
                            config_source_kind((uint32_t)from->kind));
        }
    }
}
