#include "bench/report_readers.h"

#include <inttypes.h>
#include <math.h>

static const char *ratio(double value, char text[16])
{
    snprintf(text, 16, isfinite(value) ? "%.2f" : "-", value);
    return text;
}

static void print_row(const struct row *r, FILE *to)
{
    char floor[16];
    char peer[16];
    char stall[16];
    snprintf(stall, sizeof(stall), r->stall_us < 0 ? "-" : "%.0f", r->stall_us);
    fprintf(to, "%s%-16s %-20s %5u %10.4g %-12s %10.4g %10.4g %4u %7s %7s %8s", report_mark(r), r->name, r->variant,
            r->size_bytes, r->median, r->unit, r->min, r->max, r->runs, ratio(r->floor_ratio, floor),
            ratio(r->peer_ratio, peer), stall);
    if (r->lost > 0) {
        fprintf(to, "  lost %" PRIu64 " of %" PRIu64, r->lost, r->lost + r->frames);
    }
    fprintf(to, r->wrong > 0 ? "  WRONG VALUES" : "");
    fprintf(to, r->note != NULL ? "  %s\n" : "\n", r->note);
}

void report_readers_table(const struct plan *plan, const struct report *report, FILE *to)
{
    (void)plan;
    report_head(report, to);
    fprintf(
        to,
        "%s\n"
        "sum: of all values of a ring, memory: without one; flow: what is consumed at 10 Gbit/s; overhead: a "
        "batch, "
        "a view of it, whether it is still whole\n"
        "impact: of the writer, as fast as it can and at 10 Gbit/s, its ratio: to itself without them; readings: "
        "ten million, until their mean and deviation are there\n"
        "a ratio is the median over the rounds of value / floor, value / best peer\n\n"
        "  %-16s %-20s %5s %10s %-12s %10s %10s %4s %7s %7s %8s\n",
        report->ends, "name", "variant", "bytes", "median", "unit", "min", "max", "runs", "/floor", "/peer",
        "stall us");
    for (uint32_t i = 0; i < report->row_count; i++) {
        if (report->rows[i].runs > 0) {
            print_row(&report->rows[i], to);
        }
    }
    report_stalls(report, to);
    report_skipped(report, to);
}
