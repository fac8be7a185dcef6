/* What a run has done, for a person or for a program. Cold. */
#ifndef TOOLS_GEN_REPORT_H
#define TOOLS_GEN_REPORT_H

#include "tools/gen/generator.h"

/* With --json one line on standard output, else some. */
void gen_report_run(const struct generator *generator, const struct options *options,
                    const struct run_result *result);

/* --control: the port is open. */
void gen_report_ready(const struct generator *generator);

/* --control: this line could not be done. */
void gen_report_error(const char *text);

#endif
