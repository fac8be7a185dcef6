/* Pictures by the program gnuplot, told by a script on its standard input. */
#ifndef TOOLS_GNUPLOT_H
#define TOOLS_GNUPLOT_H

#include <stdbool.h>
#include <stdio.h>

#include "ring/error.h"

/* Before anything is measured: can there be a picture in this file? 0; -EINVAL: its name does not end in .png;
 * -errno. */
int gnuplot_ready(const char *path, struct error *err);

/* The same for .png and .svg. */
int gnuplot_ready_any(const char *path, struct error *err);

/* A script to be written to, and drawn by gnuplot_draw, which closes it. NULL with err. */
FILE *gnuplot_begin(struct error *err);
int gnuplot_draw(FILE *script, const char *path, struct error *err);

/* The other way: a script that begins with the terminal for the file's name and says nothing of an output. The
 * picture is looked at and then written, whole or not at all; gnuplot does not tell of a full disk. */
void gnuplot_terminal(FILE *script, const char *path, unsigned width, unsigned height);
int gnuplot_draw_whole(FILE *script, const char *path, struct error *err);

/* A string of gnuplot's, in quotes: nothing in it means anything to gnuplot. */
void gnuplot_string(FILE *script, const char *text);

#endif
