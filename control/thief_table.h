/* Which threads the BPF programs watch: the process's side of struct thief_settings, which they read at any moment.
 * One thread writes. */
#ifndef CONTROL_THIEF_TABLE_H
#define CONTROL_THIEF_TABLE_H

#include "control/thief.h"

/* Watches the thread of this number in place `index`, instead of whoever was watched there; 0: nobody. It plans
 * to sleep for sleep_ns at a time; a sleep that is limit_ns longer, or any other wait of that length, is told, 0:
 * none is. 0, or -ENOSPC if the thread's number finds no place (four others with the same one of 1024 are watched).
 */
int thief_table_set(struct thief_settings *settings, uint32_t index, uint32_t tid, uint64_t sleep_ns,
                    uint64_t limit_ns);

#endif
