/* What of libhdf5 the export needs: a file, groups, attributes, and columns, which are datasets that grow by whole
 * chunks. A call after one that failed does nothing: the first failure is what is told at the end. One thread. Cold
 * but for hdf5_add().
 */
#ifndef EXPORT_HDF5_FILE_H
#define EXPORT_HDF5_FILE_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "ring/error.h"

struct hdf5_file {
    hid_t file;
    hid_t text; /* type: UTF-8, ended by a 0, as long as it is */
    unsigned deflate;
    const char *failed; /* which call did; NULL: none */
    int code;           /* its errno, 0: not known */
};

/* A dataset of one dimension, or of rows of `row` elements. Nothing of it is in memory but the chunk under way. */
struct hdf5_column {
    hid_t dataset;
    hid_t type;
    size_t element_bytes; /* of a row */
    uint64_t row;         /* elements of a row; 0: one dimension */
    uint64_t room;        /* rows of a chunk */
    uint64_t used;        /* rows in the chunk under way */
    uint64_t written;     /* rows in the file */
    uint8_t *chunk;
};

/* Writes over the file at path, which is there. 0 or -EIO; hdf5_close in any case. */
int hdf5_create(struct hdf5_file *file, const char *path, unsigned deflate, struct error *err);
/* 0, or -errno if any call since hdf5_create has failed, with where. */
int hdf5_close(struct hdf5_file *file, struct error *err);

/* A group of this class of NeXus. Close it with hdf5_close_object. */
hid_t hdf5_group(struct hdf5_file *file, hid_t at, const char *name, const char *nx_class);
void hdf5_close_object(struct hdf5_file *file, hid_t object);
/* The same object under a second name. */
void hdf5_link(struct hdf5_file *file, hid_t from, const char *from_name, hid_t to, const char *to_name);

void hdf5_attribute_text(struct hdf5_file *file, hid_t at, const char *name, const char *text);
void hdf5_attribute_count(struct hdf5_file *file, hid_t at, const char *name, uint64_t value);
void hdf5_attribute_signed(struct hdf5_file *file, hid_t at, const char *name, int64_t value);
void hdf5_attribute_reals(struct hdf5_file *file, hid_t at, const char *name, const double *values, uint32_t count);
/* A scalar dataset of text. */
void hdf5_text(struct hdf5_file *file, hid_t at, const char *name, const char *text);

/* rows: of a chunk. False: it failed. hdf5_column_end in any case. */
bool hdf5_column_begin(struct hdf5_file *file, struct hdf5_column *column, hid_t at, const char *name, hid_t type,
                       uint64_t row, uint64_t rows);
/* The last, partly filled chunk, and the dataset's end. Fine on a zeroed one. */
void hdf5_column_end(struct hdf5_file *file, struct hdf5_column *column);
/* The chunk is full, or the last. */
void hdf5_column_flush(struct hdf5_file *file, struct hdf5_column *column);

/* Appends a row of element_bytes. */
static inline void hdf5_add(struct hdf5_file *file, struct hdf5_column *column, const void *row)
{
    if (file->failed == NULL) {
        memcpy(column->chunk + column->used * column->element_bytes, row, column->element_bytes);
        if (++column->used == column->room) {
            hdf5_column_flush(file, column);
        }
    }
}

/* Appends bytes to a column of one byte each. */
void hdf5_add_bytes(struct hdf5_file *file, struct hdf5_column *column, const uint8_t *data, uint64_t bytes);

#endif
