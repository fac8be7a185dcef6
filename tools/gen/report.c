#include "tools/gen/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void print_line(json_t *object)
{
    if (object == NULL) {
        fprintf(stderr, "sluice-gen: expected memory for a report, got none\n");
        return;
    }
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    printf("\n");
    fflush(stdout);
    json_decref(object);
}

static uint64_t resident_kb(void)
{
    char line[128];
    uint64_t kb = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && kb == 0 && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            sscanf(line + 6, "%" SCNu64, &kb); // NOLINT(cert-err34-c): the kernel's own number
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kb;
}

static double seconds_of(const struct run_result *result)
{
    return (double)result->elapsed_ns * 1e-9;
}

static double per_second(double n, const struct run_result *result)
{
    return result->elapsed_ns > 0 ? n / seconds_of(result) : 0;
}

/* What the rate that was asked for is for numbers or for bits; 0 where it was not asked for. */
static double asked(const struct run_result *result, bool in_bits)
{
    return result->pace.rate.in_bits == in_bits ? (double)result->pace.rate.per_1000_s / 1000 : 0;
}

static void put(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void print_json(const struct generator *g, const struct options *o, const struct run_result *r)
{
    const struct plan_counts *c = &r->counts;
    json_t *object = json_pack("{s:s,s:s,s:s,s:s}", "event", "run", "transport", g->transport->ops->name, "target",
                               g->options.target, "about", g->transport->about);
    put(object, "sent", c->numbers);
    put(object, "frames", c->frames);
    put(object, "payload_bytes", c->bytes);
    put(object, "lost", c->fate[PLAN_LOST]);
    put(object, "duplicated", c->fate[PLAN_DUPLICATED]);
    put(object, "reordered", c->fate[PLAN_REORDERED]);
    put(object, "late", c->fate[PLAN_LATE]);
    put(object, "corrupted", c->fate[PLAN_CORRUPTED]);
    put(object, "heartbeats", r->heartbeats);
    put(object, "dropped", r->sent.dropped);
    put(object, "full", r->sent.full);
    put(object, "longest_full_ns", r->sent.longest_full_ns);
    put(object, "refused", r->sent.refused);
    put(object, "reconnects", r->sent.reconnects);
    put(object, "first", r->first);
    put(object, "next", r->next);
    put(object, "seed", o->seed);
    json_object_set_new(object, "elapsed_s", json_real(seconds_of(r)));
    json_object_set_new(object, "rate_hz", json_real(per_second((double)c->numbers, r)));
    json_object_set_new(object, "frame_hz", json_real(per_second((double)c->frames, r)));
    json_object_set_new(object, "payload_bit_per_s", json_real(per_second(8 * (double)c->bytes, r)));
    json_object_set_new(object, "asked_hz", json_real(asked(r, false)));
    json_object_set_new(object, "asked_bit_per_s", json_real(asked(r, true)));
    put(object, "bursts", r->pace.bursts);
    put(object, "late_bursts", r->pace.late);
    put(object, "longest_late_ns", r->pace.longest_ns);
    put(object, "skipped_ns", r->pace.skipped_ns);
    put(object, "stalls", r->stalls.count);
    put(object, "stalled_ns", r->stalls.total_ns);
    put(object, "longest_stall_ns", r->stalls.longest_ns);
    put(object, "start_ns", r->pace.start_ns);
    put(object, "open_ns", g->opened_ns);
    put(object, "resident_kb", resident_kb());
    json_object_set_new(object, "interrupted", json_boolean(r->interrupted));
    print_line(object);
}

static void print_text(const struct generator *g, const struct run_result *r)
{
    const struct plan_counts *c = &r->counts;
    double bits = per_second(8 * (double)c->bytes, r);
    printf("%" PRIu64 " numbers, %" PRIu64 " frames and %" PRIu64
           " heartbeats in %.3f s: %.6g a second, %.4g Mbit/s of payload\n",
           c->numbers, c->frames, r->heartbeats, seconds_of(r), per_second((double)c->numbers, r), bits * 1e-6);
    printf("lost %" PRIu64 ", duplicated %" PRIu64 ", reordered %" PRIu64 ", late %" PRIu64 ", corrupted %" PRIu64
           "; not taken by the port %" PRIu64 "\n",
           c->fate[PLAN_LOST], c->fate[PLAN_DUPLICATED], c->fate[PLAN_REORDERED], c->fate[PLAN_LATE],
           c->fate[PLAN_CORRUPTED], r->sent.dropped);
    printf("bursts %" PRIu64 ", of them late %" PRIu64 ", at most by %.1f us; not made up for: %.3f ms\n",
           r->pace.bursts, r->pace.late, (double)r->pace.longest_ns * 1e-3, (double)r->pace.skipped_ns * 1e-6);
    if (r->sent.refused > 0) {
        printf("nobody listened %" PRIu64 " times\n", r->sent.refused);
    }
    if (g->transport->about[0] != 0) {
        printf("%s: %s\n", g->transport->ops->name, g->transport->about);
    }
}

void gen_report_run(const struct generator *generator, const struct options *options,
                    const struct run_result *result)
{
    if (generator->options.json || generator->options.control) {
        print_json(generator, options, result);
    } else {
        print_text(generator, result);
    }
}

void gen_report_ready(const struct generator *generator)
{
    json_t *object = json_pack("{s:s,s:s,s:s,s:s}", "event", "ready", "transport", generator->transport->ops->name,
                               "target", generator->options.target, "about", generator->transport->about);
    put(object, "open_ns", generator->opened_ns);
    put(object, "resident_kb", resident_kb());
    print_line(object);
}

void gen_report_error(const char *text)
{
    print_line(json_pack("{s:s,s:s}", "event", "error", "text", text));
}
