#include "bench/hdf5_bare.h"

#include <errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/clock.h"

#define CHUNK_BYTES (1u << 20)
#define ROWS_MOST   (CHUNK_BYTES / sizeof(double))
#define SETS_MAX    (3 + 2 * HDF5_BARE_CHANNELS_MAX)

struct bare {
    hid_t file;
    hid_t creation;
    hid_t space; /* empty, growing */
    hid_t set[SETS_MAX];
    hid_t type[SETS_MAX];
    unsigned sets;
    uint64_t rows; /* of a chunk */
    double *chunk; /* what every chunk is written from: the bytes are no matter */
};

static void add_set(struct bare *b, hid_t at, const char *name, hid_t type)
{
    b->type[b->sets] = type;
    b->set[b->sets++] = H5Dcreate2(at, name, type, b->space, H5P_DEFAULT, b->creation, H5P_DEFAULT);
}

static int begin(struct bare *b, const char *path, unsigned channels, uint64_t frames)
{
    hsize_t none = 0;
    hsize_t most = H5S_UNLIMITED;
    b->rows = frames < ROWS_MOST ? frames : ROWS_MOST;
    hsize_t chunk = b->rows;
    b->chunk = calloc(b->rows, sizeof(b->chunk[0]));
    b->file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (b->chunk == NULL || b->file < 0) {
        return -EIO;
    }
    for (uint64_t i = 0; i < b->rows; i++) {
        b->chunk[i] = (double)i;
    }
    b->space = H5Screate_simple(1, &none, &most);
    b->creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(b->creation, 1, &chunk);
    H5Pset_fill_time(b->creation, H5D_FILL_TIME_NEVER);
    add_set(b, b->file, "time", H5T_STD_U64LE);
    add_set(b, b->file, "position", H5T_STD_U64LE);
    add_set(b, b->file, "source_sequence", H5T_STD_U64LE);
    for (unsigned i = 0; i < channels; i++) {
        char name[16];
        snprintf(name, sizeof(name), "c%u", i);
        hid_t group = H5Gcreate2(b->file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        add_set(b, group, "value", H5T_IEEE_F64LE);
        add_set(b, group, "raw", H5T_IEEE_F64LE);
        H5Gclose(group);
    }
    return 0;
}

/* The next `rows` of every dataset. */
static int write_rows(struct bare *b, uint64_t from, uint64_t rows)
{
    hsize_t begins = from;
    hsize_t count = rows;
    hsize_t size = from + rows;
    hid_t memory = H5Screate_simple(1, &count, NULL);
    herr_t failed = memory < 0 ? -1 : 0;
    for (unsigned i = 0; failed >= 0 && i < b->sets; i++) {
        failed = H5Dset_extent(b->set[i], &size);
        hid_t to = failed >= 0 ? H5Dget_space(b->set[i]) : -1;
        if (to >= 0) {
            H5Sselect_hyperslab(to, H5S_SELECT_SET, &begins, NULL, &count, NULL);
            failed = H5Dwrite(b->set[i], b->type[i], memory, to, H5P_DEFAULT, b->chunk);
            H5Sclose(to);
        }
    }
    H5Sclose(memory);
    return failed < 0 ? -EIO : 0;
}

static int end(struct bare *b, int code)
{
    for (unsigned i = 0; i < b->sets; i++) {
        if (H5Dclose(b->set[i]) < 0) {
            code = -EIO;
        }
    }
    if (b->file >= 0) {
        H5Sclose(b->space);
        H5Pclose(b->creation);
        code = H5Fclose(b->file) < 0 ? -EIO : code;
    }
    free(b->chunk);
    return code;
}

int hdf5_bare_write(const char *path, unsigned channels, uint64_t frames, double *seconds)
{
    struct bare bare = {.file = -1};
    uint64_t begun = clock_monotonic_ns();
    if (channels > HDF5_BARE_CHANNELS_MAX || frames == 0) {
        return -EINVAL;
    }
    int code = begin(&bare, path, channels, frames);
    for (uint64_t at = 0; code == 0 && at < frames; at += bare.rows) {
        code = write_rows(&bare, at, frames - at < bare.rows ? frames - at : bare.rows);
    }
    code = end(&bare, code);
    *seconds = (double)clock_elapsed_ns(begun, clock_monotonic_ns()) / 1e9;
    return code;
}
