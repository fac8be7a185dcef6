/* The rings' rates: measured for the status, and what is wrong with them told, once each. */
#include <inttypes.h>

#include "daq/log.h"
#include "daq/server.h"
#include "ring/clock.h"

#define RATE_PERIOD_NS (500 * CLOCK_NS_PER_MS)
#define WINDOWS_OFF    2u /* in a row, before it is told */

/* A declared rate that is not kept is told when it begins and when it is over. */
static void judge(struct server *server, uint32_t ring, const struct ring_header *header,
                  const struct ring_rate *rate)
{
    const struct ring_stream *stream = &server->plan->ring[ring].stream;
    struct server_rate *shown = &server->rate[ring];
    if (rate->windows == shown->windows || rate->windows % 2 != 0) { /* odd: its worker is in the middle of one */
        return;
    }
    shown->windows = rate->windows;
    bool off = ring_count_read(&header->ledger.is_open) != 0 &&
               ring_rate_is_off(rate, stream->nominal_hz, stream->tolerance);
    shown->windows_off = off ? shown->windows_off + 1 : 0;
    if (off && !shown->is_off && shown->windows_off >= WINDOWS_OFF) {
        shown->is_off = true;
        log_line(
            "source %s: expected %.6g frames/s (within %.3g %%), measured %.6g; correct rate.nominal_hz (of an "
            "instrument: period_ms), or see what holds it up",
            stream->name, stream->nominal_hz, 100 * stream->tolerance, ring_rate_measured_hz(rate));
    } else if (!off && shown->is_off && rate->window_ns != 0) {
        shown->is_off = false;
        log_line("source %s: %.6g frames/s again", stream->name, ring_rate_measured_hz(rate));
    }
}

/* The first of each kind of stamp that cannot be right. The counts go on in status. */
static void tell_first(struct server *server, uint32_t ring, const struct ring_rate *rate)
{
    const char *name = server->plan->ring[ring].stream.name;
    uint32_t *told = &server->rate[ring].told;
    const struct {
        uint64_t count;
        const char *what;
    } firsts[] = {
        {rate->ahead, "its clock is ahead of ours: its frames are given their arrival, or, if it is far "
                      "ahead, no age"},
        {rate->too_old, "a stamp is older than rate.lag_max_ms, or no time: its frame is taken for as old"},
        {rate->backwards, "a stamp lies before an earlier one: its frame refreshes nothing"},
        {rate->relocks, "its clock, or its rate, was set against arrivals anew"},
        {rate->replay_jumps, "a time in the file goes back, or is further on than timing.gap_max_s: not "
                             "waited for"}};
    for (uint32_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        if (firsts[i].count > 0 && (*told >> i & 1) == 0) {
            *told |= UINT32_C(1) << i;
            log_line("source %s: %s (said once; sluice status counts)", name, firsts[i].what);
        }
    }
}

void server_look_at_rates(struct server *server, uint64_t now_ns)
{
    if (now_ns - server->rated_ns < RATE_PERIOD_NS) {
        return;
    }
    double seconds = (double)(now_ns - server->rated_ns) / 1e9;
    for (uint32_t i = 0; i < server->plan->rings; i++) {
        const struct ring_header *header = server->ring[i].segment.base;
        uint64_t position = ring_published_now(header);
        struct ring_rate rate;
        server_board(server)->ring_rate_hz[i] = (double)(position - server->rate[i].position) / seconds;
        server->rate[i].position = position;
        ring_rate_read(&header->rate, &rate);
        judge(server, i, header, &rate);
        tell_first(server, i, &rate);
    }
    server->rated_ns = now_ns;
}
