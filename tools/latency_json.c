/* sluice latency --json. */
#include "tools/hist_read.h"
#include "tools/latency.h"

static void put(json_t *object, const char *key, uint64_t n)
{
    json_object_set_new(object, key, json_integer((json_int_t)n));
}

static json_t *buckets_of(const struct histogram *values)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (values->buckets[i] > 0) {
            json_array_append_new(list, json_pack("{s:I, s:I, s:I}", "from_ns", (json_int_t)hist_bucket_low_ns(i),
                                                  "to_ns", (json_int_t)hist_bucket_high_ns(i), "count",
                                                  (json_int_t)values->buckets[i]));
        }
    }
    return list;
}

static json_t *figures_of(const struct latency_line *line, bool buckets)
{
    const struct histogram *values = line->values;
    json_t *figures = json_object();
    put(figures, "count", values->count);
    json_object_set_new(figures, "mean_ns",
                        values->count > 0 ? json_real((double)values->sum_ns / (double)values->count)
                                          : json_null());
    for (uint32_t n = 0; n < LATENCY_QUANTILES; n++) {
        char key[16];
        snprintf(key, sizeof(key), "%s_ns", latency_quantile_name(n));
        put(figures, key, hist_quantile_ns(values, latency_quantile(n)));
    }
    put(figures, "max_ns", values->max_ns);
    json_object_set_new(figures, "max_exact", json_boolean(line->exact));
    put(figures, "late", values->late);
    if (buckets) {
        json_object_set_new(figures, "buckets", buckets_of(values));
    }
    return figures;
}

/* The line of a hop, and behind it its corrected one where it has one. */
static json_t *both_of(const struct latency_view *view, uint32_t line, bool buckets)
{
    json_t *figures = figures_of(&view->line[line], buckets);
    bool corrected = line + 1 < view->lines && view->line[line + 1].corrected;
    json_object_set_new(figures, "corrected", corrected ? figures_of(&view->line[line + 1], buckets) : json_null());
    return figures;
}

json_t *latency_json(const struct latency_view *total, const struct latency_view *interval, bool buckets)
{
    json_t *hops = json_array();
    for (uint32_t i = 0; i < total->lines; i++) {
        const struct latency_hop *hop = total->line[i].hop;
        if (total->line[i].corrected) {
            continue;
        }
        json_array_append_new(hops, json_pack("{s:s, s:s, s:I, s:I, s:o, s:o}", "name", hop->name, "meaning",
                                              hop->meaning, "period_ns", (json_int_t)hop->period_ns,
                                              "late_limit_ns", (json_int_t)hop->values.limit_ns, "total",
                                              both_of(total, i, buckets), "interval",
                                              interval != NULL ? both_of(interval, i, buckets) : json_null()));
    }
    return json_pack("{s:s, s:I, s:f, s:o, s:f, s:o}", "instance", total->at->instance, "tai_ns",
                     (json_int_t)total->at->tai_ns, "uptime_s", total->seconds, "interval_s",
                     interval != NULL ? json_real(interval->seconds) : json_null(), "value_error_max",
                     LATENCY_TOO_HIGH, "hops", hops);
}
