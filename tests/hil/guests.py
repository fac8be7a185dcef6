"""The guests of the hardware bench: which devices each has, which modules it can load, which tests run in it."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Guest:
    """A machine that is booted once for its tests. `qemu` and `first` are QEMU's arguments, {run} in them is the run's
    folder for sockets; `first` comes before every other device (an IOMMU), `machine` and `virtio` are appended to
    q35 and to the bench's own virtio devices. `modules` can be loaded by the tests. `seconds` bounds a guest that hangs;
    it is no measure. `resets`: the guest is started again when it resets; otherwise a reset ends it."""

    name: str
    why: str
    tests: tuple
    modules: tuple = ()
    qemu: tuple = ()
    first: tuple = ()
    machine: str = ""
    virtio: str = ""
    kernel_args: str = ""
    memory_mb: int = 768
    cores: int = 2
    seconds: int = 150
    resets: bool = False


GUESTS = (
    Guest("bench", "the bench itself: modules, shares, the line to the host, what the host does on request",
          tests=("test_bench",), modules=("vcan", "gpio-sim", "iio_dummy", "softdog")),
    Guest("softdog", "the kernel's own watchdog: the server killed, or stopped, whole resets the machine",
          tests=("test_watchdog",), modules=("softdog",), resets=True),
    Guest("i6300esb", "a watchdog on the PCI bus: the supervisor killed, or stopped, resets the machine",
          tests=("test_watchdog",), modules=("i6300esb",), resets=True,
          qemu=("-device", "i6300esb", "-watchdog-action", "reset")),
    Guest("valves", "one core: the permit on a GPIO chip's line and in a register window; the arming gate of a foreign machine",
          tests=("test_outputs", "test_arming", "test_registers"), modules=("gpio-sim", "uio", "hil_uio"), cores=1),
    Guest("sensors", "one core: transducers on I2C, SPI and IIO that trip the interlock; edges of a GPIO line",
          tests=("test_sensors",),
          modules=("gpio-sim", "i2c-stub", "i2c-dev", "ti-adc081c", "lm75", "iio-trig-hrtimer", "hil_spi"), cores=1),
    Guest("buses", "one core: every bus's source in one server, broken and mended, or refused; CAN, HID, IIO, PPS, comedi",
          tests=("test_buses",),
          modules=("gpio-sim", "i2c-stub", "i2c-dev", "ti-adc081c", "ti-adc128s052", "iio-trig-hrtimer", "iio_dummy", "hil_spi",
                   "vcan", "can-raw", "lm75", "pps_ldisc", "hil_tty", "uhid", "hid-generic", "comedi_test"), cores=1),
)

# What tools/hil --break can break: name -> what then happens.
BREAKABLE = {
    "bench": "its own test of the loopback loses its datagram",
    "guest": "every guest hangs before its first test",
    "iio": "the converter with the kernel's driver stops while its test waits for its value",
}
