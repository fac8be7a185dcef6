/* One message per failure, built where the fact is known, printed once at the top. */
#ifndef RING_ERROR_H
#define RING_ERROR_H

#include <stdarg.h>
#include <stdio.h>

#define ERROR_TEXT_BYTES 512

struct error {
    char text[ERROR_TEXT_BYTES]; /* empty: no error; says what was expected, what was found, what to do */
};

/* Formats into err (NULL: dropped) and returns code, so that `return error_set(err, -EINVAL, ..)` is one line. */
__attribute__((format(printf, 3, 4))) static inline int error_set(struct error *err, int code, const char *format,
                                                                  ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
    }
    return code;
}

#endif
