/* sluice-actuator's one idea: carry what control leaves in the outbox to a device that may be slow, may be gone,
 * and may come back; and let nothing stay energised that control does not ask for any more.
 *
 * The lines are made safe, and that is said: first thing on every connection; when the command's number has not
 * moved for table.output_fault_ns (or never has); at the end. What has been confirmed is written and read back
 * again every eighth of that time, so that the device hears us and we notice when it does not do what it was told.
 */
#ifndef CONTROL_ACTUATOR_H
#define CONTROL_ACTUATOR_H

#include <signal.h>

#include "control/modbus.h"
#include "control/outbox.h"

struct actuator {
    const struct control_table *table;
    struct outbox *outbox;
    struct modbus_link link;
    uint32_t device;
    uint32_t lines;     /* as last tried */
    uint64_t seen_word; /* of the command */
    uint64_t heard_ns;  /* monotonic, when it last moved */
    uint64_t due_ns;    /* next try with unchanged lines */
    uint64_t backoff_ns;
    bool heard; /* it has moved since we began: what stood there before is nobody's order */
    bool safe;  /* the lines are kept safe for control's silence */
    bool known; /* the device has confirmed `lines` on this connection */
    int said;   /* last error that was told; 1: none yet */
};

/* 0 or -errno. */
int actuator_init(struct actuator *actuator, const struct control_table *table, uint32_t device,
                  struct outbox *outbox, struct error *err);
void actuator_fini(struct actuator *actuator);

/* Looks once, and speaks to the device if there is something to say. */
void actuator_step(struct actuator *actuator, uint64_t now_ns);

/* The lines safe, for good: tries until the device has confirmed it, for half a second at most. 0 or -errno. */
int actuator_safe(struct actuator *actuator);

/* Steps until *stop, then actuator_safe. */
void actuator_run(struct actuator *actuator, const volatile sig_atomic_t *stop);

#endif
