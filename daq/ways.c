#include "daq/ways.h"

#include <stddef.h>

#include "daq/poller.h"

static void clear_poll(struct opening *opening)
{
    poller_stop(opening->poller);
    opening->poller = NULL;
}

/* Again only if the worker has closed its end. */
static int open_poll(struct opening *opening, struct error *err)
{
    int fd;
    clear_poll(opening);
    int code = poller_start(&opening->poller, opening->plan, &fd, err);
    return code != 0 ? code : fd;
}

const struct opener_way way_poll = {.open = open_poll, .clear = clear_poll};

const struct opener_way *way_of(uint32_t kind)
{
    switch (kind) {
    case SOURCE_SERIAL:
        return &way_serial;
    case SOURCE_TCP:
        return &way_tcp;
    case SOURCE_TCP_LISTEN:
        return &way_tcp_listen;
    case SOURCE_UNIX:
        return &way_unix;
    case SOURCE_FIFO:
        return &way_fifo;
    case SOURCE_EXEC:
        return &way_exec;
    case SOURCE_FILE:
        return &way_file;
    case SOURCE_CAN:
        return &way_can;
    case SOURCE_HIDRAW:
        return &way_hidraw;
    case SOURCE_IIO:
        return &way_iio;
    case SOURCE_GPIO_EDGES:
        return &way_gpio_edges;
    case SOURCE_COMEDI:
        return &way_comedi;
    default:
        return poller_way_of(kind) != NULL ? &way_poll : NULL;
    }
}
