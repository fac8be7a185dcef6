#!/usr/bin/python3
"""A channel of a running server, second by second, until Ctrl-C: first.py [INSTANCE [RING [CHANNEL]]]"""
import sys
import time

import sluice

instance, name, wanted = (sys.argv[1:] + [None] * 3)[:3]
with sluice.attach(instance) as server:  # without a name: the only one that runs
    ring = server[name] if name else next(iter(server.rings.values()))
    channel = ring.channels[wanted] if wanted else next(iter(ring.channels.values()))
    print("the interlock is", server.measures["control.state"])
    for batch in ring.follow(max_frames=ring.slots):  # arrays over the ring itself: nothing is copied
        for gap in batch.gaps:
            print("missing here:", gap.count, "frames, cause:", gap.cause)
        values = batch.value(channel.name)  # in its unit, calibrated
        if batch.valid():  # asked after the use: has the writer come round meanwhile?
            print(f"{batch.utc[-1]}  {len(batch):5} frames  mean {values.mean():.3f}  highest {values.max():.3f} {channel.unit}",
                  flush=True)
        time.sleep(1)
