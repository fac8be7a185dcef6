#!/usr/bin/python3
"""A source of your own in any language: a program that writes frames to its standard output (kind: exec).

This one reads the machine's load a hundred times a second. A frame is 16 bytes, little-endian:

    a5 5a | number, u16 | load, f32 | seconds since the start, f64

The two bytes in front let the server find the next frame behind half of one; the number lets it count what is missing
(sequence: in the configuration), also over a restart, because it goes on from the clock. docs/sources.md has the rest.
"""
import os
import struct
import sys
import time

PERIOD_S = 0.01


def main():
    start = time.monotonic()
    while True:
        due = int(time.monotonic() / PERIOD_S) + 1
        time.sleep(max(0.0, due * PERIOD_S - time.monotonic()))
        frame = b"\xa5\x5a" + struct.pack("<Hfd", due & 0xffff, os.getloadavg()[0], time.monotonic() - start)
        sys.stdout.buffer.write(frame)
        sys.stdout.buffer.flush()  # else it would come 512 frames at a time


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the server has gone
        sys.exit(0)
