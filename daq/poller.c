#include "daq/poller.h"

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ring/clock.h"

#define STACK_BYTES  ((size_t)256 << 10)
#define REOPEN_NS    (200 * CLOCK_NS_PER_MS) /* at least, between tries to open */
#define TOGETHER_NS  (100 * CLOCK_NS_PER_MS) /* the longest period of polls that are due together */
#define SLEEP_MAX_NS (100 * CLOCK_NS_PER_MS) /* so that an end is noticed */

struct poller {
    const struct source_plan *plan;
    const struct poller_way *way;
    pthread_t thread;
    int ending;
    int fd; /* our end */
    bool is_open;
    int said; /* what was said last of what is wrong: errno, 0: nothing */
    uint64_t opened_ns;
    uint64_t due_ns;
    uint64_t asked_ns; /* the last time; monotonic */
    uint32_t missed;
    void *state;
    uint8_t *message;
};

const struct poller_way *poller_way_of(uint32_t kind)
{
    switch (kind) {
    case SOURCE_SYSFS:
        return &poll_sysfs;
    case SOURCE_GPIO_LEVELS:
        return &poll_gpio_levels;
    case SOURCE_I2C:
        return &poll_i2c;
    case SOURCE_SPI:
        return &poll_spi;
    case SOURCE_MODBUS_TCP:
    case SOURCE_MODBUS_RTU:
        return &poll_modbus;
    case SOURCE_SCPI:
        return &poll_scpi;
    case SOURCE_REGISTERS:
        return &poll_registers;
    case SOURCE_COMEDI_POLLED:
        return &poll_comedi;
    default:
        return NULL;
    }
}

/* Once for each reason, and once when it is over. */
static void say(struct poller *p, int code, const struct error *err)
{
    int what = code < 0 ? -code : code > 0 ? EPROTO : 0;
    if (what != 0 && what != p->said) {
        fprintf(stderr, "source %s: %s; asking again\n", p->plan->name, err->text);
    } else if (what == 0 && p->said != 0) {
        fprintf(stderr, "source %s: answers again\n", p->plan->name);
    }
    p->said = what;
}

static void close_device(struct poller *p)
{
    if (p->is_open) {
        p->way->close(p->state, p->plan);
        p->is_open = false;
    }
}

static int open_device(struct poller *p, struct error *err)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (p->opened_ns != 0 && now_ns - p->opened_ns < REOPEN_NS) {
        return -EAGAIN; /* as it was said */
    }
    p->opened_ns = now_ns;
    memset(p->state, 0, p->way->state_bytes);
    int code = p->way->open(p->state, p->plan, err);
    p->is_open = code == 0;
    return code;
}

/* The worker takes it when it comes round; until then this waits, and times that are due are missed. */
static bool send_message(struct poller *p, uint32_t bytes, uint32_t error)
{
    struct poller_trailer trailer = {.monotonic_ns = clock_monotonic_ns(), .missed = p->missed, .error = error};
    trailer.late_ns = clock_elapsed_ns(p->due_ns, p->asked_ns);
    trailer.took_ns = clock_elapsed_ns(p->asked_ns, trailer.monotonic_ns);
    memcpy(p->message + bytes, &trailer, sizeof(trailer));
    ssize_t sent = send(p->fd, p->message, bytes + sizeof(trailer), MSG_NOSIGNAL);
    p->missed = sent > 0 ? 0 : p->missed;
    return sent > 0 || errno == EINTR;
}

/* One poll. False: nobody listens any more. */
static bool ask(struct poller *p)
{
    struct error err = {{0}};
    p->asked_ns = clock_monotonic_ns();
    int code = p->is_open ? 0 : open_device(p, &err);
    if (code == -EAGAIN) {
        return send_message(p, 0, (uint32_t)(p->said != 0 ? p->said : EAGAIN));
    }
    if (code == 0) {
        code = p->way->poll(p->state, p->plan, p->message, &err);
        if (code < 0) {
            close_device(p);
        }
    }
    say(p, code, &err);
    return send_message(p, code == 0 ? p->plan->frame_bytes : 0,
                        code < 0   ? (uint32_t)-code
                        : code > 0 ? EPROTO
                                   : 0);
}

static bool is_ending(const struct poller *p)
{
    return __atomic_load_n(&p->ending, __ATOMIC_ACQUIRE) != 0;
}

static void sleep_until(const struct poller *p, uint64_t due_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    while (now_ns < due_ns && !is_ending(p)) {
        uint64_t until_ns = due_ns - now_ns > SLEEP_MAX_NS ? now_ns + SLEEP_MAX_NS : due_ns;
        struct timespec until = {.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S),
                                 .tv_nsec = (long)(until_ns % CLOCK_NS_PER_S)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        now_ns = clock_monotonic_ns();
    }
}

/* Those that have the same short period are due at the same instants: one interrupt for all of them costs half of
 * what one for each does (sluice-bench daq, polls). What is asked but seldom is asked at once. */
static uint64_t first_due_ns(uint64_t period_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    return period_ns <= TOGETHER_NS ? (now_ns / period_ns + 1) * period_ns : now_ns;
}

/* The schedule does not drift: what was missed is counted, not made up for. */
static void *run(void *argument)
{
    struct poller *p = argument;
    uint64_t period_ns = p->plan->poll.period_ns;
    p->due_ns = first_due_ns(period_ns);
    sleep_until(p, p->due_ns);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    while (!is_ending(p)) {
        if (!ask(p)) {
            break;
        }
        uint64_t now_ns = clock_monotonic_ns();
        p->due_ns += period_ns;
        if (now_ns > p->due_ns) {
            uint64_t behind = (now_ns - p->due_ns) / period_ns + 1;
            p->missed += (uint32_t)behind;
            p->due_ns += behind * period_ns;
        }
        sleep_until(p, p->due_ns);
    }
    close_device(p);
    return NULL;
}

static void destroy(struct poller *p)
{
    if (p->fd >= 0) {
        close(p->fd);
    }
    free(p->state);
    free(p->message);
    free(p);
}

int poller_start(struct poller **poller, const struct source_plan *plan, int *fd, struct error *err)
{
    const struct poller_way *way = poller_way_of(plan->kind);
    struct poller *p = calloc(1, sizeof(*p));
    pthread_attr_t attributes;
    int ends[2];
    if (p == NULL) {
        return error_set(err, -ENOMEM, "no memory to poll with");
    }
    *p = (struct poller){.plan = plan,
                         .way = way,
                         .fd = -1,
                         .state = calloc(1, way->state_bytes),
                         .message = calloc(1, plan->frame_bytes + sizeof(struct poller_trailer))};
    if (p->state == NULL || p->message == NULL ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        int code = p->state == NULL || p->message == NULL ? -ENOMEM : -errno;
        destroy(p);
        return error_set(err, code, "no socket to poll with: %s", strerror(-code));
    }
    p->fd = ends[0];
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int code = pthread_create(&p->thread, &attributes, run, p);
    pthread_attr_destroy(&attributes);
    if (code != 0) {
        close(ends[1]);
        destroy(p);
        return error_set(err, -code, "no thread to poll on: %s", strerror(code));
    }
    char name[16];
    snprintf(name, sizeof(name), "poll %.10s", plan->name);
    (void)pthread_setname_np(p->thread, name);
    *fd = ends[1];
    *poller = p;
    return 0;
}

void poller_stop(struct poller *poller)
{
    if (poller == NULL) {
        return;
    }
    __atomic_store_n(&poller->ending, 1, __ATOMIC_RELEASE);
    (void)shutdown(poller->fd, SHUT_RDWR); /* a send that waits comes back */
    pthread_join(poller->thread, NULL);
    destroy(poller);
}
