/* The chain that runs through an audit log. Each line ends with a hash (FNV-1a, 64 bit) over the hash of the line
 * before it and over itself, so that a line that was changed, taken out, put in or moved is seen. It is no
 * protection against a forger: whoever may write the file can calculate the hashes anew. A site that needs that
 * sends the log to another machine as it is written. Cold. */
#ifndef DAQ_AUDIT_CHAIN_H
#define DAQ_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define AUDIT_LINE_BYTES  2048u /* at most, newline included */
#define AUDIT_CHAIN_BYTES 28u   /* of ,"chain":"0123456789abcdef"} */

/* The hash of a line, given all of it in front of ,"chain": and the hash of the line before. Pure. */
uint64_t audit_chain(uint64_t previous, const char *line, size_t bytes);

/* Writes ,"chain":"..."} into to[AUDIT_CHAIN_BYTES + 1]. */
void audit_chain_format(char to[AUDIT_CHAIN_BYTES + 1], uint64_t chain);

/* Takes a whole line without its newline apart: its own hash, and how many bytes stand in front of it. False: it is
 * no line of an audit log. Pure. */
bool audit_chain_parse(const char *line, size_t bytes, uint64_t *chain, size_t *body_bytes);

/* The number behind a key of a line, such as "n" or "torn_bytes"; 0 if it is not there. Pure. */
uint64_t audit_number(const char *line, const char *key);

/* The hash that the first line of a file says it follows, in its key "follows"; 0 if there is none. Pure. */
uint64_t audit_follows(const char *line);

struct audit_verdict {
    uint64_t lines;    /* that were looked at */
    uint64_t torn;     /* that a server's end cut, as the line after each says */
    uint64_t bad_line; /* the first one that does not fit, counted from 1; 0: all fit */
    uint64_t lost;     /* entries that the log itself says are missing (a full disk, a full queue) */
    const char *what;  /* what does not fit */
};

/* Reads a log from where it stands to its end. 0, or -errno if it cannot be read. */
int audit_verify(FILE *file, struct audit_verdict *verdict);

#endif
