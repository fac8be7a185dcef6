/* What is compared with what. */
#include "bench/disk_rig.h"

#define JUMBO_BYTES 8972u /* UDP's payload at an MTU of 9000 .. */
#define JUMBO_SLOT  9216u
#define PLAIN_BYTES 1472u /* .. and of 1500 */
#define PLAIN_SLOT  1536u
#define FIO_VALUES  (DISK_CPU_PER_GB + 1)

/* Groups: whole speed onto the disk, a line's rate, exports. */
static const struct disk_path paths[] = {
    {.variant = "fio-1m", .way = DISK_FIO, .group = 0, .values = FIO_VALUES, .is_floor = true},
    {.variant = "sluice-slots",
     .way = DISK_RECORDER,
     .frame_bytes = JUMBO_BYTES,
     .slot_bytes = JUMBO_SLOT,
     .layout = RECORDER_SLOTS,
     .group = 0,
     .values = DISK_VALUES},
    {.variant = "sluice-packed",
     .way = DISK_RECORDER,
     .frame_bytes = JUMBO_BYTES,
     .slot_bytes = JUMBO_SLOT,
     .layout = RECORDER_PACKED,
     .group = 0,
     .values = DISK_VALUES},
    {.variant = "sluice-slots_1472",
     .way = DISK_RECORDER,
     .frame_bytes = PLAIN_BYTES,
     .slot_bytes = PLAIN_SLOT,
     .layout = RECORDER_SLOTS,
     .group = 0,
     .values = DISK_VALUES},
    {.variant = "sluice-packed_1472",
     .way = DISK_RECORDER,
     .frame_bytes = PLAIN_BYTES,
     .slot_bytes = PLAIN_SLOT,
     .layout = RECORDER_PACKED,
     .group = 0,
     .values = DISK_VALUES},
    {.variant = "fio-10g", .way = DISK_FIO, .pace = DISK_10G, .group = 1, .values = FIO_VALUES, .is_floor = true},
    {.variant = "sluice-10g",
     .way = DISK_RECORDER,
     .frame_bytes = JUMBO_BYTES,
     .slot_bytes = JUMBO_SLOT,
     .layout = RECORDER_SLOTS,
     .pace = DISK_10G,
     .group = 1,
     .values = DISK_VALUES},
    {.variant = "sluice-10g-packed",
     .way = DISK_RECORDER,
     .frame_bytes = JUMBO_BYTES,
     .slot_bytes = JUMBO_SLOT,
     .layout = RECORDER_PACKED,
     .pace = DISK_10G,
     .group = 1,
     .values = DISK_VALUES},
    {.variant = "hdf5-bare",
     .way = DISK_HDF5_BARE,
     .frame_bytes = DISK_CHANNELS * (uint32_t)sizeof(double),
     .group = 2,
     .values = DISK_PAYLOAD + 1,
     .is_floor = true},
    {.variant = "hdf5-sluice",
     .way = DISK_EXPORT,
     .frame_bytes = DISK_CHANNELS * (uint32_t)sizeof(double),
     .group = 2,
     .values = DISK_PSS_KB + 1},
};

const struct disk_path *disk_path_at(uint32_t index)
{
    return index < sizeof(paths) / sizeof(paths[0]) ? &paths[index] : NULL;
}
