/* sluice COMMAND: what an operator types. */
#include "tools/sluice.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/sluice.h"
#include "tools/become.h"
#include "tools/doctor.h"
#include "tools/duration.h"
#include "tools/import.h"
#include "tools/record.h"
#include "tools/recording.h"
#include "tools/replay.h"
#include "tools/session.h"
#include "tools/why.h"

struct command {
    const char *name;
    int (*run)(const struct arguments *arguments);
    const char *operands; /* "i": instance, "r": ring, "n": name, "?": that may be missing, "F": file */
    const char *help;
};

static const struct command commands[] = {
    {"check", command_check, "F", "check FILE             is this configuration right? Starts nothing"},
    {"status", command_status, "i",
     "status [INSTANCE]      one screen: processes, rings, losses, channels, interlock"},
    {"ledger", command_ledger, "i", "ledger [INSTANCE]      sent = delivered + lost by cause, per stream"},
    {"map", command_map, "i", "map [INSTANCE]         every byte of shared memory: where, whose, how large"},
    {"tail", command_tail, "ir",
     "tail [INSTANCE] RING   frames as they come, decoded; --count N, --gating,\n"
     "                         --oldest | --from-sequence N | --from-time TAI_NS"},
    {"reset", command_reset, "i", "reset [INSTANCE]       clear a trip; refused while a cause stands"},
    {"arm", command_arm, "i", "arm [INSTANCE]         give the permit; refused unless reset and healthy"},
    {"trip", command_trip, "i", "trip [INSTANCE]        withdraw the permit now"},
    {"rules", command_rules, "i", "rules [INSTANCE]       every rule: what it sees, how far it is from acting"},
    {"bypass", command_bypass, "in",
     "bypass [INSTANCE] RULE --for 30m --reason TEXT [--by NAME]\n"
     "                         take a rule's action away for a while"},
    {"unbypass", command_unbypass, "in", "unbypass [INSTANCE] RULE   give it back"},
    {"proof-test", command_proof_test, "in", "proof-test [INSTANCE] OUTPUT   does it move? Asks its feedback"},
    {"ack", command_ack, "in?", "ack [[INSTANCE] ALARM|all]   an alarm has been seen"},
    {"shelve", command_shelve, "in", "shelve [INSTANCE] ALARM --for 8h   not to be shown for a while"},
    {"unshelve", command_unshelve, "in", "unshelve [INSTANCE] ALARM"},
    {"acknowledge", command_acknowledge, "in",
     "acknowledge [INSTANCE] CHECKSUM   this configuration is the one that is meant"},
    {"audit", command_audit, "i",
     "audit [INSTANCE]       the audit log's newest lines; --verify FILE checks a file"},
};

static int usage(FILE *to, int code)
{
    fprintf(to, "usage: sluice COMMAND [--json] ..\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        fprintf(to, "  %s\n", commands[i].help);
    }
    fprintf(
        to,
        "  latency [INSTANCE]     where the time goes, sample to valve; --watch, --curve, --plot FILE, --help\n");
    fprintf(to, "  top [INSTANCE]         a full screen that follows the server; --interval SECONDS, --once\n");
    fprintf(to, "  why [INSTANCE]         the worst decisions, and what took the core; --latest, --log N\n");
    fprintf(to, "  record [INSTANCE]      rings into files, until Ctrl-C; start, stop, next, note ..: --help\n");
    fprintf(to,
            "  replay RECORDING ..     plays it into rings, as if live; or what was decided on it: --help\n"
            "  import --config FILE FILE -o DIR    a CSV, pcap or VDIF file as a recording\n"
            "  info RECORDING ..       what is in a recording, is it whole, what is missing; --check, --gaps N\n"
            "  recover RECORDING ..    closes what a crash left open, says what was saved; --output, --dry-run\n"
            "  doctor [--config FILE]  is this host fit for it, and what to do; --fix, --undo\n"
            "  export [OPTION ..] RECORDING .. -o FILE   as HDF5, pcapng, MCAP, CSV, raw or VDIF; --help\n"
            "  gen TRANSPORT TARGET ..  sends packets at a chosen pace: sluice-gen(1)\n");
    fprintf(to, "  status: --watch SECONDS repeats; commands: --by NAME says who answers for one\n"
                "INSTANCE may be left out when one server runs. --version, --help.\n"
                "Exit: 0 done, 1 it is not so, 2 bad usage or configuration, 3 cannot reach the server.\n");
    return code;
}

int command_fail(const char *command, const char *text, int code)
{
    fprintf(stderr, "sluice %s: %s\n", command, text);
    return code;
}

int command_check(const struct arguments *arguments)
{
    char path[512];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
    if (n < 0) {
        return command_fail("check", "cannot find sluiced: /proc is not mounted", EXIT_USAGE);
    }
    path[n] = 0;
    char *slash = strrchr(path, '/');
    memcpy(slash != NULL ? slash + 1 : path, "sluiced", sizeof("sluiced"));
    execl(path, path, "--check", arguments->file, (char *)NULL);
    fprintf(stderr, "sluice check: expected sluiced at %s: %s\n", path, strerror(errno));
    return EXIT_USAGE;
}

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *value = n;
    return errno == 0 && end != text && *end == 0 && text[0] != '-';
}

/* Operands in their order; a ring alone leaves the instance to be found. */
static bool take_operands(const struct command *command, int count, char **operands, struct arguments *a)
{
    if (strcmp(command->operands, "F") == 0) {
        a->file = count == 1 ? operands[0] : NULL;
        return count == 1;
    }
    if (command->operands[1] == 'n') {
        a->name = count >= 1 ? operands[count - 1] : NULL;
        a->instance = count == 2 ? operands[0] : NULL;
        return count == 1 || count == 2 || (count == 0 && command->operands[2] == '?');
    }
    if (strcmp(command->operands, "ir") == 0) {
        a->ring = count >= 1 ? operands[count - 1] : NULL;
        a->instance = count == 2 ? operands[0] : NULL;
        return count == 1 || count == 2;
    }
    a->instance = count == 1 ? operands[0] : NULL;
    return count <= (a->file == NULL);
}

/* One of --oldest, --from-sequence, --from-time, once. */
static bool take_start(struct arguments *a, int option, const char *text)
{
    if (a->start != 0) {
        return false;
    }
    a->start = option == 'o' ? SLUICE_OLDEST : option == 's' ? SLUICE_AT_SEQUENCE : SLUICE_AT_TIME;
    return option == 'o' || parse_number(text, &a->at);
}

/* Changes something, and somebody answers for it. */
static bool is_order(const struct command *command)
{
    return strchr(command->operands, 'n') != NULL || command->run == command_arm || command->run == command_reset ||
           command->run == command_trip;
}

/* False: the option does not belong to this command, or its number is none. */
static bool take_option(const struct command *command, int option, struct arguments *a)
{
    bool is_tail = command->run == command_tail;
    uint64_t seconds;
    switch (option) {
    case 'j':
        a->json = true;
        return command->run != command_check;
    case 'w':
        if (!parse_number(optarg, &seconds) || seconds < 1 || seconds > 3600) {
            return false;
        }
        a->seconds = (uint32_t)seconds;
        return command->run == command_status;
    case 'n':
        return is_tail && parse_number(optarg, &a->count);
    case 'g':
        a->gating = true;
        return is_tail;
    case 'f':
        return (command->run == command_bypass || command->run == command_shelve) &&
               duration_parse(optarg, &a->duration_ns);
    case 'r':
        a->reason = optarg;
        return command->run == command_bypass;
    case 'b':
        a->by = optarg;
        return is_order(command);
    case 'v':
        a->file = optarg;
        return command->run == command_audit;
    default:
        return is_tail && take_start(a, option, optarg);
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"oldest", no_argument, NULL, 'o'},
                                            {"from-sequence", required_argument, NULL, 's'},
                                            {"from-time", required_argument, NULL, 't'},
                                            {"gating", no_argument, NULL, 'g'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"watch", required_argument, NULL, 'w'},
                                            {"for", required_argument, NULL, 'f'},
                                            {"reason", required_argument, NULL, 'r'},
                                            {"by", required_argument, NULL, 'b'},
                                            {"verify", required_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct arguments a = {0};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            return usage(stdout, EXIT_DONE);
        }
        if (option == '?') {
            return usage(stderr, EXIT_USAGE);
        }
        if (!take_option(command, option, &a)) {
            fprintf(
                stderr,
                "sluice %s: option %s does not belong here (of --oldest, --from-sequence and --from-time only "
                "one does), or wants a number (1 to 3600 s for --watch) or a time such as 90s, 30m, 8h (--for)\n",
                command->name, argv[optind - 1]);
            return EXIT_USAGE;
        }
    }
    if (!take_operands(command, argc - optind, argv + optind, &a)) {
        fprintf(stderr, "usage: sluice %s\n", command->help);
        return EXIT_USAGE;
    }
    return command->run(&a);
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        printf("sluice %s\n", SLUICE_VERSION);
        return EXIT_DONE;
    }
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        return usage(stdout, EXIT_DONE);
    }
    if (argc >= 2 && strcmp(argv[1], "replay") == 0) {
        return command_replay(argc - 1, argv + 1); /* its options are its own */
    }
    if (argc >= 2 && strcmp(argv[1], "import") == 0) {
        return command_import(argc - 1, argv + 1); /* the same */
    }
    if (argc >= 2 && strcmp(argv[1], "record") == 0) {
        return command_record(argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "why") == 0) {
        return command_why(argc - 1, argv + 1); /* the same */
    }
    if (argc >= 2 && strcmp(argv[1], "top") == 0) {
        return command_top(argc - 1, argv + 1); /* the same */
    }
    if (argc >= 2 && strcmp(argv[1], "latency") == 0) {
        return command_latency(argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "doctor") == 0) {
        return command_doctor(argc - 1, argv + 1); /* as well */
    }
    if (argc >= 2 && strcmp(argv[1], "info") == 0) {
        return command_info(argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "recover") == 0) {
        return command_recover(argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "gen") == 0) {
        return become_command("gen", argv + 1); /* a program of its own */
    }
    if (argc >= 2 && strcmp(argv[1], "export") == 0) {
        return become_command("export", argv + 1);
    }
    for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return run(&commands[i], argc - 1, argv + 1);
        }
    }
    if (argc >= 2) {
        fprintf(stderr, "sluice: there is no command '%s'\n", argv[1]);
    }
    return usage(stderr, EXIT_USAGE);
}
