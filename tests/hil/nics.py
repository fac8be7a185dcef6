"""PCI cards in a guest: where they are, which driver has them, huge pages, and what is found in a ring of theirs."""
import glob
import os
import time

import frames
import guest

PCI = "/sys/bus/pci/devices"
HUGE_PAGES = "/proc/sys/vm/nr_hugepages"
GAP = 1
BIND_S = 10


os.makedirs("/var/run", exist_ok=True)  # where EAL makes its folder


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def find(number):
    """The PCI address of NIC n<number> (guests.py), None while it is not there."""
    port = f"0000:00:{0x10 + number:02x}.0"
    found = [name for name in os.listdir(f"{PCI}/{port}") if name.startswith("0000:") and os.path.exists(f"{PCI}/{name}")]
    return found[0] if found else None


def driver(address):
    link = f"{PCI}/{address}/driver"
    return os.path.basename(os.readlink(link)) if os.path.exists(link) else None


def bind(address, name):
    """To this driver, from whichever has it; None: to none."""
    if driver(address) == name:
        return
    if driver(address) is not None:
        write(f"{PCI}/{address}/driver/unbind", address)
    write(f"{PCI}/{address}/driver_override", name or "\n")
    if name is not None:
        guest.load(name)
        if name == "vfio-pci":
            guest.load("vfio_iommu_type1")  # elsewhere the kernel has modprobe fetch it
        end_s = time.monotonic() + BIND_S
        while driver(address) != name and time.monotonic() < end_s:
            if driver(address) is None:  # a module that was loaded just now has taken it itself
                write("/sys/bus/pci/drivers_probe", address)
            time.sleep(0.01)  # a card that was put in just now stands in its slot before it may have a driver
        if driver(address) != name:
            raise AssertionError(f"expected {name} to take {address} within {BIND_S} s, found {driver(address)}")


def interface(address):
    """The kernel's name for the card, None while it has none."""
    found = glob.glob(f"{PCI}/{address}/virtio*/net/*")
    return os.path.basename(found[0]) if found else None


def check(reader, size):
    """Reads all that lies in the ring: every frame's bytes are as they were sent. (numbers of the frames, gap records)"""
    numbers, gaps = [], []
    while (one := reader.next()) is not None:
        frame, payload = one
        if frame.flags & GAP:
            gaps.append(frame)
            continue
        if payload != frames.payload(frame.source_sequence, size) or not reader.valid(frame):
            raise AssertionError(f"frame {frame.source_sequence} at {frame.position}: expected {size} bytes of its number, "
                                 f"found {payload[:32].hex()}.. of {len(payload)}")
        numbers.append(frame.source_sequence)
    return numbers, gaps
