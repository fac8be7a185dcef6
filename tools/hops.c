#include "tools/hops.h"

#include <stdio.h>

static const char *const control_meaning[HOPS] = {
    "from a frame's stamp until control began the cycle that took it",
    "from a frame's stamp until the interlock had decided on it",
    "from a frame's stamp until the outputs that tell of it were handed to the system",
    "from one cycle of control to the next",
};

struct list {
    struct hop *hop;
    uint32_t count, max;
};

static void add(struct list *list, const char *owner, const char *what, const char *meaning,
                const struct histogram *histogram)
{
    if (list->count < list->max) {
        struct hop *hop = &list->hop[list->count++];
        *hop = (struct hop){.meaning = meaning, .histogram = histogram};
        snprintf(hop->name, sizeof(hop->name), "%s.%s", owner, what);
    }
}

uint32_t hops_list(const struct session *session, struct hop hop[], uint32_t max)
{
    struct list list = {.hop = hop, .max = max};
    for (uint32_t i = 0; i < HOPS; i++) {
        add(&list, "control", control_hop_name(i), control_meaning[i], &session->control->hop[i]);
    }
    for (uint32_t i = 0; i < session->actuators; i++) {
        const struct outbox *outbox = session->outbox[i];
        char name[RING_NAME_BYTES];
        snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, outbox->common.name);
        add(&list, name, "taken", "from a command until the actuator looked at it for the first time",
            &outbox->taken);
        add(&list, name, "confirmed", "from a command that changed lines until the device had confirmed them",
            &outbox->confirmed);
    }
    return list.count;
}
