/* Events from outside, to happen at once: a Unix datagram socket, one event of a scenario (without at_s) in each
 * datagram. Whoever sent it from an address gets "ok TAI" (ns, the instant in the truth log), or what was wrong. */
#ifndef SLUICE_PLANT_INJECT_H
#define SLUICE_PLANT_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/plant/scenario.h"

struct plant_inject {
    int fd; /* -1 = none */
    char path[108];
};

/* 0 or -errno with a message. */
int plant_inject_open(struct plant_inject *inject, const char *path, char *error, size_t error_bytes);
void plant_inject_close(struct plant_inject *inject);
/* True with the next event, answered already; bad ones are answered and skipped. Never waits. */
bool plant_inject_receive(struct plant_inject *inject, struct plant_event *event, uint64_t tai_ns);

#endif
