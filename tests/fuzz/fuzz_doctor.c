/* What stands in the kernel's files may be anything, in the undo file and in a certificate, too: whatever comes of
 * it is in bounds, and nothing is written but what the doctor changes. */
#include <stdlib.h>
#include <string.h>

#include "daq/certificate.h"
#include "tools/doctor.h"

#define must(condition)                                                                                            \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            abort();                                                                                               \
        }                                                                                                          \
    } while (0)

/* A set is the same after it was printed. */
static void list(const char *text)
{
    char printed[8192];
    cpu_set_t set;
    cpu_set_t again;
    if (doctor_parse_cores(text, &set)) {
        doctor_print_cores(&set, printed, sizeof(printed));
        must(doctor_parse_cores(printed, &again) && CPU_EQUAL(&set, &again));
        doctor_print_cores(&set, printed, 8);
        must(strlen(printed) < 8);
    }
}

static void undo_file(const uint8_t *data, size_t size)
{
    static struct doctor_undo undo;
    struct error err = {{0}};
    if (!doctor_undo_parse((const char *)data, size, &undo, &err)) {
        must(err.text[0] != 0);
        return;
    }
    must(undo.entries <= DOCTOR_CHANGES_MAX && undo.root[0] != 0);
    for (uint32_t i = 0; i < undo.entries; i++) {
        must(doctor_may_write(undo.entry[i].path) && strstr(undo.entry[i].path, "..") == NULL);
        must(undo.entry[i].from[0] != 0 && undo.entry[i].to[0] != 0);
    }
}

/* What is taken for a certificate is one to the last byte. */
static void certificate(const uint8_t *data, size_t size)
{
    struct certificate c;
    char again[CERTIFICATE_BYTES_MAX + 1];
    if (certificate_parse((const char *)data, size, &c)) {
        must(certificate_is_boot(c.boot) && c.seconds > 0);
        must(certificate_print(&c, again, sizeof(again)) == size && memcmp(again, data, size) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[4097];
    char word[32];
    int64_t number;
    uint64_t value;
    size_t n = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    memcpy(text, data, n);
    text[n] = 0;
    list(text);
    undo_file(data, size);
    certificate(data, size);
    (void)doctor_parse_number(text, &number);
    must(!doctor_parse_chosen(text, word, sizeof(word)) || (word[0] != 0 && strlen(word) < sizeof(word)));
    must(!doctor_parse_option(text, "rcu_nocbs", word, sizeof(word)) || strlen(word) < sizeof(word));
    (void)doctor_parse_limit(text, "Max locked memory", &value);
    (void)doctor_parse_field(text, "CapEff:", 16, &value);
    return 0;
}
