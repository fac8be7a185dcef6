/* Crossings of a threshold. Hot (HOT_SOURCES). */
#include "ring/stats.h"

#include <float.h>

#include "ring/stats_block.h"

/* True if all of eight values stay above, or below: four masks and one branch. What is not a number stays nowhere.
 */
static inline bool eight_stay_above(const double *values, double low)
{
    stats_pair least = {low, low};
    stats_pair most = {DBL_MAX, DBL_MAX};
    stats_mask stay = {-1, -1};
    for (size_t i = 0; i < 8; i += 2) {
        stats_pair x = stats_load(values + i);
        stay &= (stats_mask)(x >= least) & (stats_mask)(x <= most);
    }
    return (stay[0] & stay[1]) != 0;
}

static inline bool eight_stay_below(const double *values, double high)
{
    stats_pair least = {-DBL_MAX, -DBL_MAX};
    stats_pair most = {high, high};
    stats_mask stay = {-1, -1};
    for (size_t i = 0; i < 8; i += 2) {
        stats_pair x = stats_load(values + i);
        stay &= (stats_mask)(x >= least) & (stats_mask)(x < most);
    }
    return (stay[0] & stay[1]) != 0;
}

/* How many values from the first on leave a known level as it is: finite, and below `high` or not below `low`. */
static size_t staying(const struct sluice_edges *e, const double *values, size_t count)
{
    size_t n = 0;
    if (e->level == SLUICE_LEVEL_ABOVE) {
        while (n + 8 <= count && eight_stay_above(values + n, e->low)) {
            n += 8;
        }
        while (n < count && values[n] >= e->low && values[n] <= DBL_MAX) {
            n++;
        }
    } else {
        while (n + 8 <= count && eight_stay_below(values + n, e->high)) {
            n += 8;
        }
        while (n < count && values[n] < e->high && values[n] >= -DBL_MAX) {
            n++;
        }
    }
    return n;
}

/* Time goes on to that of the next value; what passed belongs to the level as it was. */
static void pass(struct sluice_edges *e, uint64_t tai_ns)
{
    if (e->has_last == 0 || tai_ns <= e->last_tai_ns) {
        e->last_tai_ns = e->has_last == 0 ? tai_ns : e->last_tai_ns;
        e->has_last = 1;
        return;
    }
    uint64_t passed_ns = tai_ns - e->last_tai_ns;
    e->last_tai_ns = tai_ns;
    if (e->is_broken != 0 || e->level == SLUICE_LEVEL_UNKNOWN) {
        e->unknown_ns += passed_ns;
    } else if (e->level == SLUICE_LEVEL_ABOVE) {
        e->above_ns += passed_ns;
    } else {
        e->below_ns += passed_ns;
    }
}

static uint64_t latest(const uint64_t *tai_ns, size_t count, uint64_t position)
{
    if (tai_ns == NULL) {
        return position + count - 1;
    }
    uint64_t latest_ns = tai_ns[0];
    for (size_t i = 1; i < count; i++) {
        latest_ns = tai_ns[i] > latest_ns ? tai_ns[i] : latest_ns;
    }
    return latest_ns;
}

static uint32_t level_of(const struct sluice_edges *e, double value)
{
    if (value >= e->high) {
        return SLUICE_LEVEL_ABOVE;
    }
    return value < e->low ? SLUICE_LEVEL_BELOW : SLUICE_LEVEL_UNKNOWN;
}

/* The level becomes, or is seen again to be, another than unknown. 1 and an edge where it is one. */
static size_t decide(struct sluice_edges *e, uint32_t level, uint64_t position, struct sluice_edge *edge)
{
    size_t edges = 0;
    if (e->level != SLUICE_LEVEL_UNKNOWN && level != e->level) {
        *edge = (struct sluice_edge){
            .position = position,
            .tai_ns = e->last_tai_ns,
            .held_ns = e->last_tai_ns - e->since_tai_ns,
            .level = level,
            .flags = (e->is_broken != 0 ? SLUICE_EDGE_IN_GAP : 0u) |
                     (e->is_since_sure == 0 || e->is_broken != 0 ? SLUICE_EDGE_HELD_UNSURE : 0u)};
        e->rising += level == SLUICE_LEVEL_ABOVE ? 1 : 0;
        e->falling += level == SLUICE_LEVEL_BELOW ? 1 : 0;
        edges = 1;
    }
    if (level != e->level) {
        e->since_tai_ns = e->last_tai_ns;
        e->is_since_sure = edges == 1 && e->is_broken == 0 ? 1 : 0;
        e->level = level;
    } else if (e->is_broken != 0) {
        e->is_since_sure = 0;
    }
    e->is_broken = 0;
    return edges;
}

size_t sluice_edges_add(struct sluice_edges *edges, uint64_t position, const uint64_t *tai_ns, const double *values,
                        size_t count, struct sluice_edge *out, size_t room, size_t *written)
{
    size_t done = 0;
    *written = 0;
    while (done < count) {
        const uint64_t *now = tai_ns != NULL ? tai_ns + done : NULL;
        size_t n = edges->is_broken == 0 && edges->level != SLUICE_LEVEL_UNKNOWN
                       ? staying(edges, values + done, count - done)
                       : 0;
        if (n > 0) {
            pass(edges, latest(now, n, position + done));
            edges->count += n;
            done += n;
            continue;
        }
        uint32_t level = level_of(edges, values[done]);
        if (!stats_is_finite(values[done])) {
            pass(edges, latest(now, 1, position + done));
            edges->not_finite++;
            edges->is_broken = 1;
            done++;
            continue;
        }
        bool is_edge =
            level != SLUICE_LEVEL_UNKNOWN && edges->level != SLUICE_LEVEL_UNKNOWN && level != edges->level;
        if (is_edge && out != NULL && *written == room) {
            break;
        }
        pass(edges, latest(now, 1, position + done));
        edges->count++;
        if (level != SLUICE_LEVEL_UNKNOWN) {
            struct sluice_edge edge;
            size_t found = decide(edges, level, position + done, &edge);
            if (found > 0 && out != NULL) {
                out[(*written)++] = edge;
            }
        }
        done++;
    }
    return done;
}

void sluice_edges_gap(struct sluice_edges *edges)
{
    edges->is_broken = 1;
}
