"""What a guest may ask of the host: one method ask_WHAT for each, called with the fields of the request. A method
returns what JSON can say, or raises HostError with words for the test."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import host_nics  # noqa: E402, the path comes first


class Host:
    """Of one machine. tools/hil.d/machine.py has the machine; its monitor speaks QMP."""

    def __init__(self, machine):
        self.machine = machine

    def close(self):
        """Undoes what a test left, when the machine is off."""

    def ask_run(self):
        """What the guest is to run. A reset guest asks again, so this counts its boots."""
        machine = self.machine
        machine.boots += 1
        return {"guest": machine.guest.name, "tests": list(machine.guest.tests), "only": machine.options.only,
                "broken": machine.options.broken, "kernel": machine.options.kernel, "boots": machine.boots}

    def ask_boots(self):
        return self.machine.boots

    def ask_put(self, key, value):
        self.machine.kept[key] = value

    def ask_get(self, key):
        return self.machine.kept.get(key)

    def ask_events(self):
        """QMP events so far: {event, data, timestamp}."""
        return list(self.machine.monitor.events)

    def ask_link(self, nic, up):
        """The network's end at the host: its cable, so to say."""
        self.machine.monitor.command("set_link", name=nic, up=bool(up))

    def ask_device_del(self, device):
        """Asks the guest to let go of a device: gone when the event DEVICE_DELETED is there."""
        self.machine.monitor.command("device_del", id=device)

    def ask_device_add(self, driver, device, **properties):
        self.machine.monitor.command("device_add", driver=driver, id=device, **properties)

    def ask_inject(self, nic, **fields):
        """Frames from the wire into a guest's NIC, see host_nics.py: {"sent": n}."""
        return host_nics.inject(self.machine.folder, nic, **fields)
