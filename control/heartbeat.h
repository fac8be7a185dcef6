/* The heartbeat of outputs that feed a charge pump or a retriggerable monostable: a level that toggles for as long
 * as the loop permits and is in time. Stuck high or low both drop the pump, so that nothing but a living loop holds
 * the permit behind it. Pure: called by the loop at the end of each of its cycles, from nowhere else (no timer, no
 * signal, no other thread).
 */
#ifndef CONTROL_HEARTBEAT_H
#define CONTROL_HEARTBEAT_H

#include <stdbool.h>

#include "control/table.h"

/* One for all heartbeat outputs; zeroed: low, has never toggled. The loop's. */
struct heartbeat {
    uint64_t toggled_ns; /* monotonic */
    uint64_t toggles;    /* both edges count */
    uint32_t high;       /* 0 or 1 */
    uint32_t reserved;
};

/* Bit per output index that is a heartbeat. Pure. */
uint32_t heartbeat_outputs(const struct control_table *table);

/* The level of every output (bit per output index, for output_lines): `permitted` as it is for ordinary ones, the
 * heartbeat's level for the others. It goes up at the first cycle that is complete and in time, then toggles in
 * such cycles, table.heartbeat_ns apart at least; in any other cycle it stays as it is, and it is low while no
 * heartbeat output is permitted. A clock that went back toggles nothing until it is past where it was. */
uint32_t heartbeat_step(const struct control_table *table, struct heartbeat *heartbeat, uint32_t permitted,
                        uint64_t now_ns, bool in_time);

#endif
