#include "ring/measures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/board.h"
#include "ring/histogram.h"

bool measures_add(struct measures *measures, const char *owner, const char *what, const char *board, size_t at,
                  enum measures_kind kind, uint32_t bytes)
{
    if (measures->count >= MEASURES_MAX) {
        return false;
    }
    struct measures_entry *entry = &measures->entry[measures->count];
    int n = snprintf(entry->name, sizeof(entry->name), "%s.%s", owner, what);
    if (n < 0 || (size_t)n >= sizeof(entry->name) || strlen(board) >= sizeof(entry->board) || at > UINT32_MAX) {
        memset(entry, 0, sizeof(*entry));
        return false;
    }
    snprintf(entry->board, sizeof(entry->board), "%s", board);
    entry->at = (uint32_t)at;
    entry->kind = kind;
    entry->bytes = bytes;
    entry->first_word = (uint16_t)measures->words;
    measures->count++;
    return true;
}

bool measures_add_word(struct measures *measures, uint64_t value, const char *text)
{
    if (measures->words >= MEASURES_WORDS_MAX || measures->count == 0 || strlen(text) >= MEASURES_WORD_BYTES) {
        return false;
    }
    struct measures_word *word = &measures->word[measures->words++];
    word->value = value;
    snprintf(word->text, sizeof(word->text), "%s", text);
    measures->entry[measures->count - 1].words++;
    return true;
}

static bool is_text(const char *text, size_t bytes)
{
    return memchr(text, 0, bytes) != NULL;
}

static bool entry_is_sane(const struct measures *measures, const struct measures_entry *entry)
{
    bool number = entry->bytes == 4 || entry->bytes == 8;
    uint32_t align = entry->kind != MEASURES_HISTOGRAM && entry->bytes == 4 ? 4 : 8; /* read in one piece */
    return is_text(entry->name, sizeof(entry->name)) && is_text(entry->board, sizeof(entry->board)) &&
           entry->kind >= MEASURES_HISTOGRAM && entry->kind <= MEASURES_STATE &&
           (entry->kind == MEASURES_HISTOGRAM || number) && entry->at % align == 0 &&
           (uint32_t)entry->first_word + entry->words <= measures->words;
}

int measures_check(const void *base, size_t bytes, struct error *err)
{
    const struct measures *measures = base;
    if (bytes < offsetof(struct measures, entry) || measures->magic != MEASURES_MAGIC ||
        measures->version != MEASURES_VERSION) {
        return error_set(err, -EPROTO,
                         "expected a list of measures of version %u, found another; use the same release on both "
                         "sides",
                         MEASURES_VERSION);
    }
    bool sane = measures->count <= MEASURES_MAX && measures->words <= MEASURES_WORDS_MAX &&
                measures_bytes(measures) <= bytes;
    for (uint32_t i = 0; sane && i < measures->words; i++) {
        sane = is_text(measures->word[i].text, MEASURES_WORD_BYTES);
    }
    for (uint32_t i = 0; sane && i < measures->count; i++) {
        sane = entry_is_sane(measures, &measures->entry[i]);
    }
    return sane ? 0 : error_set(err, -EPROTO, "the server's list of measures is damaged; restart it");
}

int measures_copy(struct measures **copy, const void *base, size_t bytes, struct error *err)
{
    *copy = calloc(1, sizeof(**copy)); /* those are fewer bytes */
    if (*copy == NULL) {
        return -ENOMEM;
    }
    memcpy(*copy, base, bytes < sizeof(**copy) ? bytes : sizeof(**copy));
    int code = measures_check(*copy, bytes, err);
    if (code != 0) {
        free(*copy);
        *copy = NULL;
    }
    return code;
}

static size_t bytes_of(const struct measures_entry *entry)
{
    return entry->kind == MEASURES_HISTOGRAM ? sizeof(struct histogram) : entry->bytes;
}

const void *measures_find(const struct measures_entry *entry, void *const map[], const size_t map_bytes[],
                          uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct board *board = map[i];
        if (map_bytes[i] >= sizeof(*board) && board->magic == BOARD_MAGIC &&
            strncmp(board->name, entry->board, sizeof(board->name)) == 0) {
            bool inside = map_bytes[i] >= bytes_of(entry) && entry->at <= map_bytes[i] - bytes_of(entry);
            return inside ? (const uint8_t *)map[i] + entry->at : NULL;
        }
    }
    return NULL;
}

uint64_t measures_value(const struct measures_entry *entry, const void *place)
{
    if (entry->kind == MEASURES_HISTOGRAM) {
        return ring_count_read(&((const struct histogram *)place)->count);
    }
    return entry->bytes == 8 ? __atomic_load_n((const uint64_t *)place, __ATOMIC_RELAXED)
                             : __atomic_load_n((const uint32_t *)place, __ATOMIC_RELAXED);
}

const char *measures_word_of(const struct measures *measures, const struct measures_entry *entry, uint64_t value)
{
    for (uint32_t i = 0; i < entry->words; i++) {
        if (measures->word[entry->first_word + i].value == value) {
            return measures->word[entry->first_word + i].text;
        }
    }
    return "unknown";
}
