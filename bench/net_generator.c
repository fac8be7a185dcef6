#include "bench/net_generator.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/net_process.h"
#include "bench/net_wire.h"

#define ARGUMENTS_MAX 40
#define LINE_BYTES    4096u
#define START_S       20.0 /* to find its other end */
#define OVER_S        10.0 /* what a run may take longer than it was asked to */

struct net_generator {
    pid_t pid;
    int to;
    int from;
    uint32_t have;
    char line[LINE_BYTES];
};

/* A line of its standard output, without its end, in ->line. */
static int read_line(struct net_generator *g, double limit_s, struct error *err)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(limit_s * 1e9);
    for (g->have = 0; g->have < LINE_BYTES - 1;) {
        uint64_t now_ns = clock_monotonic_ns();
        struct pollfd p = {.fd = g->from, .events = POLLIN};
        if (now_ns >= end_ns || poll(&p, 1, (int)((end_ns - now_ns) / CLOCK_NS_PER_MS) + 1) == 0) {
            return error_set(err, -ETIMEDOUT, "sluice-gen: expected an answer within %.0f s", limit_s);
        }
        ssize_t n = read(g->from, g->line + g->have, LINE_BYTES - 1 - g->have);
        if (n <= 0 && errno != EINTR) {
            return error_set(err, -EPIPE, "sluice-gen ended; the lines above say why");
        }
        g->have += n > 0 ? (uint32_t)n : 0;
        g->line[g->have] = 0;
        if (g->have > 0 && g->line[g->have - 1] == '\n') { /* it answers one line at a time */
            return 0;
        }
    }
    return error_set(err, -EPROTO, "sluice-gen: expected a line of at most %u bytes", LINE_BYTES);
}

/* The answer, whose event must be this one; to be given back. */
static json_t *answer(struct net_generator *g, const char *event, double limit_s, struct error *err)
{
    json_error_t why;
    if (read_line(g, limit_s, err) != 0) {
        return NULL;
    }
    json_t *object = json_loads(g->line, 0, &why);
    const char *found = json_string_value(json_object_get(object, "event"));
    if (found == NULL || strcmp(found, event) != 0) {
        const char *text = json_string_value(json_object_get(object, "text"));
        error_set(err, -EPROTO, "sluice-gen: expected a line of event %s, found: %s", event,
                  text != NULL ? text : g->line);
        json_decref(object);
        return NULL;
    }
    return object;
}

struct arguments {
    const char *argv[ARGUMENTS_MAX + 1];
    char text[ARGUMENTS_MAX][256];
    int count;
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(a->text[a->count], sizeof(a->text[0]), format, args);
    va_end(args);
    a->argv[a->count] = a->text[a->count];
    a->argv[++a->count] = NULL;
}

/* The content is the same in all frames: the generator has written it once into each of its buffers, else it would
 * be the generator that is measured. The number differs. */
static void add_dpdk(struct arguments *a, const struct net_rig *rig)
{
    char port[sizeof(a->text[0])];
    net_wire_sending_port(rig, port, sizeof(port));
    add(a, "dpdk");
    add(a, "%s", port);
    add(a, "--content=same");
    add(a, "--no-checksum");
    add(a, "--full=drop");
    add(a, "--to-port=%u", NET_PORT);
    add(a, "--descriptors=%u", rig->descriptors);
    add(a, "--linger-ms=0");
}

static void fill_arguments(struct arguments *a, const struct net_rig *rig)
{
    add(a, "sluice-gen");
    if (rig->path->wire == NET_UDP) {
        add(a, "udp");
        add(a, "127.0.0.1:%u", rig->port);
    } else if (rig->path->wire == NET_VETH) {
        add(a, "udp");
        add(a, "%s:%u", NET_VETH_ADDRESS, NET_PORT);
    } else {
        add_dpdk(a, rig);
    }
    add(a, "--format=field");
    add(a, "--size=%u", rig->payload_bytes);
    add(a, "--seed=%llu", (unsigned long long)NET_SEED);
    add(a, "--core=%d", rig->generator_core);
    add(a, "--control");
}

static int start(struct net_generator *g, const struct net_rig *rig, struct error *err)
{
    static struct arguments a;
    int in[2] = {-1, -1};
    int out[2] = {-1, -1};
    a.count = 0;
    fill_arguments(&a, rig);
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        return error_set(err, -errno, "pipes to sluice-gen: %s", strerror(errno));
    }
    struct net_process process = {
        .argv = a.argv, .core = -1, .in = in[0], .out = out[1], .shared = -1, .namespace = rig->namespace};
    g->pid = net_process_start(&process, err);
    g->to = in[1];
    g->from = out[0];
    close(in[0]);
    close(out[1]);
    return g->pid > 0 ? 0 : (int)g->pid;
}

struct net_generator *net_generator_open(const struct net_rig *rig, struct error *err)
{
    struct net_generator *g = calloc(1, sizeof(*g));
    if (g == NULL) {
        error_set(err, -ENOMEM, "no memory for a generator");
        return NULL;
    }
    g->to = -1;
    g->from = -1;
    signal(SIGPIPE, SIG_IGN);
    json_t *ready = start(g, rig, err) == 0 ? answer(g, "ready", START_S, err) : NULL;
    if (ready == NULL) {
        net_generator_close(g);
        return NULL;
    }
    json_decref(ready);
    return g;
}

void net_generator_close(struct net_generator *generator)
{
    if (generator == NULL) {
        return;
    }
    if (generator->to >= 0) {
        close(generator->to);
    }
    net_process_end(generator->pid);
    if (generator->from >= 0) {
        close(generator->from);
    }
    free(generator);
}

static int run_line(struct net_generator *g, const char *line, double limit_s, struct net_sent *sent,
                    struct error *err)
{
    size_t n = strlen(line);
    if (write(g->to, line, n) != (ssize_t)n) {
        return error_set(err, -EPIPE, "sluice-gen has ended; the lines above say why");
    }
    json_t *report = answer(g, "run", limit_s, err);
    if (report == NULL) {
        return -EPROTO;
    }
    sent->numbers = (uint64_t)json_integer_value(json_object_get(report, "sent"));
    sent->dropped = (uint64_t)json_integer_value(json_object_get(report, "dropped"));
    sent->rate_hz = json_real_value(json_object_get(report, "rate_hz"));
    sent->longest_us = json_number_value(json_object_get(report, "longest_stall_ns")) * 1e-3;
    json_decref(report);
    return 0;
}

int net_generator_warm(struct net_generator *generator, uint64_t count, struct net_sent *sent, struct error *err)
{
    char line[64];
    snprintf(line, sizeof(line), "--max --count %llu\n", (unsigned long long)count);
    return run_line(generator, line, START_S, sent, err);
}

int net_generator_run(struct net_generator *generator, double rate_hz, double seconds, struct net_sent *sent,
                      struct error *err)
{
    char line[128];
    if (rate_hz > 0) {
        snprintf(line, sizeof(line), "--rate %.0fpps --seconds %g\n", rate_hz, seconds);
    } else {
        snprintf(line, sizeof(line), "--max --seconds %g\n", seconds);
    }
    return run_line(generator, line, seconds + OVER_S, sent, err);
}
