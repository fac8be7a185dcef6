/* sluice-export: opens, writes, says what is missing. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/export/export.h"

#define EXIT_DONE   0
#define EXIT_NOT_SO 1
#define EXIT_USAGE  2
#define TOLD_MAX    10u

static void stop(int signal)
{
    (void)signal;
    export_stopped = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN; /* a limit of files' size is an error of the write */
    sigaction(SIGXFSZ, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
}

static int fail(const struct error *err, int code)
{
    fprintf(stderr, "sluice export: %s\n", err->text);
    return code;
}

/* Of a ring that was asked for. What a slice leaves out is no matter: positions that are missing count where the
 * cursor came to them, and the open end only where the slice goes that far. */
static bool concerns(const struct export_plan *plan, const struct record_problem *problem)
{
    if (problem->kind == RECORD_PROBLEM_UNACCOUNTED || problem->kind == RECORD_PROBLEM_TORN) {
        return false;
    }
    for (uint32_t i = 0; i < plan->rings; i++) {
        if (plan->ring[i].index == problem->ring) {
            return problem->kind != RECORD_PROBLEM_NOT_CLOSED || plan->to_tai_ns > plan->ring[i].is->last_tai_ns;
        }
    }
    return false;
}

/* Says what is missing; how many things that are. */
static uint64_t tell_missing(const struct export_plan *plan, const struct export_counts *counts, json_t *to)
{
    uint64_t told = 0;
    for (uint32_t i = 0; i < plan->rings; i++) {
        struct error text = {{0}};
        if (counts[i].unaccounted > 0) {
            error_set(&text, 0, "ring %s: %" PRIu64 " positions are damaged, or nobody knows what became of them",
                      plan->ring[i].name, counts[i].unaccounted);
        } else if (counts[i].not_kept > 0) {
            error_set(&text, 0, "ring %s: %" PRIu64 " frames are longer than their stream says, and were cut",
                      plan->ring[i].name, counts[i].not_kept);
        } else {
            continue;
        }
        told++;
        fprintf(stderr, "sluice export: %s\n", text.text);
        json_array_append_new(to, json_string(text.text));
    }
    for (uint64_t i = 0; i < record_problems(plan->set); i++) {
        const struct record_problem *problem = record_problem(plan->set, i);
        if (problem == NULL || !concerns(plan, problem)) {
            continue;
        }
        if (told++ < TOLD_MAX) {
            fprintf(stderr, "sluice export: %s\n", problem->text);
            json_array_append_new(to, json_string(problem->text));
        }
    }
    if (told > TOLD_MAX) {
        fprintf(stderr, "sluice export: and %" PRIu64 " more; sluice info says which\n", told - TOLD_MAX);
    }
    return told;
}

/* --force must not replace what is being read. */
static bool is_of_recording(const struct record_set *set, const char *path)
{
    struct stat output;
    struct stat file;
    for (unsigned ring = 0; stat(path, &output) == 0 && ring < record_rings(set); ring++) {
        const struct record_file *of;
        for (unsigned i = 0; (of = record_file(set, ring, i)) != NULL; i++) {
            if (stat(of->path, &file) == 0 && file.st_dev == output.st_dev && file.st_ino == output.st_ino) {
                return true;
            }
        }
    }
    return false;
}

static json_t *report_ring(const struct export_ring *ring, const struct export_counts *counts)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ring", ring->name, "frames",
                     (json_int_t)counts->frames, "payload_bytes", (json_int_t)counts->bytes, "gaps",
                     (json_int_t)counts->gaps, "first_tai_ns", (json_int_t)counts->first_tai_ns, "last_tai_ns",
                     (json_int_t)counts->last_tai_ns, "unaccounted_positions", (json_int_t)counts->unaccounted,
                     "utc_offset_ns", (json_int_t)ring->utc_offset_ns);
}

static void report(const struct export_plan *plan, const struct export_ops *ops, const struct export_counts *counts,
                   uint64_t missing, json_t *problems)
{
    json_t *rings = json_array();
    uint64_t frames = 0;
    struct stat file = {.st_size = 0};
    (void)stat(plan->options->output, &file);
    for (uint32_t i = 0; i < plan->rings; i++) {
        json_array_append_new(rings, report_ring(&plan->ring[i], &counts[i]));
        frames += counts[i].frames;
    }
    json_t *all = json_pack("{s:s, s:s, s:I, s:b, s:I, s:o, s:O}", "output", plan->options->output, "format",
                            ops->name, "file_bytes", (json_int_t)file.st_size, "complete", missing == 0, "frames",
                            (json_int_t)frames, "rings", rings, "problems", problems);
    if (all != NULL) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(all);
}

/* All but opening and options. */
static int export_plan(const struct export_plan *plan, const struct export_ops *ops, struct error *err)
{
    struct output output;
    struct export_sink *sink = NULL;
    struct export_counts *counts = calloc(plan->rings, sizeof(*counts));
    int code = counts != NULL ? output_begin(&output, plan->options->output, plan->options->force, err)
                              : error_set(err, -ENOMEM, "expected a little memory, got none");
    if (code != 0) {
        free(counts);
        return fail(err, EXIT_NOT_SO);
    }
    code = ops->open(&sink, plan, &output, err);
    if (code == 0) {
        code = export_run(plan, sink, counts, err);
    }
    if (sink != NULL) {
        ops->close(sink);
    }
    if (code == 0) {
        code = output_commit(&output, err);
    }
    output_abandon(&output);
    int status = EXIT_NOT_SO;
    if (code == 0) {
        json_t *problems = json_array();
        uint64_t missing = tell_missing(plan, counts, problems);
        if (plan->options->json) {
            report(plan, ops, counts, missing, problems);
        }
        json_decref(problems);
        status = missing == 0 ? EXIT_DONE : EXIT_NOT_SO;
    } else {
        fail(err, EXIT_NOT_SO);
    }
    free(counts);
    return status;
}

int main(int argc, char **argv)
{
    struct error err = {{0}};
    struct export_options options;
    if (export_options_parse(&options, argc, argv, &err) != 0) {
        return fail(&err, EXIT_USAGE);
    }
    if (options.help) {
        fputs(export_usage, stdout);
        return EXIT_DONE;
    }
    const struct export_ops *ops =
        options.format != NULL ? export_find(options.format) : export_of_file(options.output);
    if (ops == NULL) {
        error_set(&err, 0, "expected %s of %s, found '%s'%s",
                  options.format != NULL ? "--format" : "an output whose suffix is", export_names(),
                  options.format != NULL ? options.format : options.output,
                  options.format != NULL ? "" : "; or say --format");
        return fail(&err, EXIT_USAGE);
    }
    if (options.deflate != 0 && ops != &export_hdf5) {
        error_set(&err, 0, "--deflate: only hdf5 is compressed here, not %s", ops->name);
        return fail(&err, EXIT_USAGE);
    }
    catch_signals();
    struct record_set *set = NULL;
    if (record_open(&set, options.recording, options.recordings, &err) != 0) {
        return fail(&err, EXIT_NOT_SO);
    }
    struct export_plan plan = {.rings = 0};
    if (is_of_recording(set, options.output)) {
        error_set(&err, 0, "%s is a file of the recording itself; name another", options.output);
        record_close(set);
        return fail(&err, EXIT_NOT_SO);
    }
    int status = export_plan_make(&plan, set, ops, &options, &err) == 0 ? export_plan(&plan, ops, &err)
                                                                        : fail(&err, EXIT_USAGE);
    export_plan_free(&plan);
    record_close(set);
    return status;
}
