/* status, ledger, rules: screens drawn from the JSON objects of tools/report.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ring/segment.h"
#include "tools/record.h"
#include "tools/report.h"
#include "tools/screens.h"
#include "tools/sluice.h"

/* Why a gating reader is none any more. */
static const char *words_for(const char *reason)
{
    return strcmp(reason, "deadline") == 0   ? "it held the writer up for longer than it may"
           : strcmp(reason, "nonsense") == 0 ? "it released frames that were not published yet"
                                             : reason;
}

static void name_core(const json_t *of, char core[16])
{
    snprintf(core, 16, "any");
    if (number_of(of, "core") >= 0) {
        snprintf(core, 16, "%.0f", number_of(of, "core"));
    }
}

/* Under the line of a process that polls with several. */
static void draw_threads(const json_t *process)
{
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(process, "threads"), i, t)
    {
        char core[16];
        char policy[24];
        name_core(t, core);
        snprintf(policy, sizeof(policy), "%s %.0f", text_of(t, "policy"), number_of(t, "priority"));
        printf("  %-13s%5.0f %5s %-9s thread%s\n", text_of(t, "name"), number_of(t, "tid"), core, policy,
               true_of(t, "sealed") ? ", sealed" : "");
    }
}

static void draw_processes(const json_t *status)
{
    size_t i;
    json_t *p;
    double sum_kb = 0;
    printf("%-12s %7s %5s %-9s %9s %8s %s\n", "process", "pid", "core", "policy", "memory", "restarts", "state");
    json_array_foreach(json_object_get(status, "processes"), i, p)
    {
        char core[16];
        char policy[24];
        name_core(p, core);
        snprintf(policy, sizeof(policy), "%s %.0f", text_of(p, "policy"), number_of(p, "priority"));
        sum_kb += number_of(p, "pss_kb");
        printf("%-12s %7.0f %5s %-9s %6.0f kB %8.0f %s%s%s\n", text_of(p, "name"), number_of(p, "pid"), core,
               policy, number_of(p, "pss_kb"), number_of(p, "restarts"), true_of(p, "alive") ? "alive" : "DEAD",
               true_of(p, "locked") ? ", locked" : "", true_of(p, "sealed") ? ", sealed" : "");
        draw_threads(p);
    }
    printf("%-12s %7s %5s %-9s %6.0f kB   (resident in proportion, rings apart)\n", "sum", "", "", "", sum_kb);
    json_array_foreach(json_object_get(status, "processes"), i, p)
    {
        size_t r;
        json_t *refusal;
        const json_t *stalls = json_object_get(p, "stalls");
        if (number_of(stalls, "count") > 0) {
            printf(
                "  %s: its core did not come round %.0f time%s for over 250 us: %.1f ms in all, %.1f ms at most\n",
                text_of(p, "name"), number_of(stalls, "count"), number_of(stalls, "count") == 1 ? "" : "s",
                number_of(stalls, "total_ns") * 1e-6, number_of(stalls, "longest_ns") * 1e-6);
        }
        json_array_foreach(json_object_get(p, "refusals"), r, refusal)
        {
            printf("  ! %s: %s\n", text_of(p, "name"), json_string_value(refusal));
        }
    }
}

/* How long a gating reader has held the writer up. The writer comes to stand exactly one ring ahead of the reader
 * it waits for. */
static void draw_gate(const json_t *reader, double slots)
{
    bool gating = strcmp(text_of(reader, "mode"), "gating") == 0;
    if (gating && number_of(reader, "lag_frames") == slots) {
        printf("    ! HOLDS THE WRITER UP, may for %.0f ms\n", number_of(reader, "deadline_ms"));
    }
    if (!gating) {
        printf("    ! an observer now: %s\n", words_for(text_of(reader, "reason")));
    }
    if (number_of(reader, "waits") > 0) {
        printf("    the writer waited for it %.0f time%s, %.1f ms in all, %.1f ms at most\n",
               number_of(reader, "waits"), number_of(reader, "waits") == 1 ? "" : "s",
               number_of(reader, "waited_ns") / 1e6, number_of(reader, "waited_ns_max") / 1e6);
    }
}

static void draw_readers(const json_t *ring)
{
    size_t i;
    json_t *reader;
    json_array_foreach(json_object_get(ring, "readers"), i, reader)
    {
        printf("  reader pid %.0f: %s, %.0f frames behind, lost %.0f\n", number_of(reader, "pid"),
               text_of(reader, "mode"), number_of(reader, "lag_frames"), number_of(reader, "lost"));
        if (json_object_get(reader, "waits") != NULL) {
            draw_gate(reader, number_of(ring, "slots"));
        }
    }
}

/* What became of gating readers that did not keep up. */
static void draw_demoted(const json_t *ring)
{
    const json_t *gating = json_object_get(ring, "gating");
    size_t i;
    json_t *event;
    if (number_of(gating, "demotions") + number_of(gating, "evictions") + number_of(gating, "readers_lost") > 0) {
        printf("  gating: %.0f demoted, %.0f evicted; readers that have left had lost %.0f\n",
               number_of(gating, "demotions"), number_of(gating, "evictions"), number_of(gating, "readers_lost"));
    }
    json_array_foreach(json_object_get(gating, "events"), i, event)
    {
        printf("    %.3f TAI: pid %.0f %s: %s; %.0f lost by then\n", number_of(event, "tai_ns") / 1e9,
               number_of(event, "pid"), text_of(event, "event"), words_for(text_of(event, "reason")),
               number_of(event, "lost"));
    }
}

static void draw_rings(const json_t *status)
{
    size_t i;
    json_t *ring;
    printf("\n%-16s %9s %8s %6s %12s %10s %8s\n", "ring", "slots", "slot B", "pages", "published", "rate/s",
           "lost");
    json_array_foreach(json_object_get(status, "rings"), i, ring)
    {
        printf("%-16s %9.0f %8.0f %6s %12.0f %10.1f %8.0f\n", text_of(ring, "name"), number_of(ring, "slots"),
               number_of(ring, "slot_bytes"), segment_page_name((size_t)number_of(ring, "page_bytes")),
               number_of(ring, "published"), number_of(ring, "rate_hz"), number_of(ring, "lost"));
        draw_readers(ring);
        draw_demoted(ring);
    }
}

static void draw_nonzero(const char *title, json_t *counts)
{
    const char *key;
    json_t *value;
    json_object_foreach(counts, key, value)
    {
        if (json_integer_value(value) != 0) {
            printf("  %s %s: %lld\n", title, key, (long long)json_integer_value(value));
        }
    }
}

static void draw_streams(json_t *report)
{
    size_t i;
    json_t *s;
    json_t *streams = json_object_get(report, "streams");
    printf("\n%-16s %-5s %12s %12s %9s %9s %9s\n", "stream", "", "sent", "delivered", "doubled", "reordered",
           "residual");
    json_array_foreach(streams, i, s)
    {
        printf("%-16s %-5s %12.0f %12.0f %9.0f %9.0f %9.0f\n", text_of(s, "name"),
               true_of(s, "open") ? "open" : "DOWN", number_of(s, "sent"), number_of(s, "delivered"),
               number_of(s, "duplicated"), number_of(s, "reordered"), number_of(s, "residual"));
        if (number_of(s, "open_errno") != 0) {
            printf("  cannot open its device: %s\n", strerror((int)number_of(s, "open_errno")));
        }
        draw_nonzero("lost,", json_object_get(s, "lost"));
        draw_nonzero("refused,", json_object_get(s, "refused"));
        if (number_of(s, "noise_bytes") > 0) {
            printf("  noise: %.0f bytes\n", number_of(s, "noise_bytes"));
        }
        draw_rate(json_object_get(s, "rate"));
    }
}

/* The ledger: the streams' losses, and those of the readers. */
static void draw_ledger(json_t *report)
{
    size_t i;
    json_t *ring;
    draw_streams(report);
    printf("\nreaders, by ring\n");
    json_array_foreach(json_object_get(report, "rings"), i, ring)
    {
        printf("%s\n", text_of(ring, "name"));
        draw_readers(ring);
        draw_demoted(ring);
    }
}

static void draw_channels(const json_t *status)
{
    size_t i;
    json_t *c;
    printf("\n%-24s %14s %-8s %-6s %10s\n", "channel", "value", "unit", "", "age");
    json_array_foreach(json_object_get(status, "channels"), i, c)
    {
        char value[32] = "-";
        if (json_is_number(json_object_get(c, "value"))) {
            snprintf(value, sizeof(value), "%.6g", number_of(c, "value"));
        }
        printf("%-24s %14s %-8s %-6s %7.1f ms\n", text_of(c, "name"), value, text_of(c, "unit"),
               text_of(c, "quality"), number_of(c, "age_ns") / 1e6);
    }
}

static void draw_black_box(const json_t *status)
{
    const json_t *box = json_object_get(status, "black_box");
    if (!json_is_object(box)) {
        return;
    }
    printf("\nblack box: %s, %.0f report%s written, %.0f trip%s without one%s%s\n",
           true_of(box, "room") ? "ready" : "NO ROOM", number_of(box, "reports"),
           number_of(box, "reports") == 1 ? "" : "s", number_of(box, "lost"),
           number_of(box, "lost") == 1 ? "" : "s", text_of(box, "last")[0] != 0 ? ", last: " : "",
           text_of(box, "last"));
}

static void draw_recorders(const json_t *status)
{
    size_t i;
    json_t *recorder;
    json_array_foreach(json_object_get(status, "recorders"), i, recorder)
    {
        printf("%s", i == 0 ? "\n" : "");
        record_draw(recorder);
    }
}

static void draw_latency(json_t *report)
{
    const char *key;
    json_t *hop;
    json_t *hops = json_object_get(report, "latency_ns");
    printf("\n%-32s %12s %10s %10s %10s %10s %8s\n", "latency, us", "count", "p50", "p99", "p99.9", "max", "late");
    json_object_foreach(hops, key, hop)
    {
        printf("%-32s %12.0f %10.1f %10.1f %10.1f %10.1f %8.0f\n", key, number_of(hop, "count"),
               number_of(hop, "p50") / 1e3, number_of(hop, "p99") / 1e3, number_of(hop, "p999") / 1e3,
               number_of(hop, "max") / 1e3, number_of(hop, "late"));
    }
}

static void draw_status(json_t *status)
{
    printf("%s, up %.0f s\n\n", text_of(status, "instance"), number_of(status, "uptime_s"));
    if (number_of(status, "clock_step_s") > 0.1 || number_of(status, "clock_step_s") < -0.1) {
        printf("  ! the wall clock was stepped by %.3f s since the start; stamps go on by the old one\n",
               number_of(status, "clock_step_s"));
    }
    draw_processes(status);
    draw_rings(status);
    draw_streams(status);
    draw_channels(status);
    draw_interlock(status);
    draw_black_box(status);
    draw_recorders(status);
    draw_latency(status);
}

/* The refresh tells whether the server still lives: a map of it would show its last values for ever. */
static json_t *make_ledger(struct session *session, struct error *err)
{
    if (session_refresh(session, err) != 0) {
        return NULL;
    }
    return json_pack("{s:o, s:o}", "streams", report_streams(session), "rings", report_gating(session));
}

/* One screen, or one every few seconds until interrupted. */
static int show(const struct arguments *arguments, const char *name,
                json_t *(*make)(struct session *session, struct error *err), void (*draw)(json_t *report))
{
    struct error err = {{0}};
    struct session session;
    char instance[RING_NAME_BYTES];
    int found = session_instance(arguments->instance, instance, &err);
    if (found != 0) {
        return command_fail(name, err.text, found == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
    }
    int code = session_open(&session, instance, &err);
    for (bool again = code == 0; again;) {
        json_t *report = make(&session, &err);
        if (report == NULL) {
            code = -1;
            break;
        }
        if (arguments->json) {
            json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
            printf("\n");
        } else {
            if (arguments->seconds > 0 && isatty(STDOUT_FILENO) != 0) {
                printf("\033[H\033[J"); /* home and clear */
            }
            draw(report);
        }
        json_decref(report);
        again = arguments->seconds > 0 && fflush(stdout) == 0;
        if (again) {
            nanosleep(&(struct timespec){.tv_sec = (time_t)arguments->seconds}, NULL);
        }
    }
    session_close(&session);
    return code == 0 ? EXIT_DONE : command_fail(name, err.text, EXIT_UNREACHABLE);
}

int command_status(const struct arguments *arguments)
{
    return show(arguments, "status", report_status, draw_status);
}

int command_ledger(const struct arguments *arguments)
{
    return show(arguments, "ledger", make_ledger, draw_ledger);
}

int command_rules(const struct arguments *arguments)
{
    return show(arguments, "rules", report_rules_alone, draw_rules);
}
