#include "bench/report_daq.h"

#include <inttypes.h>
#include <math.h>

#include "bench/daq_rig.h"

static const char *number(double value, char text[16])
{
    snprintf(text, 16, isfinite(value) ? "%.3g" : "-", value);
    return text;
}

static void print_case(const struct plan_case *c, const struct row *rows, FILE *to)
{
    const struct daq_path *path = c->question.daq;
    char calls[16];
    char floor[16];
    char peer[16];
    const struct row *cpu = &rows[DAQ_CPU_PERCENT];
    fprintf(to, "%s%-14s %4u %7u %9.3g %6.1f %6.1f %6.1f %7s %7s %8s %9.1f %9.1f %9.0f %9" PRIu64 "%s\n",
            report_mark(rows), path->variant, path->sources, path->rate_hz, rows[DAQ_LOST].median, cpu->min,
            cpu->median, cpu->max, number(cpu->floor_ratio, floor), number(cpu->peer_ratio, peer),
            number(rows[DAQ_CALLS].median, calls), rows[DAQ_LATE_P50].median, rows[DAQ_LATE_P99].median,
            rows[DAQ_LATE_MAX].median, cpu->frames, cpu->wrong > 0 ? "  WRONG SAMPLES" : "");
}

void report_daq_table(const struct plan *plan, const struct report *report, FILE *to)
{
    report_head(report, to);
    fprintf(to,
            "%s\nsamples one by one at a steady rate, each written and stamped on its own; polls of small files\n"
            "lost: of a million samples, of polls those that were due and not kept\n"
            "cpu: of a core, all threads of the receiver's process, min, median, max of the runs; ratios of the "
            "medians\n"
            "calls: system calls for each sample, counted by the kernel in a time of their own\n"
            "late: from the write to the stamp, of polls behind the schedule; us, medians of the runs\n\n"
            "  %-14s %4s %7s %9s %6s %6s %6s %7s %7s %8s %9s %9s %9s %9s\n",
            report->ends, "", "of", "Hz", "lost ppm", "cpu %", "cpu %", "cpu %", "/floor", "/peer", "calls",
            "late p50", "late p99", "late max", "samples");
    for (uint32_t i = 0; i < plan->case_count; i++) {
        const struct row *rows = &plan->rows[plan->cases[i].first_row];
        if (rows->runs > 0) {
            print_case(&plan->cases[i], rows, to);
        }
    }
    report_stalls(report, to);
    report_skipped(report, to);
}
