/* sluice latency --plot: the percentile curves as a picture. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "tools/gnuplot.h"
#include "tools/latency.h"

#define US_NS      1000.0
#define PLOT_STEPS 40u  /* of a curve, to each power of ten */
#define LOW_SHARE  0.05 /* the field begins there: a few values far below would take it all */
#define WIDTH      1400u
#define HEIGHT     900u

/* The processor's name, as the kernel has it. */
static void machine_words(char *text, size_t bytes)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(text, bytes, "unknown machine");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':') != NULL) {
            line[strcspn(line, "\n")] = 0;
            const char *from = strchr(line, ':') + 1;
            snprintf(text, bytes, "%s", from + strspn(from, " "));
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* Where, when, of what. */
static void about_words(const struct latency_view *view, char *text, size_t bytes)
{
    struct utsname kernel;
    char machine[128];
    char when[48] = "";
    struct tm tm;
    time_t now = time(NULL);
    uint64_t count = 0;
    for (uint32_t i = 0; i < view->lines; i++) {
        count += view->line[i].corrected ? 0 : view->line[i].values->count;
    }
    machine_words(machine, sizeof(machine));
    if (uname(&kernel) != 0) {
        snprintf(kernel.release, sizeof(kernel.release), "unknown");
    }
    if (gmtime_r(&now, &tm) != NULL) {
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
    }
    snprintf(text, bytes, "%s, %ld cpus, kernel %s; %s; %" PRIu64 " values", machine, sysconf(_SC_NPROCESSORS_ONLN),
             kernel.release, when, count);
}

static bool is_drawn(const struct latency_line *line)
{
    return line->values->count > 0 && !line->idle;
}

/* Of a curve: 1 / (1 - share), and us. Ends at the highest value. */
static void write_points(const struct histogram *values, FILE *to)
{
    double end = log10((double)values->count);
    for (uint32_t i = 0; i < end * PLOT_STEPS; i++) {
        double inverse = pow(10, (double)i / PLOT_STEPS);
        fprintf(to, "%.6g %.3f\n", inverse, (double)hist_quantile_ns(values, 1 - 1 / inverse) / US_NS);
    }
    fprintf(to, "%.6g %.3f\n", (double)values->count, (double)values->max_ns / US_NS);
}

/* log10 of the right edge, and of both others in us. */
struct edges {
    double right, low, high;
};

static struct edges edges_of(const struct latency_view *view)
{
    struct edges e = {.right = 100, .low = HUGE_VAL, .high = 0.001};
    for (uint32_t i = 0; i < view->lines; i++) {
        const struct histogram *values = view->line[i].values;
        if (values->count > 0) {
            double limit = (double)values->limit_ns / US_NS;
            double least = (double)hist_quantile_ns(values, LOW_SHARE) / US_NS;
            e.right = fmax(e.right, (double)values->count);
            e.low = fmin(e.low, fmax(least, 0.001));
            e.high = fmax(e.high, fmax((double)values->max_ns / US_NS, limit));
            e.low = limit > 0 ? fmin(e.low, limit) : e.low;
        }
    }
    return e;
}

static void write_head(const struct latency_view *view, const char *path, FILE *to)
{
    char about[512];
    char span[48];
    char title[160];
    about_words(view, about, sizeof(about));
    latency_span(view->seconds, span);
    snprintf(title, sizeof(title), "%s: latency by percentile, %s%s", view->at->instance,
             view->interval ? "an interval of " : "since the start, ", span);
    gnuplot_terminal(to, path, WIDTH, HEIGHT);
    fprintf(to, "set border 3 lw 1.5 lc rgb '#555555'\nset tics nomirror tc rgb '#333333'\n"
                "set grid xtics ytics lc rgb '#d8d8d8' lt 1 lw 1\nset tmargin 5\nset title ");
    gnuplot_string(to, title);
    fprintf(to, " noenhanced font ',18' tc rgb '#111111' offset 0,1.2\nset label 1 at graph 0.5,1.025 center "
                "noenhanced font ',11' tc rgb '#555555' ");
    gnuplot_string(to, about);
    fprintf(to, "\nset ylabel 'latency'\n");
}

static void write_axes(const struct edges *e, FILE *to)
{
    static const char *const times[] = {"1 ns",  "10 ns",  "100 ns", "1 µs", "10 µs", "100 µs", "1 ms",
                                        "10 ms", "100 ms", "1 s",    "10 s", "100 s", "1000 s"};
    fprintf(
        to,
        "set logscale xy\nset xrange [1:%g]\nset yrange [%g:%g]\nset xtics ('0 %%%%' 1, '50 %%%%' 2, '90 %%%%' 10",
        e->right * 1.15, e->low / 1.5, e->high * 1.6);
    for (int nines = 2; pow(10, nines) <= e->right * 1.15; nines++) {
        fprintf(to, ", '%.*f %%%%' 1e%d", nines - 2, 100 - pow(10, 2 - nines), nines);
    }
    fprintf(to, ")\nset ytics (");
    for (int i = 0; i < (int)(sizeof(times) / sizeof(times[0])); i++) {
        fprintf(to, "%s'%s' 1e%d, '' 2e%d 1, '' 5e%d 1", i > 0 ? ", " : "", times[i], i - 3, i - 3, i - 3);
    }
    fprintf(to, ")\nset key outside bottom center horizontal Left reverse noenhanced samplen 2.5 spacing 1.3 font "
                "',11' tc rgb '#222222'\n");
}

/* Every limit once; it is the budget of those whose curves are drawn. */
static bool is_first_limit(const struct latency_view *view, uint32_t n)
{
    uint64_t limit_ns = view->line[n].values->limit_ns;
    for (uint32_t i = 0; i < n; i++) {
        if (view->line[i].values->count > 0 && view->line[i].values->limit_ns == limit_ns) {
            return false;
        }
    }
    return limit_ns > 0 && view->line[n].values->count > 0;
}

static void write_limits(const struct latency_view *view, FILE *to)
{
    for (uint32_t i = 0; i < view->lines; i++) {
        if (is_first_limit(view, i)) {
            double us = (double)view->line[i].values->limit_ns / US_NS;
            char words[HOP_NAME_BYTES + 48];
            snprintf(words, sizeof(words), "late: over %g %s, %s", us < 1e3 ? us : us / 1e3, us < 1e3 ? "µs" : "ms",
                     view->line[i].hop->name);
            fprintf(to,
                    "set arrow from graph 0,first %g to graph 1,first %g nohead lc rgb '#d00000' lw 2 dt 2\n"
                    "set label at graph 0.01,first %g offset 0,0.6 noenhanced tc rgb '#d00000' font ',11' ",
                    us, us, us);
            gnuplot_string(to, words);
            fprintf(to, "\n");
        }
    }
}

static void write_curves(const struct latency_view *view, FILE *to)
{
    static const char *const colours[] = {"#1f5fa8", "#d97706", "#0b6e4f", "#7b3fa0", "#b3202c", "#2f9e9e",
                                          "#8a6d3b", "#c2478f", "#444444", "#6aa84f", "#3d85c6", "#e06666"};
    const char *comma = "plot ";
    uint32_t hop = 0; /* its corrected line has its colour; one in two is broad, and shows below the next */
    for (uint32_t i = 0; i < view->lines; i++) {
        const struct latency_line *line = &view->line[i];
        hop += i > 0 && !line->corrected;
        if (is_drawn(line)) {
            fprintf(to, "%s$line%u using 1:2 with lines lw %g lc rgb '%s' dt %u title ", comma, i,
                    hop % 2 == 0 ? 4.0 : 2.0, colours[hop % (sizeof(colours) / sizeof(colours[0]))],
                    line->corrected                              ? 3u
                    : hop < sizeof(colours) / sizeof(colours[0]) ? 1u
                                                                 : 5u);
            gnuplot_string(to, line->name);
            comma = ", ";
        }
    }
    fprintf(to, "\n");
}

int latency_write_plot(const struct latency_view *view, const char *path, struct error *err)
{
    struct edges edges = edges_of(view);
    if (edges.low > edges.high) {
        return error_set(err, -ENODATA, "there is nothing to draw in %s: no hop has counted a value", path);
    }
    FILE *to = gnuplot_begin(err);
    if (to == NULL) {
        return -ENOMEM;
    }
    write_head(view, path, to);
    write_axes(&edges, to);
    write_limits(view, to);
    for (uint32_t i = 0; i < view->lines; i++) {
        if (is_drawn(&view->line[i])) {
            fprintf(to, "$line%u << EOD\n", i);
            write_points(view->line[i].values, to);
            fprintf(to, "EOD\n");
        }
    }
    write_curves(view, to);
    int code = gnuplot_draw_whole(to, path, err);
    if (code == 0) {
        printf("%s: drawn\n", path);
    }
    return code;
}
