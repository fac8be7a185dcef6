/* One JSON object on one line, written into the caller's buffer: for the audit log, which a small writer of its own
 * keeps free of any library. Whatever comes in, what goes out is valid JSON in valid UTF-8. Cold. */
#ifndef DAQ_JSON_LINE_H
#define DAQ_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_line {
    char *text; /* always ended by a 0 */
    size_t bytes;
    size_t used;
    bool cut; /* a value or a whole member did not fit */
};

/* Begins without a brace: members only, each with a comma in front but the first. */
void json_line_begin(struct json_line *line, char *text, size_t bytes);
void json_line_text(struct json_line *line, const char *key, const char *value);
void json_line_count(struct json_line *line, const char *key, uint64_t value);
/* null if it is not finite: JSON has no NaN. */
void json_line_real(struct json_line *line, const char *key, double value);

/* Bytes of the UTF-8 character that begins here, 1 to 4; 0: none does (or the text ends). */
size_t utf8_character(const char *text);

/* A line that a person may have typed: valid UTF-8, no control characters, ended within `bytes`. */
bool text_is_line(const char *text, size_t bytes);

#endif
