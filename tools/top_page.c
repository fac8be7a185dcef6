#include "tools/top_page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 2048

void page_init(struct page *page, unsigned rows, unsigned columns, bool utf8)
{
    page->rows = rows < PAGE_ROWS_MAX ? rows : PAGE_ROWS_MAX;
    page->columns = columns < PAGE_COLUMNS_MAX ? columns : PAGE_COLUMNS_MAX;
    page->utf8 = utf8;
    for (unsigned row = 0; row < PAGE_ROWS_MAX; row++) {
        for (unsigned column = 0; column < PAGE_COLUMNS_MAX; column++) {
            page->cell[row][column] = (struct page_cell){.code = ' '};
        }
    }
}

/* The letters that units are written with: Latin-1 and Greek, each one column wide. A list of what is good: the
 * rest of Unicode has characters that turn the writing round, join others or move the cursor. */
static bool is_letter(unsigned code)
{
    return (code >= 0xa1 && code <= 0xff && code != 0xad) || (code >= 0x391 && code <= 0x3c9 && code != 0x3a2);
}

/* The next character of a text, or '?' for one that is not to be shown. */
static uint16_t next_code(const struct page *page, const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    unsigned bytes = 1;
    while ((at[0] & 0xc0) == 0xc0 && bytes < 4 && (at[bytes] & 0xc0) == 0x80) {
        bytes++;
    }
    *text += bytes;
    if (bytes == 1) {
        return at[0] >= 0x20 && at[0] < 0x7f ? at[0] : '?';
    }
    unsigned code = (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
    bool two = bytes == 2 && (at[0] & 0xe0) == 0xc0;
    return page->utf8 && two && is_letter(code) ? (uint16_t)code : '?';
}

static unsigned put_until(struct page *page, unsigned row, unsigned column, unsigned end, unsigned look,
                          const char *text)
{
    end = end < page->columns ? end : page->columns;
    while (*text != 0 && row < page->rows && column < end) {
        page->cell[row][column++] = (struct page_cell){.code = next_code(page, &text), .look = (uint8_t)look};
    }
    if (*text != 0 && row < page->rows && column == end && end > 0) {
        page->cell[row][end - 1].code = '~';
    }
    return column;
}

unsigned page_put(struct page *page, unsigned row, unsigned column, unsigned look, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return put_until(page, row, column, page->columns, look, text);
}

/* Bytes of the text that the columns take, up to the last blank if it does not end there. */
static size_t fitting(const struct page *page, const char *text, unsigned columns)
{
    const char *at = text;
    size_t blank = 0;
    for (unsigned n = 0; n < columns && *at != 0; n++) {
        blank = *at == ' ' ? (size_t)(at - text) : blank;
        next_code(page, &at);
    }
    return *at == 0 || *at == ' ' || blank == 0 ? (size_t)(at - text) : blank;
}

unsigned page_wrap(struct page *page, unsigned row, unsigned end, unsigned column, unsigned look, const char *text)
{
    char part[TEXT_BYTES];
    while (row + 1 < end && column < page->columns && *text != 0) {
        size_t bytes = fitting(page, text, page->columns - column);
        bytes = bytes < sizeof(part) - 1 ? bytes : sizeof(part) - 1;
        memcpy(part, text, bytes);
        part[bytes] = 0;
        put_until(page, row++, column, page->columns, look, part);
        text += bytes + (text[bytes] == ' ');
        column = 3;
    }
    if (row < end && *text != 0) {
        put_until(page, row++, column, page->columns, look, text);
    }
    return row;
}

unsigned page_field(struct page *page, unsigned row, unsigned column, int width, unsigned look, const char *text)
{
    unsigned wide = (unsigned)(width < 0 ? -width : width);
    const char *rest = text;
    unsigned length = 0;
    while (*rest != 0 && length < wide) {
        next_code(page, &rest);
        length++;
    }
    put_until(page, row, column + (width < 0 ? wide - length : 0), column + wide, look, text);
    return column + wide + 1;
}

void page_bar(struct page *page, unsigned row, unsigned column, unsigned look, unsigned level)
{
    static const char ascii[] = " .:-=+*%#";
    if (row < page->rows && column < page->columns) {
        unsigned code = level > 8 ? 'x' : !page->utf8 || level == 0 ? (unsigned char)ascii[level] : 0x2580 + level;
        page->cell[row][column] = (struct page_cell){.code = (uint16_t)code, .look = (uint8_t)look};
    }
}

void page_row_look(struct page *page, unsigned row, unsigned look)
{
    for (unsigned column = 0; row < page->rows && column < page->columns; column++) {
        page->cell[row][column].look |= (uint8_t)look;
    }
}

void page_text(const struct page *page, unsigned row, char text[PAGE_LINE_BYTES])
{
    size_t used = 0;
    size_t end = 0;
    for (unsigned column = 0; row < page->rows && column < page->columns; column++) {
        unsigned code = page->cell[row][column].code;
        if (code < 0x80) {
            text[used++] = (char)code;
        } else if (code < 0x800) {
            text[used++] = (char)(0xc0 | code >> 6);
            text[used++] = (char)(0x80 | (code & 0x3f));
        } else {
            text[used++] = (char)(0xe0 | code >> 12);
            text[used++] = (char)(0x80 | (code >> 6 & 0x3f));
            text[used++] = (char)(0x80 | (code & 0x3f));
        }
        end = code != ' ' ? used : end;
    }
    text[end] = 0;
}
