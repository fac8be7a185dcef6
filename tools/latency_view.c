/* From the server's histograms to what is shown: snapshots, their difference, the choice of hops, corrections. */
#include <errno.h>
#include <string.h>

#include "ring/clock.h"
#include "tools/duration.h"
#include "tools/hist_read.h"
#include "tools/latency.h"

static const struct {
    double share;
    const char *name;
} quantiles[LATENCY_QUANTILES] = {{0.5, "p50"}, {0.9, "p90"}, {0.99, "p99"}, {0.999, "p999"}, {0.9999, "p9999"}};

double latency_quantile(uint32_t n)
{
    return quantiles[n].share;
}

const char *latency_quantile_name(uint32_t n)
{
    return quantiles[n].name;
}

int latency_take(struct session *session, struct latency_snapshot *snapshot, struct error *err)
{
    static struct hop hops[LATENCY_HOPS_MAX];
    /* The answer tells that the server lives: a map of it would show its last values for ever. */
    int code = session_refresh(session, err);
    if (code != 0) {
        return code;
    }
    snprintf(snapshot->instance, sizeof(snapshot->instance), "%s", session->instance);
    snapshot->started_tai_ns = session->supervisor->common.started_tai_ns;
    snapshot->tai_ns = clock_tai_ns(session->table->tai_minus_monotonic_ns);
    snapshot->monotonic_ns = clock_monotonic_ns();
    snapshot->hops = hops_list(session, hops, LATENCY_HOPS_MAX);
    for (uint32_t i = 0; i < snapshot->hops; i++) {
        struct latency_hop *hop = &snapshot->hop[i];
        memcpy(hop->name, hops[i].name, sizeof(hop->name));
        snprintf(hop->meaning, sizeof(hop->meaning), "%s", hops[i].meaning);
        hop->period_ns = hops[i].period_ns;
        hist_copy(hops[i].histogram, &hop->values);
    }
    return 0;
}

/* One name of a list. */
static bool chooses(const char *word, size_t length, const char *name)
{
    const char *last = strrchr(name, '.');
    return length > 0 && (strncmp(name, word, length) == 0 ||
                          (last != NULL && strlen(last + 1) == length && strncmp(last + 1, word, length) == 0));
}

bool latency_chosen(const char *list, const char *name)
{
    for (const char *word = list; word != NULL; word = strchr(word, ',') != NULL ? strchr(word, ',') + 1 : NULL) {
        if (chooses(word, strcspn(word, ","), name)) {
            return true;
        }
    }
    return list == NULL;
}

/* Whether the first name of the list chooses any. */
static bool is_known(const char *word, const struct latency_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->hops; i++) {
        if (chooses(word, strcspn(word, ","), snapshot->hop[i].name)) {
            return true;
        }
    }
    return false;
}

bool latency_all_known(const char *list, const struct latency_snapshot *snapshot, struct error *err)
{
    for (const char *word = list; word != NULL; word = strchr(word, ',') != NULL ? strchr(word, ',') + 1 : NULL) {
        if (is_known(word, snapshot)) {
            continue;
        }
        char names[384] = {0};
        for (uint32_t i = 0; i < snapshot->hops; i++) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof(names) - used, "%s%s", used > 0 ? ", " : "", snapshot->hop[i].name);
        }
        error_set(err, -EINVAL,
                  "--hop: expected the beginning of a hop's name or its last part, found '%.*s'; %s%s",
                  (int)strcspn(word, ",") < 64 ? (int)strcspn(word, ",") : 64, word,
                  snapshot->hops > 0 ? "there are " : "there is none", names);
        return false;
    }
    return true;
}

static const struct latency_hop *find(const struct latency_snapshot *snapshot, const char *name)
{
    for (uint32_t i = 0; snapshot != NULL && i < snapshot->hops; i++) {
        if (strcmp(snapshot->hop[i].name, name) == 0) {
            return &snapshot->hop[i];
        }
    }
    return NULL;
}

static void add_hop(const struct latency_options *options, const struct latency_hop *hop,
                    const struct latency_hop *before, uint32_t n, struct latency_view *view)
{
    struct latency_line *line = &view->line[view->lines++];
    *line = (struct latency_line){.hop = hop, .values = &hop->values, .exact = true};
    snprintf(line->name, sizeof(line->name), "%s", hop->name);
    if (before != NULL) {
        if (!hist_subtract(&hop->values, &before->values, &view->difference[n], &line->exact)) {
            memcpy(view->anew, hop->name, sizeof(view->anew));
        }
        line->values = &view->difference[n];
    }
    if (hop->period_ns > 0 && !options->raw) {
        hist_correct(line->values, hop->period_ns, &view->corrected[n]);
        struct latency_line *corrected = &view->line[view->lines++];
        *corrected = *line;
        corrected->corrected = true;
        corrected->idle = view->corrected[n].count == line->values->count;
        corrected->values = &view->corrected[n];
        snprintf(corrected->name, sizeof(corrected->name), "%s" LATENCY_CORRECTED, hop->name);
    }
}

void latency_view_make(const struct latency_options *options, const struct latency_snapshot *now,
                       const struct latency_snapshot *before, struct latency_view *view)
{
    uint64_t life_ns = now->tai_ns > now->started_tai_ns ? now->tai_ns - now->started_tai_ns : 0;
    uint64_t span_ns = before != NULL ? now->monotonic_ns - before->monotonic_ns : life_ns;
    view->at = now;
    view->interval = before != NULL;
    view->seconds = (double)span_ns / 1e9;
    view->anew[0] = 0;
    view->lines = 0;
    for (uint32_t i = 0; i < now->hops; i++) {
        if (latency_chosen(options->hops, now->hop[i].name)) {
            add_hop(options, &now->hop[i], find(before, now->hop[i].name), i, view);
        }
    }
}
