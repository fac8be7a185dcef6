/* The tree of an HDF5 export: groups, datasets and their attributes. Cold. */
#ifndef EXPORT_HDF5_TREE_H
#define EXPORT_HDF5_TREE_H

#include "tools/export/export.h"
#include "tools/export/hdf5_file.h"

/* A row of `gaps`. */
struct hdf5_gap {
    uint64_t from_position;
    uint64_t to_position;
    uint64_t count;
    uint64_t tai_ns;
    char cause[16];
    char told_by[16];
};

struct hdf5 {
    struct export_sink sink;
    const struct export_plan *plan;
    const struct export_ring *ring;
    struct hdf5_file file;
    hid_t entry;
    hid_t ring_group;
    bool has_stream;
    bool finished;
    uint32_t row_bytes;  /* of `data`; 0: frames of any length, one behind the other */
    uint64_t data_bytes; /* of these so far */
    uint64_t cut;        /* frames longer than row_bytes */
    hid_t gap_type;
    struct hdf5_column time;
    struct hdf5_column position;
    struct hdf5_column sequence;
    struct hdf5_column stream;
    struct hdf5_column data;
    struct hdf5_column offset;
    struct hdf5_column length;
    struct hdf5_column gaps;
    struct hdf5_column value[RING_CHANNELS_MAX];
    struct hdf5_column raw[RING_CHANNELS_MAX];
    uint8_t padded[UINT16_MAX + 1];
};

void hdf5_tree_begin(struct hdf5 *h);
void hdf5_tree_ring(struct hdf5 *h);
void hdf5_tree_axes(struct hdf5 *h, uint64_t rows);
void hdf5_tree_channel(struct hdf5 *h, uint32_t channel, uint64_t rows);
/* rows: of a chunk of `data` (bytes of it, where frames vary); index_rows: of offset and length. */
void hdf5_tree_frames(struct hdf5 *h, uint64_t rows, uint64_t index_rows);
void hdf5_tree_gaps(struct hdf5 *h, uint64_t rows);
/* Ends all datasets of the ring. */
void hdf5_tree_ring_end(struct hdf5 *h);
void hdf5_tree_end(struct hdf5 *h, const struct export_counts *all);

#endif
