/* Opening a recording: its files, all of one run, ring by ring. */
#include "daq/record_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daq/record_set.h"
#include "ring/channel.h"

static void tell_about_file(struct record_set *set, uint32_t i)
{
    struct record_found *found = &set->file[i];
    struct record_trouble what = {.problem = {.ring = found->ring, .path = found->path}};
    if (found->foreign) {
        what.problem.kind = RECORD_PROBLEM_DAMAGED;
        what.problem.bytes = found->file.bytes;
        record_trouble(set, &what, "%s: its header is damaged, or it is something else: nothing of it is used",
                       found->path);
        return;
    }
    if (found->headless) {
        what.problem.kind = RECORD_PROBLEM_NOT_CLOSED;
        record_trouble(set, &what,
                       "%s: it has no header: its recorder was killed before anything was written to it",
                       found->path);
        return;
    }
    what.problem.kind = RECORD_PROBLEM_DAMAGED;
    what.problem.offset = RECORD_ALIGN;
    what.problem.bytes = found->header.description_bytes;
    if (found->description == NULL) {
        record_trouble(set, &what, "%s: its description is damaged; another file's is used", found->path);
    }
    const struct record_found *before = i > 0 ? found - 1 : NULL;
    if (before != NULL && before->ring == found->ring && !before->headless &&
        before->file.segment == found->file.segment && before->file.stripe == found->file.stripe) {
        found->doubled = true;
        what.problem.offset = 0;
        what.problem.bytes = found->file.bytes;
        record_trouble(set, &what, "%s: it is the same segment as %s", found->path, before->path);
    }
}

static int read_blocks(struct record_set *set, struct error *err)
{
    int code = 0;
    for (uint32_t i = 0; code >= 0 && i < set->files; i++) {
        tell_about_file(set, i);
        if (!set->file[i].headless) {
            code = record_scan_blocks(set, &set->file[i], err);
        }
    }
    return code < 0 ? code : record_order(set, err);
}

static char *copy_text(const char *text, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
        copy[bytes] = 0;
    }
    return copy;
}

/* run.json and config.yaml, else what the first file has of them. */
static int read_texts(struct record_set *set, const char *const *paths, unsigned count, struct error *err)
{
    const struct record_ring *ring = &set->lane[0].ring;
    const char *json = (const char *)(ring->stream + ring->header.streams);
    size_t bytes = 0;
    int code = record_paths_text(paths, count, RECORD_RUN_FILE, &set->json, &bytes, err);
    if (code == 0) {
        code = record_paths_text(paths, count, RECORD_CONFIG_FILE, &set->config, &set->config_bytes, err);
    }
    if (code != 0) {
        return code;
    }
    if (set->json == NULL) {
        set->json = copy_text(json, ring->header.json_bytes);
    }
    if (set->config == NULL) {
        set->config_bytes = ring->header.config_bytes;
        set->config = copy_text(json + ring->header.json_bytes, ring->header.config_bytes);
    }
    return set->json != NULL && set->config != NULL ? 0 : error_set(err, -ENOMEM, "no memory for the run's texts");
}

int record_open(struct record_set **set, const char *const *paths, unsigned count, struct error *err)
{
    struct record_set *s = calloc(1, sizeof(*s));
    int code = s != NULL ? 0 : -ENOMEM;
    if (code == 0) {
        s->trouble = calloc(RECORD_PROBLEMS_MAX, sizeof(s->trouble[0]));
        s->piece = malloc(RECORD_PIECE_BYTES);
        code = s->trouble != NULL && s->piece != NULL ? record_paths_find(s, paths, count, err) : -ENOMEM;
    }
    if (code == -ENOMEM) {
        error_set(err, code, "no memory to open a recording with");
    }
    code = code == 0 ? record_heads_read(s, err) : code;
    code = code == 0 ? read_blocks(s, err) : code;
    code = code == 0 ? read_texts(s, paths, count, err) : code;
    if (code != 0) {
        record_close(s);
        return code;
    }
    *set = s;
    return 0;
}

void record_close(struct record_set *set)
{
    if (set == NULL) {
        return;
    }
    for (uint32_t i = 0; i < set->files; i++) {
        record_found_free(&set->file[i]);
    }
    for (uint32_t i = 0; i < set->lanes; i++) {
        free(set->lane[i].place);
        free(set->lane[i].late);
    }
    free(set->file);
    free(set->lane);
    free(set->trouble);
    free(set->piece);
    free(set->json);
    free(set->config);
    free(set);
}

unsigned record_rings(const struct record_set *set)
{
    return set->lanes;
}

const struct record_ring *record_ring(const struct record_set *set, unsigned ring)
{
    return &set->lane[ring].ring;
}

int record_find_ring(const struct record_set *set, const char *name)
{
    for (uint32_t i = 0; i < set->lanes; i++) {
        if (strcmp(set->lane[i].ring.header.ring, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const char *record_json(const struct record_set *set)
{
    return set->json;
}

const char *record_config(const struct record_set *set, size_t *bytes)
{
    *bytes = set->config_bytes;
    return set->config;
}

const struct record_file *record_file(const struct record_set *set, unsigned ring, unsigned index)
{
    const struct record_lane *lane = &set->lane[ring];
    return index < lane->files ? &set->file[lane->first_file + index].file : NULL;
}

double record_value(const struct record_ring *ring, uint32_t channel, const struct sluice_frame *frame)
{
    double value = __builtin_nan("");
    if (channel < ring->header.channels && (frame->flags & SLUICE_FRAME_GAP) == 0) {
        (void)ring_channels_decode(ring->channel, channel, ring->number, frame->payload, frame->length_bytes,
                                   &value);
    }
    return value;
}
