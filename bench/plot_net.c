#include "bench/plot_net.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>

#include "bench/gnuplot.h"
#include "bench/net_rig.h"
#include "bench/net_search.h"

#define LINE_BIT_S  10e9
#define WIRE_BYTES  24u /* of a frame on a line beside itself: checksum, preamble, the gap behind it */
#define BAR_HALF    0.45
#define WIRE_GAP    0.7 /* in bars */
#define SIZE_GAP    1.6
#define BARS_LEAST  14.0 /* that the axis has room for: a few bars stay bars */
#define BARS_MANY   60u
#define MARK_SHARE  0.98       /* of a bar: a point above is not told from its top */
#define NOWHERE     "-9 1 0\n" /* left of the axis: gnuplot complains of data without a point */
#define PIXELS      "1900,1080"
#define MILLION     1e-6
#define PATHS_LEAST 3u /* rows of the key: those of the lines */

struct bar {
    const struct net_path *path;
    const struct row *rows; /* enum net_value */
    double x;
};

struct drawing {
    struct bar bar[PLAN_CASES_MAX];
    uint32_t bars;
    double low, high; /* of all that is drawn */
    FILE *to;
};

/* One hue for a wire; the lighter one with a reader that follows. */
static const struct colour {
    enum net_wire wire;
    enum net_receiver receiver;
    const char *full, *light;
} colours[] = {
    {NET_MEMIF, NET_OURS, "#0b6e4f", "#7fc4ab"}, {NET_MEMIF_ZERO, NET_OURS, "#1f5fa8", "#9cc3ec"},
    {NET_VHOST, NET_OURS, "#d97706", "#f8c98a"}, {NET_VETH, NET_OURS_XDP, "#7b3fa0", "#cfaee3"},
    {NET_UDP, NET_OURS, "#b3202c", "#ef9aa2"},   {NET_UDP, NET_OURS_GRO, "#c2478f", "#efb3d5"},
    {NET_UDP, NET_PCAP, "#8a8a8a", "#c4c4c4"},   {NET_UDP, NET_PYTHON, "#c4c4c4", "#e4e4e4"},
};

/* A floor has its wire's. */
static const char *colour_of(const struct net_path *path)
{
    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        const struct colour *c = &colours[i];
        if (c->wire == path->wire && (c->receiver == path->receiver || path->is_floor)) {
            return path->read ? c->light : c->full;
        }
    }
    return "#000000";
}

/* Million frames/s. */
static double line_rate(const struct bar *b)
{
    uint32_t bytes = b->rows->size_bytes + (b->path->wire == NET_UDP ? NET_UDP_HEADERS : 0);
    return LINE_BIT_S * MILLION / (8.0 * (bytes + WIRE_BYTES));
}

static void include(struct drawing *d, double value)
{
    if (value > 0) {
        d->low = value < d->low ? value : d->low;
        d->high = value > d->high ? value : d->high;
    }
}

static void place(struct drawing *d, const struct plan *plan)
{
    double x = 0;
    for (uint32_t i = 0; i < plan->case_count; i++) {
        const struct plan_case *c = &plan->cases[i];
        const struct row *rows = &plan->rows[c->first_row];
        if (rows[NET_EXCUSED].runs == 0) {
            continue;
        }
        struct bar *b = &d->bar[d->bars];
        *b = (struct bar){.path = c->question.net, .rows = rows};
        if (d->bars > 0) {
            x += 1 + (b[-1].rows->size_bytes != rows->size_bytes ? SIZE_GAP
                      : b[-1].path->wire != b->path->wire        ? WIRE_GAP
                                                                 : 0);
        }
        b->x = x;
        d->bars++;
        include(d, rows[NET_LOSS_FREE].median);
        include(d, rows[NET_EXCUSED].median);
        include(d, line_rate(b));
    }
}

static void write_head(const struct drawing *d, const struct report *report)
{
    const struct environment *e = report->environment;
    char about[512];
    snprintf(about, sizeof(about),
             "%s, %u cpus, kernel %s, ring pages of %" PRIu64 " KiB; trials of %g s; steal %.1f s", e->machine,
             e->cpus, e->kernel, e->page_bytes / 1024, report->seconds, e->steal_s);
    fprintf(d->to, "set terminal pngcairo size " PIXELS " font 'DejaVu Sans,12' background rgb 'white' noenhanced\n"
                   "set output ");
    gnuplot_string(d->to, report->plot);
    fprintf(d->to,
            "\nset border 3 lw 1.5 lc rgb '#555555'\n"
            "set style textbox opaque noborder fillcolor rgb 'white' margins 0.3,0.3\n"
            "set tics nomirror tc rgb '#333333'\n"
            "set grid ytics lc rgb '#d0d0d0' lt 1 lw 1\n"
            "set title 'sluice-bench net: the highest rate without loss, one core receiving' font ',20' tc rgb "
            "'#111111' offset 0,2.6\n"
            "set label 1 at graph 0.5,1.062 center font ',12' tc rgb '#333333' ");
    gnuplot_string(d->to, about);
    fprintf(d->to,
            "\nset label 2 at graph 0.5,1.03 center font ',11' tc rgb '#555555' 'bars: no more is missing than "
            "came while the receiver''s core was taken away; points, where lower: nothing is missing'\n"
            "set ylabel 'million frames per second'\n"
            "set xlabel 'bytes of an Ethernet frame without its checksum; over UDP on the loopback of a "
            "datagram''s payload'\n");
}

static void write_axes(const struct drawing *d)
{
    const struct bar *last = &d->bar[d->bars - 1];
    double end = last->x > BARS_LEAST ? last->x : BARS_LEAST;
    fprintf(
        d->to,
        "set logscale y\nset yrange [%g:%g]\nset xrange [-1:%g]\n"
        "set ytics ('0.001' 1e-3, '0.002' 2e-3, '0.005' 5e-3, '0.01' 1e-2, '0.02' 2e-2, '0.05' 5e-2, '0.1' 0.1, "
        "'0.2' 0.2, '0.5' 0.5, '1' 1, '2' 2, '5' 5, '10' 10, '20' 20, '50' 50, '100' 100, '200' 200)\n"
        "set xtics scale 0 font ',14' (",
        d->low / 2, d->high * 2, end + 1);
    for (uint32_t i = 0, first = 0; i < d->bars; i++) {
        const struct bar *b = &d->bar[i];
        if (i + 1 == d->bars || b[1].rows->size_bytes != b->rows->size_bytes) {
            fprintf(d->to, "%s'%u' %g", first > 0 ? ", " : "", b->rows->size_bytes, (d->bar[first].x + b->x) / 2);
            first = i + 1;
        }
    }
    fprintf(d->to, ")\nset boxwidth %g\nset tmargin 7\nset bmargin 15\n", 2 * BAR_HALF);
}

/* From the bar `first` on: to the last one for which `same` holds. */
static uint32_t last_of(const struct drawing *d, uint32_t first,
                        bool (*same)(const struct bar *, const struct bar *))
{
    uint32_t last = first;
    while (last + 1 < d->bars && same(&d->bar[first], &d->bar[last + 1])) {
        last++;
    }
    return last;
}

static bool same_line(const struct bar *a, const struct bar *b)
{
    return a->rows->size_bytes == b->rows->size_bytes && (a->path->wire == NET_UDP) == (b->path->wire == NET_UDP);
}

static bool same_group(const struct bar *a, const struct bar *b)
{
    return a->rows->size_bytes == b->rows->size_bytes && a->path->wire == b->path->wire;
}

/* Level lines: beginning, height, length. */
static void write_lines(const struct drawing *d)
{
    fprintf(d->to, "$line << EOD\n");
    for (uint32_t i = 0; i < d->bars;) {
        uint32_t last = last_of(d, i, same_line);
        fprintf(d->to, "%g %g %g\n", d->bar[i].x - 0.6, line_rate(&d->bar[i]), d->bar[last].x - d->bar[i].x + 1.2);
        i = last + 1;
    }
    fprintf(d->to, "EOD\n$floor << EOD\n" NOWHERE);
    for (uint32_t i = 0; i < d->bars; i++) {
        const struct bar *b = &d->bar[i];
        uint32_t last = last_of(d, i, same_group);
        if (b->path->is_floor && b->rows[NET_EXCUSED].median > 0) {
            fprintf(d->to, "%g %g %g\n", b->x - BAR_HALF, b->rows[NET_EXCUSED].median,
                    d->bar[last].x - b->x + 2 * BAR_HALF);
        }
    }
    fprintf(d->to, "EOD\n$strict << EOD\n" NOWHERE);
    for (uint32_t i = 0; i < d->bars; i++) {
        const struct row *rows = d->bar[i].rows;
        if (rows[NET_LOSS_FREE].median > 0 && rows[NET_LOSS_FREE].median < MARK_SHARE * rows[NET_EXCUSED].median) {
            fprintf(d->to, "%g %g\n", d->bar[i].x, rows[NET_LOSS_FREE].median);
        }
    }
    fprintf(d->to, "EOD\n");
}

static bool has_bars(const struct drawing *d, const struct net_path *path)
{
    for (uint32_t i = 0; i < d->bars; i++) {
        if (d->bar[i].path == path) {
            return true;
        }
    }
    return false;
}

/* The bars of each path: where, how high, and what is written above. Nothing was good: a 0 on the axis. */
static void write_bars(const struct drawing *d)
{
    const struct net_path *path;
    for (uint32_t n = 0; (path = net_path_at(n)) != NULL; n++) {
        if (!has_bars(d, path)) {
            continue;
        }
        fprintf(d->to, "$path%u << EOD\n", n);
        for (uint32_t i = 0; i < d->bars; i++) {
            const struct bar *b = &d->bar[i];
            if (b->path == path) {
                double value = b->rows[NET_EXCUSED].median;
                fprintf(d->to, "%g %g %.3g\n", b->x, value > 0 ? value : d->low / 2, value);
            }
        }
        fprintf(d->to, "EOD\n");
    }
}

static uint32_t paths_of(const struct drawing *d, enum net_wire wire)
{
    const struct net_path *path;
    uint32_t paths = 0;
    for (uint32_t n = 0; (path = net_path_at(n)) != NULL; n++) {
        paths += path->wire == wire && has_bars(d, path);
    }
    return paths;
}

/* Entries of the key without a picture: each wire begins a column. */
static void pad_key(const struct drawing *d, uint32_t from, uint32_t to)
{
    for (; from < to; from++) {
        fprintf(d->to, "NaN with points pt 0 lc rgb 'white' title ' ', ");
    }
}

static void plot_path(const struct drawing *d, const struct net_path *path, uint32_t number, bool many)
{
    const char *colour = colour_of(path);
    fprintf(d->to, "$path%u using 1:2 with boxes fs solid %d ", number, path->is_floor ? 0 : 1);
    fprintf(d->to, path->is_floor ? "border lc rgb '%s' lw 2" : "noborder lc rgb '%s'", colour);
    fprintf(d->to, " title '%s', ", path->variant);
    fprintf(d->to,
            "$path%u using 1:($2*1.05):(sprintf('%%.3g', $3)) with labels left rotate by 90 font ',%d' tc rgb "
            "'#222222' notitle, ",
            number, many ? 8 : 11);
}

static void write_plot(const struct drawing *d)
{
    uint32_t rows = PATHS_LEAST;
    const struct net_path *path;
    for (uint32_t n = 0; (path = net_path_at(n)) != NULL; n++) {
        uint32_t paths = paths_of(d, path->wire);
        rows = paths > rows ? paths : rows;
    }
    fprintf(d->to,
            "set key at graph 0.5,-0.13 center top vertical maxrows %u Left reverse samplen 1.5 spacing 1.2 font "
            "',11' width 1\nplot ",
            rows);
    enum net_wire wire = 0;
    uint32_t used = 0; /* of the key's column */
    for (uint32_t n = 0; (path = net_path_at(n)) != NULL; n++) {
        if (!has_bars(d, path)) {
            continue;
        }
        if (wire != 0 && path->wire != wire) {
            pad_key(d, used, rows);
            used = 0;
        }
        wire = path->wire;
        used++;
        plot_path(d, path, n, d->bars > BARS_MANY);
    }
    pad_key(d, used, rows);
    fprintf(d->to,
            "$floor using 1:2:3:(0) with vectors nohead lw 1.5 lc rgb '#000000' title 'the floor of its wire', "
            "$strict using 1:2 with points pt 7 ps 0.8 lc rgb '#000000' title 'nothing missing at all', "
            "$line using 1:2:3:(0) with vectors nohead lw 2.5 dt 2 lc rgb '#e00000' title 'line rate of 10 GbE', "
            "$line using 1:2:(sprintf('%%.3g', $2)) with labels left boxed offset 0,0.6 font ',9' tc rgb '#e00000' "
            "notitle\n");
}

int plot_net(const struct plan *plan, const struct report *report, struct error *err)
{
    static struct drawing d; /* too large for a stack */
    d = (struct drawing){.low = HUGE_VAL, .high = 0};
    place(&d, plan);
    if (d.bars == 0) {
        return error_set(err, -ENODATA, "there is nothing to draw in %s: no measurement gave a result",
                         report->plot);
    }
    d.to = gnuplot_begin(err);
    if (d.to == NULL) {
        return -ENOMEM;
    }
    write_head(&d, report);
    write_axes(&d);
    write_lines(&d);
    write_bars(&d);
    write_plot(&d);
    return gnuplot_draw(d.to, report->plot, err);
}
