/* Lines of the audit log: whatever goes in, valid JSON comes out; the chain; the queue that never waits. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daq/audit.h"
#include "daq/log.h"

/* The log's own words are not the test's. */
void log_line(const char *format, ...)
{
    (void)format;
}

static const char *text_line(const char *value)
{
    static char room[256];
    struct json_line line;
    json_line_begin(&line, room, sizeof(room));
    json_line_text(&line, "k", value);
    cr_assert(!line.cut);
    return room;
}

Test(json_line, escapes)
{
    cr_assert_str_eq(text_line(""), "\"k\":\"\"");
    cr_assert_str_eq(text_line("a \"b\" \\ /"), "\"k\":\"a \\\"b\\\" \\\\ /\"");
    cr_assert_str_eq(text_line("\x01\n\t\x1f\x7f"), "\"k\":\"\\u0001\\u000a\\u0009\\u001f\\u007f\"");
    cr_assert_str_eq(text_line("\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"),
                     "\"k\":\"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80\"");
}

Test(json_line, what_is_no_utf8_is_replaced)
{
    cr_assert_str_eq(text_line("a\xff"
                               "b"),
                     "\"k\":\"a\\ufffdb\"");
    cr_assert_str_eq(text_line("\xc3"), "\"k\":\"\\ufffd\"", "cut at the end");
    cr_assert_str_eq(text_line("\xc0\xaf"), "\"k\":\"\\ufffd\\ufffd\"", "overlong");
    cr_assert_str_eq(text_line("\xed\xa0\x80"), "\"k\":\"\\ufffd\\ufffd\\ufffd\"", "a surrogate");
    cr_assert_str_eq(text_line("\xf4\x90\x80\x80"), "\"k\":\"\\ufffd\\ufffd\\ufffd\\ufffd\"", "beyond the last");
}

Test(json_line, members_and_numbers)
{
    char room[128];
    struct json_line line;
    json_line_begin(&line, room, sizeof(room));
    json_line_count(&line, "n", UINT64_MAX);
    json_line_real(&line, "x", 0.1);
    json_line_real(&line, "nan", __builtin_nan(""));
    json_line_real(&line, "inf", -__builtin_inf());
    cr_assert_str_eq(room, "\"n\":18446744073709551615,\"x\":0.10000000000000001,\"nan\":null,\"inf\":null");
    cr_assert(!line.cut);
}

/* In room for less, what there is stays well-formed: whole members, and a value cut at a character. */
Test(json_line, never_beyond_its_room)
{
    for (size_t bytes = 1; bytes < 60; bytes++) {
        char room[64];
        struct json_line line;
        memset(room, '!', sizeof(room));
        json_line_begin(&line, room, bytes);
        json_line_count(&line, "count", 12345);
        json_line_text(&line, "text", "\x01 \"\xe2\x82\xac\" and more than there is room for in it");
        json_line_count(&line, "last", 1);
        cr_assert_eq(strlen(room), line.used);
        cr_assert_lt(line.used, bytes);
        cr_assert_eq(room[bytes], '!', "%zu", bytes);
        cr_assert(line.cut);
        unsigned quotes = 0;
        for (const char *p = room; *p != 0; p++) {
            quotes += *p == '"' && (p == room || p[-1] != '\\');
        }
        cr_assert_eq(quotes % 2, 0, "%s", room);
        cr_assert(line.used == 0 || room[line.used - 1] == '"' ||
                  (room[line.used - 1] >= '0' && room[line.used - 1] <= '9'));
    }
}

Test(text_is_line, what_a_person_may_type)
{
    cr_assert(text_is_line("", 1));
    cr_assert(text_is_line("J\xc3\xbcrgen's valve #3: 12 %", 40));
    cr_assert(!text_is_line("abc", 3), "no end");
    cr_assert(!text_is_line("a\nb", 4));
    cr_assert(!text_is_line("a\x1b[31m", 8));
    cr_assert(!text_is_line("a\x7f", 3));
    cr_assert(!text_is_line("a\xff", 3));
    cr_assert(!text_is_line("\xc2\x85", 3), "a C1 control");
    cr_assert(!text_is_line("\xe2\x80\xa8", 4), "a line separator");
}

Test(audit_chain, parse_and_format)
{
    char line[128] = "{\"n\":7,\"torn_bytes\":12,\"follows\":\"00000000000000ff\"";
    size_t body = strlen(line);
    size_t found;
    uint64_t chain;
    audit_chain_format(line + body, 0x0123456789abcdef);
    cr_assert_str_eq(line + body, ",\"chain\":\"0123456789abcdef\"}");
    cr_assert(audit_chain_parse(line, strlen(line), &chain, &found));
    cr_assert_eq(chain, UINT64_C(0x0123456789abcdef));
    cr_assert_eq(found, body);
    cr_assert_eq(audit_number(line, "n"), 7);
    cr_assert_eq(audit_number(line, "torn_bytes"), 12);
    cr_assert_eq(audit_number(line, "nosuch"), 0);
    cr_assert_eq(audit_follows(line), 0xff);
    for (size_t n = 0; n < strlen(line); n++) {
        cr_assert(!audit_chain_parse(line, n, &chain, &found), "%zu bytes", n);
    }
    line[body + 12] = 'G';
    cr_assert(!audit_chain_parse(line, strlen(line), &chain, &found));
    cr_assert_neq(audit_chain(1, "abc", 3), audit_chain(2, "abc", 3));
    cr_assert_neq(audit_chain(1, "abc", 3), audit_chain(1, "abd", 3));
}

static struct audit audit;
static struct supervisor_audit shown;

static void wait_for(const uint64_t *word, uint64_t value)
{
    for (int i = 0; __atomic_load_n(word, __ATOMIC_RELAXED) != value && i < 20000; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    cr_assert_eq(__atomic_load_n(word, __ATOMIC_RELAXED), value);
}

static void tell(unsigned number)
{
    char room[AUDIT_ENTRY_BYTES];
    struct json_line line;
    audit_begin(&line, room, "test", UINT64_C(1800000037000000000));
    json_line_count(&line, "number", number);
    audit_end(&audit, &line);
}

static struct audit_verdict verify(const char *path)
{
    struct audit_verdict verdict;
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    cr_assert_eq(audit_verify(file, &verdict), 0);
    fclose(file);
    return verdict;
}

Test(audit, what_is_told_is_written_in_order)
{
    char folder[] = "/tmp/sluice-audit-XXXXXX";
    char path[64];
    struct error err = {{0}};
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a/audit.log", folder);
    cr_assert_eq(audit_start(&audit, path, &shown, &err), 0, "%s", err.text);
    for (unsigned i = 0; i < 100; i++) {
        tell(i);
    }
    wait_for(&shown.written, 100);
    audit_stop(&audit);
    struct audit_verdict verdict = verify(path);
    cr_assert_eq(verdict.bad_line, 0, "%s", verdict.what);
    cr_assert_eq(verdict.lines, 100);
    cr_assert_eq(shown.lost, 0);
    unlink(path);
    snprintf(path, sizeof(path), "%s/a", folder);
    rmdir(path);
    rmdir(folder);
}

/* A disk that takes nothing: telling never waits, what finds no place is counted, and the log says how much. */
Test(audit, a_disk_that_takes_nothing)
{
    char folder[] = "/tmp/sluice-audit-XXXXXX";
    char path[64];
    char away[64];
    struct error err = {{0}};
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a/audit.log", folder);
    snprintf(away, sizeof(away), "%s/a", folder);
    cr_assert_eq(audit_start(&audit, path, &shown, &err), 0, "%s", err.text);
    tell(0);
    wait_for(&shown.written, 1);
    unlink(path);
    rmdir(away);
    FILE *block = fopen(away, "we"); /* where its directory was: it cannot be opened anew, not even by root */
    cr_assert_not_null(block);
    fclose(block);
    tell(1);
    for (int i = 0; __atomic_load_n(&shown.errors, __ATOMIC_RELAXED) == 0 && i < 20000; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    for (unsigned i = 2; i < 2 * AUDIT_QUEUE; i++) {
        tell(i);
    }
    uint64_t lost = __atomic_load_n(&shown.lost, __ATOMIC_RELAXED);
    cr_assert_gt(lost, 0);
    unlink(away);
    for (int i = 0; __atomic_load_n(&shown.pending, __ATOMIC_RELAXED) != 0 && i < 20000; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    tell(9999);
    audit_stop(&audit);
    cr_assert_gt(shown.errors, 0);
    struct audit_verdict verdict = verify(path);
    cr_assert_eq(verdict.bad_line, 0, "%s", verdict.what);
    cr_assert_eq(verdict.lost, lost);
    cr_assert_eq(verdict.lines, 2 * AUDIT_QUEUE - 1 - lost + 2);
    unlink(path);
    rmdir(away);
    rmdir(folder);
}

Test(audit, no_log)
{
    struct error err = {{0}};
    cr_assert_eq(audit_start(&audit, "", &shown, &err), 0);
    tell(1);
    audit_stop(&audit);
    cr_assert_eq(shown.written, 0);
}

Test(audit, one_client_s_allowance)
{
    uint64_t now_ns = 1000000000;
    unsigned allowed = 0;
    cr_assert_eq(audit_start(&audit, "", &shown, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        allowed += audit_allows(&audit, now_ns, now_ns);
    }
    cr_assert_eq(allowed, 100, "at once");
    cr_assert(!audit_allows(&audit, now_ns + 49000000, now_ns));
    cr_assert(audit_allows(&audit, now_ns + 51000000, now_ns));
    cr_assert(!audit_allows(&audit, now_ns + 52000000, now_ns));
    now_ns += UINT64_C(3600000000000);
    for (allowed = 0; audit_allows(&audit, now_ns, now_ns); allowed++) {
    }
    cr_assert_eq(allowed, 100, "no more is saved up");
}
