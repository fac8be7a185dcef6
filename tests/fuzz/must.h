/* An assertion of fuzz programs that no build leaves out, and that libFuzzer takes for a crash. Unlike an assert it
 * may have an effect. */
#ifndef FUZZ_MUST_H
#define FUZZ_MUST_H

#include <stdio.h>

#define must(condition)                                                                                            \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                \
            __builtin_trap();                                                                                      \
        }                                                                                                          \
    } while (0)

#endif
