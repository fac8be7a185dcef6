#include "net/sequence.h"

#include <string.h>

#define WINDOW_FRAMES UINT64_C(64)
/* After an interruption frames that were still buffered somewhere come first, in order; the gap follows them. */
#define RESTART_FRAMES 4096u

/* Repeats in a row, each the next number of the one before, after which narrow numbers are believed to have jumped.
 */
#define REPEATS_MAX 3u

static bool dropped_here(enum ring_loss cause)
{
    return cause == RING_LOSS_KERNEL || cause == RING_LOSS_NIC || cause == RING_LOSS_RING_FULL;
}

/* Shares a gap out among what is known to have been dropped here; the rest is the sender's (or the wire's). The
 * cause that the frame is given: a drop on this host if there was any, because the interlock goes by it; else what
 * most of them are. */
static uint32_t attribute_gap(struct ring_ledger *ledger, uint64_t gap)
{
    enum ring_loss rest = ledger->tracker_restart_left > 0 ? RING_LOSS_RESTART : RING_LOSS_SENDER;
    uint64_t share[RING_LOSSES];
    uint32_t main_cause = rest;
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        uint64_t pending = ledger->tracker_pending[cause];
        share[cause] = pending < gap ? pending : gap;
        gap -= share[cause];
        ledger->tracker_pending[cause] = 0;
    }
    share[rest] += gap;
    ledger->tracker_restart_left = 0;
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        if (share[cause] == 0) {
            continue;
        }
        ring_count_add(&ledger->lost[cause], share[cause]);
        if (dropped_here(cause) > dropped_here(main_cause) ||
            (dropped_here(cause) == dropped_here(main_cause) && share[cause] > share[main_cause])) {
            main_cause = cause;
        }
    }
    return main_cause;
}

/* A frame that had been written off has come after all: takes one off the likeliest cause. False if nothing is
 * written off. */
static bool unlose(struct ring_ledger *ledger)
{
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        if (ring_count_read(&ledger->lost[cause]) > 0 && cause != RING_LOSS_LATE) {
            ring_count_set(&ledger->lost[cause], ring_count_read(&ledger->lost[cause]) - 1);
            return true;
        }
    }
    return false;
}

static void advance(struct ring_ledger *ledger, uint64_t gap, struct sequence_result *result)
{
    if (gap > 0) {
        result->lost_before = gap;
        result->cause = attribute_gap(ledger, gap);
    } else {
        /* A drop on this host without a gap: a straggler, counted as lost on its way already, or a repeat. Nobody
         * will ever say what was in it, so the interlock is told. */
        for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
            uint64_t dropped = dropped_here(cause) ? ledger->tracker_pending[cause] : 0;
            if (dropped > 0) {
                result->lost_before += dropped;
                result->cause = cause;
            }
            ledger->tracker_pending[cause] = 0;
        }
        ledger->tracker_restart_left -= ledger->tracker_restart_left > 0;
    }
    ledger->tracker_window = gap + 1 >= WINDOW_FRAMES ? 1 : (ledger->tracker_window << (gap + 1)) | 1;
    ledger->tracker_next += gap + 1;
    ring_count_add(&ledger->sent, gap + 1);
    ring_count_add(&ledger->delivered, 1);
}

/* The sender counts from anew: no gap will ever show what this host dropped before, and the interlock goes by it.
 */
static void settle_drops(struct ring_ledger *ledger, struct sequence_result *result)
{
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        uint64_t dropped = dropped_here(cause) ? ledger->tracker_pending[cause] : 0;
        if (dropped > 0) {
            ring_count_add(&ledger->sent, dropped);
            ring_count_add(&ledger->lost[cause], dropped);
            result->lost_before += dropped;
            result->cause = cause;
            ledger->tracker_pending[cause] = 0;
        }
    }
}

static void start_at(struct ring_ledger *ledger, uint64_t number)
{
    ledger->tracker_started = 1;
    ledger->tracker_next = number;
    ledger->tracker_window = 0;
    ledger->tracker_late_run = 0;
}

/* Within the window: it fills a hole, or is a repeat. */
static void look_into_window(struct ring_ledger *ledger, uint64_t behind, struct sequence_result *result)
{
    uint64_t bit = UINT64_C(1) << (behind - 1);
    if ((ledger->tracker_window & bit) == 0 && unlose(ledger)) {
        ledger->tracker_window |= bit;
        ring_count_add(&ledger->reordered, 1);
        ring_count_add(&ledger->delivered, 1);
        result->verdict = SEQUENCE_REORDERED;
    } else {
        ring_count_add(&ledger->duplicated, 1);
        result->verdict = SEQUENCE_DUPLICATE;
    }
}

/* How many frames in a row have come from behind, each the next of the one before. */
static uint64_t count_run(struct ring_ledger *ledger, uint64_t raw, uint64_t next_raw)
{
    ledger->tracker_late_run = raw == ledger->tracker_late_next ? ledger->tracker_late_run + 1 : 1;
    ledger->tracker_late_next = next_raw;
    return ledger->tracker_late_run;
}

/* Older than the next one expected. */
static void look_back(const struct sequence_spec *spec, struct ring_ledger *ledger, uint64_t raw, uint64_t behind,
                      struct sequence_result *result)
{
    if (behind <= WINDOW_FRAMES) {
        look_into_window(ledger, behind, result);
        return;
    }
    /* Far behind: one straggler, or a sender that started again. Three in a row are a sender. */
    if (count_run(ledger, raw, (raw + spec->step) & net_sequence_mask(spec)) >= 3) {
        start_at(ledger, raw / spec->step);
        result->number = ledger->tracker_next;
        settle_drops(ledger, result);
        advance(ledger, 0, result);
        return;
    }
    if (unlose(ledger)) {
        ring_count_add(&ledger->lost[RING_LOSS_LATE], 1);
    } else {
        ring_count_add(&ledger->duplicated, 1);
    }
    result->verdict = SEQUENCE_LATE;
}

/* What looked like repeats were frames behind a gap of more than half the numbers. Those before this one bear the
 * mark of repeats, which readers ignore; the counts are set right. */
static void jump_ahead(struct ring_ledger *ledger, uint64_t gap, struct sequence_result *result)
{
    const uint64_t taken = REPEATS_MAX - 1;
    ring_count_set(&ledger->duplicated, ring_count_read(&ledger->duplicated) - REPEATS_MAX);
    result->verdict = SEQUENCE_NEXT;
    result->number = ledger->tracker_next + gap;
    advance(ledger, gap, result);
    for (uint64_t i = 0; i < taken && unlose(ledger); i++) {
        ring_count_add(&ledger->delivered, 1);
        ledger->tracker_window |= UINT64_C(2) << i;
        result->lost_before--;
    }
    ledger->tracker_late_run = 0;
}

/* Numbers of a few bits (the 4 of VRT): half of them are the window, nothing is ever far behind. What this host
 * dropped is known, so the number is looked for around there. Of what is lost elsewhere, with 4 bits: up to 8 in a
 * row are seen at once; 9 to 13 look like repeats until REPEATS_MAX of them have come in a row (a network that
 * repeats as many in order is taken for a gap); 14 and 15 cannot be told from repeats, 16 in a row cannot be seen
 * at all, and 17 are one. */
static void track_narrow(struct ring_ledger *ledger, uint64_t raw, uint64_t mask, struct sequence_result *result)
{
    uint64_t dropped = 0;
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        dropped += dropped_here(cause) ? ledger->tracker_pending[cause] : 0;
    }
    uint64_t window = mask / 2;
    uint64_t ahead = (raw - ledger->tracker_next - dropped) & mask;
    uint64_t back = ahead <= mask - window ? 0 : mask + 1 - ahead;
    if (back <= dropped) {
        uint64_t gap = back > 0 ? dropped - back : dropped + ahead;
        ledger->tracker_late_run = 0;
        result->number = ledger->tracker_next + gap;
        advance(ledger, gap, result);
        return;
    }
    uint64_t behind = back - dropped;
    result->number = ledger->tracker_next - behind;
    look_into_window(ledger, behind, result);
    if (result->verdict == SEQUENCE_DUPLICATE && count_run(ledger, raw, (raw + 1) & mask) >= REPEATS_MAX) {
        jump_ahead(ledger, mask + 1 - behind, result);
    }
}

void net_sequence_track(const struct sequence_spec *spec, struct ring_ledger *ledger, uint64_t raw,
                        struct sequence_result *result)
{
    uint64_t step = spec->step;
    uint64_t mask = net_sequence_mask(spec);
    *result = (struct sequence_result){.verdict = SEQUENCE_NEXT};
    if (ledger->tracker_started == 0) {
        start_at(ledger, raw / step);
    }
    if (mask < 2 * WINDOW_FRAMES) {
        track_narrow(ledger, raw, mask, result);
        return;
    }
    uint64_t expected_raw = (ledger->tracker_next * step) & mask;
    uint64_t ahead = (raw - expected_raw) & mask;
    if (ahead <= mask / 2) {
        ledger->tracker_late_run = 0;
        result->number = ledger->tracker_next + ahead / step;
        advance(ledger, ahead / step, result);
    } else {
        /* Rounded up: the numbers need not be multiples of the step, and 0 is never behind. */
        uint64_t behind = (((expected_raw - raw) & mask) + step - 1) / step;
        result->number = ledger->tracker_next - behind;
        look_back(spec, ledger, raw, behind, result);
    }
}

uint64_t net_sequence_gap(const struct sequence_spec *spec, const struct ring_ledger *ledger, uint64_t raw)
{
    uint64_t mask = net_sequence_mask(spec);
    uint64_t ahead = (raw - ledger->tracker_next * spec->step) & mask;
    if (ledger->tracker_started == 0 || ahead == 0) {
        return 0;
    }
    if (mask < 2 * WINDOW_FRAMES) {
        return UINT64_MAX;
    }
    return ahead <= mask / 2 ? ahead / spec->step : 0;
}

void net_sequence_heartbeat(const struct sequence_spec *spec, struct ring_ledger *ledger, uint64_t next,
                            struct sequence_result *result)
{
    uint64_t mask = net_sequence_mask(spec);
    *result = (struct sequence_result){.verdict = SEQUENCE_NEXT, .cause = RING_LOSS_SENDER};
    if (spec->width_bytes == 0) {
        return;
    }
    if (ledger->tracker_started == 0) {
        start_at(ledger, (next & mask) / spec->step);
    }
    uint64_t ahead = (next - ledger->tracker_next * spec->step) & mask;
    uint64_t gap = ahead <= mask / 2 ? ahead / spec->step : 0;
    if (gap > 0) {
        result->lost_before = gap;
        result->cause = attribute_gap(ledger, gap);
        ring_count_add(&ledger->sent, gap);
        ledger->tracker_window = gap >= WINDOW_FRAMES ? 0 : ledger->tracker_window << gap;
        ledger->tracker_next += gap;
        ledger->tracker_late_run = 0;
    }
    result->number = ledger->tracker_next;
}

uint32_t net_sequence_flags(const struct sequence_result *result)
{
    switch (result->verdict) {
    case SEQUENCE_DUPLICATE:
        return RING_FLAG_DUPLICATE;
    case SEQUENCE_REORDERED:
        return RING_FLAG_REORDERED;
    default:
        return result->lost_before > 0 ? RING_FLAG_LOST_BEFORE | result->cause << RING_FLAG_CAUSE_SHIFT : 0;
    }
}

/* No number will ever show what this host dropped: the next frame says it, or the interlock would not know. */
static void tell_drops(struct ring_ledger *ledger, struct sequence_result *result)
{
    uint64_t most = 0;
    for (uint32_t cause = 0; cause < RING_LOSSES; cause++) {
        uint64_t dropped = ledger->tracker_pending[cause];
        ledger->tracker_pending[cause] = 0;
        result->lost_before += dropped;
        if (dropped > most) {
            most = dropped;
            result->cause = cause;
        }
    }
}

void net_sequence_untracked(struct ring_ledger *ledger, uint64_t position, struct sequence_result *result)
{
    *result = (struct sequence_result){.number = position, .verdict = SEQUENCE_NEXT};
    tell_drops(ledger, result);
    ring_count_add(&ledger->sent, 1);
    ring_count_add(&ledger->delivered, 1);
}

void net_sequence_take(const struct sequence_spec *spec, struct ring_ledger *ledger, const uint8_t *payload,
                       uint64_t position, struct sequence_result *result)
{
    if (spec->width_bytes != 0) {
        net_sequence_track(spec, ledger, net_sequence_read(spec, payload), result);
    } else {
        net_sequence_untracked(ledger, position, result);
    }
}

void net_sequence_explain(const struct sequence_spec *spec, struct ring_ledger *ledger, enum ring_loss cause,
                          uint64_t n)
{
    if (spec->width_bytes == 0) {
        ring_count_add(&ledger->sent, n);
        ring_count_add(&ledger->lost[cause], n);
        ledger->tracker_pending[cause] += dropped_here(cause) ? n : 0;
    } else if (ledger->tracker_started != 0) {
        ledger->tracker_pending[cause] += n;
    }
}

void net_sequence_interrupted(const struct sequence_spec *spec, struct ring_ledger *ledger)
{
    if (spec->width_bytes != 0 && ledger->tracker_started != 0) {
        ledger->tracker_restart_left = RESTART_FRAMES;
    }
}

void net_sequence_begin(struct ring_ledger *ledger, uint64_t number)
{
    struct sequence_result result = {.verdict = SEQUENCE_NEXT};
    settle_drops(ledger, &result);
    start_at(ledger, number);
    ledger->tracker_restart_left = 0;
}

uint16_t net_crc16_ccitt(const uint8_t *bytes, uint32_t count)
{
    uint32_t crc = 0xffff;
    for (uint32_t i = 0; i < count; i++) {
        crc ^= (uint32_t)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
        }
    }
    return (uint16_t)crc;
}

bool net_checksum_ok(const struct checksum_spec *spec, const uint8_t *payload)
{
    if (spec->kind != CHECKSUM_CRC16_CCITT) {
        return true;
    }
    uint16_t stored = (uint16_t)(payload[spec->at_byte] << 8 | payload[spec->at_byte + 1]);
    return net_crc16_ccitt(payload + spec->from, spec->at_byte - spec->from) == stored;
}
