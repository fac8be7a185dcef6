#include "control/actuator.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ring/clock.h"

#define POLL_NS          (500 * CLOCK_NS_PER_US)
#define BACKOFF_NS       (10 * CLOCK_NS_PER_MS)
#define BACKOFF_MAX_NS   (250 * CLOCK_NS_PER_MS)
#define RESPONSE_MIN_NS  CLOCK_NS_PER_MS
#define RESPONSE_MAX_NS  (500 * CLOCK_NS_PER_MS)
#define SAFE_PATIENCE_NS (500 * CLOCK_NS_PER_MS)
#define CONFIRMS         8u /* in table.output_fault_ns */

/* A line on standard error if there is room for it: whoever does not read it must not keep a coil energised. */
__attribute__((format(printf, 2, 3))) static void say(const struct actuator *a, const char *format, ...)
{
    char text[320];
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    va_list args;
    int n = snprintf(text, sizeof(text) - 1, "sluice-actuator %s: ", a->table->device[a->device].target);
    va_start(args, format);
    n += vsnprintf(text + n, sizeof(text) - 1 - (size_t)n, format, args);
    va_end(args);
    n = n < (int)sizeof(text) - 1 ? n : (int)sizeof(text) - 2;
    text[n++] = '\n';
    if (poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0) {
        (void)!write(STDERR_FILENO, text, (size_t)n);
    }
}

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
    return value < min ? min : value > max ? max : value;
}

int actuator_init(struct actuator *actuator, const struct control_table *table, uint32_t device,
                  struct outbox *outbox, struct error *err)
{
    memset(actuator, 0, sizeof(*actuator));
    actuator->table = table;
    actuator->outbox = outbox;
    actuator->device = device;
    actuator->backoff_ns = BACKOFF_NS;
    actuator->safe = true;
    actuator->said = 1;
    actuator->seen_word = outbox_take(outbox).word;
    /* A write and its read-back within half of the time after which control calls the device silent. */
    return modbus_init(&actuator->link, table, device,
                       clamp(table->output_fault_ns / 4, RESPONSE_MIN_NS, RESPONSE_MAX_NS), err);
}

void actuator_fini(struct actuator *actuator)
{
    modbus_fini(&actuator->link);
}

static void say_error(struct actuator *a, int code)
{
    if (code == a->said) {
        return;
    }
    a->said = code;
    if (code == 0) {
        say(a, "the device confirms its coils");
    } else {
        say(a, "%s",
            code == -EREMOTEIO ? "the device answers with a Modbus exception: see unit_id and line"
            : code == -EIO     ? "a coil does not stay as it was written"
                               : strerror(-code));
    }
}

/* What of these lines is asked for at this moment: we may have been put off, and a connection and its first write
 * take their time. */
static uint32_t still_asked(const struct actuator *a, uint32_t lines)
{
    struct outbox_order newest = outbox_take(a->outbox);
    uint64_t silent_ns = clock_elapsed_ns(a->heard_ns, clock_monotonic_ns());
    return newest.word == a->seen_word && silent_ns > a->table->output_fault_ns ? 0 : lines & newest.lines;
}

/* Writes and reads back. On a new connection the safe state comes first, whatever is wanted. What is written is in
 * a->lines: less than what is wanted, if that has been taken back meanwhile. */
static int speak(struct actuator *a, uint32_t lines)
{
    bool was_connected = a->link.connected;
    int code = modbus_link_connect(&a->link);
    if (code == 0 && !was_connected) {
        __atomic_store_n(&a->outbox->answer.connects, a->outbox->answer.connects + 1, __ATOMIC_RELAXED);
        code = modbus_link_write(&a->link, 0);
    }
    lines = still_asked(a, lines);
    if (code == 0 && (was_connected || lines != 0)) {
        code = modbus_link_write(&a->link, lines);
    }
    a->lines = lines;
    a->known = code == 0;
    say_error(a, code);
    return code;
}

/* True if the lines are to be safe because nobody asks for anything. */
static bool hear(struct actuator *a, const struct outbox_order *order, uint64_t now_ns)
{
    if (order->word != a->seen_word) {
        uint64_t now_tai_ns = now_ns + (uint64_t)a->table->tai_minus_monotonic_ns;
        a->seen_word = order->word;
        a->heard = true;
        a->heard_ns = now_ns;
        hist_record(&a->outbox->taken, now_tai_ns > order->decided_tai_ns ? now_tai_ns - order->decided_tai_ns : 0);
    }
    bool safe = !a->heard || (now_ns > a->heard_ns && now_ns - a->heard_ns > a->table->output_fault_ns);
    if (safe && !a->safe) {
        __atomic_store_n(&a->outbox->answer.silences, a->outbox->answer.silences + 1, __ATOMIC_RELAXED);
        say(a, "control has been silent for %" PRIu64 " ms: coils are made safe",
            (now_ns - a->heard_ns) / CLOCK_NS_PER_MS);
    } else if (!safe && a->safe) {
        say(a, "control is heard");
    }
    a->safe = safe;
    return safe;
}

static void confirm(struct actuator *a, const struct outbox_order *order, bool changed)
{
    outbox_confirm(a->outbox, order);
    if (changed) {
        uint64_t now_tai_ns = clock_tai_ns(a->table->tai_minus_monotonic_ns);
        hist_record(&a->outbox->confirmed,
                    now_tai_ns > order->decided_tai_ns ? now_tai_ns - order->decided_tai_ns : 0);
    }
}

void actuator_step(struct actuator *actuator, uint64_t now_ns)
{
    struct outbox_order order = outbox_take(actuator->outbox);
    bool safe = hear(actuator, &order, now_ns);
    uint32_t lines = safe ? 0 : order.lines;
    bool changed = lines != actuator->lines;
    if (!changed && now_ns < actuator->due_ns) {
        return;
    }
    int code = speak(actuator, lines);
    if (code == 0) {
        actuator->backoff_ns = BACKOFF_NS;
        actuator->due_ns = now_ns + actuator->table->output_fault_ns / CONFIRMS;
    } else {
        outbox_fail(actuator->outbox, code);
        actuator->due_ns = now_ns + actuator->backoff_ns;
        actuator->backoff_ns = clamp(actuator->backoff_ns * 2, BACKOFF_NS, BACKOFF_MAX_NS);
    }
    if (code == 0 && actuator->lines != lines) {
        actuator->due_ns = now_ns; /* the order that it is now has yet to be confirmed */
    } else if (code == 0 && !safe) {
        confirm(actuator, &order, changed);
    }
}

static void pause_ns(uint64_t ns)
{
    struct timespec time = {.tv_nsec = (long)ns};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

int actuator_safe(struct actuator *actuator)
{
    uint64_t from_ns = clock_monotonic_ns();
    int code = speak(actuator, 0);
    while (code != 0 && clock_monotonic_ns() - from_ns < SAFE_PATIENCE_NS) {
        pause_ns(BACKOFF_NS);
        code = speak(actuator, 0);
    }
    if (code == 0) {
        say(actuator, "coils are safe, and left alone from here on");
    } else {
        say(actuator, "cannot make the coils safe at the end: %s", strerror(-code));
    }
    return code;
}

void actuator_run(struct actuator *actuator, const volatile sig_atomic_t *stop)
{
    while (*stop == 0) {
        actuator_step(actuator, clock_monotonic_ns());
        board_beat(&actuator->outbox->common, clock_monotonic_ns());
        pause_ns(POLL_NS);
    }
    (void)actuator_safe(actuator);
}
