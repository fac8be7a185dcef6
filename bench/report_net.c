#include "bench/report_net.h"

#include <inttypes.h>
#include <math.h>

#include "bench/net_search.h"

#define LIMIT_SHARE 0.97 /* of what the generator can offer: the path might do more */

static const char *ratio(double value, char text[16])
{
    snprintf(text, 16, isfinite(value) ? "%.2f" : "-", value);
    return text;
}

static void print_case(const struct row *rows, FILE *to)
{
    const struct row *r = &rows[NET_LOSS_FREE];
    char floor[16];
    char peer[16];
    char taken_floor[16];
    const struct row *excused = &rows[NET_EXCUSED];
    bool limited = excused->median >= LIMIT_SHARE * rows[NET_OFFERED].median;
    fprintf(to, "%s%-20s %5u %s%9.4g %9.4g %9.4g %7s %7s %9.4g %9.4g %7s %8.0f %7.0f %8.0f %12" PRIu64 "%s%s\n",
            report_mark(r), r->variant, r->size_bytes, limited ? ">" : " ", r->median, excused->median,
            excused->median * r->size_bytes * 8e-3, ratio(excused->floor_ratio, floor),
            ratio(excused->peer_ratio, peer), rows[NET_OFFERED].median, rows[NET_TAKEN].median,
            ratio(rows[NET_TAKEN].floor_ratio, taken_floor), rows[NET_TRIALS].median, rows[NET_REPEATED].median,
            r->stall_us, r->frames, r->wrong > 0 ? "  WRONG FRAMES" : "",
            limited ? "  as much as the generator can" : "");
}

void report_net_table(const struct plan *plan, const struct report *report, FILE *to)
{
    report_head(report, to);
    fprintf(
        to,
        "%s\nthe highest rate of which nothing was lost, by bisection; a trial that lost frames in a stall "
        "longer than the wire's buffers last is repeated\nunstalled: the same, but frames may be missing that came "
        "while the receiver's core was taken away; Gbit/s and the ratios behind it are of this\noffered, taken: "
        "when the generator offers all it can; the ratio behind it is of what was taken then\nbytes: of an "
        "Ethernet "
        "frame, of a datagram's payload over UDP on the loopback (recvmmsg, udp, pcap, python)\naf_packet, afxdp: "
        "a "
        "veth pair, where the kernel's half of receiving runs on the generator's core\nverified: frames whose "
        "every byte the reader checked in place\n\n"
        "  %-20s %5s  %9s %9s %9s %7s %7s %9s %9s %7s %8s %7s %8s %12s\n",
        report->ends, "loss_free", "bytes", "million/s", "unstalled", "Gbit/s", "/floor", "/peer", "offered",
        "taken", "/floor", "trials", "repeat", "stall us", "verified");
    for (uint32_t i = 0; i < plan->case_count; i++) {
        const struct row *rows = &plan->rows[plan->cases[i].first_row];
        if (rows->runs > 0) {
            print_case(rows, to);
        }
    }
    report_stalls(report, to);
    report_skipped(report, to);
    if (report->plot != NULL) {
        fprintf(to, "picture: %s\n", report->plot);
    }
}
