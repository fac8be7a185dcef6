#include "daq/json_line.h"

#include <stdio.h>
#include <string.h>

#include "ring/channel.h"

#define DELETE 0x7f

void json_line_begin(struct json_line *line, char *text, size_t bytes)
{
    *line = (struct json_line){.text = text, .bytes = bytes};
    text[0] = 0;
}

/* All of it or nothing. */
static bool put(struct json_line *line, const char *text, size_t n)
{
    if (line->used + n + 1 > line->bytes) {
        line->cut = true;
        return false;
    }
    memcpy(line->text + line->used, text, n);
    line->used += n;
    line->text[line->used] = 0;
    return true;
}

size_t utf8_character(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0 || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
    bool beyond = s[0] == 0xf4 && s[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : n;
}

bool text_is_line(const char *text, size_t bytes)
{
    if (memchr(text, 0, bytes) == NULL) {
        return false;
    }
    while (*text != 0) {
        const unsigned char *s = (const unsigned char *)text;
        size_t n = utf8_character(text);
        bool control = s[0] < ' ' || s[0] == DELETE || (s[0] == 0xc2 && s[1] < 0xa0);   /* C0, DEL, C1 */
        bool line_end = s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9); /* U+2028, U+2029 */
        if (n == 0 || control || line_end) {
            return false;
        }
        text += n;
    }
    return true;
}

/* One character of a value; how many bytes of it were taken. */
static size_t put_character(struct json_line *line, const char *text)
{
    char escaped[8];
    unsigned char c = (unsigned char)text[0];
    size_t n = utf8_character(text);
    if (n == 0) {
        put(line, "\\ufffd", 6); /* no character: its place is kept */
        return 1;
    }
    if (c == '"' || c == '\\') {
        put(line, (char[2]){'\\', (char)c}, 2);
    } else if (c < ' ' || c == DELETE) {
        snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        put(line, escaped, 6);
    } else {
        put(line, text, n);
    }
    return n;
}

static bool put_key(struct json_line *line, const char *key, size_t value_bytes)
{
    char head[64];
    int n = snprintf(head, sizeof(head), "%s\"%s\":", line->used > 0 ? "," : "", key);
    if (n < 0 || (size_t)n >= sizeof(head) || line->used + (size_t)n + value_bytes + 1 > line->bytes) {
        line->cut = true;
        return false;
    }
    return put(line, head, (size_t)n);
}

/* A value that is too long is cut at a character; the quotes always fit. */
void json_line_text(struct json_line *line, const char *key, const char *value)
{
    if (!put_key(line, key, 2)) {
        return;
    }
    put(line, "\"", 1);
    line->bytes -= 1;
    bool cut_before = line->cut;
    line->cut = false;
    while (*value != 0 && !line->cut) {
        value += put_character(line, value);
    }
    line->cut = line->cut || cut_before;
    line->bytes += 1;
    put(line, "\"", 1);
}

void json_line_count(struct json_line *line, const char *key, uint64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    if (put_key(line, key, (size_t)n)) {
        put(line, text, (size_t)n);
    }
}

void json_line_real(struct json_line *line, const char *key, double value)
{
    char text[40];
    int n = ring_is_not_finite(value) ? snprintf(text, sizeof(text), "null")
                                      : snprintf(text, sizeof(text), "%.17g", value);
    if (put_key(line, key, (size_t)n)) {
        put(line, text, (size_t)n);
    }
}
