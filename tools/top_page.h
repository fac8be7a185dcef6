/* A page of character cells that the views of `sluice top` fill and that is then printed or shown. Cold.
 *
 * What comes from shared memory goes through page_put: no control character and nothing that is not printable gets
 * into a cell, and no line gets wider than the page.
 */
#ifndef TOOLS_TOP_PAGE_H
#define TOOLS_TOP_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_ROWS_MAX    200u
#define PAGE_COLUMNS_MAX 400u
#define PAGE_LINE_BYTES  (PAGE_COLUMNS_MAX * 3 + 1)

/* A word or an attribute says whatever a colour says: GOOD, WARN and BAD may all look alike. */
enum page_look { PAGE_PLAIN = 0, PAGE_BOLD = 1, PAGE_INVERSE = 2, PAGE_GOOD = 4, PAGE_WARN = 8, PAGE_BAD = 16 };

struct page_cell {
    uint16_t code; /* Unicode, below 0x80 unless the page is utf8 */
    uint8_t look;  /* enum page_look, several */
    uint8_t reserved;
};

struct page {
    unsigned rows;
    unsigned columns;
    bool utf8; /* the terminal shows more than ASCII */
    struct page_cell cell[PAGE_ROWS_MAX][PAGE_COLUMNS_MAX];
};

/* Blank, and of at most the size that there is room for. */
void page_init(struct page *page, unsigned rows, unsigned columns, bool utf8);

/* Writes from there on; what does not fit is cut off, and '~' stands in its last place. The column behind it. */
__attribute__((format(printf, 5, 6))) unsigned page_put(struct page *page, unsigned row, unsigned column,
                                                        unsigned look, const char *format, ...);

/* Writes a text that may take several rows, up to `end`: it goes on in the next one at column 3. The row behind it.
 */
unsigned page_wrap(struct page *page, unsigned row, unsigned end, unsigned column, unsigned look, const char *text);

/* Writes in a field of so many columns, flush left; width below 0: flush right. The column behind it and a blank.
 */
unsigned page_field(struct page *page, unsigned row, unsigned column, int width, unsigned look, const char *text);

/* One cell of a bar: 0 (nothing) to 8 (full); anything else: there was no good value. */
void page_bar(struct page *page, unsigned row, unsigned column, unsigned look, unsigned level);

/* Adds to the look of a whole row. */
void page_row_look(struct page *page, unsigned row, unsigned look);

/* A row as text without the blanks at its end. */
void page_text(const struct page *page, unsigned row, char text[PAGE_LINE_BYTES]);

#endif
