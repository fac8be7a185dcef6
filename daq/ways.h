/* How each kind of source that is read as a stream gets its descriptor (struct opener_way). Called by the opener's
 * thread, cold. */
#ifndef DAQ_WAYS_H
#define DAQ_WAYS_H

#include "daq/opener.h"

extern const struct opener_way way_serial;     /* a tty, raw, with the rate and the bits of the plan */
extern const struct opener_way way_tcp;        /* connects */
extern const struct opener_way way_tcp_listen; /* takes one client; the next one when that has gone */
extern const struct opener_way way_unix;       /* connects to a socket in the file system, or is one (datagrams) */
extern const struct opener_way way_fifo;
extern const struct opener_way way_file;
extern const struct opener_way way_hidraw;
extern const struct opener_way way_exec; /* a child's standard output; ends the child that was there before */
extern const struct opener_way way_can;  /* a raw socket at an interface */

extern const struct opener_way way_iio; /* the buffer of a device of Industrial I/O, set up as the plan has it */
extern const struct opener_way way_gpio_edges;
extern const struct opener_way way_comedi; /* scans of a card of comedi, by its own clock */
extern const struct opener_way way_poll;   /* the worker's end of a poller (daq/poller.h) */

/* That of a kind of source, NULL: it has none. */
const struct opener_way *way_of(uint32_t kind);

/* The termios constant for a rate in baud, or 0 if there is none. */
unsigned way_serial_speed(uint32_t baud);

/* The tty of the plan, set up as it says; reads block. A descriptor or -errno. */
int way_serial_open(const struct source_plan *plan, struct error *err);

#endif
