#include "daq/audit_chain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static const char chain_head[] = ",\"chain\":\"";

uint64_t audit_chain(uint64_t previous, const char *line, size_t bytes)
{
    char text[17];
    uint64_t hash = FNV_START;
    snprintf(text, sizeof(text), "%016" PRIx64, previous);
    for (size_t i = 0; i < 16; i++) {
        hash = (hash ^ (unsigned char)text[i]) * FNV_PRIME;
    }
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ (unsigned char)line[i]) * FNV_PRIME;
    }
    return hash;
}

void audit_chain_format(char to[AUDIT_CHAIN_BYTES + 1], uint64_t chain)
{
    snprintf(to, AUDIT_CHAIN_BYTES + 1, "%s%016" PRIx64 "\"}", chain_head, chain);
}

/* Sixteen lower-case digits, nothing else. */
static bool take_hex(const char *text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = text[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return false;
        }
        *value = *value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

bool audit_chain_parse(const char *line, size_t bytes, uint64_t *chain, size_t *body_bytes)
{
    if (bytes <= AUDIT_CHAIN_BYTES || line[0] != '{') {
        return false;
    }
    const char *tail = line + bytes - AUDIT_CHAIN_BYTES;
    size_t head_bytes = sizeof(chain_head) - 1;
    *body_bytes = bytes - AUDIT_CHAIN_BYTES;
    return memcmp(tail, chain_head, head_bytes) == 0 && take_hex(tail + head_bytes, chain) &&
           memcmp(tail + head_bytes + 16, "\"}", 2) == 0;
}

/* Keys are looked for as written by us: a quote within a value is always escaped, so this is never inside one. */
static const char *value_of(const char *line, const char *key)
{
    char wanted[48];
    snprintf(wanted, sizeof(wanted), "\"%s\":", key);
    const char *at = strstr(line, wanted);
    return at != NULL ? at + strlen(wanted) : NULL;
}

uint64_t audit_number(const char *line, const char *key)
{
    const char *value = value_of(line, key);
    return value != NULL ? strtoull(value, NULL, 10) : 0;
}

uint64_t audit_follows(const char *line)
{
    const char *value = value_of(line, "follows");
    uint64_t chain = 0;
    return value != NULL && value[0] == '"' && strlen(value) > 17 && take_hex(value + 1, &chain) ? chain : 0;
}

struct reading {
    uint64_t previous;
    uint64_t number;     /* of the last good line */
    size_t torn_bytes;   /* of the lines since then that are none */
    uint64_t torn_lines; /* how many these are */
    uint64_t torn_line;  /* the first of them */
    bool begun;
};

static const char *judge(struct reading *r, struct audit_verdict *verdict, const char *line, size_t bytes)
{
    uint64_t chain;
    size_t body_bytes;
    if (!audit_chain_parse(line, bytes, &chain, &body_bytes)) {
        r->torn_line = r->torn_lines == 0 ? verdict->lines : r->torn_line;
        r->torn_bytes += bytes;
        r->torn_lines++;
        return NULL; /* the next line says whether a server was ended while it wrote it */
    }
    if (r->torn_lines > 0 && (r->torn_lines > 1 || audit_number(line, "torn_bytes") != r->torn_bytes)) {
        verdict->lines = r->torn_line;
        return "is no line of an audit log, and the line after it does not say that it was cut";
    }
    r->previous = r->begun ? r->previous : audit_follows(line);
    if (audit_chain(r->previous, line, body_bytes) != chain) {
        return "does not follow from the line before it: one of the two was changed, or lines between them are "
               "gone";
    }
    verdict->torn += r->torn_lines;
    verdict->lost += audit_number(line, "lost");
    r->torn_lines = r->torn_bytes = 0;
    r->previous = chain;
    r->begun = true;
    return NULL;
}

int audit_verify(FILE *file, struct audit_verdict *verdict)
{
    char *line = NULL;
    size_t room = 0;
    struct reading reading = {.begun = false};
    *verdict = (struct audit_verdict){.what = NULL};
    errno = 0;
    for (ssize_t n = getline(&line, &room, file); n > 0 && verdict->what == NULL; n = getline(&line, &room, file)) {
        size_t bytes = (size_t)n - (line[n - 1] == '\n');
        line[bytes] = 0;
        verdict->lines++;
        verdict->what = judge(&reading, verdict, line, bytes);
    }
    int code = ferror(file) != 0 ? -errno : 0;
    free(line);
    if (verdict->what == NULL && reading.torn_lines > 0) {
        verdict->lines = reading.torn_line;
        verdict->what = "is no whole line of an audit log: it is being written, was cut, or was changed";
    }
    verdict->bad_line = verdict->what != NULL ? verdict->lines : 0;
    return code;
}
