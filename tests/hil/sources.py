"""What a server's configuration says of the fixtures' devices. Ring and main channel are called as the source is."""

SCALE = 0.1  # kPa a count of a converter


def source(name, kind, channels, **more):
    return {"name": name, "kind": kind, "worker": "sensors", "ring": name, "channels": channels, **more}


def channel(name, unit, limits, stale_ms=2000, **more):
    return {"name": name, "unit": unit, "range": limits, "stale_ms": stale_ms, **more}


def pressure(name, **more):
    return channel(name, "kPa", [0, 409.5], scale=SCALE, **more)


def i2c(name, adc, **more):
    return source(name, "i2c", [pressure(name, at_byte=0, type="u16")],
                  **{"device": adc.bus.path, "bus_address": adc.address, "period_ms": 20,
                     "reads": [{"write": "00", "read_bytes": 2}], **more})


def spi(name, adc, **more):
    return source(name, "spi", [pressure(name, at_byte=0, type="u16")],
                  **{"device": adc.path, "period_ms": 20, "reads": [{"read_bytes": 2}], **more})


def iio(name, device, channels, hz=100, elements=None, **more):
    scan = [{"name": element, "type": kind} for element, kind in device.scan(*(elements or device.ELEMENTS))]
    return source(name, "iio", channels, **{"device": device.name, "trigger": device.trigger, "rate_hz": hz, "scan": scan, **more})


def iio_pressure(name, device, **more):
    time = channel(f"{name}_time", "ns", [0, 4e18], scan="in_timestamp")
    return iio(name, device, [pressure(name, scan="in_voltage"), time], **more)


def iio_values(name, device, **more):
    """Each element of a scan of several."""
    channels = [channel(f"{name}_{n}", "counts", [-2000, 2000], scan=element) for n, element in enumerate(device.VALUES)]
    return iio(name, device, channels, **more)


def edges(name, chip, line, **more):
    """The main channel: 1 of an edge that rises, 2 of one that falls. No edge for an hour is no fault."""
    where = {"stale_ms": 3600000, "type": "u32", "byte_order": "little"}
    return source(name, "gpio_edges", [channel(name, "edge", [1, 2], at_byte=8, **where),
                                       channel(f"{name}_line", "line", [0, 63], at_byte=12, **where)],
                  **{"device": chip.path, "lines": [line], **more})


def levels(name, chip, line, stale_ms=10000, **more):
    return source(name, "gpio_levels", [channel(name, "bits", [0, 1], stale_ms, at_byte=0, type="u8")],
                  **{"device": chip.path, "lines": [line], "period_ms": 50, **more})


def sysfs(name, path, unit, limits, scale=1, **more):
    return source(name, "sysfs", [channel(name, unit, limits, scale=scale)], **{"attributes": [path], "period_ms": 50, **more})


def can(name, bus, **more):
    """Frames whose data begin with their number."""
    value = channel(name, "counts", [0, 65535], at_byte=10, type="u16", stale_ms=3600000)
    return source(name, "can", [value], **{"interface": bus.name, "sequence": {"at_byte": 8, "width_bytes": 2}, **more})


def can_fd(name, bus, **more):
    """Frames of both lengths."""
    value = channel(name, "counts", [0, 65535], at_byte=8, type="u16", stale_ms=3600000)
    return {**can(name, bus, fd=True, **more), "channels": [value]}


def hidraw(name, device, **more):
    value = channel(name, "counts", [0, 65535], at_byte=2, type="u16", stale_ms=3600000)
    return source(name, "hidraw", [value],
                  **{"path": device.path, "frame_bytes": 8, "sequence": {"at_byte": 0, "width_bytes": 2}, **more})


VOLTS = {"scale": 20 / 65535, "offset": -10}  # a count of a card of 16 bits with +-10 V


def comedi(name, card, names, **more):
    """Scans of the first inputs, as many as there are names."""
    volts = [channel(n, "V", [-10, 10], **VOLTS) for n in names]
    return source(name, "comedi", volts, **{"device": card.path, "scan_hz": 1000, "inputs": [{"input": n} for n in range(len(names))],
                                            **more})


def comedi_polled(name, card, number, **more):
    return source(name, "comedi_polled", [channel(name, "V", [-10, 10], **VOLTS)],
                  **{"device": card.path, "period_ms": 20, "inputs": [{"input": number}], **more})
