/* info: what is in a recording, whether it is whole, and what is missing from it. The screen is drawn from the
 * recording itself; --json has the same and more. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ring/calibration.h"
#include "ring/channel.h"
#include "ring/clock.h"
#include "tools/info.h"
#include "tools/session.h"
#include "tools/sluice.h"

#define GAPS_DEFAULT 20u

/* The gaps of one ring, both kinds, in order of position: as many as were asked for are kept, all are counted. */
static int find_gaps(struct info *info, unsigned ring, struct info_ring *found, struct error *err)
{
    struct record_cursor *cursor = NULL;
    struct record_item item;
    int code = record_cursor_open(&cursor, info->set, ring, err);
    if (code == 0 && !info->frames) {
        record_cursor_gaps_only(cursor);
    }
    while (code == 0 && (code = record_next(cursor, &item, err)) == 1) {
        code = 0;
        bool frame = item.kind == RECORD_ITEM_FRAME;
        if (frame && (item.frame.flags & SLUICE_FRAME_GAP) == 0) {
            continue;
        }
        *(frame ? &found->ring_gaps : &found->recorder_gaps) += 1;
        if (found->kept < info->gaps_max) {
            struct info_gap *gap = &found->gap[found->kept++];
            *gap = (struct info_gap){.of_ring = frame, .gap = item.gap};
            if (frame) {
                struct ring_gap told = {0};
                if (item.frame.length_bytes >= sizeof(told)) {
                    memcpy(&told, item.frame.payload, sizeof(told));
                }
                gap->gap = (struct record_gap){.from_position = item.frame.position,
                                               .to_position = item.frame.position,
                                               .count = told.count,
                                               .tai_ns = item.frame.tai_ns,
                                               .cause = item.frame.cause};
                gap->stream = item.frame.stream;
            }
        }
    }
    record_cursor_close(cursor);
    return code;
}

static const char *cause_of(const struct info_gap *gap)
{
    return gap->of_ring ? ring_loss_name(gap->gap.cause) : record_cause_name(gap->gap.cause);
}

static const char *stream_of(const struct record_ring *ring, const struct info_gap *gap)
{
    return gap->of_ring && gap->stream < ring->header.streams ? ring->stream[gap->stream].name : "";
}

/* Pages of the report. */

static void say_run(const struct info *info)
{
    const struct record_file_header *h = &record_ring(info->set, 0)->header;
    json_t *run = json_loads(record_json(info->set), 0, NULL);
    const char *key;
    json_t *value;
    char id[2 * RECORD_RUN_BYTES + 1];
    info_run_id(h, id);
    printf("recording of %s by %s, run %s\n", recording_plain(h->instance), recording_plain(h->recorder), id);
    json_object_foreach(run, key, value)
    {
        if (strcmp(key, "run") == 0 || strcmp(key, "format") == 0 || strstr(key, "_ns") != NULL) {
            continue;
        }
        if (json_is_string(value) && json_string_value(value)[0] != 0) {
            printf("  %s: %s\n", recording_plain(key), recording_plain(json_string_value(value)));
        }
        size_t i;
        json_t *note;
        json_array_foreach(value, i, note)
        {
            const char *at = json_string_value(json_object_get(note, "at"));
            const char *by = json_string_value(json_object_get(note, "by"));
            const char *text = json_string_value(json_object_get(note, "text"));
            if (strcmp(key, "notes") == 0 && text != NULL) {
                printf("  note: %s %s: %s\n", at != NULL ? recording_plain(at) : "-",
                       by != NULL ? recording_plain(by) : "-", recording_plain(text));
            }
        }
    }
    const char *host = json_string_value(json_object_get(json_object_get(run, "host"), "name"));
    if (host != NULL) {
        printf("  host: %s\n", recording_plain(host));
    }
    json_decref(run);
}

static void say_channels(const struct record_ring *ring)
{
    for (uint32_t i = 0; i < ring->header.channels; i++) {
        const struct ring_channel *c = &ring->channel[i];
        printf("  channel %-20s %-8s %s at byte %u%s, x %g + %g%s%s, valid %g to %g\n", recording_plain(c->name),
               recording_plain(c->unit), ring_type_name(c->type), c->at_byte,
               c->byte_order == RING_BIG_ENDIAN ? ", big-endian" : "", c->scale, c->offset,
               c->calibration != RING_CALIBRATION_LINEAR ? ", then " : "",
               c->calibration != RING_CALIBRATION_LINEAR ? calibration_name(c->calibration) : "", c->range_low,
               c->range_high);
    }
    for (uint32_t i = 0; i < ring->header.streams; i++) {
        const struct ring_stream *s = &ring->stream[i];
        printf("  stream  %-20s %s", recording_plain(s->name), recording_plain(s->source));
        if (s->frame_bytes != 0) {
            printf(", frames of %u bytes", s->frame_bytes);
        }
        if (s->nominal_hz > 0) {
            printf(", declared at %g Hz", s->nominal_hz);
        }
        printf("\n");
    }
}

static void say_gap(const struct record_ring *ring, const struct info_gap *gap)
{
    char when[RECORDING_TIME_BYTES];
    recording_time(&ring->header, gap->gap.tai_ns, when);
    if (gap->of_ring) {
        const char *stream = stream_of(ring, gap);
        char count[24] = "an unknown number of";
        if (gap->gap.count > 0) {
            snprintf(count, sizeof(count), "%" PRIu64, gap->gap.count);
        }
        printf("  gap at position %" PRIu64 ": %s frames of stream %s lost: %s, %s\n", gap->gap.from_position,
               count, recording_plain(stream), cause_of(gap), when);
    } else {
        printf("  gap, positions %" PRIu64 " to %" PRIu64 ": %" PRIu64 " frames not recorded: %s, %s\n",
               gap->gap.from_position, gap->gap.to_position - 1, gap->gap.count, cause_of(gap), when);
    }
}

static void say_missing(const struct record_ring *ring)
{
    bool any = false;
    for (uint32_t i = RECORD_CAUSE_NONE + 1; i < RECORD_CAUSES; i++) {
        if (ring->missing[i] > 0) {
            printf("%s %" PRIu64 " %s", any ? "," : "  not recorded:", ring->missing[i], record_cause_name(i));
            any = true;
        }
    }
    if (any) {
        printf("\n");
    }
}

static void say_ledger(const struct record_ring *ring)
{
    const struct ring_ledger *l = &ring->ledger;
    if (l->sent == 0 && l->delivered == 0) {
        return;
    }
    printf("  ledger: sent %" PRIu64 " = delivered %" PRIu64 " + lost %" PRIu64, l->sent, l->delivered,
           ring_ledger_lost(l));
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        if (l->lost[i] > 0) {
            printf(", %s %" PRIu64, ring_loss_name(i), l->lost[i]);
        }
    }
    printf("; residual %" PRId64 "\n", ring_ledger_residual(l));
}

static void say_ring(const struct info *info, unsigned index)
{
    const struct record_ring *ring = record_ring(info->set, index);
    const struct info_ring *found = &info->ring[index];
    char from[RECORDING_TIME_BYTES];
    char to[RECORDING_TIME_BYTES];
    char size[RECORDING_SIZE_BYTES];
    recording_time(&ring->header, ring->first_tai_ns, from);
    recording_time(&ring->header, ring->last_tai_ns, to);
    recording_size(ring->file_bytes, size);
    printf("\nring %s: %" PRIu64 " frames in %" PRIu64 " blocks, %" PRIu64 " files, %s; %s\n",
           recording_plain(ring->header.ring), ring->frames, ring->blocks, ring->files, size,
           ring->closed ? record_close_name(ring->totals.why) : "not closed");
    say_channels(ring);
    if (ring->frames > 0) {
        double seconds = info_seconds(ring);
        printf("  %s to %s, %.9g s", from, to, seconds);
        if (seconds > 0) {
            printf(", %.6g frames/s, %.4g MB/s", (double)(ring->frames - 1) / seconds,
                   (double)ring->payload_bytes / seconds / 1e6);
        }
        printf("\n  TAI ns %" PRIu64 " to %" PRIu64 ", positions %" PRIu64 " to %" PRIu64 "\n", ring->first_tai_ns,
               ring->last_tai_ns, ring->first_position, ring->end_position - 1);
    }
    say_ledger(ring);
    say_missing(ring);
    for (uint32_t i = 0; i < found->kept; i++) {
        say_gap(ring, &found->gap[i]);
    }
    uint64_t all = found->ring_gaps + found->recorder_gaps;
    if (all > found->kept) {
        printf("  %" PRIu64 " more gaps; --gaps N shows them\n", all - found->kept);
    } else if (all == 0) {
        printf("  no gaps\n");
    }
    if (!info->frames) {
        printf("  (gap records in the ring itself were not looked for, the recording is large: --check does)\n");
    }
}

static void say_all(const struct info *info)
{
    const struct record_problem *problem;
    uint64_t problems = record_problems(info->set);
    say_run(info);
    for (unsigned i = 0; i < record_rings(info->set); i++) {
        say_ring(info, i);
    }
    printf("\n");
    for (uint64_t i = 0; (problem = record_problem(info->set, i)) != NULL; i++) {
        printf("problem: %s\n", recording_plain(problem->text));
    }
    if (problems > RECORD_PROBLEMS_MAX) {
        printf("problem: %" PRIu64 " more of them\n", problems - RECORD_PROBLEMS_MAX);
    }
    bool told = false;
    for (unsigned i = 0; i < record_rings(info->set); i++) {
        told |= recording_missing(record_ring(info->set, i)) > 0;
    }
    printf("%s%s\n",
           problems > 0 ? "not whole: something is missing or damaged"
           : told       ? "whole but for the gaps that are told"
                        : "whole",
           info->check ? "; every byte was checked" : "; --check reads every byte");
}

static int gather(struct info *info, struct error *err)
{
    int code = 0;
    if (info->check) {
        struct recording_progress progress;
        recording_progress_begin(&progress);
        code = record_verify(info->set, recording_progress, &progress, err);
    }
    uint64_t bytes = 0;
    for (unsigned i = 0; i < record_rings(info->set); i++) {
        bytes += record_ring(info->set, i)->payload_bytes;
    }
    info->frames = info->check || bytes <= INFO_QUICK_BYTES;
    info->ring = calloc(record_rings(info->set), sizeof(info->ring[0]));
    if (info->ring == NULL) {
        return error_set(err, -ENOMEM, "no memory for %u rings", record_rings(info->set));
    }
    for (unsigned i = 0; code == 0 && i < record_rings(info->set); i++) {
        info->ring[i].gap = calloc((size_t)info->gaps_max + 1, sizeof(info->ring[i].gap[0]));
        code = info->ring[i].gap != NULL ? find_gaps(info, i, &info->ring[i], err)
                                         : error_set(err, -ENOMEM, "no memory for %u gaps", info->gaps_max);
    }
    return code;
}

static int usage(FILE *to, int code)
{
    fprintf(to,
            "usage: sluice info [--check] [--gaps N] [--json] RECORDING ..\n"
            "  RECORDING: a run's directory (of several stripes: all of them), or its files *" RECORD_SUFFIX "\n"
            "  --check   reads every byte and compares it with its checksum\n"
            "  --gaps N  shows so many gaps of each ring, %u if not said\n"
            "Exit: 0 whole (gaps that are told are no harm), 1 something is missing or damaged, 2 bad usage, or\n"
            "no recording.\n",
            GAPS_DEFAULT);
    return code;
}

static bool parse_gaps(const char *text, uint32_t *n)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *n = (uint32_t)value;
    return errno == 0 && end != text && *end == 0 && text[0] != '-' && value <= INFO_GAPS_MAX;
}

static int parse(struct info *info, int argc, char **argv)
{
    static const struct option options[] = {{"check", no_argument, NULL, 'c'},
                                            {"gaps", required_argument, NULL, 'g'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            info->check = true;
            break;
        case 'g':
            if (!parse_gaps(optarg, &info->gaps_max)) {
                fprintf(stderr, "sluice info: expected --gaps 0 to %u, found %s\n", INFO_GAPS_MAX, optarg);
                return EXIT_USAGE;
            }
            break;
        case 'j':
            info->json = true;
            break;
        case 'h':
            return usage(stdout, EXIT_DONE);
        default:
            return usage(stderr, EXIT_USAGE);
        }
    }
    return optind < argc ? -1 : usage(stderr, EXIT_USAGE);
}

int command_info(int argc, char **argv)
{
    struct info info = {.gaps_max = GAPS_DEFAULT};
    struct error err = {{0}};
    int exit = parse(&info, argc, argv);
    if (exit >= 0) {
        return exit;
    }
    int code = record_open(&info.set, (const char *const *)(argv + optind), (unsigned)(argc - optind), &err);
    exit = code == 0 ? EXIT_DONE : command_fail("info", err.text, EXIT_USAGE);
    if (code == 0 && gather(&info, &err) != 0) {
        exit = command_fail("info", err.text, EXIT_NOT_SO);
    } else if (code == 0) {
        if (info.json) {
            info_json(&info);
        } else {
            say_all(&info);
        }
        exit = record_problems(info.set) == 0 ? EXIT_DONE : EXIT_NOT_SO;
    }
    for (unsigned i = 0; info.ring != NULL && i < record_rings(info.set); i++) {
        free(info.ring[i].gap);
    }
    free(info.ring);
    record_close(info.set);
    return exit;
}
