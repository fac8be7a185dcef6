/* doctor: options, and in which order things are done. */
#include "tools/doctor.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/session.h"

#define SECONDS_STANDARD 2
#define SECONDS_MAX      3600

struct wish {
    const char *config;
    const char *instance;
    const char *root;
    const char *report;
    int64_t seconds; /* -1: not given */
    bool json;
    bool fix;
    bool undo;
    bool dry_run;
    bool certify;
};

static int usage(FILE *to, int code)
{
    fprintf(to,
            "usage: sluice doctor [--config FILE | --instance NAME] [--seconds N] [--json] [--report FILE]\n"
            "                     [--fix | --dry-run] [--certify] [--root DIR]\n"
            "       sluice doctor --undo [--root DIR]\n"
            "  Is this host fit for it? Without --fix nothing is changed. --dry-run: what --fix would write.\n"
            "  --seconds: how long to measure, 0: not at all; standard 2; not while a server runs\n"
            "  --certify: leave the verdict for the server of --config, whose arming gate asks for it\n"
            "  --root: look at the /proc and /sys below DIR; nothing is measured\n"
            "Exit: 0 nothing above a note, 1 warnings, unknown or failed changes, 2 bad usage or configuration,\n"
            "3 dangers.\n");
    return code;
}

static int fail(const char *text)
{
    fprintf(stderr, "sluice doctor: %s\n", text);
    return EXIT_USAGE;
}

static bool take_option(struct wish *wish, int option)
{
    switch (option) {
    case 'c':
        wish->config = optarg;
        break;
    case 'i':
        wish->instance = optarg;
        break;
    case 'r':
        wish->root = optarg;
        break;
    case 'o':
        wish->report = optarg;
        break;
    case 'j':
        wish->json = true;
        break;
    case 'f':
        wish->fix = true;
        break;
    case 'u':
        wish->undo = true;
        break;
    case 'd':
        wish->dry_run = true;
        break;
    case 'e':
        wish->certify = true;
        break;
    default:
        return doctor_parse_number(optarg, &wish->seconds) && wish->seconds >= 0 && wish->seconds <= SECONDS_MAX;
    }
    return true;
}

/* EXIT_DONE: go on; else what to exit with; -1: help was asked for. */
static int take_options(int argc, char **argv, struct wish *wish)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},  {"instance", required_argument, NULL, 'i'},
        {"root", required_argument, NULL, 'r'},    {"report", required_argument, NULL, 'o'},
        {"seconds", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
        {"fix", no_argument, NULL, 'f'},           {"undo", no_argument, NULL, 'u'},
        {"dry-run", no_argument, NULL, 'd'},       {"certify", no_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout, 0);
            return -1;
        }
        if (option == '?') {
            return usage(stderr, EXIT_USAGE);
        }
        if (!take_option(wish, option)) {
            fprintf(stderr, "sluice doctor: --seconds wants a number from 0 to %d, found '%s'\n", SECONDS_MAX,
                    optarg);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sluice doctor: expected options only, found '%s'; say --config FILE or --instance NAME\n",
                argv[optind]);
        return EXIT_USAGE;
    }
    bool looks = wish->config != NULL || wish->instance != NULL || wish->report != NULL || wish->json ||
                 wish->seconds >= 0 || wish->fix || wish->dry_run || wish->certify;
    if (wish->undo && looks) {
        return fail("--undo goes with --root only");
    }
    if ((wish->config != NULL && wish->instance != NULL) || (wish->fix && wish->dry_run)) {
        return fail("of --config and --instance, and of --fix and --dry-run, only one can be");
    }
    if (wish->certify && wish->config == NULL) {
        return fail(
            "--certify: expected --config FILE, for the verdict is one on this host for that configuration");
    }
    if (wish->certify && (wish->root != NULL || wish->seconds == 0)) {
        return fail("--certify: expected this host, measured; leave --root and --seconds 0 away");
    }
    if (wish->root != NULL && (wish->seconds > 0 || wish->instance != NULL)) {
        return fail("--root is a tree of files: it cannot be measured (--seconds), and no instance runs there");
    }
    return EXIT_DONE;
}

static int load_config(struct doctor *d, const char *path)
{
    static struct config_errors errors;
    static struct server_plan plan;
    struct config_file file;
    int code = config_load(&file, path, &errors);
    code = code == 0 ? compile_config(&file, &plan, &errors) : code;
    config_unload(&file);
    if (code != 0) {
        fputs(errors.text, stderr);
        return fail("the configuration is not right; nothing was looked at");
    }
    doctor_need_plan(&d->need, &plan);
    return EXIT_DONE;
}

static int load_need(struct doctor *d, const struct wish *wish)
{
    struct error err = {{0}};
    if (wish->config != NULL) {
        return load_config(d, wish->config);
    }
    int code =
        wish->instance != NULL ? doctor_need_instance(&d->need, wish->instance, &err) : doctor_need_host(&d->need);
    if (code != 0) {
        return fail(err.text[0] != 0 ? err.text : strerror(-code));
    }
    return EXIT_DONE;
}

static int measure(struct doctor *d, const struct wish *wish)
{
    const char *why_not = wish->root != NULL     ? "--root is a tree of files"
                          : wish->seconds == 0   ? "--seconds 0"
                          : doctor_server_runs() ? "a sluice server runs on this host, whose cores that would take"
                                                 : NULL;
    if (why_not == NULL) {
        doctor_measure(d, wish->seconds > 0 ? (uint32_t)wish->seconds : SECONDS_STANDARD);
        return EXIT_DONE;
    }
    if (wish->certify) {
        fprintf(stderr, "sluice doctor: --certify: %s; stop it, certify, and start it again\n", why_not);
        return EXIT_USAGE;
    }
    if (wish->seconds > 0) {
        fprintf(stderr, "sluice doctor: --seconds %lld: %s; stop it, or say --seconds 0\n",
                (long long)wish->seconds, why_not);
        return EXIT_USAGE;
    }
    snprintf(d->measures.why_not, sizeof(d->measures.why_not), "%s", why_not);
    return EXIT_DONE;
}

static void print(const struct doctor *d, const struct wish *wish, FILE *to)
{
    if (wish->json) {
        doctor_print_json(d, to);
    } else {
        doctor_print(d, to);
    }
}

/* Whole, or not at all. */
static int write_report(const struct doctor *d, const struct wish *wish)
{
    char next[512];
    int n = snprintf(next, sizeof(next), "%s.new", wish->report);
    FILE *f = n > 0 && (size_t)n < sizeof(next) ? fopen(next, "we") : NULL;
    bool good = f != NULL;
    if (f != NULL) {
        print(d, wish, f);
        good = ferror(f) == 0 && fflush(f) == 0;
        good = fclose(f) == 0 && good && rename(next, wish->report) == 0;
    }
    if (!good) {
        fprintf(stderr, "sluice doctor: cannot write the report %s: %s\n", wish->report, strerror(errno));
        if (f != NULL) {
            unlink(next);
        }
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

/* Not among the JSON. */
static int change(struct doctor *d, const struct wish *wish)
{
    struct error err = {{0}};
    FILE *say = wish->json ? stderr : stdout;
    if (wish->dry_run) {
        doctor_dry_run(d, say);
    } else if (wish->undo) {
        return doctor_undo(d, say, &err) != 0 ? fail(err.text) : EXIT_DONE;
    } else if (wish->fix) {
        if (doctor_fix(d, say, &err) != 0) {
            return fail(err.text);
        }
        doctor_look(d); /* the report is of what is so now */
    }
    return EXIT_DONE;
}

/* A server that has come meanwhile may be armed on this verdict, which was measured beside it. */
static int certify(struct doctor *d, const struct wish *wish)
{
    struct error err = {{0}};
    if (!wish->certify) {
        return EXIT_DONE;
    }
    if (doctor_server_runs()) {
        return fail(
            "--certify: a sluice server was started while this host was measured; stop it, and do it again");
    }
    return doctor_certify(d, &err) != 0 ? fail(err.text) : EXIT_DONE;
}

/* A tree by its one name; NULL: it is none. */
static char *find_root(const char *root)
{
    char *path = realpath(root, NULL);
    if (path != NULL && strcmp(path, "/") == 0) {
        path[0] = 0;
    }
    return path;
}

static int run(struct doctor *d, const struct wish *wish)
{
    if (wish->undo) {
        int code = change(d, wish);
        return code != EXIT_DONE ? code : d->failed > 0 ? EXIT_NOT_SO : EXIT_DONE;
    }
    int code = load_need(d, wish);
    code = code == EXIT_DONE ? measure(d, wish) : code;
    if (code != EXIT_DONE) {
        return code;
    }
    doctor_look(d);
    code = change(d, wish);
    code = code == EXIT_DONE ? certify(d, wish) : code;
    if (code != EXIT_DONE) {
        return code;
    }
    print(d, wish, stdout);
    code = wish->report != NULL ? write_report(d, wish) : EXIT_DONE;
    return code != EXIT_DONE ? code : doctor_exit_code(d);
}

int command_doctor(int argc, char **argv)
{
    static struct doctor d;
    struct wish wish = {.seconds = -1};
    int code = take_options(argc, argv, &wish);
    if (code != EXIT_DONE) {
        return code < 0 ? EXIT_DONE : code;
    }
    char *root = find_root(wish.root != NULL ? wish.root : "/");
    if (root == NULL) {
        fprintf(stderr, "sluice doctor: --root %s: %s\n", wish.root != NULL ? wish.root : "/", strerror(errno));
        return EXIT_USAGE;
    }
    d.root = root;
    code = run(&d, &wish);
    free(root);
    return code;
}
