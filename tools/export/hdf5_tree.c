#include "tools/export/hdf5_tree.h"

#include <inttypes.h>
#include <stdio.h>

#include "ring/calibration.h"
#include "ring/channel.h"
#include "ring/ledger.h"
#include "tools/export/number.h"

#define NAME_BYTES (EXPORT_TEXT_BYTES + 16)

/* A name as HDF5 takes it: no '/', not '.' alone; and none that the tree has for its own, which gets a '_'. */
static void link_name(char to[NAME_BYTES], const char *name, const char *const *own)
{
    snprintf(to, NAME_BYTES, "%s", name[0] != 0 && strcmp(name, ".") != 0 ? name : "_");
    for (char *at = to; *at != 0; at++) {
        if (*at == '/') {
            *at = '_';
        }
    }
    for (; *own != NULL; own++) {
        if (strcmp(*own, to) == 0) {
            strcat(to, "_"); /* NAME_BYTES has room for it */
            return;
        }
    }
}

static void put_user(struct hdf5 *h)
{
    static const char *const names[] = {"operator", NULL};
    char text[512];
    export_metadata(h->plan->set, names, text, sizeof(text));
    if (text[0] != 0) {
        hid_t user = hdf5_group(&h->file, h->entry, "user", "NXuser");
        hdf5_text(&h->file, user, "name", text);
        hdf5_close_object(&h->file, user);
    }
}

static void put_metadata(struct hdf5 *h, const char *name, const char *const *keys)
{
    char text[4096];
    export_metadata(h->plan->set, keys, text, sizeof(text));
    if (text[0] != 0) {
        hdf5_text(&h->file, h->entry, name, text);
    }
}

void hdf5_tree_begin(struct hdf5 *h)
{
    static const char *const title[] = {"title", "test_id", "name", NULL};
    static const char *const id[] = {"test_id", NULL};
    static const char *const notes[] = {"notes", NULL};
    struct hdf5_file *f = &h->file;
    size_t bytes;
    hdf5_attribute_text(f, f->file, "NX_class", "NXroot");
    hdf5_attribute_text(f, f->file, "default", "entry");
    hdf5_attribute_text(f, f->file, "creator", "sluice " SLUICE_VERSION);
    h->entry = hdf5_group(f, f->file, "entry", "NXentry");
    put_metadata(h, "title", title);
    put_metadata(h, "experiment_identifier", id);
    put_metadata(h, "experiment_description", notes);
    put_user(h);
    hid_t own = hdf5_group(f, h->entry, "sluice", "NXcollection");
    hdf5_text(f, own, "config", record_config(h->plan->set, &bytes));
    hdf5_text(f, own, "metadata", record_json(h->plan->set));
    hdf5_close_object(f, own);
}

static void put_ledger(struct hdf5 *h)
{
    const struct ring_ledger *ledger = &h->ring->is->ledger;
    struct hdf5_file *f = &h->file;
    char name[64];
    hid_t group = hdf5_group(f, h->ring_group, "ledger", "NXcollection");
    hdf5_attribute_count(f, group, "sent", ledger->sent);
    hdf5_attribute_count(f, group, "delivered", ledger->delivered);
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        snprintf(name, sizeof(name), "lost_%s", ring_loss_name(i));
        hdf5_attribute_count(f, group, name, ledger->lost[i]);
    }
    hdf5_attribute_count(f, group, "duplicated", ledger->duplicated);
    hdf5_attribute_count(f, group, "reordered", ledger->reordered);
    hdf5_attribute_signed(f, group, "residual", ring_ledger_residual(ledger));
    hdf5_attribute_text(f, group, "of", "the ring, when the recording ended, whatever slice was exported");
    for (uint32_t i = RECORD_CAUSE_NONE + 1; i < RECORD_CAUSES; i++) {
        snprintf(name, sizeof(name), "not_recorded_%s", record_cause_name(i));
        hdf5_attribute_count(f, group, name, h->ring->is->missing[i]);
    }
    hdf5_close_object(f, group);
}

void hdf5_tree_ring(struct hdf5 *h)
{
    static const char *const own[] = {
        "sluice", "user", "title", "start_time", "end_time", "experiment_identifier", "experiment_description",
        NULL};
    struct hdf5_file *f = &h->file;
    const struct record_file_header *header = &h->ring->is->header;
    char name[NAME_BYTES];
    char text[EXPORT_TEXT_BYTES];
    link_name(name, h->ring->name, own);
    h->ring_group = hdf5_group(f, h->entry, name, "NXcollection");
    export_text(text, header->instance, sizeof(header->instance));
    hdf5_attribute_text(f, h->ring_group, "ring", h->ring->name);
    hdf5_attribute_text(f, h->ring_group, "instance", text);
    for (uint32_t i = 0; i < header->streams; i++) {
        char attribute[32];
        export_text(text, h->ring->is->stream[i].name, RING_NAME_BYTES);
        snprintf(attribute, sizeof(attribute), "stream_%u", i);
        hdf5_attribute_text(f, h->ring_group, attribute, text);
    }
    put_ledger(h);
}

void hdf5_tree_axes(struct hdf5 *h, uint64_t rows)
{
    struct hdf5_file *f = &h->file;
    if (hdf5_column_begin(f, &h->time, h->ring_group, "time", H5T_STD_U64LE, 0, rows)) {
        hid_t at = h->time.dataset;
        hdf5_attribute_text(f, at, "units", "ns");
        hdf5_attribute_text(f, at, "start", "1970-01-01T00:00:00");
        hdf5_attribute_text(f, at, "epoch", "1970-01-01T00:00:00 TAI");
        hdf5_attribute_text(f, at, "timescale", "TAI");
        const double offset_s = (double)h->ring->utc_offset_ns / 1e9;
        hdf5_attribute_reals(f, at, "utc_offset_s", &offset_s, 1);
        hdf5_attribute_text(f, at, "long_name", "UTC = time - utc_offset_s");
    }
    hdf5_column_begin(f, &h->position, h->ring_group, "position", H5T_STD_U64LE, 0, rows);
    hdf5_column_begin(f, &h->sequence, h->ring_group, "source_sequence", H5T_STD_U64LE, 0, rows);
    if (h->has_stream) {
        hdf5_column_begin(f, &h->stream, h->ring_group, "stream", H5T_STD_U16LE, 0, rows);
    }
}

/* The raw value's type as it lies in the frame. */
static hid_t raw_type(const struct ring_channel *channel)
{
    const hid_t little[RING_TYPES] = {H5T_STD_U8LE,  H5T_STD_I8LE,   H5T_STD_U8LE,  H5T_STD_I16LE,
                                      H5T_STD_U16LE, H5T_STD_I32LE,  H5T_STD_U32LE, H5T_STD_I64LE,
                                      H5T_STD_U64LE, H5T_IEEE_F32LE, H5T_IEEE_F64LE};
    const hid_t big[RING_TYPES] = {H5T_STD_U8BE,  H5T_STD_I8BE,   H5T_STD_U8BE,  H5T_STD_I16BE,
                                   H5T_STD_U16BE, H5T_STD_I32BE,  H5T_STD_U32BE, H5T_STD_I64BE,
                                   H5T_STD_U64BE, H5T_IEEE_F32BE, H5T_IEEE_F64BE};
    uint32_t type = channel->type < RING_TYPES ? channel->type : 0;
    return channel->byte_order == RING_BIG_ENDIAN ? big[type] : little[type];
}

/* The calibration in words, as in "value = c0 + c1 x + .., x = raw * 0.1 + 0". */
static void put_calibration(struct hdf5 *h, hid_t at, const struct ring_channel *channel)
{
    static const char *const words[RING_CALIBRATIONS] = {
        "value = x", "value = c0 + c1 x + c2 x^2 ..; numbers: c0, c1 ..",
        "straight between points; numbers: x, y, x, y ..",
        "degC of a thermocouple from x in mV; numbers: its cold junction in degC, if it was not measured",
        "value = 10^(slope x + intercept); numbers: slope, intercept"};
    static const char *const couples[RING_THERMOCOUPLES] = {"", "J", "K", "N", "T"};
    char text[256];
    const struct record_ring *is = h->ring->is;
    const char *bits = channel->bits != 0 ? ", raw: bits of the word from shift on" : "";
    snprintf(text, sizeof(text), "%s: %s, x = raw * scale + offset%s", calibration_name(channel->calibration),
             words[channel->calibration < RING_CALIBRATIONS ? channel->calibration : 0], bits);
    hdf5_attribute_text(&h->file, at, "calibration", text);
    if (channel->numbers > 0) {
        hdf5_attribute_reals(&h->file, at, "calibration_numbers", is->number + channel->first_number,
                             channel->numbers);
    }
    if (channel->thermocouple != RING_THERMOCOUPLE_NONE && channel->thermocouple < RING_THERMOCOUPLES) {
        hdf5_attribute_text(&h->file, at, "thermocouple", couples[channel->thermocouple]);
    }
    if (channel->reference != 0 && channel->reference <= is->header.channels) {
        export_text(text, is->channel[channel->reference - 1].name, RING_NAME_BYTES);
        hdf5_attribute_text(&h->file, at, "cold_junction", text);
    }
}

void hdf5_tree_channel(struct hdf5 *h, uint32_t channel, uint64_t rows)
{
    static const char *const own[] = {"time", "position", "source_sequence", "stream",
                                      "gaps", "ledger",   "frames",          NULL};
    const struct export_channel *asked = &h->ring->channel[channel];
    const struct ring_channel *is = &h->ring->is->channel[asked->index];
    struct hdf5_file *f = &h->file;
    char name[NAME_BYTES];
    link_name(name, asked->name, own);
    hid_t group = hdf5_group(f, h->ring_group, name, "NXlog");
    hdf5_attribute_text(f, group, "signal", "value");
    hdf5_attribute_text(f, group, "axes", "time");
    hdf5_link(f, h->ring_group, "time", group, "time");
    if (hdf5_column_begin(f, &h->value[channel], group, "value", H5T_IEEE_F64LE, 0, rows)) {
        hid_t at = h->value[channel].dataset;
        hdf5_attribute_text(f, at, "units", asked->unit);
        hdf5_attribute_text(f, at, "long_name", asked->name);
        hdf5_attribute_reals(f, at, "scale", &is->scale, 1);
        hdf5_attribute_reals(f, at, "offset", &is->offset, 1);
        hdf5_attribute_reals(f, at, "range_low", &is->range_low, 1);
        hdf5_attribute_reals(f, at, "range_high", &is->range_high, 1);
        put_calibration(h, at, is);
    }
    if (hdf5_column_begin(f, &h->raw[channel], group, "raw", raw_type(is), 0, rows)) {
        hid_t at = h->raw[channel].dataset;
        hdf5_attribute_count(f, at, "at_byte", is->at_byte);
        hdf5_attribute_text(f, at, "byte_order", is->byte_order == RING_BIG_ENDIAN ? "big" : "little");
        hdf5_attribute_text(f, at, "type", ring_type_name(is->type));
        hdf5_attribute_count(f, at, "bits", is->bits);
        hdf5_attribute_count(f, at, "shift", is->shift);
    }
    hdf5_close_object(f, group);
}

void hdf5_tree_frames(struct hdf5 *h, uint64_t rows, uint64_t index_rows)
{
    struct hdf5_file *f = &h->file;
    hid_t group = hdf5_group(f, h->ring_group, "frames", "NXcollection");
    hdf5_link(f, h->ring_group, "time", group, "time");
    hdf5_column_begin(f, &h->data, group, "data", H5T_STD_U8LE, h->row_bytes, rows);
    if (h->row_bytes == 0) {
        hdf5_column_begin(f, &h->offset, group, "offset", H5T_STD_U64LE, 0, index_rows);
    }
    hdf5_column_begin(f, &h->length, group, "length", H5T_STD_U32LE, 0, index_rows);
    hdf5_close_object(f, group);
}

void hdf5_tree_gaps(struct hdf5 *h, uint64_t rows)
{
    static const struct {
        const char *name;
        size_t offset;
    } counts[] = {{"from_position", offsetof(struct hdf5_gap, from_position)},
                  {"to_position", offsetof(struct hdf5_gap, to_position)},
                  {"count", offsetof(struct hdf5_gap, count)},
                  {"tai_ns", offsetof(struct hdf5_gap, tai_ns)}};
    hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, sizeof(((struct hdf5_gap *)0)->cause));
    h->gap_type = H5Tcreate(H5T_COMPOUND, sizeof(struct hdf5_gap));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        H5Tinsert(h->gap_type, counts[i].name, counts[i].offset, H5T_STD_U64LE);
    }
    H5Tinsert(h->gap_type, "cause", offsetof(struct hdf5_gap, cause), text);
    H5Tinsert(h->gap_type, "told_by", offsetof(struct hdf5_gap, told_by), text);
    H5Tclose(text);
    if (hdf5_column_begin(&h->file, &h->gaps, h->ring_group, "gaps", h->gap_type, 0, rows)) {
        hdf5_attribute_text(
            &h->file, h->gaps.dataset, "long_name",
            "what is missing: told by the ring's records, by frames (lost before this one), or by the "
            "recorder; records and frames may tell of the same loss, the ledger has the sum");
    }
}

void hdf5_tree_ring_end(struct hdf5 *h)
{
    struct hdf5_column *all[] = {&h->time, &h->position, &h->sequence, &h->stream,
                                 &h->data, &h->offset,   &h->length,   &h->gaps};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        hdf5_column_end(&h->file, all[i]);
    }
    for (uint32_t i = 0; i < RING_CHANNELS_MAX; i++) {
        hdf5_column_end(&h->file, &h->value[i]);
        hdf5_column_end(&h->file, &h->raw[i]);
    }
    if (h->gap_type > 0) {
        H5Tclose(h->gap_type);
    }
    h->gap_type = 0;
    hdf5_close_object(&h->file, h->ring_group);
    h->ring_group = -1;
}

void hdf5_tree_end(struct hdf5 *h, const struct export_counts *all)
{
    const struct export_ring *ring = &h->plan->ring[0];
    char text[TIME_TEXT_BYTES];
    if (all->first_tai_ns != 0) {
        time_text(all->first_tai_ns - (uint64_t)ring->utc_offset_ns, text);
        hdf5_text(&h->file, h->entry, "start_time", text);
        time_text(all->last_tai_ns - (uint64_t)ring->utc_offset_ns, text);
        hdf5_text(&h->file, h->entry, "end_time", text);
    }
    hdf5_close_object(&h->file, h->entry);
    h->entry = -1;
}
