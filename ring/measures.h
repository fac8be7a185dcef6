/* The list of everything that a server counts and measures of itself: what it is called, and in which board it
 * lies. A sealed segment of its own, written once by the server before anybody is given it, so that who looks from
 * outside needs to know no board's struct. Change anything here -> MEASURES_VERSION, tests/ring/layout.golden,
 * CHANGELOG.md.
 */
#ifndef RING_MEASURES_H
#define RING_MEASURES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/error.h"
#include "ring/layout.h"

#define MEASURES_MAGIC      UINT64_C(0x315341454d4c5353) /* "SSLMEAS1" */
#define MEASURES_VERSION    1u
#define MEASURES_MAX        512u
#define MEASURES_WORDS_MAX  32u
#define MEASURES_NAME_BYTES 64u
#define MEASURES_WORD_BYTES 16u

enum measures_kind {
    MEASURES_HISTOGRAM = 1, /* a struct histogram */
    MEASURES_COUNTER = 2,   /* only grows while its process lives */
    MEASURES_GAUGE = 3,
    MEASURES_STATE = 4 /* one of the words from first_word on */
};

/* All by the server. */
struct measures_entry {
    char name[MEASURES_NAME_BYTES]; /* "control.trips": a stable key */
    char board[RING_NAME_BYTES];    /* whose board it lies in .. */
    uint32_t at;                    /* .. bytes from its start */
    uint32_t kind;                  /* enum measures_kind */
    uint32_t bytes;                 /* of a number: 4 or 8 */
    uint16_t first_word;            /* of a state */
    uint16_t words;
    uint64_t period_ns; /* of a histogram: the schedule that it should keep; 0: none, or not known */
    uint64_t reserved;
};
static_assert(sizeof(struct measures_entry) == 128, "two lines each");

struct measures_word {
    uint64_t value;
    char text[MEASURES_WORD_BYTES];
};

struct measures {
    uint64_t magic;
    uint32_t version;
    uint32_t count; /* of entry[] */
    uint32_t words; /* of word[] */
    uint32_t reserved;
    char instance[RING_NAME_BYTES];
    uint64_t reserved2;
    struct measures_word word[MEASURES_WORDS_MAX];
    struct measures_entry entry[MEASURES_MAX]; /* the segment ends behind the last one */
};
static_assert(offsetof(struct measures, word) == 64 && offsetof(struct measures, entry) % 64 == 0, "no padding");

/* What there is of it. */
static inline size_t measures_bytes(const struct measures *measures)
{
    return offsetof(struct measures, entry) + measures->count * sizeof(measures->entry[0]);
}

/* The server: adds one. False: there is no room for it, or its name is too long. The memory begins as zeros. */
bool measures_add(struct measures *measures, const char *owner, const char *what, const char *board, size_t at,
                  enum measures_kind kind, uint32_t bytes);

/* The server: a word of the state that was added last. False: no room. */
bool measures_add_word(struct measures *measures, uint64_t value, const char *text);

/* Others: is this such a list, and nothing in it out of bounds? 0 or -EPROTO. */
int measures_check(const void *base, size_t bytes, struct error *err);

/* The same of a copy, which nobody changes any more: *copy is to be freed. 0, -EPROTO or -ENOMEM. */
int measures_copy(struct measures **copy, const void *base, size_t bytes, struct error *err);

/* Where an entry lies: in that of the maps [0 .. count) that is the board it names, which must reach so far. NULL:
 * in none of them. */
const void *measures_find(const struct measures_entry *entry, void *const map[], const size_t map_bytes[],
                          uint32_t count);

/* Its number now, or that of a histogram's values. `place`: measures_find()'s. */
uint64_t measures_value(const struct measures_entry *entry, const void *place);

/* The word for a value, "unknown" if there is none. */
const char *measures_word_of(const struct measures *measures, const struct measures_entry *entry, uint64_t value);

#endif
