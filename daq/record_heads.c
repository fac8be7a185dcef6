/* What each file of a recording is: all of one run, ring by ring, in order of segment and stripe. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daq/record_set.h"

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

void record_found_free(struct record_found *found)
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
            record_found_free(&found);
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

int record_heads_read(struct record_set *set, struct error *err)
{
    int code = read_heads(set, err);
    return code == 0 ? take_lanes(set, err) : code;
}
