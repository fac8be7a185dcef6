/* Scenario files: a good one is taken whole, a bad one names what is wrong and leaves nothing behind. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/plant/scenario.h"

static struct plant_scenario scenario;
static char error[1024];

static int load(const char *text)
{
    char path[] = "/tmp/sluice-plant-scenario-XXXXXX";
    int fd = mkstemp(path);
    int failed;

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    plant_scenario_init(&scenario);
    failed = plant_scenario_load(&scenario, path, error, sizeof(error));
    unlink(path);
    return failed;
}

static void refuse(const char *event, const char *expected)
{
    char text[512];

    snprintf(text, sizeof(text), "name: x\nduration_s: 5\nevents:\n  - {%s}\n", event);
    cr_assert_neq(load(text), 0, "taken: %s", event);
    cr_assert(strstr(error, expected) != NULL, "'%s' does not say '%s'", error, expected);
    cr_assert_eq(scenario.event_count, 0);
}

Test(plant_scenario, good_one_in_order_of_time)
{
    cr_assert_eq(load("name: try\n"
                      "description: both\n"
                      "duration_s: 4.5\n"
                      "physics: {burst_kpa: 210, relief_stroke_ms: 55.5}\n"
                      "events:\n"
                      "  - {at_s: 3, do: cooling_fails, loop: secondary}\n"
                      "  - {at_s: 1.5, do: spike, channel: chamber_pressure, value: -3.5, samples: 2}\n"),
                 0, "%s", error);
    cr_assert_str_eq(scenario.name, "try");
    cr_assert_eq(scenario.duration_ns, 4500000000u);
    cr_assert_float_eq(scenario.parameters.burst_kpa, 210.0, 1e-12);
    cr_assert_float_eq(scenario.parameters.relief_stroke_ms, 55.5, 1e-12);
    cr_assert_float_eq(scenario.parameters.supply_stroke_ms, 60.0, 1e-12);
    cr_assert_eq(scenario.event_count, 2);
    cr_assert_eq(scenario.events[0].action, PLANT_ACTION_SPIKE);
    cr_assert_float_eq(scenario.events[0].value, -3.5, 1e-12);
    cr_assert_eq(scenario.events[1].action, PLANT_ACTION_COOLING_FAILS);
    cr_assert_eq(scenario.events[1].loop, PLANT_LOOP_SECONDARY);
    cr_assert_eq(scenario.events[1].at_ns, 3000000000u);
}

Test(plant_scenario, bad_events_are_refused_by_name)
{
    refuse("at_s: 1, do: cooling_fails", "'loop'");
    refuse("at_s: 1, do: cooling_fails, loop: primary, frames: 3", "'frames'");
    refuse("at_s: 6, do: sensor_gone, stream: udp", "at_s from 0 to 5");
    refuse("at_s: -1, do: sensor_gone, stream: udp", "at_s");
    refuse("at_s: 1, do: sensor_nan, channel: coolant_pressure", "chamber_pressure");
    refuse("at_s: 1, do: half_frame, bytes: 32", "bytes from 1 to 31");
    refuse("at_s: 1, do: gap, stream: udp, frames: 0", "frames from 1");
    refuse("at_s: 1, do: explode", "expected a scenario");
    refuse("at_s: 1, do: sensor_inf, channel: shroud_temperature", "chamber_pressure");
    refuse("at_s: 1, do: cut, stream: udp, frames: 2", "'bytes'");
    refuse("at_s: 1, do: cut, stream: udp, frames: 2, bytes: 32", "bytes from 1 to 31");
    refuse("at_s: 1, do: readback_wrong, value: 65536", "value from 0 to 65535");
    refuse("at_s: 1, do: valve_welded", "'valve'");
    refuse("at_s: 1, do: relay_gone, valve: relief", "'valve'");
}

Test(plant_scenario, bad_files_are_refused)
{
    cr_assert_neq(load("duration_s: 5\n"), 0);
    cr_assert_neq(load("name: x\nduration_s: 0\n"), 0);
    cr_assert_neq(load("name: x\nduration_s: 5\nphysics: {burst_kpa: 1e9}\n"), 0);
    cr_assert(strstr(error, "burst_kpa (kPa) from 120 to 1000") != NULL, "%s", error);
    cr_assert_neq(load("name: x\nduration_s: 5\nphysics: {no_such: 1}\n"), 0);
    cr_assert_neq(load("- just\n- a list\n"), 0);
    cr_assert_neq(load(""), 0);
    cr_assert_neq(plant_scenario_load(&scenario, "/nonexistent/scenario.yaml", error, sizeof(error)), 0);
}

static int parse(struct plant_event *event, const char *text)
{
    return plant_event_parse(event, text, strlen(text), error, sizeof(error));
}

Test(plant_event, one_event_is_taken_whole)
{
    struct plant_event event;

    cr_assert_eq(parse(&event, "{do: spike, channel: chamber_pressure, value: 170, samples: 3}"), 0, "%s", error);
    cr_assert_eq(event.action, PLANT_ACTION_SPIKE);
    cr_assert_eq(event.channel, PLANT_CHANNEL_CHAMBER_PRESSURE);
    cr_assert_float_eq(event.value, 170.0, 1e-12);
    cr_assert_eq(event.samples, 3);
    cr_assert_eq(event.valve, PLANT_VALVE_COUNT, "none was named");
    cr_assert_eq(parse(&event, "{do: valve_welded, valve: supply}"), 0, "%s", error);
    cr_assert_eq(event.valve, PLANT_VALVE_SUPPLY);
    cr_assert_str_eq(plant_valve_name(event.valve), "supply");
}

Test(plant_event, bad_ones_are_refused_and_leave_nothing)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "explode",
                                      "{do: explode}",
                                      "{do: sensor_nan}",
                                      "{do: sensor_nan, channel: chamber_pressure, at_s: 1}",
                                      "[{do: relay_gone}]",
                                      "{do: spike, channel: chamber_pressure, value: .nan, samples: 1}",
                                      "{do: gap, stream: udp, frames: 0",
                                      "\xff\xfe{"};
    struct plant_event event = {.frames = 77};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        error[0] = '\0';
        cr_assert_neq(parse(&event, bad[i]), 0, "taken: %s", bad[i]);
        cr_assert_neq(error[0], '\0', "nothing said of: %s", bad[i]);
        cr_assert_eq(event.frames, 77, "touched by: %s", bad[i]);
    }
}
