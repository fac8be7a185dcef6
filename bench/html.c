#include "bench/html.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/document_get.h"
#include "bench/html_style.h"
#include "bench/svg.h"

/* Values of the environment as they are: a text by itself, all else as JSON. */
static void write_value(FILE *to, const json_t *value)
{
    if (json_is_string(value)) {
        svg_text(to, json_string_value(value));
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    svg_text(to, json_is_null(value) || text == NULL ? "-" : text);
    free(text);
}

static void write_environment(FILE *to, const json_t *environment)
{
    const char *key;
    json_t *value;
    fputs("<h2>Environment</h2><div class=\"wide\"><table>", to);
    json_object_foreach((json_t *)environment, key, value)
    {
        if (strcmp(key, "vulnerabilities") != 0) {
            fputs("<tr>", to);
            html_cell(to, "word", key);
            fputs("<td class=\"long\">", to);
            write_value(to, value);
            fputs("</td></tr>\n", to);
        }
    }
    fputs("</table></div><details><summary>Mitigations, as the kernel tells of them</summary><table>", to);
    json_object_foreach(json_object_get(environment, "vulnerabilities"), key, value)
    {
        fputs("<tr>", to);
        html_cell(to, "word", key);
        fputs("<td class=\"long\">", to);
        write_value(to, value);
        fputs("</td></tr>\n", to);
    }
    fputs("</table></details>\n", to);
}

static void write_comparison(FILE *to, const struct comparison *c)
{
    static const char *const words[COMPARE_VERDICTS] = {"the same", "better", "worse", "not judged"};
    static const char *const classes[COMPARE_VERDICTS] = {"word", "better", "worse", "word"};
    fputs("<h2>Compared with an older result</h2><p class=\"dim\">", to);
    svg_text(to, c->path);
    fputs(", of ", to);
    svg_text(to, c->started);
    fprintf(to, ": %u worse, %u better, %u the same, %u not judged; %u are new, %u are gone.</p>\n",
            c->counts[COMPARE_WORSE], c->counts[COMPARE_BETTER], c->counts[COMPARE_SAME],
            c->counts[COMPARE_NOT_JUDGED], c->added, c->gone);
    for (uint32_t i = 0; i < c->differences; i++) {
        fputs("<p class=\"warn\">Not the same: ", to);
        svg_text(to, c->differs[i]);
        fputs("</p>\n", to);
    }
    fputs("<div class=\"wide\"><table><tr><th class=\"word\">name</th><th class=\"word\">variant</th><th>bytes</th>"
          "<th>before</th><th>now</th><th class=\"word\">unit</th><th>noise</th><th>verdict</th><th "
          "class=\"word\">why</th></tr>\n",
          to);
    for (uint32_t i = 0; i < c->entries; i++) {
        const struct compare_entry *e = &c->entry[i];
        const struct compare_judgement *j = &e->judgement;
        if (!j->beyond) {
            continue;
        }
        fputs("<tr>", to);
        html_cell(to, "word", e->sides.name);
        html_cell(to, "word", get_text(e->row, "variant", ""));
        html_whole(to, get_number(e->row, "size_bytes"));
        html_number(to, "", e->sides.old.median);
        html_number(to, "", e->sides.now.median);
        html_cell(to, "word", e->sides.now.unit);
        html_number(to, "", j->noise);
        html_cell(to, classes[j->verdict], words[j->verdict]);
        html_cell(to, "word", j->reason != NULL ? j->reason : "");
        fputs("</tr>\n", to);
    }
    fputs("</table></div>\n", to);
}

static void write_head(FILE *to, const json_t *document)
{
    const json_t *environment = json_object_get(document, "environment");
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\">"
          "<title>sluice-bench ",
          to);
    svg_text(to, get_text(document, "bench", ""));
    fputs("</title><style>" HTML_STYLE "</style></head><body>\n<h1>sluice-bench ", to);
    svg_text(to, get_text(document, "bench", ""));
    fputs("</h1><p class=\"dim\">", to);
    svg_text(to, get_text(environment, "machine", "a machine that has no name"));
    fputs(", kernel ", to);
    svg_text(to, get_text(environment, "kernel", "unknown"));
    fputs("; begun ", to);
    svg_text(to, get_text(document, "started", "at a time it does not say"));
    fputs("; sluice ", to);
    svg_text(to, get_text(document, "version", "of a version it does not say"));
    fputs("</p>\n", to);
    if (get_true(document, "interrupted")) {
        fputs("<p class=\"warn\">It was interrupted: this is what was measured until then.</p>\n", to);
    }
    fputs("<p>Do it again: </p><pre>", to);
    svg_text(to, get_text(document, "command", "(not said)"));
    fputs("</pre>\n<p class=\"dim\">A value is the median of the rounds. A ratio is the median over the rounds of "
          "value / floor, value / best peer of that round; absolute figures move with the machine and the hour. "
          "Bars: median, across their end min .. max; blue is sluice, grey the floor (what the machine allows), "
          "brown others.</p>\n",
          to);
}

/* It is written beside its name and takes it when it is whole. */
static int open_beside(const char *path, char *made, size_t bytes, FILE **f, struct error *err)
{
    int n = snprintf(made, bytes, "%s.new", path);
    *f = n > 0 && (size_t)n < bytes ? fopen(made, "we") : NULL;
    if (*f == NULL) {
        int code = n > 0 && (size_t)n < bytes ? -errno : -ENAMETOOLONG;
        return error_set(err, code, "--html cannot write %.200s: %s; name a file in a folder that exists", path,
                         strerror(-code));
    }
    return 0;
}

int html_ready(const char *path, struct error *err)
{
    char made[PATH_MAX];
    FILE *f;
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return error_set(err, -EINVAL, "--html expects a file, found something else: %.200s", path);
    }
    int code = open_beside(path, made, sizeof(made), &f, err);
    if (code == 0) {
        fclose(f);
        unlink(made);
    }
    return code;
}

int html_write(const struct json_t *document, const struct comparison *comparison, const char *path,
               struct error *err)
{
    char made[PATH_MAX];
    FILE *f;
    int code = open_beside(path, made, sizeof(made), &f, err);
    if (code != 0) {
        return code;
    }
    write_head(f, document);
    write_environment(f, json_object_get(document, "environment"));
    if (comparison != NULL) {
        write_comparison(f, comparison);
    }
    html_questions(document, f);
    fputs("</body></html>\n", f);
    bool failed = ferror(f) != 0;
    failed = fclose(f) != 0 || failed;
    if (failed || rename(made, path) != 0) {
        code = error_set(err, errno != 0 ? -errno : -EIO, "--html cannot write %.200s: %s", path, strerror(errno));
        unlink(made);
    }
    return code;
}
