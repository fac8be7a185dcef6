/* sluice-gen: sends frames at a chosen pace, and says exactly what it did. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "net/payload.h"
#include "tools/gen/report.h"

#define LINE_BYTES 4096

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_BAD_USAGE = 2 };

static volatile sig_atomic_t stop_asked;

static void on_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

static void catch_stop(void)
{
    struct sigaction action = {.sa_handler = on_stop}; /* without SA_RESTART: it ends a wait */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* the other end of a memif or vhost socket may go */
}

static int fail(int code, const char *text)
{
    fprintf(stderr, "sluice-gen: %s\n", text);
    return code;
}

static int pin(const struct options *options, struct error *err)
{
    cpu_set_t cores;
    if (options->core < 0) {
        return 0;
    }
    CPU_ZERO(&cores);
    CPU_SET((size_t)options->core, &cores);
    if (sched_setaffinity(0, sizeof(cores), &cores) != 0) {
        return error_set(err, -errno, "--core: expected a core that this process may run on, found %.0f: %s",
                         options->core, strerror(errno));
    }
    return 0;
}

static int run_once(struct generator *generator, const struct options *options, uint64_t *next, struct error *err)
{
    struct run_result result;
    int failed = generator_run(generator, options, &result, err);
    gen_report_run(generator, options, &result);
    *next = result.next;
    return failed;
}

/* A run for each line; numbers go on where the last run ended, unless a line says --first. */
static int run_lines(struct generator *generator, struct error *err)
{
    char line[LINE_BYTES];
    uint64_t next = generator->options.first;
    uint32_t room = options_bytes_max(&generator->options);
    gen_report_ready(generator);
    while (stop_asked == 0 && fgets(line, sizeof(line), stdin) != NULL) {
        struct options options = generator->options;
        struct error why = {{0}};
        options.first = next;
        int failed = options_parse_line(&options, line, &why);
        if (failed == 0 && options_bytes_max(&options) > room) {
            failed = error_set(&why, -EINVAL,
                               "--size: expected at most the %u bytes that the command line has, found %u", room,
                               options_bytes_max(&options));
        }
        if (failed != 0) {
            gen_report_error(why.text);
            continue;
        }
        failed = run_once(generator, &options, &next, err);
        if (failed != 0) {
            return failed;
        }
    }
    return 0;
}

static int run(const struct options *options)
{
    struct generator generator;
    struct error err = {{0}};
    uint64_t next;
    int failed = pin(options, &err);
    if (failed != 0) {
        return fail(EXIT_BAD_USAGE, err.text);
    }
    failed = generator_open(&generator, options, &stop_asked, &err);
    if (failed == 0) {
        failed = options->control ? run_lines(&generator, &err) : run_once(&generator, options, &next, &err);
    }
    generator_close(&generator);
    return failed == 0 ? EXIT_DONE : fail(failed == -EINVAL ? EXIT_BAD_USAGE : EXIT_FAILED, err.text);
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err = {{0}};
    if (options_parse(&options, argc, argv, &err) != 0) {
        return fail(EXIT_BAD_USAGE, err.text);
    }
    if (options.help) {
        options_help(stdout);
        return EXIT_DONE;
    }
    if (options.version) {
        printf("sluice-gen %s\n", SLUICE_VERSION);
        return EXIT_DONE;
    }
    catch_stop();
    payload_init();
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* ns; the default of 50 us would be in every wait */
    return run(&options);
}
