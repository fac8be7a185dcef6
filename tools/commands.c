/* What changes something: arm, reset, trip, bypass, alarms, the configuration's acknowledgement. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/protocol.h"
#include "tools/order.h"
#include "tools/session.h"
#include "tools/sluice.h"

static void print_text(const char *text, const struct arguments *arguments, bool done)
{
    if (arguments->json) {
        json_t *answer = json_pack("{s:b, s:s}", "done", (int)done, "text", text);
        json_dumpf(answer, stdout, JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(answer);
    } else if (done) {
        printf("%s\n", text);
    }
}

int order_ask(const char *instance, struct protocol_request *request, struct error *err)
{
    struct protocol_reply reply;
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 0;
    int fd = protocol_connect(instance, err);
    if (fd < 0) {
        return EXIT_UNREACHABLE;
    }
    reply.code = 1; /* no answer */
    int code = protocol_ask(fd, request, &reply, fds, &count, err);
    close(fd);
    if (code == 0) {
        error_set(err, 0, "%s", reply.text);
        return EXIT_DONE;
    }
    return reply.code < 0 ? EXIT_NOT_SO : EXIT_UNREACHABLE;
}

static bool take(char *to, size_t bytes, const char *text)
{
    return text == NULL || snprintf(to, bytes, "%s", text) < (int)bytes;
}

int order_request(const struct arguments *a, const char *name, uint16_t op, struct protocol_request *request)
{
    char text[160];
    *request = (struct protocol_request){.op = op, .argument = a->duration_ns};
    if (take(request->name, sizeof(request->name), a->name) &&
        take(request->person, sizeof(request->person), a->by) &&
        take(request->reason, sizeof(request->reason), a->reason)) {
        return EXIT_DONE;
    }
    snprintf(text, sizeof(text), "expected a name and a person of at most %u bytes and a reason of at most %u",
             PROTOCOL_PERSON_BYTES - 1, PROTOCOL_REASON_BYTES - 1);
    return command_fail(name, text, EXIT_USAGE);
}

int order_instance(const struct arguments *a, const char *name, char instance[RING_NAME_BYTES])
{
    struct error err = {{0}};
    int found = session_instance(a->instance, instance, &err);
    return found == 0 ? EXIT_DONE : command_fail(name, err.text, found == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
}

static int send_request(const struct arguments *arguments, struct protocol_request *request, const char *name)
{
    struct error err = {{0}};
    char instance[RING_NAME_BYTES];
    int code = order_instance(arguments, name, instance);
    if (code != EXIT_DONE) {
        return code;
    }
    code = order_ask(instance, request, &err);
    print_text(err.text, arguments, code == EXIT_DONE);
    return code == EXIT_DONE ? EXIT_DONE : command_fail(name, err.text, code);
}

static int give(const struct arguments *arguments, uint16_t op, const char *name)
{
    struct protocol_request request;
    int code = order_request(arguments, name, op, &request);
    return code == EXIT_DONE ? send_request(arguments, &request, name) : code;
}

int command_arm(const struct arguments *arguments)
{
    return give(arguments, PROTOCOL_ARM, "arm");
}

int command_reset(const struct arguments *arguments)
{
    return give(arguments, PROTOCOL_RESET, "reset");
}

int command_trip(const struct arguments *arguments)
{
    return give(arguments, PROTOCOL_TRIP, "trip");
}

int command_bypass(const struct arguments *arguments)
{
    if (arguments->duration_ns == 0 || arguments->reason == NULL) {
        return command_fail("bypass", "say for how long and why: sluice bypass RULE --for 30m --reason TEXT",
                            EXIT_USAGE);
    }
    return give(arguments, PROTOCOL_BYPASS, "bypass");
}

int command_unbypass(const struct arguments *arguments)
{
    return give(arguments, PROTOCOL_UNBYPASS, "unbypass");
}

int command_ack(const struct arguments *arguments)
{
    struct arguments a = *arguments;
    if (a.name != NULL && strcmp(a.name, "all") == 0) {
        a.name = NULL;
    }
    return give(&a, PROTOCOL_ACKNOWLEDGE_ALARM, "ack");
}

int command_shelve(const struct arguments *arguments)
{
    if (arguments->duration_ns == 0) {
        return command_fail("shelve", "say for how long: sluice shelve ALARM --for 8h", EXIT_USAGE);
    }
    return give(arguments, PROTOCOL_SHELVE, "shelve");
}

int command_unshelve(const struct arguments *arguments)
{
    return give(arguments, PROTOCOL_UNSHELVE, "unshelve");
}

int command_acknowledge(const struct arguments *arguments)
{
    struct arguments a = *arguments;
    struct protocol_request request;
    if (strlen(a.name) != 16 || strspn(a.name, "0123456789abcdefABCDEF") != 16) {
        return command_fail("acknowledge",
                            "expected the 16 hexadecimal digits that sluice check FILE prints as the checksum",
                            EXIT_USAGE);
    }
    a.name = NULL;
    int code = order_request(&a, "acknowledge", PROTOCOL_ACKNOWLEDGE_CONFIG, &request);
    request.argument = strtoull(arguments->name, NULL, 16);
    return code == EXIT_DONE ? send_request(arguments, &request, "acknowledge") : code;
}
