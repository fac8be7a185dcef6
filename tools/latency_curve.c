/* The percentile curves as text: to the right by what is left to 1, as HdrHistogram's plots are, upwards by the
 * logarithm of the time. Every curve has a sign of its own, so that a terminal without colours shows all. */
#include <math.h>
#include <string.h>

#include "tools/latency.h"
#include "tools/top_page.h"

#define LABEL_COLUMNS 8u /* to the left of the axis */
#define ROWS_LEAST    6u
#define ROWS_MOST     60u
#define COLUMNS_LEAST 40u
#define COLUMNS_MOST  200u
#define ROWS_FOR_FIVE 6    /* to a power of ten: enough for 2 and 5 between */
#define LIMIT_FAR     2.0  /* powers of ten above the highest value: a limit so far away is not drawn */
#define LOW_SHARE     0.05 /* the field begins there: a few values far below would take it all */
#define LEGEND_ACROSS 2u

struct curves {
    const struct latency_line *line[LATENCY_CURVES_MAX];
    uint32_t lines;
    uint32_t more;          /* that there was no room for */
    unsigned rows, columns; /* of the field */
    double low, high;       /* log10 of ns, at its edges */
    double right;           /* log10 of 1 / (1 - share) */
    struct page page;
    uint8_t point[PAGE_ROWS_MAX][PAGE_COLUMNS_MAX]; /* a bit for each curve */
};

static const uint16_t glyphs[2][LATENCY_CURVES_MAX] = {
    {'o', 'x', '*', '#', '@', '%', '&', '='},
    {0x25cf, 0x25cb, 0x25a0, 0x25a1, 0x25b2, 0x25b3, 0x25c6, 0x25c7}, /* discs, squares, triangles, diamonds */
};

enum shape { SHAPE_UP, SHAPE_TICK, SHAPE_CORNER, SHAPE_LEVEL, SHAPE_CROSS, SHAPE_LIMIT, SHAPE_DOT, SHAPES };
static const uint16_t shapes[2][SHAPES] = {
    {'|', '+', '+', '-', '+', '-', '.'},
    {0x2502, 0x2524, 0x2514, 0x2500, 0x252c, 0x254c, 0xb7},
};

static void put(struct curves *c, unsigned row, unsigned column, uint16_t code)
{
    if (row < c->page.rows && column < c->page.columns) {
        c->page.cell[row][column].code = code;
    }
}

static uint16_t shape(const struct curves *c, enum shape which)
{
    return shapes[c->page.utf8][which];
}

/* In the page. */
static unsigned row_of(const struct curves *c, double log_ns)
{
    double share = (c->high - log_ns) / (c->high - c->low);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return 1 + (unsigned)lround(share * (c->rows - 1));
}

static double log_of(uint64_t ns)
{
    return log10(ns > 0 ? (double)ns : 1);
}

/* The next 1, 2 or 5 times a power of ten, downwards or upwards. */
static double round_out(double log_ns, bool up)
{
    static const double steps[] = {0, 0.30103, 0.69897, 1};
    double whole = floor(log_ns + 1e-9);
    unsigned i = up ? 0 : 3;
    while (up ? whole + steps[i] < log_ns - 1e-6 : whole + steps[i] > log_ns + 1e-6) {
        i = up ? i + 1 : i - 1;
    }
    return whole + steps[i];
}

static void take_lines(struct curves *c, const struct latency_view *view)
{
    uint64_t count = 100;
    double low = HUGE_VAL;
    double high = 0;
    for (uint32_t i = 0; i < view->lines; i++) {
        const struct latency_line *line = &view->line[i];
        if (line->values->count == 0 || line->idle) {
            continue;
        }
        if (c->lines == LATENCY_CURVES_MAX) {
            c->more++;
            continue;
        }
        c->line[c->lines++] = line;
        count = line->values->count > count ? line->values->count : count;
        low = fmin(low, log_of(hist_quantile_ns(line->values, LOW_SHARE)));
        high = fmax(high, log_of(line->values->max_ns));
    }
    double top = high;
    for (uint32_t i = 0; i < c->lines; i++) {
        double limit = log_of(c->line[i]->values->limit_ns);
        if (c->line[i]->values->limit_ns > 0 && limit < high + LIMIT_FAR) {
            low = fmin(low, limit);
            top = fmax(top, limit);
        }
    }
    c->right = log10((double)count);
    c->low = round_out(low, false);
    c->high = round_out(top, true);
    c->high = c->high > c->low ? c->high : c->low + 1;
}

static void time_words(double log_ns, char text[32])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int thousands = (int)floor((log_ns + 1e-6) / 3);
    thousands = thousands < 0 ? 0 : thousands > 3 ? 3 : thousands;
    snprintf(text, 32, "%.0f %s", pow(10, log_ns - 3 * thousands), units[thousands]);
}

static void draw_level(struct curves *c, double log_ns)
{
    char text[32];
    unsigned row = row_of(c, log_ns);
    time_words(log_ns, text);
    page_field(&c->page, row, 0, -(int)LABEL_COLUMNS + 1, PAGE_PLAIN, text);
    put(c, row, LABEL_COLUMNS, shape(c, SHAPE_TICK));
    for (unsigned i = 2; i < c->columns; i += 3) {
        put(c, row, LABEL_COLUMNS + 1 + i, shape(c, SHAPE_DOT));
    }
}

static void draw_frame(struct curves *c)
{
    for (unsigned row = 1; row <= c->rows; row++) {
        put(c, row, LABEL_COLUMNS, shape(c, SHAPE_UP));
    }
    bool fives = (c->rows - 1) / (c->high - c->low) >= ROWS_FOR_FIVE;
    for (int power = (int)floor(c->low); power <= (int)ceil(c->high); power++) {
        static const double steps[] = {0, 0.30103, 0.69897};
        for (unsigned i = 0; i < (fives ? 3 : 1); i++) {
            double level = power + steps[i];
            if (level > c->low - 1e-6 && level < c->high + 1e-6) {
                draw_level(c, level);
            }
        }
    }
    put(c, c->rows + 1, LABEL_COLUMNS, shape(c, SHAPE_CORNER));
    for (unsigned i = 0; i < c->columns; i++) {
        put(c, c->rows + 1, LABEL_COLUMNS + 1 + i, shape(c, SHAPE_LEVEL));
    }
}

/* Percentiles below the axis, as many as do not run into each other. */
static void draw_percentiles(struct curves *c)
{
    unsigned free = 0;
    for (int nines = 0; nines <= (int)(c->right + 1e-9); nines++) {
        char text[24] = "0%";
        if (nines > 0) {
            snprintf(text, sizeof(text), "%.*f%%", nines > 2 ? nines - 2 : 0, 100 - pow(10, 2 - nines));
        }
        unsigned column = LABEL_COLUMNS + 1 + (unsigned)lround(nines / c->right * (c->columns - 1));
        unsigned length = (unsigned)strlen(text);
        unsigned from = column - length / 2;
        from = from + length > c->page.columns ? c->page.columns - length : from;
        put(c, c->rows + 1, column, shape(c, SHAPE_CROSS));
        if (from >= free) {
            page_put(&c->page, c->rows + 2, from, PAGE_PLAIN, "%s", text);
            free = from + length + 1;
        }
    }
}

/* -1: there is none, or it is out of the field. */
static double limit_of(const struct curves *c, uint32_t n)
{
    uint64_t limit_ns = c->line[n]->values->limit_ns;
    double limit = log_of(limit_ns);
    return limit_ns > 0 && limit < c->high + 1e-6 ? limit : -1;
}

static void draw_limits(struct curves *c)
{
    for (uint32_t i = 0; i < c->lines; i++) {
        double limit = limit_of(c, i);
        for (unsigned k = 0; limit >= 0 && k < c->columns; k++) {
            put(c, row_of(c, limit), LABEL_COLUMNS + 1 + k, shape(c, SHAPE_LIMIT));
        }
    }
}

/* Over everything else: few curves are late at so low a share. */
static void name_limits(struct curves *c)
{
    for (uint32_t i = 0; i < c->lines; i++) {
        double limit = limit_of(c, i);
        if (limit >= 0) {
            double us = (double)c->line[i]->values->limit_ns / 1e3;
            page_put(&c->page, row_of(c, limit), LABEL_COLUMNS + 2, PAGE_PLAIN, " late: over %g %s ",
                     us < 1e3 ? us : us / 1e3, us < 1e3 ? "us" : "ms");
        }
    }
}

/* What the curve crosses between two columns, where nothing else is. */
static void connect_rows(struct curves *c, unsigned column, unsigned from, unsigned to)
{
    unsigned top = from < to ? from : to;
    unsigned bottom = from < to ? to : from;
    for (unsigned row = top + 1; row < bottom; row++) {
        put(c, row, LABEL_COLUMNS + 1 + column, shape(c, SHAPE_UP));
    }
}

static void draw_curve(struct curves *c, uint32_t n)
{
    const struct histogram *values = c->line[n]->values;
    double end = log10((double)values->count);
    unsigned last = (unsigned)(end / c->right * (c->columns - 1) + 1e-9);
    unsigned before = 0;
    for (unsigned column = 0; column <= last && column < c->columns; column++) {
        double share = 1 - pow(10, -c->right * column / (c->columns - 1));
        double level = log_of(column == last ? values->max_ns : hist_quantile_ns(values, share));
        unsigned row = row_of(c, level);
        if (column > 0) {
            connect_rows(c, column, before, row);
        }
        if (level > c->low - 1e-6) {
            c->point[row][column] |= (uint8_t)(1u << n);
        }
        before = row;
    }
}

/* Curves that lie on each other take turns. */
static void draw_points(struct curves *c)
{
    for (unsigned row = 1; row <= c->rows; row++) {
        for (unsigned column = 0; column < c->columns; column++) {
            unsigned bits = c->point[row][column];
            if (bits == 0) {
                continue;
            }
            for (unsigned skip = column % (unsigned)__builtin_popcount(bits); skip > 0; skip--) {
                bits &= bits - 1;
            }
            put(c, row, LABEL_COLUMNS + 1 + column, glyphs[c->page.utf8][__builtin_ctz(bits)]);
        }
    }
}

static void draw_legend(struct curves *c)
{
    unsigned row = c->rows + 3;
    unsigned width = c->page.columns / LEGEND_ACROSS;
    for (uint32_t i = 0; i < c->lines; i++) {
        unsigned column = i % LEGEND_ACROSS * width;
        put(c, row + i / LEGEND_ACROSS, column, glyphs[c->page.utf8][i]);
        page_field(&c->page, row + i / LEGEND_ACROSS, column + 2, (int)width - 3, PAGE_PLAIN, c->line[i]->name);
    }
    if (c->more > 0) {
        page_put(&c->page, c->page.rows - 1, 0, PAGE_PLAIN, "and %u more: choose with --hop", c->more);
    }
}

static unsigned within(unsigned value, unsigned least, unsigned most)
{
    return value < least ? least : value > most ? most : value;
}

void latency_curve(const struct latency_view *view, const struct terminal *terminal, FILE *to)
{
    static struct curves c; /* too large for a stack */
    static char text[PAGE_LINE_BYTES];
    char span[48];
    memset(&c, 0, sizeof(c));
    take_lines(&c, view);
    latency_span(view->seconds, span);
    if (c.lines == 0) {
        fprintf(to, "%s: nothing was counted %s %s\n", view->at->instance,
                view->interval ? "in the" : "since the start,", span);
        return;
    }
    unsigned below = 2 + (c.lines + LEGEND_ACROSS - 1) / LEGEND_ACROSS + (c.more > 0);
    unsigned rows = within(terminal->rows - 1, ROWS_LEAST + 1 + below, ROWS_MOST); /* one is the prompt's */
    page_init(&c.page, rows, within(terminal->columns, COLUMNS_LEAST, COLUMNS_MOST), terminal->utf8);
    c.rows = rows - 1 - below;
    c.columns = c.page.columns - LABEL_COLUMNS - 1;
    page_put(&c.page, 0, 0, PAGE_PLAIN, "%s: latency by percentile, %s%s", view->at->instance,
             view->interval ? "of an interval of " : "since the start, ", span);
    draw_frame(&c);
    draw_percentiles(&c);
    draw_limits(&c);
    for (uint32_t i = 0; i < c.lines; i++) {
        draw_curve(&c, i);
    }
    draw_points(&c);
    name_limits(&c);
    draw_legend(&c);
    for (unsigned row = 0; row < rows; row++) {
        page_text(&c.page, row, text);
        fprintf(to, "%s\n", text);
    }
}
