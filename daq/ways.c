#include "daq/ways.h"

#include <stddef.h>

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
    default:
        return NULL;
    }
}
