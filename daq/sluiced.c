/* sluiced FILE: the supervisor. `sluiced --check FILE` runs the same checks and starts nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daq/replay_options.h"
#include "daq/server.h"

static int usage(FILE *to, int code)
{
    fprintf(to,
            "usage: sluiced FILE.yaml          run the server in the foreground\n"
            "       sluiced --check FILE.yaml  check the configuration, start nothing\n"
            "       sluiced --replay RECORDING [--replay ..] [--as INSTANCE] [--speed X|fastest] [--loop] [--from "
            "S] [--to S]\n"
            "               [--ring NAME ..] [--wait-reader RING ..] [--original-stamps] FILE.yaml\n"
            "                                  play a recording into rings, touching no output (sluice replay)\n"
            "       sluiced --version | --help\n"
            "Exit: 0 done, 2 bad usage, configuration or a system that refuses to start it.\n");
    return code;
}

/* *text is the caller's: the black box hands it on. */
static int compile_file(const char *path, const struct replay_options *replay, struct server_plan *plan,
                        char **text, size_t *text_bytes)
{
    static struct config_errors errors;
    struct config_file file;
    int code = config_load(&file, path, &errors);
    if (code == 0) {
        code = replay != NULL ? compile_replay(&file, replay, plan, &errors) : compile_config(&file, plan, &errors);
    }
    *text = config_take_text(&file, text_bytes);
    config_unload(&file);
    if (code != 0) {
        fputs(errors.text, stderr);
        fprintf(stderr, "%s: %u error%s, nothing started\n", path, errors.count, errors.count == 1 ? "" : "s");
    }
    return code;
}

/* Whatever went wrong on the way here: a replay that could touch something is not started. */
static bool is_harmless(const struct server_plan *plan)
{
    const char *touched = compile_replay_touches(plan);
    if (touched != NULL) {
        fprintf(stderr, "sluiced: this replay could touch %s, which must not be; nothing started\n", touched);
    }
    return touched == NULL;
}

static int replay(int argc, char **argv, struct server_plan *plan)
{
    struct replay_options options;
    const char *path;
    char *text = NULL;
    size_t text_bytes = 0;
    if (!replay_options_parse(argc, argv, &options, &path)) {
        return usage(stderr, 2);
    }
    int code = 2;
    if (compile_file(path, &options, plan, &text, &text_bytes) == 0 && is_harmless(plan)) {
        code = server_run(plan, text, text_bytes);
    }
    free(text);
    return code;
}

int main(int argc, char **argv)
{
    static struct server_plan plan;
    char *text = NULL;
    size_t text_bytes = 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("sluiced %s\n", SLUICE_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return usage(stdout, 0);
    }
    if (argc > 1 && strcmp(argv[1], "--replay") == 0) {
        return replay(argc, argv, &plan);
    }
    bool check = argc == 3 && strcmp(argv[1], "--check") == 0;
    if (!check && (argc != 2 || argv[1][0] == '-')) {
        return usage(stderr, 2);
    }
    if (compile_file(argv[argc - 1], NULL, &plan, &text, &text_bytes) != 0) {
        free(text);
        return 2;
    }
    if (check) {
        free(text);
        printf(
            "%s: ok: instance %s, %u ring%s, %u worker%s, %u channels, %u rules, %u outputs; checksum %016" PRIx64
            "\n",
            argv[2], plan.instance, plan.rings, plan.rings == 1 ? "" : "s", plan.workers,
            plan.workers == 1 ? "" : "s", plan.table.channels, plan.table.rules, plan.table.outputs,
            plan.table.checksum);
        return 0;
    }
    int code = server_run(&plan, text, text_bytes);
    free(text);
    return code;
}
