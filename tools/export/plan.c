/* What of the recording was asked for: rings, streams, channels, times. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daq/json_line.h"
#include "ring/clock.h"
#include "tools/export/export.h"
#include "tools/export/number.h"

#define LIST_BYTES 360u

void export_text(char to[EXPORT_TEXT_BYTES], const char *from, size_t bytes)
{
    char text[EXPORT_TEXT_BYTES] = {0};
    size_t used = 0;
    memcpy(text, from, bytes < sizeof(text) ? bytes : sizeof(text) - 1);
    for (size_t i = 0; text[i] != 0;) {
        size_t n = utf8_character(text + i);
        if (n == 0 || (unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            to[used++] = '?';
            i++;
        } else {
            memcpy(to + used, text + i, n);
            used += n;
            i += n;
        }
    }
    to[used] = 0;
}

/* A text that was cut may end within a character. */
static void cut_whole(char *text)
{
    size_t last = strlen(text);
    while (last > 0 && ((unsigned char)text[last - 1] & 0xc0) == 0x80) {
        last--;
    }
    if (last > 0 && utf8_character(text + last - 1) == 0) {
        text[last - 1] = 0;
    }
}

/* A text, or the texts of a list such as the run's notes, a line each. */
static void add_text(const json_t *value, char *to, size_t bytes)
{
    size_t used = strlen(to);
    const json_t *text = json_is_object(value) ? json_object_get(value, "text") : value;
    if (json_is_string(text)) {
        snprintf(to + used, bytes - used, "%s%s", used > 0 ? "\n" : "", json_string_value(text));
        cut_whole(to);
    }
}

void export_metadata(const struct record_set *set, const char *const *keys, char *to, size_t bytes)
{
    json_t *all = json_loads(record_json(set), 0, NULL);
    to[0] = 0;
    for (; *keys != NULL && to[0] == 0; keys++) {
        const json_t *value = json_object_get(all, *keys);
        add_text(value, to, bytes);
        for (size_t i = 0; i < json_array_size(value); i++) {
            add_text(json_array_get(value, i), to, bytes);
        }
    }
    json_decref(all);
}

static bool is_among(const char *const *names, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void list_add(char list[LIST_BYTES], const char *name)
{
    size_t used = strlen(list);
    if (used + strlen(name) + 8 < LIST_BYTES) {
        snprintf(list + used, LIST_BYTES - used, "%s%s", used > 0 ? ", " : "", name);
    } else if (used + 5 < LIST_BYTES && strcmp(list + used - 2, "..") != 0) {
        snprintf(list + used, LIST_BYTES - used, " ..");
    }
}

/* Where the kernel did not know, the wall clock of the time when the file was begun says it: two clocks are not
 * read at one instant, so that a millisecond beside a whole second is that second. */
static int64_t utc_offset_of(const struct record_file_header *header)
{
    const int64_t second = (int64_t)CLOCK_NS_PER_S;
    if (header->utc_offset_s != 0) {
        return header->utc_offset_s * second;
    }
    int64_t ns = (int64_t)(header->opened_tai_ns - header->opened_utc_ns);
    int64_t near = (ns + (ns < 0 ? -second / 2 : second / 2)) / second * second;
    int64_t off = ns > near ? ns - near : near - ns;
    return off < (int64_t)CLOCK_NS_PER_MS ? near : ns;
}

static void take_channels(struct export_ring *ring, const struct export_options *o)
{
    for (uint32_t i = 0; i < ring->is->header.channels; i++) {
        const struct ring_channel *from = &ring->is->channel[i];
        struct export_channel *to = &ring->channel[ring->channels];
        export_text(to->name, from->name, sizeof(from->name));
        export_text(to->unit, from->unit, sizeof(from->unit));
        to->index = i;
        ring->channels += o->channels == 0 || is_among(o->channel, o->channels, to->name);
        if (ring->channels == RING_CHANNELS_MAX) {
            return;
        }
    }
}

/* -1: none of that name. */
static int find_stream(const struct record_ring *ring, const char *name)
{
    for (uint32_t i = 0; i < ring->header.streams; i++) {
        char text[EXPORT_TEXT_BYTES];
        export_text(text, ring->stream[i].name, sizeof(ring->stream[i].name));
        if (strcmp(text, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* True: this ring is wanted. */
static bool take_ring(struct export_ring *to, const struct record_set *set, uint32_t index,
                      const struct export_ops *ops, const struct export_options *o)
{
    *to = (struct export_ring){.index = index, .is = record_ring(set, index), .stream = -1};
    export_text(to->name, to->is->header.ring, sizeof(to->is->header.ring));
    to->utc_offset_ns = utc_offset_of(&to->is->header);
    if (o->rings > 0 && !is_among(o->ring, o->rings, to->name)) {
        return false;
    }
    take_channels(to, o);
    if ((o->channels > 0 || ops->channels_needed) && to->channels == 0) {
        return false;
    }
    to->stream = o->stream != NULL ? find_stream(to->is, o->stream) : -1;
    return o->stream == NULL || to->stream >= 0;
}

/* Names that nothing has. */
static int check_rings(const struct record_set *set, const struct export_options *o, struct error *err)
{
    for (unsigned i = 0; i < o->rings; i++) {
        char list[LIST_BYTES] = "";
        bool found = false;
        for (unsigned r = 0; r < record_rings(set); r++) {
            char name[EXPORT_TEXT_BYTES];
            export_text(name, record_ring(set, r)->header.ring, RING_NAME_BYTES);
            found = found || strcmp(name, o->ring[i]) == 0;
            list_add(list, name);
        }
        if (!found) {
            return error_set(err, -EINVAL, "--ring: there is no ring '%s' in the recording; there are %s",
                             o->ring[i], list);
        }
    }
    return 0;
}

static int check_channels(const struct record_set *set, const struct export_options *o, struct error *err)
{
    for (unsigned k = 0; k < o->channels; k++) {
        char list[LIST_BYTES] = "";
        bool found = false;
        for (unsigned r = 0; r < record_rings(set); r++) {
            const struct record_ring *ring = record_ring(set, r);
            for (uint32_t i = 0; i < ring->header.channels; i++) {
                char name[EXPORT_TEXT_BYTES];
                export_text(name, ring->channel[i].name, sizeof(ring->channel[i].name));
                found = found || strcmp(name, o->channel[k]) == 0;
                list_add(list, name);
            }
        }
        if (!found) {
            return error_set(err, -EINVAL, "--channel: there is no channel '%s' in the recording; there are %s",
                             o->channel[k], list[0] != 0 ? list : "none");
        }
    }
    return 0;
}

static int check_stream(const struct record_set *set, const struct export_options *o, struct error *err)
{
    char list[LIST_BYTES] = "";
    for (unsigned r = 0; o->stream != NULL && r < record_rings(set); r++) {
        const struct record_ring *ring = record_ring(set, r);
        if (find_stream(ring, o->stream) >= 0) {
            return 0;
        }
        for (uint32_t i = 0; i < ring->header.streams; i++) {
            char name[EXPORT_TEXT_BYTES];
            export_text(name, ring->stream[i].name, sizeof(ring->stream[i].name));
            list_add(list, name);
        }
    }
    return o->stream == NULL
               ? 0
               : error_set(err, -EINVAL, "--stream: there is no stream '%s' in the recording; there are %s",
                           o->stream, list);
}

static int check_count(const struct export_plan *plan, const struct export_ops *ops, struct error *err)
{
    char list[LIST_BYTES] = "";
    if (plan->rings == 0) {
        return error_set(err, -EINVAL,
                         "%s: nothing in the recording is both of the rings, streams and channels "
                         "that were asked for%s",
                         ops->name, ops->channels_needed ? ", and has channels: take raw, pcapng or hdf5" : "");
    }
    for (uint32_t i = 0; i < plan->rings; i++) {
        list_add(list, plan->ring[i].name);
    }
    if (plan->rings > 1 && ops->one_ring) {
        return error_set(err, -EINVAL, "%s holds one ring; choose by --ring one of %s", ops->name, list);
    }
    const struct export_ring *ring = &plan->ring[0];
    if (ops->one_stream && ring->stream < 0 && ring->is->header.streams > 1) {
        return error_set(err, -EINVAL, "%s holds one stream; ring %s has %u: choose by --stream", ops->name,
                         ring->name, ring->is->header.streams);
    }
    return 0;
}

/* A time of the command line as TAI. */
static int take_time(const struct export_plan *plan, const char *option, const char *text, uint64_t *tai_ns,
                     struct error *err)
{
    uint64_t ns;
    switch (time_parse(text, &ns)) {
    case TIME_IS_FROM_BEGIN:
        *tai_ns = plan->begin_tai_ns + ns;
        return 0;
    case TIME_IS_UTC:
        *tai_ns = ns + (uint64_t)plan->ring[0].utc_offset_ns;
        return 0;
    case TIME_IS_TAI:
        *tai_ns = ns;
        return 0;
    default:
        return error_set(err, -EINVAL,
                         "%s: expected seconds from the begin such as 12.5, UTC such as "
                         "2026-11-26T14:30:00.123456789Z, or TAI ns such as @1795703437000000000, found '%s'",
                         option, text);
    }
}

static int take_slice(struct export_plan *plan, const struct export_options *o, struct error *err)
{
    for (unsigned i = 0; i < record_rings(plan->set); i++) {
        uint64_t first = record_ring(plan->set, i)->first_tai_ns;
        if (first != 0 && (plan->begin_tai_ns == 0 || first < plan->begin_tai_ns)) {
            plan->begin_tai_ns = first;
        }
    }
    plan->to_tai_ns = UINT64_MAX;
    int code = o->from != NULL ? take_time(plan, "--from", o->from, &plan->from_tai_ns, err) : 0;
    if (code == 0 && o->to != NULL) {
        code = take_time(plan, "--to", o->to, &plan->to_tai_ns, err);
    }
    if (code == 0 && plan->to_tai_ns <= plan->from_tai_ns) {
        return error_set(err, -EINVAL, "--to: expected a time behind --from, found one that is not");
    }
    return code;
}

int export_plan_make(struct export_plan *plan, struct record_set *set, const struct export_ops *ops,
                     const struct export_options *options, struct error *err)
{
    *plan = (struct export_plan){.options = options, .set = set};
    if (options->channels > 0 && !ops->channels) {
        return error_set(err, -EINVAL, "--channel: %s holds whole frames; hdf5, mcap and csv hold channels",
                         ops->name);
    }
    int code = check_rings(set, options, err);
    code = code != 0 ? code : check_channels(set, options, err);
    code = code != 0 ? code : check_stream(set, options, err);
    if (code != 0) {
        return code;
    }
    plan->ring = calloc(record_rings(set) + 1, sizeof(plan->ring[0]));
    if (plan->ring == NULL) {
        return error_set(err, -ENOMEM, "expected memory for %u rings, got none", record_rings(set));
    }
    for (uint32_t i = 0; i < record_rings(set); i++) {
        plan->rings += take_ring(&plan->ring[plan->rings], set, i, ops, options);
    }
    code = check_count(plan, ops, err);
    return code != 0 ? code : take_slice(plan, options, err);
}

void export_plan_free(struct export_plan *plan)
{
    free(plan->ring);
    plan->ring = NULL;
}
