"""What the guest boots: Debian's kernel, its modules, those that Debian does not build, and the first file system."""
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys

from packages import digest_of
from words import BenchError, Unavailable, say

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent.parent / "tests" / "hil"
OWN_MODULES = TESTS / "modules"
FLAVOURS = ("amd64", "rt")
XZ_MAGIC = b"\xfd7zXZ\x00"

# What the bench itself needs, loaded before anything else.
BASE_MODULES = ("virtio_pci", "9p", "9pnet_virtio", "configfs")

# Modules that Debian's configuration leaves out, from linux-source: object -> files.
LEFT_OUT = {
    "irq_sim": ["kernel/irq/irq_sim.c"],
    "gpio-sim": ["drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h"],
    "industrialio-configfs": ["drivers/iio/industrialio-configfs.c"],
    "industrialio-sw-trigger": ["drivers/iio/industrialio-sw-trigger.c"],
    "industrialio-sw-device": ["drivers/iio/industrialio-sw-device.c"],
    "iio-trig-hrtimer": ["drivers/iio/trigger/iio-trig-hrtimer.c"],
    "iio_dummy": [
        "drivers/iio/dummy/iio_simple_dummy.c", "drivers/iio/dummy/iio_simple_dummy.h",
        "drivers/iio/dummy/iio_simple_dummy_events.c", "drivers/iio/dummy/iio_simple_dummy_buffer.c",
    ],
    "iio_dummy_evgen": ["drivers/iio/dummy/iio_dummy_evgen.c", "drivers/iio/dummy/iio_dummy_evgen.h"],
}
KBUILD = """\
obj-m += {objects}
iio_dummy-y := iio_simple_dummy.o iio_simple_dummy_events.o iio_simple_dummy_buffer.o
ccflags-y += -DCONFIG_IIO_SIMPLE_DUMMY_EVENTS -DCONFIG_IIO_SIMPLE_DUMMY_BUFFER
"""
# irq_sim is built in or not at all, so it uses what modules do not see and says no licence.
IRQ_SIM_CHANGES = (
    ("handle_simple_irq(irq_to_desc(irqnum));", "generic_handle_irq(irqnum);"),
    ("#include <linux/irq.h>\n", "#include <linux/irq.h>\n#include <linux/module.h>\n"),
)
IRQ_SIM_END = '\nMODULE_LICENSE("GPL");\n'


def module_key(name):
    return name.replace("-", "_")


def tools_missing():
    """What must be on this machine to build modules; tools/packages.txt brings all of it."""
    return [tool for tool in ("dpkg-deb", "tar", "xz", "make", "gcc-12") if shutil.which(tool) is None]


class Kernel:
    """One flavour at the pinned version. files() are made on the first run and found on the next ones."""

    def __init__(self, cache, flavour, wanted):
        self.cache, self.flavour = cache, flavour
        self.wanted = sorted(set(wanted) | set(BASE_MODULES))
        self.image_pin = cache.of(f"kernel-{flavour}")[0]
        self.headers_pins = cache.of(f"headers-{flavour}")
        self.source_pin = cache.of("source")[0]
        self.release = self.image_pin.name.removeprefix("linux-image-")

    def pins(self):
        """Packages of what is not made yet."""
        pins = [] if self._image_made() else [self.image_pin]
        if not self._built_made():
            pins += self.headers_pins
            pins += [] if self._source_made() else [self.source_pin]
        return pins

    # ---- The image and Debian's modules.

    def _image_key(self):
        return f"kernel-{self.flavour}", digest_of(self.image_pin.sha256, *self.wanted)

    def _image_made(self):
        return self.cache.has_tree(*self._image_key())

    def image(self):
        """vmlinux, and in modules/ those of the wanted ones that Debian builds, with all they need."""
        return self.cache.tree(*self._image_key(), 560 << 20, self._make_image)

    def _make_image(self, folder):
        self.cache.fetch([self.image_pin])
        say(f"unpacking kernel {self.release}")
        raw = folder / "raw"
        raw.mkdir()
        self.cache.unpack(self.image_pin, raw)
        packed = (raw / "boot" / f"vmlinuz-{self.release}").read_bytes()
        at = packed.find(XZ_MAGIC)
        if at < 0:
            raise BenchError(f"kernel {self.release}: expected an xz payload in vmlinuz, found none")
        (folder / "vmlinux").write_bytes(lzma.LZMADecompressor().decompress(packed[at:]))
        (folder / "modules").mkdir()
        files = {module_key(path.stem): path for path in raw.glob(f"lib/modules/{self.release}/**/*.ko")}
        if not files:
            raise BenchError(f"{self.image_pin.file}: expected modules of kernel {self.release}, found none; the lines "
                             "of packages.txt do not fit together: tools/hil --repin")
        for name in with_needed(self.wanted, files, missing_is_error=False):
            shutil.copy(files[name], folder / "modules")
        shutil.rmtree(raw)

    # ---- Modules that Debian does not build, and our own.

    def _source_key(self):
        return "source", digest_of(self.source_pin.sha256, *sorted(sum(LEFT_OUT.values(), [])))

    def _source_made(self):
        return self.cache.has_tree(*self._source_key())

    def _source(self):
        return self.cache.tree(*self._source_key(), 160 << 20, self._make_source)

    def _make_source(self, folder):
        self.cache.fetch([self.source_pin])
        say("taking the few files that are needed out of linux-source")
        self.cache.unpack(self.source_pin, folder, "./usr/src/*.tar.xz")
        archive = next(folder.glob("usr/src/*.tar.xz"))
        top = archive.name.removesuffix(".tar.xz")
        names = [f"{top}/{name}" for names in LEFT_OUT.values() for name in names]
        command = ["tar", "-xJf", str(archive), "-C", str(folder), "--no-same-owner", "--strip-components=1", *names]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise BenchError(f"linux-source: expected {len(names)} files, tar says: {run.stderr.strip()}")
        shutil.rmtree(folder / "usr")

    def _own(self):
        return sorted(OWN_MODULES.glob("*.[ch]"))

    def _built_key(self):
        own = [path.name + path.read_text(encoding="utf-8") for path in self._own()]
        return f"modules-{self.flavour}", digest_of(
            self.source_pin.sha256, *(pin.sha256 for pin in self.headers_pins), KBUILD, IRQ_SIM_CHANGES, LEFT_OUT, *own
        )

    def _built_made(self):
        return self.cache.has_tree(*self._built_key())

    def built(self):
        """The .ko files of LEFT_OUT and of tests/hil/modules/."""
        return self.cache.tree(*self._built_key(), 160 << 20, self._make_built)

    def _make_built(self, folder):
        missing = tools_missing()
        if missing:
            raise Unavailable(f"expected {', '.join(missing)} to build kernel modules with, found none: run tools/setup")
        self.cache.fetch(self.headers_pins)
        source = self._source()
        say(f"building modules for kernel {self.release}")
        raw, work = folder / "raw", folder / "work"
        raw.mkdir()
        work.mkdir()
        for pin in self.headers_pins:
            self.cache.unpack(pin, raw)
        headers = raw / "usr/src" / f"linux-headers-{self.release}"
        makefile = headers / "Makefile"
        makefile.write_text(makefile.read_text(encoding="ascii").replace("/usr/src/", f"{raw}/usr/src/"), encoding="ascii")
        for name in sum(LEFT_OUT.values(), []):
            shutil.copy(source / name, work)
        for path in self._own():
            shutil.copy(path, work)
        change_irq_sim(work / "irq_sim.c")
        objects = [f"{name}.o" for name in LEFT_OUT] + [f"{path.stem}.o" for path in self._own() if path.suffix == ".c"]
        (work / "Kbuild").write_text(KBUILD.format(objects=" ".join(objects)), encoding="ascii")
        make(headers, work)
        for module in work.glob("*.ko"):
            shutil.copy(module, folder)
        shutil.rmtree(raw)
        shutil.rmtree(work)


def change_irq_sim(path):
    text = path.read_text(encoding="utf-8")
    for old, new in IRQ_SIM_CHANGES:
        if old not in text:
            raise BenchError(f"irq_sim.c of this linux-source: expected '{old.strip()}', found none; see IRQ_SIM_CHANGES")
        text = text.replace(old, new, 1)
    path.write_text(text + IRQ_SIM_END, encoding="utf-8")


def make(headers, work):
    run = subprocess.run(["make", "-s", "-C", str(headers), f"M={work}", f"-j{os.cpu_count() or 1}", "modules"],
                         capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.stderr.write(run.stdout[-4000:] + run.stderr[-4000:])
        raise BenchError("the modules cannot be built; the lines above say why")


# ---- Modules and what they need.


def needed_by(path):
    """Names from the field 'depends' that every module has."""
    found = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
    return [module_key(name) for name in found.group(1).decode().split(",") if name] if found else []


def with_needed(names, files, missing_is_error=True):
    """Names in the order in which they can be loaded. What files does not have is built in, or an error."""
    order = []

    def add(name):
        name = module_key(name)
        if name in order:
            return
        if name not in files:
            if missing_is_error:
                raise BenchError(f"no module '{name}' in this kernel; known: {', '.join(sorted(files))}")
            return
        for needed in needed_by(files[name]):
            add(needed)
        order.append(name)

    for name in names:
        add(name)
    return order


# ---- The first file system.


def initramfs(path, busybox, folders, wanted):
    """A cpio archive: busybox, tools/hil.d/init, the modules and in which order they can be loaded. Small, because the
    guest unpacks it at every boot."""
    files = {module_key(file.stem): file for folder in folders for file in folder.glob("*.ko")}
    root = path.parent / "initramfs"
    for folder in ("bin", "hil/modules", "proc", "sys", "dev", "new"):
        (root / folder).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    shutil.copy(busybox, root / "hil/busybox")
    shutil.copy(HERE / "init", root / "init")
    (root / "init").chmod(0o755)
    (root / "bin/sh").symlink_to("busybox")
    wanted_here = with_needed([*BASE_MODULES, *wanted], files, missing_is_error=False)
    for name in wanted_here:
        shutil.copy(files[name], root / "hil/modules" / f"{name}.ko")
    (root / "hil/base").write_text("\n".join(with_needed(BASE_MODULES, files)) + "\n", encoding="ascii")
    (root / "hil/needed").write_text(
        "".join(f"{name} {' '.join(needed_by(files[name]))}\n" for name in wanted_here), encoding="ascii")
    names = "\n".join(str(file.relative_to(root)) for file in sorted(root.rglob("*")))
    with open(path, "wb") as archive:
        run = subprocess.run([str(busybox), "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), stdout=archive,
                             stderr=subprocess.PIPE, check=False)
    if run.returncode != 0:
        raise BenchError(f"cannot write {path}: {run.stderr.decode().strip()}")
    shutil.rmtree(root)


# ---- QEMU and busybox.


def qemu_tree(cache):
    """QEMU with those of its libraries that this machine may lack, and busybox."""
    pins = cache.of("qemu", "guest")

    def unpack(folder):
        cache.fetch(pins)
        say("unpacking QEMU")
        for pin in pins:
            cache.unpack(pin, folder)
        check_qemu(folder)

    return cache.tree("qemu", digest_of(*(pin.sha256 for pin in pins)), 80 << 20, unpack)


def qemu_environment(tree):
    libraries = [str(tree / "usr/lib/x86_64-linux-gnu"), str(tree / "lib/x86_64-linux-gnu")]
    return dict(os.environ, LD_LIBRARY_PATH=":".join(libraries))


def qemu_program(tree):
    return tree / "usr/bin/qemu-system-x86_64"


def check_qemu(tree):
    run = subprocess.run([str(qemu_program(tree)), "--version"], env=qemu_environment(tree), capture_output=True, text=True,
                         check=False)
    if run.returncode != 0:
        raise Unavailable(f"QEMU of packages.txt does not start here: {run.stderr.strip()}; a library that is missing is one "
                          "more line of the group qemu (QEMU_LIBRARIES in tools/hil.d/packages.py)")
