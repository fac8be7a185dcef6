/* A data-acquisition card of the kernel's comedi: what a scan that is read by its own clock (way_comedi.c) and one
 * that is asked for (poll_comedi.c) have in common. By the kernel's own interface (linux/comedi.h), as with IIO and
 * GPIO: a library would be one more thing that every worker loads. Cold. */
#ifndef DAQ_COMEDI_CARD_H
#define DAQ_COMEDI_CARD_H

#include <linux/comedi.h>

#include "net/plan.h"
#include "ring/error.h"

/* Opens the plan's card and checks that its subdevice has these inputs with these ranges and references, and
 * samples of these bits; fills *info. Says once in this process how a count of each becomes a unit. A descriptor
 * that does not block, or -errno. */
int comedi_card_open(const struct source_plan *plan, struct comedi_subdinfo *info, struct error *err);

/* False: there is no card behind the descriptor any more. */
bool comedi_card_is_there(int fd);

#endif
