/* Opening a recording: its files, all of one run, ring by ring. */
#include "daq/record_read.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daq/record_set.h"
#include "ring/channel.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* By ring, segment, stripe; files without a header last. */
static int compare_files(const void *a, const void *b)
{
    const struct record_found *x = a;
    const struct record_found *y = b;
    if (x->headless != y->headless) {
        return x->headless ? 1 : -1;
    }
    int order = strcmp(x->header.ring, y->header.ring);
    if (order == 0 && x->file.segment != y->file.segment) {
        order = x->file.segment < y->file.segment ? -1 : 1;
    }
    if (order == 0 && x->file.stripe != y->file.stripe) {
        order = x->file.stripe < y->file.stripe ? -1 : 1;
    }
    return order != 0 ? order : strcmp(x->path, y->path);
}

static void found_free(struct record_found *found)
{
    free(found->path);
    free(found->index);
    free(found->note);
    free(found->torn);
    free(found->description);
    free(found->told);
}

static bool is_there(const struct record_set *set, uint32_t before, const struct record_found *found)
{
    for (uint32_t i = 0; i < before; i++) {
        if (set->file[i].device == found->device && set->file[i].inode == found->inode) {
            return true;
        }
    }
    return false;
}

/* A number in a file's name, digits up to one of `.`. */
static bool take_number(const char **at, uint32_t *number)
{
    char *end;
    errno = 0;
    unsigned long n = **at >= '0' && **at <= '9' ? strtoul(*at, &end, 10) : ULONG_MAX;
    if (n > UINT32_MAX || errno != 0 || *end != '.') {
        return false;
    }
    *number = (uint32_t)n;
    *at = end + 1;
    return true;
}

/* "RING.000003.slr", "RING.000003.1.slr": which ring, segment and stripe a file without a header was to be. */
static bool is_named_after(struct record_found *found, const char *ring)
{
    const char *at = base_name(found->path);
    size_t length = strlen(ring);
    if (strncmp(at, ring, length) != 0 || at[length] != '.') {
        return false;
    }
    at += length + 1;
    found->file.segment = 0;
    found->file.stripe = 0;
    return take_number(&at, &found->file.segment) &&
           (strcmp(at, &RECORD_SUFFIX[1]) == 0 || take_number(&at, &found->file.stripe));
}

/* What stands among a run's files without being one: its blocks are lost, the others are not. */
static bool may_be_passed_over(const struct record_found *found, int head)
{
    bool newer = found->header.magic == RECORD_MAGIC && found->header.version > RECORD_VERSION;
    return head == -EPROTO && found->listed && !newer;
}

/* What one file is. 0: one of the run's; 1: nothing can be read from it; -errno. */
static int read_head(struct record_set *set, struct record_found *found, uint32_t good, struct error *err)
{
    struct error why = {{0}};
    int head = record_scan_head(found, &why);
    if (may_be_passed_over(found, head)) {
        found->foreign = true;
        head = 1;
    }
    if (head != 0) {
        memset(&found->header, 0, sizeof(found->header));
        found->headless = true;
        if (why.text[0] != 0) {
            error_set(err, 0, "%s", why.text);
        }
        return head;
    }
    if (good == 0) {
        memcpy(set->run, found->header.run, RECORD_RUN_BYTES);
    } else if (memcmp(set->run, found->header.run, RECORD_RUN_BYTES) != 0) {
        return error_set(err, -EINVAL, "expected files of one run, found another run's: %s; name one run",
                         found->path);
    }
    return 0;
}

/* Those that are there twice are left out. */
static int read_heads(struct record_set *set, struct error *err)
{
    struct error why = {{0}};
    uint32_t kept = 0;
    uint32_t good = 0;
    int code = 0;
    for (uint32_t i = 0; i < set->files; i++) {
        struct record_found found = set->file[i];
        int head = code == 0 ? read_head(set, &found, good, &why) : 0;
        code = head < 0 ? error_set(err, head, "%s", why.text) : code;
        if (code == 0 && set->several && is_there(set, kept, &found)) {
            found_free(&found);
            continue;
        }
        good += head == 0;
        set->file[kept++] = found;
    }
    set->files = kept;
    if (code == 0 && good == 0) {
        code = error_set(err, -EPROTO, "%s", why.text);
        if (why.text[0] == 0) {
            error_set(err, code,
                      "%s: expected a recording, found a file without a header: its recorder was killed before "
                      "anything was recorded",
                      set->file[0].path);
        }
    }
    return code;
}

static bool fits(const struct record_file_header *a, const struct record_file_header *b)
{
    return a->stripes == b->stripes && a->slot_bytes == b->slot_bytes && a->payload_offset == b->payload_offset &&
           a->payload_bytes == b->payload_bytes && a->channels == b->channels && a->streams == b->streams;
}

static uint32_t count_rings(const struct record_set *set, uint32_t good)
{
    uint32_t rings = 0;
    for (uint32_t i = 0; i < good; i++) {
        rings += i == 0 || strcmp(set->file[i - 1].header.ring, set->file[i].header.ring) != 0;
    }
    return rings;
}

/* The ring's name as it begins its files' names, for those that have no header. */
static void place_headless(struct record_set *set, uint32_t good)
{
    for (uint32_t i = good; i < set->files; i++) {
        for (uint32_t k = 0; k < good; k++) {
            if (is_named_after(&set->file[i], set->file[k].header.ring)) {
                memcpy(set->file[i].header.ring, set->file[k].header.ring, RING_NAME_BYTES);
                break;
            }
        }
        if (set->file[i].header.ring[0] == 0) {
            memcpy(set->file[i].header.ring, set->file[0].header.ring, RING_NAME_BYTES);
        }
        set->file[i].headless = false; /* to be sorted in */
        set->file[i].header.magic = 0;
    }
    qsort(set->file, set->files, sizeof(set->file[0]), compare_files);
    for (uint32_t i = 0; i < set->files; i++) {
        set->file[i].headless = set->file[i].header.magic == 0;
    }
}

static int describe(struct record_lane *lane, const struct record_found *found, struct error *err)
{
    struct record_ring *ring = &lane->ring;
    ring->header = found->header;
    if (found->description == NULL) {
        return error_set(err, -EPROTO, "%s: the description of ring %s is damaged, and no other file has it",
                         found->path, ring->header.ring);
    }
    ring->channel = (const struct ring_channel *)(const void *)found->description;
    ring->number = (const double *)(const void *)(ring->channel + ring->header.channels);
    ring->stream = (const struct ring_stream *)(const void *)(ring->number + ring->header.numbers);
    return 0;
}

/* The files lane->first_file .. of one ring. */
static int take_lane(struct record_set *set, struct record_lane *lane, struct error *err)
{
    const struct record_found *first = NULL;
    const struct record_found *described = NULL;
    for (uint32_t i = lane->first_file; i < lane->first_file + lane->files; i++) {
        struct record_found *found = &set->file[i];
        lane->ring.files++;
        lane->ring.file_bytes += found->file.bytes;
        if (found->headless) {
            continue;
        }
        first = first != NULL ? first : found;
        described = described == NULL && found->description != NULL ? found : described;
        if (!fits(&first->header, &found->header)) {
            return error_set(err, -EPROTO, "%s: expected the same ring as in %s, found other slots or channels",
                             found->path, first->path);
        }
    }
    int code = first != NULL ? describe(lane, described != NULL ? described : first, err) : -EPROTO;
    if (code == 0) {
        lane->ring.header.first_position = first->header.first_position;
    }
    return code;
}

static int take_lanes(struct record_set *set, struct error *err)
{
    uint32_t good = 0;
    qsort(set->file, set->files, sizeof(set->file[0]), compare_files);
    while (good < set->files && !set->file[good].headless) {
        good++;
    }
    uint32_t rings = count_rings(set, good);
    set->lane = calloc(rings, sizeof(set->lane[0]));
    if (set->lane == NULL) {
        return error_set(err, -ENOMEM, "no memory for %u rings", rings);
    }
    place_headless(set, good);
    int code = 0;
    for (uint32_t i = 0; i < set->files; i++) {
        if (i == 0 || strcmp(set->file[i - 1].header.ring, set->file[i].header.ring) != 0) {
            set->lane[set->lanes++].first_file = i;
        }
        set->lane[set->lanes - 1].files++;
        set->file[i].ring = set->lanes - 1;
    }
    for (uint32_t i = 0; code == 0 && i < set->lanes; i++) {
        code = take_lane(set, &set->lane[i], err);
    }
    return code;
}

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
    code = code == 0 ? read_heads(s, err) : code;
    code = code == 0 ? take_lanes(s, err) : code;
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
        found_free(&set->file[i]);
    }
    for (uint32_t i = 0; i < set->lanes; i++) {
        free(set->lane[i].place);
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
