/* The supervisor's log: one line each on standard error. Never blocks: whoever reads our standard error and stops
 * reading must not stop the process that drives the outputs safe. Lines that find no room are counted and the count
 * is said when there is room again. Thread-safe. */
#ifndef DAQ_LOG_H
#define DAQ_LOG_H

__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);

#endif
