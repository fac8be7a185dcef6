/* audit: the newest lines of an instance's audit log, or the check of a file. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daq/audit_chain.h"
#include "tools/session.h"
#include "tools/sluice.h"

#define SHOWN_BYTES (64 * 1024) /* of the file's end */

static int verify(const struct arguments *a)
{
    struct audit_verdict v;
    char text[512];
    FILE *file = fopen(a->file, "re");
    int code = file != NULL ? audit_verify(file, &v) : -errno;
    if (file != NULL) {
        fclose(file);
    }
    if (code != 0) {
        snprintf(text, sizeof(text), "cannot read %.300s: %s", a->file, strerror(-code));
        return command_fail("audit", text, EXIT_USAGE);
    }
    if (a->json) {
        json_t *answer =
            json_pack("{s:b, s:I, s:I, s:I, s:I, s:o}", "done", v.bad_line == 0, "lines", (json_int_t)v.lines,
                      "torn", (json_int_t)v.torn, "lost", (json_int_t)v.lost, "bad_line", (json_int_t)v.bad_line,
                      "text", v.what != NULL ? json_string(v.what) : json_null());
        json_dumpf(answer, stdout, JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(answer);
    } else if (v.bad_line == 0) {
        printf("%s: %" PRIu64 " lines, the chain is whole; %" PRIu64 " torn, %" PRIu64 " said to be lost\n",
               a->file, v.lines, v.torn, v.lost);
    }
    if (v.bad_line == 0) {
        return EXIT_DONE;
    }
    snprintf(text, sizeof(text), "%.300s: line %" PRIu64 " %s", a->file, v.bad_line, v.what);
    return command_fail("audit", text, EXIT_NOT_SO);
}

/* One line in few words; what is no JSON is shown as it stands. */
static void print_line(const char *line, bool json)
{
    json_t *o = json ? NULL : json_loads(line, 0, NULL);
    if (!json_is_object(o)) {
        printf("%s\n", line);
        json_decref(o);
        return;
    }
    const char *time = json_string_value(json_object_get(o, "time"));
    const char *what = json_string_value(json_object_get(o, "what"));
    const char *person = json_string_value(json_object_get(o, "person"));
    const char *command = json_string_value(json_object_get(o, "command"));
    const char *name = json_string_value(json_object_get(o, "name"));
    const char *text = json_string_value(json_object_get(o, "text"));
    printf("%s %-10s %s%s%s%s%s%s\n", time != NULL ? time : "-", what != NULL ? what : "-",
           person != NULL ? person : "", person != NULL ? ": " : "",
           command != NULL && strcmp(what, "command") == 0 ? command : "",
           command != NULL && strcmp(what, "command") == 0 ? " " : "",
           name != NULL && what != NULL && strcmp(what, "command") == 0 ? name : "",
           text != NULL && (what == NULL || strcmp(what, "command") != 0) ? text : "");
    json_decref(o);
}

static int print_end(FILE *file, bool json)
{
    char *line = NULL;
    size_t room = 0;
    bool whole = fseek(file, -SHOWN_BYTES, SEEK_END) != 0 && fseek(file, 0, SEEK_SET) == 0;
    for (ssize_t n = getline(&line, &room, file); n > 0; n = getline(&line, &room, file)) {
        line[strcspn(line, "\n")] = 0;
        if (whole) {
            print_line(line, json);
        }
        whole = true; /* the first one began before what is shown */
    }
    free(line);
    return ferror(file) != 0 ? -errno : 0;
}

int command_audit(const struct arguments *arguments)
{
    struct error err = {{0}};
    struct session session;
    char instance[RING_NAME_BYTES];
    char path[SUPERVISOR_PATH_BYTES] = "";
    if (arguments->file != NULL) {
        return verify(arguments);
    }
    int found = session_instance(arguments->instance, instance, &err);
    if (found != 0) {
        return command_fail("audit", err.text, found == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
    }
    int code = session_open(&session, instance, &err);
    if (code == 0) {
        snprintf(path, sizeof(path), "%.255s", session.supervisor->audit.path);
    }
    session_close(&session);
    if (code != 0) {
        return command_fail("audit", err.text, EXIT_UNREACHABLE);
    }
    if (path[0] == 0) {
        return command_fail("audit", "this server keeps no audit log (audit.file: none)", EXIT_NOT_SO);
    }
    FILE *file = fopen(path, "re");
    code = file != NULL ? print_end(file, arguments->json) : -errno;
    if (file != NULL) {
        fclose(file);
    }
    if (code != 0) {
        error_set(&err, code, "cannot read the audit log %s: %s", path, strerror(-code));
        return command_fail("audit", err.text, EXIT_NOT_SO);
    }
    return EXIT_DONE;
}
