/* The plant in time: simulated time is CLOCK_MONOTONIC. Each time it wakes, it computes every step up to now,
 * applying commands, scenario events and samples at the instants they belong to; after a stall it has more steps to
 * compute, and time never slips. */
#ifndef SLUICE_PLANT_PLANT_H
#define SLUICE_PLANT_PLANT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/plant/actuator.h"
#include "tools/plant/clock.h"
#include "tools/plant/decisions.h"
#include "tools/plant/inject.h"
#include "tools/plant/options.h"
#include "tools/plant/physics.h"
#include "tools/plant/relay.h"
#include "tools/plant/scenario.h"
#include "tools/plant/sensors.h"
#include "tools/plant/stream.h"
#include "tools/plant/truth.h"
#include "tools/plant/tty.h"

#define PLANT_ARMED_NS  500000000u /* both lines energised for so long */
#define PLANT_LATE_NS   1000000u   /* the plant itself woke so much too late: its samples left late */
#define PLANT_SERIES_HZ 1000u
#define PLANT_TICK_NS   1000000u
#define PLANT_BURST_NS  500000u /* tick of a stream above PLANT_PACED_HZ */
#define PLANT_PACED_HZ  2000u

/* Instants are CLOCK_MONOTONIC; 0 = not yet. */
struct plant_marks {
    uint64_t start_ns;
    uint64_t both_energised_ns; /* since when; 0 = not both */
    uint64_t armed_ns;
    uint64_t scenario_end_ns;
    uint64_t finish_ns;
    uint64_t tty_returns_ns;
    uint64_t limit_ns;   /* first sample above the watched limit, sent */
    uint64_t command_ns; /* first loss of the relief line after that */
    uint64_t relief_open_ns;
    uint64_t wake_goal_ns;
};

struct plant {
    struct plant_options options;
    struct plant_scenario scenario;
    struct plant_clock clock;
    struct plant_truth truth;
    struct plant_physics physics;
    struct plant_sensors sensors;
    struct plant_relay relay;
    struct plant_decisions decisions;
    struct plant_actuator actuator;
    struct plant_inject inject;
    struct plant_tty tty;
    struct plant_stream serial;
    struct plant_stream udp;
    struct plant_random garbage; /* of tty_noise */
    struct plant_marks marks;
    enum plant_stream_id ack_stream;
    FILE *series;
    struct plant_arrival arrivals[PLANT_ACTUATOR_COMMANDS_MAX];
    unsigned arrival_head, arrival_count;
    unsigned next_event;
    bool over_limit;
    bool not_armed; /* gave up waiting */
    bool done;
    uint64_t commands, commands_malformed;
    uint64_t late_wakes, longest_late_ns;
};

/* Up to now_ns: steps, commands, events, samples. */
void plant_advance(struct plant *plant, uint64_t now_ns);
/* The frames of a stream that have just left; see struct plant_stream. */
void plant_frame_sent(void *context, struct plant_stream *stream, const struct plant_frame *frame,
                      uint64_t sent_ns);
/* When to wake next. */
uint64_t plant_next_wake_ns(const struct plant *plant, uint64_t now_ns);
void plant_run_event(struct plant *plant, const struct plant_event *event, uint64_t now_ns);
void plant_summary(struct plant *plant, uint64_t now_ns);

#endif
