/* An interlock table as a plant has it: votes over conditions, rates, deviations, switches, heartbeats. */
#ifndef BENCH_MIXED_TABLE_H
#define BENCH_MIXED_TABLE_H

#include "control/table.h"

#define MIXED_RANGE     1e9
#define MIXED_NEVER_NS  (UINT64_C(1) << 60)
#define MIXED_WINDOW_NS UINT64_C(1000000)

/* Zeroes the table, names it, and gives it one ring with that many channels (f64, 8 bytes apart) and two outputs of
 * one device; no limit of time acts. */
void mixed_table_begin(struct control_table *table, uint32_t channels);

/* A rule at the end of the table that looks at `channel` (and the next one) and is clear while the channels are
 * alike, below 100, and change by 1 from sample to sample. `members` of a vote are the rules in front of it. */
struct control_rule *mixed_table_add(struct control_table *table, uint32_t form, uint32_t role, uint32_t channel);

/* `rules` of every form, looking at all channels in turn. The last one holds output 0 safe while channel 0 is above
 * 100: it reaches the output with every change of it, and has all others in front of it. */
void mixed_table_fill(struct control_table *table, uint32_t rules);

#endif
