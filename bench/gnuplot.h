/* Pictures are drawn as the tools draw theirs. */
#ifndef BENCH_GNUPLOT_H
#define BENCH_GNUPLOT_H

#include "tools/gnuplot.h"

#endif
