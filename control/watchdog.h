/* /dev/watchdog, the outer ring: it resets the machine when nobody pets it. sluiced opens it, only if configured,
 * and keeps it open; the control loop pets it while everything that matters is alive. Nothing disarms it but an
 * orderly stop after the outputs are safe: whoever dies leaves it running.
 */
#ifndef CONTROL_WATCHDOG_H
#define CONTROL_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/error.h"

#define WATCHDOG_PETS_PER_TIMEOUT 4u

struct watchdog {
    int fd;             /* -1: there is none */
    uint64_t period_ns; /* petted so often at most */
    uint64_t petted_ns; /* monotonic; the last try */
    uint64_t pets;
    uint64_t errors;
};

/* Opens the device, which starts it, and sets its timeout. >= 0 or -errno: also if the driver has another timeout
 * than the one asked for; it is stopped again then, if it can be. Cold, by sluiced. */
int watchdog_open(const char *path, uint32_t timeout_s, struct error *err);

/* Zeroes. A period of 0: there is none. */
void watchdog_init(struct watchdog *watchdog, int fd, uint64_t period_ns);

/* True if it is to be petted now: all that it guards is fresh, and the period is over. Pure. */
bool watchdog_is_due(const struct watchdog *watchdog, uint64_t now_ns, bool fresh);

/* Pets it if it is due: one write(2) of one byte. `fresh`: this cycle was in time, no worker is stale, and the
 * supervisor has been heard. True if it was petted. */
bool watchdog_pet(struct watchdog *watchdog, uint64_t now_ns, bool fresh);

/* The magic close: the device stops when the last descriptor of it is closed. At an orderly stop, after the outputs
 * are safe. A driver without the magic close goes on and resets the machine. */
void watchdog_release(struct watchdog *watchdog);

#endif
