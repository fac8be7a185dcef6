/* Line and column of a key: libcyaml tells them for its own errors only, ours need them as well. Cold. */
#ifndef DAQ_CONFIG_WHERE_H
#define DAQ_CONFIG_WHERE_H

#include <stdbool.h>
#include <stddef.h>

/* Parses the text once more with libyaml. NULL if it cannot. *more: whether another document follows. */
void *config_where_load(const char *text, size_t bytes, bool *more);
void config_where_free(void *document);

/* Place of "sources[1].channels[0].at_byte", or of the nearest key above it that is there. Counted from 1. Leaves
 * line and column alone if document is NULL. */
void config_where(void *document, const char *path, unsigned *line, unsigned *column);

/* Moves the place forward to the first mapping key of this name at or behind it; leaves it alone if there is none.
 */
void config_where_key(void *document, const char *key, unsigned *line, unsigned *column);

#endif
