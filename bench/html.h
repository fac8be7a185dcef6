/* A result as one HTML file that holds all it needs and runs no script. */
#ifndef BENCH_HTML_H
#define BENCH_HTML_H

#include <stdio.h>

#include "bench/compare_report.h"
#include "ring/error.h"

/* Before anything is measured: can it be written? 0 or -errno. */
int html_ready(const char *path, struct error *err);

/* comparison NULL: there is none. 0 or -errno. */
int html_write(const struct json_t *document, const struct comparison *comparison, const char *path,
               struct error *err);

/* A section for each question. html_rows.c */
void html_questions(const struct json_t *document, FILE *to);

/* Cells of a table; class "": none. A number that is none is a dash. */
void html_cell(FILE *to, const char *class, const char *text);
void html_number(FILE *to, const char *prefix, double value);
void html_whole(FILE *to, double value);

/* The pictures of one question. html_plots.c */
void html_plots(const struct json_t *document, const char *question, FILE *to);

#endif
