#include "bench/svg.h"

#include <math.h>
#include <string.h>

#define WIDTH       800.0
#define BAR_HIGH    14.0
#define BAR_STEP    20.0
#define BARS_FROM   190.0
#define BARS_TO     640.0
#define BARS_TOP    30.0
#define PLOT_LEFT   64.0
#define PLOT_RIGHT  590.0
#define PLOT_TOP    30.0
#define PLOT_BOTTOM 300.0
#define PLOT_HIGH   340.0
#define KEY_LEFT    604.0
#define KEY_STEP    18.0
#define DECADES_MAX 10

void svg_text(FILE *to, const char *text)
{
    for (; *text != 0; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", to);
            break;
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        case '\'':
            fputs("&#39;", to);
            break;
        default:
            fputc(*text, to);
        }
    }
}

void svg_number(char *text, size_t bytes, double value)
{
    bool is_large = fabs(value) >= 1000 && fabs(value) < 1e9;
    snprintf(text, bytes, is_large ? "%.0f" : "%.3g", value);
}

static void write_word(FILE *to, double x, double y, const char *anchor, const char *word)
{
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    svg_text(to, word);
    fputs("</text>", to);
}

static void begin(FILE *to, double high, const char *title)
{
    fprintf(to, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\"><title>", WIDTH, high);
    svg_text(to, title);
    fputs("</title>", to);
    fputs("<g class=\"title\">", to);
    write_word(to, 0, 16, "start", title);
    fputs("</g>", to);
}

static double most_of(const struct svg_bar *bars, uint32_t count)
{
    double most = 0;
    for (uint32_t i = 0; i < count; i++) {
        most = fmax(most, fmax(bars[i].value, bars[i].max));
    }
    return most > 0 ? most : 1;
}

static void draw_bar(FILE *to, const struct svg_bar *bar, double y, double scale)
{
    char value[40];
    char whole[48];
    svg_number(value, sizeof(value), bar->value);
    snprintf(whole, sizeof(whole), "%s%s", value, bar->stalled ? " !" : "");
    write_word(to, BARS_FROM - 8, y + BAR_HIGH - 3, "end", bar->label);
    fprintf(to, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", bar->kind, BARS_FROM,
            y, fmax(bar->value * scale, 0), BAR_HIGH);
    if (bar->max > bar->min) {
        fprintf(to, "<path class=\"spread\" d=\"M%.1f %.1fH%.1f\"/>", BARS_FROM + bar->min * scale,
                y + BAR_HIGH / 2, BARS_FROM + bar->max * scale);
    }
    write_word(to, BARS_FROM + fmax(bar->value, bar->max) * scale + 8, y + BAR_HIGH - 3, "start", whole);
}

void svg_bars(FILE *to, const char *title, const char *unit, const struct svg_bar *bars, uint32_t count)
{
    double scale = (BARS_TO - BARS_FROM) / most_of(bars, count);
    char whole[160];
    snprintf(whole, sizeof(whole), "%s, %s", title, unit);
    begin(to, BARS_TOP + BAR_STEP * count + 4, whole);
    for (uint32_t i = 0; i < count; i++) {
        draw_bar(to, &bars[i], BARS_TOP + BAR_STEP * i, scale);
    }
    fprintf(to, "<path class=\"axis\" d=\"M%.1f %.1fV%.1f\"/></svg>\n", BARS_FROM, BARS_TOP - 4,
            BARS_TOP + BAR_STEP * count);
}

/* Both axes in decades. */
struct frame {
    double right;     /* of 1 / (1 - share) */
    double low, high; /* of ns */
};

static struct frame frame_of(const struct svg_line *lines, uint32_t count, double mark_ns)
{
    struct frame f = {
        .right = 2, .low = mark_ns > 0 ? log10(mark_ns) : 3, .high = mark_ns > 0 ? log10(mark_ns) : 3};
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < lines[i].points; k++) {
            const struct svg_point *p = &lines[i].point[k];
            f.right = fmin(fmax(f.right, log10(p->of)), DECADES_MAX);
            f.low = fmin(f.low, log10(fmax(p->ns, 1)));
            f.high = fmax(f.high, log10(fmax(p->ns, 1)));
        }
    }
    f.low = floor(f.low);
    f.high = fmax(ceil(f.high + 0.05), f.low + 1);
    return f;
}

static double x_of(const struct frame *f, double decade)
{
    return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * fmin(fmax(decade, 0), f->right) / f->right;
}

static double y_of(const struct frame *f, double ns)
{
    double decade = log10(fmax(ns, 1));
    return PLOT_BOTTOM - (PLOT_BOTTOM - PLOT_TOP) * (decade - f->low) / (f->high - f->low);
}

static void write_time(char *text, size_t bytes, double ns)
{
    double value = ns >= 1e9 ? ns / 1e9 : ns >= 1e6 ? ns / 1e6 : ns >= 1e3 ? ns / 1e3 : ns;
    snprintf(text, bytes, "%g %s", value, ns >= 1e9 ? "s" : ns >= 1e6 ? "ms" : ns >= 1e3 ? "us" : "ns");
}

static void draw_axes(FILE *to, const struct frame *f)
{
    char text[32];
    for (int decade = (int)f->low; decade <= (int)f->high; decade++) {
        double y = y_of(f, pow(10, decade));
        write_time(text, sizeof(text), pow(10, decade));
        fprintf(to, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", PLOT_LEFT, y, PLOT_RIGHT);
        write_word(to, PLOT_LEFT - 8, y + 4, "end", text);
    }
    for (int nines = 0; nines <= (int)f->right; nines++) {
        double x = x_of(f, nines);
        snprintf(text, sizeof(text), "%.*f %%", nines > 2 ? nines - 2 : 0, 100 - 100 / pow(10, nines));
        fprintf(to, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", x, PLOT_TOP, PLOT_BOTTOM);
        write_word(to, x, PLOT_BOTTOM + 18, "middle", text);
    }
    write_word(to, (PLOT_LEFT + PLOT_RIGHT) / 2, PLOT_BOTTOM + 36, "middle", "of all values are not above");
}

static void draw_line(FILE *to, const struct frame *f, const struct svg_line *line, uint32_t number)
{
    fprintf(to, "<path class=\"line c%u%s\" d=\"", number, line->is_floor ? " bare" : "");
    for (uint32_t k = 0; k < line->points; k++) {
        const struct svg_point *p = &line->point[k];
        fprintf(to, "%s%.1f %.1f", k == 0 ? "M" : "L", x_of(f, log10(fmax(p->of, 1))), y_of(f, p->ns));
    }
    fputs("\"/>", to);
    double y = PLOT_TOP + KEY_STEP * number + 8;
    fprintf(to, "<path class=\"line c%u%s\" d=\"M%.1f %.1fh18\"/>", number, line->is_floor ? " bare" : "", KEY_LEFT,
            y);
    write_word(to, KEY_LEFT + 24, y + 4, "start", line->label);
}

void svg_percentiles(FILE *to, const char *title, const struct svg_line *lines, uint32_t count, double mark_ns)
{
    struct frame f = frame_of(lines, count, mark_ns);
    begin(to, PLOT_HIGH, title);
    draw_axes(to, &f);
    if (mark_ns > 0) {
        char text[32];
        write_time(text, sizeof(text), mark_ns);
        fprintf(to, "<path class=\"mark\" d=\"M%.1f %.1fH%.1f\"/>", PLOT_LEFT, y_of(&f, mark_ns), PLOT_RIGHT);
        write_word(to, PLOT_LEFT + 4, y_of(&f, mark_ns) - 4, "start", text);
    }
    for (uint32_t i = 0; i < count && i < SVG_LINES_MAX; i++) {
        draw_line(to, &f, &lines[i], i);
    }
    fputs("</svg>\n", to);
}
