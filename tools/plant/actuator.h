/* Where the commands for the relay box arrive: a UDP or a Unix datagram socket, stamped by the kernel on arrival,
 * so that when the plant got round to reading one does not matter. */
#ifndef SLUICE_PLANT_ACTUATOR_H
#define SLUICE_PLANT_ACTUATOR_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/plant/clock.h"
#include "tools/plant/wire.h"

#define PLANT_ACTUATOR_COMMANDS_MAX 1024 /* read in one go; the rest waits in the socket */

struct plant_arrival {
    struct plant_command command;
    enum plant_command_fault fault; /* PLANT_COMMAND_OK, else the command says nothing */
    uint64_t arrived_ns;            /* CLOCK_MONOTONIC */
};

struct plant_actuator {
    int fd; /* -1 = none */
    char unix_path[108];
};

/* where: "udp:HOST:PORT" or "unix:PATH". 0 or -errno with a message. */
int plant_actuator_open(struct plant_actuator *actuator, const char *where, char *error, size_t error_bytes);
void plant_actuator_close(struct plant_actuator *actuator);
/* Returns how many arrivals were read, in order of arrival; never waits. */
unsigned plant_actuator_receive(struct plant_actuator *actuator, struct plant_clock *clock,
                                struct plant_arrival *arrivals, unsigned arrivals_max);

#endif
