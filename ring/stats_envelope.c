/* Envelopes: min, max and mean of groups of values. Hot (HOT_SOURCES). */
#include "ring/stats.h"

#include <math.h>

#include "ring/stats_block.h"

static uint64_t open_values(const struct sluice_envelope *e)
{
    return e->open.count + e->open.not_finite;
}

/* The mean of the open group, and no min and max where it has none. */
static struct sluice_envelope_point point_of(const struct sluice_envelope *e)
{
    struct sluice_envelope_point point = e->open;
    if (point.count == 0) {
        point.min = (double)NAN;
        point.max = (double)NAN;
        point.mean = (double)NAN;
    } else {
        point.mean = e->shift + e->sum / (double)point.count;
    }
    return point;
}

static void close_group(struct sluice_envelope *e)
{
    e->open = (struct sluice_envelope_point){0};
    e->sum = 0;
}

/* With the step of its first value; once a group, hence the division. */
static void open_group(struct sluice_envelope *e, uint64_t tai_ns)
{
    e->open.tai_ns = tai_ns;
    e->open.is_after_gap = e->is_after_gap;
    e->is_after_gap = 0;
    if (e->every_ns != 0) {
        uint64_t begin_ns = tai_ns - tai_ns % e->every_ns;
        e->end_ns = begin_ns + e->every_ns < begin_ns ? UINT64_MAX : begin_ns + e->every_ns;
    }
}

static void take(struct sluice_envelope *e, const double *values, size_t count)
{
    struct sluice_envelope_point *open = &e->open;
    struct stats_block block;
    while (count > 0) {
        size_t n = count < STATS_BLOCK_VALUES ? count : STATS_BLOCK_VALUES;
        stats_block_scan(&block, values, n, open->count > 0 ? &e->shift : NULL);
        open->not_finite += block.not_finite;
        if (block.count > 0) {
            e->shift = block.shift;
            e->sum += block.sum;
            open->min = open->count == 0 || block.min < open->min ? block.min : open->min;
            open->max = open->count == 0 || block.max > open->max ? block.max : open->max;
            open->count += block.count;
        }
        values += n;
        count -= n;
    }
}

/* How many of the values belong to the open group. */
static size_t belonging(const struct sluice_envelope *e, const uint64_t *tai_ns, size_t count)
{
    if (e->is_after_gap != 0) {
        return 0; /* it ended there */
    }
    if (e->every_ns == 0) {
        uint64_t left = e->every_values - open_values(e);
        return left < count ? (size_t)left : count;
    }
    if (tai_ns == NULL) { /* times are numbers: values, values + 1 .. */
        uint64_t left = e->end_ns > e->values ? e->end_ns - e->values : 0;
        return left < count ? (size_t)left : count;
    }
    size_t n = 0;
    while (n < count && tai_ns[n] < e->end_ns) {
        n++;
    }
    return n;
}

size_t sluice_envelope_add(struct sluice_envelope *envelope, const uint64_t *tai_ns, const double *values,
                           size_t count, struct sluice_envelope_point *points, size_t room, size_t *written)
{
    size_t done = 0;
    *written = 0;
    while (done < count) {
        const uint64_t *now = tai_ns != NULL ? tai_ns + done : NULL;
        size_t n = open_values(envelope) > 0 ? belonging(envelope, now, count - done) : 0;
        if (n == 0 && open_values(envelope) > 0) {
            if (*written == room) {
                break;
            }
            points[(*written)++] = point_of(envelope);
            close_group(envelope);
        }
        if (n == 0) {
            open_group(envelope, now != NULL ? *now : envelope->values);
            n = belonging(envelope, now, count - done);
            n = n > 0 ? n : 1; /* the last step there is has no end */
        }
        take(envelope, values + done, n);
        envelope->values += n;
        done += n;
    }
    if (envelope->every_values != 0 && open_values(envelope) == envelope->every_values && *written < room) {
        points[(*written)++] = point_of(envelope); /* complete: it need not wait for the next value */
        close_group(envelope);
    }
    return done;
}

void sluice_envelope_gap(struct sluice_envelope *envelope)
{
    envelope->is_after_gap = 1;
}

int sluice_envelope_flush(struct sluice_envelope *envelope, struct sluice_envelope_point *point)
{
    if (open_values(envelope) == 0) {
        return 0;
    }
    *point = point_of(envelope);
    close_group(envelope);
    return 1;
}
