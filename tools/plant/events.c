/* What each scenario event does, and the summary at the end. */
#include <inttypes.h>

#include "tools/plant/plant.h"

static struct plant_stream *stream_of(struct plant *plant, enum plant_stream_id id)
{
    return id == PLANT_STREAM_SERIAL ? &plant->serial : &plant->udp;
}

static void sensor_returns(struct plant *plant, const struct plant_event *event)
{
    bool everything = event->channel == PLANT_CHANNEL_NONE && event->stream == PLANT_STREAM_NONE;

    if (everything || event->channel != PLANT_CHANNEL_NONE)
        plant_sensors_heal(&plant->sensors, event->channel);
    if (everything || event->stream == PLANT_STREAM_SERIAL)
        plant->serial.gone = false;
    if (everything || event->stream == PLANT_STREAM_UDP)
        plant->udp.gone = false;
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
                      " frames=%" PRIu32 " bytes=%" PRIu32,
                      plant_action_name(event->action),
                      event->action <= PLANT_ACTION_COOLING_RETURNS ? plant_loop_name(event->loop) : "none",
                      plant_channel_name(event->channel), plant_stream_name(event->stream), event->sigma,
                      event->value, (double)event->for_ns * 1e-9, event->samples, event->frames, event->bytes);
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
        stream_of(plant, event->stream)->reorder_next = true;
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
