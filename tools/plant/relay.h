/* The relay box between the commands and the two valves. Any valid command keeps it alive; silence for longer than
 * its watchdog drops every line. Pure: times are handed in. */
#ifndef SLUICE_PLANT_RELAY_H
#define SLUICE_PLANT_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/plant/wire.h"

/* A command this much behind the newest of its origin was overtaken on the way: it may drop lines, never energise
 * them. Anything further behind is taken for a restarted origin. */
#define PLANT_RELAY_OVERTAKEN_COMMANDS 16

struct plant_relay {
    uint64_t watchdog_ns; /* 0 = off */
    uint64_t heard_ns;    /* arrival of the newest valid command */
    uint64_t overtaken;   /* commands */
    uint32_t energised;   /* PLANT_LINE_* */
    uint32_t newest_sequence[PLANT_ORIGIN_COUNT];
    bool known[PLANT_ORIGIN_COUNT];
};

void plant_relay_init(struct plant_relay *relay, uint64_t watchdog_ns);
/* Both return the lines that changed. */
uint32_t plant_relay_command(struct plant_relay *relay, const struct plant_command *command, uint64_t arrived_ns);
uint32_t plant_relay_watchdog(struct plant_relay *relay, uint64_t now_ns);

#endif
