/* sluice latency. */
#include "tools/latency.h"

#include <errno.h>
#include <time.h>

#include "tools/report.h"
#include "tools/sluice.h"

static struct latency_snapshot first, second;
static struct latency_view total, interval;

static int print_json(const struct latency_options *options, const struct session *session, bool has_interval)
{
    json_t *report = latency_json(&total, has_interval ? &interval : NULL, options->buckets);
    json_t *status = report != NULL ? report_latency(session) : NULL;
    if (status == NULL || json_object_set_new(report, "latency_ns", status) != 0) {
        json_decref(report);
        return command_fail("latency", "no memory for the report", EXIT_NOT_SO);
    }
    json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    printf("\n");
    json_decref(report);
    return EXIT_DONE;
}

static int write_files(const struct latency_options *options, const struct latency_view *view)
{
    struct error err = {{0}};
    int code = options->folder != NULL ? latency_write_hgrm(view, options->folder, &err) : 0;
    code = code == 0 && options->plot != NULL ? latency_write_plot(view, options->plot, &err) : code;
    return code == 0 ? EXIT_DONE : command_fail("latency", err.text, EXIT_NOT_SO);
}

static int report(const struct latency_options *options, const struct session *session, bool has_interval)
{
    const struct latency_view *view = has_interval ? &interval : &total;
    if (options->folder != NULL || options->plot != NULL) {
        return write_files(options, view);
    }
    if (options->json) {
        return print_json(options, session, has_interval);
    }
    if (options->curve) {
        struct terminal terminal;
        terminal_look(&terminal);
        latency_curve(view, &terminal, stdout);
    } else {
        latency_table(view, stdout);
    }
    return EXIT_DONE;
}

static void rest(double seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

/* One report, of all or of an interval that begins now. */
static int once(const struct latency_options *options, struct session *session)
{
    struct error err = {{0}};
    bool has_interval = options->interval_s > 0;
    if (latency_take(session, &first, &err) != 0) {
        return command_fail("latency", err.text, EXIT_UNREACHABLE);
    }
    if (!latency_all_known(options->hops, &first, &err)) {
        return command_fail("latency", err.text, EXIT_USAGE);
    }
    struct latency_snapshot *now = &first;
    if (has_interval) {
        rest(options->interval_s);
        if (latency_take(session, &second, &err) != 0) {
            return command_fail("latency", err.text, EXIT_UNREACHABLE);
        }
        now = &second;
        latency_view_make(options, now, &first, &interval);
    }
    latency_view_make(options, now, NULL, &total);
    int code = report(options, session, has_interval);
    if (code == EXIT_DONE && (fflush(stdout) != 0 || ferror(stdout) != 0)) {
        return command_fail("latency", "cannot write to standard output", EXIT_NOT_SO);
    }
    return code;
}

int command_latency(int argc, char **argv)
{
    struct latency_options options;
    struct error err = {{0}};
    struct session session;
    char instance[RING_NAME_BYTES];
    int code = latency_options_take(argc, argv, &options);
    if (code != EXIT_DONE) {
        return code < 0 ? EXIT_DONE : code;
    }
    code = latency_files_ready(&options, &err);
    if (code != 0) {
        return command_fail("latency", err.text, code == -EINVAL ? EXIT_USAGE : EXIT_NOT_SO);
    }
    code = session_instance(options.instance, instance, &err);
    if (code != 0) {
        return command_fail("latency", err.text, code == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
    }
    code = session_open(&session, instance, &err);
    if (code != 0) {
        code = command_fail("latency", err.text, EXIT_UNREACHABLE);
    } else if (options.watch_s > 0) {
        code = latency_watch(&options, &session, instance);
    } else {
        code = once(&options, &session);
    }
    session_close(&session);
    return code;
}
