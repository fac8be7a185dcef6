#include "tools/record.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/clock.h"
#include "tools/duration.h"
#include "tools/order.h"
#include "tools/sluice.h"

struct options {
    struct recorder_plan plan;
    struct arguments order; /* of an order: name = recorder, reason = its text */
    const char *instance;
    uint32_t verb; /* 0: records by itself; RECORDER_VERBS: shows them */
    bool json;
};

static int usage(FILE *to, int code)
{
    fprintf(
        to,
        "usage: sluice record [OPTIONS] [INSTANCE]           records rings until Ctrl-C\n"
        "         --output DIR     where the run's directory is made; again: striped over several. Default: .\n"
        "         --ring NAME      only this ring; again: these\n"
        "         --for 90s        ends by itself\n"
        "         --gating         the rings' writers wait for it, within their bounds\n"
        "         --layout WORD    auto, packed or slots (needs --gating)\n"
        "         --block-kb N     64 to 16384: most of a block; default 1024\n"
        "         --sync-ms N      30 to 60000: the most that a crash may lose; default 1000\n"
        "         --rotate-mb N    a new segment after so much; default 4096\n"
        "         --room-mb N      left free on the disk; default 1024\n"
        "         --operator NAME  --test-id ID  --note TEXT\n"
        "       sluice record start|stop|next|trigger [--recorder NAME] [--by NAME] [INSTANCE]\n"
        "       sluice record note|operator|test-id TEXT [--recorder NAME] [--by NAME] [INSTANCE]\n"
        "                                                    an order to a recorder of the configuration\n"
        "       sluice record status [INSTANCE]              what they do\n"
        "       --json: the result as JSON\n"
        "Exit: 0 done and whole, 1 something is missing or was refused, 2 bad usage, 3 cannot reach the server.\n");
    return code;
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *value = n;
    return errno == 0 && end != text && *end == 0 && text[0] != '-' && n >= min && n <= max;
}

static bool copy_text(char *to, size_t bytes, const char *text)
{
    return text[0] != 0 && strchr(text, '\n') == NULL && snprintf(to, bytes, "%s", text) < (int)bytes;
}

static bool add_directory(struct recorder_plan *plan, const char *text)
{
    char *absolute = realpath(text, NULL);
    bool ok = absolute != NULL && plan->directories < RECORDER_DIRECTORIES_MAX &&
              snprintf(plan->directory[plan->directories], RECORDER_PATH_BYTES, "%s", absolute) <
                  (int)RECORDER_PATH_BYTES;
    plan->directories += ok;
    free(absolute);
    return ok;
}

static bool add_ring(struct recorder_plan *plan, const char *text)
{
    bool ok = plan->rings < RECORDER_RINGS_MAX && copy_text(plan->ring[plan->rings], RING_NAME_BYTES, text);
    plan->rings += ok;
    return ok;
}

static bool take_layout(struct recorder_plan *plan, const char *text)
{
    static const char *const words[] = {"auto", "packed", "slots"};
    for (uint32_t i = 0; i < 3; i++) {
        if (strcmp(text, words[i]) == 0) {
            plan->layout = RECORDER_AUTO + i;
            return true;
        }
    }
    return false;
}

static bool take(struct options *o, int option, const char *text)
{
    struct recorder_plan *plan = &o->plan;
    uint64_t n = 0;
    bool ok = true;
    switch (option) {
    case 'o':
        return add_directory(plan, text);
    case 'r':
        return add_ring(plan, text);
    case 'f':
        return duration_parse(text, &plan->for_ns);
    case 'g':
        plan->gating = 1;
        return true;
    case 'l':
        return take_layout(plan, text);
    case 'b':
        ok = number(text, 64, 16384, &n);
        plan->block_bytes = n << 10;
        return ok;
    case 's':
        ok = number(text, 30, 60000, &n);
        plan->sync_ns = n * CLOCK_NS_PER_MS;
        return ok;
    case 'm':
        ok = number(text, 1, 1048576, &n);
        plan->rotate_bytes = n << 20;
        return ok;
    case 'R':
        ok = number(text, 0, 1000000, &n);
        plan->room_bytes = n << 20;
        return ok;
    case 'O':
        return copy_text(plan->operator_name, sizeof(plan->operator_name), text);
    case 't':
        return copy_text(plan->test_id, sizeof(plan->test_id), text);
    case 'n':
        return copy_text(plan->note, sizeof(plan->note), text);
    case 'c':
        o->order.name = text;
        return true;
    case 'B':
        o->order.by = text;
        return true;
    default:
        o->json = o->order.json = true;
        return true;
    }
}

static void defaults(struct options *o)
{
    *o = (struct options){.plan = {.layout = RECORDER_AUTO,
                                   .begins = RECORDER_AT_ONCE,
                                   .full = RECORDER_STOPS,
                                   .decimate = 10,
                                   .block_bytes = (uint64_t)1 << 20,
                                   .sync_ns = CLOCK_NS_PER_S,
                                   .sync_bytes = (uint64_t)256 << 20,
                                   .rotate_bytes = (uint64_t)4096 << 20,
                                   .room_bytes = (uint64_t)1024 << 20}};
    snprintf(o->plan.name, sizeof(o->plan.name), "record");
}

/* An order's word is the first operand, then its text, then the instance. */
static int take_operands(struct options *o, int count, char **operands)
{
    for (uint32_t verb = RECORDER_START; count > 0 && verb < RECORDER_VERBS; verb++) {
        if (strcmp(operands[0], recorder_verb_name(verb)) == 0) {
            o->verb = verb;
        }
    }
    if (count > 0 && strcmp(operands[0], "status") == 0) {
        o->verb = RECORDER_VERBS;
    }
    int used = o->verb != 0;
    if (o->verb >= RECORDER_NOTE && o->verb < RECORDER_VERBS) {
        if (count < 2) {
            fprintf(stderr, "sluice record: %s wants a text\n", operands[0]);
            return EXIT_USAGE;
        }
        o->order.reason = operands[used++];
    }
    if (count - used > 1) {
        return usage(stderr, EXIT_USAGE);
    }
    o->instance = o->order.instance = count > used ? operands[used] : NULL;
    return EXIT_DONE;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"ring", required_argument, NULL, 'r'},
                                            {"for", required_argument, NULL, 'f'},
                                            {"gating", no_argument, NULL, 'g'},
                                            {"layout", required_argument, NULL, 'l'},
                                            {"block-kb", required_argument, NULL, 'b'},
                                            {"sync-ms", required_argument, NULL, 's'},
                                            {"rotate-mb", required_argument, NULL, 'm'},
                                            {"room-mb", required_argument, NULL, 'R'},
                                            {"operator", required_argument, NULL, 'O'},
                                            {"test-id", required_argument, NULL, 't'},
                                            {"note", required_argument, NULL, 'n'},
                                            {"recorder", required_argument, NULL, 'c'},
                                            {"by", required_argument, NULL, 'B'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    defaults(o);
    while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout, EXIT_DONE);
            return -1;
        }
        if (option == '?') {
            return usage(stderr, EXIT_USAGE);
        }
        if (!take(o, option, optarg)) {
            fprintf(stderr, "sluice record: '%s' is not right for %s; see sluice record --help\n",
                    optarg != NULL ? optarg : "",
                    option == 'o' ? "--output (an existing directory, at most 8)" : argv[optind - 2]);
            return EXIT_USAGE;
        }
    }
    return take_operands(o, argc - optind, argv + optind);
}

static int give_order(struct options *o)
{
    struct protocol_request request;
    struct error err = {{0}};
    char instance[RING_NAME_BYTES];
    int code = order_request(&o->order, "record", PROTOCOL_RECORD, &request);
    if (code == EXIT_DONE) {
        code = order_instance(&o->order, "record", instance);
    }
    if (code != EXIT_DONE) {
        return code;
    }
    request.argument = o->verb;
    code = order_ask(instance, &request, &err);
    if (o->json) {
        json_t *answer = json_pack("{s:b, s:s}", "done", code == EXIT_DONE, "text", err.text);
        json_dumpf(answer, stdout, JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(answer);
    } else if (code == EXIT_DONE) {
        printf("%s\n", err.text);
    }
    return code == EXIT_DONE ? EXIT_DONE : command_fail("record", err.text, code);
}

static int show(const struct session *session, bool json)
{
    json_t *list = record_report_all(session);
    json_t *recorder;
    size_t i;
    if (json) {
        json_dumpf(list, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        printf("\n");
    } else {
        json_array_foreach(list, i, recorder)
        {
            record_draw(recorder);
        }
        if (json_array_size(list) == 0) {
            printf("%s has no recorders\n", session->instance);
        }
    }
    json_decref(list);
    return EXIT_DONE;
}

/* All rings that the server has, or those that were named, which it must have. */
static int choose_rings(const struct session *session, struct recorder_plan *plan, struct error *err)
{
    for (uint32_t i = 0; i < plan->rings; i++) {
        bool found = false;
        for (uint32_t r = 0; r < session->rings; r++) {
            found = found || strncmp(session->ring[r].header->identity.name, plan->ring[i], RING_NAME_BYTES) == 0;
        }
        if (!found) {
            return error_set(err, -ENOENT, "%s has no ring '%s'; sluice status lists them", session->instance,
                             plan->ring[i]);
        }
    }
    for (uint32_t r = 0; plan->rings == 0 && r < session->rings && r < RECORDER_RINGS_MAX; r++) {
        memcpy(plan->ring[r], session->ring[r].header->identity.name, RING_NAME_BYTES - 1);
    }
    plan->rings = plan->rings != 0 ? plan->rings : session->rings;
    return plan->rings > 0 ? 0 : error_set(err, -ENOENT, "%s has no rings", session->instance);
}

static int with_session(struct options *o)
{
    struct error err = {{0}};
    struct session session;
    char instance[RING_NAME_BYTES];
    int code = session_instance(o->instance, instance, &err);
    if (code != 0) {
        return command_fail("record", err.text, code == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
    }
    code = session_open(&session, instance, &err);
    if (code != 0) {
        session_close(&session);
        return command_fail("record", err.text, EXIT_UNREACHABLE);
    }
    if (o->verb == RECORDER_VERBS) {
        code = show(&session, o->json);
    } else if (choose_rings(&session, &o->plan, &err) != 0) {
        code = command_fail("record", err.text, EXIT_USAGE);
    } else {
        code = record_run(&session, &o->plan, o->json);
    }
    session_close(&session);
    return code;
}

int command_record(int argc, char **argv)
{
    static struct options o;
    int code = parse(argc, argv, &o);
    if (code != EXIT_DONE) {
        return code < 0 ? EXIT_DONE : code;
    }
    if (o.verb != 0 && o.verb != RECORDER_VERBS) {
        return give_order(&o);
    }
    if (o.plan.layout == RECORDER_SLOTS && o.plan.gating == 0) {
        return command_fail("record", "--layout slots writes from the ring itself, which only --gating may",
                            EXIT_USAGE);
    }
    if (o.plan.directories == 0 && !add_directory(&o.plan, ".")) {
        return command_fail("record", "cannot find the current directory; say --output DIR", EXIT_USAGE);
    }
    return with_session(&o);
}
