"""A server's stand-in whose rings hold exactly what a test puts there: build/PRESET/bin/ring-stand.

    with RingStand(instance, bin_folder, run_dir) as stand:
        stand("channel pressure f64 le 0 kPa 1 0 0 500")
        stand("ring tvac 64 128 64 32 1000")
        position = int(stand("publish tvac 10"))     # the position behind them

A command that is refused raises. tests/support/ring_stand.c lists the commands.
"""
import os
import subprocess


class Refused(Exception):
    pass


class RingStand:
    def __init__(self, instance, bin_folder, run_dir=None):
        self.instance = instance
        environment = {**os.environ, **({"SLUICE_RUN_DIR": run_dir} if run_dir else {})}
        self.process = subprocess.Popen([os.path.join(bin_folder, "ring-stand"), instance], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=environment)
        self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line.startswith("ok"):
            raise Refused(line.strip() or f"ring-stand ended with {self.process.wait()}")
        return line[2:].strip()

    def __call__(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self):
        """As a server ends: its socket is closed and gone."""
        if self.process.poll() is None:
            self.process.stdin.close()
        code = self.process.wait(30)
        self.process.stdout.close()
        return code

    def kill(self):
        """As a server is killed: its socket stays behind."""
        self.process.kill()
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.process.stdout.closed:
            self.end()
