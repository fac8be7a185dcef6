#include <stdio.h>
#include <string.h>

#include "daq/compile.h"

#define TEXT_MAX 127u

/* What goes to the instrument as one line: letters, digits and signs of ASCII. */
static bool is_line(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return false;
        }
    }
    return n > 0 && n <= TEXT_MAX;
}

/* Texts one after the other, each with its NUL. asks: whether they have to be questions, or must be none: an answer
 * that nobody reads would be taken for the next one's. */
static uint32_t pack(struct compile *c, const char *where, char *const *texts, uint32_t count, bool asks, char *to,
                     size_t bytes)
{
    size_t used = 0;
    for (uint32_t n = 0; n < count; n++) {
        size_t length = strlen(texts[n]) + 1;
        if (!is_line(texts[n])) {
            config_complain(c->file, c->errors, where,
                            "expected lines of 1 to %u characters of ASCII, found '%.140s'", TEXT_MAX, texts[n]);
            return 0;
        }
        if ((strchr(texts[n], '?') != NULL) != asks) {
            config_complain(c->file, c->errors, where,
                            asks
                                ? "expected a question such as MEAS:VOLT?, found '%.140s'; commands belong to setup"
                                : "expected a command, found the question '%.140s', whose answer nobody would read",
                            texts[n]);
            return 0;
        }
        if (length > bytes - used) {
            config_complain(c->file, c->errors, where, "expected at most %zu characters in all, found more", bytes);
            return 0;
        }
        memcpy(to + used, texts[n], length);
        used += length;
    }
    return count;
}

static void compile_numbers(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    uint32_t fields = 0;
    compile_path(path, "sources[%u].numbers", i);
    if (from->numbers != NULL && from->numbers_count != from->queries_count) {
        config_complain(c->file, c->errors, path, "expected as many as there are queries, %u, found %u",
                        from->queries_count, from->numbers_count);
        return;
    }
    for (uint32_t q = 0; q < from->queries_count; q++) {
        uint32_t numbers = from->numbers != NULL ? from->numbers[q] : 1;
        if (numbers == 0 || numbers > PLAN_FIELDS_MAX - fields) {
            config_complain(c->file, c->errors, path,
                            "expected 1 number at least in each answer and %u at most in all, found %u behind %u",
                            PLAN_FIELDS_MAX, numbers, fields);
            return;
        }
        to->scpi.numbers[q] = numbers;
        fields += numbers;
    }
    to->framing.fields = fields;
    to->frame_bytes = fields * (uint32_t)sizeof(double);
}

static void compile_link(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    static const char *const of_lines[] = {"baud", "data_bits", "stop_bits", "parity", "flow", "direction"};
    const void *const given[] = {from->baud,   from->data_bits, from->stop_bits,
                                 from->parity, from->flow,      from->direction};
    if ((from->connect != NULL) == (from->device != NULL)) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].connect", i),
                        "expected either connect: ADDRESS:PORT or device: a tty, found %s",
                        from->connect != NULL ? "both" : "neither");
        return;
    }
    if (from->device != NULL) {
        to->scpi.link = SCPI_SERIAL;
        compile_serial(c, i, from, to);
        return;
    }
    to->scpi.link = SCPI_TCP;
    compile_tcp(c, i, from, to);
    for (size_t k = 0; k < sizeof(given) / sizeof(given[0]); k++) {
        if (given[k] != NULL) {
            config_complain(c->file, c->errors, compile_path(path, "sources[%u].%s", i, of_lines[k]),
                            "belongs to an instrument at a device; this one is at an address");
        }
    }
}

void compile_scpi(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct scpi_plan *scpi = &to->scpi;
    compile_link(c, i, from, to);
    scpi->check_errors = from->check_errors != NULL && *from->check_errors;
    scpi->setups = pack(c, compile_path(path, "sources[%u].setup", i), from->setup, from->setup_count, false,
                        scpi->setup, sizeof(scpi->setup));
    compile_path(path, "sources[%u].queries", i);
    if (from->queries_count == 0 || from->queries_count > PLAN_QUERIES_MAX) {
        config_complain(c->file, c->errors, path, "expected 1 to %u questions such as MEAS:VOLT?, found %u",
                        PLAN_QUERIES_MAX, from->queries_count);
        return;
    }
    scpi->queries = pack(c, path, from->queries, from->queries_count, true, scpi->query, sizeof(scpi->query));
    compile_numbers(c, i, from, to);
}
