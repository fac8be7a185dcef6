#include "bench/report_record.h"

#include <inttypes.h>
#include <math.h>

#include "bench/disk_rig.h"

static const char *number(double value, const char *format_of_none, int digits, char text[16])
{
    if (isfinite(value)) {
        snprintf(text, 16, "%.*f", digits, value);
        return text;
    }
    return format_of_none;
}

/* A value that this way has not is not there. */
static double value_of(const struct plan_case *c, const struct row *rows, enum disk_value value)
{
    return (uint32_t)value < c->row_count ? rows[value].median : (double)NAN;
}

static void print_case(const struct plan_case *c, const struct row *rows, FILE *to)
{
    char text[7][16];
    const struct row *rate = &rows[DISK_THROUGHPUT];
    fprintf(to, "%s%-18s %8.0f %8.0f %8.0f %6s %8s %7s %6s %8s %8s %8s %10" PRIu64 "%s", report_mark(rows),
            rate->variant, rate->min, rate->median, rate->max, number(rate->floor_ratio, "-", 2, text[0]),
            number(value_of(c, rows, DISK_PAYLOAD), "-", 0, text[1]),
            number(value_of(c, rows, DISK_CPU_PERCENT), "-", 1, text[2]),
            number(value_of(c, rows, DISK_CPU_PER_GB), "-", 3, text[3]),
            number(value_of(c, rows, DISK_PSS_KB), "-", 0, text[4]),
            number(value_of(c, rows, DISK_DURABLE_MS), "-", 0, text[5]),
            number(value_of(c, rows, DISK_LOST), "-", 0, text[6]), rate->frames,
            rate->wrong > 0 ? "  WRONG FRAMES" : "");
    fprintf(to, rate->note != NULL ? "  %s\n" : "\n", rate->note);
}

void report_record_table(const struct plan *plan, const struct report *report, FILE *to)
{
    report_head(report, to);
    fprintf(
        to,
        "%s\nMB/s: onto the disk, min, median, max of the runs; of hdf5 into its file; the ratio to fio, or to "
        "libhdf5 alone\n"
        "payload: of the frames, MB/s; cpu: of a core, all threads of the process; PSS: without the ring\n"
        "durable: the longest that anything waited until it was synced; lost: no room in the ring at that rate, "
        "or missing in the recording\n"
        "read: frames that were read back and are right\n\n"
        "  %-18s %8s %8s %8s %6s %8s %7s %6s %8s %8s %8s %10s\n",
        report->ends, "", "MB/s min", "MB/s", "max", "/peer", "payload", "cpu %", "s/GB", "PSS KiB", "durable",
        "lost", "read");
    for (uint32_t i = 0; i < plan->case_count; i++) {
        const struct row *rows = &plan->rows[plan->cases[i].first_row];
        if (rows->runs > 0) {
            print_case(&plan->cases[i], rows, to);
        }
    }
    report_stalls(report, to);
    report_skipped(report, to);
}
