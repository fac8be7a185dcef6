/* What each scenario event does, and the summary at the end. */
#include <inttypes.h>

#include "tools/plant/plant.h"

static struct plant_stream *stream_of(struct plant *plant, enum plant_stream_id id)
{
    return id == PLANT_STREAM_SERIAL ? &plant->serial : &plant->udp;
}

static void stream_returns(struct plant_stream *stream)
{
    stream->gone = false;
    stream->frozen = false;
    stream->repeating = false;
    stream->clock_ahead_ns = 0;
    stream->cut_frames_left = stream->corrupt_frames_left = stream->duplicate_frames_left = 0;
}

static void sensor_returns(struct plant *plant, const struct plant_event *event)
{
    bool everything = event->channel == PLANT_CHANNEL_NONE && event->stream == PLANT_STREAM_NONE;

    if (everything || event->channel != PLANT_CHANNEL_NONE)
        plant_sensors_heal(&plant->sensors, event->channel);
    if (everything || event->stream == PLANT_STREAM_SERIAL)
        stream_returns(&plant->serial);
    if (everything || event->stream == PLANT_STREAM_UDP)
        stream_returns(&plant->udp);
}

static void drift(struct plant *plant, const struct plant_event *event)
{
    plant->sensors.faults[event->channel].drift = event->value;
    plant->sensors.faults[event->channel].drift_from = plant->physics.steps;
}

/* Samples that nobody expects, all at once. */
static void flood(struct plant *plant, const struct plant_event *event, uint64_t now_ns)
{
    struct plant_stream *stream = stream_of(plant, event->stream);

    for (uint32_t i = 0; i < event->frames && stream->rate_hz != 0; i++)
        plant_stream_extra(stream, &plant->sensors, &plant->physics, plant_clock_tai_ns(&plant->clock, now_ns));
    plant_stream_flush(stream);
}

/* The frame that comes late may carry a peak that nobody else has. */
static void reorder(struct plant *plant, const struct plant_event *event)
{
    struct plant_channel_fault *fault = &plant->sensors.faults[event->channel];

    stream_of(plant, event->stream)->reorder_next = true;
    if (event->channel == PLANT_CHANNEL_NONE)
        return;
    fault->spike_value = event->value;
    fault->spike_samples_left[event->stream] = 1;
}

/* The relay box is off the network; it has its watchdog, and whoever sends to it is told that nobody is there. */
static void relay_gone(struct plant *plant)
{
    plant_actuator_close(&plant->actuator);
}

static void relay_returns(struct plant *plant, uint64_t now_ns)
{
    char error[256];

    if (plant->options.actuator_at == NULL)
        return;
    plant_actuator_close(&plant->actuator); /* also one that is there: its name may have been removed */
    if (plant_actuator_open(&plant->actuator, plant->options.actuator_at, error, sizeof(error)) != 0)
        plant_truth_event(&plant->truth, now_ns, "relay_lost why=\"%s\"", error);
}

static void cut(struct plant *plant, const struct plant_event *event)
{
    stream_of(plant, event->stream)->cut_frames_left = event->frames;
    stream_of(plant, event->stream)->cut_bytes = event->bytes;
}

static void valve(struct plant_physics *physics, const struct plant_event *event)
{
    for (unsigned i = 0; i < PLANT_VALVE_COUNT; i++) {
        if (event->valve != PLANT_VALVE_COUNT && event->valve != (enum plant_valve)i)
            continue;
        physics->welded[i] = event->action == PLANT_ACTION_VALVE_WELDED;
        physics->fallen[i] = event->action == PLANT_ACTION_VALVE_FALLS;
    }
}

static void readback(struct plant_sensors *sensors, const struct plant_event *event)
{
    sensors->status_wrong = event->action == PLANT_ACTION_READBACK_WRONG;
    sensors->status_forced = (uint16_t)event->value;
}

static void tty_noise(struct plant *plant, uint32_t count)
{
    uint8_t bytes[PLANT_TTY_WRITE_BYTES_MAX];

    for (uint32_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)plant_random_next(&plant->garbage);
    if (plant->options.tty_path != NULL)
        plant_tty_write(&plant->tty, bytes, count);
}

static void tty_hangup(struct plant *plant, const struct plant_event *event, uint64_t now_ns)
{
    if (plant->options.tty_path == NULL)
        return;
    plant_tty_close(&plant->tty);
    plant->marks.tty_returns_ns = now_ns + event->for_ns;
}

static void log_event(struct plant *plant, const struct plant_event *event, uint64_t now_ns)
{
    plant_truth_event(&plant->truth, now_ns,
                      "%s loop=%s channel=%s stream=%s sigma=%g value=%g for_s=%g samples=%" PRIu32
                      " frames=%" PRIu32 " bytes=%" PRIu32 " valve=%s",
                      plant_action_name(event->action),
                      event->action <= PLANT_ACTION_COOLING_RETURNS ? plant_loop_name(event->loop) : "none",
                      plant_channel_name(event->channel), plant_stream_name(event->stream), event->sigma,
                      event->value, (double)event->for_ns * 1e-9, event->samples, event->frames, event->bytes,
                      plant_valve_name(event->valve));
}

void plant_run_event(struct plant *plant, const struct plant_event *event, uint64_t now_ns)
{
    log_event(plant, event, now_ns);
    switch (event->action) {
    case PLANT_ACTION_COOLING_FAILS:
        plant->physics.running[event->loop] = false;
        break;
    case PLANT_ACTION_COOLING_RETURNS:
        plant->physics.running[event->loop] = true;
        break;
    case PLANT_ACTION_SENSOR_STUCK:
        plant_sensors_stick(&plant->sensors, event->channel);
        break;
    case PLANT_ACTION_SENSOR_NAN:
        plant->sensors.faults[event->channel].nan = true;
        break;
    case PLANT_ACTION_SENSOR_GONE:
        stream_of(plant, event->stream)->gone = true;
        break;
    case PLANT_ACTION_SENSOR_RETURNS:
        sensor_returns(plant, event);
        break;
    case PLANT_ACTION_NOISE:
        plant->sensors.faults[event->channel].sigma = event->sigma;
        break;
    case PLANT_ACTION_SPIKE:
        plant_sensors_spike(&plant->sensors, event->channel, event->value, event->samples);
        break;
    case PLANT_ACTION_TTY_HANGUP:
        tty_hangup(plant, event, now_ns);
        break;
    case PLANT_ACTION_TTY_NOISE:
        plant_stream_flush(&plant->serial); /* between two frames, not before one that was taken earlier */
        tty_noise(plant, event->bytes);
        break;
    case PLANT_ACTION_HALF_FRAME:
        plant->serial.half_frame_bytes = event->bytes;
        break;
    case PLANT_ACTION_GAP:
        stream_of(plant, event->stream)->sequence += event->frames;
        break;
    case PLANT_ACTION_DUPLICATE:
        stream_of(plant, event->stream)->duplicate_frames_left += event->frames;
        break;
    case PLANT_ACTION_REORDER:
        reorder(plant, event);
        break;
    case PLANT_ACTION_SENSOR_INF:
        plant->sensors.faults[event->channel].inf = true;
        break;
    case PLANT_ACTION_OFFSET:
        plant->sensors.faults[event->channel].offset = event->value;
        break;
    case PLANT_ACTION_DRIFT:
        drift(plant, event);
        break;
    case PLANT_ACTION_FROZEN:
        stream_of(plant, event->stream)->frozen = true;
        break;
    case PLANT_ACTION_SENSOR_CLOCK:
        stream_of(plant, event->stream)->clock_ahead_ns = (int64_t)(event->value * 1e9);
        break;
    case PLANT_ACTION_FLOOD:
        flood(plant, event, now_ns);
        break;
    case PLANT_ACTION_CORRUPT:
        stream_of(plant, event->stream)->corrupt_frames_left = event->frames;
        break;
    case PLANT_ACTION_CUT:
        cut(plant, event);
        break;
    case PLANT_ACTION_VALVE_WELDED:
    case PLANT_ACTION_VALVE_FALLS:
    case PLANT_ACTION_VALVE_RETURNS:
        valve(&plant->physics, event);
        break;
    case PLANT_ACTION_READBACK_WRONG:
    case PLANT_ACTION_READBACK_RETURNS:
        readback(&plant->sensors, event);
        break;
    case PLANT_ACTION_REPEATS:
        stream_of(plant, event->stream)->repeating = true;
        break;
    case PLANT_ACTION_RELAY_GONE:
        relay_gone(plant);
        break;
    case PLANT_ACTION_RELAY_RETURNS:
        relay_returns(plant, now_ns);
        break;
    case PLANT_ACTION_COUNT:
        break;
    }
}

static void fact_count(struct plant *plant, const char *key, uint64_t count)
{
    plant_truth_fact(&plant->truth, key, "%" PRIu64, count);
}

static void fact_after_limit(struct plant *plant, const char *key, uint64_t instant_ns)
{
    const struct plant_marks *marks = &plant->marks;

    if (marks->limit_ns == 0 || instant_ns == 0)
        plant_truth_fact(&plant->truth, key, "none");
    else
        plant_truth_fact(&plant->truth, key, "%.1f", (double)(int64_t)(instant_ns - marks->limit_ns) * 1e-3);
}

static void fact_percentile(struct plant *plant, const char *key, double share)
{
    double value_us = plant_decisions_percentile_us(&plant->decisions, share);

    if (value_us < 0.0)
        plant_truth_fact(&plant->truth, key, "none");
    else
        plant_truth_fact(&plant->truth, key, "%.1f", value_us);
}

void plant_summary(struct plant *plant, uint64_t now_ns)
{
    struct plant_decisions *decisions = &plant->decisions;

    plant_decisions_settle(decisions, plant_clock_tai_ns(&plant->clock, now_ns));
    plant_truth_fact(&plant->truth, "scenario", "%s", plant->scenario.name);
    plant_truth_fact(&plant->truth, "armed", "%s", plant->marks.armed_ns != 0 ? "yes" : "no");
    plant_truth_fact(&plant->truth, "burst", "%s", plant->physics.burst ? "yes" : "no");
    plant_truth_fact(&plant->truth, "peak_kpa", "%.3f", plant->physics.peak_kpa);
    fact_after_limit(plant, "limit_to_command_us", plant->marks.command_ns);
    fact_after_limit(plant, "limit_to_open_us", plant->marks.relief_open_ns);
    fact_count(plant, "frames_sent_serial", plant->serial.frames_sent);
    fact_count(plant, "frames_dropped_serial", plant->serial.frames_dropped);
    fact_count(plant, "frames_unread_serial", plant->serial.frames_unread);
    fact_count(plant, "frames_gone_serial", plant->serial.frames_gone);
    fact_count(plant, "frames_sent_udp", plant->udp.frames_sent);
    fact_count(plant, "frames_dropped_udp", plant->udp.frames_dropped);
    fact_count(plant, "frames_gone_udp", plant->udp.frames_gone);
    fact_count(plant, "commands", plant->commands);
    fact_count(plant, "commands_malformed", plant->commands_malformed);
    fact_count(plant, "commands_overtaken", plant->relay.overtaken);
    fact_count(plant, "decisions", decisions->decided);
    fact_count(plant, "decisions_missing", decisions->missing);
    fact_count(plant, "decisions_open", decisions->open);
    fact_count(plant, "decisions_impossible", decisions->impossible);
    fact_percentile(plant, "decision_p50_us", 0.50);
    fact_percentile(plant, "decision_p99_us", 0.99);
    fact_percentile(plant, "decision_p999_us", 0.999);
    fact_percentile(plant, "decision_max_us", 1.0);
    fact_count(plant, "decisions_late_500us", decisions->late);
    fact_count(plant, "plant_late_wakes", plant->late_wakes);
    plant_truth_fact(&plant->truth, "plant_late_max_us", "%.1f", (double)plant->longest_late_ns * 1e-3);
    plant_truth_fact(&plant->truth, "seed", "%.0f", plant->options.seed);
}
