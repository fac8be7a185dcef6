/* Lists of `sluice top`: which rows, in which order; and the channels' last values. Pure. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/screens.h"
#include "tools/top.h"

struct order {
    const char *word; /* as the footer says it */
    const char *key;  /* of the row; NULL: as the server has them */
    bool text;        /* by name, upwards; numbers go downwards, the largest first */
};

#define ORDERS_MAX 5u

static const struct order orders[TOP_VIEWS][ORDERS_MAX] = {
    [TOP_RINGS] = {{"as configured", NULL, false},
                   {"rate", "rate_hz", false},
                   {"lost", "lost", false},
                   {"oldest", "oldest_s", false},
                   {"name", "name", true}},
    [TOP_CHANNELS] = {{"as configured", NULL, false},
                      {"quality", "quality", true}, /* bad, good, stale: see rank */
                      {"age", "age_ns", false},
                      {"value", "value", false},
                      {"name", "name", true}},
    [TOP_READERS] = {{"by ring", NULL, false},
                     {"lag", "lag_frames", false},
                     {"lost", "lost", false},
                     {"waits", "waits", false},
                     {"pid", "pid", false}},
    [TOP_PROCESSES] = {{"as started", NULL, false},
                       {"busy", "busy_percent", false},
                       {"memory", "pss_kb", false},
                       {"restarts", "restarts", false},
                       {"name", "name", true}},
    [TOP_RECORDERS] = {{"as configured", NULL, false},
                       {"rate", "bytes_per_s", false},
                       {"missing", "missing", false},
                       {"size", "run_bytes", false},
                       {"name", "name", true}},
};

unsigned top_sorts(enum top_view list)
{
    return list < TOP_VIEWS && orders[list][0].word != NULL ? ORDERS_MAX : 0;
}

const char *top_sort_name(enum top_view list, unsigned sort)
{
    return top_sorts(list) > 0 ? orders[list][sort % ORDERS_MAX].word : NULL;
}

static void add(struct top_rows *rows, const json_t *row, const json_t *of)
{
    if (rows->count < TOP_LIST_ROWS_MAX) {
        rows->row[rows->count] = row;
        rows->of[rows->count++] = of;
    }
}

/* Each below what it belongs to: readers below their ring's, threads below their process. */
static void add_parts(struct top_rows *rows, const json_t *of, const char *key)
{
    const json_t *parts = json_object_get(of, key);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        add(rows, json_array_get(parts, i), of);
    }
}

static double rank(const json_t *row, const char *key)
{
    if (strcmp(key, "quality") == 0) {
        return strcmp(text_of(row, key), "good") == 0 ? 1 : 0; /* what is wrong comes first */
    }
    return number_of(row, key);
}

static int compare(const json_t *a, const json_t *b, const struct order *order)
{
    if (strcmp(order->key, "name") == 0) {
        return strcmp(text_of(a, "name"), text_of(b, "name"));
    }
    double difference = rank(a, order->key) - rank(b, order->key);
    int sign = (difference > 0) - (difference < 0);
    return order->text ? sign : -sign;
}

/* Insertion: rows that are equal keep their order, and there are few. */
static void sort(struct top_rows *rows, const struct order *order, bool reverse)
{
    for (unsigned i = 1; i < rows->count; i++) {
        const json_t *row = rows->row[i];
        const json_t *of = rows->of[i];
        unsigned at = i;
        for (; at > 0; at--) {
            int c = compare(row, rows->row[at - 1], order);
            if ((reverse ? -c : c) >= 0) {
                break;
            }
            rows->row[at] = rows->row[at - 1];
            rows->of[at] = rows->of[at - 1];
        }
        rows->row[at] = row;
        rows->of[at] = of;
    }
}

static void turn_round(struct top_rows *rows)
{
    for (unsigned i = 0; i < rows->count / 2; i++) {
        unsigned j = rows->count - 1 - i;
        const json_t *row = rows->row[i];
        const json_t *of = rows->of[i];
        rows->row[i] = rows->row[j];
        rows->of[i] = rows->of[j];
        rows->row[j] = row;
        rows->of[j] = of;
    }
}

void top_rows(struct top_rows *rows, const struct top_look *look, const struct top_state *state, enum top_view list)
{
    const json_t *status = look->snapshot->status;
    const char *key = list == TOP_CHANNELS    ? "channels"
                      : list == TOP_PROCESSES ? "processes"
                      : list == TOP_RECORDERS ? "recorders"
                                              : "rings";
    const json_t *items = json_object_get(status, key);
    const struct order *order = &orders[list][state->sort[list] % ORDERS_MAX];
    rows->count = 0;
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        if (list != TOP_READERS) {
            add(rows, item, NULL);
        } else if (state->focus[0] == 0 || strcmp(state->focus, text_of(item, "name")) == 0) {
            add_parts(rows, item, "readers");
        }
        if (list == TOP_PROCESSES && order->key == NULL && !state->reverse) {
            add_parts(rows, item, "threads");
        }
    }
    if (order->key != NULL) {
        sort(rows, order, state->reverse);
    } else if (state->reverse) {
        turn_round(rows);
    }
}

void top_history_add(struct top_history *history, const json_t *status)
{
    const json_t *channels = json_object_get(status, "channels");
    size_t count = json_array_size(channels);
    count = count < CONTROL_CHANNELS_MAX ? count : CONTROL_CHANNELS_MAX;
    bool same = history->channels == count;
    for (size_t i = 0; i < count && same; i++) {
        same = strncmp(history->name[i], text_of(json_array_get(channels, i), "name"), TOP_NAME_BYTES - 1) == 0;
    }
    if (!same) {
        history->looks = 0;
        history->channels = (uint32_t)count;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *channel = json_array_get(channels, i);
        const json_t *value = json_object_get(channel, "value");
        bool good = json_is_number(value) && strcmp(text_of(channel, "quality"), "good") == 0;
        snprintf(history->name[i], TOP_NAME_BYTES, "%s", text_of(channel, "name"));
        history->value[i][history->looks % TOP_HISTORY] = good ? json_number_value(value) : NAN;
    }
    history->looks++;
}
