"""What lies in shared memory and goes over a server's socket, as NumPy dtypes and constants: sluice-ring(5) in Python.

    sluice.layout.DTYPES["ring_descriptor"]     the dtype of a struct, under its name in C
    sluice.layout.RING_MAGIC                    a constant, under its name in C
    sluice.layout.slot_dtype(64, 32, raw)       one slot of a ring: its descriptor and its payload
    sluice.layout.raw_dtype(channels)           the channels of a ring's payload, as they lie there

All of it is compared with what the C compiler makes of it (tests/ring/layout.golden). The package's own readers do the
work that goes with it: use this for what they do not show. What is read of a frame is good only if `claimed` says so
afterwards; sluice-ring(5) has the steps. NumPy only; pure; any thread.
"""
import re

import numpy as np

# Magics and versions.
RING_LAYOUT_VERSION = 5
PROTOCOL_VERSION = 3
RING_MAGIC = 0x31474e4952434c53
RING_LEASE_MAGIC = 0x324553414c434c53
PROTOCOL_MAGIC = 0x51434c53
RING_ORDERS_MAGIC = 0x315244524f434c53

# ring_descriptor.flags; the cause is flags >> RING_FLAG_CAUSE_SHIFT.
RING_FLAG_GAP = 1
RING_FLAG_LOST_BEFORE = 2
RING_FLAG_DUPLICATE = 4
RING_FLAG_REORDERED = 8
RING_FLAG_CAUSE_SHIFT = 8

# ring_gap.cause, the cause of a loss, an index of ring_ledger.lost.
RING_LOSS_SENDER = 0
RING_LOSS_KERNEL = 1
RING_LOSS_NIC = 2
RING_LOSS_RING_FULL = 3
RING_LOSS_LATE = 4
RING_LOSS_MALFORMED = 5
RING_LOSS_TRUNCATED = 6
RING_LOSS_RESTART = 7
RING_LOSSES = 8

# An index of ring_ledger.refused.
RING_REFUSED_SHORT = 0
RING_REFUSED_LONG = 1
RING_REFUSED_STRANGER = 2
RING_REFUSED_CHECKSUM = 3
RING_REFUSED_SYNTAX = 4
RING_REFUSED_FRAGMENT = 5
RING_REFUSALS = 8

# ring_channel.type.
RING_TYPE_NONE = 0
RING_TYPE_I8 = 1
RING_TYPE_U8 = 2
RING_TYPE_I16 = 3
RING_TYPE_U16 = 4
RING_TYPE_I32 = 5
RING_TYPE_U32 = 6
RING_TYPE_I64 = 7
RING_TYPE_U64 = 8
RING_TYPE_F32 = 9
RING_TYPE_F64 = 10
RING_TYPES = 11

# ring_channel.byte_order.
RING_LITTLE_ENDIAN = 1
RING_BIG_ENDIAN = 2

# ring_channel.calibration.
RING_CALIBRATION_LINEAR = 0
RING_CALIBRATION_POLYNOMIAL = 1
RING_CALIBRATION_POINTS = 2
RING_CALIBRATION_THERMOCOUPLE = 3
RING_CALIBRATION_LOGARITHMIC = 4
RING_CALIBRATIONS = 5

# ring_channel.thermocouple.
RING_THERMOCOUPLE_NONE = 0
RING_THERMOCOUPLE_J = 1
RING_THERMOCOUPLE_K = 2
RING_THERMOCOUPLE_N = 3
RING_THERMOCOUPLE_T = 4
RING_THERMOCOUPLES = 5

# What ring_descriptor.tai_ns is: ring_identity.stamp, ring_stream.stamp.
RING_STAMP_TAKEN = 1
RING_STAMP_DEVICE = 2
RING_STAMP_RECONSTRUCTED = 3
RING_STAMP_ASKED = 4

# ring_gate_status.state and reason.
RING_GATE_FREE = 0
RING_GATE_GATING = 1
RING_GATE_DEMOTED = 2
RING_GATE_NO_REASON = 0
RING_GATE_DEADLINE = 1
RING_GATE_NONSENSE = 2

# Sizes and bounds.
RING_HEADER_BYTES = 4096
RING_NAME_BYTES = 32
RING_UNIT_BYTES = 16
RING_DESCRIPTOR_BYTES = 32
RING_SLOT_BYTES_MIN = 64
RING_SLOT_BYTES_MAX = 65536
RING_SLOTS_MIN = 16
RING_SLOTS_MAX = 0x40000000
RING_CHANNELS_MAX = 64
RING_NUMBERS_MAX = 1024
RING_POLYNOMIAL_MAX = 16
RING_STREAMS_MAX = 8
RING_GATES_MAX = 16
RING_CACHE_LINE_BYTES = 64
RING_WRITER_LINE_BYTES = 128
RING_LEASE_BYTES = 4096
RING_ORDERS_BYTES = 4096
RING_PAYLOAD_OFFSET_MAX = 512
RING_NEWEST_BITS = 16
PROTOCOL_FDS_MAX = 128
PROTOCOL_INSTANCES_MAX = 32
PROTOCOL_PERSON_BYTES = 32
PROTOCOL_REASON_BYTES = 128

# protocol_request.op.
PROTOCOL_ATTACH = 1
PROTOCOL_BOARDS = 2
PROTOCOL_ARM = 3
PROTOCOL_RESET = 4
PROTOCOL_TRIP = 5
PROTOCOL_GATE = 6
PROTOCOL_WAIT = 7
PROTOCOL_BYPASS = 8
PROTOCOL_UNBYPASS = 9
PROTOCOL_PROOF_TEST = 10
PROTOCOL_ACKNOWLEDGE_ALARM = 11
PROTOCOL_SHELVE = 12
PROTOCOL_UNSHELVE = 13
PROTOCOL_ACKNOWLEDGE_CONFIG = 14
PROTOCOL_RECORD = 15
PROTOCOL_CONFIG = 16

# struct NAME BYTES, then its members: offset, type, name. Everything is little-endian.
_STRUCTS = """
struct ring_descriptor 32
    0 u64 sequence, 8 u64 tai_ns, 16 u64 source_sequence, 24 u16 length_bytes, 26 u16 flags, 28 u16 stream,
    30 u16 lost_before, 24 u64 rest
struct ring_gap 32
    0 u32 cause, 4 u32 reserved, 8 u64 count, 16 u64 from_tai_ns, 24 u64 reserved2
struct ring_identity 168
    0 u64 magic, 8 u32 version, 12 u32 header_bytes, 16 u64 segment_bytes, 24 u64 slots, 32 u32 slot_bytes,
    36 u32 payload_offset, 40 u64 slots_offset, 48 u32 channels_offset, 52 u32 channels, 56 u64 page_bytes,
    64 u64 created_tai_ns, 72 i64 tai_minus_monotonic_ns, 80 i32 utc_offset_s, 84 u32 stamp, 88 u32 streams,
    92 i32 numa_node, 96 text[32] instance, 128 text[32] name, 160 u32 numbers_offset, 164 u32 numbers
struct ring_progress 384
    0 u64 claimed, 8 bytes[120] pad0, 128 u64 published, 136 u64 newest, 144 bytes[112] pad1, 256 u64 epoch,
    264 u64 writer_pid, 272 u64 restart_position, 280 bytes[104] pad2
struct ring_ledger 384
    0 u64 sent, 8 u64 delivered, 16 u64[8] lost, 80 u64 duplicated, 88 u64 reordered, 96 u64[8] refused,
    160 u64 noise_bytes, 168 u64 gap_records, 176 u64 connects, 184 u64 disconnects, 192 u64 is_open,
    200 u64 bytes, 208 u64 tracker_started, 216 u64 tracker_next, 224 u64 tracker_window,
    232 u64[8] tracker_pending, 296 u64 tracker_late_run, 304 u64 tracker_late_next,
    312 u64 tracker_restart_left, 320 u64 settled_index, 328 u64[2] settled_position,
    344 u64[2] settled_delivered, 360 u64 open_errno, 368 u64 polls_failed, 376 u64 polls_missed
struct ring_rate 192
    0 u64 windows, 8 u64 window_ns, 16 u64 frames, 24 u64 intervals, 32 u64 arrived_ns, 40 u64 interval_ns_min,
    48 u64 interval_ns_max, 56 u64 deviation_ns, 64 u64 deviations, 72 u64 lag_ns_max, 80 u64 polls,
    88 u64 late_ns, 96 u64 late_ns_max, 104 u64 took_ns, 112 u64 took_ns_max, 120 u64 missed, 128 u64 ahead,
    136 u64 too_old, 144 u64 backwards, 152 u64 relocks, 160 u64 replay_jumps, 168 u64[3] reserved
struct ring_gate_status 64
    0 u64 generation, 8 u32 state, 12 u32 reason, 16 u64 base, 24 u64 waits, 32 u64 waited_ns,
    40 u64 waited_ns_max, 48 u64 demoted_position, 56 u64 demoted_tai_ns
struct ring_stream 128
    0 text[32] name, 32 text[16] source, 48 u32 frame_bytes, 52 u32 sequence_at_byte,
    56 u32 sequence_width_bytes, 60 u32 sequence_byte_order, 64 u32 sequence_step, 68 u32 stamp,
    72 f64 nominal_hz, 80 f64 tolerance, 88 u64[5] reserved
struct ring_header 4096
    0 ring_identity identity, 168 bytes[344] pad0, 512 ring_progress progress, 896 ring_ledger ledger,
    1280 ring_rate rate, 1472 bytes[576] pad1, 2048 ring_gate_status[16] gate, 3072 ring_stream[8] stream
struct ring_channel 128
    0 text[32] name, 32 text[16] unit, 48 u32 at_byte, 52 u32 type, 56 u32 byte_order, 60 u16 calibration,
    62 u16 thermocouple, 64 f64 scale, 72 f64 offset, 80 f64 range_low, 88 f64 range_high, 96 u32 first_number,
    100 u32 numbers, 104 u32 reference, 108 u8 bits, 109 u8 shift, 110 u16 reserved, 112 u64[2] reserved2
struct ring_lease 256
    0 u64 magic, 8 u64 generation, 16 bytes[112] pad0, 128 u64 position, 136 u64 lost, 144 bytes[112] pad1
struct protocol_request 216
    0 u32 magic, 4 u16 version, 6 u16 op, 8 u64 argument, 16 u64 from, 24 text[32] name, 56 text[32] person,
    88 text[128] reason
struct protocol_reply 536
    0 u32 magic, 4 u16 version, 6 u16 fds, 8 i32 code, 12 u32 gate, 16 u64 value, 24 text[512] text
struct protocol_wake 16
    0 u32 magic, 4 u32 reserved, 8 u64 published
"""

_TYPES = {"u8": "u1", "u16": "<u2", "u32": "<u4", "u64": "<u8", "i32": "<i4", "i64": "<i8", "f64": "<f8"}


def _member_format(kind, count, known):
    """The format of one member, as np.dtype() takes it. Text ends with a 0; bytes are of no meaning."""
    if kind == "text":
        return f"S{count}"
    if kind == "bytes":
        return f"V{count}"
    one = known[kind] if kind in known else _TYPES[kind]
    return (one, (int(count),)) if count else one


def _read_structs(text):
    known = {}
    for name, size, body in re.findall(r"^struct (\w+) (\d+)\n((?: .*\n)+)", text, re.M):
        offsets, kinds, counts, names = zip(*re.findall(r"(\d+) (\w+)(?:\[(\d+)\])? (\w+)", body))
        known[name] = np.dtype({"names": names, "offsets": [int(at) for at in offsets], "itemsize": int(size),
                                "formats": [_member_format(*kind, known) for kind in zip(kinds, counts)]})
    return known


DTYPES = _read_structs(_STRUCTS)

_RAW = {RING_TYPE_I8: "i1", RING_TYPE_U8: "u1", RING_TYPE_I16: "i2", RING_TYPE_U16: "u2", RING_TYPE_I32: "i4",
        RING_TYPE_U32: "u4", RING_TYPE_I64: "i8", RING_TYPE_U64: "u8", RING_TYPE_F32: "f4", RING_TYPE_F64: "f8"}


def channel_dtype(kind, byte_order):
    """The dtype of a channel's raw value, of ring_channel.type and .byte_order. ValueError: no such type or order."""
    if int(kind) not in _RAW or int(byte_order) not in (RING_LITTLE_ENDIAN, RING_BIG_ENDIAN):
        raise ValueError(f"expected a channel's type from 1 to 10 and byte order 1 or 2, found {kind} and {byte_order}; "
                         "the table is corrupt, or of another version")
    return np.dtype(_RAW[int(kind)]).newbyteorder(">" if int(byte_order) == RING_BIG_ENDIAN else "<")


def raw_dtype(channels, payload_bytes):
    """A payload as a structured dtype of payload_bytes bytes, a field for each entry of `channels`, an array of
    DTYPES["ring_channel"]. Channels may share bytes: each is some bits of one word, then. ValueError: one does not lie
    in the payload, or has an impossible type or name."""
    names = [bytes(name).decode("utf-8", "replace") for name in channels["name"]]
    formats = [channel_dtype(*entry) for entry in zip(channels["type"], channels["byte_order"])]
    offsets = [int(at) for at in channels["at_byte"]]
    for name, kind, at in zip(names, formats, offsets):
        if at + kind.itemsize > payload_bytes:
            raise ValueError(f"channel {name}: expected its {kind.itemsize} bytes at {at} to lie in a payload of "
                             f"{payload_bytes}; the table is corrupt")
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": int(payload_bytes)})


def slot_dtype(slot_bytes, payload_offset, payload=None):
    """One slot of a ring as a structured dtype, fields `descriptor` and `payload`: np.frombuffer(memory, slot_dtype(..),
    slots, slots_offset) is the whole ring; position p lies at index p % slots. payload: its dtype; None: plain bytes."""
    room = int(slot_bytes) - int(payload_offset)
    payload = np.dtype(f"V{room}") if payload is None else payload
    return np.dtype({"names": ["descriptor", "payload"], "formats": [DTYPES["ring_descriptor"], payload],
                     "offsets": [0, int(payload_offset)], "itemsize": int(slot_bytes)})
