/* What a program that prints may know of the terminal it prints to. Cold. */
#ifndef TOOLS_TERMINAL_H
#define TOOLS_TERMINAL_H

#include <stdbool.h>

struct terminal {
    unsigned columns, rows;
    bool utf8;   /* the locale's characters are UTF-8 */
    bool cursor; /* it is one, and can go back to its first line */
};

/* Standard output. What is no terminal has the size that COLUMNS and LINES say, else 80 by 24. Sets the locale of
 * characters. */
void terminal_look(struct terminal *terminal);

#endif
