"""Debian's packages for the hardware bench: fetched at the versions that packages.txt pins, checked, kept in a cache,
unpacked there. Nothing is installed on this machine."""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from words import BenchError, Unavailable, megabytes, say

PINS = pathlib.Path(__file__).resolve().parent / "packages.txt"
WHOLE = "whole"  # the list in a tree
UNUSED_S = 30 * 24 * 3600
SPARE_BYTES = 64 << 20  # what a disk keeps free beside what is written


def cache_folder():
    """Where packages and what is made of them are kept: SLUICE_HIL_CACHE, or the user's cache."""
    named = os.environ.get("SLUICE_HIL_CACHE")
    if named:
        return pathlib.Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "sluice" / "hil"


class Pin:
    """One line of packages.txt."""

    def __init__(self, group, name, version, architecture, size, sha256):
        self.group, self.name, self.version, self.architecture = group, name, version, architecture
        self.bytes, self.sha256 = size, sha256

    @property
    def file(self):
        """As apt names it: a version's colon is written %3a."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def line(self):
        return f"{self.group:<14} {self.name:<36} {self.version:<28} {self.architecture} {self.bytes:>9} {self.sha256}"


def read_pins(path=PINS):
    pins = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if len(words) != 6 or not words[4].isdigit() or not re.fullmatch("[0-9a-f]{64}", words[5]):
                raise BenchError(
                    f"{path}:{number}: expected GROUP PACKAGE VERSION ARCHITECTURE BYTES SHA256, found '{line.strip()}';"
                    " tools/hil --repin writes the file anew"
                )
            pins.append(Pin(*words[:4], int(words[4]), words[5]))
    return pins


def digest_of(*parts):
    """A short name of what went into something: if it changes, that is made again."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:16]


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def need_space(folder, size, what):
    free = shutil.disk_usage(folder).free
    if free < size + SPARE_BYTES:
        raise Unavailable(
            f"no room for {what}: expected {megabytes(size + SPARE_BYTES)} free in {folder}, found {megabytes(free)};"
            " make room, or name another folder in SLUICE_HIL_CACHE"
        )


class Cache:
    """debs/ holds packages, trees/ what was unpacked or built of them: each tree appears whole or not at all."""

    def __init__(self, folder=None, pins=None):
        self.folder = pathlib.Path(folder or cache_folder())
        self.pins = read_pins() if pins is None else pins
        self.debs = self.folder / "debs"
        self.trees = self.folder / "trees"
        try:
            self.debs.mkdir(parents=True, exist_ok=True)
            self.trees.mkdir(exist_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot keep packages in {self.folder}: {error.strerror}; name another folder in "
                              "SLUICE_HIL_CACHE") from error

    @contextlib.contextmanager
    def locked(self):
        """One at a time fills the cache; who comes second waits and finds it filled."""
        with open(self.folder / "lock", "w", encoding="ascii") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another run fills {self.folder}; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            self._remove_rests()
            yield

    def _remove_rests(self):
        """What a run left that was killed, for nobody else works here while the lock is held; and what no run has used for
        long: other versions, other trees' modules."""
        old = [path for path in (*self.trees.iterdir(), *self.debs.iterdir()) if time.time() - path.stat().st_mtime > UNUSED_S]
        for rest in (*self.folder.glob("debs/part-*"), *self.folder.glob("trees/part-*"), *old):
            if rest.is_dir():
                shutil.rmtree(rest, ignore_errors=True)
            else:
                rest.unlink()

    def of(self, *groups):
        found = [pin for pin in self.pins if pin.group in groups]
        for group in groups:
            if not any(pin.group == group for pin in found):
                raise BenchError(f"{PINS} pins no package of the group '{group}'")
        return found

    def fetch(self, pins):
        """Every package is in debs/ with the right bytes, or an Unavailable says what cannot be had."""
        missing = [pin for pin in pins if not self._has(pin)]
        if not missing:
            return
        size = sum(pin.bytes for pin in missing)
        need_space(self.debs, size, "Debian's packages")
        say(f"downloading {len(missing)} packages, {megabytes(size)}, to {self.debs}")
        with tempfile.TemporaryDirectory(prefix="part-", dir=self.debs) as part:
            for pin in missing:
                say(f"  {pin.name} {pin.version}, {megabytes(pin.bytes)}")
            self._download(missing, part)
            for pin in missing:
                self._admit(pin, pathlib.Path(part) / pin.file)

    def _has(self, pin):
        path = self.debs / pin.file
        if not path.exists() or path.stat().st_size != pin.bytes:
            return False
        os.utime(path)
        return True

    @staticmethod
    def _download(pins, folder):
        wanted = [f"{pin.name}:{pin.architecture}={pin.version}" if pin.architecture != "all" else
                  f"{pin.name}={pin.version}" for pin in pins]
        command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2",
                   "-o", "Acquire::http::Timeout=20", "download", *wanted]
        if shutil.which("apt-get") is None:
            raise Unavailable("expected apt-get, found none: this is not Debian. Copy the files that packages.txt names "
                              f"to {folder.rsplit('/', 1)[0]} by hand")
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if run.returncode != 0 and os.geteuid() == 0:
            say("  apt knows no such version, or its lists are old: apt-get update, and once more")
            subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            words = [line for line in run.stderr.splitlines() if line.startswith("E:")] or run.stderr.splitlines()[-2:]
            raise Unavailable(
                "cannot download the pinned packages: " + "; ".join(words[:3] or ["apt-get said nothing"])
                + f". No network? Then copy them to {os.path.dirname(folder)}. No such version any more? tools/hil "
                "--repin pins what there is now"
            )

    def _admit(self, pin, path):
        if not path.exists():
            raise Unavailable(f"expected apt-get to bring {pin.file}, found {sorted(os.listdir(path.parent))}")
        found = sha256_of(path)
        if found != pin.sha256:
            raise Unavailable(f"{pin.file}: expected the SHA-256 {pin.sha256} of {PINS.name}, found {found}; it is not "
                              "used. If Debian built it anew: tools/hil --repin")
        os.utime(path)  # apt gives it the time at which Debian made it
        os.replace(path, self.debs / pin.file)

    def checked(self, pin):
        """The package's file. One whose bytes are wrong is removed and fetched again, once."""
        path = self.debs / pin.file
        if sha256_of(path) != pin.sha256:
            say(f"{path} is not what {PINS.name} pins: fetching it again")
            path.unlink()
            self.fetch([pin])
        return path

    def unpack(self, pin, folder, *patterns):
        """Files of a package, all or those that match, below folder."""
        command = ["tar", "-x", "-C", str(folder), "--no-same-owner", "--exclude=./usr/share/doc"]
        command += ["--wildcards", "--no-wildcards-match-slash", *patterns] if patterns else []
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(self.checked(pin))], stdout=subprocess.PIPE) as deb:
            run = subprocess.run(command, stdin=deb.stdout, capture_output=True, text=True, check=False)
            deb.stdout.close()
        if run.returncode != 0 or deb.returncode not in (0, -13):
            raise Unavailable(f"cannot unpack {pin.file}: {run.stderr.strip() or 'dpkg-deb failed'}")

    def has_tree(self, name, digest):
        return (self.trees / f"{name}-{digest}" / WHOLE).exists()

    def tree(self, name, digest, size, make):
        """The folder trees/NAME-DIGEST; make(folder) fills it if it is not there. Its name says what it is made of,
        so that one of other versions is never taken for it; a list of its files says whether it is whole."""
        tree = self.trees / f"{name}-{digest}"
        if not self._is_whole(tree):
            shutil.rmtree(tree, ignore_errors=True)
            need_space(self.trees, size, name)
            part = tempfile.mkdtemp(prefix="part-", dir=self.trees)
            try:
                make(pathlib.Path(part))
                self._list(pathlib.Path(part))
                os.rename(part, tree)
            except OSError as error:
                raise Unavailable(f"cannot make {tree}: {error}") from error
            finally:
                shutil.rmtree(part, ignore_errors=True)
        os.utime(tree)
        return tree

    @staticmethod
    def _list(folder):
        files = (f"{path.stat().st_size} {path.relative_to(folder)}\n" for path in sorted(folder.rglob("*"))
                 if path.is_file() and not path.is_symlink())
        (folder / WHOLE).write_text("".join(files), encoding="utf-8")

    @staticmethod
    def _is_whole(tree):
        try:
            listed = (tree / WHOLE).read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        for size, name in (line.split(" ", 1) for line in listed):
            path = tree / name
            if not path.is_file() or path.stat().st_size != int(size):
                say(f"expected {path} of {size} bytes, found {'another' if path.exists() else 'none'}: making its folder again")
                return False
        return True


# ---- Pinning anew: what Debian has now.

QEMU_PACKAGES = "qemu-system-x86 qemu-system-common qemu-system-data seabios ipxe-qemu"
# Libraries of QEMU that nothing in tools/packages.txt brings. One that is missing is named when QEMU is unpacked.
QEMU_LIBRARIES = "libaio1 libcapstone4 libdaxctl1 libfuse3-3 libndctl6 libpmem1 librdmacm1 libslirp0 libvdeplug2"


def _apt_show(package):
    run = subprocess.run(["apt-cache", "show", "--no-all-versions", package], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise Unavailable(f"apt knows no package {package}: {run.stderr.strip()}; apt-get update first")
    return dict(re.findall(r"(?m)^([A-Za-z0-9-]+): (.*)$", run.stdout))


def _pin_now(group, package):
    shown = _apt_show(package)
    return Pin(group, package, shown["Version"], shown["Architecture"], int(shown["Size"]), shown["SHA256"])


def _kernel_of(meta):
    """The package that a meta-package stands for: linux-image-amd64 -> linux-image-6.1.0-NN-amd64."""
    names = re.findall(r"linux-image-6\.1\.0-\d+[a-z0-9-]*", _apt_show(meta)["Depends"])
    if not names:
        raise BenchError(f"expected {meta} to stand for a kernel 6.1, found '{_apt_show(meta)['Depends']}'")
    return names[0].removeprefix("linux-image-")


def pins_now():
    """What packages.txt would pin today."""
    if os.geteuid() == 0:
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
    amd64, rt = _kernel_of("linux-image-amd64"), _kernel_of("linux-image-rt-amd64")
    number = amd64.removesuffix("-amd64")
    if rt != f"{number}-rt-amd64":
        raise BenchError(f"expected both kernels to be {number}, found {rt}; try again when Debian has both")
    groups = {
        "kernel-amd64": f"linux-image-{amd64}",
        "headers-amd64": f"linux-headers-{amd64} linux-headers-{number}-common linux-kbuild-6.1",
        "kernel-rt": f"linux-image-{rt}",
        "headers-rt": f"linux-headers-{rt} linux-headers-{number}-common-rt linux-kbuild-6.1",
        "source": "linux-source-6.1",
        "qemu": f"{QEMU_PACKAGES} {QEMU_LIBRARIES}",
        "guest": "busybox-static",
    }
    return [_pin_now(group, package) for group, packages in groups.items() for package in packages.split()]


def write_pins(pins, path=PINS):
    """Keeps the head of the file, its comment lines."""
    with open(path, encoding="utf-8") as file:
        head = [line for line in file if line.startswith("#")]
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as file:
        file.writelines(head)
        file.writelines(pin.line + "\n" for pin in pins)
    os.replace(part, path)
