#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "net/afxdp.h"

#define DESCRIPTORS_MIN 64u
#define DESCRIPTORS_MAX 32768u

void compile_afxdp(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to)
{
    char path[COMPILE_PATH_BYTES];
    struct afxdp_plan *plan = &to->afxdp;
    size_t letters = from->interface != NULL ? strlen(from->interface) : 0;
    if (letters == 0 || letters >= sizeof(plan->interface) || strpbrk(from->interface, "/: \t") != NULL) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].interface", i),
                        "expected the name of a network interface such as eth0, of 1 to %zu letters, found '%s'",
                        sizeof(plan->interface) - 1, letters > 0 ? from->interface : "nothing");
    } else {
        snprintf(plan->interface, sizeof(plan->interface), "%s", from->interface);
    }
    plan->queue = (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].queue", i), from->queue, 0, 0,
                                            STEER_QUEUES_MAX - 1, "as a queue's number");
    plan->descriptors =
        (uint32_t)compile_bounded(c, compile_path(path, "sources[%u].descriptors", i), from->descriptors, 4096,
                                  DESCRIPTORS_MIN, DESCRIPTORS_MAX, "descriptors");
    if ((plan->descriptors & (plan->descriptors - 1)) != 0) {
        config_complain(c->file, c->errors, path, "expected a power of two, found %u", plan->descriptors);
    }
    compile_packet(c, i, from->packet, &to->packet);
}

uint32_t compile_afxdp_slot(struct compile *c, uint32_t i, const struct ring_plan *ring, uint32_t need)
{
    char path[COMPILE_PATH_BYTES];
    compile_path(path, "sources[%u].frame_bytes", i);
    if (need > XSK_CHUNK_BYTES_MAX) {
        return need; /* in pieces */
    }
    if (ring->slot_bytes != 0 && ring->slot_bytes < XSK_CHUNK_BYTES_MIN) {
        config_complain(c->file, c->errors, path, "kind: afxdp needs slots of at least %u bytes, ring '%s' has %u",
                        XSK_CHUNK_BYTES_MIN, ring->name, ring->slot_bytes);
    }
    return need <= XSK_CHUNK_BYTES_MIN ? XSK_CHUNK_BYTES_MIN : XSK_CHUNK_BYTES_MAX;
}

static void check_pair(struct compile *c, uint32_t i, const struct config_source *a, const struct config_source *b)
{
    char path[COMPILE_PATH_BYTES];
    uint32_t queue_a = a->queue != NULL ? *a->queue : 0;
    uint32_t queue_b = b->queue != NULL ? *b->queue : 0;
    const char *first = c->plan->worker[0].name;
    if (a->interface == NULL || b->interface == NULL || strcmp(a->interface, b->interface) != 0) {
        return;
    }
    if (queue_a == queue_b) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].queue", i),
                        "source '%s' has queue %u of interface %s already; a queue has one reader", a->name,
                        queue_a, a->interface);
    }
    if (strcmp(a->worker != NULL ? a->worker : first, b->worker != NULL ? b->worker : first) != 0) {
        config_complain(c->file, c->errors, compile_path(path, "sources[%u].worker", i),
                        "source '%s' reads interface %s in another worker; an interface has one XDP program, and a "
                        "worker for it",
                        a->name, a->interface);
    }
}

void compile_afxdp_queues(struct compile *c)
{
    const struct config *config = c->config;
    for (uint32_t i = 0; i < config->sources_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (config->sources[i].kind == SOURCE_AFXDP && config->sources[j].kind == SOURCE_AFXDP) {
                check_pair(c, i, &config->sources[j], &config->sources[i]);
            }
        }
    }
}
