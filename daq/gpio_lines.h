/* Lines of a GPIO chip as inputs (uAPI v2). Cold. */
#ifndef DAQ_GPIO_LINES_H
#define DAQ_GPIO_LINES_H

#include "net/plan.h"
#include "ring/error.h"

/* Takes the plan's lines as inputs, with edges or without. The request's descriptor, or -errno with words. */
int gpio_lines_open(const struct gpio_plan *plan, const char *consumer, bool edges, struct error *err);

/* Bit i: the level of the plan's line i, active_low already considered. 0 or -errno. */
int gpio_lines_read(int fd, const struct gpio_plan *plan, uint32_t *levels);

#endif
