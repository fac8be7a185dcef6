/* The command line, checked before anything starts. Every option is one row of the table in options.c: name,
 * default, unit, bounds; --help prints that table. */
#ifndef SLUICE_PLANT_OPTIONS_H
#define SLUICE_PLANT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct plant_options {
    const char *scenario_path;
    const char *tty_path;
    const char *udp_to;
    const char *actuator_at;
    const char *truth_path;
    const char *series_path;
    const char *decisions_path;
    const char *inject_at;
    const char *ack_stream;
    double serial_hz;
    double udp_hz;
    double relay_watchdog_ms;
    double watch_limit_kpa;
    double seed;
    double duration_s;
    double wait_armed_s; /* 0 = do not wait */
    double linger_s;
    bool check;
    bool no_wake;
    bool help;
    bool version;
};

/* 0 or -EINVAL with a message. */
int plant_options_parse(struct plant_options *options, int count, char **arguments, char *error,
                        size_t error_bytes);
void plant_options_help(void);

#endif
