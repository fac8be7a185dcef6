/* What a device of Industrial I/O says its counts mean. Cold. */
#ifndef DAQ_IIO_SCALE_H
#define DAQ_IIO_SCALE_H

#include <stdbool.h>
#include <stddef.h>

#include "net/plan.h"

struct iio_scale {
    double scale; /* value = raw * scale + offset, in the unit of the kernel's for this kind of element */
    double offset;
    const char *unit;
};

/* Of an element of its scan, such as in_voltage0: its own files, or those that all of its kind share. The folder is
 * the device's. The kernel has value = (raw + OFFSET) * SCALE; Documentation/ABI/testing/sysfs-bus-iio. False: it
 * does not say. */
bool iio_scale_of(const char *folder, const char *element, struct iio_scale *scale);

/* Says it in the log, of every element but the timestamp: for whoever writes the channels. */
void iio_scale_tell(const char *folder, const struct source_plan *plan);

#endif
