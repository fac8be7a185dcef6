/* tail: frames of a ring as they come, through libsluice like any other reader. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "ring/channel.h"
#include "ring/sluice.h"
#include "tools/session.h"
#include "tools/sluice.h"

#define CHANNELS_SHOWN_MAX 64u
#define WAIT_MS            200
#define LAST_LOOKS         20
#define LAST_LOOK_NS       10000000

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static void print_gap_json(const struct sluice_frame *f)
{
    printf("{\"position\": %" PRIu64 ", \"tai_ns\": %" PRIu64 ", \"gap\": {\"cause\": \"%s\", \"count\": %" PRIu32
           "}}\n",
           f->position, f->tai_ns, sluice_loss_name(f->cause), f->lost_before);
}

static void print_gap(const struct sluice_frame *f, bool json)
{
    if (json) {
        print_gap_json(f);
        return;
    }
    printf("%12" PRIu64 "  --- gap: %s", f->position, sluice_loss_name(f->cause));
    if (f->lost_before > 0) {
        printf(", %" PRIu32 "%s frames missing", f->lost_before, f->lost_before >= UINT16_MAX ? " or more" : "");
    }
    printf(" ---\n");
}

/* The values are taken first and printed only if the frame was not overwritten meanwhile. */
static bool print_frame(const struct sluice_reader *reader, const struct sluice_frame *f, bool json)
{
    double value[CHANNELS_SHOWN_MAX];
    struct sluice_channel channel;
    uint32_t channels = sluice_channels(reader);
    channels = channels < CHANNELS_SHOWN_MAX ? channels : CHANNELS_SHOWN_MAX;
    for (uint32_t i = 0; i < channels; i++) {
        value[i] = sluice_value(reader, i, f);
    }
    if (sluice_reader_valid(reader, f) == 0) {
        return false;
    }
    if (json) {
        printf("{\"position\": %" PRIu64 ", \"tai_ns\": %" PRIu64 ", \"source_sequence\": %" PRIu64
               ", \"length_bytes\": %u, \"lost_before\": %" PRIu32 ", \"cause\": %s%s%s, \"values\": {",
               f->position, f->tai_ns, f->source_sequence, f->length_bytes, f->lost_before,
               f->lost_before > 0 ? "\"" : "", f->lost_before > 0 ? sluice_loss_name(f->cause) : "null",
               f->lost_before > 0 ? "\"" : "");
    } else {
        if (f->lost_before > 0) {
            print_gap(f, false);
        }
        printf("%12" PRIu64 "  %" PRIu64 ".%09" PRIu64 "  #%-10" PRIu64 " %5u B", f->position,
               f->tai_ns / UINT64_C(1000000000), f->tai_ns % UINT64_C(1000000000), f->source_sequence,
               f->length_bytes);
    }
    for (uint32_t i = 0; i < channels; i++) {
        sluice_channel(reader, i, &channel);
        if (!json) {
            printf("  %s %.6g %s", channel.name, value[i], channel.unit);
        } else if (ring_is_not_finite(value[i])) {
            printf("%s\"%s\": null", i > 0 ? ", " : "", channel.name);
        } else {
            printf("%s\"%s\": %.17g", i > 0 ? ", " : "", channel.name, value[i]);
        }
    }
    printf(json ? "}}\n" : "\n");
    return true;
}

struct told {
    uint64_t
        overtaken; /* frames that were overwritten while they were looked at; their reader does not count them */
    uint64_t lost;
    int state;
};

/* What does not belong in the frames' own stream, each once. */
static void say_changes(const struct sluice_reader *reader, struct told *told)
{
    uint64_t lost = sluice_reader_lost(reader) + told->overtaken;
    int now = sluice_reader_state(reader);
    if (now != told->state) {
        told->state = now;
        fprintf(stderr, "sluice tail: %s\n",
                now == SLUICE_STATE_DEMOTED
                    ? "demoted: held the writer up for longer than the ring's deadline; an observer from here on"
                    : "evicted: the server has given this reader's place away");
    }
    if (lost != told->lost) {
        told->lost = lost;
        fprintf(stderr, "sluice tail: too slow: %" PRIu64 " frames were overwritten before they were shown\n",
                lost);
    }
}

/* The connection has ended: with the server, or because it evicted us, which the ring's writer says in its next
 * round. */
static int ended(const struct sluice_reader *reader, struct told *told)
{
    for (int i = 0; i < LAST_LOOKS && sluice_reader_state(reader) == SLUICE_STATE_DEMOTED; i++) {
        nanosleep(&(struct timespec){.tv_nsec = LAST_LOOK_NS}, NULL);
    }
    say_changes(reader, told);
    return told->state == SLUICE_STATE_EVICTED ? EXIT_NOT_SO
                                               : command_fail("tail", "the server has ended", EXIT_UNREACHABLE);
}

static int follow(struct sluice_reader *reader, const struct arguments *arguments)
{
    struct sluice_frame frame;
    uint64_t shown = 0;
    struct told told = {.state = arguments->gating ? SLUICE_STATE_GATING : SLUICE_STATE_OBSERVER};
    int code = 0;
    while (stop == 0 && (arguments->count == 0 || shown < arguments->count)) {
        if (sluice_reader_next(reader, &frame) == 1) {
            if ((frame.flags & SLUICE_FRAME_GAP) != 0) {
                print_gap(&frame, arguments->json);
            } else if (!print_frame(reader, &frame, arguments->json)) {
                told.overtaken++;
                continue;
            }
            shown++;
        } else {
            fflush(stdout);
            code = sluice_reader_wait(reader, WAIT_MS);
        }
        say_changes(reader, &told);
        if (code == -EPROTO) {
            return command_fail("tail", "the ring's memory was overwritten; restart the server", EXIT_NOT_SO);
        }
        if (code < 0) {
            return ended(reader, &told);
        }
        if (ferror(stdout) != 0) {
            return EXIT_NOT_SO;
        }
    }
    return EXIT_DONE;
}

int command_tail(const struct arguments *arguments)
{
    struct error err = {{0}};
    struct sluice_reader *reader;
    char instance[RING_NAME_BYTES];
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int found = session_instance(arguments->instance, instance, &err);
    if (found != 0) {
        return command_fail("tail", err.text, found == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
    }
    struct sluice_options options = {.bytes = sizeof(options),
                                     .mode = arguments->gating ? SLUICE_GATING : SLUICE_OBSERVER,
                                     .start = arguments->start,
                                     .at = arguments->at};
    int code = sluice_attach_with(&reader, instance, arguments->ring, &options, err.text, sizeof(err.text));
    if (code != 0) {
        bool refused = code == -ENXIO || code == -EPERM || code == -EUSERS;
        return command_fail("tail", err.text, refused ? EXIT_NOT_SO : EXIT_UNREACHABLE);
    }
    int result = follow(reader, arguments);
    fflush(stdout);
    sluice_detach(reader);
    return result;
}
