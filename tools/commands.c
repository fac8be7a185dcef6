/* arm, reset, trip. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "ring/protocol.h"
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

static int give(const struct arguments *arguments, uint16_t op, const char *name)
{
    struct error err = {{0}};
    struct protocol_reply reply;
    char instance[RING_NAME_BYTES];
    int fds[PROTOCOL_FDS_MAX];
    unsigned count = 0;
    int found = session_instance(arguments->instance, instance, &err);
    if (found != 0) {
        return command_fail(name, err.text, found == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
    }
    int fd = protocol_connect(instance, &err);
    if (fd < 0) {
        return command_fail(name, err.text, EXIT_UNREACHABLE);
    }
    reply.code = 1; /* no answer */
    int code = protocol_call(fd, op, NULL, &reply, fds, &count, &err);
    close(fd);
    print_text(code == 0 ? reply.text : err.text, arguments, code == 0);
    if (code == 0) {
        return EXIT_DONE;
    }
    return command_fail(name, err.text, reply.code < 0 ? EXIT_NOT_SO : EXIT_UNREACHABLE);
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
