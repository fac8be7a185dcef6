/* A result beside an older one. */
#ifndef BENCH_COMPARE_REPORT_H
#define BENCH_COMPARE_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "bench/compare.h"
#include "bench/document.h"

#define COMPARE_DIFFERENCES_MAX 48u

struct compare_entry {
    const struct json_t *row; /* of the new result */
    struct compare_row sides;
    struct compare_judgement judgement;
};

struct comparison {
    const char *path;    /* of the old result */
    const char *started; /* when it was taken */
    struct compare_entry entry[DOCUMENT_ROWS_MAX];
    uint32_t entries;
    uint32_t counts[COMPARE_VERDICTS];
    uint32_t added;                             /* rows that the old one has not .. */
    uint32_t gone;                              /* .. and that the new one has not, of questions both have */
    char differs[COMPARE_DIFFERENCES_MAX][256]; /* between the machines and the parameters */
    uint32_t differences;
};

/* The question of a row: what it says itself, or its document. */
const char *compare_question_of(const struct json_t *document, const struct json_t *row);

/* Rows of `question` in a document; NULL: of any. */
uint32_t compare_rows_of(const struct json_t *document, const char *question);

/* NULL with err: no memory, or they have no question in common. Both documents outlive it; free() ends it. */
struct comparison *compare_documents(const struct json_t *old, const struct json_t *now, const char *path,
                                     struct error *err);

void compare_print(const struct comparison *comparison, FILE *to);

#endif
