/* "90s", "30m", "8h": how an operator says for how long. Cold. */
#ifndef TOOLS_DURATION_H
#define TOOLS_DURATION_H

#include <stdbool.h>
#include <stdint.h>

/* A whole number and its unit: s, m, h. False: it is none, or 0, or longer than a year. */
bool duration_parse(const char *text, uint64_t *ns);

/* "12 s", "3 min 20 s", "2 h 5 min": time that is left, in words. */
void duration_words(double seconds, char text[48]);

#endif
