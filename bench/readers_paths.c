/* What is compared with what. */
#include "bench/readers_rig.h"

#define JUMBO_BYTES 8960u /* 1120 doubles: what fits a frame of 9000 bytes */
#define JUMBO_SLOT  9216u
#define SMALL_BYTES 64u /* 8 channels */
#define SMALL_SLOT  128u

static const struct readers_value sum[] = {{"sum", "GB/s", true}};
static const struct readers_value flow[] = {
    {"flow", "Gbit/s", true}, {"flow_cpu", "% of a core", false}, {"flow_lost", "frames", false}};
static const struct readers_value most[] = {{"loss_free", "Gbit/s", true}, {"trials", "trials", false}};
static const struct readers_value overhead[] = {{"overhead", "us", false}};
static const struct readers_value attach[] = {
    {"attach", "ms", false}, {"attach_again", "ms", false}, {"import", "ms", false}, {"import_numpy", "ms", false}};
static const struct readers_value impact[] = {{"impact", "GB/s", true}, {"impact_ratio", "of none", true}};
static const struct readers_value impact_10g[] = {{"impact_10g", "GB/s", true},
                                                  {"impact_10g_ratio", "of none", true}};
static const struct readers_value hold[] = {{"readings", "ms", false},
                                            {"readings_private", "KiB", false},
                                            {"readings_peak", "KiB", false},
                                            {"readings_shared", "KiB", false}};

static const struct readers_value fold[] = {{"fold", "ns", false}, {"fold_rate", "GB/s", true}};

/* The frames, 64 MiB of them and more, are beyond what is next to a core. */
#define SUM                                                                                                        \
    .frame_bytes = JUMBO_BYTES, .slot_bytes = JUMBO_SLOT, .slots = 8192, .frames = 7168, .batch = 4096,            \
    .readers = 1, .group = 0, .values = sum, .value_count = 1
#define COLUMN                                                                                                     \
    .frame_bytes = SMALL_BYTES, .slot_bytes = SMALL_SLOT, .slots = 524288, .frames = 458752, .batch = 4096,        \
    .readers = 1, .group = 1, .values = sum, .value_count = 1
/* At 10 Gbit/s a ring of 0.24 s. */
#define FLOW .frame_bytes = JUMBO_BYTES, .slot_bytes = JUMBO_SLOT, .slots = 32768, .batch = 256, .readers = 1
#define OVERHEAD(n)                                                                                                \
    .way = READERS_SUM, .frame_bytes = SMALL_BYTES, .slot_bytes = SMALL_SLOT, .slots = 16384, .frames = 14336,     \
    .batch = (n), .readers = 1, .group = (n), .values = overhead, .value_count = 1
#define ATTACH                                                                                                     \
    .way = READERS_ATTACH, .frame_bytes = SMALL_BYTES, .slot_bytes = SMALL_SLOT, .slots = 16384, .frames = 14336,  \
    .batch = 4096, .readers = 1, .values = attach
#define IMPACT                                                                                                     \
    .way = READERS_IMPACT, .by = READERS_BY_PYTHON, .frame_bytes = JUMBO_BYTES, .slot_bytes = JUMBO_SLOT,          \
    .slots = 8192, .batch = 256, .value_count = 2
#define FULL IMPACT, .group = 0, .values = impact
#define LINE IMPACT, .group = 1, .values = impact_10g, .pace = READERS_10G
/* 10,000,480 readings. */
#define HOLD                                                                                                       \
    .way = READERS_HOLD, .by = READERS_BY_PYTHON, .frame_bytes = JUMBO_BYTES, .slot_bytes = JUMBO_SLOT,            \
    .slots = 16384, .frames = 8929, .batch = 64, .readers = 1, .values = hold, .value_count = 4

/* 2 million values of payloads; or 450 thousand of one channel. */
#define FOLD                                                                                                       \
    .way = READERS_SUM, .by = READERS_BY_PYTHON, .frame_bytes = JUMBO_BYTES, .slot_bytes = JUMBO_SLOT,             \
    .slots = 2048, .frames = 1792, .batch = 64, .readers = 1, .values = fold, .value_count = 2
#define FOLD_COLUMN                                                                                                \
    .way = READERS_SUM, .by = READERS_BY_PYTHON, .frame_bytes = SMALL_BYTES, .slot_bytes = SMALL_SLOT,             \
    .slots = 524288, .frames = 458752, .batch = 4096, .readers = 1, .group = 0, .values = fold, .value_count = 2

static const struct readers_path paths[] = {
    {SUM, .variant = "memory", .way = READERS_MEMORY, .by = READERS_BY_C, .kind = PEER_FLOOR, .is_floor = true},
    {SUM, .variant = "c", .way = READERS_SUM, .by = READERS_BY_C, .mode = "samples", .kind = PEER_OURS},
    {SUM, .variant = "python", .way = READERS_SUM, .by = READERS_BY_PYTHON, .mode = "samples", .kind = PEER_OURS},
    {SUM, .variant = "python-rows", .way = READERS_SUM, .by = READERS_BY_PYTHON, .mode = "rows", .kind = PEER_OURS},
    {SUM, .variant = "python-einsum", .way = READERS_SUM, .by = READERS_BY_PYTHON, .mode = "einsum",
     .kind = PEER_OURS},
    {SUM, .variant = "numpy", .way = READERS_SUM, .by = READERS_BY_BARE, .mode = "numpy_samples",
     .kind = PEER_OTHER},
    {COLUMN, .variant = "memory-column", .way = READERS_MEMORY, .by = READERS_BY_C, .kind = PEER_FLOOR,
     .is_floor = true},
    {COLUMN, .variant = "c-column", .way = READERS_SUM, .by = READERS_BY_C, .mode = "column", .kind = PEER_OURS},
    {COLUMN, .variant = "python-column", .way = READERS_SUM, .by = READERS_BY_PYTHON, .mode = "column",
     .kind = PEER_OURS},
    {COLUMN, .variant = "numpy-column", .way = READERS_SUM, .by = READERS_BY_BARE, .mode = "numpy_column",
     .kind = PEER_OTHER},
    {FLOW, .variant = "c", .way = READERS_FLOW, .by = READERS_BY_C, .mode = "rate", .pace = READERS_10G,
     .values = flow, .value_count = 3, .kind = PEER_OURS, .is_floor = true},
    {FLOW, .variant = "python", .way = READERS_FLOW, .by = READERS_BY_PYTHON, .mode = "rate", .pace = READERS_10G,
     .values = flow, .value_count = 3, .kind = PEER_OURS},
    {FLOW, .variant = "c", .way = READERS_MOST, .by = READERS_BY_C, .mode = "rate", .values = most,
     .value_count = 2, .kind = PEER_OURS, .is_floor = true},
    {FLOW, .variant = "python", .way = READERS_MOST, .by = READERS_BY_PYTHON, .mode = "rate", .values = most,
     .value_count = 2, .kind = PEER_OURS},
    {OVERHEAD(1), .variant = "c-b1", .by = READERS_BY_C, .mode = "overhead", .kind = PEER_OURS, .is_floor = true},
    {OVERHEAD(1), .variant = "ctypes-b1", .by = READERS_BY_BARE, .mode = "ctypes", .kind = PEER_OTHER},
    {OVERHEAD(1), .variant = "ctypes_checked-b1", .by = READERS_BY_BARE, .mode = "ctypes_checked",
     .kind = PEER_OTHER},
    {OVERHEAD(1), .variant = "python-b1", .by = READERS_BY_PYTHON, .mode = "overhead", .kind = PEER_OURS},
    {OVERHEAD(32), .variant = "c-b32", .by = READERS_BY_C, .mode = "overhead", .kind = PEER_OURS, .is_floor = true},
    {OVERHEAD(32), .variant = "ctypes-b32", .by = READERS_BY_BARE, .mode = "ctypes", .kind = PEER_OTHER},
    {OVERHEAD(32), .variant = "ctypes_checked-b32", .by = READERS_BY_BARE, .mode = "ctypes_checked",
     .kind = PEER_OTHER},
    {OVERHEAD(32), .variant = "python-b32", .by = READERS_BY_PYTHON, .mode = "overhead", .kind = PEER_OURS},
    {ATTACH, .variant = "c", .by = READERS_BY_C, .mode = "attach", .value_count = 2, .kind = PEER_OURS,
     .is_floor = true},
    {ATTACH, .variant = "python", .by = READERS_BY_PYTHON, .mode = "attach", .value_count = 4, .kind = PEER_OURS},
    {FULL, .variant = "none", .kind = PEER_OURS, .is_floor = true},
    {FULL, .variant = "stopped-1", .mode = "observe", .readers = 1, .kind = PEER_OURS},
    {FULL, .variant = "stopped-4", .mode = "observe", .readers = 4, .kind = PEER_OURS},
    {FULL, .variant = "stopped-16", .mode = "observe", .readers = 16, .kind = PEER_OURS},
    {FULL, .variant = "collecting", .mode = "collect", .readers = 1, .runs_on = true, .kind = PEER_OURS},
    {FULL, .variant = "killed", .mode = "observe", .readers = 1, .is_killed = true, .kind = PEER_OURS},
    {LINE, .variant = "none", .kind = PEER_OURS, .is_floor = true},
    {LINE, .variant = "stopped-1", .mode = "observe", .readers = 1, .kind = PEER_OURS},
    {LINE, .variant = "stopped-4", .mode = "observe", .readers = 4, .kind = PEER_OURS},
    {LINE, .variant = "stopped-16", .mode = "observe", .readers = 16, .kind = PEER_OURS},
    {LINE, .variant = "collecting", .mode = "collect", .readers = 1, .runs_on = true, .kind = PEER_OURS},
    {LINE, .variant = "killed", .mode = "observe", .readers = 1, .is_killed = true, .kind = PEER_OURS},
    {HOLD, .variant = "views", .mode = "views", .kind = PEER_OURS},
    {HOLD, .variant = "numpy", .mode = "numpy", .kind = PEER_OTHER},
    {HOLD, .variant = "array", .mode = "array", .kind = PEER_OTHER},
    {HOLD, .variant = "list", .mode = "list", .kind = PEER_OTHER},
    {HOLD, .variant = "queue", .mode = "queue", .kind = PEER_OTHER},
    {HOLD, .variant = "zmq", .mode = "zmq", .kind = PEER_OTHER},
    {FOLD, .variant = "summary", .mode = "fold:summary", .group = 0, .kind = PEER_OURS},
    {FOLD, .variant = "summary-numpy", .mode = "fold_numpy:summary", .group = 0, .kind = PEER_OTHER},
    {FOLD, .variant = "percentiles", .mode = "fold:percentiles", .group = 1, .kind = PEER_OURS},
    {FOLD, .variant = "percentiles-numpy", .mode = "fold_numpy:percentiles", .group = 1, .kind = PEER_OTHER},
    {FOLD, .variant = "histogram", .mode = "fold:histogram", .group = 2, .kind = PEER_OURS},
    {FOLD, .variant = "histogram-numpy", .mode = "fold_numpy:histogram", .group = 2, .kind = PEER_OTHER},
    {FOLD, .variant = "envelope", .mode = "fold:envelope", .group = 3, .kind = PEER_OURS},
    {FOLD, .variant = "envelope-numpy", .mode = "fold_numpy:envelope", .group = 3, .kind = PEER_OTHER},
    {FOLD, .variant = "edges", .mode = "fold:edges", .group = 4, .kind = PEER_OURS},
    {FOLD, .variant = "edges-numpy", .mode = "fold_numpy:edges", .group = 4, .kind = PEER_OTHER},
    {FOLD_COLUMN, .variant = "summary-column", .mode = "fold_column", .kind = PEER_OURS},
    {FOLD_COLUMN, .variant = "summary-column_numpy", .mode = "fold_numpy_column", .kind = PEER_OTHER},
};

const struct readers_path *readers_path_at(uint32_t index)
{
    return index < sizeof(paths) / sizeof(paths[0]) ? &paths[index] : NULL;
}
