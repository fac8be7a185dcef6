/* A configuration's text, compiled as `sluice check` does it. */
#ifndef DAQ_COMPILE_TEXT_H
#define DAQ_COMPILE_TEXT_H

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daq/compile.h"

static struct server_plan plan;
static struct config_errors errors;

/* What compile_config says. The plan is full of something else before: whatever a test reads there was put there.
 */
__attribute__((format(printf, 1, 2))) static inline int compile_format(const char *format, ...)
{
    char path[] = "/tmp/sluice-config-XXXXXX";
    struct config_file file;
    va_list args;
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    va_start(args, format);
    cr_assert_geq(vdprintf(fd, format, args), 0);
    va_end(args);
    close(fd);
    memset(&errors, 0, sizeof(errors));
    memset(&plan, 0xa5, sizeof(plan));
    int code = config_load(&file, path, &errors);
    if (code == 0) {
        code = compile_config(&file, &plan, &errors);
    }
    config_unload(&file);
    unlink(path);
    return code;
}

#endif
