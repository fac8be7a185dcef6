/* Inputs of a comedi card: what a scan of them looks like. */
#include <linux/comedi.h>
#include <math.h>

#include "daq/compile.h"

#define INPUT_MOST   65535u
#define RANGE_MOST   255u
#define SCAN_HZ_LOW  0.25 /* a period of 32 bits in ns */
#define SCAN_HZ_HIGH 1e7

static void compile_inputs(struct compile *c, uint32_t i, const struct config_source *from, struct comedi_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    if (from->inputs_count == 0) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].inputs", i),
                        "expected the inputs of a scan in their order, such as [{input: 0, range_index: 0}], found "
                        "none");
    }
    for (uint32_t n = 0; n < from->inputs_count && n < PLAN_INPUTS_MAX; n++) {
        const struct config_input *input = &from->inputs[n];
        if (input->input > INPUT_MOST) {
            config_complain(c->file, c->errors, compile_path(path, "sources[%u].inputs[%u].input", i, n),
                            "expected 0 to %u, found %u", INPUT_MOST, input->input);
        }
        uint32_t range =
            (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].inputs[%u].range_index", i, n),
                                      input->range_index, 0, 0, RANGE_MOST, "");
        uint32_t reference = input->reference != NULL ? (uint32_t)*input->reference : AREF_GROUND;
        to->input[n] = CR_PACK(input->input & INPUT_MOST, range, reference);
        to->inputs++;
    }
}

void compile_comedi(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct comedi_plan *comedi = &to->comedi;
    compile_string(c, i, "device", from->device, comedi->device, sizeof(comedi->device), "a comedi card");
    comedi->subdevice = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].subdevice", i),
                                                  from->subdevice, 0, 0, 255, "");
    compile_inputs(c, i, from, comedi);
    uint32_t bits = from->sample_bits != NULL ? *from->sample_bits : 16;
    if (bits != 16 && bits != 32) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].sample_bits", i),
                        "expected 16 or 32, found %u", bits);
    }
    comedi->sample_bytes = bits == 32 ? 4 : 2;
    to->frame_bytes = comedi->inputs * comedi->sample_bytes;
    if (to->kind == SOURCE_COMEDI_POLLED) {
        return;
    }
    comedi->length = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].buffer_length", i),
                                               from->buffer_length, 0, 2, 1048576, "scans");
    comedi->scan_hz = from->scan_hz != NULL ? *from->scan_hz : 0;
    if (!isfinite(comedi->scan_hz) || comedi->scan_hz < SCAN_HZ_LOW || comedi->scan_hz > SCAN_HZ_HIGH) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].scan_hz", i),
                        "expected %g to %g scans/s, found %s%g; a card without a clock is polled (kind "
                        "comedi_polled)",
                        SCAN_HZ_LOW, SCAN_HZ_HIGH, from->scan_hz != NULL ? "" : "nothing, that is ",
                        comedi->scan_hz);
    }
    to->framing = (struct framing_plan){.kind = FRAMING_FIXED};
}

void compile_comedi_channel(struct compile *c, const char *where, const struct source_plan *source,
                            const struct config_channel *from, uint32_t place, struct ring_channel *to)
{
    uint32_t field = from->field != NULL ? *from->field : place;
    if (from->at_byte != NULL || from->type != NULL || from->byte_order != NULL || from->scan != NULL) {
        config_complain(c->file, c->errors, where,
                        "a channel of a comedi card has a field, which of the inputs it is; no at_byte, type, "
                        "byte_order or scan");
    }
    if (field >= source->comedi.inputs) {
        config_complain(c->file, c->errors, where, "field %u lies beyond the %u inputs (counted from 0)", field,
                        source->comedi.inputs);
        field = 0;
    }
    to->at_byte = field * source->comedi.sample_bytes;
    to->type = source->comedi.sample_bytes == 4 ? RING_TYPE_U32 : RING_TYPE_U16;
    to->byte_order = RING_LITTLE_ENDIAN;
}
