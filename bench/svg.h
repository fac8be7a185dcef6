/* Pictures inside an HTML report, drawn by hand: no program, no script, nothing from elsewhere. Colours are
 * classes, so that the report's style can have them light or dark. */
#ifndef BENCH_SVG_H
#define BENCH_SVG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct svg_bar {
    const char *label;
    const char *kind; /* "ours", "floor", "peer": its class */
    double value, min, max;
    bool stalled;
};

struct svg_point {
    double of; /* one of so many values .. */
    double ns; /* .. is above this */
};

struct svg_line {
    const char *label;
    const struct svg_point *point;
    uint32_t points;
    bool is_floor;
};

#define SVG_LINES_MAX 8u

/* Text that means nothing to HTML. */
void svg_text(FILE *to, const char *text);

/* Three digits, or all those before the point. */
void svg_number(char *text, size_t bytes, double value);

/* A bar for each, from nought on; what lies between min and max as a line across its end. */
void svg_bars(FILE *to, const char *title, const char *unit, const struct svg_bar *bars, uint32_t count);

/* Curves of percentiles: to the right more and more nines, upwards the time, both logarithmic; a level line at
 * mark_ns (0: none). */
void svg_percentiles(FILE *to, const char *title, const struct svg_line *lines, uint32_t count, double mark_ns);

#endif
