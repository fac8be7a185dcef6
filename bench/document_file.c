/* Results as files. What is read may be anybody's: it is looked at once, here, and complained of in a sentence. */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/document.h"

#define TEXT_MAX 4096u

void document_drop(struct json_t *document)
{
    json_decref(document);
}

int document_write(const struct json_t *document, const char *path, struct error *err)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdout : fopen(path, "we");
    int code = f == NULL ? -errno : 0;
    if (f != NULL) {
        bool failed =
            json_dumpf(document, f, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0 || fputc('\n', f) == EOF;
        failed = (standard ? fflush(f) : fclose(f)) != 0 || failed;
        code = !failed ? 0 : errno != 0 ? -errno : -EIO;
    }
    return code == 0 ? 0
                     : error_set(err, code, "cannot write %s: %s; name a file in a folder that exists", path,
                                 strerror(-code));
}

/* What is printed must not steer a terminal. */
static bool is_text(const json_t *value)
{
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) != json_string_length(value) || strlen(text) > TEXT_MAX) {
        return false;
    }
    while (*text != 0 && ((unsigned char)*text >= 0x80 || isprint((unsigned char)*text))) {
        text++;
    }
    return *text == 0;
}

enum want { TEXT, TEXT_OR_NULL, NUMBER_OR_NULL, WHOLE, ARRAY, OBJECT, BOOLEAN };

struct member {
    const char *name;
    enum want want;
    bool may_lack; /* older results have none */
};

static bool is_wanted(const json_t *value, enum want want)
{
    switch (want) {
    case TEXT:
        return is_text(value);
    case TEXT_OR_NULL:
        return json_is_null(value) || is_text(value);
    case NUMBER_OR_NULL:
        return json_is_null(value) || json_is_number(value);
    case WHOLE:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case ARRAY:
        return json_is_array(value);
    case OBJECT:
        return json_is_object(value);
    case BOOLEAN:
        return json_is_boolean(value);
    }
    return false;
}

static const char *want_name(enum want want)
{
    static const char *const names[] = {"a text", "a text or null", "a number or null", "a whole number",
                                        "a list", "an object",      "true or false"};
    return names[want];
}

static int check_members(const json_t *o, const char *where, const struct member *members, uint32_t count,
                         struct error *err)
{
    if (!json_is_object(o)) {
        return error_set(err, -EPROTO, "%s: expected an object", where);
    }
    for (uint32_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(o, members[i].name);
        if (value == NULL ? !members[i].may_lack : !is_wanted(value, members[i].want)) {
            return error_set(err, -EPROTO, "%s: expected %s as '%s', found %s", where, want_name(members[i].want),
                             members[i].name, value == NULL ? "none" : "something else");
        }
    }
    return 0;
}

#define CHECK(o, where, members, err) check_members(o, where, members, sizeof(members) / sizeof((members)[0]), err)

static int check_row(const json_t *row, const char *where, struct error *err)
{
    static const struct member members[] = {{"name", TEXT, false},
                                            {"variant", TEXT, false},
                                            {"unit", TEXT, false},
                                            {"size_bytes", WHOLE, false},
                                            {"min", NUMBER_OR_NULL, false},
                                            {"median", NUMBER_OR_NULL, false},
                                            {"max", NUMBER_OR_NULL, false},
                                            {"runs", WHOLE, false},
                                            {"question", TEXT, true},
                                            {"kind", TEXT, true},
                                            {"is_floor", BOOLEAN, true},
                                            {"pooled", NUMBER_OR_NULL, true},
                                            {"floor_ratio", NUMBER_OR_NULL, true},
                                            {"peer_ratio", NUMBER_OR_NULL, true},
                                            {"best_peer", TEXT_OR_NULL, true},
                                            {"stalls_us_max", NUMBER_OR_NULL, true},
                                            {"stalled", OBJECT, true},
                                            {"capped", BOOLEAN, true},
                                            {"note", TEXT_OR_NULL, true}};
    static const struct member stalled[] = {{"rounds", WHOLE, false},
                                            {"longest_us", NUMBER_OR_NULL, false},
                                            {"stolen_s", NUMBER_OR_NULL, false},
                                            {"excused", BOOLEAN, false},
                                            {"decide", BOOLEAN, false}};
    int code = CHECK(row, where, members, err);
    const json_t *said = json_object_get(row, "stalled");
    return code != 0 || said == NULL ? code : CHECK(said, where, stalled, err);
}

static int check_part(const json_t *part, const char *where, struct error *err)
{
    static const struct member members[] = {
        {"name", TEXT, false},       {"ends", TEXT, false},    {"seconds", NUMBER_OR_NULL, false},
        {"runs", WHOLE, false},      {"rounds", WHOLE, false}, {"warm_up_rounds", WHOLE, false},
        {"only", TEXT_OR_NULL, true}};
    return CHECK(part, where, members, err);
}

static int check_skipped(const json_t *row, const char *where, struct error *err)
{
    static const struct member members[] = {
        {"name", TEXT, false}, {"variant", TEXT, false}, {"question", TEXT, true}, {"why", TEXT_OR_NULL, true}};
    return CHECK(row, where, members, err);
}

static int check_histogram(const json_t *histogram, const char *where, struct error *err)
{
    static const struct member members[] = {
        {"name", TEXT, false}, {"variant", TEXT, false}, {"count", WHOLE, false}, {"curve", ARRAY, false}};
    int code = CHECK(histogram, where, members, err);
    size_t i;
    const json_t *point;
    json_array_foreach(json_object_get(histogram, "curve"), i, point)
    {
        if (code == 0 && (!json_is_number(json_array_get(point, 0)) || !json_is_number(json_array_get(point, 1)))) {
            code = error_set(err, -EPROTO, "%s: expected pairs of numbers as 'curve'", where);
        }
    }
    return code;
}

static int check_list(const json_t *document, const char *name,
                      int (*check)(const json_t *, const char *, struct error *), struct error *err)
{
    const json_t *list = json_object_get(document, name);
    const json_t *entry;
    size_t i;
    int code = 0;
    if (json_array_size(list) > DOCUMENT_ROWS_MAX) {
        return error_set(err, -E2BIG, "expected at most %u %s, found %zu", DOCUMENT_ROWS_MAX, name,
                         json_array_size(list));
    }
    json_array_foreach(list, i, entry)
    {
        char where[64];
        snprintf(where, sizeof(where), "%s[%zu]", name, i);
        code = code == 0 ? check(entry, where, err) : code;
    }
    return code;
}

static int check(const json_t *document, struct error *err)
{
    static const struct member members[] = {{"bench", TEXT, false},      {"environment", OBJECT, false},
                                            {"rows", ARRAY, false},      {"command", TEXT, true},
                                            {"version", TEXT, true},     {"started", TEXT, true},
                                            {"questions", ARRAY, true},  {"skipped", ARRAY, true},
                                            {"histograms", ARRAY, true}, {"interrupted", BOOLEAN, true}};
    int code = CHECK(document, "the whole", members, err);
    code = code == 0 ? check_list(document, "rows", check_row, err) : code;
    code = code == 0 ? check_list(document, "questions", check_part, err) : code;
    code = code == 0 ? check_list(document, "skipped", check_skipped, err) : code;
    return code == 0 ? check_list(document, "histograms", check_histogram, err) : code;
}

/* Where it came from is said by who asked for it. */
static json_t *load(const char *path, struct error *err)
{
    struct stat st;
    json_error_t problem;
    if (stat(path, &st) != 0) {
        error_set(err, -errno, "%s", strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > DOCUMENT_BYTES_MAX) {
        error_set(err, -EINVAL, "expected a file of at most %u MiB", (unsigned int)(DOCUMENT_BYTES_MAX >> 20));
        return NULL;
    }
    json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    if (document == NULL) {
        error_set(err, -EPROTO, "expected JSON, found in line %d: %.160s", problem.line, problem.text);
    }
    return document;
}

struct json_t *document_read(const char *path, const char *option, struct error *err)
{
    struct error why = {{0}};
    json_t *document = load(path, &why);
    if (document != NULL && check(document, &why) != 0) {
        json_decref(document);
        document = NULL;
    }
    if (document == NULL) {
        error_set(err, -EPROTO, "%s cannot take %.200s: %s; name a file that sluice-bench --json wrote", option,
                  path, why.text);
    }
    return document;
}
