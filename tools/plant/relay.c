#include "tools/plant/relay.h"

#include <string.h>

void plant_relay_init(struct plant_relay *relay, uint64_t watchdog_ns)
{
    memset(relay, 0, sizeof(*relay));
    relay->watchdog_ns = watchdog_ns;
}

/* True if the command is the newest of its origin. Wrap-safe. */
static bool note_sequence(struct plant_relay *relay, const struct plant_command *command)
{
    uint32_t *newest = &relay->newest_sequence[command->origin];
    int32_t ahead = (int32_t)(command->sequence - *newest);

    if (relay->known[command->origin] && ahead <= 0 && ahead > -PLANT_RELAY_OVERTAKEN_COMMANDS) {
        relay->overtaken++;
        return false;
    }
    relay->known[command->origin] = true;
    *newest = command->sequence;
    return true;
}

uint32_t plant_relay_command(struct plant_relay *relay, const struct plant_command *command, uint64_t arrived_ns)
{
    uint32_t before = relay->energised;
    bool newest = note_sequence(relay, command);

    relay->energised &= ~(command->lines & ~command->energised);
    if (newest) {
        relay->energised |= command->lines & command->energised;
        relay->heard_ns = arrived_ns;
    }
    return before ^ relay->energised;
}

uint32_t plant_relay_watchdog(struct plant_relay *relay, uint64_t now_ns)
{
    uint32_t before = relay->energised;

    if (relay->watchdog_ns != 0 && now_ns > relay->heard_ns && now_ns - relay->heard_ns > relay->watchdog_ns)
        relay->energised = 0;
    return before ^ relay->energised;
}
