#include "tools/export/hdf5_file.h"

#include <errno.h>
#include <stdlib.h>

#define METADATA_BYTES_MAX (4u << 20) /* of libhdf5's cache of its own structures; its default is 32 MiB */

/* The first failure counts; errno is what the write of libhdf5 left. */
static void note(struct hdf5_file *file, bool failed, const char *call)
{
    if (failed && file->failed == NULL) {
        file->failed = call;
        file->code = errno;
    }
}

static hid_t note_id(struct hdf5_file *file, hid_t id, const char *call)
{
    note(file, id < 0, call);
    return id;
}

/* Memory does not grow with the file: its cache of chunks is not used at all. */
static hid_t make_access(struct hdf5_file *file)
{
    H5AC_cache_config_t cache = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
    hid_t access = note_id(file, H5Pcreate(H5P_FILE_ACCESS), "H5Pcreate");
    note(file, H5Pset_cache(access, 0, 1, 0, 0) < 0, "H5Pset_cache");
    note(file, H5Pset_sieve_buf_size(access, 64 << 10) < 0, "H5Pset_sieve_buf_size");
    if (H5Pget_mdc_config(access, &cache) >= 0) {
        cache.set_initial_size = 1;
        cache.initial_size = 1 << 20;
        cache.min_size = 1 << 20;
        cache.max_size = METADATA_BYTES_MAX;
        note(file, H5Pset_mdc_config(access, &cache) < 0, "H5Pset_mdc_config");
    }
    return access;
}

int hdf5_create(struct hdf5_file *file, const char *path, unsigned deflate, struct error *err)
{
    *file = (struct hdf5_file){.file = -1, .text = -1, .deflate = deflate};
    if (H5dont_atexit() < 0 || H5open() < 0 || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0) {
        return error_set(err, -EIO, "libhdf5 does not start");
    }
    errno = 0;
    hid_t access = make_access(file);
    file->file = note_id(file, H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access), "H5Fcreate");
    H5Pclose(access);
    file->text = note_id(file, H5Tcopy(H5T_C_S1), "H5Tcopy");
    note(file, H5Tset_cset(file->text, H5T_CSET_UTF8) < 0, "H5Tset_cset");
    return file->failed == NULL ? 0
                                : error_set(err, -EIO, "%s: libhdf5 cannot write there (%s): %s", path,
                                            file->failed, strerror(file->code));
}

int hdf5_close(struct hdf5_file *file, struct error *err)
{
    if (file->text >= 0) {
        H5Tclose(file->text);
    }
    errno = 0;
    if (file->file >= 0) {
        note(file, H5Fclose(file->file) < 0, "H5Fclose");
    }
    file->file = file->text = -1;
    if (file->failed == NULL) {
        return 0;
    }
    int code = file->code != 0 ? file->code : EIO;
    return error_set(err, -code, "writing HDF5: %s%s (%s); nothing was left of it", strerror(code),
                     code == ENOSPC ? ": the disk is full" : "", file->failed);
}

hid_t hdf5_group(struct hdf5_file *file, hid_t at, const char *name, const char *nx_class)
{
    hid_t group = -1;
    if (file->failed == NULL) {
        group = note_id(file, H5Gcreate2(at, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), "H5Gcreate2");
        hdf5_attribute_text(file, group, "NX_class", nx_class);
    }
    return group;
}

void hdf5_close_object(struct hdf5_file *file, hid_t object)
{
    if (object >= 0) {
        note(file, H5Oclose(object) < 0, "H5Oclose");
    }
}

void hdf5_link(struct hdf5_file *file, hid_t from, const char *from_name, hid_t to, const char *to_name)
{
    if (file->failed == NULL) {
        note(file, H5Lcreate_hard(from, from_name, to, to_name, H5P_DEFAULT, H5P_DEFAULT) < 0, "H5Lcreate_hard");
    }
}

static void write_attribute(struct hdf5_file *file, hid_t at, const char *name, hid_t type, hid_t memory_type,
                            hid_t space, const void *value)
{
    if (file->failed != NULL) {
        return;
    }
    hid_t attribute = note_id(file, H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT), "H5Acreate2");
    if (attribute >= 0) {
        note(file, H5Awrite(attribute, memory_type, value) < 0, "H5Awrite");
        H5Aclose(attribute);
    }
}

static void write_scalar(struct hdf5_file *file, hid_t at, const char *name, hid_t type, const void *value)
{
    hid_t space = note_id(file, H5Screate(H5S_SCALAR), "H5Screate");
    write_attribute(file, at, name, type, type, space, value);
    H5Sclose(space);
}

void hdf5_attribute_text(struct hdf5_file *file, hid_t at, const char *name, const char *text)
{
    if (file->failed == NULL) {
        note(file, H5Tset_size(file->text, strlen(text) + 1) < 0, "H5Tset_size");
        write_scalar(file, at, name, file->text, text);
    }
}

void hdf5_attribute_count(struct hdf5_file *file, hid_t at, const char *name, uint64_t value)
{
    write_scalar(file, at, name, H5T_NATIVE_UINT64, &value);
}

void hdf5_attribute_signed(struct hdf5_file *file, hid_t at, const char *name, int64_t value)
{
    write_scalar(file, at, name, H5T_NATIVE_INT64, &value);
}

void hdf5_attribute_reals(struct hdf5_file *file, hid_t at, const char *name, const double *values, uint32_t count)
{
    hsize_t size = count;
    if (count == 1) {
        write_scalar(file, at, name, H5T_NATIVE_DOUBLE, values);
        return;
    }
    hid_t space = note_id(file, H5Screate_simple(1, &size, NULL), "H5Screate_simple");
    write_attribute(file, at, name, H5T_NATIVE_DOUBLE, H5T_NATIVE_DOUBLE, space, values);
    H5Sclose(space);
}

void hdf5_text(struct hdf5_file *file, hid_t at, const char *name, const char *text)
{
    if (file->failed != NULL) {
        return;
    }
    note(file, H5Tset_size(file->text, strlen(text) + 1) < 0, "H5Tset_size");
    hid_t space = note_id(file, H5Screate(H5S_SCALAR), "H5Screate");
    hid_t dataset =
        note_id(file, H5Dcreate2(at, name, file->text, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), "H5Dcreate2");
    if (dataset >= 0) {
        note(file, H5Dwrite(dataset, file->text, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0, "H5Dwrite");
        H5Dclose(dataset);
    }
    H5Sclose(space);
}

static hid_t make_creation(struct hdf5_file *file, int rank, const hsize_t *chunk)
{
    hid_t creation = note_id(file, H5Pcreate(H5P_DATASET_CREATE), "H5Pcreate");
    note(file, H5Pset_chunk(creation, rank, chunk) < 0, "H5Pset_chunk");
    note(file, H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) < 0, "H5Pset_fill_time");
    if (file->deflate > 0) {
        note(file, H5Pset_shuffle(creation) < 0, "H5Pset_shuffle");
        note(file, H5Pset_deflate(creation, file->deflate) < 0, "H5Pset_deflate");
    }
    return creation;
}

bool hdf5_column_begin(struct hdf5_file *file, struct hdf5_column *column, hid_t at, const char *name, hid_t type,
                       uint64_t row, uint64_t rows)
{
    int rank = row != 0 ? 2 : 1;
    hsize_t begin[2] = {0, row};
    hsize_t most[2] = {H5S_UNLIMITED, row};
    hsize_t chunk[2] = {rows, row};
    *column = (struct hdf5_column){.dataset = -1, .type = type, .row = row, .room = rows};
    if (file->failed != NULL) {
        return false;
    }
    column->element_bytes = H5Tget_size(type) * (row != 0 ? row : 1);
    column->chunk = calloc(rows, column->element_bytes);
    errno = ENOMEM;
    note(file, column->chunk == NULL, "calloc");
    errno = 0;
    hid_t space = note_id(file, H5Screate_simple(rank, begin, most), "H5Screate_simple");
    hid_t creation = make_creation(file, rank, chunk);
    if (file->failed == NULL) {
        column->dataset =
            note_id(file, H5Dcreate2(at, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT), "H5Dcreate2");
    }
    H5Pclose(creation);
    H5Sclose(space);
    return file->failed == NULL;
}

/* Past libhdf5's conversions and caches: the bytes of a chunk are those of the file. */
static void write_bare(struct hdf5_file *file, const struct hdf5_column *column, const hsize_t *from)
{
    size_t bytes = column->room * column->element_bytes;
    errno = 0;
    note(file, H5Dwrite_chunk(column->dataset, H5P_DEFAULT, 0, from, bytes, column->chunk) < 0, "H5Dwrite_chunk");
}

/* A chunk that is compressed goes through the filters of the library. */
static void write_filtered(struct hdf5_file *file, const struct hdf5_column *column, const hsize_t *from)
{
    hsize_t count[2] = {column->used, column->row};
    hid_t to = note_id(file, H5Dget_space(column->dataset), "H5Dget_space");
    hid_t memory = note_id(file, H5Screate_simple(column->row != 0 ? 2 : 1, count, NULL), "H5Screate_simple");
    note(file, H5Sselect_hyperslab(to, H5S_SELECT_SET, from, NULL, count, NULL) < 0, "H5Sselect_hyperslab");
    errno = 0;
    note(file, H5Dwrite(column->dataset, column->type, memory, to, H5P_DEFAULT, column->chunk) < 0, "H5Dwrite");
    H5Sclose(memory);
    H5Sclose(to);
}

void hdf5_column_flush(struct hdf5_file *file, struct hdf5_column *column)
{
    hsize_t from[2] = {column->written, 0};
    hsize_t size[2] = {column->written + column->used, column->row};
    if (file->failed != NULL || column->used == 0) {
        return;
    }
    memset(column->chunk + column->used * column->element_bytes, 0,
           (column->room - column->used) * column->element_bytes);
    note(file, H5Dset_extent(column->dataset, size) < 0, "H5Dset_extent");
    if (file->failed == NULL && file->deflate == 0) {
        write_bare(file, column, from);
    } else if (file->failed == NULL) {
        write_filtered(file, column, from);
    }
    column->written += column->used;
    column->used = 0;
}

void hdf5_column_end(struct hdf5_file *file, struct hdf5_column *column)
{
    if (column->chunk != NULL) {
        hdf5_column_flush(file, column);
        hdf5_close_object(file, column->dataset);
    }
    free(column->chunk);
    *column = (struct hdf5_column){.dataset = -1};
}

void hdf5_add_bytes(struct hdf5_file *file, struct hdf5_column *column, const uint8_t *data, uint64_t bytes)
{
    while (bytes > 0 && file->failed == NULL) {
        uint64_t n = column->room - column->used < bytes ? column->room - column->used : bytes;
        memcpy(column->chunk + column->used, data, n);
        column->used += n;
        data += n;
        bytes -= n;
        if (column->used == column->room) {
            hdf5_column_flush(file, column);
        }
    }
}
