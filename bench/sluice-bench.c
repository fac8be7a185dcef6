/* sluice-bench QUESTION: how fast, as ratios to what the machine allows and to the best peer, in one run. */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"

struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct subcommand subcommands[] = {
    {"ring", bench_ring, "ring     frames from one core to another: ours, the floor, the peers"},
    {"control", bench_control,
     "control  from a sample to the valve's output: ours, the floor, what was late and why"},
    {"net", bench_net,
     "net      from a wire into a ring: the highest rate without loss, ours, the floors, the peers"},
    {"daq", bench_daq, "daq      from sensors into rings: what each sample costs, and how late it is"},
    {"record", bench_record,
     "record   from rings onto the disk: how fast, what it costs, what is lost; fio beside it"},
    {"readers", bench_readers, "readers  what programs in Python and in C get out of a ring, and what they cost"},
    {"all", bench_all, "all      ring, daq, net, control, record and readers in turn, one report"},
};

static int usage(FILE *to, int code)
{
    fprintf(to, "usage: sluice-bench QUESTION [--seconds N] [--runs N] [--decisions N] [--json FILE|-] [--html "
                "FILE] [--hgrm FOLDER] [--plot FILE.png] [--directory DIR] [--only NAME,..] [--compare OLD.json] "
                "[--from NEW.json] "
                "[--list]\n");
    for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
        fprintf(to, "  %s\n", subcommands[i].help);
    }
    fprintf(
        to,
        "--version, --help; QUESTION --help.\n"
        "Exit: 0 done, 1 a wrong frame, a failed measurement, something worse than it was, an interruption or a "
        "single core, 2 wrong usage.\n");
    return code;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("sluice-bench %s\n", SLUICE_VERSION);
        return BENCH_DONE;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return usage(stdout, BENCH_DONE);
    }
    for (size_t i = 0; argc >= 2 && i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0) {
            return subcommands[i].run(argc - 1, argv + 1);
        }
    }
    if (argc >= 2) {
        fprintf(stderr, "sluice-bench: expected a question, found '%s'\n", argv[1]);
    }
    return usage(stderr, BENCH_USAGE);
}
