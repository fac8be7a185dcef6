/* One event: its names, which keys belong to which action, and what they may say. */
#include "tools/plant/event_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const cyaml_strval_t action_names[] = {
    {"cooling_fails", PLANT_ACTION_COOLING_FAILS},
    {"cooling_returns", PLANT_ACTION_COOLING_RETURNS},
    {"sensor_stuck", PLANT_ACTION_SENSOR_STUCK},
    {"sensor_nan", PLANT_ACTION_SENSOR_NAN},
    {"sensor_gone", PLANT_ACTION_SENSOR_GONE},
    {"sensor_returns", PLANT_ACTION_SENSOR_RETURNS},
    {"noise", PLANT_ACTION_NOISE},
    {"spike", PLANT_ACTION_SPIKE},
    {"tty_hangup", PLANT_ACTION_TTY_HANGUP},
    {"tty_noise", PLANT_ACTION_TTY_NOISE},
    {"half_frame", PLANT_ACTION_HALF_FRAME},
    {"gap", PLANT_ACTION_GAP},
    {"duplicate", PLANT_ACTION_DUPLICATE},
    {"reorder", PLANT_ACTION_REORDER},
    {"sensor_inf", PLANT_ACTION_SENSOR_INF},
    {"offset", PLANT_ACTION_OFFSET},
    {"drift", PLANT_ACTION_DRIFT},
    {"frozen", PLANT_ACTION_FROZEN},
    {"sensor_clock", PLANT_ACTION_SENSOR_CLOCK},
    {"flood", PLANT_ACTION_FLOOD},
    {"corrupt", PLANT_ACTION_CORRUPT},
    {"cut", PLANT_ACTION_CUT},
    {"valve_welded", PLANT_ACTION_VALVE_WELDED},
    {"valve_falls", PLANT_ACTION_VALVE_FALLS},
    {"valve_returns", PLANT_ACTION_VALVE_RETURNS},
    {"readback_wrong", PLANT_ACTION_READBACK_WRONG},
    {"readback_returns", PLANT_ACTION_READBACK_RETURNS},
    {"repeats", PLANT_ACTION_REPEATS},
    {"relay_gone", PLANT_ACTION_RELAY_GONE},
    {"relay_returns", PLANT_ACTION_RELAY_RETURNS},
};
_Static_assert(COUNT(action_names) == PLANT_ACTION_COUNT, "every action has a name, in the order of the enum");

/* Here loops and valves count from 1, so that 0 can mean "not said". */
static const cyaml_strval_t loop_names[] = {{"primary", 1 + PLANT_LOOP_PRIMARY},
                                            {"secondary", 1 + PLANT_LOOP_SECONDARY}};
static const cyaml_strval_t valve_names[] = {{"relief", 1 + PLANT_VALVE_RELIEF},
                                             {"supply", 1 + PLANT_VALVE_SUPPLY}};
static const cyaml_strval_t channel_names[] = {{"chamber_pressure", PLANT_CHANNEL_CHAMBER_PRESSURE},
                                               {"coolant_pressure", PLANT_CHANNEL_COOLANT_PRESSURE},
                                               {"shroud_temperature", PLANT_CHANNEL_SHROUD_TEMPERATURE},
                                               {"article_temperature", PLANT_CHANNEL_ARTICLE_TEMPERATURE}};
static const cyaml_strval_t stream_names[] = {{"serial", PLANT_STREAM_SERIAL}, {"udp", PLANT_STREAM_UDP}};

#define OPTIONAL_ENUM(key, names)                                                                                  \
    CYAML_FIELD_ENUM(#key, CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct file_event, key, names, COUNT(names))
#define OPTIONAL_FLOAT(key) CYAML_FIELD_FLOAT_PTR(#key, CYAML_FLAG_OPTIONAL, struct file_event, key)
#define OPTIONAL_UINT(key)  CYAML_FIELD_UINT_PTR(#key, CYAML_FLAG_OPTIONAL, struct file_event, key)

/* Everything of an event but its time. */
#define EVENT_FIELDS                                                                                               \
    CYAML_FIELD_ENUM("do", CYAML_FLAG_STRICT, struct file_event, action, action_names, COUNT(action_names)),       \
        OPTIONAL_ENUM(loop, loop_names), OPTIONAL_ENUM(channel, channel_names),                                    \
        OPTIONAL_ENUM(stream, stream_names), OPTIONAL_ENUM(valve, valve_names), OPTIONAL_FLOAT(sigma),             \
        OPTIONAL_FLOAT(value), OPTIONAL_FLOAT(for_s), OPTIONAL_UINT(samples), OPTIONAL_UINT(frames),               \
        OPTIONAL_UINT(bytes), CYAML_FIELD_END

static const cyaml_schema_field_t event_fields[] = {
    CYAML_FIELD_FLOAT("at_s", CYAML_FLAG_DEFAULT, struct file_event, at_s), EVENT_FIELDS};
const cyaml_schema_value_t plant_event_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_event, event_fields)};
static const cyaml_schema_field_t injected_fields[] = {EVENT_FIELDS};
static const cyaml_schema_value_t injected_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file_event, injected_fields)};

enum event_key {
    KEY_LOOP = 1 << 0,
    KEY_CHANNEL = 1 << 1,
    KEY_STREAM = 1 << 2,
    KEY_SIGMA = 1 << 3,
    KEY_VALUE = 1 << 4,
    KEY_FOR_S = 1 << 5,
    KEY_SAMPLES = 1 << 6,
    KEY_FRAMES = 1 << 7,
    KEY_BYTES = 1 << 8,
    KEY_VALVE = 1 << 9,
};
static const char *const key_names[] = {"loop",  "channel", "stream", "sigma", "value",
                                        "for_s", "samples", "frames", "bytes", "valve"};

struct event_keys {
    unsigned needed, allowed;
};

static const struct event_keys action_keys[PLANT_ACTION_COUNT] = {
    [PLANT_ACTION_COOLING_FAILS] = {KEY_LOOP, 0},
    [PLANT_ACTION_COOLING_RETURNS] = {KEY_LOOP, 0},
    [PLANT_ACTION_SENSOR_STUCK] = {KEY_CHANNEL, 0},
    [PLANT_ACTION_SENSOR_NAN] = {KEY_CHANNEL, 0},
    [PLANT_ACTION_SENSOR_GONE] = {KEY_STREAM, 0},
    [PLANT_ACTION_SENSOR_RETURNS] = {0, KEY_CHANNEL | KEY_STREAM},
    [PLANT_ACTION_NOISE] = {KEY_CHANNEL | KEY_SIGMA, 0},
    [PLANT_ACTION_SPIKE] = {KEY_CHANNEL | KEY_VALUE | KEY_SAMPLES, 0},
    [PLANT_ACTION_TTY_HANGUP] = {KEY_FOR_S, 0},
    [PLANT_ACTION_TTY_NOISE] = {KEY_BYTES, 0},
    [PLANT_ACTION_HALF_FRAME] = {KEY_BYTES, 0},
    [PLANT_ACTION_GAP] = {KEY_STREAM | KEY_FRAMES, 0},
    [PLANT_ACTION_DUPLICATE] = {KEY_STREAM | KEY_FRAMES, 0},
    [PLANT_ACTION_REORDER] = {KEY_STREAM, KEY_CHANNEL | KEY_VALUE},
    [PLANT_ACTION_SENSOR_INF] = {KEY_CHANNEL, 0},
    [PLANT_ACTION_OFFSET] = {KEY_CHANNEL | KEY_VALUE, 0},
    [PLANT_ACTION_DRIFT] = {KEY_CHANNEL | KEY_VALUE, 0},
    [PLANT_ACTION_FROZEN] = {KEY_STREAM, 0},
    [PLANT_ACTION_SENSOR_CLOCK] = {KEY_STREAM | KEY_VALUE, 0},
    [PLANT_ACTION_FLOOD] = {KEY_STREAM | KEY_FRAMES, 0},
    [PLANT_ACTION_CORRUPT] = {KEY_STREAM | KEY_FRAMES, 0},
    [PLANT_ACTION_CUT] = {KEY_STREAM | KEY_FRAMES | KEY_BYTES, 0},
    [PLANT_ACTION_VALVE_WELDED] = {KEY_VALVE, 0},
    [PLANT_ACTION_VALVE_FALLS] = {KEY_VALVE, 0},
    [PLANT_ACTION_VALVE_RETURNS] = {0, KEY_VALVE},
    [PLANT_ACTION_READBACK_WRONG] = {KEY_VALUE, 0},
    [PLANT_ACTION_READBACK_RETURNS] = {0, 0},
    [PLANT_ACTION_REPEATS] = {KEY_STREAM, 0},
    [PLANT_ACTION_RELAY_GONE] = {0, 0},
    [PLANT_ACTION_RELAY_RETURNS] = {0, 0},
};

static const char *strval_name(const cyaml_strval_t *names, size_t count, int64_t value)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].val == value)
            return names[i].str;
    return "none";
}

const char *plant_action_name(enum plant_action action)
{
    return strval_name(action_names, COUNT(action_names), action);
}

const char *plant_channel_name(enum plant_channel channel)
{
    return strval_name(channel_names, COUNT(channel_names), channel);
}

const char *plant_stream_name(enum plant_stream_id stream)
{
    return strval_name(stream_names, COUNT(stream_names), stream);
}

const char *plant_loop_name(enum plant_loop loop)
{
    return strval_name(loop_names, COUNT(loop_names), 1 + (int64_t)loop);
}

const char *plant_valve_name(enum plant_valve valve)
{
    return strval_name(valve_names, COUNT(valve_names), 1 + (int64_t)valve);
}

static unsigned keys_given(const struct file_event *event)
{
    return (event->loop != 0 ? KEY_LOOP : 0u) | (event->channel != 0 ? KEY_CHANNEL : 0u) |
           (event->stream != 0 ? KEY_STREAM : 0u) | (event->sigma != NULL ? KEY_SIGMA : 0u) |
           (event->value != NULL ? KEY_VALUE : 0u) | (event->for_s != NULL ? KEY_FOR_S : 0u) |
           (event->samples != NULL ? KEY_SAMPLES : 0u) | (event->frames != NULL ? KEY_FRAMES : 0u) |
           (event->bytes != NULL ? KEY_BYTES : 0u) | (event->valve != 0 ? KEY_VALVE : 0u);
}

static const char *first_key(unsigned keys)
{
    return key_names[__builtin_ctz(keys)];
}

/* Which keys belong to which action. Writes a message and returns false if these do not. */
static bool keys_fit(const struct file_event *event, const char *action, char *why, size_t why_bytes)
{
    const struct event_keys *keys = &action_keys[event->action];
    unsigned given = keys_given(event);
    unsigned lacking = keys->needed & ~given;
    unsigned strange = given & ~(keys->needed | keys->allowed);

    if (lacking != 0)
        snprintf(why, why_bytes, "%s expects '%s', found none; add it", action, first_key(lacking));
    else if (strange != 0)
        snprintf(why, why_bytes, "%s does not know '%s'; take it out", action, first_key(strange));
    return lacking == 0 && strange == 0;
}

bool plant_number_fits(const char *key, const double *value, double lowest, double highest, char *why,
                       size_t why_bytes)
{
    if (value == NULL || (*value >= lowest && *value <= highest)) /* false for NaN too */
        return true;
    snprintf(why, why_bytes, "expected %s from %g to %g, found %g; change it", key, lowest, highest, *value);
    return false;
}

static bool count_fits(const char *key, const uint32_t *value, uint32_t highest, char *why, size_t why_bytes)
{
    double number = value != NULL ? (double)*value : 0.0;

    return plant_number_fits(key, value != NULL ? &number : NULL, 1.0, (double)highest, why, why_bytes);
}

bool plant_event_fits(const struct file_event *event, double duration_s, char *why, size_t why_bytes)
{
    const char *action = plant_action_name((enum plant_action)event->action);

    if (!keys_fit(event, action, why, why_bytes))
        return false;
    if ((event->action == PLANT_ACTION_SENSOR_NAN || event->action == PLANT_ACTION_SENSOR_INF) &&
        event->channel != PLANT_CHANNEL_CHAMBER_PRESSURE) {
        snprintf(why, why_bytes, "%s expects channel chamber_pressure (the others are integers), found %s", action,
                 plant_channel_name((enum plant_channel)event->channel));
        return false;
    }
    return plant_number_fits("at_s", &event->at_s, 0.0, duration_s, why, why_bytes) &&
           plant_number_fits("sigma", event->sigma, 0.0, 1e6, why, why_bytes) &&
           plant_number_fits("value", event->value, event->action == PLANT_ACTION_READBACK_WRONG ? 0.0 : -1e6,
                             event->action == PLANT_ACTION_READBACK_WRONG ? 65535.0 : 1e6, why, why_bytes) &&
           plant_number_fits("for_s", event->for_s, 0.001, 3600.0, why, why_bytes) &&
           count_fits("samples", event->samples, 1000000, why, why_bytes) &&
           count_fits("frames", event->frames, 1000000, why, why_bytes) &&
           count_fits("bytes", event->bytes, event->action == PLANT_ACTION_TTY_NOISE ? 4096 : PLANT_FRAME_BYTES - 1,
                      why, why_bytes);
}

void plant_event_take(struct plant_event *to, const struct file_event *from)
{
    *to = (struct plant_event){
        .at_ns = (uint64_t)llround(from->at_s * 1e9),
        .action = (enum plant_action)from->action,
        .loop = from->loop != 0 ? (enum plant_loop)(from->loop - 1) : PLANT_LOOP_PRIMARY,
        .channel = (enum plant_channel)from->channel,
        .stream = (enum plant_stream_id)from->stream,
        .valve = from->valve != 0 ? (enum plant_valve)(from->valve - 1) : PLANT_VALVE_COUNT,
        .sigma = from->sigma != NULL ? *from->sigma : 0.0,
        .value = from->value != NULL ? *from->value : 0.0,
        .for_ns = from->for_s != NULL ? (uint64_t)llround(*from->for_s * 1e9) : 0,
        .samples = from->samples != NULL ? *from->samples : 0,
        .frames = from->frames != NULL ? *from->frames : 0,
        .bytes = from->bytes != NULL ? *from->bytes : 0,
    };
}

const cyaml_config_t plant_cyaml_config = {
    .log_fn = cyaml_log, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_WARNING, .flags = CYAML_CFG_NO_ALIAS};

int plant_event_parse(struct plant_event *event, const char *text, size_t length_bytes, char *error,
                      size_t error_bytes)
{
    struct file_event *file = NULL;
    bool good = false;
    cyaml_err_t parsed = cyaml_load_data((const uint8_t *)text, length_bytes, &plant_cyaml_config, &injected_schema,
                                         (cyaml_data_t **)&file, NULL);

    if (parsed != CYAML_OK || file == NULL)
        snprintf(error, error_bytes,
                 "expected an event such as {do: sensor_nan, channel: chamber_pressure}, found: %s",
                 parsed != CYAML_OK ? cyaml_strerror(parsed) : "nothing");
    else
        good = plant_event_fits(file, PLANT_DURATION_S_MAX, error, error_bytes);
    if (good)
        plant_event_take(event, file);
    if (file != NULL)
        cyaml_free(&plant_cyaml_config, &injected_schema, file, 0);
    return good ? 0 : -EINVAL;
}
