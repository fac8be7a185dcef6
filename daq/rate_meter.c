#include "daq/rate_meter.h"

#include "ring/clock.h"
#include "ring/ledger.h"

#define WINDOW_INTERVALS 16u

void rate_meter_init(struct rate_meter *meter, struct ring_rate *rate, double nominal_hz, bool unnumbered)
{
    *meter = (struct rate_meter){.rate = rate, .unnumbered = unnumbered, .window_ns = RATE_WINDOW_NS};
    if (nominal_hz > 0) {
        meter->nominal_ns = (uint64_t)((double)CLOCK_NS_PER_S / nominal_hz + 0.5);
        meter->expected_ns = meter->nominal_ns;
        uint64_t wanted_ns = WINDOW_INTERVALS * meter->nominal_ns;
        meter->window_ns = wanted_ns > meter->window_ns ? wanted_ns : meter->window_ns;
    }
}

static void begin_window(struct rate_meter *m, uint64_t now_ns)
{
    m->since_ns = now_ns;
    m->window = (struct ring_rate){.interval_ns_min = UINT64_MAX};
}

/* What belongs to a window, and only that: the counts are written elsewhere. */
static void write_window(struct rate_meter *m)
{
    struct ring_rate *to = m->rate;
    const struct ring_rate *from = &m->window;
    uint64_t number = ring_count_read(&to->windows) | 1; /* a writer may have died in the middle */
    ring_count_set(&to->windows, number);
    __atomic_store_n(&to->window_ns, from->window_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&to->frames, from->frames, __ATOMIC_RELEASE);
    __atomic_store_n(&to->intervals, from->intervals, __ATOMIC_RELEASE);
    __atomic_store_n(&to->arrived_ns, from->arrived_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&to->interval_ns_min, from->interval_ns_min != UINT64_MAX ? from->interval_ns_min : 0,
                     __ATOMIC_RELEASE);
    __atomic_store_n(&to->interval_ns_max, from->interval_ns_max, __ATOMIC_RELEASE);
    __atomic_store_n(&to->deviation_ns, from->deviation_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&to->deviations, from->deviations, __ATOMIC_RELEASE);
    __atomic_store_n(&to->lag_ns_max, from->lag_ns_max, __ATOMIC_RELEASE);
    __atomic_store_n(&to->polls, from->polls, __ATOMIC_RELEASE);
    __atomic_store_n(&to->late_ns, from->late_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&to->late_ns_max, from->late_ns_max, __ATOMIC_RELEASE);
    __atomic_store_n(&to->took_ns, from->took_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&to->took_ns_max, from->took_ns_max, __ATOMIC_RELEASE);
    __atomic_store_n(&to->windows, number + 1, __ATOMIC_RELEASE);
}

static void show_none(struct rate_meter *m, uint64_t now_ns)
{
    begin_window(m, now_ns);
    write_window(m);
}

void rate_meter_start(struct rate_meter *meter, uint64_t now_ns)
{
    if (meter->rate == NULL) {
        return;
    }
    meter->running = true;
    meter->sampled_ns = 0;
    meter->arrived_ns = 0;
    meter->owed = 0;
    show_none(meter, now_ns);
}

/* The rate of what has gone is not what it was. */
void rate_meter_stop(struct rate_meter *meter)
{
    if (meter->running) {
        show_none(meter, meter->since_ns);
    }
    meter->running = false;
}

/* Where nothing numbers the frames, a long interval is so many that did not come; a burst behind it brings them
 * after all. What has not come by the end of the window is missed. */
static void owe(struct rate_meter *m, uint64_t interval_ns)
{
    if (interval_ns > m->nominal_ns + m->nominal_ns / 2) {
        m->owed += (interval_ns + m->nominal_ns / 2) / m->nominal_ns - 1;
    } else if (interval_ns < m->nominal_ns / 2 && m->owed > 0) {
        m->owed--;
    }
}

static void take_interval(struct rate_meter *m, uint64_t interval_ns)
{
    struct ring_rate *w = &m->window;
    w->interval_ns_min = interval_ns < w->interval_ns_min ? interval_ns : w->interval_ns_min;
    w->interval_ns_max = interval_ns > w->interval_ns_max ? interval_ns : w->interval_ns_max;
    if (m->expected_ns != 0) {
        w->deviation_ns +=
            interval_ns > m->expected_ns ? interval_ns - m->expected_ns : m->expected_ns - interval_ns;
        w->deviations++;
    }
}

void rate_meter_take(struct rate_meter *meter, uint64_t sampled_ns, uint64_t arrived_ns, uint64_t lag_ns)
{
    struct rate_meter *m = meter;
    struct ring_rate *w = &m->window;
    if (m->rate == NULL || !m->running) {
        return;
    }
    w->frames++;
    w->lag_ns_max = lag_ns > w->lag_ns_max ? lag_ns : w->lag_ns_max;
    if (m->arrived_ns != 0) {
        w->intervals++;
        w->arrived_ns += arrived_ns - m->arrived_ns;
        if (m->unnumbered && m->nominal_ns != 0) {
            owe(m, arrived_ns - m->arrived_ns);
        }
        /* A clock that went back has no interval. */
        if (sampled_ns != 0 && m->sampled_ns != 0 && (int64_t)(sampled_ns - m->sampled_ns) >= 0) {
            take_interval(m, sampled_ns - m->sampled_ns);
        }
    }
    m->sampled_ns = sampled_ns;
    m->arrived_ns = arrived_ns;
}

void rate_meter_take_batch(struct rate_meter *meter, uint32_t frames, uint64_t arrived_ns)
{
    struct rate_meter *m = meter;
    struct ring_rate *w = &m->window;
    if (frames == 0 || m->rate == NULL || !m->running) {
        return;
    }
    rate_meter_take(m, arrived_ns, arrived_ns, 0);
    uint64_t others = frames - 1; /* no time lies between them */
    w->frames += others;
    w->intervals += others;
    w->interval_ns_min = others > 0 ? 0 : w->interval_ns_min;
    if (m->expected_ns != 0) {
        w->deviation_ns += others * m->expected_ns;
        w->deviations += others;
    }
    m->owed -= others < m->owed ? others : m->owed;
}

void rate_meter_asked(struct rate_meter *meter, uint64_t late_ns, uint64_t took_ns)
{
    struct ring_rate *w = &meter->window;
    w->polls++;
    w->late_ns += late_ns;
    w->late_ns_max = late_ns > w->late_ns_max ? late_ns : w->late_ns_max;
    w->took_ns += took_ns;
    w->took_ns_max = took_ns > w->took_ns_max ? took_ns : w->took_ns_max;
}

void rate_meter_look(struct rate_meter *meter, uint64_t now_ns)
{
    struct rate_meter *m = meter;
    if (!m->running || clock_elapsed_ns(m->since_ns, now_ns) < m->window_ns) {
        return;
    }
    m->window.window_ns = now_ns - m->since_ns;
    if (m->owed > 0) {
        ring_count_add(&m->rate->missed, m->owed);
        m->owed = 0;
    }
    if (m->nominal_ns == 0 && m->window.intervals > 0) {
        m->expected_ns = m->window.arrived_ns / m->window.intervals;
    }
    write_window(m);
    begin_window(m, now_ns);
}
