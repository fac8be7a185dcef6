#include "daq/compile.h"
#include "ring/clock.h"

#define THRESHOLD_US 10 /* a bare timer interrupt is some 7 us on a virtual machine */

/* On unless it is said otherwise: evidence is wanted of what nobody has expected. */
void compile_observer(struct compile *c)
{
    const struct config_observer *from = c->config->observer;
    uint32_t *threshold_us = from != NULL ? from->threshold_us : NULL;
    c->plan->has_observer = from == NULL || from->watch == NULL || *from->watch;
    c->plan->observer_threshold_ns =
        CLOCK_NS_PER_US * compile_bounded(c, "observer.threshold_us", threshold_us, THRESHOLD_US, 1, 100000, "us");
    if (!c->plan->has_observer && threshold_us != NULL) {
        config_complain(c->file, c->errors, "observer.threshold_us",
                        "nothing is watched with watch: false; leave threshold_us out, or watch");
    }
}
