#include "tools/plant/scenario.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/plant/event_file.h"

/* As libcyaml fills them: a pointer is NULL where the file says nothing. */
struct file_physics {
#define X(name, value, unit, lowest, highest, what) double *name;
    PLANT_PARAMETERS(X)
#undef X
};

struct file_scenario {
    char *name;
    char *description;
    double duration_s;
    struct file_physics *physics;
    struct file_event *events;
    uint32_t events_count;
};

static const cyaml_schema_field_t physics_fields[] = {
#define X(name, value, unit, lowest, highest, what)                                                                \
    CYAML_FIELD_FLOAT_PTR(#name, CYAML_FLAG_OPTIONAL, struct file_physics, name),
    PLANT_PARAMETERS(X)
#undef X
        CYAML_FIELD_END,
};

static const cyaml_schema_field_t scenario_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct file_scenario, name, 1,
                           PLANT_SCENARIO_NAME_BYTES - 1),
    CYAML_FIELD_STRING_PTR("description", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file_scenario,
                           description, 0, 4096),
    CYAML_FIELD_FLOAT("duration_s", CYAML_FLAG_DEFAULT, struct file_scenario, duration_s),
    CYAML_FIELD_MAPPING_PTR("physics", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file_scenario, physics,
                            physics_fields),
    CYAML_FIELD_SEQUENCE("events", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file_scenario, events,
                         &plant_event_schema, 0, PLANT_SCENARIO_EVENTS_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t scenario_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file_scenario, scenario_fields)};

static bool take_physics(struct plant_parameters *parameters, const struct file_physics *physics, char *why,
                         size_t why_bytes)
{
    if (physics == NULL)
        return true;
#define X(name, default_, unit, lowest, highest, what)                                                             \
    if (!plant_number_fits(#name " (" unit ")", physics->name, lowest, highest, why, why_bytes))                   \
        return false;                                                                                              \
    if (physics->name != NULL)                                                                                     \
        parameters->name = *physics->name;
    PLANT_PARAMETERS(X)
#undef X
    return true;
}

/* Stable: events at the same instant happen in the order of the file. */
static void insert_event(struct plant_scenario *scenario, const struct plant_event *event)
{
    unsigned at = scenario->event_count++;

    for (; at > 0 && scenario->events[at - 1].at_ns > event->at_ns; at--)
        scenario->events[at] = scenario->events[at - 1];
    scenario->events[at] = *event;
}

static bool take_scenario(struct plant_scenario *scenario, const struct file_scenario *file, char *why,
                          size_t why_bytes)
{
    char what[256];

    plant_scenario_init(scenario);
    snprintf(scenario->name, sizeof(scenario->name), "%s", file->name);
    if (!plant_number_fits("duration_s", &file->duration_s, 0.001, PLANT_DURATION_S_MAX, why, why_bytes) ||
        !take_physics(&scenario->parameters, file->physics, why, why_bytes))
        return false;
    scenario->duration_ns = (uint64_t)llround(file->duration_s * 1e9);
    for (uint32_t i = 0; i < file->events_count; i++) {
        struct plant_event event;

        if (!plant_event_fits(&file->events[i], file->duration_s, what, sizeof(what))) {
            snprintf(why, why_bytes, "event %u of %u: %s", i + 1, file->events_count, what);
            return false;
        }
        plant_event_take(&event, &file->events[i]);
        insert_event(scenario, &event);
    }
    return true;
}

void plant_scenario_init(struct plant_scenario *scenario)
{
    memset(scenario, 0, sizeof(*scenario));
    snprintf(scenario->name, sizeof(scenario->name), "none");
    plant_parameters_default(&scenario->parameters);
}

int plant_scenario_load(struct plant_scenario *scenario, const char *path, char *error, size_t error_bytes)
{
    struct plant_scenario *taken = malloc(sizeof(*taken));
    struct file_scenario *file = NULL;
    cyaml_err_t parsed;
    char why[320];
    bool good = false;

    if (taken == NULL) {
        snprintf(error, error_bytes, "%s: no memory to read it; free some", path);
        return -ENOMEM;
    }
    parsed = cyaml_load_file(path, &plant_cyaml_config, &scenario_schema, (cyaml_data_t **)&file, NULL);
    if (parsed != CYAML_OK)
        snprintf(error, error_bytes, "%s: expected a scenario, found: %s; the line is named above", path,
                 cyaml_strerror(parsed));
    else if (file == NULL) /* libcyaml is content with an empty file */
        snprintf(error, error_bytes, "%s: expected a scenario, found an empty file; give it name and duration_s",
                 path);
    else if (!take_scenario(taken, file, why, sizeof(why)))
        snprintf(error, error_bytes, "%s: %s", path, why);
    else
        good = true;
    if (good)
        *scenario = *taken;
    free(taken);
    if (file != NULL)
        cyaml_free(&plant_cyaml_config, &scenario_schema, file, 0);
    return good ? 0 : -EINVAL;
}
