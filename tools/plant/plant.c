#include "tools/plant/plant.h"

#include <inttypes.h>

#define MALFORMED_LOGGED 5 /* then only counted */
#define LIMIT_LEAVE_SHARE                                                                                          \
    0.99 /* an excursion is over below this share of the limit, so that noise does not split it */

static bool counting(const struct plant *plant, uint64_t at_ns)
{
    return plant->marks.armed_ns != 0 &&
           (plant->marks.scenario_end_ns == 0 || at_ns <= plant->marks.scenario_end_ns);
}

static void watch_limit(struct plant *plant, const struct plant_stream *stream, const struct plant_frame *frame,
                        uint64_t sent_ns)
{
    double limit_kpa = plant->options.watch_limit_kpa;
    double chamber_kpa = (double)frame->chamber_kpa;

    if (frame->damaged)
        return;
    if (plant->over_limit) {
        plant->over_limit = !(chamber_kpa < limit_kpa * LIMIT_LEAVE_SHARE);
        return;
    }
    if (!(chamber_kpa > limit_kpa)) /* NaN is not above */
        return;
    plant->over_limit = true;
    plant_truth_event(
        &plant->truth, sent_ns, "limit_crossed tai_ns=%" PRIu64 " sequence=%" PRIu32 " stream=%s kpa=%.3f",
        plant_clock_tai_ns(&plant->clock, sent_ns), frame->sequence, plant_stream_name(stream->id), chamber_kpa);
    if (plant->marks.limit_ns == 0 && plant->marks.armed_ns != 0)
        plant->marks.limit_ns = sent_ns;
}

void plant_frame_sent(void *context, struct plant_stream *stream, const struct plant_frame *frame, uint64_t sent_ns)
{
    struct plant *plant = context;

    if (frame->repeated)
        return;
    /* A damaged frame can be acknowledged by nobody, so it is not waited for. */
    if (stream->id == plant->ack_stream && !frame->damaged)
        plant_decisions_sent(&plant->decisions, frame->sequence, plant_clock_tai_ns(&plant->clock, sent_ns),
                             counting(plant, sent_ns));
    watch_limit(plant, stream, frame, sent_ns);
}

static void log_lines(struct plant *plant, uint32_t changed, uint64_t at_ns, const struct plant_command *command)
{
    static const struct {
        uint32_t line;
        const char *name;
    } lines[] = {{PLANT_LINE_RELIEF, "relief"}, {PLANT_LINE_SUPPLY, "supply"}};

    for (unsigned i = 0; i < 2; i++)
        if ((changed & lines[i].line) != 0)
            plant_truth_event(
                &plant->truth, at_ns,
                "line_changed line=%s energised=%d origin=%s sequence=%" PRIu32 " decided_tai_ns=%" PRIu64,
                lines[i].name, (plant->relay.energised & lines[i].line) != 0 ? 1 : 0,
                plant_origin_name(command != NULL ? command->origin : PLANT_ORIGIN_WATCHDOG),
                command != NULL ? command->sequence : 0, command != NULL ? command->decided_tai_ns : 0);
}

static void lines_changed(struct plant *plant, uint32_t changed, uint64_t at_ns,
                          const struct plant_command *command)
{
    struct plant_marks *marks = &plant->marks;
    uint32_t energised = plant->relay.energised;

    if (changed == 0)
        return;
    log_lines(plant, changed, at_ns, command);
    plant->physics.relief_energised = (energised & PLANT_LINE_RELIEF) != 0;
    plant->physics.supply_energised = (energised & PLANT_LINE_SUPPLY) != 0;
    marks->both_energised_ns = energised == PLANT_LINE_ALL ? at_ns : 0;
    if ((changed & ~energised & PLANT_LINE_RELIEF) != 0 && marks->limit_ns != 0 && marks->command_ns == 0)
        marks->command_ns = at_ns;
}

static void obey(struct plant *plant, const struct plant_arrival *arrival)
{
    const struct plant_command *command = &arrival->command;

    if (arrival->fault != PLANT_COMMAND_OK) {
        if (plant->commands_malformed++ < MALFORMED_LOGGED)
            plant_truth_event(&plant->truth, arrival->arrived_ns, "command_malformed reason=%s",
                              plant_command_fault_name(arrival->fault));
        return;
    }
    plant->commands++;
    if (command->acknowledged != 0 && plant->ack_stream != PLANT_STREAM_NONE)
        plant_decisions_acknowledged(&plant->decisions, command->acknowledged_sequence,
                                     plant_clock_tai_ns(&plant->clock, arrival->arrived_ns));
    lines_changed(plant, plant_relay_command(&plant->relay, command, arrival->arrived_ns), arrival->arrived_ns,
                  command);
}

static void start_scenario(struct plant *plant, uint64_t at_ns)
{
    const struct plant_options *options = &plant->options;
    uint64_t duration_ns =
        options->duration_s > 0.0 ? (uint64_t)(options->duration_s * 1e9) : plant->scenario.duration_ns;

    plant->truth.scenario_start_ns = at_ns;
    if (duration_ns != 0)
        plant->marks.scenario_end_ns = at_ns + duration_ns;
    plant_truth_event(&plant->truth, at_ns, "scenario_start name=%s duration_s=%g", plant->scenario.name,
                      (double)duration_ns * 1e-9);
}

static void check_armed(struct plant *plant, uint64_t at_ns)
{
    struct plant_marks *marks = &plant->marks;
    bool waiting = plant->truth.scenario_start_ns == 0;

    if (marks->armed_ns == 0 && marks->both_energised_ns != 0 &&
        at_ns >= marks->both_energised_ns + PLANT_ARMED_NS) {
        marks->armed_ns = at_ns;
        if (waiting)
            start_scenario(plant, at_ns);
        plant_truth_event(&plant->truth, at_ns, "armed");
    } else if (waiting && plant->options.wait_armed_s <= 0.0) {
        start_scenario(plant, at_ns);
    } else if (waiting && (double)(at_ns - marks->start_ns) * 1e-9 > plant->options.wait_armed_s) {
        plant->not_armed = true;
        plant->done = true;
    }
}

static void tty_return(struct plant *plant, uint64_t at_ns)
{
    char error[PATH_MAX + 256];

    plant->marks.tty_returns_ns = 0;
    if (plant_tty_open(&plant->tty, plant->tty.link_path, error, sizeof(error)) == 0)
        plant_truth_event(&plant->truth, at_ns, "tty_returned slave=%s", plant->tty.slave_path);
    else
        plant_truth_event(&plant->truth, at_ns, "tty_lost why=\"%s\"", error);
}

static void run_due(struct plant *plant, uint64_t at_ns)
{
    struct plant_marks *marks = &plant->marks;
    const struct plant_scenario *scenario = &plant->scenario;

    while (plant->arrival_head < plant->arrival_count && plant->arrivals[plant->arrival_head].arrived_ns <= at_ns)
        obey(plant, &plant->arrivals[plant->arrival_head++]);
    lines_changed(plant, plant_relay_watchdog(&plant->relay, at_ns), at_ns, NULL);
    if (marks->armed_ns == 0 || plant->truth.scenario_start_ns == 0)
        check_armed(plant, at_ns);
    if (plant->truth.scenario_start_ns == 0)
        return;
    while (plant->next_event < scenario->event_count &&
           plant->truth.scenario_start_ns + scenario->events[plant->next_event].at_ns <= at_ns)
        plant_run_event(plant, &scenario->events[plant->next_event++], at_ns);
    if (marks->tty_returns_ns != 0 && marks->tty_returns_ns <= at_ns)
        tty_return(plant, at_ns);
}

/* The step's own news, seen by comparing the state before and after. */
static void log_valve(struct plant *plant, const char *name, double before, double after, uint64_t at_ns)
{
    if (before == after)
        return;
    if (before <= 0.0 || before >= 1.0)
        plant_truth_event(&plant->truth, at_ns, "%s_moving", name);
    if (after <= 0.0 || after >= 1.0)
        plant_truth_event(&plant->truth, at_ns, "%s_%s", name, after >= 1.0 ? "open" : "closed");
}

static void step(struct plant *plant, uint64_t at_ns)
{
    struct plant_marks *marks = &plant->marks;
    struct plant_physics *physics = &plant->physics;
    double relief_open = physics->relief_open, supply_open = physics->supply_open;
    bool burst = physics->burst;

    plant_physics_step(physics);
    log_valve(plant, "relief", relief_open, physics->relief_open, at_ns);
    log_valve(plant, "supply", supply_open, physics->supply_open, at_ns);
    if (physics->relief_open >= 1.0 && marks->limit_ns != 0 && marks->relief_open_ns == 0)
        marks->relief_open_ns = at_ns;
    if (physics->burst && !burst)
        plant_truth_event(&plant->truth, at_ns, "burst kpa=%.3f", physics->chamber_kpa);
    if (marks->finish_ns == 0 &&
        (physics->burst || (marks->scenario_end_ns != 0 && at_ns >= marks->scenario_end_ns)))
        marks->finish_ns = at_ns + (uint64_t)(plant->options.linger_s * 1e9);
    if (marks->finish_ns != 0 && at_ns >= marks->finish_ns)
        plant->done = true;
}

static void write_series(struct plant *plant, uint64_t at_ns)
{
    const struct plant_physics *physics = &plant->physics;
    uint64_t scenario_ns = plant->truth.scenario_start_ns;

    if (plant->series == NULL || physics->steps % (1000000000u / PLANT_SERIES_HZ / PLANT_STEP_NS) != 0)
        return;
    fprintf(plant->series, "%" PRIu64 ",", plant_clock_tai_ns(&plant->clock, at_ns));
    if (scenario_ns != 0)
        fprintf(plant->series, "%.6f", (double)(int64_t)(at_ns - scenario_ns) * 1e-9);
    else
        fputs("nan", plant->series);
    fprintf(plant->series, ",%.4f,%.4f,%.4f,%.4f,%.4f,%.4f\n", physics->chamber_kpa, physics->coolant_kpa,
            physics->shroud_c, physics->article_c, physics->relief_open, physics->supply_open);
}

/* Every sample due up to step_ns, but for the newest one due by now_ns: that is taken after the last step and
 * stamped with the true time. Only after a stall, or in a burst, are there older ones; they carry the time they
 * were due. */
static void sample_older(struct plant *plant, struct plant_stream *stream, uint64_t step_ns, uint64_t now_ns)
{
    if (stream->rate_hz == 0)
        return;
    while (plant_stream_due_ns(stream, stream->due_index) <= step_ns &&
           plant_stream_due_ns(stream, stream->due_index + 1) <= now_ns)
        plant_stream_sample(stream, &plant->sensors, &plant->physics,
                            plant_clock_tai_ns(&plant->clock, plant_stream_due_ns(stream, stream->due_index)));
}

static void sample_newest(struct plant *plant, struct plant_stream *stream, uint64_t now_ns)
{
    if (stream->rate_hz == 0)
        return;
    sample_older(plant, stream, now_ns, now_ns); /* above 20 kHz several fall behind the last step */
    if (plant_stream_due_ns(stream, stream->due_index) <= now_ns)
        plant_stream_sample(stream, &plant->sensors, &plant->physics,
                            plant_clock_tai_ns(&plant->clock, plant_clock_now_ns()));
    plant_stream_flush(stream);
}

static void note_late(struct plant *plant, uint64_t now_ns)
{
    uint64_t late_ns = now_ns > plant->marks.wake_goal_ns ? now_ns - plant->marks.wake_goal_ns : 0;

    if (plant->marks.wake_goal_ns == 0)
        return;
    if (late_ns > plant->longest_late_ns)
        plant->longest_late_ns = late_ns;
    if (late_ns > PLANT_LATE_NS)
        plant->late_wakes++;
}

void plant_advance(struct plant *plant, uint64_t now_ns)
{
    note_late(plant, now_ns);
    plant->arrival_head = 0;
    /* What arrived after now_ns, or since the last step, waits for the next step: at most one, 50 us. */
    if (plant->options.tty_path != NULL && plant_tty_poll(&plant->tty))
        plant_truth_event(&plant->truth, now_ns, plant->tty.reader ? "tty_opened" : "tty_closed");
    while (!plant->done) {
        uint64_t at_ns = plant->marks.start_ns + (plant->physics.steps + 1) * PLANT_STEP_NS;

        if (at_ns > now_ns)
            break;
        run_due(plant, at_ns);
        step(plant, at_ns);
        write_series(plant, at_ns);
        sample_older(plant, &plant->udp, at_ns, now_ns);
        sample_older(plant, &plant->serial, at_ns, now_ns);
    }
    if (!plant->done) {
        sample_newest(plant, &plant->udp, now_ns);
        sample_newest(plant, &plant->serial, now_ns);
    }
    plant->arrival_count -= plant->arrival_head;
    for (unsigned i = 0; i < plant->arrival_count; i++)
        plant->arrivals[i] = plant->arrivals[plant->arrival_head + i];
}

static uint64_t stream_wake_ns(const struct plant_stream *stream, uint64_t now_ns)
{
    if (stream->rate_hz == 0)
        return UINT64_MAX;
    if (stream->rate_hz <= PLANT_PACED_HZ)
        return plant_stream_due_ns(stream, stream->due_index);
    return stream->start_ns + ((now_ns - stream->start_ns) / PLANT_BURST_NS + 1) * PLANT_BURST_NS;
}

uint64_t plant_next_wake_ns(const struct plant *plant, uint64_t now_ns)
{
    uint64_t start_ns = plant->marks.start_ns;
    uint64_t wake_ns = start_ns + ((now_ns - start_ns) / PLANT_TICK_NS + 1) * PLANT_TICK_NS;
    uint64_t serial_ns = stream_wake_ns(&plant->serial, now_ns);
    uint64_t udp_ns = stream_wake_ns(&plant->udp, now_ns);

    wake_ns = serial_ns < wake_ns ? serial_ns : wake_ns;
    return udp_ns < wake_ns ? udp_ns : wake_ns;
}
