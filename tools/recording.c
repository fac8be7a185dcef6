#include "tools/recording.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ring/clock.h"

int64_t recording_utc_offset_ns(const struct record_file_header *header)
{
    if (header->utc_offset_s != 0) {
        return (int64_t)header->utc_offset_s * (int64_t)CLOCK_NS_PER_S;
    }
    return (int64_t)(header->opened_tai_ns - header->opened_utc_ns);
}

void recording_time(const struct record_file_header *header, uint64_t tai_ns, char text[RECORDING_TIME_BYTES])
{
    struct tm tm;
    uint64_t utc_ns = tai_ns - (uint64_t)recording_utc_offset_ns(header);
    time_t s = (time_t)(utc_ns / CLOCK_NS_PER_S);
    if (tai_ns == 0 || gmtime_r(&s, &tm) == NULL) {
        snprintf(text, RECORDING_TIME_BYTES, "-");
        return;
    }
    size_t n = strftime(text, RECORDING_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, RECORDING_TIME_BYTES - n, ".%09uZ", (unsigned)(utc_ns % CLOCK_NS_PER_S));
}

void recording_size(uint64_t bytes, char text[RECORDING_SIZE_BYTES])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 999.5 && unit < 6) {
        value /= 1000;
        unit++;
    }
    snprintf(text, RECORDING_SIZE_BYTES, unit == 0 ? "%.0f %s" : "%.3g %s", value, units[unit]);
}

void recording_progress_begin(struct recording_progress *progress)
{
    *progress = (struct recording_progress){.shown = isatty(STDERR_FILENO) == 1};
}

bool recording_progress(void *context, uint64_t bytes, uint64_t of)
{
    struct recording_progress *progress = context;
    uint64_t now_ns = clock_monotonic_ns();
    if (progress->shown && (now_ns - progress->last_ns > 200 * CLOCK_NS_PER_MS || bytes == of)) {
        char done[RECORDING_SIZE_BYTES];
        char all[RECORDING_SIZE_BYTES];
        recording_size(bytes, done);
        recording_size(of, all);
        fprintf(stderr, "\rchecked %s of %s (%.0f %%)   %s", done, all,
                of > 0 ? 100.0 * (double)bytes / (double)of : 100.0, bytes == of ? "\n" : "");
        progress->last_ns = now_ns;
    }
    return true;
}

uint64_t recording_unaccounted(const struct record_ring *ring)
{
    return ring->missing[RECORD_CAUSE_UNKNOWN] + ring->missing[RECORD_CAUSE_DAMAGED];
}

uint64_t recording_missing(const struct record_ring *ring)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < RECORD_CAUSES; i++) {
        sum += i != RECORD_CAUSE_DECIMATED ? ring->missing[i] : 0;
    }
    return sum;
}

const char *recording_problem_name(enum record_problem_kind kind)
{
    static const char *const names[] = {
        [RECORD_PROBLEM_NOT_CLOSED] = "not_closed",     [RECORD_PROBLEM_TORN] = "torn",
        [RECORD_PROBLEM_DAMAGED] = "damaged",           [RECORD_PROBLEM_UNACCOUNTED] = "unaccounted",
        [RECORD_PROBLEM_FILE_MISSING] = "file_missing", [RECORD_PROBLEM_TOTALS] = "totals"};
    return kind >= RECORD_PROBLEM_NOT_CLOSED && kind <= RECORD_PROBLEM_TOTALS ? names[kind] : "unknown";
}

json_t *recording_problems(const struct record_set *set)
{
    json_t *list = json_array();
    const struct record_problem *problem;
    for (uint64_t i = 0; (problem = record_problem(set, i)) != NULL; i++) {
        json_array_append_new(
            list,
            json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "kind", recording_problem_name(problem->kind),
                      "ring", recording_json_text(record_ring(set, problem->ring)->header.ring), "path",
                      problem->path != NULL ? recording_json_text(problem->path) : json_null(), "offset_bytes",
                      (json_int_t)problem->offset, "bytes", (json_int_t)problem->bytes, "from_position",
                      (json_int_t)problem->from_position, "to_position", (json_int_t)problem->to_position, "text",
                      recording_json_text(problem->text)));
    }
    return list;
}

json_t *recording_causes(const uint64_t missing[RECORD_CAUSES])
{
    json_t *o = json_object();
    for (uint32_t i = RECORD_CAUSE_NONE + 1; i < RECORD_CAUSES; i++) {
        json_object_set_new(o, record_cause_name(i), json_integer((json_int_t)missing[i]));
    }
    return o;
}

const char *recording_plain(const char *text)
{
    static char room[4][ERROR_TEXT_BYTES];
    static unsigned turn;
    char *to = room[turn++ % 4];
    size_t n = 0;
    for (; n < ERROR_TEXT_BYTES - 1 && text[n] != 0; n++) {
        to[n] = (char)(iscntrl((unsigned char)text[n]) ? '?' : text[n]);
    }
    to[n] = 0;
    return to;
}

json_t *recording_json_text(const char *text)
{
    json_t *string = json_string(text);
    if (string != NULL) {
        return string;
    }
    char plain[ERROR_TEXT_BYTES];
    size_t n = 0;
    for (; n < sizeof(plain) - 1 && text[n] != 0; n++) {
        plain[n] = (char)((unsigned char)text[n] < 0x80 ? text[n] : '?');
    }
    return json_stringn(plain, n);
}

int recording_gaps_add(struct recording_gaps *gaps, const struct record_gap *gap)
{
    struct record_gap *last = gaps->count > 0 ? &gaps->gap[gaps->count - 1] : NULL;
    if (last != NULL && last->cause == gap->cause && last->to_position == gap->from_position) {
        last->to_position = gap->to_position;
        last->count += gap->count;
        return 0;
    }
    if (gaps->count == gaps->room) {
        uint64_t room = gaps->room != 0 ? 2 * gaps->room : 16;
        struct record_gap *more = realloc(gaps->gap, room * sizeof(*more));
        if (more == NULL) {
            return -ENOMEM;
        }
        gaps->gap = more;
        gaps->room = room;
    }
    gaps->gap[gaps->count++] = *gap;
    return 0;
}

void recording_gaps_free(struct recording_gaps *gaps)
{
    free(gaps->gap);
    *gaps = (struct recording_gaps){0};
}

/* Of the positions [from, to) those that are neither recorded nor told. */
static int find_between(struct record_cursor *cursor, uint64_t from, uint64_t to, struct recording_gaps *gaps,
                        struct error *err)
{
    struct record_item item;
    int code = record_cursor_seek_position(cursor, from, err);
    while (code == 0 && (code = record_next(cursor, &item, err)) == 1) {
        bool frame = item.kind == RECORD_ITEM_FRAME;
        code = 0;
        if ((frame ? item.frame.position : item.gap.from_position) >= to) {
            return 0;
        }
        bool found = !frame && (item.gap.cause == RECORD_CAUSE_UNKNOWN || item.gap.cause == RECORD_CAUSE_DAMAGED);
        if (found) {
            code = recording_gaps_add(gaps, &item.gap);
        }
        if (!frame && item.gap.to_position >= to) {
            return code;
        }
        if (frame && item.frame.position + 1 >= to) {
            return code;
        }
    }
    return code;
}

int recording_find_missing(struct record_set *set, unsigned ring, struct recording_gaps *gaps, struct error *err)
{
    struct record_cursor *cursor = NULL;
    const struct record_problem *problem;
    uint64_t done = 0; /* problems overlap: a torn block's positions, and those of the file that it stands in */
    int code = record_cursor_open(&cursor, set, ring, err);
    for (uint64_t i = 0; code == 0 && (problem = record_problem(set, i)) != NULL; i++) {
        uint64_t from = problem->from_position > done ? problem->from_position : done;
        if (problem->ring == ring && from < problem->to_position) {
            code = find_between(cursor, from, problem->to_position, gaps, err);
            done = gaps->count > 0 && gaps->gap[gaps->count - 1].to_position > problem->to_position
                       ? gaps->gap[gaps->count - 1].to_position
                       : problem->to_position;
        }
    }
    record_cursor_close(cursor);
    return code == -ENOMEM ? error_set(err, code, "no memory for the list of what is missing") : code;
}
