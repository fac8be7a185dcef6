/* Instruments that speak SCPI: a line asks, a line answers. Nothing in an answer says to which question it belongs.
 * Therefore one is asked after the other, it must be silent before each, and once an answer is missing the
 * connection is made anew (or the line has to be silent for a while): what comes late is nobody's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/poll_line.h"
#include "daq/poller.h"
#include "daq/text.h"
#include "ring/clock.h"

#define LINE_BYTES 1024u
#define ASK_ERROR  "SYST:ERR?"
#define ERRORS_MAX 32 /* in the instrument's queue; the standard has 2 at least */

/* What an instrument says that has no value (IEEE 488.2, SCPI 1999 volume 1, 7.2.1): 9.91E+37 is not a number,
 * 9.9E+37 infinity. Nothing between and beyond is a measurement. */
#define SCPI_INFINITY 9.895e37
#define SCPI_NAN      9.905e37

struct scpi {
    int fd; /* plus 1; 0: not open */
    uint32_t have;
    char line[LINE_BYTES + 1];
};

static void close_scpi(void *state, const struct source_plan *plan)
{
    struct scpi *s = state;
    (void)plan;
    if (s->fd > 0) {
        close(s->fd - 1);
    }
    memset(s, 0, sizeof(*s));
}

static int connect_tcp(const struct source_plan *plan, struct error *err)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(plan->tcp.port), .sin_addr.s_addr = plan->tcp.address};
    char host[INET_ADDRSTRLEN];
    int on = 1;
    inet_ntop(AF_INET, &to.sin_addr, host, sizeof(host));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_set(err, -errno, "no socket: %s", strerror(errno));
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a question is not to wait for another */
    int code = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : -errno;
    if (code == -EINPROGRESS) {
        socklen_t length = sizeof(code);
        code = poll_line_wait(fd, POLLOUT, clock_monotonic_ns() + plan->poll.timeout_ns);
        if (code == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0) {
            code = -code;
        }
    }
    if (code != 0) {
        close(fd);
        return error_set(err, code, "cannot connect to %s:%u: %s", host, plan->tcp.port, strerror(-code));
    }
    return fd;
}

static int send_line(struct scpi *s, const char *text, uint64_t end_ns)
{
    char line[LINE_BYTES];
    int n = snprintf(line, sizeof(line), "%s\n", text);
    size_t sent = 0;
    while (n > 0 && sent < (size_t)n) {
        ssize_t now = write(s->fd - 1, line + sent, (size_t)n - sent);
        int code = now >= 0 ? 0 : -errno;
        if (code == -EAGAIN) {
            code = poll_line_wait(s->fd - 1, POLLOUT, end_ns);
        }
        if (code != 0 && code != -EINTR) {
            return code;
        }
        sent += now > 0 ? (size_t)now : 0;
    }
    return 0;
}

/* What is there by now, at most as much as there is room for. 0, -EAGAIN: nothing, or -errno. */
static int take_bytes(struct scpi *s)
{
    ssize_t n = read(s->fd - 1, s->line + s->have, LINE_BYTES - s->have);
    if (n < 0) {
        return -errno;
    }
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        if (s->line[s->have + i] == 0) { /* it would end the string early and hide the rest */
            s->line[s->have + i] = '?';
        }
    }
    s->have += (uint32_t)n;
    s->line[s->have] = 0;
    return n == 0 ? -ECONNRESET : 0;
}

/* One line, without its end, as a string. -EPROTO: more than that came. */
static int read_line(struct scpi *s, uint64_t end_ns)
{
    char *end = NULL;
    s->have = 0;
    s->line[0] = 0;
    while ((end = strchr(s->line, '\n')) == NULL) {
        if (s->have == LINE_BYTES) {
            return -EMSGSIZE;
        }
        int code = poll_line_wait(s->fd - 1, POLLIN, end_ns);
        code = code != 0 ? code : take_bytes(s);
        if (code != 0 && code != -EAGAIN && code != -EINTR) {
            return code;
        }
    }
    if (end[1] != 0) {
        return -EPROTO;
    }
    while (end > s->line && (end[-1] == '\r' || end[-1] == ' ')) {
        end--;
    }
    *end = 0;
    return 0;
}

/* An instrument that speaks without having been asked is answering something else. */
static int be_silent(struct scpi *s, const char *question, struct error *err)
{
    s->have = 0;
    int code = take_bytes(s);
    if (code == 0) {
        return error_set(err, -EPROTO, "expected silence before '%s', found '%.40s'", question, s->line);
    }
    return code == -EAGAIN || code == -EINTR
               ? 0
               : error_set(err, code, "no connection for '%s': %s", question, strerror(-code));
}

/* The answer is in s->line. */
static int ask(struct scpi *s, const char *question, uint64_t end_ns, struct error *err)
{
    int code = be_silent(s, question, err);
    if (code != 0) {
        return code;
    }
    code = send_line(s, question, end_ns);
    code = code != 0 ? code : read_line(s, end_ns);
    switch (code) {
    case 0:
        return 0;
    case -ETIMEDOUT:
        return error_set(err, code, "no answer to '%s' in time%s%.40s", question,
                         s->have > 0 ? ", but half of one: " : "", s->line);
    case -EPROTO:
        return error_set(err, code, "'%s': expected one line, found more: '%.60s'", question, s->line);
    case -EMSGSIZE:
        return error_set(err, code, "'%s': expected a line of at most %u characters, found '%.40s..'", question,
                         LINE_BYTES, s->line);
    default:
        return error_set(err, code, "'%s': %s", question, strerror(-code));
    }
}

/* -113,"Undefined header". False: it is no such line. */
static bool is_error(const char *line, long *number)
{
    char *end;
    *number = strtol(line, &end, 10);
    return end != line && *end == ',' && strchr(end, '"') != NULL;
}

/* The oldest error in the instrument's queue: 0, it is empty; 1 with words: it said one; -errno. */
static int ask_error(struct scpi *s, uint64_t end_ns, const char *after, struct error *err)
{
    long number;
    int code = ask(s, ASK_ERROR, end_ns, err);
    if (code != 0) {
        return code;
    }
    if (!is_error(s->line, &number)) {
        return error_set(err, -EPROTO, "'" ASK_ERROR "': expected NUMBER,\"TEXT\", found '%.60s'", s->line);
    }
    if (number != 0) {
        (void)error_set(err, -EPROTO, "%s: it reports the error %.120s", after, s->line);
        return 1;
    }
    return 0;
}

/* All but the first error are not told. */
static int ask_errors(struct scpi *s, uint64_t end_ns, const char *after, struct error *err)
{
    struct error further = {{0}};
    int first = ask_error(s, end_ns, after, err);
    for (int n = 0, code = first; code == 1 && n < ERRORS_MAX; n++) {
        code = ask_error(s, end_ns, after, &further);
        if (code < 0) {
            *err = further;
            return code;
        }
    }
    return first;
}

static int set_up(struct scpi *s, const struct source_plan *plan, struct error *err)
{
    const char *command = plan->scpi.setup;
    uint64_t end_ns = clock_monotonic_ns() + plan->poll.timeout_ns;
    if (plan->scpi.check_errors != 0) { /* errors of before are not the setup's */
        int code = ask_errors(s, end_ns, "before the setup", err);
        if (code < 0) {
            return code;
        }
    }
    for (uint32_t i = 0; i < plan->scpi.setups; i++, command += strlen(command) + 1) {
        int code = send_line(s, command, end_ns);
        if (code != 0) {
            return error_set(err, code, "cannot send '%s': %s", command, strerror(-code));
        }
    }
    if (plan->scpi.check_errors != 0 && plan->scpi.setups > 0) {
        end_ns = clock_monotonic_ns() + plan->poll.timeout_ns;
        int code = ask_errors(s, end_ns, "after the setup", err);
        return code == 1 ? -EINVAL : code;
    }
    return 0;
}

static int open_scpi(void *state, const struct source_plan *plan, struct error *err)
{
    struct scpi *s = state;
    int fd = plan->scpi.link == SCPI_SERIAL ? poll_line_open(plan, err) : connect_tcp(plan, err);
    if (fd < 0) {
        return fd;
    }
    s->fd = fd + 1;
    int code = set_up(s, plan, err);
    if (code != 0) {
        close_scpi(s, plan);
    }
    return code;
}

/* Why there was no answer. Whatever comes is thrown away with the connection. */
static void explain(struct scpi *s, const struct source_plan *plan, struct error *err)
{
    uint64_t end_ns = clock_monotonic_ns() + plan->poll.timeout_ns;
    struct error why = *err;
    long number;
    int code = send_line(s, ASK_ERROR, end_ns);
    while (code == 0) {
        code = read_line(s, end_ns);
        if (code == 0 && is_error(s->line, &number)) {
            if (number != 0) {
                (void)error_set(err, -ETIMEDOUT, "%.150s; it reports the error %.120s", why.text, s->line);
            }
            return;
        }
    }
}

static double value_of(double said)
{
    double size = fabs(said);
    return size >= SCPI_NAN && isfinite(said) ? NAN : size >= SCPI_INFINITY ? copysign(INFINITY, said) : said;
}

static int poll_queries(void *state, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    struct scpi *s = state;
    const struct scpi_plan *scpi = &plan->scpi;
    const char *question = scpi->query;
    double values[PLAN_FIELDS_MAX];
    uint64_t end_ns = clock_monotonic_ns() + plan->poll.timeout_ns;
    for (uint32_t i = 0; i < scpi->queries; i++, question += strlen(question) + 1) {
        int code = ask(s, question, end_ns, err);
        if (code != 0) {
            if (code == -ETIMEDOUT && scpi->check_errors != 0) {
                explain(s, plan, err);
            }
            return code;
        }
        if (!text_parse_line(s->line, scpi->numbers[i], values)) {
            return error_set(err, -EPROTO, "'%s': expected %u numbers, found '%.80s'", question, scpi->numbers[i],
                             s->line);
        }
        for (uint32_t n = 0; n < scpi->numbers[i]; n++) {
            double value = value_of(values[n]);
            memcpy(frame, &value, sizeof(value));
            frame += sizeof(value);
        }
    }
    return scpi->check_errors != 0 ? ask_errors(s, end_ns, "after the queries", err) : 0;
}

const struct poller_way poll_scpi = {
    .state_bytes = sizeof(struct scpi), .open = open_scpi, .poll = poll_queries, .close = close_scpi};
