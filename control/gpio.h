/* Lines of a GPIO character device (uAPI v2, linux/gpio.h). One request holds all lines of a device and lives as
 * long as a descriptor of it: sluiced makes it, and keeps it while control processes come and go.
 */
#ifndef CONTROL_GPIO_H
#define CONTROL_GPIO_H

#include "control/table.h"
#include "ring/error.h"

/* Requests the lines of all outputs of this device as outputs that are low (safe). The request's descriptor, or
 * -errno. Cold, by sluiced. */
int gpio_open(const struct control_table *table, uint32_t device, struct error *err);

/* Sets all lines (bit i: i-th output of the device) with one ioctl. 0 or -errno; -ENODEV: the chip is gone. */
int gpio_send(int fd, uint32_t lines, uint32_t energised);

#endif
