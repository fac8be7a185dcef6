"""What sluice-bench readers runs in Python, with the installed package; sluice-bench carries this file inside.

argv: MODE PACKAGE LIBRARIES INSTANCE RING SECONDS BATCH FRAMES PAGE CORE. Descriptor 3 is memory shared with the bench, a page for
each reader (struct readers_page, bench/readers_rig.h). Every value of frame p is (p & 65535) + its index, so that any sum is
exact, whatever the order.
"""
import gc
import mmap
import os
import struct
import sys
import time

MODE, PACKAGE, LIBRARIES, INSTANCE, RING = sys.argv[1:6]
SECONDS = float(sys.argv[6])
BATCH, FRAMES, NUMBER, OTHER_CORE = (int(word) for word in sys.argv[7:11])
PAGE_BYTES = 4096
PAGE = mmap.mmap(3, PAGE_BYTES, offset=NUMBER * PAGE_BYTES)
STATE_AT, ORDER_AT, COUNTS_AT, VALUES_AT, TEXT_AT, TEXT_BYTES = 0, 8, 16, 64, 512, 500
READY, DONE, REFUSED, FAILED = 1, 2, 3, 4
END = 2
PR_SET_PDEATHSIG = 1
SIGKILL = 9
PATIENCE_S = 30
WORDS = 1120  # of a frame of 8960 bytes
COLUMN = 2    # the index of channel "x"
clock = time.perf_counter_ns


def tell(state, text=""):
    said = text.encode("ascii", "replace")[:TEXT_BYTES]
    PAGE[TEXT_AT:TEXT_AT + len(said)] = said
    struct.pack_into("Q", PAGE, STATE_AT, state)


def give(*values):
    struct.pack_into(f"{len(values)}d", PAGE, VALUES_AT, *values)


def count(position=0, frames=0, lost=0, wrong=0):
    struct.pack_into("4Q", PAGE, COUNTS_AT, position, frames, lost, wrong)


def ordered():
    return struct.unpack_from("Q", PAGE, ORDER_AT)[0]


def wait_for_order():
    while ordered() == 0:
        time.sleep(0.0005)


def bases(first, end):
    """Sum of p & 65535 over positions first .. end - 1."""
    def below(p):
        whole, rest = divmod(p, 65536)
        return whole * (65535 * 65536 // 2) + rest * (rest - 1) // 2
    return below(end) - below(first)


def expected(first, end, words=WORDS, index=0):
    """Of all values of these frames; or of those with this index, where words is 1."""
    return words * bases(first, end) + (end - first) * (words * (words - 1) // 2 + index * words)


def attached():
    import sluice
    return sluice.attach(INSTANCE)[RING]


def follow(ring, **more):
    return ring.follow(max_frames=BATCH, on_overrun="count", **more)


def passes(once):
    """Calls once() -> (ns, of how many, frames, wrong) until the time is spent, the first time for nothing: ns for each of them."""
    once()
    spent = done = frames = wrong = 0
    while spent < SECONDS * 1e9 or done == 0:
        ns, of, some, bad = once()
        spent += ns
        done += of
        frames += some
        wrong += bad
    count(frames=frames, wrong=wrong)
    return spent / done


def sums(reader, of_batch, words, index):
    """ns for each value that is summed, of all that is in the ring."""
    def once():
        reader.seek("oldest")
        total = 0.0
        gone = frames = 0
        first = reader.position
        from_ns = clock()
        for batch in reader:
            total += of_batch(batch)
            gone += batch.overwritten()
            frames += len(batch)
        ns = clock() - from_ns
        wrong = gone + (total != expected(first, first + frames, words, index)) + (frames != FRAMES)
        return ns, frames * words, frames, wrong
    give(8 / passes(once))


def mode_samples():
    sums(follow(attached(), start="oldest", wait=False), lambda batch: batch.samples("<f8").sum(), WORDS, 0)


def mode_rows():
    """The same by NumPy's loop over each row: it goes through an array of rows that do not adjoin piece by piece, else."""
    sums(follow(attached(), start="oldest", wait=False), lambda batch: batch.samples("<f8").sum(axis=1).sum(), WORDS, 0)


def mode_einsum():
    import numpy
    einsum = numpy.einsum
    sums(follow(attached(), start="oldest", wait=False), lambda batch: einsum("ij->", batch.samples("<f8")), WORDS, 0)


def plain(values):
    """ns for each value of an array that is no ring's."""
    total = values.sum()

    def once():
        from_ns = clock()
        again = values.sum()
        ns = clock() - from_ns
        return ns, values.size, FRAMES, again != total
    give(8 / passes(once))


def mode_numpy_samples():
    import numpy
    values = numpy.empty((FRAMES, WORDS))
    values[:] = (numpy.arange(FRAMES) & 65535)[:, None] + numpy.arange(WORDS)
    if values.sum() != expected(0, FRAMES):
        count(wrong=1)
    plain(values)


def mode_numpy_column():
    import numpy
    values = numpy.zeros((FRAMES, 16))[:, COLUMN]
    values[:] = (numpy.arange(FRAMES) & 65535) + COLUMN
    plain(values)


def mode_column():
    sums(follow(attached(), start="oldest", wait=False), lambda batch: batch["x"].sum(), 1, COLUMN)


def mode_rate():
    """Consumes every byte until it is told to end. Ready when what was there before has been read: its pages are there."""
    import numpy
    einsum = numpy.einsum
    reader = follow(attached(), start="oldest", timeout=1)
    frames = wrong = 0
    ready = False
    while ordered() != END:
        for batch in reader:
            total = einsum("ij->", batch.samples("<f8"))
            position = batch.position
            n = len(batch)
            gone = batch.overwritten()
            if gone == 0:
                frames += n
                wrong += n * (total != expected(position, position + n))
            else:
                frames += n - gone
            count(position + n, frames, reader.lost, wrong)
            if not ready and position + n >= FRAMES:
                ready = True
                tell(READY)
            if ordered() == END:
                break


def not_so_many(batches):
    """Whether there were more or fewer than there are to be: the first of a pass may be of one frame alone, the last a rest."""
    return not 0 <= batches - FRAMES // BATCH <= 2


def mode_overhead():
    reader = follow(attached(), start="oldest", wait=False)

    def once():
        reader.seek("oldest")
        batches = frames = bad = 0
        from_ns = clock()
        for batch in reader:
            view = batch["x"]
            if not batch.valid():
                bad += 1
            batches += 1
        ns = clock() - from_ns
        frames = reader.position
        if view[-1] != ((frames - 1) & 65535) + COLUMN or frames != FRAMES or not_so_many(batches):
            bad += 1
        return ns, batches, frames, bad
    give(passes(once) / 1e3)


def mode_ctypes_checked():
    mode_ctypes(True)


def mode_ctypes(checked=False):
    """The same over libsluice.so as well as ctypes can: everything bound once, the ring's column one array, a batch a slice of it.
    Checked: with what the package looks at in each batch, gap records, lengths, what was lost, in an object that keeps it."""
    import ctypes
    import numpy

    class Batch(ctypes.Structure):
        _fields_ = [("first", ctypes.c_void_p), ("position", ctypes.c_uint64), ("count", ctypes.c_uint32),
                    ("slot_bytes", ctypes.c_uint32), ("payload_offset", ctypes.c_uint32), ("payload_bytes", ctypes.c_uint32)]

    library = None
    for path in LIBRARIES.split(":"):
        try:
            library = ctypes.PyDLL(path)  # keeps the lock: these calls are short, and the other kind takes longer
            break
        except OSError:
            pass
    if library is None:
        tell(REFUSED, f"expected libsluice.so in one of {LIBRARIES}, found none")
        return
    error = ctypes.create_string_buffer(256)
    reader = ctypes.c_void_p()
    if library.sluice_attach(ctypes.byref(reader), INSTANCE.encode(), RING.encode(), 1, error, len(error)) != 0:
        raise RuntimeError(error.value.decode())
    next_batch, overwritten, seek = library.sluice_reader_batch, library.sluice_reader_overwritten, library.sluice_reader_seek
    next_batch.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p]
    next_batch.restype = overwritten.restype = ctypes.c_uint32
    overwritten.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    seek.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64]
    library.sluice_memory_keep.argtypes = library.sluice_memory_drop.argtypes = [ctypes.c_void_p]
    library.sluice_memory_keep.restype = ctypes.c_void_p
    library.sluice_memory_slots.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.sluice_memory_slots.restype = ctypes.c_void_p
    how_many_lost = library.sluice_reader_lost
    how_many_lost.argtypes, how_many_lost.restype = [ctypes.c_void_p], ctypes.c_uint64
    memory = library.sluice_memory_keep(reader)
    size = ctypes.c_size_t()
    first = library.sluice_memory_slots(memory, ctypes.byref(size))
    slots = (ctypes.c_uint8 * size.value).from_address(first)
    batch = Batch()
    at = ctypes.addressof(batch)
    if next_batch(reader, 1, at) == 0:
        raise RuntimeError("expected frames in the ring, found none")

    def over_all(kind, offset):
        array = numpy.ndarray((size.value // batch.slot_bytes,), kind, slots, offset, (batch.slot_bytes,))
        array.flags.writeable = False
        return array

    column = over_all("<f8", batch.payload_offset + 8 * COLUMN)
    lengths, flags = over_all("<u2", 24), over_all("<u2", 26)  # of a descriptor
    mask = len(column) - 1

    class Seen:
        __slots__ = ("position", "slice", "lost")

        def __init__(self, position, frames, lost):
            self.position, self.slice, self.lost = position, frames, lost

        def __getitem__(self, array):
            return array[self.slice]

    def once_checked():
        seek(reader, 1, 0)
        batches = bad = 0
        from_ns = clock()
        while n := next_batch(reader, BATCH, at):
            position = batch.position
            i = position & mask
            seen = Seen(position, slice(i, i + n), how_many_lost(reader))
            if (seen[flags] & 1).any() or seen[lengths].min() < 8 * (COLUMN + 1):
                bad += 1
            view = seen[column]
            if overwritten(reader, at):
                bad += 1
            batches += 1
        ns = clock() - from_ns
        if view[-1] != ((FRAMES - 1) & 65535) + COLUMN or seen.position + len(view) != FRAMES or not_so_many(batches):
            bad += 1
        return ns, batches, FRAMES, bad

    def once():
        seek(reader, 1, 0)
        batches = bad = 0
        from_ns = clock()
        while n := next_batch(reader, BATCH, at):
            i = batch.position & mask
            view = column[i:i + n]
            if overwritten(reader, at):
                bad += 1
            batches += 1
        ns = clock() - from_ns
        if view[-1] != ((FRAMES - 1) & 65535) + COLUMN or i + len(view) != FRAMES & mask or not_so_many(batches):
            bad += 1
        return ns, batches, FRAMES, bad
    give(passes(once_checked if checked else once) / 1e3)


EDGE, LOW, HIGH, BINS = 1500, 0, 4096, 256  # values are 0 to 2910 there


def near(found, right, share=1e-9):
    return abs(found - right) <= share * abs(right)


def moments_are_right(mean, std, lowest, highest):
    spread = ((FRAMES ** 2 - 1 + WORDS ** 2 - 1) / 12) ** 0.5
    return (near(mean, expected(0, FRAMES) / (FRAMES * WORDS)) and near(std, spread) and lowest == 0
            and highest == FRAMES + WORDS - 2)


# What is asked for: a stream of the package's, and whether what it found is right.
FOLDS = {
    "summary": (lambda stats: stats.Running(), lambda s: moments_are_right(s.mean, s.std(), s.min, s.max)),
    "percentiles": (lambda stats: stats.Quantiles(), lambda s: near(s.percentile(50), (FRAMES + WORDS) / 2 - 1, 0.004)),
    "histogram": (lambda stats: stats.Histogram(LOW, HIGH, BINS),
                  lambda s: s.counts.sum() == FRAMES * WORDS and s.below + s.above == 0),
    "envelope": (lambda stats: stats.Envelope(WORDS), lambda s: len(s.points()) == FRAMES and s.points()["max"][-1] == FRAMES + WORDS - 2),
    "edges": (lambda stats: stats.Edges(EDGE), lambda s: s.rising == WORDS - 1),
}


def of_array(numpy, what, values):
    """The same by NumPy, of one array (frames, words); whether it is right."""
    if what == "summary":
        return moments_are_right(values.mean(), values.std(), values.min(), values.max())
    if what == "percentiles":
        return near(numpy.percentile(values, 50), (FRAMES + WORDS) / 2 - 1, 0.004)
    if what == "histogram":
        return numpy.histogram(values, BINS, (LOW, HIGH))[0].sum() == FRAMES * WORDS
    if what == "envelope":
        points = values.min(axis=1), values.max(axis=1), values.mean(axis=1)
        return points[1][-1] == FRAMES + WORDS - 2
    above = values.ravel() >= EDGE
    return numpy.count_nonzero(above[1:] & ~above[:-1]) == WORDS - 1


def give_fold(ns):
    give(ns, 8 / ns)


def fold(what):
    """The package's streams over views of whole payloads."""
    from sluice import stats
    reader = follow(attached(), start="oldest", wait=False)
    make, is_right = FOLDS[what]

    def once():
        reader.seek("oldest")
        stream = make(stats)
        gone = 0
        from_ns = clock()
        for batch in reader:
            stream.update(batch.samples("<f8"))
            gone += batch.overwritten()
        ns = clock() - from_ns
        return ns, FRAMES * WORDS, FRAMES, gone + (not is_right(stream))
    give_fold(passes(once))


def fold_column():
    """One channel in its unit, calibrated."""
    from sluice import stats
    reader = follow(attached(), start="oldest", wait=False)

    def once():
        reader.seek("oldest")
        stream = stats.Running()
        from_ns = clock()
        for batch in reader:
            stream.update(batch, "x")
        ns = clock() - from_ns
        right = stream.count == FRAMES and near(stream.mean, expected(0, FRAMES, 1, COLUMN) / FRAMES)
        return ns, FRAMES, FRAMES, not right
    give_fold(passes(once))


def fold_numpy(what):
    """Copied out of the ring, then NumPy's functions over the copy."""
    import numpy
    reader = follow(attached(), start="oldest", wait=False)

    def once():
        reader.seek("oldest")
        from_ns = clock()
        values = numpy.empty((FRAMES, WORDS))
        at = 0
        for batch in reader:
            values[at:at + len(batch)] = batch.samples("<f8")
            at += len(batch)
        right = of_array(numpy, what, values)
        ns = clock() - from_ns
        return ns, FRAMES * WORDS, FRAMES, not right
    give_fold(passes(once))


def fold_numpy_column():
    import numpy
    reader = follow(attached(), start="oldest", wait=False)

    def once():
        reader.seek("oldest")
        from_ns = clock()
        values = numpy.concatenate([batch.value("x") for batch in reader])
        found = values.mean(), values.std(), values.min(), values.max()
        ns = clock() - from_ns
        return ns, FRAMES, FRAMES, not near(found[0], expected(0, FRAMES, 1, COLUMN) / FRAMES)
    give_fold(passes(once))


def mode_attach():
    """From nothing; the package needs NumPy, which takes most of it."""
    t = [clock()]
    import numpy
    t.append(clock())
    import sluice
    t.append(clock())
    server = sluice.attach(INSTANCE)
    reader = server[RING].follow(start="oldest", wait=False, max_frames=BATCH)
    batch = next(reader)
    t.append(clock())
    right = batch["x"][0] == (batch.position & 65535) + COLUMN and numpy.all(batch["x"] >= COLUMN)
    server.close()
    t.append(clock())
    server = sluice.attach(INSTANCE)
    batch = next(server[RING].follow(start="oldest", wait=False, max_frames=BATCH))
    t.append(clock())
    count(frames=len(batch), wrong=not right)
    give((t[3] - t[2]) / 1e6, (t[5] - t[4]) / 1e6, (t[2] - t[0]) / 1e6, (t[1] - t[0]) / 1e6)


def mode_observe():
    """Reads until it is told to end; it is stopped or killed meanwhile."""
    reader = follow(attached(), start="oldest", timeout=1)
    ready = False
    while ordered() != END:
        for batch in reader:
            batch.samples("<f8")[:, 0].sum()
            if not ready:
                ready = True
                tell(READY)
            if ordered() == END:
                break


def mode_collect():
    """Has read, and then is in the garbage collector, one long collection after the other."""
    reader = follow(attached(), start="oldest", timeout=1)
    batch = next(reader)
    rubbish = [{"me": [i]} for i in range(500000)]
    for some in rubbish:
        some["all"] = rubbish
    tell(READY)
    while ordered() != END:
        gc.collect()
    del batch


class Moments:
    """Mean and standard deviation of what was added, block by block (Chan, Golub and LeVeque 1979)."""

    def __init__(self, numpy, most):
        self.numpy = numpy
        self.room = numpy.empty(most)
        self.count, self.mean, self.m2 = 0, 0.0, 0.0

    def add(self, values):
        n = values.size
        mean = float(values.mean())
        off = self.room[:n].reshape(values.shape)
        self.numpy.subtract(values, mean, out=off)
        flat = self.room[:n]
        m2 = float(flat.dot(flat))
        total = self.count + n
        delta = mean - self.mean
        self.m2 += m2 + delta * delta * self.count * n / total
        self.mean += delta * n / total
        self.count = total

    def result(self):
        return self.mean, (self.m2 / self.count) ** 0.5


def memory():
    """What is this process's alone, and what it shares, in KiB."""
    said = {}
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        for line in file.read().splitlines()[1:]:
            words = line.split()
            said[words[0]] = int(words[1])
    shared = said["Shared_Clean:"] + said["Shared_Dirty:"] + said.get("Shared_Hugetlb:", 0)
    return said["Private_Dirty:"] + said.get("Swap:", 0), shared


def hold(prepare):
    """prepare() -> a function that reads all that is in the ring and returns (mean, std, kept, first_ns)."""
    run = prepare()
    gc.collect()
    private, shared = memory()
    tell(READY)
    wait_for_order()
    mean, std, kept, first_ns = run()
    ns = clock() - first_ns
    private_now, shared_now = memory()
    n = FRAMES * WORDS
    right = expected(0, FRAMES) / n  # FRAMES is at most 65536: the values' two parts are each evenly spread
    spread = ((FRAMES ** 2 - 1 + WORDS ** 2 - 1) / 12) ** 0.5
    wrong = abs(mean - right) > 1e-9 * right or abs(std - spread) > 1e-9 * spread
    give(ns / 1e6, max(private_now - private, 0), max(shared_now - shared, 0), mean, std)
    count(frames=FRAMES, wrong=wrong)
    del kept


readers = []  # they stay, and with them what they see of the ring


def blocks(ring):
    """Each batch's values, a view, of all that is in the ring; what was overwritten meanwhile would be told by an exception."""
    readers.append(ring.follow(max_frames=BATCH, start="oldest", wait=False))
    for batch in readers[-1]:
        yield batch.samples("<f8")


def mode_list():
    import math

    def prepare():
        ring = attached()

        def run():
            kept = []
            first_ns = clock()
            for values in blocks(ring):
                kept.extend(values.ravel().tolist())
            mean = math.fsum(kept) / len(kept)
            return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in kept) / len(kept)), kept, first_ns
        return run
    hold(prepare)


def mode_array():
    import array
    import numpy

    def prepare():
        ring = attached()

        def run():
            kept = array.array("d")
            first_ns = clock()
            for values in blocks(ring):
                kept.frombytes(values.tobytes())
            seen = numpy.frombuffer(kept)
            return float(seen.mean()), float(seen.std()), kept, first_ns
        return run
    hold(prepare)


def mode_numpy():
    import numpy

    def prepare():
        ring = attached()

        def run():
            first_ns = clock()
            kept = numpy.empty(FRAMES * WORDS)
            at = 0
            for values in blocks(ring):
                kept[at:at + values.size].reshape(values.shape)[:] = values
                at += values.size
            return float(kept.mean()), float(kept.std()), kept, first_ns
        return run
    hold(prepare)


def mode_views():
    import numpy

    def prepare():
        ring = attached()
        moments = Moments(numpy, BATCH * WORDS)

        def run():
            first_ns = clock()
            for values in blocks(ring):
                moments.add(values)
            return *moments.result(), None, first_ns
        return run
    hold(prepare)


def sender(begin, send, end=lambda: None):
    """A process of its own, on the other core, that hands the frames on, one by one, when it is told to. It ends with this one."""
    import ctypes
    import multiprocessing

    def run():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        os.sched_setaffinity(0, {OTHER_CORE})
        begin()
        for values in blocks(attached()):
            for frame in values:
                send(frame)
        end()
    process = multiprocessing.get_context("fork").Process(target=run)
    process.daemon = True
    process.start()
    return process


def mode_queue():
    import multiprocessing
    import numpy

    def prepare():
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        begin = context.Event()
        process = sender(begin.wait, lambda frame: queue.put(frame.copy()))
        moments = Moments(numpy, WORDS)

        def run():
            begin.set()
            values = queue.get(timeout=PATIENCE_S)
            first_ns = clock()
            for left in range(FRAMES, 0, -1):
                moments.add(values)
                if left > 1:
                    values = queue.get(timeout=PATIENCE_S)
            process.join()
            return *moments.result(), None, first_ns
        return run
    hold(prepare)


def mode_zmq():
    import numpy
    try:
        import zmq
    except ImportError as error:
        tell(REFUSED, f"not available: {error}; install python3-zmq")
        return
    at = f"ipc://{os.environ['SLUICE_RUN_DIR']}/zmq"
    sockets = []

    def begin():
        sockets.append(zmq.Context())  # none may be shared with the process that this was forked from
        socket = sockets[0].socket(zmq.XPUB)
        socket.sndhwm = 0  # it may never drop anything
        socket.bind(at)
        socket.recv()      # somebody has subscribed
        sockets.append(socket)

    def end():
        sockets[1].close()  # all that it has taken is sent before the next call returns
        sockets[0].term()

    def prepare():
        process = sender(begin, lambda frame: sockets[1].send(frame.tobytes()), end)
        moments = Moments(numpy, WORDS)

        def run():
            socket = zmq.Context.instance().socket(zmq.SUB)
            socket.rcvhwm = 0
            socket.rcvtimeo = 1000 * PATIENCE_S
            socket.subscribe(b"")
            socket.connect(at)
            message = socket.recv()
            first_ns = clock()
            for left in range(FRAMES, 0, -1):
                moments.add(numpy.frombuffer(message))
                if left > 1:
                    message = socket.recv()
            process.join()
            return *moments.result(), None, first_ns
        return run
    hold(prepare)


def main():
    if PACKAGE:
        sys.path.insert(0, PACKAGE)
    try:
        name, _, what = MODE.partition(":")
        if name in ("fold", "fold_numpy"):
            globals()[name](what)
        else:
            globals()[name if name.startswith("fold_") else "mode_" + name]()
        if struct.unpack_from("Q", PAGE, STATE_AT)[0] != REFUSED:
            tell(DONE)
    except ModuleNotFoundError as error:
        tell(REFUSED, f"not available: {error} for /usr/bin/python3")
    except Exception as error:  # the bench says it
        tell(FAILED, f"{type(error).__name__}: {error}")
        raise


main()
