/* Coils of a Modbus TCP server. Blocks for at most a few response times; never in the control process. A connection
 * is a link; its coils are written in runs of neighbours and read back.
 */
#ifndef CONTROL_MODBUS_H
#define CONTROL_MODBUS_H

#include <stdbool.h>

#include "control/table.h"
#include "ring/error.h"

/* Neighbouring coils: one request. */
struct modbus_run {
    uint32_t first; /* coil number */
    uint32_t coils;
    uint8_t bit[CONTROL_OUTPUTS_MAX]; /* of the lines word, for each coil */
};

struct modbus_link {
    void *context; /* libmodbus's */
    bool connected;
    uint32_t runs;
    struct modbus_run run[CONTROL_OUTPUTS_MAX];
};

/* Prepares a link to the device; connects to nothing. 0 or -errno. modbus_fini is fine after a failure. */
int modbus_init(struct modbus_link *link, const struct control_table *table, uint32_t device, uint64_t response_ns,
                struct error *err);
void modbus_fini(struct modbus_link *link);

/* 0 or -errno. */
int modbus_link_connect(struct modbus_link *link);

/* Writes all coils (bit i of lines: i-th output of the device) and reads them back. 0; -EREMOTEIO: the server
 * answers with an exception; -EIO: a coil does not stay as it was written; other -errno: the connection is closed.
 */
int modbus_link_write(struct modbus_link *link, uint32_t lines);

#endif
