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
    cores: int = 1  # a second one costs the host half as much again, and few tests have a use for it
    seconds: int = 150
    resets: bool = False


def nic(number, driver, properties=""):
    """A NIC in a slot of its own that it can be pulled out of: at root port 00:1N.0, its wire the sockets n<N>.*."""
    name = f"n{number}"
    ends = f"local.type=unix,local.path={{run}}/{name}.guest,remote.type=unix,remote.path={{run}}/{name}.host"
    return ("-netdev", f"dgram,id={name},{ends}",
            "-device", f"pcie-root-port,id=slot{number},chassis={number + 1},addr={0x10 + number:#x}",
            "-device", f"{driver},id=d{number},netdev={name},bus=slot{number},mac=02:00:00:00:00:{number:02x}{properties}")


def four_nics(virtio=""):
    """One of each kind; `virtio`: further properties of the last."""
    kinds = (("e1000", ""), ("e1000e", ""), ("vmxnet3", ""), ("virtio-net-pci", virtio))
    return sum((nic(number, *kind) for number, kind in enumerate(kinds)), ())


GUESTS = (
    Guest("valves", "the bench itself; the permit on a GPIO line and in a register window; a foreign machine's arming gate",
          tests=("test_bench", "test_outputs", "test_arming", "test_registers"),
          modules=("gpio-sim", "uio", "hil_uio", "vcan", "iio_dummy", "softdog")),
    Guest("softdog", "the kernel's own watchdog: the server killed, or stopped, whole resets the machine",
          tests=("test_watchdog",), modules=("softdog",), seconds=200, resets=True),
    Guest("i6300esb", "a watchdog on the PCI bus: the supervisor killed, or stopped, resets the machine",
          tests=("test_watchdog",), modules=("i6300esb",), seconds=200, resets=True,
          qemu=("-device", "i6300esb", "-watchdog-action", "reset")),
    Guest("sensors", "transducers on I2C, SPI and IIO that trip the interlock; edges of a GPIO line",
          tests=("test_sensors",),
          modules=("gpio-sim", "i2c-stub", "i2c-dev", "ti-adc081c", "lm75", "iio-trig-hrtimer", "hil_spi")),
    Guest("buses", "every bus's source in one server, broken and mended, or refused; CAN, HID, IIO, PPS; the examples for devices",
          tests=("test_buses", "test_example_devices"),
          modules=("gpio-sim", "i2c-stub", "i2c-dev", "ti-adc081c", "ti-adc128s052", "iio-trig-hrtimer", "iio_dummy", "hil_spi",
                   "vcan", "can-raw", "lm75", "pps_ldisc", "hil_tty", "uhid", "hid-generic", "comedi", "comedi_test"), seconds=240),
    Guest("comedi", "a data-acquisition card: scans by its own clock, and polled; gone and back, overrun, refused",
          tests=("test_comedi",), modules=("comedi", "comedi_test")),
    Guest("nics-uio", "DPDK's drivers on PCI cards that go by physical addresses (uio_pci_generic); XDP in the kernel's",
          tests=("test_nics.Cards", "test_nics.Refused", "test_nics.Xdp"), modules=("uio_pci_generic", "e1000", "virtio_net"),
          kernel_args="hugepages=72", seconds=240, qemu=four_nics()),
    Guest("nics-vfio", "DPDK's drivers on PCI cards behind an IOMMU (vfio-pci)",
          tests=("test_nics.CardsBehindAnIommu", "test_nics.Refused"), modules=("vfio-pci", "vfio_iommu_type1", "e1000"),
          kernel_args="hugepages=96 intel_iommu=on", machine=",kernel-irqchip=split",
          first=("-device", "intel-iommu,intremap=on,aw-bits=48"), seconds=240,
          qemu=four_nics(",disable-legacy=on,iommu_platform=on")),
)

# What tools/hil --break can break: name -> what then happens.
BREAKABLE = {
    "bench": "its own test of the loopback loses its datagram",
    "guest": "every guest hangs before its first test",
    "nics": "a byte of each hundredth frame is changed on the wire",
    "iio": "the converter with the kernel's driver stops while its test waits for its value",
}
