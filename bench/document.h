/* A result as JSON: what --json writes, what --html draws, what --compare and --from read. */
#ifndef BENCH_DOCUMENT_H
#define BENCH_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/environment.h"
#include "ring/error.h"

struct bench_part;
struct json_t;

#define DOCUMENT_BYTES_MAX ((uint64_t)64 << 20)
#define DOCUMENT_ROWS_MAX  4096u

struct document_about {
    const char *bench;   /* the subcommand */
    const char *command; /* how to do it again */
    const char *started; /* UTC */
    const struct environment *environment;
    bool interrupted;
};

/* The caller releases it with document_drop(). */
struct json_t *document_make(const struct document_about *about, const struct bench_part *parts,
                             uint32_t part_count);
void document_drop(struct json_t *document);

/* Writes to the file, or to standard output if path is "-". 0, or -errno with err. */
int document_write(const struct json_t *document, const char *path, struct error *err);

/* NULL with err: it cannot be read, or is none of ours. After this every member that is looked at has the type that
 * it should have, and every text is printable. */
struct json_t *document_read(const char *path, const char *option, struct error *err);

#endif
